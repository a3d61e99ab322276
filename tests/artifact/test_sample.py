"""Sample files come as people have them: JSON in three shapes, CSV with whatever separator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.artifact.sample import MAX_ROWS, check_columns, read_sample
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Signature, TensorSpec

ROWS = [{"town": "Ulm", "size": 1.5}, {"town": None, "size": None}]


def written(folder: Path, text: str, name: str = "rows.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps({"rows": ROWS}),
        json.dumps({"instances": ROWS}),
        "\n".join(json.dumps(row) for row in ROWS),
        "\ufeff" + json.dumps(ROWS),
        '[{"town": "Ulm", "size": 1.5}, {"town": null, "size": NaN}]',
    ],
)
def test_json_in_every_usual_shape(tmp_path: Path, text: str) -> None:
    assert read_sample(written(tmp_path, text)) == ROWS


def test_one_record_is_one_row(tmp_path: Path) -> None:
    assert read_sample(written(tmp_path, '{"town": "Ulm", "rows": 3}')) == [{"town": "Ulm", "rows": 3}]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_with_every_usual_separator(tmp_path: Path, separator: str) -> None:
    lines = [["town", "size", "zip", "open"], ["Ulm", "1.5", "01234", "true"], ["", "", "", "FALSE"]]
    path = written(tmp_path, "\n".join(separator.join(line) for line in lines) + "\n", "rows.csv")
    assert read_sample(path) == [
        {"town": "Ulm", "size": 1.5, "zip": "01234", "open": True},
        {"town": None, "size": None, "zip": None, "open": False},
    ]


def test_csv_with_quotes_and_line_breaks_in_a_cell(tmp_path: Path) -> None:
    path = written(tmp_path, 'note,size\n"late, again\nand again",3\n', "rows.csv")
    assert read_sample(path) == [{"note": "late, again\nand again", "size": 3}]


def test_csv_with_one_column(tmp_path: Path) -> None:
    assert read_sample(written(tmp_path, "size\n1\n2\n", "rows.csv")) == [{"size": 1}, {"size": 2}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no rows"),
        ("[]", "holds no rows"),
        ("a,b\n", "holds no rows"),
        ("[1, 2]", "does not hold records"),
        ('[{"a": 1}', "not valid JSON"),
        ("a,b\n1,2,3\n", "more or fewer cells"),
        ("a,b\n1\n", "more or fewer cells"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read_sample(written(tmp_path, text))


def test_a_missing_sample_and_one_in_another_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_sample(tmp_path / "nowhere.json")
    (tmp_path / "rows.csv").write_bytes("town\nK\u00f6ln\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match="UTF-8"):
        read_sample(tmp_path / "rows.csv")


def test_only_the_first_rows_are_kept(tmp_path: Path) -> None:
    many = [{"size": index} for index in range(MAX_ROWS + 50)]
    assert len(read_sample(written(tmp_path, json.dumps(many)))) == MAX_ROWS
    assert len(read_sample(written(tmp_path, "size\n" + "\n".join(map(str, range(300))), "rows.csv"))) == MAX_ROWS


def test_columns_that_the_sample_lacks_are_named(tmp_path: Path) -> None:
    signature = Signature("columns", (TensorSpec("town", "BYTES"), TensorSpec("size", "FP64")), ())
    with pytest.raises(InvalidInput) as caught:
        check_columns(signature, [{"Town": "Ulm", "size": 1}], tmp_path / "rows.json")
    assert caught.value.expected == "town"
    assert caught.value.got == "Town, size"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80))
def test_no_text_makes_reading_fail_in_another_way(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    rows: list[dict[str, Any]] = []
    try:
        rows = read_sample(path)
    except InvalidInput:
        return
    assert rows
