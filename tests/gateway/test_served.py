"""Which revision served which request, as Envoy notes it: users' requests alone, over REST and gRPC, and never lost."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as messages

from tests.gateway.conftest import Run, Tiny
from tests.support.traffic import until
from tidegate.gateway import served_notes
from tidegate.gateway.base import NotesPosition, NotesPositions, RevisionRef, Served, Snapshot, Trial
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.grpc_routes import DEPLOYMENT_HEADER
from tidegate.gateway.served import MARK_HEADER

STABLE, CANDIDATE = RevisionRef("churn", 1), RevisionRef("churn", 2)


@pytest.fixture(scope="module")
def canary(tiny: Callable[..., Tiny]) -> Snapshot:
    endpoints = {STABLE: (tiny("1", "--grpc").endpoint,), CANDIDATE: (tiny("2", "--grpc").endpoint,)}
    return Snapshot(endpoints, {"churn": {1: 50, 2: 50}}, {"churn": 5.0}, {"churn": Trial(2, noted=True)})


class Reader:
    """Reads on from where it was, as the controller does."""

    def __init__(self, gateway: EnvoyGateway) -> None:
        self.gateway = gateway
        self.positions: NotesPositions = {}
        self.seen: list[Served] = []

    async def more(self) -> list[Served]:
        while True:
            notes = await self.gateway.served(self.positions)
            self.seen += notes.entries
            if notes.positions == self.positions:
                return self.seen
            self.positions = notes.positions

    async def all_of(self, ids: set[str]) -> dict[str, int]:
        seen = await until(self.more, lambda seen: {one.request_id for one in seen} >= ids)
        return {one.request_id: one.ref.revision for one in seen if one.request_id in ids}


@pytest.fixture
def reader(run: Run[Any], gateway: EnvoyGateway) -> Reader:
    opened = Reader(gateway)
    run(opened.more())
    opened.seen.clear()
    return opened


async def asked(url: str, count: int = 40, **headers: str) -> dict[str, int]:
    """Ask so many times with ids of our own and return which revision answered each."""
    answered = {}
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(count):
            chosen = f"order {uuid.uuid4()}"
            answer = await client.get(url, headers={"x-request-id": chosen, **headers})
            assert answer.status_code == 200
            answered[chosen] = int(answer.json()["name"])
    return answered


def test_each_request_is_noted_with_the_revision_that_answered_it(
    run: Run[Any], gateway: EnvoyGateway, canary: Snapshot, reader: Reader
) -> None:
    async def observe() -> None:
        await gateway.apply(canary)
        answered = await asked(f"{gateway.url}/churn/x")
        assert set(answered.values()) == {1, 2}
        assert await reader.all_of(set(answered)) == answered

    run(observe())


def test_the_gateways_own_ids_are_noted_as_users_get_them(
    run: Run[Any], gateway: EnvoyGateway, canary: Snapshot, reader: Reader
) -> None:
    async def observe() -> None:
        await gateway.apply(canary)
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = [await client.get(f"{gateway.url}/v2/models/churn/x") for _ in range(10)]
        answered = {answer.headers["x-request-id"]: int(answer.json()["name"]) for answer in answers}
        assert await reader.all_of(set(answered)) == answered

    run(observe())


def test_calls_over_grpc_are_noted_too(run: Run[Any], gateway: EnvoyGateway, canary: Snapshot, reader: Reader) -> None:
    async def observe() -> None:
        await gateway.apply(canary)
        answered = {}
        async with grpc.aio.insecure_channel(gateway.url.removeprefix("http://")) as channel:
            ask = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=messages.ModelInferRequest.SerializeToString,
                response_deserializer=messages.ModelInferResponse.FromString,
            )
            for _ in range(20):
                chosen = str(uuid.uuid4())
                metadata = ((DEPLOYMENT_HEADER, "churn"), ("x-request-id", chosen))
                answer = await ask(messages.ModelInferRequest(model_name="churn"), metadata=metadata)
                answered[chosen] = int(answer.model_name)
        assert await reader.all_of(set(answered)) == answered

    run(observe())


def test_copies_and_the_preview_and_requests_that_want_no_notes_are_in_none(
    run: Run[Any], gateway: EnvoyGateway, canary: Snapshot, reader: Reader
) -> None:
    async def observe() -> None:
        trials = {"churn": Trial(2, mirror=100, noted=True)}
        other = {RevisionRef("other", 1): canary.endpoints[STABLE]}
        splits = {"churn": {1: 100}, "other": {1: 100}}
        shadow = replace(canary, splits=splits, trials=trials, endpoints={**canary.endpoints, **other})
        await gateway.apply(shadow)
        unnoted = set(await asked(f"{gateway.url}/other/x", 10))
        unnoted |= set(await asked(f"{gateway.url}/churn@preview/x", 10, **{MARK_HEADER: "1"}))
        answered = await asked(f"{gateway.url}/churn/x", 10)
        assert await reader.all_of(set(answered)) == dict.fromkeys(answered, 1)
        noted = [one.request_id for one in reader.seen]
        assert unnoted.isdisjoint(noted)
        assert len(noted) == len(set(noted))

    run(observe())


def test_no_note_is_lost_or_doubled_when_the_file_is_turned_over(
    run: Run[Any], gateway: EnvoyGateway, canary: Snapshot, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_notes, "TURN_BYTES", 2000)

    async def observe() -> None:
        await gateway.apply(canary)
        answered: dict[str, int] = {}
        for _ in range(6):
            answered |= await asked(f"{gateway.url}/churn/x", 50)
            await reader.more()
        assert await reader.all_of(set(answered)) == answered
        noted = [one.request_id for one in reader.seen if one.request_id in answered]
        assert len(noted) == len(set(noted))

    run(observe())


def test_a_reader_that_begins_anew_in_the_middle_of_a_turn_goes_on_from_there(tmp_path: Path) -> None:
    path, aside = tmp_path / "served.log", tmp_path / "served.log.1"
    path.write_bytes(b"1.000 churn|1 a\n2.000 churn|2 b\n3.000 chu")
    first = served_notes.read(path, NotesPosition())
    assert [one.request_id for one in first.entries] == ["a", "b"]
    # Envoy has not finished a line; the file is renamed under it and finished there.
    path.rename(aside)
    with aside.open("ab") as stream:
        stream.write(b"rn|1 c\n")
    assert [one.request_id for one in served_notes.read(path, first.position).entries] == ["c"]
    then = served_notes.read(path, first.position).position
    assert served_notes.read(path, then).wants_reopening
    path.write_bytes(b"4.000 churn|2 d\n")
    last = served_notes.read(path, then)
    assert last.entries == (Served(CANDIDATE, "d", 4000),)
    assert not aside.exists()


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n"), max_size=250))
def test_any_line_is_a_note_or_none(text: str) -> None:
    noted = served_notes.parse(f"1.5 churn|2 {text}".encode())
    assert noted is None or noted == Served(CANDIDATE, text, 1500)
    served_notes.parse(text.encode())
