"""What is kept of predictions: their distribution, a sampled log, and traces."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.server.conftest import IDENTITY, InProcess, Serve
from tests.server.processes import replica, wait_until
from tidegate.artifact.bundle import Bundle, load_model
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Columns, TensorSpec
from tidegate.server.exchange import Exchange
from tidegate.server.protocols.base import Call, Message
from tidegate.server.recording.distribution import PredictionDistribution
from tidegate.server.recording.log import PredictionLog
from tidegate.server.recording.sinks import JsonlSink, open_sink
from tidegate.server.settings import PredictionLogSettings

NUMBER = (TensorSpec("y", "FP64"),)
CLASSES = (TensorSpec("prediction", "BYTES"), TensorSpec("probabilities", "FP64", (-1, 2), labels=("no", "yes")))


def counted(distribution: PredictionDistribution, output: str) -> dict[str, float]:
    (family,) = distribution.metrics((), ())
    return {
        sample.labels["bin"]: sample.value
        for sample in family.samples
        if sample.labels["output"] == output and sample.value
    }


# -- distribution --


def test_classes_are_counted_with_those_that_were_never_seen() -> None:
    reference = {"prediction": np.array(["no"], dtype=object), "probabilities": np.array([[0.9, 0.1]])}
    distribution = PredictionDistribution(CLASSES, reference)
    distribution.count(
        {
            "prediction": np.array(["yes", "yes", None, "maybe"], dtype=object),
            "probabilities": np.array([[0.5, 0.5], [0.0, 1.0], [0.35, 0.65], [np.nan, np.nan]]),
        }
    )
    assert counted(distribution, "prediction") == {"yes": 2, "missing": 1, "other": 1}
    assert counted(distribution, "probabilities") == {"(0.4, 0.5]": 1, "> 0.9": 1, "(0.6, 0.7]": 1, "missing": 1}


@given(st.lists(st.floats(allow_infinity=True, allow_nan=True), min_size=1, max_size=50), st.booleans())
def test_every_number_is_in_one_bin_whether_counted_alone_or_together(values: list[float], large: bool) -> None:
    reference = {"y": np.linspace(0, 1, 100) if large else np.array([1.0])}
    together, alone = (PredictionDistribution(NUMBER, reference) for _ in range(2))
    together.count({"y": np.array(values)})
    for value in values:
        alone.count({"y": np.array([value])})
    assert counted(together, "y") == counted(alone, "y")
    assert sum(counted(together, "y").values()) == len(values)


def test_a_large_reference_gives_bins_of_equal_weight() -> None:
    values = np.random.default_rng(0).lognormal(size=1000)
    distribution = PredictionDistribution(NUMBER, {"y": values})
    distribution.count({"y": values})
    shares = counted(distribution, "y").values()
    assert len(shares) == 10
    assert max(shares) - min(shares) <= 2


def test_the_sample_itself_is_not_counted_and_requests_are(serve: Serve, flights_bundle: Bundle) -> None:
    _, client = serve(flights_bundle)
    assert predictions(client) == 0
    client.post("/predict", json=list(flights_bundle.sample))
    wait_until(lambda: predictions(client) == len(flights_bundle.sample), "all rows are counted")


def predictions(client: InProcess) -> float:
    return sum(
        float(line.rpartition(" ")[2])
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("tidegate_server_predictions_total{") and 'output="prediction"' in line
    )


# -- log --


class Kept:
    """A sink in memory that can be held up, and can fail."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False
        self.closed = False

    def write(self, records: Sequence[bytes]) -> None:
        self.gate.wait()
        if self.fails:
            raise OSError("the disk is full")
        self.records += [json.loads(record) for record in records]

    def close(self) -> None:
        self.closed = True


def exchange(request_id: bytes) -> Exchange:
    codec: Any = None
    return Exchange(codec, Message(b""), 0.0, lambda _: None, request_id=request_id)


def outcomes(log: PredictionLog) -> dict[str, float]:
    (family,) = log.metrics((), ())
    return {sample.labels["outcome"]: sample.value for sample in family.samples}


ONE = Call({"a": np.array([1.0, np.nan]), "b": np.array(["x", None], dtype=object)}, 2, ())


def test_a_record_has_inputs_outputs_revision_and_request_id() -> None:
    sink = Kept()
    log = PredictionLog(sink, IDENTITY, share=1.0)
    log.offer(exchange(b"r-1"), ONE, {"y": np.array([0.5, 2.0], np.float32)})
    log.close()
    (record,) = sink.records
    assert record.pop("at").endswith("+00:00")
    assert record == {
        "request_id": "r-1",
        "deployment": "flights",
        "revision": 3,
        "model": "flights",
        "model_version": "3",
        "rows": 2,
        "inputs": {"a": [1.0, None], "b": ["x", None]},
        "outputs": {"y": [0.5, 2.0]},
    }
    assert sink.closed


