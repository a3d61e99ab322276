"""Can clients of stable go on with the candidate? Two signatures compared, over all protocols that a replica speaks.

A difference is breaking when a request that stable answers may be refused by the candidate, or its answer may hold
something else where the client looks. The protocols decide what that is: `server.protocols.oip_tensors` (declared
datatypes, one tensor for all columns), `records`, `tables`, `tensorflow_serving` (the form of an answer with one
output). Inputs that a model does not take are ignored by all of them, so one less is no break by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.runtime.base import NUMPY_DTYPES, Signature, TensorSpec

#: Names that a sentence lists before it says how many more there are.
_MOST_NAMED = 5


@dataclass(frozen=True)
class Difference:
    """One thing in which the candidate's signature is not stable's.

    Attributes:
        where: "input NAME", "output NAME", or what else it is about, e.g. "inputs".
        sentence: what stable has, what the candidate has, and where that is not plain what it does to clients.
        is_breaking: False for what clients should be told of and can live with.
    """

    where: str
    sentence: str
    is_breaking: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}"


@dataclass(frozen=True)
class Comparison:
    """All differences; `unknown` says why nothing could be compared, None when everything was."""

    differences: tuple[Difference, ...] = ()
    unknown: str | None = None

    @property
    def breaking(self) -> tuple[Difference, ...]:
        return tuple(difference for difference in self.differences if difference.is_breaking)

    @property
    def harmless(self) -> tuple[Difference, ...]:
        return tuple(difference for difference in self.differences if not difference.is_breaking)


def compare(stable: Signature, candidate: Signature) -> Comparison:
    """Compare what a candidate takes and gives with what clients of stable send and read."""
    opaque = [name for name, one in (("stable", stable), ("the candidate", candidate)) if one.kind == "opaque"]
    if opaque:
        who = f"{' and '.join(opaque)} {'are' if len(opaque) > 1 else 'is'}"
        return Comparison(unknown=f"{who} started by a command, and nobody knows what that takes and gives")
    return Comparison((*_inputs(stable, candidate), *_outputs(stable, candidate)))


def _inputs(stable: Signature, candidate: Signature) -> Iterator[Difference]:
    offered = {spec.name: spec for spec in stable.inputs}
    taken = {spec.name: spec for spec in candidate.inputs}
    for spec in candidate.inputs:
        if spec.name not in offered:
            yield Difference(
                f"input {spec.name}", f"stable does not take it; the candidate requires it ({_said(spec)})"
            )
    for name, spec in offered.items():
        if name in taken:
            yield from _input(spec, taken[name])
        else:
            yield Difference(
                f"input {name}",
                "stable takes it; the candidate does not, and ignores what clients send there",
                is_breaking=False,
            )
    yield from _places(stable, candidate)


def _input(stable: TensorSpec, candidate: TensorSpec) -> Iterator[Difference]:
    where = f"input {stable.name}"
    if not _holds(candidate.datatype, stable.datatype):
        yield Difference(where, f"stable takes {stable.datatype}, the candidate {candidate.datatype}")
    elif stable.datatype != candidate.datatype and not np.can_cast(
        NUMPY_DTYPES[stable.datatype], NUMPY_DTYPES[candidate.datatype]
    ):
        sentence = f"stable takes {stable.datatype}, the candidate keeps fewer digits ({candidate.datatype})"
        yield Difference(where, sentence, is_breaking=False)
    if not _takes_shape(candidate.shape, stable.shape):
        yield Difference(where, f"stable takes shape {list(stable.shape)}, the candidate {list(candidate.shape)}")
    yield from _categories(where, stable, candidate)


def _categories(where: str, stable: TensorSpec, candidate: TensorSpec) -> Iterator[Difference]:
    """Yield what of the texts that clients send the candidate does not know."""
    if stable.categories is None or candidate.categories is None:
        return
    known = set(candidate.categories)
    lost = [value for value in stable.categories if value not in known]
    if lost:
        sentence = f"stable knows the categories {_listed(lost)}, which the candidate does not"
        told = " and takes for missing values" if candidate.open_categories else ""
        yield Difference(where, sentence + told, is_breaking=not candidate.open_categories)
    elif stable.open_categories and not candidate.open_categories:
        yield Difference(
            where,
            "stable takes texts that are none of its categories for missing values; the candidate may refuse them",
        )


def _places(stable: Signature, candidate: Signature) -> Iterator[Difference]:
    """Yield what breaks clients that go by position: without names, or with one tensor for all columns."""
    before, after = ([spec.name for spec in one.inputs] for one in (stable, candidate))
    if not _is_matrix(stable) or not set(after) <= set(before):
        return  # nobody goes by position, or a new input is named already
    if before != after:
        sentence = f"stable takes {_listed(before)} in this order, the candidate {_listed(after)}"
        yield Difference("inputs", f"{sentence}; clients that send one tensor for all columns go by it")
    elif not _is_matrix(candidate):
        sentence = "they are no longer of one datatype, which clients that send one tensor for all columns rely on"
        yield Difference("inputs", sentence)


def _is_matrix(signature: Signature) -> bool:
    datatypes = {spec.datatype for spec in signature.inputs}
    return signature.kind == "columns" and len(datatypes) == 1 and _kind(datatypes.pop()) in "fiu"


def _outputs(stable: Signature, candidate: Signature) -> Iterator[Difference]:
    given = {spec.name: spec for spec in candidate.outputs}
    for spec in stable.outputs:
        if spec.name in given:
            yield from _output(spec, given[spec.name])
        else:
            yield Difference(f"output {spec.name}", "stable gives it, the candidate does not")
    before, after = ([spec.name for spec in one.outputs] for one in (stable, candidate))
    if not set(before) <= set(after):
        return
    if len(before) == 1 and len(after) > 1:
        added = [name for name in after if name not in before]
        yield Difference(
            "outputs",
            f"the candidate gives {_listed(added)} as well, so that answers over TensorFlow Serving's protocol are "
            "objects with names instead of bare values",
        )
    if after[: len(before)] != before:
        yield Difference(
            "outputs",
            f"stable gives {_listed(before)} in this order, the candidate {_listed(after)}; clients of the Open "
            "Inference Protocol that go by position read something else",
        )


def _output(stable: TensorSpec, candidate: TensorSpec) -> Iterator[Difference]:
    where = f"output {stable.name}"
    if stable.datatype != candidate.datatype:
        same_kind = _family(stable.datatype) == _family(candidate.datatype)
        sentence = f"stable gives {stable.datatype}, the candidate {candidate.datatype}"
        told = "; clients that read tensors as bytes must go by the datatype in the answer" if same_kind else ""
        yield Difference(where, sentence + told, is_breaking=not same_kind)
    if not _gives_shape(candidate.shape, stable.shape):
        yield Difference(where, f"stable gives shape {list(stable.shape)}, the candidate {list(candidate.shape)}")
    if stable.labels != candidate.labels:
        before, after = ("none" if spec.labels is None else _listed(spec.labels) for spec in (stable, candidate))
        yield Difference(where, f"the labels of stable are, in this order, {before}; those of the candidate {after}")


def _kind(datatype: str) -> str:
    """Return NumPy's letter: b, i, u, f, or O for text."""
    return NUMPY_DTYPES[datatype].kind


