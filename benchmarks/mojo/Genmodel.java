import hex.ModelCategory;
import hex.genmodel.MojoModel;
import hex.genmodel.easy.EasyPredictModelWrapper;
import hex.genmodel.easy.RowData;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * H2O's own scorer under a clock.
 *
 * <p>{@code Genmodel first MOJO CSV} scores the first row, tells the most memory that the process had, and ends. {@code Genmodel serve MOJO CSV} answers
 * commands, one a line, with one line each: "score0 CALLS", "easy CALLS" and "load CALLS" with nanoseconds of CPU
 * time and by the clock, all calls together, and the sum of what was predicted; "memory" with the bytes of the heap
 * that the model keeps. Rows are taken in turn, so that no call has the row of the one before.
 */
public final class Genmodel {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private final String path;
  private MojoModel model;
  private EasyPredictModelWrapper wrapper;
  private final List<RowData> maps;
  private final double[][] rows;
  private final long modelBytes;
  private int next = 0;

  private Genmodel(String path, String table) throws IOException {
    this.path = path;
    maps = read(Path.of(table));
    long before = used();
    model = MojoModel.load(path);
    modelBytes = used() - before;
    wrapper = wrap(model);
    rows = encode(model, maps);
    Set<String> inputs = Set.of(Arrays.copyOf(model.getNames(), model.nfeatures()));
    for (RowData map : maps) {
      map.keySet().retainAll(inputs);
    }
  }

  public static void main(String[] args) throws Exception {
    if (args[0].equals("first")) {
      MojoModel model = MojoModel.load(args[1]);
      System.out.println(probability(wrap(model), model, read(Path.of(args[2])).get(0)));
      for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
        if (line.startsWith("VmHWM")) {
          System.out.println(Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024);
        }
      }
      return;
    }
    Genmodel own = new Genmodel(args[1], args[2]);
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    System.out.println("ready");
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split(" ");
      System.out.println(words[0].equals("memory") ? own.modelBytes + "" : own.timed(words[0], Integer.parseInt(words[1])));
    }
  }

  private String timed(String what, int calls) throws Exception {
    int start = next;
    double sum = 0.0;
    long wall = System.nanoTime();
    long cpu = THREADS.getCurrentThreadCpuTime();
    if (what.equals("score0")) {
      sum = score0(calls);
    } else if (what.equals("easy")) {
      sum = easy(calls);
    } else if (what.equals("load")) {
      for (int call = 0; call < calls; call++) {
        sum += MojoModel.load(path).nfeatures();
      }
    } else {
      throw new IllegalArgumentException(what);
    }
    cpu = THREADS.getCurrentThreadCpuTime() - cpu;
    wall = System.nanoTime() - wall;
    if (!what.equals("load")) {
      next = (start + calls) % rows.length;
    }
    return cpu + " " + wall + " " + sum;
  }

  private double score0(int calls) {
    double sum = 0.0;
    double[] out = new double[model.getPredsSize(model.getModelCategory())];
    int row = next;
    for (int call = 0; call < calls; call++) {
      sum += model.score0(rows[row], out)[out.length - 1];
      row = row + 1 == rows.length ? 0 : row + 1;
    }
    return sum;
  }

  private double easy(int calls) throws Exception {
    double sum = 0.0;
    int row = next;
    for (int call = 0; call < calls; call++) {
      sum += probability(wrapper, model, maps.get(row));
      row = row + 1 == rows.length ? 0 : row + 1;
    }
    return sum;
  }

  /** Returns the probability of the last class. */
  private static double probability(EasyPredictModelWrapper wrapper, MojoModel model, RowData row) throws Exception {
    double[] all =
        model.getModelCategory() == ModelCategory.Binomial
            ? wrapper.predictBinomial(row).classProbabilities
            : wrapper.predictMultinomial(row).classProbabilities;
    return all[all.length - 1];
  }

  private static EasyPredictModelWrapper wrap(MojoModel model) throws IOException {
    EasyPredictModelWrapper.Config config = new EasyPredictModelWrapper.Config();
    config.setModel(model).setConvertUnknownCategoricalLevelsToNa(true);
    return new EasyPredictModelWrapper(config);
  }

  /** Returns rows as score0 takes them; it must not cost anything while the clock runs. */
  private static double[][] encode(MojoModel model, List<RowData> maps) {
    int width = model.nfeatures();
    double[][] rows = new double[maps.size()][width];
    for (int column = 0; column < width; column++) {
      String name = model.getNames()[column];
      String[] levels = model.getDomainValues(column);
      Map<String, Integer> codes = new HashMap<>();
      for (int code = 0; levels != null && code < levels.length; code++) {
        codes.put(levels[code], code);
      }
      for (int row = 0; row < rows.length; row++) {
        Object value = maps.get(row).get(name);
        Integer code = levels == null ? null : codes.get(value);
        rows[row][column] = levels == null && value != null ? (Double) value : code != null ? code : Double.NaN;
      }
    }
    return rows;
  }

  /** Reads a table without quotes: names that begin with n or m are numbers, others texts, empty cells no entries. */
  private static List<RowData> read(Path table) throws IOException {
    List<RowData> maps = new ArrayList<>();
    try (BufferedReader lines = Files.newBufferedReader(table)) {
      String[] names = lines.readLine().split(",");
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        String[] cells = line.split(",", -1);
        RowData map = new RowData();
        for (int column = 0; column < names.length; column++) {
          if (!cells[column].isEmpty()) {
            char kind = names[column].charAt(0);
            map.put(names[column], kind == 'n' || kind == 'm' ? (Object) Double.valueOf(cells[column]) : cells[column]);
          }
        }
        maps.add(map);
      }
    }
    return maps;
  }

  private static long used() {
    for (int time = 0; time < 3; time++) {
      System.gc();
    }
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }
}