def test_numbers_and_texts_and_tables_that_lie_in_memory_in_pieces_are_logged_in_any_order() -> None:
    table = np.array([[1.5, np.nan, 3.0], [4.0, 5.0, np.inf]])
    calls = {
        "numbers": (Call({"a": np.array([0.1, np.nan])}, 2, ()), {"a": [0.1, None]}),
        "texts": (ONE, {"a": [1.0, None], "b": ["x", None]}),
        "pieces": (Call({"a": table[:, ::2]}, 2, ()), {"a": [[1.5, 3.0], [4.0, None]]}),
        "flags": (Call({"a": np.array([True, False])}, 2, ()), {"a": [True, False]}),
        "few digits": (Call({"a": np.array([0.1, 2], np.float32)}, 2, ()), {"a": [0.1, 2.0]}),
    }
    for order in (calls, dict(reversed(calls.items()))):
        sink = Kept()
        log = PredictionLog(sink, IDENTITY, share=1.0)
        for name, (call, _) in order.items():
            log.offer(exchange(name.encode()), call, {})
        log.close()
        assert {record["request_id"]: record["inputs"] for record in sink.records} == {
            name: told for name, (_, told) in calls.items()
        }


def test_a_record_has_the_time_of_its_answer_to_the_millisecond() -> None:
    sink = Kept()
    sink.gate.clear()
    log = PredictionLog(sink, IDENTITY, share=1.0)
    begun = time()
    log.offer(exchange(b"r-1"), ONE, {})
    answered = time()
    wait_until(lambda: time() > answered + 1.0, "another second")
    log.offer(exchange(b"r-2"), ONE, {})
    sink.gate.set()
    log.close()
    first, second = (datetime.fromisoformat(record["at"]) for record in sink.records)
    assert begun - 0.001 <= first.timestamp() <= answered
    assert first < second
    assert first.utcoffset() == timedelta(0)


def test_the_sample_is_of_the_asked_size_and_the_same_for_every_revision() -> None:
    sinks = [Kept(), Kept()]
    for sink in sinks:
        log = PredictionLog(sink, IDENTITY, share=0.25)
        for number in range(4000):
            log.offer(exchange(b"request-%d" % number), ONE, {})
        log.close()
    ids = [[record["request_id"] for record in sink.records] for sink in sinks]
    assert ids[0] == ids[1]
    assert 800 < len(ids[0]) < 1200


def test_a_sink_that_is_held_up_costs_records_and_no_request_waits() -> None:
    sink = Kept()
    sink.gate.clear()
    log = PredictionLog(sink, IDENTITY, share=1.0)
    for _ in range(12_000):
        log.offer(exchange(b"r"), ONE, {})
    assert outcomes(log)["dropped"] >= 1000
    sink.gate.set()
    log.close()
    assert outcomes(log)["written"] == len(sink.records) == 12_000 - outcomes(log)["dropped"]


def test_what_waits_to_be_logged_is_bounded_in_bytes_too() -> None:
    sink = Kept()
    sink.gate.clear()
    log = PredictionLog(sink, IDENTITY, share=1.0)
    large = Call({"a": np.zeros((1000, 1000))}, 1000, ())
    for _ in range(20):
        log.offer(exchange(b"r"), large, {})
    assert outcomes(log)["dropped"] == 12  # 8 of 8 MB each are the 64 MiB that may wait
    sink.gate.set()
    log.close(30)


def test_a_sink_that_fails_is_counted_and_used_again() -> None:
    sink = Kept()
    sink.fails = True
    log = PredictionLog(sink, IDENTITY, share=1.0)
    log.offer(exchange(b"lost"), ONE, {})
    wait_until(lambda: outcomes(log)["failed"] == 1, "the failure is counted")
    sink.fails = False
    log.offer(exchange(b"kept"), ONE, {})
    log.close()
    assert [record["request_id"] for record in sink.records] == ["kept"]


def test_a_sink_that_kept_some_says_how_many_it_did_not() -> None:
    class Some(Kept):
        def write(self, records: Sequence[bytes]) -> None:
            super().write(records[1:])
            error = OSError("the first one was wrong")
            error.failed = 1  # type: ignore[attr-defined]
            raise error

    sink = Some()
    sink.gate.clear()
    log = PredictionLog(sink, IDENTITY, share=1.0)
    for name in (b"held", b"1", b"2", b"3"):
        log.offer(exchange(name), ONE, {})
    sink.gate.set()
    log.close()
    assert outcomes(log)["written"] == len(sink.records)
    assert outcomes(log)["written"] + outcomes(log)["failed"] == 4
    assert outcomes(log)["failed"] <= 2


def test_records_are_gathered_for_a_sink_that_wants_that_and_none_is_kept_back_at_the_end() -> None:
    class Gathering(Kept):
        gather_seconds = 60.0
        calls = 0

        def write(self, records: Sequence[bytes]) -> None:
            self.calls += 1
            super().write(records)

    sink = Gathering()
    log = PredictionLog(sink, IDENTITY, share=1.0)
    for number in range(100):
        log.offer(exchange(b"%d" % number), ONE, {})
    log.close()
    assert (len(sink.records), sink.calls) == (100, 1)


