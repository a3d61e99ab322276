"""A MOJO as users have it: named values in, H2O's outputs by name out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Signature, TensorSpec
from tidegate.runtime.mojo.container import Container, open_container
from tidegate.runtime.mojo.details import Details, Telling
from tidegate.runtime.mojo.encodings import Field, fields_of
from tidegate.runtime.mojo.errors import MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.outputs import Outputs
from tidegate.runtime.mojo.packed import Programmed
from tidegate.runtime.mojo.parts import score_in_parts
from tidegate.runtime.mojo.registry import read_model
from tidegate.runtime.mojo.row_plan import RowAnswers
from tidegate.runtime.mojo.rows import Column, Dictionary, Policy, RowBuilder
from tidegate.runtime.mojo.scorer import NeedsFewer, Rows, Scorer, TakesMore
from tidegate.runtime.mojo.tables import is_row, read_table, unmasked
from tidegate.runtime.mojo.values import ABSENT, number, numbers
from tidegate.runtime.mojo.word2vec import Word2Vec

#: A table of pandas, Polars or Arrow.
Frame = TypeVar("Frame")
#: A row or columns, by name; and what is told of them: a value or an array by name.
Named = Mapping[str, Any]
Answer = dict[str, Any]
Arrays = dict[str, NDArray[Any]]

#: Algorithms whose scores an offset changes. Others ignore it.
_USE_OFFSET = frozenset({"gbm", "xgboost", "glm", "gam", "coxph"})
#: Algorithms of which a row's scores depend on the rows before it; a pipeline may have one of them within.
_IN_ORDER = frozenset({"glrm", "pipeline"})
#: What a model of words calls its input.
WORD = "word"
_POLICIES = {(s, i): Policy(strict=s, invalid_as_missing=i) for s in (False, True) for i in (False, True)}


def load(path: str | PathLike[str]) -> MojoModel:
    """Load a MOJO: the zip that H2O wrote, or the folder it was unpacked to.

    All that `predict` needs is compiled when this returns.

    Raises:
        MojoFormatError: the file is damaged, or no MOJO.
        MojoUnsupportedError: it is whole, and cannot be scored to H2O's numbers; the message says why.
    """
    place = Path(path)
    if not place.exists():
        raise InvalidInput(f"There is no file {place}.", subject=str(place))
    with contextlib.closing(open_container(place)) as container:
        return read(container)


def read(container: Container) -> MojoModel:
    """Read a MOJO that was opened. Raises as `load` does."""
    scorer = read_model(container)
    model = WordModel(scorer, container) if isinstance(scorer, Word2Vec) else MojoModel(scorer, container)
    model.warm()
    return model


class MojoModel:
    """A model that was loaded. Several threads may use it at once.

    Attributes:
        header: what its file says of every model: algorithm, version, category, columns, domains, threshold.
        scorer: scores numeric rows, past all names.
        fields: the inputs, and where they go in a numeric row.
        offset_column: the input that is added to the score; None when the model has none.
        outputs: the names of what comes out, in H2O's order.
        at_once: answers the usual row in one call of compiled code; None for a model that takes more.
    """

    def __init__(self, scorer: Scorer, container: Container) -> None:
        header = scorer.header
        self.header: Header = header
        self.scorer = scorer
        fields = fields_of(container, header)
        more = scorer.more_inputs if isinstance(scorer, TakesMore) else ()
        own = header.n_features
        further = (Field(name, None, "number", own + place, 1, {}) for place, name in enumerate(more))
        self.builder = RowBuilder((*fields, *further), own + len(more))
        self.fields = self.builder.fields
        self.answers = Outputs(header, scorer.outputs)
        self.outputs = self.answers.names
        self.offset_column = header.offset_column if _uses_offset(header) else None
        self._numeric = frozenset(field.name for field in self.fields if field.kind == "number")
        self._names = frozenset(field.name for field in self.fields)
        #: The quick ways answer rows that have nothing but inputs, and look for no offset among these.
        self._is_quick = self.offset_column not in self._names
        if self.offset_column is not None:
            self._names |= {self.offset_column}
            self._numeric |= {self.offset_column}
        self._details = Details(container, scorer)
        self.at_once: RowAnswers | None = None
        self._unseen: dict[str, int] = {}
        self._lock = threading.Lock()

    @cached_property
    def signature(self) -> Signature:
        """What the model takes and gives: texts with their categories, and numbers, in which NaN is missing. Columns
        of the file that it makes of others, or does not look at, are not among them.
        """
        others = self.scorer.not_needed if isinstance(self.scorer, NeedsFewer) else ()
        inputs = [
            TensorSpec(field.name, "FP64")
            if field.levels is None
            else TensorSpec(field.name, "BYTES", (-1,), field.levels)
            for field in self.fields
            if field.name not in others
        ]
        if self.offset_column is not None:
            inputs.append(TensorSpec(self.offset_column, "FP64"))
        return Signature("columns", tuple(inputs), self.answers.specs)

    @property
    def unseen_levels(self) -> dict[str, int]:
        """Values since the loading that were no level of the training and scored as missing, by column."""
        with self._lock:
            return dict(self._unseen)

    @overload
    def predict(
        self, data: Named, *, strict: bool = ..., invalid_as_missing: bool = ..., threads: int = ...
    ) -> Answer: ...

    @overload
    def predict(
        self, data: Sequence[Named], *, strict: bool = ..., invalid_as_missing: bool = ..., threads: int = ...
    ) -> list[Answer]: ...

    @overload
    def predict(
        self, data: NDArray[np.void], *, strict: bool = ..., invalid_as_missing: bool = ..., threads: int = ...
    ) -> Arrays: ...

    @overload
    def predict(
        self,
        data: NDArray[np.number[Any] | np.bool_],
        *,
        strict: bool = ...,
        invalid_as_missing: bool = ...,
        threads: int = ...,
    ) -> NDArray[np.float64]: ...

    @overload
    def predict(
        self, data: Frame, *, strict: bool = ..., invalid_as_missing: bool = ..., threads: int = ...
    ) -> Frame: ...

    def predict(self, data: Any, *, strict: bool = False, invalid_as_missing: bool = False, threads: int = 1) -> Any:
        """Score named values.

        Args:
            data: a DataFrame of pandas or Polars, an Arrow table, a structured array, a dict of columns, a list of
                dicts, or the dict of one row. Columns that are left out are missing, others than the model's are
                ignored. Or a NumPy array of shape (rows, features) with codes for levels, the numeric rows themselves.
                What a mask of NumPy hides is missing.
            strict: a level that the training did not have is an error. Else it scores as a missing value and is
                counted in `unseen_levels`.
            invalid_as_missing: a text in a numeric column that is no number scores as a missing value, instead of
                being an error.
            threads: how many score at once, each a part of the rows, of 256 at least. The answer is the same.

        Returns:
            The outputs, in the kind that came: a table of it, arrays by name, dicts, or one dict. Labels are texts. For
            numeric rows it is an array of shape (rows, outputs) with the labels' indexes.

        Raises:
            InvalidInput: the data are none of these.
            MojoRowError: a value is none that its column can have, or H2O's own scorer fails for the row.
        """
        if isinstance(data, dict) and self._is_quick:
            answer = None if self.at_once is None else self.at_once(data)
            if answer is not None:
                return answer
            quick = self.builder.quick(data)
            if quick is not None:
                return self.answers.one(self.scores(quick, None))
        policy = _POLICIES[strict, invalid_as_missing]
        if isinstance(data, Mapping) and is_row(data, self._names):
            return self.predict_one(data, policy)
        if isinstance(data, np.ndarray) and data.dtype.names is None:
            return self._in_parts(self._numeric_rows(data), None, threads)
        table = read_table(data, self._names, self._numeric)
        matrix, offset = self.rows(table.columns, table.rows, policy)
        return table.answer(self.answers.columns(self._in_parts(matrix, offset, threads)))

    @overload
    def leaf_assignment(self, data: Named, kind: Literal["path", "node_id"] = ...) -> Answer: ...

    @overload
    def leaf_assignment(self, data: Sequence[Named], kind: Literal["path", "node_id"] = ...) -> list[Answer]: ...

    @overload
    def leaf_assignment(self, data: NDArray[np.void], kind: Literal["path", "node_id"] = ...) -> Arrays: ...

    @overload
    def leaf_assignment(self, data: Frame, kind: Literal["path", "node_id"] = ...) -> Frame: ...

    def leaf_assignment(self, data: Any, kind: Literal["path", "node_id"] = "path") -> Any:
        """Return the leaf of each tree that a row ends in, one column per tree ("T1.C1", "T1.C2", … or "T1", …).

        Args:
            data: named values, as for `predict`.
            kind: "path" for the way from the root ("LRL"), "node_id" for the leaf's number in its tree.

        Raises:
            MojoUnsupportedError: the model has no trees, or its file is too old for that.
        """
        return self._told(data, self._details.leaves(kind))

    @overload
    def staged_probabilities(self, data: Named) -> Answer: ...

    @overload
    def staged_probabilities(self, data: Sequence[Named]) -> list[Answer]: ...

    @overload
    def staged_probabilities(self, data: NDArray[np.void]) -> Arrays: ...

    @overload
    def staged_probabilities(self, data: Frame) -> Frame: ...

    def staged_probabilities(self, data: Any) -> Any:
        """Return what the first trees predict, then one more of each class, and so on; one column per tree.

        For regression these are predictions; of two classes that share trees it is the probability of class 0. Takes
        data as `predict` does. Raises MojoUnsupportedError for a model that is no GBM or DRF.
        """
        return self._told(data, self._details.stages())

    @overload
    def contributions(self, data: Named) -> Answer: ...

    @overload
    def contributions(self, data: Sequence[Named]) -> list[Answer]: ...

    @overload
    def contributions(self, data: NDArray[np.void]) -> Arrays: ...

    @overload
    def contributions(self, data: Frame) -> Frame: ...

    def contributions(self, data: Any) -> Any:
        """Return the share of each feature in the prediction (TreeSHAP), and "BiasTerm", with which they add up to it.

        For a GBM and for XGBoost that is the prediction before the inverse link, without the offset; XGBoost has a
        share for each level ("kind.a", "kind.missing(NA)"). Takes data as `predict` does.

        Raises:
            MojoUnsupportedError: the model is no GBM, DRF or XGBoost for regression or two classes, or its file does
                not hold what that takes.
        """
        return self._told(data, self._details.contributions())

    @overload
    def distances(self, data: Named) -> Answer: ...

    @overload
    def distances(self, data: Sequence[Named]) -> list[Answer]: ...

    @overload
    def distances(self, data: NDArray[np.void]) -> Arrays: ...

    @overload
    def distances(self, data: Frame) -> Frame: ...

    def distances(self, data: Any) -> Any:
        """Return the squared distance to the centre of each cluster. Takes data as `predict` does.

        Raises MojoUnsupportedError for a model that is no K-means.
        """
        return self._told(data, self._details.distances())

    @overload
    def reconstruct(self, data: Named) -> Answer: ...

    @overload
    def reconstruct(self, data: Sequence[Named]) -> list[Answer]: ...

    @overload
    def reconstruct(self, data: NDArray[np.void]) -> Arrays: ...

    @overload
    def reconstruct(self, data: Frame) -> Frame: ...

    def reconstruct(self, data: Any) -> Any:
        """Return the values of a low rank model's columns as its factors have them, "reconstr_<name>"; levels as texts.

        Numbers are in the units of the training where it had `impute_original`, else as the model transformed them.
        Takes data as `predict` does, and numbers rows as it does.

        Raises:
            MojoUnsupportedError: the model is no GLRM.
            MojoFormatError: columns and levels of its file do not fit each other.
        """
        if isinstance(data, Mapping) and is_row(data, self._names):
            return self.reconstruct([data])[0]
        table = read_table(data, self._names, self._numeric)
        return table.answer(self.reconstruct_columns(table.columns, table.rows, _POLICIES[False, False]))

    def reconstruct_columns(self, columns: Mapping[str, Column], rows: int, policy: Policy) -> dict[str, NDArray[Any]]:
        """Reconstruct columns, each of `rows` values; return arrays by name. Raises as `reconstruct`, MojoRowError."""
        told = self._details.reconstruction()
        return told.columns(self.rows(columns, rows, policy)[0])

    @overload
    def anomaly(self, data: Named) -> Answer: ...

    @overload
    def anomaly(self, data: Sequence[Named]) -> list[Answer]: ...

    @overload
    def anomaly(self, data: NDArray[np.void]) -> Arrays: ...

    @overload
    def anomaly(self, data: Frame) -> Frame: ...

    def anomaly(self, data: Any) -> Any:
        """Return how strange rows are to an autoencoder: "Reconstruction.MSE", the mean squared error with which it
        gives a row back, over its levels and numbers, these on the scale of the network.

        Takes data as `predict` does. A missing number is compared as what the network takes it for. Raises
        MojoUnsupportedError for a model that is no autoencoder.
        """
        return self._told(data, self._details.anomaly())

    def anomaly_columns(self, columns: Mapping[str, Column], rows: int, policy: Policy) -> dict[str, NDArray[Any]]:
        """Do as `anomaly`, of columns, each of `rows` values; return arrays by name. Raises so, and MojoRowError."""
        names, tell = self._details.anomaly()
        values = tell(*self.rows(columns, rows, policy))
        return {name: np.ascontiguousarray(values[:, place]) for place, name in enumerate(names)}

    def average(self, words: Iterable[str | None]) -> NDArray[np.float32]:
        """Return the vector of a sentence: the mean of the vectors of its words, shape (outputs,), as H2O's
        `transform` has it with `aggregate_method="AVERAGE"`. Words that the model does not know do not count; NaN
        where it knows none.

        Raises:
            MojoUnsupportedError: the model is no Word2Vec.
            InvalidInput: it is one text, and not the words of one.
        """
        if not isinstance(self.scorer, Word2Vec):
            raise MojoUnsupportedError("only a Word2Vec model has vectors", got=self.header.keys.text("algorithm"))
        if isinstance(words, str):
            raise InvalidInput("A text is no list of words.", expected="a list of words", got=repr(words[:80]))
        return self.scorer.average(words)

    def _told(self, data: Any, telling: Telling) -> Any:
        names, tell = telling
        if isinstance(data, Mapping) and is_row(data, self._names):
            return self._told([data], telling)[0]
        table = read_table(data, self._names, self._numeric)
        values = tell(*self.rows(table.columns, table.rows, _POLICIES[False, False]))
        return table.answer({name: np.ascontiguousarray(values[:, place]) for place, name in enumerate(names)})

    def predict_one(self, row: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
        """Score the values of one row. Raises MojoRowError."""
        return self.answers.one(self.score_one(row, policy))

    def score_one(self, row: Mapping[str, Any], policy: Policy) -> NDArray[np.float64]:
        """Return the scores of one row, shape (1, outputs). Raises MojoRowError."""
        unseen: dict[str, int] = {}
        rows = self.builder.one(row, policy, unseen)
        offset = None
        if self.offset_column is not None:
            value = row.get(self.offset_column, ABSENT)
            if value is not ABSENT:
                offset = np.array([number(value, self.offset_column, invalid_as_missing=policy.invalid_as_missing)])
        if unseen:
            self._count(unseen)
        return self.scores(rows, offset)

    def predict_columns(
        self, columns: Mapping[str, Column], rows: int, policy: Policy, threads: int = 1
    ) -> dict[str, NDArray[Any]]:
        """Score columns, each of `rows` values, as `predict` does; return arrays by name. Raises MojoRowError."""
        matrix, offset = self.rows(columns, rows, policy)
        return self.answers.columns(self._in_parts(matrix, offset, threads))

    def rows(self, columns: Mapping[str, Column], rows: int, policy: Policy) -> tuple[Rows, NDArray[np.float64] | None]:
        """Return the numeric rows of columns, and the offset of each; None where it was not given."""
        unseen: dict[str, int] = {}
        matrix = self.builder.matrix(columns, rows, policy, unseen)
        if unseen:
            self._count(unseen)
        given = None if self.offset_column is None else columns.get(self.offset_column)
        return matrix, None if given is None else self._offsets(given, policy)

    def scores(self, rows: Rows, offset: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Score numeric rows; return an array of shape (rows, outputs). Raises MojoRowError."""
        if not len(rows):
            return np.empty((0, len(self.outputs)))
        return self.scorer.score(rows, offset)

    @property
    def is_in_order(self) -> bool:
        """Whether the scores of a row depend on how many rows of the same call come before it."""
        return self.header.algorithm in _IN_ORDER

    def _in_parts(self, rows: Rows, offset: NDArray[np.float64] | None, threads: int) -> NDArray[np.float64]:
        return score_in_parts(self.scores, rows, offset, 1 if self.is_in_order else threads)

    def warm(self) -> None:
        """Compile what `predict` runs."""
        for rows in (1, 2):
            try:
                self.scores(np.full((rows, self.builder.width), np.nan), None)
            except MojoRowError:  # a model that refuses missing values before it scores
                with contextlib.suppress(MojoRowError):
                    self.scores(np.zeros((rows, self.builder.width)), None)
        program = self.scorer.program if isinstance(self.scorer, Programmed) else None
        if program is not None and self._is_quick and self.builder.plan is not None:
            self.at_once = RowAnswers(self.builder.plan, program, self.answers.names, self.answers.labels)

    def _offsets(self, given: Column, policy: Policy) -> NDArray[np.float64]:
        name = self.offset_column or ""
        if isinstance(given, np.ndarray) and given.dtype.kind in "fiub":
            return given.astype(np.float64)
        listed: Sequence[Any] = given.tolist() if isinstance(given, np.ndarray) else _plain(given)
        values = [0.0 if value is ABSENT else value for value in listed]
        return numbers(values, name, invalid_as_missing=policy.invalid_as_missing)

    def _numeric_rows(self, data: NDArray[Any]) -> Rows:
        width = self.builder.width
        if data.ndim != 2 or data.shape[1] != width or data.dtype.kind not in "fiub":
            raise InvalidInput(
                "The array does not have the model's numeric rows.",
                expected=f"numbers of shape (rows, {width})",
                got=f"{data.dtype} of shape {data.shape}",
            )
        # As all rows are that are built here: kernels would be compiled once more for arrays that cannot be written to.
        return np.require(unmasked(data), np.float64, ["C", "A", "W", "E"])

    def _count(self, unseen: Mapping[str, int]) -> None:
        with self._lock:
            for name, count in unseen.items():
                self._unseen[name] = self._unseen.get(name, 0) + count


