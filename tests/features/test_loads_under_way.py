"""Loads at the same time, and loads that are killed: whoever looks sees all of a load or nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.engine import URL

from tests.support.postgresql import Postgresql
from tidegate.contract.errors import Unavailable
from tidegate.features import FeatureStore
from tidegate.store.address import Address

START = datetime(2026, 1, 1, tzinfo=UTC)

#: Loads rows without end from its standard input, or stops for ever in the transaction, behind its last write.
LOADER = """
import sys, threading
from sqlalchemy import Engine, event
from tidegate.features import FeatureStore
from tidegate.store.address import parse_address

def tell(*words):
    print(*words, flush=True)

@event.listens_for(Engine, "before_cursor_execute")
def stop(connection, cursor, statement, *_):
    if statement.lstrip().startswith("INSERT INTO") and "feature_quarantine" in statement:
        tell("written")
        threading.Event().wait()

with FeatureStore(parse_address(sys.argv[1])) as store:
    store.load("customers", sys.stdin.buffer, form="jsonl", progress=lambda read, _: tell("read", read))
"""


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def text(address: Address) -> str:
    return address.render_as_string(hide_password=False) if isinstance(address, URL) else str(address)


@contextmanager
def loading(address: Address) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", LOADER, text(address)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def send(process: subprocess.Popen[bytes], rows: int) -> None:
    assert process.stdin is not None
    for number in range(rows):
        line = json.dumps({"customer": str(number), "at": hour(1).isoformat(), "n": number})
        process.stdin.write(line.encode() + b"\n")
    process.stdin.flush()


def wait_for(process: subprocess.Popen[bytes], word: bytes) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return
    raise AssertionError(f"the loader ended with {process.wait()}")


@pytest.mark.parametrize("moment", ["reading", "writing"])
def test_a_load_that_is_killed_leaves_nothing_half_written(
    customers: FeatureStore, address: Address, moment: str
) -> None:
    customers.load("customers", [{"customer": "1", "at": hour(0), "n": -1}])
    with loading(address) as process:
        send(process, 6_000)
        wait_for(process, b"read 4000")
        if moment == "writing":
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
            wait_for(process, b"written")
        # Who looks while it is under way sees nothing of it, and does not wait.
        assert customers.get("customers", ["1"])["1"].vector == {"n": -1}
    held = customers.holdings("customers")
    assert (held.entities, held.vectors, held.quarantined) == (1, 1, 0)
    done = customers.load("customers", [{"customer": "2", "at": hour(1), "n": 2}])
    assert done.written == 1


def test_loads_at_the_same_time_are_as_if_one_came_after_the_other(customers: FeatureStore, address: Address) -> None:
    names = ["a", "b", "c"]

    def load(times: list[int]) -> None:
        with FeatureStore(address) as own:
            for at in times:
                own.load("customers", [{"customer": name, "at": hour(at), "n": at} for name in names])

    over = threading.Event()
    seen: list[list[int]] = []

    def look() -> None:
        with FeatureStore(address) as own:
            while not over.is_set():
                found = own.get("customers", names)
                seen.append([found[name].vector["n"] for name in names if name in found])

    with ThreadPoolExecutor() as pool:
        looking = pool.submit(look)
        loads = [pool.submit(load, [(part * 7 + step * 5) % 24 for step in range(6)]) for part in range(4)]
        try:
            for one in loads:
                one.result()
        finally:
            over.set()
        looking.result()
    assert {name: one.vector["n"] for name, one in customers.get("customers", names).items()} == dict.fromkeys(
        names, max((part * 7 + step * 5) % 24 for step in range(6) for part in range(4))
    )
    # Each look saw all of a load or nothing, and never an older vector than the look before.
    assert all(len(set(one)) <= 1 and len(one) in (0, 3) for one in seen)
    newest = [one[0] for one in seen if one]
    assert newest == sorted(newest)
    past = customers.history("customers", "a")
    assert len({one.written_at for one in past}) == len(past)


def test_views_load_beside_each_other(customers: FeatureStore, address: Address) -> None:
    """One load waits for its rows for as long as it likes; another goes through meanwhile."""
    customers.create("others", "customer")
    with loading(address) as process:
        send(process, 2_000)
        wait_for(process, b"read 2000")
        assert customers.load("others", [{"customer": "1", "at": hour(1)}]).written == 1
        assert customers.load("customers", [{"customer": "1", "at": hour(1)}]).written == 1


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_connection_that_is_cut_ends_a_load_and_nothing_else(
    customers: FeatureStore, address: URL, server: Postgresql
) -> None:
    def cut() -> None:
        of_ours = f"WHERE datname = '{address.database}'"
        server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {of_ours}")  # noqa: S608

    def rows() -> Iterator[dict[str, Any]]:
        yield {"customer": "1", "at": hour(1)}
        cut()

    with pytest.raises(Unavailable):
        customers.load("customers", rows())
    assert customers.get("customers", ["1"]) == {}
    cut()
    assert customers.load("customers", [{"customer": "1", "at": hour(1)}]).written == 1
