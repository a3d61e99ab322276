"""Boosted trees, random forests, isolation forests and uplift forests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import forest_kernel
from tidegate.runtime.mojo.calibration import Calibration, calibrated_outputs, read_calibration
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.forest_model import NO_OFFSET, ForestModel, offsets_of, read_forest_model
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.labels import LabelRule, class_outputs, no_label_rule, read_label_rule
from tidegate.runtime.mojo.links import Link, gbm_link
from tidegate.runtime.mojo.packed import DRF, GBM, Packed, Program, steps_of
from tidegate.runtime.mojo.scorer import Rows, Scorer
from tidegate.runtime.mojo.tree_layout import WORDS

#: Distributions of two classes; quasibinomial has no response domain as a rule.
_TWO_CLASSES = frozenset({"bernoulli", "quasibinomial", "modified_huber"})


class _Classes:
    """Names of the outputs, and the calibrated ones among them."""

    def __init__(self, names: tuple[str, ...], rule: LabelRule, calibration: Calibration | None) -> None:
        self.names = names if calibration is None else names + calibrated_outputs(names)
        self.rule = rule
        self._calibration = calibration

    @property
    def is_calibrated(self) -> bool:
        return self._calibration is not None

    def calibrate(self, out: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._calibration is not None:
            p1 = self._calibration.calibrated(out[:, 1], out[:, 2])
            out[:, 3] = 1.0 - p1
            out[:, 4] = p1
        return out


class GbmScorer:
    """Boosted trees: a value, or a label and probabilities; calibrated ones after these."""

    def __init__(self, model: ForestModel, form: int, link: Link, start: float, classes: _Classes) -> None:
        self.header = model.header
        self.model = model
        self.outputs = classes.names
        self.start = start
        self._classes = classes
        rule = classes.rule
        self._settings = (form, link.code, start, rule.ratios, rule.prior, rule.threshold, rule.classes)
        self._packed = Packed(
            *model.arrays,
            rule.ratios,
            rule.prior,
            floats=(start, rule.threshold),
            whole=(form, link.code, rule.classes),
        )
        self.program = _program(GBM, model, self._packed, classes)
        self.score(np.full((1, self.header.n_features), np.nan))

    def finish(self, rows: Rows, out: NDArray[np.float64], offset: NDArray[np.float64] | None = None) -> None:
        """Turn sums of leaves into outputs, in place. Sums are in column 0, or in those from 1 on with classes."""
        forest_kernel.finish_gbm(
            self.model.prepared(rows), NO_OFFSET if offset is None else offsets_of(offset), *self._settings, out
        )

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        out = np.zeros((len(rows), len(self.outputs)))
        offsets = NO_OFFSET if offset is None else offsets_of(offset)
        forest_kernel.score_packed_gbm(self._packed.table, self.model.prepared(rows), offsets, out)
        return self._classes.calibrate(out)


class DrfScorer:
    """A random forest: a value, or a label and probabilities; calibrated ones after these."""

    def __init__(self, model: ForestModel, form: int, classes: _Classes) -> None:
        self.header = model.header
        self.model = model
        self.outputs = classes.names
        self._classes = classes
        rule, groups = classes.rule, float(model.forest.n_groups)
        self._settings = (groups, form, rule.ratios, rule.prior, rule.threshold, rule.classes)
        self._packed = Packed(
            *model.arrays, rule.ratios, rule.prior, floats=(groups, rule.threshold), whole=(form, rule.classes)
        )
        self.program = _program(DRF, model, self._packed, classes)
        self.score(np.full((1, self.header.n_features), np.nan))

    def finish(self, rows: Rows, out: NDArray[np.float64], offset: NDArray[np.float64] | None = None) -> None:
        """Turn sums of leaves into outputs, in place. Sums are in column 0, or in those from 1 on with classes."""
        forest_kernel.finish_drf(self.model.prepared(rows), *self._settings, out)

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        out = np.zeros((len(rows), len(self.outputs)))
        forest_kernel.score_packed_drf(self._packed.table, self.model.prepared(rows), out)
        return self._classes.calibrate(out)


class IsolationForestScorer:
    """An isolation forest: a score (more is stranger) and the mean length of the paths; with a contamination rate, a
    flag before them, which H2O's own scorer sets above the threshold, and the cluster also at it."""

    def __init__(self, model: ForestModel, shortest: float, longest: float, *, flagged: bool) -> None:
        self.header = model.header
        self.model = model
        self.outputs = ("predict", "score", "mean_length") if flagged else ("predict", "mean_length")
        self._settings = (float(model.forest.n_groups), shortest, longest, self.header.threshold, flagged)
        self.score(np.full((1, self.header.n_features), np.nan))

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        out = np.zeros((len(rows), len(self.outputs)))
        forest_kernel.score_isolation_forest(*self.model.arrays, self.model.prepared(rows), *self._settings, out)
        return out


