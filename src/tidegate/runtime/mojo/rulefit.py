"""RuleFit: a linear model of which rules hold, and of the features (format section 13.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.info import MAX_COLUMNS
from tidegate.runtime.mojo.nested import Submodels, places_of
from tidegate.runtime.mojo.rules import Rule, RuleArrays, arrays_of, read_rules
from tidegate.runtime.mojo.rules_kernel import derive
from tidegate.runtime.mojo.scorer import Rows, Scorer

LINEAR, RULES_AND_LINEAR, RULES = range(3)


@dataclass(frozen=True)
class RuleFit:
    """Rules, and the linear model whose row is made of them.

    Attributes:
        targets: places in the linear model's row of the columns that are derived from rules.
        copied: shape (2, columns): a feature's place, and its place in the linear model's row.
    """

    header: Header
    linear_model: Scorer
    rules: RuleArrays
    targets: NDArray[np.int64]
    copied: NDArray[np.intp]

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.linear_model.outputs

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the linear model's scores; offsets do not count."""
        inner = np.full((len(rows), self.linear_model.header.n_features), np.nan)
        derive(rows, *self.rules, self.targets, inner)
        inner[:, self.copied[1]] = rows[:, self.copied[0]]
        return self.linear_model.score(inner)


def read(container: Container, header: Header, depth: int) -> RuleFit:
    """Read the rules and the linear model.

    Raises:
        MojoFormatError: they are damaged, or do not fit together.
        MojoUnsupportedError: the linear model cannot be scored.
    """
    keys = header.keys
    kind = keys.integer("model_type", most=RULES)
    linear_model = Submodels(container, header, depth)[keys.text("linear_model")]
    if linear_model.header.n_classes != header.n_classes:
        raise MojoFormatError(MODEL_INI, "the linear model has other classes")
    inner = places_of(linear_model.header.features)
    columns: list[list[tuple[Rule, int]]] = []
    targets: list[int] = []
    copied: list[tuple[int, int]] = []
    derived = _derived(header) if kind != LINEAR else iter(())
    features = iter(range(header.n_features) if kind != RULES else ())
    # By name, all of them: where the linear model left a column out, H2O's scorer stops short of the last ones.
    for number in range(keys.integer("linear_names_len", most=MAX_COLUMNS)):
        place = inner.get(keys.text(f"linear_names_{number}"))
        rules = next(derived, None)
        if rules is not None:
            if place is not None:
                columns.append(_coded(rules, linear_model.header.feature_domains[place]))
                targets.append(place)
            continue
        feature = next(features, None)
        if feature is not None and place is not None:
            copied.append((feature, place))
    most = 16 * len(keys.items())
    if sum(1 + len(rule.conditions) for rules in columns for rule, _ in rules) > most:
        raise MojoFormatError(MODEL_INI, "rules are of more classes than their names can mean")
    if len(set(targets) | {place for _, place in copied}) != linear_model.header.n_features:
        raise MojoUnsupportedError("the linear model of the rules has columns that the file does not say how to fill")
    return RuleFit(
        header,
        linear_model,
        rules=arrays_of(columns),
        targets=np.array(targets, np.int64),
        copied=np.array(copied, np.intp).reshape(-1, 2).T.copy(),
    )


def _derived(header: Header) -> Iterator[list[Rule]]:
    """Yield the rules of each derived column: by depth, tree, and class where there are more than two."""
    keys = header.keys
    classes = header.response_domain if header.n_classes > 2 else ()
    if classes is None or len(set(classes)) != len(classes):
        raise MojoFormatError(MODEL_INI, "rules of several classes, which have no names of their own")
    lengths = {len(name) for name in classes}
    trees = keys.integer("ntrees")
    for depth in range(keys.integer("depth") if trees else 0):
        for tree in range(trees):
            rules = read_rules(keys, depth, tree, header.n_features)
            if not classes:
                yield rules
                continue
            own: dict[str, list[Rule]] = {name: [] for name in classes}
            for rule in rules:
                # A rule is of every class that its name ends with.
                for length in lengths:
                    if length <= len(rule.name) and (end := rule.name[len(rule.name) - length :]) in own:
                        own[end].append(rule)
            yield from own.values()


def _coded(rules: Sequence[Rule], domain: tuple[str, ...] | None) -> list[tuple[Rule, int]]:
    """Return the rules with the codes of their levels. Raises MojoFormatError where one is no level."""
    codes = {level: code for code, level in enumerate(domain or ())}
    unknown = [rule.name for rule in rules if rule.name not in codes]
    if unknown:
        raise MojoFormatError(MODEL_INI, f"the linear model does not know the rule {unknown[0][:80]!r}")
    return [(rule, codes[rule.name]) for rule in rules]
