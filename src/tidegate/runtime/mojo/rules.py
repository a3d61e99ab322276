"""The rules of RuleFit, as they stand in `model.ini`, and as flat arrays (format section 13.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.info import Keys
from tidegate.runtime.mojo.rules_kernel import BELOW, FROM, IN

#: More than any tree's depth, or levels of a column; each is a line of the file anyway.
_MANY = 20_000_000


@dataclass(frozen=True)
class Condition:
    """What a rule asks of a feature.

    Attributes:
        kind: BELOW or FROM a threshold, or IN some levels.
        takes_missing: what a missing value answers.
    """

    feature: int
    kind: int
    threshold: float
    levels: tuple[float, ...]
    takes_missing: bool


@dataclass(frozen=True)
class Rule:
    """Conditions that must all hold, and the level of the derived column which then stands."""

    name: str
    conditions: tuple[Condition, ...]


class RuleArrays(NamedTuple):
    """Rules of derived columns, one after the other.

    Attributes:
        column_starts: shape (columns + 1,), into the rules; a column's rules in their order.
        rule_starts: shape (rules + 1,), into the conditions.
        codes: shape (rules,): what the column is where the rule is the last that holds.
        features, kinds, thresholds, takes_missing: shape (conditions,).
        level_starts: shape (conditions + 1,), into the levels.
    """

    column_starts: NDArray[np.int64]
    rule_starts: NDArray[np.int64]
    codes: NDArray[np.float64]
    features: NDArray[np.int64]
    kinds: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    takes_missing: NDArray[np.bool_]
    level_starts: NDArray[np.int64]
    levels: NDArray[np.float64]


def read_rules(keys: Keys, depth: int, tree: int, n_features: int) -> list[Rule]:
    """Return the rules of a tree, in their order. Raises MojoFormatError."""
    rules = []
    for number in range(keys.integer(f"num_rules_M{depth}T{tree}", most=_MANY)):
        rule = f"{depth}_{tree}_{number}"
        count = keys.integer(f"num_conditions_rule_id_{rule}", most=_MANY)
        conditions = tuple(_condition(keys, f"{place}_{rule}", n_features) for place in range(count))
        rules.append(Rule(keys.text(f"var_name_rule_id_{rule}"), conditions))
    return rules


def arrays_of(columns: Iterable[Sequence[tuple[Rule, int]]]) -> RuleArrays:
    """Return the arrays of derived columns: of each its rules with their codes."""
    column_starts, rule_starts, level_starts = [0], [0], [0]
    codes: list[int] = []
    conditions: list[Condition] = []
    levels: list[float] = []
    for rules in columns:
        for rule, code in rules:
            codes.append(code)
            conditions.extend(rule.conditions)
            rule_starts.append(len(conditions))
        column_starts.append(len(codes))
    for condition in conditions:
        levels.extend(condition.levels)
        level_starts.append(len(levels))
    return RuleArrays(
        np.array(column_starts, np.int64),
        np.array(rule_starts, np.int64),
        np.array(codes, np.float64),
        np.array([condition.feature for condition in conditions], np.int64),
        np.array([condition.kind for condition in conditions], np.int64),
        np.array([condition.threshold for condition in conditions], np.float64),
        np.array([condition.takes_missing for condition in conditions], np.bool_),
        np.array(level_starts, np.int64),
        np.array(levels, np.float64),
    )


def _condition(keys: Keys, name: str, n_features: int) -> Condition:
    feature = keys.integer(f"feature_index_{name}", most=n_features - 1)
    takes_missing = keys.flag(f"nas_included_{name}")
    operator = keys.integer(f"operator_{name}", most=2)
    if keys.integer(f"type_{name}", most=1) == 0:
        if operator != 2:
            raise MojoFormatError(MODEL_INI, f"operator_{name}: expected 2 for a categorical feature, got {operator}")
        count = keys.integer(f"cat_treshold_length_{name}", most=_MANY)
        # The spelling is the format's.
        levels = tuple(keys.number(f"cat_treshold_length_{place}_{name}") for place in range(count))
        return Condition(feature, IN, 0.0, levels, takes_missing)
    if operator == 2:
        raise MojoFormatError(MODEL_INI, f"operator_{name}: expected 0 or 1 for a number, got {operator}")
    threshold = keys.number(f"num_treshold{name}")
    return Condition(feature, BELOW if operator == 0 else FROM, threshold, (), takes_missing)
