"""The tables that models are trained on: columns as whole numbers over a denominator, and codes of levels.

Fractions are divided on either side, so that H2O and the kept rows hold the same doubles whatever a CSV parser does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRAINED = 400
#: Rows below the trained ones, drawn in the same way: the cluster scores them, too.
CLEAN = 40
ROWS = TRAINED + CLEAN

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Numeric:
    """A column of `numerators / denominator`; missing where `missing` says so."""

    name: str
    numerators: Codes
    denominator: int
    missing: NDArray[np.bool_]

    @property
    def values(self) -> Floats:
        values = self.numerators / self.denominator
        values[self.missing] = np.nan
        return values


@dataclass(frozen=True)
class Categorical:
    """A column of codes, -1 where missing. Every level occurs, and their order is H2O's."""

    name: str
    codes: Codes
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Columns of ROWS rows. `inputs` are those that scoring may read."""

    name: str
    columns: tuple[Numeric | Categorical, ...]
    inputs: tuple[str, ...]

    def column(self, name: str) -> Numeric | Categorical:
        return next(column for column in self.columns if column.name == name)


#: Levels that a careless reader takes for other ones.
DIGITS = ("1", "2", "10", "01", "1.0", "-0", "1e3", "007", "NaN", "0x1p3")
ODD = (
    "plain",
    "two words",
    " leading",
    "trailing ",
    "größer",
    "東京",
    "🌊 tide",
    "back\\slash",
    "\\n is no line feed",
    "line\nfeed",
    "carriage\rreturn",
    'quote"d',
    "comma, and; semicolon",
    "a=b",
    "[brackets]",
    "# hash",
    "null",
    "true",
    "non\u00a0breaking",
    "line\u2028separator",
    "ends with \\",
    "Case",
    "case",
)
ODD_CLASSES = ("not at all", "größer", "line\nfeed", "3")
#: Names as in ordinary tables, and names that a reader of text files gets wrong.
ODD_NAMES = {
    "n1": "a number",
    "n2": "Größe [cm]",
    "nna": "x=y",
    "zeros": "back\\slash",
    "c3": 'quote"d',
    "odd": "東京 🌊",
    "digits": "1",
    "cna": "c.d",
    "offset": "off set",
    "weight": "weight,",
    "fold": "fold: 1",
}


def plain() -> Table:
    """Return the table that most models are trained on."""
    rng = np.random.default_rng(20_251)
    columns = [*_inputs(rng)]
    inputs = tuple(column.name for column in columns)
    columns += _responses(rng, {column.name: column for column in columns})
    return Table("plain", tuple(columns), inputs)


def odd() -> Table:
    """Return the same table with names that are hard to write down."""
    table = plain()
    columns = tuple(_renamed(column, ODD_NAMES.get(column.name, column.name)) for column in table.columns)
    return Table("odd", columns, tuple(ODD_NAMES.get(name, name) for name in table.inputs))


def _inputs(rng: np.random.Generator) -> list[Numeric | Categorical]:
    half = rng.random(ROWS) < 0.5
    return [
        _numeric("n1", rng.integers(-256, 257, ROWS), 64),
        _numeric("n2", rng.lognormal(6.0, 1.2, ROWS).astype(np.int64), 1000),
        _numeric("n3", rng.integers(0, 10, ROWS), 1),
        _numeric("nna", rng.integers(-3000, 3000, ROWS), 7, rng.random(ROWS) < 0.25),
        _numeric("zeros", np.where(half, 0, rng.integers(-40, 40, ROWS)), 16),
        _numeric("date", 1_600_000_000_000 + rng.integers(0, 60_000, ROWS) * 3_600_000, 1),
        _categorical(rng, "c2", ("low", "high")),
        _categorical(rng, "c3", ("red", "green", "blue")),
        _categorical(rng, "c40", tuple(f"s{number:02d}" for number in rng.permutation(40))),
        _categorical(rng, "c300", tuple(f"zip {number}" for number in rng.permutation(300))),
        _categorical(rng, "cna", ("north", "east", "south", "west", "up"), missing=0.2),
        _categorical(rng, "digits", DIGITS),
        _categorical(rng, "odd", ODD, missing=0.05),
        _numeric("offset", rng.integers(-32, 33, ROWS), 64),
        _categorical(rng, "ints", ("1", "2", "10", "-3", "70000")),
        _categorical(rng, "partly", ("5", "x7", "-2", "b", "0")),
    ]


def _responses(rng: np.random.Generator, inputs: dict[str, Numeric | Categorical]) -> list[Numeric | Categorical]:
    latent = _latent(inputs)
    noise = rng.normal(0.0, 0.6, ROWS)
    score = latent + noise
    count = rng.poisson(np.exp(0.4 * latent + 0.3))
    hit = rng.random(ROWS) < 1 / (1 + np.exp(-1.5 * latent))
    four = np.digitize(score, np.quantile(score, (0.3, 0.6, 0.85)))
    five = np.digitize(latent + 0.5 * noise, np.quantile(latent, (0.2, 0.4, 0.6, 0.8)))
    positive = np.maximum(rng.gamma(2.0, np.exp(0.3 * latent)) * 256, 1).astype(np.int64)
    treated = rng.random(ROWS) < 0.5
    bought = rng.random(ROWS) < 1 / (1 + np.exp(-latent - np.where(treated, 0.8, 0.0)))
    stop = np.maximum(rng.exponential(np.exp(2.5 - 0.4 * latent)), 1).astype(np.int64) + 2
    return [
        _numeric("y_real", np.round(score * 1024).astype(np.int64), 1024),
        _numeric("y_count", count, 1),
        _numeric("y_positive", positive, 256),
        _numeric("y_claims", np.where(rng.random(ROWS) < 0.45, 0, positive), 256),
        _numeric("y_share", np.round(256 / (1 + np.exp(-score))).astype(np.int64), 256),
        _numeric("y_zero_one", hit.astype(np.int64), 1),
        _numeric("y_constant", np.full(ROWS, 7, dtype=np.int64), 2),
        _coded("y_yes", hit.astype(np.int64), ("no", "yes")),
        _coded("y_digit", hit.astype(np.int64), ("0", "1")),
        _coded("y_rare", (score > np.quantile(score, 0.9)).astype(np.int64), ("common", "rare")),
        _coded("y_four", four, ("d", "b", "c", "a")),
        _coded("y_numbers", four, ("1", "2", "10", "-3")),
        _coded("y_odd", four, ODD_CLASSES),
        _coded("y_odd_two", hit.astype(np.int64), ("größer als 3", "back\\slash, 'quoted'")),
        _coded("y_order", five, ("0", "1", "2", "3", "4")),
        _coded("treatment", treated.astype(np.int64), ("control", "treatment")),
        _coded("y_bought", bought.astype(np.int64), ("0", "1")),
        _numeric("start", rng.integers(0, 2, ROWS), 1),
        _numeric("stop", stop, 1),
        _numeric("event", (rng.random(ROWS) < 0.7).astype(np.int64), 1),
        _numeric("weight", rng.integers(1, 9, ROWS), 4),
        _coded("fold", rng.permutation(np.arange(ROWS) % 3), ("f1", "f2", "f3")),
    ]


def _latent(inputs: dict[str, Numeric | Categorical]) -> Floats:
    latent: Floats = np.zeros(ROWS)
    for name, weight in (("n1", 0.35), ("n2", 0.6), ("n3", -0.1), ("nna", 0.001), ("zeros", -0.3)):
        column = inputs[name]
        assert isinstance(column, Numeric)
        latent += weight * np.nan_to_num(column.values)
    for name, strength in (("c2", 0.4), ("c3", 0.5), ("c40", 0.5), ("c300", 0.4), ("cna", 0.4), ("odd", 0.3)):
        column = inputs[name]
        assert isinstance(column, Categorical)
        effects = np.random.default_rng(len(column.levels)).normal(0.0, strength, len(column.levels) + 1)
        latent += effects[column.codes]
    latent -= latent.mean()
    return latent


def _numeric(name: str, numerators: Codes, denominator: int, missing: NDArray[np.bool_] | None = None) -> Numeric:
    return Numeric(name, numerators, denominator, np.zeros(ROWS, dtype=bool) if missing is None else missing)


def _categorical(rng: np.random.Generator, name: str, levels: tuple[str, ...], *, missing: float = 0.0) -> Categorical:
    codes = rng.integers(0, len(levels), ROWS)
    codes[rng.random(ROWS) < missing] = -1
    codes[: len(levels)] = np.arange(len(levels))
    codes[:TRAINED] = rng.permutation(codes[:TRAINED])
    return Categorical(name, codes, levels)


def _coded(name: str, codes: Codes, levels: tuple[str, ...]) -> Categorical:
    return Categorical(name, codes.astype(np.int64), levels)


def _renamed(column: Numeric | Categorical, name: str) -> Numeric | Categorical:
    if isinstance(column, Numeric):
        return Numeric(name, column.numerators, column.denominator, column.missing)
    return Categorical(name, column.codes, column.levels)
