"""A file of distinct entities and texts is loaded some rows at a time, however many they are: whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import URL

from tests.support.peak import Measured
from tidegate.store.address import Address, whole

#: As many rows as several parts of a load have; a part is 2,000.
FEW, MANY, CHARACTERS = 2_000, 12_000, 1_000
#: What the many take at most beside what the few have taken, in bytes: less than they are.
_BOUND = MANY * CHARACTERS * 3 // 4
_LOAD = """
import sys
from pathlib import Path
import pyarrow as pa
from tidegate.contract.errors import InvalidInput
from tidegate.features import FeatureStore
from tidegate.store.address import parse_address

folder = Path(sys.argv[2])
with FeatureStore(parse_address(sys.argv[1])) as store:
    for form in ("jsonl", "csv", "parquet"):
        store.create(form, "customer")
        store.load(form, folder / f"few.{form}")
        peak = PeakMemory()
        written = store.load(form, folder / f"many.{form}").written
        # Arrow keeps much of what it has let go of, whatever it reads: so that is its own count.
        grown = pa.default_memory_pool().max_memory() if form == "parquet" else peak.growth()
        print(form, written, store.holdings(form).entities, grown)
    try:
        store.load("jsonl", folder / "damaged.jsonl", most_refused=0)
    except InvalidInput:
        print("damaged", 0, store.holdings("jsonl").entities, 0)
"""


def row(number: int) -> dict[str, object]:
    text = f"{number:09} is not like any other; " * (CHARACTERS // 32)
    return {"customer": f"customer {number:09}", "at": "2026-01-01T00:00:00Z", "text": text, "number": number}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    for name, count in (("few", FEW), ("many", MANY)):
        rows = [row(number) for number in range(count)]
        (made / f"{name}.jsonl").write_text("".join(as_json(rows)))
        cells = (",".join(map(str, one.values())) + "\n" for one in rows)
        (made / f"{name}.csv").write_text(",".join(row(0)) + "\n" + "".join(cells))
        # All of it is one row group, and nothing of it is made smaller.
        table = pa.Table.from_pylist(rows)
        parquet.write_table(table, made / f"{name}.parquet", use_dictionary=False, compression="none")
    others = [row(number) for number in range(MANY, MANY + 2 * FEW)]
    (made / "damaged.jsonl").write_text("".join([*as_json(others), '{"customer": ""}\n']))
    return made


def as_json(rows: list[dict[str, object]]) -> Iterator[str]:
    return (json.dumps(one) + "\n" for one in rows)


def test_a_large_file_takes_no_more_memory_than_a_small_one_and_a_damaged_one_leaves_nothing(
    address: Address, folder: Path
) -> None:
    store = whole(address.set(drivername="postgresql")) if isinstance(address, URL) else str(address)
    done = Measured(_LOAD, store, str(folder)).ended()
    assert done.code == 0, done.errors
    told = {form: tuple(map(int, facts)) for form, *facts in map(str.split, done.out.splitlines())}
    assert told.pop("damaged") == (0, MANY, 0)
    assert {form: facts[:2] for form, facts in told.items()} == dict.fromkeys(
        ("jsonl", "csv", "parquet"), (MANY - FEW, MANY)
    )
    assert max(grown for *_, grown in told.values()) < _BOUND, told
