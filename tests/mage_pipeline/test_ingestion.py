"""Ingestion from an HTTP API that throttles, fails, drops connections and repeats itself: every record once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT
from tests.mage_pipeline.conftest import Api, records
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.features import FeatureStore
from tidegate_pipeline.fetching import Fetcher, client_of
from tidegate_pipeline.ingestion import Ingested, Ingestion
from tidegate_pipeline.source import Source
from tidegate_pipeline.state import PipelineState

Serve = Callable[[list[Any]], Api]


def ingest(source: Source, features: FeatureStore, state: PipelineState) -> Ingested:
    async def run() -> Ingested:
        async with client_of(source) as client:
            return await Ingestion(source, features, state, Fetcher(source, client)).run()

    return asyncio.run(run())


def assert_each_once(features: FeatureStore, wanted: list[dict[str, Any]], view: str = "flights") -> None:
    """Assert that the history has each record once, whatever came how often."""
    holdings = features.holdings(view)
    assert holdings.vectors == holdings.entities == len(wanted)
    assert holdings.quarantined == 0
    found = features.get(view, [one["flight"] for one in wanted])
    for one in wanted:
        kept = found[one["flight"]]
        assert kept.vector == {"delay": one["delay"]}
        assert kept.at.isoformat().startswith(one["at"].rstrip("Z"))


@pytest.mark.parametrize("path", ["/records", "/tokens", "/links"])
def test_every_record_is_taken_once_from_a_server_with_every_bad_habit(
    path: str, serve: Serve, features: FeatureStore, state: PipelineState
) -> None:
    wanted = records(200)
    api = serve(wanted)
    done = ingest(api.source(path), features, state)
    assert_each_once(features, wanted)
    asked = api.asked()
    # All of it happened.
    assert min(asked["failed"], asked["dropped"], asked["cut"]) >= 1
    # Of pages after the last one that were asked for ahead, nobody waits to see how their requests end.
    assert done.http.failed >= sum(any(page % each == 0 for each in (3, 5, 7)) for page in range(1, done.pages + 1))
    assert done.written == 200
    assert done.records == done.written + done.unchanged > 220
    assert done.dead_records == done.dead_pages == 0
    assert asked["most_at_once"] <= api.source(path).concurrency


def test_who_asks_too_fast_waits_as_long_as_the_server_says(
    serve: Serve, features: FeatureStore, state: PipelineState
) -> None:
    api = serve(records(800))
    begun = time.monotonic()
    done = ingest(api.source(concurrency=16), features, state)
    assert done.http.throttled == api.asked()["throttled"] >= 1
    assert time.monotonic() - begun > 1
    # A refusal is followed by silence, not by the other requests one after the other.
    assert done.http.throttled <= 16 * (done.http.requests / 60 + 1)
    assert_each_once(features, records(800))


def test_a_rate_is_kept_without_any_refusal(serve: Serve, features: FeatureStore, state: PipelineState) -> None:
    api = serve(records(200))
    begun = time.monotonic()
    done = ingest(api.source(requestsPerSecond=25, burst=1), features, state)
    assert done.http.throttled == 0
    assert time.monotonic() - begun >= (done.http.requests - 1) / 25 - 0.1


def test_the_same_again_changes_nothing_and_new_records_are_found(
    tmp_path: Path, serve: Serve, features: FeatureStore, state: PipelineState
) -> None:
    ingest(serve(records(95)).source(), features, state)
    later = serve(records(130))
    done = ingest(later.source(), features, state)
    assert done.written == 35
    # It went on at its cursor: the first pages were not asked for.
    assert "1" not in later.asked()["pages"]
    again = ingest(later.source(), features, state)
    assert again.written == 0
    assert again.pages <= 2
    assert_each_once(features, records(130))


def test_streams_have_cursors_of_their_own(serve: Serve, features: FeatureStore, state: PipelineState) -> None:
    api = serve(records(60))
    streams = [{"name": "early", "params": {"part": "1"}}, {"name": "late", "params": {"part": "2"}}]
    done = ingest(api.source(streams=streams), features, state)
    assert done.written == 60
    assert state.cursor("flights", "early") == state.cursor("flights", "late") is not None


def test_what_is_no_vector_is_a_dead_letter_once(serve: Serve, features: FeatureStore, state: PipelineState) -> None:
    bad = [
        {"at": "2013-01-01"},
        "text",
        {"flight": "X", "at": "yesterday"},
        {"flight": "Y", "at": "2013-01-01", "n": {}},
    ]
    wanted = records(40)
    api = serve([*wanted[:20], *bad[:3], *wanted[20:]])
    done = ingest(api.source(), features, state)
    assert done.written == 40
    assert_each_once(features, wanted)
    letters = state.letters("flights")
    assert {one["reason"] for one in letters} == {
        "flight: is missing",
        "is not an object",
        "at: expected a date or time in ISO 8601, got 'yesterday'",
    }
    assert {json.loads(one["payload"]) if one["payload"].startswith('"') else "object" for one in letters} == {
        "text",
        "object",
    }
    state.forget("flights")
    ingest(api.source(), features, state)
    assert len(state.letters("flights")) == 3


def test_a_page_that_is_not_to_be_had_is_left_out_and_asked_for_again_by_the_next_run(
    serve: Serve, features: FeatureStore, state: PipelineState
) -> None:
    wanted = records(100)
    api = serve(wanted)
    done = ingest(api.source("/hole"), features, state)
    assert done.dead_pages == 2
    assert done.written == 100 - 18  # two of the twenty are shown again by the page after
    assert [one["position"] for one in state.letters("flights")] == [{"page": 3}, {"page": 2}]
    mended = ingest(api.source("/records"), features, state)
    assert mended.recovered == 2
    assert_each_once(features, wanted)
    assert state.letters("flights") == []


def test_too_many_lost_pages_end_the_run_before_the_first_of_them(
    serve: Serve, features: FeatureStore, state: PipelineState
) -> None:
    wanted = records(100)
    api = serve(wanted)
    with pytest.raises(Unavailable, match="does not give page 2"):
        ingest(api.source("/hole", mostLost=1), features, state)
    assert features.holdings("flights").vectors == 10
    cursor = state.cursor("flights", "all")
    assert cursor is not None
    assert cursor.position == {"page": 2}
    assert state.letters("flights") == []
    ingest(api.source("/records"), features, state)
    assert_each_once(features, wanted)


def test_a_server_that_is_away_ends_the_run_and_loses_nothing(
    features: FeatureStore, state: PipelineState, serve: Serve
) -> None:
    api = serve(records(10))
    away = Api("http://127.0.0.1:1", api.records)
    with pytest.raises(Unavailable, match="ConnectError"):
        ingest(away.source(attempts=2), features, state)
    assert state.cursor("flights", "all") is None
    assert state.letters("flights") == []


def test_who_may_not_ask_is_told_so_at_once(serve: Serve, features: FeatureStore, state: PipelineState) -> None:
    with pytest.raises(InvalidInput, match="answered 403") as told:
        ingest(serve([]).source("/forbidden"), features, state)
    assert "tokenFromEnv" in str(told.value)


def test_a_server_that_asks_for_a_day_is_not_waited_for(
    serve: Serve, features: FeatureStore, state: PipelineState
) -> None:
    with pytest.raises(Unavailable, match="come again in 86,400 s"):
        ingest(serve([]).source("/later"), features, state)


def test_a_source_that_goes_round_is_not_read_for_ever(
    serve: Serve, features: FeatureStore, state: PipelineState
) -> None:
    with pytest.raises(InvalidInput, match="goes round"):
        ingest(serve(records(5)).source("/round"), features, state)


def test_after_kill_9_it_goes_on_and_has_every_record_once(
    tmp_path: Path, serve: Serve, features: FeatureStore, state: PipelineState, address: Any
) -> None:
    wanted = records(400)
    api = serve(wanted)
    source = api.source(params={"delay": "0.05"}, pagesPerLoad=3, requestsPerSecond=40)
    file = tmp_path / "source.yaml"
    file.write_text(yaml.safe_dump(source.as_document()))
    store = str(address) if isinstance(address, Path) else address.render_as_string(hide_password=False)
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "stack" / "mage_pipeline")])
    environment = {**os.environ, "PYTHONPATH": path, "TIDEGATE_STORE": store, "TIDEGATE_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "tidegate_pipeline", "ingest", str(file), "--output", "json"]
    killed = []
    for least in (90, 210):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + 60
            while features.holdings("flights").vectors < least:
                assert process.poll() is None, "it ended before it was killed"
                assert time.monotonic() < deadline
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert process.returncode == -signal.SIGKILL
        cursor = state.cursor("flights", "all")
        assert cursor is not None
        assert not cursor.is_done
        killed.append(cursor.position["page"])
    assert killed == sorted(killed)
    first_before = api.asked()["pages"]["1"]
    last = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    done = json.loads(last.stdout)
    assert_each_once(features, wanted)
    assert 0 < done["written"] <= 400 - 210
    # The last run began at the cursor, not at the beginning.
    assert api.asked()["pages"]["1"] == first_before
    cursor = state.cursor("flights", "all")
    assert cursor is not None
    assert cursor.is_done
