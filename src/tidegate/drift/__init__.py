"""Has data drifted from its reference? `Reference.of(january).compare(july)`.

A reference fixes the bins of every column once: quantiles of its numbers or its levels, a bin for what is missing and
one for what it has never seen. Whatever comes later is counted in them, so that counts of replicas and of days add up,
and a column that goes missing is drift like any other.
"""

from tidegate.drift.bins import Bins, LevelBins, NumberBins
from tidegate.drift.domain import compare_together
from tidegate.drift.reading import ColumnReading, Policy, Reading, State, TogetherReading
from tidegate.drift.reference import Reference

__all__ = [
    "Bins",
    "ColumnReading",
    "LevelBins",
    "NumberBins",
    "Policy",
    "Reading",
    "Reference",
    "State",
    "TogetherReading",
    "compare_together",
]
