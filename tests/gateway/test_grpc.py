"""Calls over gRPC through a real Envoy: they find their deployment, are split, and count as requests over REST do."""

from __future__ import annotations

import asyncio
import gzip
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc

from tests.gateway.conftest import Run, Tiny
from tests.support.traffic import until
from tidegate.gateway.base import Counts, Endpoint, RevisionRef, Snapshot
from tidegate.gateway.envoy import EnvoyGateway

#: One worker runs them all: they share one Envoy.
CHURN, FRAUD = RevisionRef("churn", 1), RevisionRef("fraud", 1)
LARGEST = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def stub(gateway: EnvoyGateway) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(gateway.url.removeprefix("http://"), options=options) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="module")
def replicas(tiny: Callable[..., Tiny]) -> dict[str, Endpoint]:
    return {name: tiny(name, "--grpc").endpoint for name in ("one", "two")}


Put = Callable[..., Counts]


@pytest.fixture
def put(run: Run[Any], gateway: EnvoyGateway) -> Callable[..., None]:
    """Put these replicas behind revisions of `churn` and `fraud`, once the gateway finds them healthy."""

    def put_in_place(
        endpoints: dict[RevisionRef, tuple[Endpoint, ...]], split: dict[int, int] | None = None, timeout: float = 5.0
    ) -> None:
        run(gateway.apply(Snapshot({}, {}, {})))
        # So that counters begin at zero: Envoy keeps those of a cluster while a connection of it is still being ended.
        run(until(gateway.read, lambda reading: not reading.counts))
        names = {ref.deployment for ref in endpoints}
        splits = {name: {1: 100} for name in names} | ({"churn": split} if split else {})
        run(gateway.apply(Snapshot(endpoints, splits, dict.fromkeys(names, timeout))))
        wanted = {ref: frozenset(listed) for ref, listed in endpoints.items()}
        run(until(gateway.healthy, lambda healthy: healthy == wanted))

    return put_in_place


def request(model: str, size: int = 0) -> messages.ModelInferRequest:
    return messages.ModelInferRequest(model_name=model, raw_input_contents=[bytes(size)] if size else [])


def counted(run: Run[Any], gateway: EnvoyGateway, met: Callable[[Counts], bool], ref: RevisionRef = CHURN) -> Counts:
    async def ask() -> Counts:
        return (await gateway.read()).counts[ref]

    found: Counts = run(until(ask, met, seconds=5))
    return found


def status_of(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as failed:
        call()
    return failed.value.code(), failed.value.details()


def test_a_call_goes_to_the_deployment_that_its_message_names(
    stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],), FRAUD: (replicas["two"],)})
    assert stub.ModelInfer(request("churn")).model_name == "one"
    assert stub.ModelInfer(request("fraud")).model_name == "two"


def test_metadata_names_the_deployment_of_a_message_that_is_compressed(
    stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],), FRAUD: (replicas["two"],)})
    message, packed = request("fraud", 5000), grpc.Compression.Gzip
    answer = stub.ModelInfer(message, metadata=[("x-tidegate-deployment", "fraud")], compression=packed)
    assert answer.model_name == "two"
    code, details = status_of(lambda: stub.ModelInfer(message, compression=packed))
    assert code is grpc.StatusCode.NOT_FOUND
    assert "x-tidegate-deployment" in details


def test_calls_are_split_as_requests_are(
    run: Run[Any], gateway: EnvoyGateway, stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],), RevisionRef("churn", 2): (replicas["two"],)}, {1: 70, 2: 30})
    answers = Counter(stub.ModelInfer(request("churn")).model_name for _ in range(600))
    # Five standard deviations of a binomial: wrong once in two million runs.
    assert abs(answers["two"] - 600 * 0.3) < 5 * math.sqrt(600 * 0.3 * 0.7)
    counts = counted(run, gateway, lambda counts: counts.requests == answers["one"])
    assert counts.errors == 0
    assert counted(run, gateway, lambda counts: counts.requests == answers["two"], RevisionRef("churn", 2)).errors == 0


@pytest.mark.parametrize(
    ("kind", "codes"), [("rejections", (3, 5, 7, 9, 11, 12, 16)), ("errors", (2, 4, 8, 13, 14, 15))]
)
def test_a_status_counts_as_what_http_has_for_it(  # noqa: PLR0917 -- fixtures
    run: Run[Any],
    gateway: EnvoyGateway,
    stub: Any,
    put: Callable[..., None],
    replicas: dict[str, Endpoint],
    kind: str,
    codes: tuple[int, ...],
) -> None:
    put({CHURN: (replicas["one"],)})
    wanted = {"errors": 0, "rejections": 0}
    for asked, code in enumerate(codes, start=1):
        got, _ = status_of(lambda code=code: stub.ModelInfer(request("churn"), metadata=[("x-code", str(code))]))
        assert got.value[0] == code
        stub.ModelInfer(request("churn"))
        counts = counted(run, gateway, lambda counts, asked=asked: counts.requests == 2 * asked)
        wanted[kind] = asked
        assert {"errors": counts.errors, "rejections": counts.rejections} == wanted, code


def test_rest_and_grpc_count_together_and_durations_too(
    run: Run[Any], gateway: EnvoyGateway, stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],)})
    for _ in range(4):
        stub.ModelInfer(request("churn"), metadata=[("x-delay-ms", "60")])
        httpx.get(f"{gateway.url}/churn/x", headers={"x-delay-ms": "60"}, trust_env=False)
        httpx.get(f"{gateway.url}/churn/x", trust_env=False)
    counts = counted(run, gateway, lambda counts: sum(bucket.count for bucket in counts.durations) == 12)
    assert counts.requests == 12
    assert counts.slower_than(50) == 8