def test_records_wait_no_longer_once_there_are_as_many_as_are_written_at_once() -> None:
    class Gathering(Kept):
        gather_seconds = 600.0

    sink = Gathering()
    log = PredictionLog(sink, IDENTITY, share=1.0)
    for number in range(1_200):
        log.offer(exchange(b"%d" % number), ONE, {})
    wait_until(lambda: len(sink.records) >= 1_000, "two times as many as at once are written")
    log.close()
    assert len(sink.records) == 1_200


def test_a_record_that_cannot_be_written_costs_no_other() -> None:
    sink = Kept()
    sink.gate.clear()
    log = PredictionLog(sink, IDENTITY, share=1.0)
    unwritable = np.array(["\ud800", "b"], dtype=object)
    for name, output in [(b"first", np.zeros(2)), (b"bad", unwritable), (b"last", np.zeros(2))]:
        log.offer(exchange(name), ONE, {"y": output})
    sink.gate.set()
    log.close()
    assert [record["request_id"] for record in sink.records] == ["first", "last"]
    assert outcomes(log) == {"written": 2, "dropped": 0, "failed": 1}


def test_predictions_of_a_replica_are_in_its_file(serve: Serve, quick_bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "predictions.jsonl"
    _, client = serve(quick_bundle, prediction_log=PredictionLogSettings(f"jsonl:{path}"))
    answer = client.post("/predict", json=list(quick_bundle.sample), headers={"x-request-id": "mine"})
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), "the record is written")
    (record,) = map(json.loads, path.read_text().splitlines())
    assert record["request_id"] == "mine"
    name = quick_bundle.signature.outputs[0].name
    assert record["outputs"][name] == [row[name] for row in answer.json()["predictions"]]
    assert record["inputs"]["carrier"] == [row["carrier"] for row in quick_bundle.sample]
    assert path.stat().st_mode & 0o077 == 0


class InPlace:
    """A real model behind code that works in place on what it is given."""

    def __init__(self, bundle: Bundle) -> None:
        self._model = load_model(bundle, threads=1)
        self.signature = self._model.signature

    def predict(self, inputs: Columns) -> Columns:
        outputs = self._model.predict({name: array.copy() for name, array in inputs.items()})
        for array in inputs.values():
            if array.dtype.kind == "f" and array.flags.writeable:
                np.multiply(array, 2, out=array)
        return outputs

    def close(self) -> None:
        self._model.close()


def test_a_model_that_works_in_place_is_logged_with_what_it_was_asked(
    serve: Serve, quick_bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.jsonl"
    replica, client = serve(quick_bundle, warm=False, prediction_log=PredictionLogSettings(f"jsonl:{path}"))
    client.call(replica.warm, InPlace(quick_bundle))
    row = {**dict(quick_bundle.sample[0]), "distance": 123.0}
    assert client.post("/predict", json=[row]).status_code == 200
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), "the record is written")
    (record,) = map(json.loads, path.read_text().splitlines())
    assert record["inputs"]["distance"] == [123.0]


@pytest.mark.parametrize(("wanted", "message"), [("nowhere:x", "no sink"), ("jsonl", "needs a path")])
def test_a_sink_that_there_is_not_is_refused(wanted: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        open_sink(wanted)


# -- traces --


class Collector(HTTPServer):
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        super().__init__(("127.0.0.1", 0), _Takes)


class _Takes(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        export = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        for resource in export.resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_continues_its_clients_trace(
    collector: Collector, quick_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with replica(quick_bundle.folder, tmp_path) as running:
        headers = {"traceparent": f"00-{trace}-{parent}-01", "tracestate": "shop=t61rcWkgMzE", "x-request-id": "r-9"}
        assert running.client.post("/predict", json=list(quick_bundle.sample), headers=headers).status_code == 200
        assert running.client.post("/predict", json=[{}], headers=headers).status_code == 400
        assert running.stop() == 0
    spans = [span for span in collector.spans if span.trace_id.hex() == trace]
    good, bad = [span for span in spans if span.parent_span_id.hex() == parent]
    told = {item.key: item.value.string_value or item.value.int_value for item in good.attributes}
    assert good.name == "infer predict"
    assert told["tidegate.request_id"] == "r-9"
    assert told["http.response.status_code"] == 200
    assert {span.trace_state for span in spans} == {"shop=t61rcWkgMzE"}
    inside = {span.name: span for span in spans if span.parent_span_id == good.span_id}
    assert set(inside) == {"queue", "model"}
    assert inside["model"].start_time_unix_nano <= inside["model"].end_time_unix_nano <= good.end_time_unix_nano
    assert 400 in {item.value.int_value for item in bad.attributes}


def test_without_a_collector_requests_are_answered_and_the_process_ends(
    quick_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with replica(quick_bundle.folder, tmp_path) as running:
        assert running.client.post("/predict", json=list(quick_bundle.sample)).status_code == 200
        assert running.stop() == 0


def test_every_file_of_a_log_is_for_its_owner_alone(tmp_path: Path) -> None:
    sink = JsonlSink(str(tmp_path / "log.jsonl"), file_bytes=100)
    for _ in range(3):
        sink.write([b"{}" * 40])
    sink.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
