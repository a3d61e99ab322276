"""Golden requests as `golden record` writes them: valid, and passed by what was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.commands.golden import read_rows
from tidegate.cli.recording import golden_document
from tidegate.contract.errors import InvalidInput
from tidegate.contract.golden import parse_golden
from tidegate.gate.golden import Answer, outcome

values = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.sampled_from(["late", "on time"])
outputs = st.fixed_dictionaries({"prediction": values, "probabilities": st.dictionaries(st.sampled_from("ab"), values)})
amounts = st.none() | st.floats(0, 1)


@given(answers=st.lists(outputs, min_size=1, max_size=4), absolute=amounts, relative=amounts)
def test_what_was_recorded_is_a_valid_file_that_the_same_answers_pass(
    answers: list[dict[str, Any]], absolute: float | None, relative: float | None
) -> None:
    document = golden_document([{"x": at} for at in range(len(answers))], answers, absolute, relative)
    golden = parse_golden(json.dumps(document), "golden.json")
    assert outcome(golden, [Answer(200, {"predictions": [answer]}) for answer in answers]).passed


def test_only_outputs_with_decimals_get_a_tolerance() -> None:
    document = golden_document([{}], [{"label": "a", "count": 3, "p": {"a": 0.5}}], 0.1, None)
    assert document["tolerances"] == {"p": {"absolute": 0.1}}


@pytest.mark.parametrize(
    ("text", "told"), [("[1]", "does not hold rows"), ("{}", "does not hold rows"), ("{", "is not JSON")]
)
def test_what_holds_no_rows_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=told):
        read_rows(path)
    path.write_text('{"records": [{"a": 1}]}')
    assert read_rows(path) == [{"a": 1}]
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_rows(tmp_path / "none.json")