def test_a_revision_without_replicas_fails_its_calls(
    run: Run[Any], gateway: EnvoyGateway, stub: Any, put: Callable[..., None]
) -> None:
    put({CHURN: ()})
    assert status_of(lambda: stub.ModelInfer(request("churn")))[0] is grpc.StatusCode.UNAVAILABLE
    counts = counted(run, gateway, lambda counts: counts.requests == 1)
    assert counts.errors == 1


def test_a_call_beyond_the_time_limit_is_an_error(
    run: Run[Any], gateway: EnvoyGateway, stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],)}, timeout=0.3)
    slow = [("x-delay-ms", "9000")]
    for _ in range(2):
        assert (
            status_of(lambda: stub.ModelInfer(request("churn"), metadata=slow))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        )
    counts = counted(run, gateway, lambda counts: counts.requests == 2)
    assert (counts.errors, counts.abandoned) == (2, 0)


def test_a_call_that_is_not_answered_by_its_clients_deadline_is_an_error(
    run: Run[Any], gateway: EnvoyGateway, stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],)}, timeout=20.0)
    slow = [("x-delay-ms", "15000")]
    code, _ = status_of(lambda: stub.ModelInfer(request("churn"), metadata=slow, timeout=1.0))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    counts = counted(run, gateway, lambda counts: counts.requests + counts.abandoned == 1)
    assert (counts.errors, counts.abandoned) == (1, 0)


def test_a_call_that_the_user_gave_up_is_counted_as_abandoned(
    run: Run[Any], gateway: EnvoyGateway, stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],)}, timeout=20.0)

    async def give_up() -> None:
        before = await seen()
        call = stub.ModelInfer.future(request("churn"), metadata=[("x-delay-ms", "15000")])
        await until(seen, lambda count: count > before)
        call.cancel()

    async def seen() -> int:
        async with httpx.AsyncClient(trust_env=False) as client:
            at = replicas["one"]
            return int((await client.get(f"http://{at.host}:{at.port}/v2/health/live")).json()["served"])

    run(give_up())
    counts = counted(run, gateway, lambda counts: counts.abandoned == 1)
    assert (counts.requests, counts.errors) == (0, 0)


def test_a_large_message_passes_and_one_beyond_the_limit_is_nobodys_error(
    run: Run[Any], gateway: EnvoyGateway, stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],)})
    assert stub.ModelInfer(request("churn", LARGEST - 1000)).model_name == "one"
    status_of(lambda: stub.ModelInfer(request("churn", LARGEST + 1000)))
    counts = counted(run, gateway, lambda counts: counts.requests >= 1)
    assert (counts.requests, counts.errors) == (1, 0)


def test_questions_about_the_server_are_answered_and_are_no_requests(
    run: Run[Any], gateway: EnvoyGateway, stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],)})
    # A tiny replica knows `ModelInfer` alone, so that it was asked shows in its refusal.
    assert status_of(lambda: stub.ServerLive(messages.ServerLiveRequest()))[0] is grpc.StatusCode.UNIMPLEMENTED
    stub.ModelInfer(request("churn"))
    assert counted(run, gateway, lambda counts: counts.requests >= 1).requests == 1


@pytest.mark.parametrize("model", ["nobody", "", "Not A Name", "x" * 5000])
def test_a_model_that_no_deployment_has_is_not_found(
    stub: Any, put: Callable[..., None], replicas: dict[str, Endpoint], model: str
) -> None:
    put({CHURN: (replicas["one"],)})
    code, details = status_of(lambda: stub.ModelInfer(request(model)))
    assert code is grpc.StatusCode.NOT_FOUND
    assert details.startswith("no deployment answers to this model's name")


def test_what_is_no_message_is_not_found_either(
    gateway: EnvoyGateway, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    put({CHURN: (replicas["one"],)})
    bodies = [b"", b"\0", b"\x0a" * 8, b"\xff" * 200, gzip.compress(b"churn" * 9)]
    with grpc.insecure_channel(gateway.url.removeprefix("http://")) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        assert {status_of(lambda body=body: call(body))[0] for body in bodies} == {grpc.StatusCode.NOT_FOUND}


def test_replicas_without_grpc_say_what_to_install(stub: Any, put: Callable[..., None], tiny: Any) -> None:
    put({CHURN: (tiny("plain").endpoint,)})
    code, details = status_of(lambda: stub.ModelInfer(request("churn")))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert "tidegate[grpc]" in details


def test_a_replica_is_healthy_once_calls_get_there_too(
    run: Run[Any], gateway: EnvoyGateway, put: Callable[..., None], replicas: dict[str, Endpoint]
) -> None:
    """Else the first calls of a candidate would fail for want of a replica that had long been ready."""
    put({CHURN: (replicas["one"],)})
    one = replicas["one"]
    other = RevisionRef("churn", 2)
    snapshot = Snapshot({CHURN: (one,), other: (replicas["two"],)}, {"churn": {1: 100}}, {"churn": 5.0})

    async def calls_at_once() -> list[str]:
        await gateway.apply(snapshot)
        await until(gateway.healthy, lambda healthy: len(healthy.get(other, ())) == 1, pause=0.001)
        await gateway.apply(Snapshot(snapshot.endpoints, {"churn": {2: 100}}, {"churn": 5.0}))
        async with grpc.aio.insecure_channel(gateway.url.removeprefix("http://")) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            answers = await asyncio.gather(*(stub.ModelInfer(request("churn")) for _ in range(20)))
        return [answer.model_name for answer in answers]

    assert run(calls_at_once()) == ["two"] * 20