def _uses_offset(header: Header) -> bool:
    # Networks that score classes were trained without.
    is_regression = header.algorithm == "deep_learning" and header.category == "Regression"
    return header.algorithm in _USE_OFFSET or is_regression


class WordModel(MojoModel):
    """Vectors of words: one input, `word`, and the numbers of its vector; NaN for a word without one."""

    scorer: Word2Vec

    def __init__(self, scorer: Word2Vec, container: Container) -> None:
        super().__init__(scorer, container)
        places = {word: float(place) for word, place in scorer.words.items()}
        self.fields = (Field(WORD, tuple(scorer.words), "value", 0, 1, places),)
        self.builder = RowBuilder(self.fields, 1)
        self._names, self._numeric = frozenset((WORD,)), frozenset()

    def scores(self, rows: Rows, offset: NDArray[np.float64] | None) -> NDArray[np.float64]:
        place, unknown = rows[:, 0], len(self.scorer.vectors)
        return self._vectors[np.where((place >= 0.0) & (place < unknown), place, unknown).astype(np.intp)]

    @cached_property
    def _vectors(self) -> NDArray[np.float64]:
        unknown = np.full((1, self.scorer.vectors.shape[1]), np.nan)
        return np.concatenate([self.scorer.vectors.astype(np.float64), unknown])


def _plain(column: Sequence[Any] | Dictionary) -> Sequence[Any]:
    if isinstance(column, Dictionary):
        values = [*column.values, None]
        return [values[code] for code in column.codes.tolist()]
    return column