def _family(datatype: str) -> str:
    return "i" if _kind(datatype) == "u" else _kind(datatype)


def _holds(taken: str, sent: str) -> bool:
    """Say whether every value of `sent` can be given to an input of `taken`, digits of floats aside."""
    castable = bool(np.can_cast(NUMPY_DTYPES[sent], NUMPY_DTYPES[taken]))
    if _family(taken) == "f":
        # Beyond the range of FP16 lie numbers that people do send.
        return _family(sent) in "fi" and (taken != "FP16" or castable)
    if _family(taken) == "i":
        return _family(sent) == "i" and castable
    return _family(taken) == _family(sent)


def _takes_shape(taken: Sequence[int], sent: Sequence[int]) -> bool:
    if len(taken) != len(sent):
        return False
    if taken and taken[0] > 0 and (sent[0] < 0 or sent[0] % taken[0]) and taken[0] != 1:
        return False  # a batch of a fixed size is taken whole, or as a multiple
    return all(size in (-1, other) for size, other in zip(taken[1:], sent[1:], strict=True))


def _gives_shape(given: Sequence[int], read: Sequence[int]) -> bool:
    """The first dimension is that of the request."""
    if len(given) != len(read):
        return False
    return all(other in (-1, size) for size, other in zip(given[1:], read[1:], strict=True))


def _said(spec: TensorSpec) -> str:
    return spec.datatype if spec.shape == (-1,) else f"{spec.datatype} of shape {list(spec.shape)}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