class UpliftScorer:
    """An uplift forest: the effect of the treatment, and the probabilities of class 1 with and without it."""

    outputs = ("uplift_predict", "p_y1_with_treatment", "p_y1_without_treatment")

    def __init__(self, model: ForestModel) -> None:
        self.header = model.header
        self.model = model
        self.score(np.full((1, self.header.n_features), np.nan))

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        out = np.zeros((len(rows), len(self.outputs)))
        groups = float(self.model.forest.n_groups)
        forest_kernel.score_uplift(*self.model.arrays, self.model.prepared(rows), groups, out)
        return out


def _program(kind: int, model: ForestModel, packed: Packed, classes: _Classes) -> Program | None:
    if classes.is_calibrated or len(model.unsigned):
        return None
    forest = model.forest
    steps = steps_of(forest.roots, len(forest.nodes) // WORDS)
    return Program(kind, packed, model.header.n_features, len(classes.names), steps=steps)


def read_gbm(container: Container, header: Header) -> GbmScorer:
    distribution = header.keys.text("distribution")
    link = gbm_link(header.keys.find("link_function"), distribution)
    start = header.keys.number("init_f")
    model = read_forest_model(container, header)
    if distribution == "multinomial":
        _check_trees(model, 1 if header.n_classes == 2 else header.n_classes)
        return GbmScorer(model, forest_kernel.MULTINOMIAL, link, start, _classes_of(container, header))
    _check_trees(model, 1)
    if distribution in _TWO_CLASSES or header.n_classes == 2:
        return GbmScorer(model, forest_kernel.TWO_CLASSES, link, start, _classes_of(container, header))
    return GbmScorer(model, forest_kernel.REGRESSION, link, start, _no_classes(header))


def read_drf(container: Container, header: Header) -> DrfScorer:
    model = read_forest_model(container, header)
    if header.n_classes < 2:
        _check_trees(model, 1)
        return DrfScorer(model, forest_kernel.REGRESSION, _no_classes(header))
    single = header.n_classes == 2 and not header.keys.flag("binomial_double_trees", default=False)
    _check_trees(model, 1 if single else header.n_classes)
    form = forest_kernel.TWO_CLASSES if single else forest_kernel.MULTINOMIAL
    return DrfScorer(model, form, _classes_of(container, header))


def read_isolation_forest(container: Container, header: Header) -> IsolationForestScorer:
    model = read_forest_model(container, header)
    _check_trees(model, 1)
    return IsolationForestScorer(
        model,
        header.keys.number("min_path_length"),
        header.keys.number("max_path_length"),
        flagged=header.keys.flag("output_anomaly_flag", default=False),
    )


def read_uplift(container: Container, header: Header) -> UpliftScorer:
    model = read_forest_model(container, header)
    _check_trees(model, 2)
    return UpliftScorer(model)


_READERS: dict[str, Callable[[Container, Header], Scorer]] = {
    "gbm": read_gbm,
    "drf": read_drf,
    "isolation_forest": read_isolation_forest,
    "uplift": read_uplift,
}


def read(container: Container, header: Header) -> Scorer:
    """Read a forest of any of the four kinds. Its kernels are compiled when this returns.

    Raises:
        MojoFormatError: it is damaged.
        MojoUnsupportedError: it has a link, a calibration or a version that is not known.
    """
    return _READERS[header.algorithm](container, header)


def _classes_of(container: Container, header: Header) -> _Classes:
    return _Classes(class_outputs(header), read_label_rule(header), read_calibration(container, header))


def _no_classes(header: Header) -> _Classes:
    return _Classes(("predict",), no_label_rule(header), None)


def _check_trees(model: ForestModel, expected: int) -> None:
    if model.forest.n_classes != expected:
        raise MojoFormatError(
            MODEL_INI, f"groups of {model.forest.n_classes} trees, and this kind of model has {expected} in each"
        )
