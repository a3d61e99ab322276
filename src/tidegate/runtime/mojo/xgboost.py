"""XGBoost models: trees, trees with dropout, and linear boosters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import xgboost_kernel
from tidegate.runtime.mojo.arrays import fixed
from tidegate.runtime.mojo.booster_bytes import ENTRY, Booster, Linear, Trees, read_booster
from tidegate.runtime.mojo.calibration import Calibration, calibrated_outputs, read_calibration
from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.labels import LabelRule, class_outputs, no_label_rule, read_label_rule
from tidegate.runtime.mojo.one_hot import OneHot, read_one_hot
from tidegate.runtime.mojo.packed import BOOSTER, Packed, Program, steps_of
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.shelf import Kind, shelved
from tidegate.runtime.mojo.xgboost_layout import MAX_SLOTS, Layout, layout_of
from tidegate.runtime.mojo.xgboost_nodes import PACKED

_TRANSFORMS = {
    "binary:logistic": xgboost_kernel.LOGISTIC,
    "reg:logistic": xgboost_kernel.LOGISTIC,
    "reg:gamma": xgboost_kernel.EXPONENTIAL,
    "reg:tweedie": xgboost_kernel.EXPONENTIAL,
    "count:poisson": xgboost_kernel.EXPONENTIAL,
    "multi:softprob": xgboost_kernel.SOFTMAX,
    "reg:squarederror": xgboost_kernel.UNCHANGED,
    "reg:linear": xgboost_kernel.UNCHANGED,
    "binary:logitraw": xgboost_kernel.UNCHANGED,
}
_NO_OFFSET: NDArray[np.float64] = np.empty(0)
_KEPT = Kind(
    "xgboost_layout",
    {"nodes": PACKED, "trees": np.dtype("<i4"), "tests": np.dtype("<u4"), "leaves": np.dtype("<f4")},
)


class XgboostScorer:
    """A booster: a value, or a label and probabilities; calibrated ones after these."""

    def __init__(
        self,
        header: Header,
        model: tuple[Any, ...],
        layout: Layout | None,
        rule: LabelRule,
        calibration: Calibration | None,
    ) -> None:
        """Take what `score_linked` does but for the arrays of the trees, which `layout` has, or, without trees, what
        `score_weights` does."""
        self.header = header
        self.layout = layout
        self._packed = None if layout is None else _packed(model, layout, rule, header.n_classes)
        self._model: tuple[Any, ...] = (*model, rule.ratios, rule.prior, rule.threshold, header.n_classes)
        self._takes_offset = header.keys.flag("has_offset", default=False)
        self._calibration = calibration
        names = ("predict",) if header.n_classes == 1 else class_outputs(header)
        self.outputs = names if calibration is None else names + calibrated_outputs(names)
        self.program = (
            None
            if layout is None or self._packed is None or calibration is not None
            else Program(
                BOOSTER, self._packed, header.n_features, len(self.outputs), self._takes_offset, _steps(layout)
            )
        )

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        out = np.empty((len(rows), len(self.outputs)))
        if not self._takes_offset:
            offset = _NO_OFFSET
        elif offset is None:
            # What replaces the base margin is then 0, and not the base margin itself.
            offset = np.zeros(len(rows))
        if self._packed is None:
            xgboost_kernel.score_weights(rows, offset, *(*self._model, out))
        else:
            xgboost_kernel.score_packed_trees(self._packed.table, rows, offset, out)
        if self._calibration is not None:
            p1 = self._calibration.calibrated(out[:, 1], out[:, 2])
            out[:, 3] = 1.0 - p1
            out[:, 4] = p1
        return out


def _steps(layout: Layout) -> float:
    if layout.depth < 0:
        return steps_of(layout.trees[:, 0], len(layout.nodes))
    return float(layout.depth * len(layout.trees))


def _packed(model: tuple[Any, ...], layout: Layout, rule: LabelRule, classes: int) -> Packed:
    offsets, first_level, nums, sparse, groups, base, base_first, kind = model
    return Packed(
        offsets,
        layout.nodes,
        layout.trees,
        layout.tests,
        layout.leaves,
        rule.ratios,
        rule.prior,
        floats=(base, rule.threshold),
        whole=(first_level, nums, sparse, groups, base_first, kind, classes, layout.depth),
    )


def read(container: Container, header: Header) -> XgboostScorer:
    """Read an XGBoost model.

    Raises:
        MojoFormatError: the file is damaged.
        MojoUnsupportedError: its objective is not known.
    """
    one_hot = read_one_hot(header.keys, header.n_features)
    if header.version < 1.1 and header.keys.find("booster") != "gbtree" and one_hot.cats and one_hot.first_level:
        raise MojoUnsupportedError("an old model whose first levels have no place of their own cannot be scored")
    sparse = header.keys.flag("sparse", default=False)
    booster = read_booster(container)
    expected = header.n_classes if header.n_classes > 2 else 1
    if booster.groups != expected:
        raise MojoFormatError(ENTRY, f"{booster.groups} groups for {header.n_classes} classes")
    transform = _transform(booster, header)
    rule = no_label_rule(header) if header.n_classes == 1 else read_label_rule(header, balances=False)
    calibration = read_calibration(container, header)
    base = base_margin(booster)
    base_first = booster.version > (1, 2)
    columns = (one_hot.offsets, one_hot.first_level, one_hot.nums, sparse)
    if isinstance(booster.body, Linear):
        weights = _weights(booster.body, one_hot)
        dense = not sparse and not bool(np.isfinite(weights).all())
        linear = (*columns, weights, dense, base, base_first, transform)
        return XgboostScorer(header, linear, None, rule, calibration)
    layout = _layout(container, booster.body, one_hot, sparse=sparse)
    trees = (*columns, booster.groups, base, base_first, transform)
    return XgboostScorer(header, trees, layout, rule, calibration)


def _layout(container: Container, trees: Trees, one_hot: OneHot, *, sparse: bool) -> Layout:
    """Return trees as the kernel walks them. Raises as `layout_of` does."""
    made = shelved(_KEPT, container, lambda: vars(layout_of(trees, one_hot, sparse=sparse)), (ENTRY,))
    return Layout(**made)


def base_margin(booster: Booster) -> float:
    """Return where margins begin, a float32: the stored score, since version 1 through the inverse of the objective."""
    score = booster.base_score
    if booster.version[0] < 1:
        return float(score)
    with np.errstate(all="ignore"):
        if booster.objective in ("binary:logistic", "reg:logistic"):
            odds = np.float32(1.0) / score - np.float32(1.0)
            return float(np.float32(-np.log(np.float64(odds))))
        if booster.objective in ("reg:gamma", "reg:tweedie", "count:poisson"):
            return float(np.float32(math.log(score) if score > 0.0 else np.log(np.float64(score))))
    return float(score)


def _transform(booster: Booster, header: Header) -> int:
    found = _TRANSFORMS.get(booster.objective)
    if found is None and booster.objective.startswith("rank:"):
        found = xgboost_kernel.UNCHANGED
    if found is None:
        raise MojoUnsupportedError(f"the objective {booster.objective!r} is not known", expected=", ".join(_TRANSFORMS))
    if (found == xgboost_kernel.SOFTMAX) != (header.n_classes > 2):
        raise MojoFormatError(ENTRY, f"the objective {booster.objective} with {header.n_classes} classes")
    return found


def _weights(body: Linear, one_hot: OneHot) -> NDArray[np.float32]:
    if len(body.weights) - 1 > one_hot.width or one_hot.slots >= MAX_SLOTS:
        raise MojoFormatError(ENTRY, f"{len(body.weights) - 1} weights for {one_hot.width} places of the input")
    return fixed(body.weights)
