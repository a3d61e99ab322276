"""Stacked ensembles: a model of what other models say (format section 13.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.labels import class_outputs
from tidegate.runtime.mojo.nested import Picker, Submodels, prediction_columns
from tidegate.runtime.mojo.nested_encodings import Translator, rows_within
from tidegate.runtime.mojo.packed import STACK, Packed, Program, Programmed
from tidegate.runtime.mojo.registry import MAX_MODELS
from tidegate.runtime.mojo.scorer import Rows, Scorer
from tidegate.runtime.mojo.stacked_ensemble_kernel import to_logits


@dataclass(frozen=True)
class BaseModel:
    """A model of the first level.

    Attributes:
        picks: its row from the ensemble's.
        prediction: the columns of its scores that the metalearner is given.
        first: where they go in the metalearner's row.
    """

    scorer: Scorer
    picks: Picker | Translator
    prediction: slice
    first: int


@dataclass(frozen=True)
class StackedEnsemble:
    """The models, and the one that is given their predictions, side by side.

    Attributes:
        width: of the metalearner's row. What belongs to a model that it does not use, and the file does not have, is 0.
        logits: whether probabilities become their logits.
    """

    header: Header
    base_models: tuple[BaseModel, ...]
    metalearner: Scorer
    width: int
    logits: bool

    @property
    def outputs(self) -> tuple[str, ...]:
        return class_outputs(self.header) if self.header.n_classes > 1 else ("predict",)

    @cached_property
    def program(self) -> Program | None:
        """None where a model within has none, is an ensemble, or numbers levels otherwise."""
        words: list[int] = []
        steps = 0.0
        for model in self.base_models:
            own = _words(model.scorer, model.picks, model.prediction, model.first)
            if own is None:
                return None
            words += own[0]
            steps += own[1]
        last = _words(self.metalearner, None, slice(0, len(self.outputs)), 0)
        if last is None:
            return None
        packed = Packed(
            np.array(words + last[0], dtype=np.int64), whole=(self.width, int(self.logits)),
            keeps=(self.base_models, self.metalearner),
        )  # fmt: skip
        return Program(STACK, packed, self.header.n_features, len(self.outputs), steps=steps + last[1])

    @cached_property
    def _score_row(self) -> Callable[..., bool]:
        from tidegate.runtime.mojo.stack_kernel import score_stack

        return score_stack

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the metalearner's scores. Neither offsets nor calibrations count inside."""
        if len(rows) == 1 and self.program is not None:
            out = np.empty((1, len(self.outputs)))
            row = rows if rows.flags.c_contiguous and rows.flags.writeable else np.array(rows, np.float64, order="C")
            if self._score_row(self.program.packed.table, row, out):
                return out
        level_one = np.zeros((len(rows), self.width), np.float64)
        for model in self.base_models:
            predicted = model.scorer.score(model.picks(rows))[:, model.prediction]
            level_one[:, model.first : model.first + predicted.shape[1]] = predicted
        if self.logits:
            to_logits(level_one)
        scores = self.metalearner.score(level_one)
        count = len(self.outputs)
        return scores if scores.shape[1] == count else np.ascontiguousarray(scores[:, :count])


def _words(
    scorer: Scorer, picks: Picker | Translator | None, prediction: slice, first: int
) -> tuple[list[int], float] | None:
    """Return what `stack_kernel` is told of a model, and its steps; None for one that it cannot score."""
    program = scorer.program if isinstance(scorer, Programmed) else None
    if program is None or program.kind == STACK or isinstance(picks, Translator):
        return None
    places = None if picks is None else picks.places
    table = program.packed.table
    words = [
        program.kind, table.ctypes.data, len(table), program.width, program.outputs, int(program.needs_offset),
        0 if places is None else places.ctypes.data, prediction.start, prediction.stop - prediction.start, first,
    ]  # fmt: skip
    return words, program.steps


def read(container: Container, header: Header, depth: int) -> StackedEnsemble:
    """Read the ensemble and its models.

    Raises:
        MojoFormatError: it is damaged, or its models do not fit together.
        MojoUnsupportedError: a model, or the transformation of predictions, cannot be scored.
    """
    keys = header.keys
    transform = keys.text("metalearner_transform", "NONE")
    if transform not in ("NONE", "Logit"):
        raise MojoUnsupportedError(
            f"the transformation {transform[:60]!r} of a stacked ensemble is not known", expected="NONE or Logit"
        )
    models = Submodels(container, header, depth)
    count = keys.integer("base_models_num", most=MAX_MODELS)
    classes = header.n_classes
    each = classes if classes > 2 else 1
    base_models = []
    for number in range(count):
        key = keys.find(f"base_model{number}")
        if key is None:
            continue
        scorer = models[key]
        picks = rows_within(header, scorer.header, models.fields(key))
        base_models.append(BaseModel(scorer, picks, prediction_columns(scorer, classes), number * each))
    metalearner = models[keys.text("metalearner")]
    if metalearner.header.n_features != count * each:
        raise MojoFormatError(
            MODEL_INI,
            f"the metalearner takes {metalearner.header.n_features} predictions, and there are {count * each}",
        )
    if classes > 1:
        prediction_columns(metalearner, classes)
    return StackedEnsemble(
        header, tuple(base_models), metalearner, count * each, logits=transform == "Logit" and classes > 1
    )
