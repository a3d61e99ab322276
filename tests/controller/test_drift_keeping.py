"""A reference is read once, in a process of its own, and what is kept of it is what the model has."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from tests.support import models
from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import parse_request
from tidegate.controller.admission import Admitted
from tidegate.controller.drift.keeping import all_with_kept_references, read_kept
from tidegate.drift import Reference
from tidegate.drift.files import write_reference


@dataclass
class Manifest:
    signature: dict[str, Any]


@dataclass
class Info:
    manifest: Manifest


def tensor(name: str, datatype: str = "FP64", shape: tuple[int, ...] = (-1,), **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape), **more}


def admitted(reference: Path, **fields: Any) -> Admitted:
    document = {"modelArtifact": {"path": "/m"}, "servingRequirements": {}}
    request = parse_request({**document, "drift": {"reference": str(reference), **fields}})
    inputs = [tensor("distance"), tensor("hour"), tensor("carrier", "BYTES")]
    signature = {
        "kind": "columns",
        "inputs": inputs,
        "outputs": [tensor("prediction"), tensor("scores", shape=(-1, 3))],
    }
    return Admitted(request, cast("Any", Info(Manifest(signature))), cast("Any", None), None)


def kept(reference: Path, folder: Path, *, write: bool = True, **fields: Any) -> Path:
    (one,) = asyncio.run(all_with_kept_references([admitted(reference, **fields)], folder, write=write))
    assert one.request.drift is not None
    return Path(one.request.drift.reference)


def rows() -> pd.DataFrame:
    frame = cast("pd.DataFrame", models.flights(500, seed=3))
    return frame.assign(prediction=1.0, **{"scores[1]": np.linspace(0, 1, 500)}, booked_by="ada")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "reference.parquet"
    rows().to_parquet(path)
    return path


def test_data_and_what_was_written_of_it_are_kept_as_the_same_bins(data: Path, tmp_path: Path) -> None:
    written = tmp_path / "reference.json"
    write_reference(Reference.of(rows()), written)
    path = kept(data, tmp_path / "kept")
    assert kept(written, tmp_path / "kept") == path
    assert kept(path, tmp_path / "kept") == path
    found = read_kept(path)
    # What the model neither takes nor answers is not kept, nor is any number of a row.
    assert set(found.columns) == {"distance", "hour", "carrier", "prediction", "scores[1]"}
    assert all(column.ordered is None for column in found.columns.values())
    data.unlink()
    assert read_kept(path).rows == 500


def test_named_columns_alone_are_kept_and_a_stranger_is_refused(data: Path, tmp_path: Path) -> None:
    assert set(read_kept(kept(data, tmp_path / "kept", columns=["hour"])).columns) == {"hour"}
    with pytest.raises(InvalidInput, match="the model has no booked_by") as refused:
        kept(data, tmp_path / "kept", columns=["hour", "booked_by"])
    assert "distance, hour, carrier, prediction, scores" in str(refused.value.expected)
    with pytest.raises(InvalidInput, match="has no column 'town'"):
        kept(data, tmp_path / "kept", columns=["town"])


def test_a_dry_run_names_the_copy_and_makes_none(data: Path, tmp_path: Path) -> None:
    path = kept(data, tmp_path / "kept", write=False)
    assert not path.exists()
    assert kept(data, tmp_path / "kept") == path


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.parquet", None, "there is no file"),
        ("reference.json", b"{}", "this is no reference"),
        ("reference.json", b"[" * 100_000, "cannot be read"),
        ("data.parquet", b"PAR1 and nothing else", "cannot be read"),
        ("data.xlsx", b"", "is of no known form"),
        ("data.csv", b"town\nulm\nbonn\n", "no column that the model takes or answers"),
    ],
)
def test_what_cannot_be_watched_by_is_refused(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=told):
        kept(path, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_copy_that_was_changed_is_not_used(data: Path, tmp_path: Path) -> None:
    path = kept(data, tmp_path / "kept")
    plain = json.loads(path.read_bytes())
    path.chmod(0o600)
    path.write_text(json.dumps({**plain, "rows": 7}))
    with pytest.raises(InvalidInput, match="was changed after it was kept"):
        read_kept(path)


def test_levels_that_take_too_much_room_are_refused(tmp_path: Path) -> None:
    many = tmp_path / "many.parquet"
    pd.DataFrame({"carrier": [f"{at:0200}" for at in range(60_000)]}).to_parquet(many)
    with pytest.raises(InvalidInput, match="bytes of bins and levels") as refused:
        kept(many, tmp_path / "kept")
    assert "drift.columns" in str(refused.value.hint)
