"""A candidate that is compatible takes what stable takes, by the very codecs that replicas read requests with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.gate.compatibility import Comparison, compare
from tidegate.runtime.base import NUMPY_DTYPES, Datatype, Signature, TensorSpec
from tidegate.server.protocols.base import Identity, Limits, Message
from tidegate.server.protocols.oip import OipCodec
from tidegate.server.protocols.predict import PredictCodec
from tidegate.server.protocols.tensorflow_serving import PredictApi

DATATYPES: tuple[Datatype, ...] = get_args(Datatype)
IDENTITY, LIMITS = Identity("m", "1", "m", 1), Limits()
CODECS = (OipCodec, PredictCodec, PredictApi)


def signature(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (TensorSpec("prediction", "FP64"),)) -> Signature:
    flat = all(spec.shape == (-1,) for spec in inputs)
    return Signature("columns" if flat else "tensors", inputs, outputs)


def sentences(comparison: Comparison) -> list[str]:
    return [str(difference) for difference in comparison.breaking]


specs = st.builds(
    TensorSpec,
    name=st.sampled_from("abc"),
    datatype=st.sampled_from(DATATYPES),
    shape=st.sampled_from([(-1,), (-1, 2), (-1, -1), (4,), (2, 2), (1, 2)]),
)
inputs = st.lists(specs, min_size=1, max_size=3, unique_by=lambda spec: spec.name).map(tuple)
signatures = inputs.map(lambda found: signature(*found))


def values(spec: TensorSpec, count: int, draw: Any) -> list[Any]:
    """Return values of the datatype's whole range, FP64 within that of FP32: what is beyond nobody sends."""
    dtype = NUMPY_DTYPES[spec.datatype]
    if dtype.kind == "O":
        one = st.sampled_from([None, "", "AA", "Zürich"])
    elif dtype.kind == "b":
        one = st.booleans()
    elif dtype.kind == "f":
        top = float(np.finfo(np.float16 if spec.datatype == "FP16" else np.float32).max)
        one = st.one_of(st.none(), st.floats(-top, top, allow_nan=False))
    else:
        one = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    found: list[Any] = draw(st.lists(one, min_size=count, max_size=count))
    return found


def message(body: Any) -> Message:
    return Message(orjson.dumps(body), b"application/json", b"")


@st.composite
def requests_for(draw: Any, stable: Signature) -> dict[type, Any]:
    """Return what clients of stable send, by codec; one tensor for all columns where that can be."""
    rows = 4
    tensors, columns = [], {}
    for spec in stable.inputs:
        sizes = (rows, *(2 if size == -1 else size for size in spec.shape[1:]))
        flat = values(spec, int(np.prod(sizes)), draw)
        tensors.append({"name": spec.name, "datatype": spec.datatype, "shape": list(sizes), "data": flat})
        width = int(np.prod(sizes[1:]))
        columns[spec.name] = flat if len(sizes) == 1 else [flat[at * width : (at + 1) * width] for at in range(rows)]
    records = [{name: column[row] for name, column in columns.items()} for row in range(rows)]
    datatypes = {spec.datatype for spec in stable.inputs}
    if stable.kind == "columns" and len(datatypes) == 1 and NUMPY_DTYPES[min(datatypes)].kind in "iuf":
        flat = [record[spec.name] for record in records for spec in stable.inputs]
        matrix = {"name": "x", "datatype": min(datatypes), "shape": [rows, len(stable.inputs)], "data": flat}
        tensors = draw(st.sampled_from([tensors, [matrix]]))
    return {
        OipCodec: {"inputs": tensors},
        PredictCodec: {"records": records},
        PredictApi: {"instances": records},
    }


def codec_of(kind: Any, found: Signature) -> Any:
    return kind(found, IDENTITY, LIMITS)


@given(data=st.data(), stable=signatures, candidate=signatures)
def test_without_a_breaking_difference_the_candidate_reads_whatever_stable_reads(
    data: Any, stable: Signature, candidate: Signature
) -> None:
    # A candidate that is near to stable meets the condition more often than one drawn from all.
    near = tuple(
        data.draw(st.sampled_from([spec, *(o for o in candidate.inputs if o.name == spec.name)]))
        for spec in stable.inputs
    )
    candidate = signature(*data.draw(st.sampled_from([near, near[:1], tuple(reversed(near))])))
    if compare(stable, candidate).breaking:
        return
    for kind, body in data.draw(requests_for(stable)).items():
        before = codec_of(kind, stable).decode(message(body))
        after = codec_of(kind, candidate).decode(message(body))
        assert after.rows == before.rows
        for name, array in after.inputs.items():
            if array.dtype.kind in "OfF":
                continue  # digits of floats aside, which the comparison tells of
            assert array.tolist() == before.inputs[name].tolist(), kind


@given(stable=signatures)
def test_a_signature_differs_in_nothing_from_itself(stable: Signature) -> None:
    assert compare(stable, stable) == Comparison()


