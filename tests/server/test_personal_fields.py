"""Personal fields: what is dropped or hashed is in no log, whatever the sink; and a wrong configuration is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.conftest import IDENTITY, Serve
from tests.server.processes import wait_until
from tests.server.test_recording import Kept, exchange
from tidegate.artifact.bundle import Bundle
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Signature, TensorSpec
from tidegate.server.protocols.base import Call
from tidegate.server.recording.log import PredictionLog
from tidegate.server.recording.personal import PersonalFields, personal_fields, refuse_unknown_fields
from tidegate.server.settings import KEY_VARIABLE, PredictionLogSettings

KEY = "b2f1a7c0d4e8963512" * 2
FIELDS = PersonalFields(frozenset({"email"}), frozenset({"customer", "prediction"}), KEY.encode())


def hashed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_dropped_fields_are_left_away_and_hashed_ones_are_replaced() -> None:
    sink = Kept()
    log = PredictionLog(sink, IDENTITY, share=1.0, personal=FIELDS)
    inputs = {
        "email": np.array(["ada@example.com", None], dtype=object),
        "customer": np.array(["C-1", None], dtype=object),
        "age": np.array([41.0, np.nan]),
    }
    log.offer(exchange(b"r"), Call(inputs, 2, ()), {"prediction": np.array([7, 8]), "score": np.array([0.5, 1.0])})
    log.close()
    (record,) = sink.records
    assert record["inputs"] == {"customer": [hashed("C-1"), None], "age": [41.0, None]}
    assert record["outputs"] == {"prediction": [hashed("7"), hashed("8")], "score": [0.5, 1.0]}


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
)


@given(st.lists(scalars | st.lists(scalars, max_size=3), max_size=5))
def test_hashes_have_the_shape_of_the_values_and_tell_them_apart(values: list[Any]) -> None:
    def flat(value: Any) -> list[Any]:
        return [one for inner in value for one in flat(inner)] if isinstance(value, list) else [value]

    found = FIELDS.applied({"customer": values})["customer"]
    before, after = flat(values), flat(found)
    assert len(before) == len(after)
    assert all((one is None) == (other is None) for one, other in zip(before, after, strict=True))
    texts = [one for one in before if isinstance(one, str)]
    assert len(set(texts)) == len({other for one, other in zip(before, after, strict=True) if isinstance(one, str)})


def test_the_key_is_shown_nowhere() -> None:
    assert KEY not in repr(FIELDS)


def test_the_key_is_read_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert personal_fields((), ("customer",), file, {}).key == KEY.encode()
    assert personal_fields((), ("customer",), None, {KEY_VARIABLE: KEY}).key == KEY.encode()


@pytest.mark.parametrize("environment", [{}, {KEY_VARIABLE: "short"}, {KEY_VARIABLE: "      padded         "}])
def test_a_key_that_is_missing_or_short_is_refused_and_not_shown(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="no key, or too short") as refused:
        personal_fields((), ("customer",), None, environment)
    assert "padded" not in str(refused.value)


def test_a_key_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        personal_fields((), ("customer",), tmp_path / "none", {})


def test_without_hashes_no_key_is_needed() -> None:
    assert personal_fields(("email",), (), None, {}).key == b""


def test_a_name_that_the_model_does_not_have_is_refused() -> None:
    signature = Signature("columns", (TensorSpec("email", "BYTES"),), (TensorSpec("prediction", "INT64"),))
    refuse_unknown_fields(PersonalFields(frozenset({"email"}), frozenset({"prediction"}), b""), signature)
    with pytest.raises(InvalidInput, match="'e-mail'") as refused:
        refuse_unknown_fields(PersonalFields(frozenset({"e-mail"})), signature)
    assert "email, prediction" in str(refused.value)


def test_a_replica_keeps_them_out_of_its_file(
    serve: Serve, quick_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    path = tmp_path / "predictions.jsonl"
    wanted = PredictionLogSettings(f"jsonl:{path}", dropped=("distance",), hashed=("carrier",))
    _, client = serve(quick_bundle, prediction_log=wanted)
    row = dict(quick_bundle.sample[0])
    assert client.post("/predict", json=[row]).status_code == 200
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), "the record is written")
    (record,) = map(json.loads, path.read_text().splitlines())
    assert "distance" not in record["inputs"]
    assert record["inputs"]["carrier"] == [hashed(row["carrier"])]
