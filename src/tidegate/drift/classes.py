"""Answers and actuals as classes or as numbers, in one form for several windows. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.drift.columns import Numbers
from tidegate.drift.labelled import Choice, Kind, Labelled
from tidegate.drift.sums import ClassRows, NumberRows, Rows

#: The share of rows that must agree on which class a column of scores is of, where nobody says it.
_AGREED = 0.9
_MOST_CLASSES = 200
#: Classes that a message names.
_NAMED = 8


def kind_of(sides: Sequence[Labelled], choice: Choice) -> Kind:
    """Return what answers are, in several windows together: classes where they have scores, or are no numbers."""
    if choice.kind is not None:
        return choice.kind
    if any(side.scores for side in sides) or choice.classes or choice.positive:
        return Kind.CLASSES
    values = (value for side in sides for value in (*side.answers, *side.actuals))
    return Kind.CLASSES if any(isinstance(value, str | bool) for value in values) else Kind.NUMBERS


def rows_of(sides: Sequence[Labelled], choice: Choice) -> list[Rows]:
    """Return the rows of several windows in one form.

    Raises:
        InvalidInput: answers are none of the kind, or it is not clear which score is of which class.
    """
    if kind_of(sides, choice) is Kind.NUMBERS:
        return [_numbers(side) for side in sides]
    answers, actuals = (
        [_labels(values) for values in column]
        for column in ([side.answers for side in sides], [side.actuals for side in sides])
    )
    _as_one_kind(answers, actuals)
    classes = _classes(answers, actuals)
    positive = _positive(classes, choice.positive)
    place = {name: at for at, name in enumerate(classes)}
    scores = _scores(sides, answers, classes, choice)
    return [
        ClassRows(
            classes=classes,
            positive=positive,
            answers=np.array([place[label] for label in answers[at]], dtype=np.intp),
            actuals=np.array([place[label] for label in actuals[at]], dtype=np.intp),
            scores=scores[at],
            requests=np.array(side.requests, dtype=np.intp),
        )
        for at, side in enumerate(sides)
    ]


def _numbers(side: Labelled) -> NumberRows:
    for what, values in (("answers", side.answers), ("actuals", side.actuals)):
        wrong = next((value for value in values if isinstance(value, str | bool)), None)
        if wrong is not None:
            raise InvalidInput(
                f"{what} are no numbers", subject=what, expected="numbers", got=repr(wrong)[:60], hint="--kind classes"
            )
    return NumberRows(
        np.array(side.answers, dtype=np.float64),
        np.array(side.actuals, dtype=np.float64),
        np.array(side.requests, dtype=np.intp),
    )


def _labels(values: Sequence[object]) -> list[str]:
    return [_label(value) for value in values]


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value.is_integer() else repr(value)
    return str(value)


def _as_one_kind(answers: list[list[str]], actuals: list[list[str]]) -> None:
    """Write true and false as 1 and 0 where one side has these, and the other those."""
    flags = {"true": "1", "false": "0"}
    sides = [{label for labels in side for label in labels} for side in (answers, actuals)]
    if any(side <= set(flags) for side in sides) and any(side <= set(flags.values()) for side in sides):
        for side in (answers, actuals):
            side[:] = [[flags.get(label, label) for label in labels] for labels in side]


def _classes(answers: Sequence[Sequence[str]], actuals: Sequence[Sequence[str]]) -> tuple[str, ...]:
    said, really = ({label for labels in side for label in labels} for side in (answers, actuals))
    if not said & really:
        raise InvalidInput(
            "no actual is a class that is ever answered",
            subject="actuals",
            expected=_some(said),
            got=_some(really),
            hint="tell what really was in the words of the model's answers, or name the answer with --answer",
        )
    classes = sorted(said | really, key=_order)
    if len(classes) > _MOST_CLASSES:
        raise InvalidInput(
            f"there are {len(classes):,} classes",
            expected=f"at most {_MOST_CLASSES}",
            hint="are the answers numbers? --kind numbers",
        )
    return tuple(classes) if len(classes) > 1 else (*classes, f"not {classes[0]}")


def _order(label: str) -> tuple[int, float, str]:
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label


def _some(labels: Iterable[str]) -> str:
    found = sorted(labels, key=_order)
    return ", ".join(label[:40] for label in found[:_NAMED]) + (" …" if len(found) > _NAMED else "")


def _positive(classes: tuple[str, ...], wanted: str | None) -> int | None:
    if wanted is not None and wanted not in classes:
        raise InvalidInput(f"there is no class {wanted!r}", subject="--positive", expected=_some(classes))
    if len(classes) > 2:
        return None if wanted is None else classes.index(wanted)
    return 1 if wanted is None else classes.index(wanted)


def _scores(
    sides: Sequence[Labelled], answers: Sequence[Sequence[str]], classes: tuple[str, ...], choice: Choice
) -> list[Numbers | None]:
    """Return for each window the scores of `classes`, in their order; None where not every row has them."""
    told = [_matrix(side.told) for side in sides]
    if any(matrix is None for matrix in told):
        return [None] * len(sides)
    known = [matrix for matrix in told if matrix is not None]
    widths = {matrix.shape[1] for matrix in known}
    if len(widths) > 1:
        got = _some(map(str, widths))
        raise InvalidInput("requests have scores of different lengths", subject=", ".join(sides[0].scores), got=got)
    if choice.classes or len(sides[0].scores) < 2:
        names = _columns(np.vstack(known), [label for labels in answers for label in labels], classes, choice)
    else:
        # H2O puts a letter before the name of a class that is a number.
        names = [name if name in classes else name.removeprefix("p") for name in sides[0].scores]
    missing = [name for name in classes if name not in names]
    if missing:
        raise InvalidInput(
            f"no score is known to be of the class {missing[0]!r}",
            subject=", ".join(sides[0].scores),
            hint="name the classes of the scores, in their order: --classes a,b,c",
        )
    return [matrix[:, [names.index(name) for name in classes]] for matrix in known]


def _matrix(told: Sequence[object]) -> Numbers | None:
    try:
        found = np.array(told, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if found.ndim == 1:
        # The score of the positive class alone.
        found = np.column_stack([1 - found, found])
    return found if found.ndim == 2 and found.shape[1] > 1 and np.isfinite(found).all() else None


def _columns(scores: Numbers, answers: Sequence[str], classes: tuple[str, ...], choice: Choice) -> list[str | None]:
    """Return of which class each column is; None where no row tells, as of a class that is never answered."""
    width = scores.shape[1]
    if choice.classes:
        if len(choice.classes) != width:
            raise InvalidInput(
                f"there are {width} scores",
                subject="--classes",
                expected=f"{width} names",
                got=str(len(choice.classes)),
            )
        return list(choice.classes)
    best = scores.argmax(axis=1)
    if len(classes) == width and np.mean([classes[at] == said for at, said in zip(best, answers, strict=True)]) > 0.5:
        return list(classes)
    found: list[str | None] = []
    for at in range(width):
        said = Counter(label for label, place in zip(answers, best, strict=True) if place == at)
        label, times = said.most_common(1)[0] if said else (None, 0)
        found.append(label if times >= _AGREED * said.total() and label not in found else None)
    left = [name for name in classes if name not in found]
    if len(left) == 1 and found.count(None) == 1:
        found[found.index(None)] = left[0]
    return found