@given(stable=signatures, extra=specs)
def test_one_input_more_is_breaking_and_one_less_is_told(stable: Signature, extra: TensorSpec) -> None:
    more = signature(*stable.inputs, replace(extra, name="new"))
    assert "input new" in [difference.where for difference in compare(stable, more).breaking]
    assert "input new" in [difference.where for difference in compare(more, stable).differences]


NUMBER, TEXT = TensorSpec("distance", "FP64"), TensorSpec("carrier", "BYTES", categories=("AA", "UA"))
LABELLED = TensorSpec("probabilities", "FP64", (-1, 2), labels=("no", "yes"))
STABLE = signature(NUMBER, TEXT, outputs=(TensorSpec("prediction", "BYTES"), LABELLED))


@pytest.mark.parametrize(
    ("candidate", "told"),
    [
        (
            signature(NUMBER, TEXT, TensorSpec("hour", "INT64"), outputs=STABLE.outputs),
            "input hour: stable does not take it; the candidate requires it (INT64)",
        ),
        (
            signature(replace(NUMBER, datatype="INT64"), TEXT, outputs=STABLE.outputs),
            "input distance: stable takes FP64, the candidate INT64",
        ),
        (
            signature(replace(NUMBER, shape=(-1, 1)), TEXT, outputs=STABLE.outputs),
            "input distance: stable takes shape [-1], the candidate [-1, 1]",
        ),
        (
            signature(NUMBER, replace(TEXT, categories=("AA", "DL")), outputs=STABLE.outputs),
            "input carrier: stable knows the categories UA, which the candidate does not",
        ),
        (
            signature(NUMBER, TEXT, outputs=(TensorSpec("prediction", "BYTES"),)),
            "output probabilities: stable gives it, the candidate does not",
        ),
        (
            signature(NUMBER, TEXT, outputs=(TensorSpec("prediction", "INT64"), LABELLED)),
            "output prediction: stable gives BYTES, the candidate INT64",
        ),
        (
            signature(NUMBER, TEXT, outputs=(STABLE.outputs[0], replace(LABELLED, labels=("yes", "no")))),
            "output probabilities: the labels of stable are, in this order, no, yes; those of the candidate yes, no",
        ),
        (
            signature(NUMBER, TEXT, outputs=(STABLE.outputs[0], replace(LABELLED, shape=(-1, 3)))),
            "output probabilities: stable gives shape [-1, 2], the candidate [-1, 3]",
        ),
    ],
)
def test_a_breaking_difference_names_part_and_both_sides(candidate: Signature, told: str) -> None:
    assert sentences(compare(STABLE, candidate)) == [told]


def test_a_category_that_the_candidate_takes_for_a_missing_value_breaks_no_client() -> None:
    fewer = signature(NUMBER, replace(TEXT, categories=("AA",), open_categories=True), outputs=STABLE.outputs)
    told = compare(STABLE, fewer)
    assert not told.breaking
    assert [str(difference) for difference in told.harmless] == [
        "input carrier: stable knows the categories UA, which the candidate does not and takes for missing values"
    ]


def test_a_candidate_that_may_refuse_what_stable_takes_for_a_missing_value_is_breaking() -> None:
    lenient = signature(NUMBER, replace(TEXT, open_categories=True), outputs=STABLE.outputs)
    (told,) = sentences(compare(lenient, STABLE))
    assert told.startswith("input carrier: stable takes texts that are none of its categories for missing values;")
    assert compare(lenient, lenient) == compare(STABLE, lenient) == Comparison()


def test_an_order_that_clients_may_go_by_is_part_of_the_signature() -> None:
    one, other = TensorSpec("a", "FP64"), TensorSpec("b", "FP64")
    assert "in this order" in sentences(compare(signature(one, other), signature(other, one)))[0]
    swapped = signature(NUMBER, TEXT, outputs=STABLE.outputs[::-1])
    assert "go by position" in sentences(compare(STABLE, swapped))[0]
    more = signature(one, outputs=(TensorSpec("prediction", "FP64"), TensorSpec("score", "FP64")))
    assert "TensorFlow Serving" in sentences(compare(signature(one), more))[0]


def test_what_clients_can_live_with_is_told_and_not_breaking() -> None:
    wider = signature(NUMBER, replace(TEXT, categories=None), outputs=(*STABLE.outputs, TensorSpec("score", "FP32")))
    assert compare(STABLE, wider) == Comparison()
    fewer = compare(STABLE, signature(NUMBER, outputs=STABLE.outputs))
    assert not fewer.breaking
    assert [difference.where for difference in fewer.harmless] == ["input carrier"]
    narrow = replace(LABELLED, datatype="FP32")
    told = compare(STABLE, signature(NUMBER, TEXT, outputs=(STABLE.outputs[0], narrow)))
    assert not told.breaking
    assert "FP32" in str(told.harmless[0])


def test_a_server_that_is_started_by_a_command_cannot_be_compared() -> None:
    opaque = Signature("opaque", (), ())
    assert compare(STABLE, opaque) == Comparison(
        unknown="the candidate is started by a command, and nobody knows what that takes and gives"
    )
    assert "stable and the candidate are" in str(compare(opaque, opaque).unknown)
