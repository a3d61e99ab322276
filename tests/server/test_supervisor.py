"""A replica of worker processes: the dead are replaced, nobody is left behind, numbers add up."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import supervised
from tidegate.artifact.bundle import Bundle
from tidegate.server.supervisor.backoff import FIRST_SECONDS, LONGEST_SECONDS, SETTLED_SECONDS, next_delay
from tidegate.server.totals import Ended, Family, total


def test_two_workers_serve_on_one_port_and_their_metrics_add_up(quick_bundle: Bundle, tmp_path: Path) -> None:
    with supervised(tmp_path, "--bundle", str(quick_bundle.folder), "--workers", "2") as running:
        assert len(running.workers()) == 2
        assert running.is_ready()
        url, sample = running.client.base_url.join("/predict"), list(quick_bundle.sample)
        for _ in range(40):
            assert httpx.post(url, json=sample).status_code == 200  # a new connection each time
        metrics = running.client.get("/metrics").text
        assert _value(metrics, "tidegate_server_requests_total{") == 40
        assert _value(metrics, "tidegate_server_request_duration_seconds_count{") == 40
        assert _value(metrics, "tidegate_server_workers{") == 2
        residents = [line for line in metrics.splitlines() if line.startswith("process_resident_memory_bytes{")]
        assert [re.findall(r'worker="(\d)"', line) for line in residents] == [["0"], ["1"]]
        assert all('deployment="' in line and 'revision="' in line for line in residents)
        assert running.stop() == 0
    assert not _alive(tmp_path)


def test_a_worker_that_is_killed_is_replaced_and_until_then_the_replica_is_not_ready(
    quick_bundle: Bundle, tmp_path: Path
) -> None:
    with supervised(tmp_path, "--bundle", str(quick_bundle.folder)) as running:
        url = running.client.base_url.join("/v2/health/ready")
        assert httpx.get(url).status_code == 200
        httpx.post(running.client.base_url.join("/predict"), json=list(quick_bundle.sample))
        assert _value(running.client.get("/metrics").text, "tidegate_server_requests_total{") == 1
        (worker,) = running.workers()
        running.client.close()
        worker.send_signal(signal.SIGKILL)
        running.event("worker-died")
        answer = httpx.get(url)
        assert answer.status_code == 503
        assert "started again" in answer.json()["reason"]
        assert httpx.get(url.join("/v2/health/live")).status_code == 200
        refused = httpx.post(url.join("/predict"), json=list(quick_bundle.sample))
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        wait_until(lambda: httpx.get(url).status_code == 200, "the replacement serves")
        (replacement,) = running.workers()
        assert replacement.pid != worker.pid
        metrics = httpx.get(url.join("/metrics")).text
        assert _value(metrics, "tidegate_server_worker_deaths_total{") == 1
        assert _value(metrics, "tidegate_server_requests_total{") == 1  # what the dead one had counted, still counts


def test_a_kept_connection_outlives_the_time_without_a_worker(quick_bundle: Bundle, tmp_path: Path) -> None:
    with supervised(tmp_path, "--bundle", str(quick_bundle.folder), serving=False) as running:
        first = running.client.get("/v2/health/ready")
        assert first.status_code == 503
        # The first worker may be about to be started.
        assert first.json()["phase"] in ("down", "loading")
        running.event("serving")
        wait_until(running.is_ready, "the same connection reaches the worker")
        assert running.post("/predict", list(quick_bundle.sample)).status_code == 200


def test_no_worker_outlives_a_supervisor_that_is_killed(quick_bundle: Bundle, tmp_path: Path) -> None:
    with supervised(tmp_path, "--bundle", str(quick_bundle.folder), "--workers", "2") as running:
        workers = running.workers()
        running.process.kill()
        running.process.wait(DEADLINE_SECONDS)
        gone, alive = psutil.wait_procs(workers, timeout=DEADLINE_SECONDS)
        assert not alive
        assert len(gone) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_that_checks_a_model_outlives_its_supervisor(tmp_path: Path, number: signal.Signals) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import threading\n"
        "class Slow:\n"
        "    inputs = [{'name': 'x', 'datatype': 'FP64'}]\n"
        "    def load(self, folder): threading.Event().wait()\n"
        "    def predict(self, inputs): return {'y': inputs['x']}\n"
    )
    with supervised(tmp_path / "run", "--model-file", str(slow), "--trust", serving=False) as running:
        own = psutil.Process(running.process.pid)

        def checking() -> list[psutil.Process]:
            found = own.children(recursive=True)
            return found if any("tidegate.artifact" in child.cmdline() for child in found) else []

        children: list[psutil.Process] = wait_until(checking, "the model is checked")
        running.process.send_signal(number)
        assert psutil.wait_procs(children, timeout=DEADLINE_SECONDS)[1] == []


def test_a_second_supervisor_in_the_same_folder_ends_with_exit_code_75(quick_bundle: Bundle, tmp_path: Path) -> None:
    with (
        supervised(tmp_path, "--bundle", str(quick_bundle.folder)) as running,
        pytest.raises(AssertionError, match="another process holds its lock"),
        supervised(tmp_path, "--bundle", str(quick_bundle.folder)) as second,
    ):
        second.event("never")
    assert running.process.wait(DEADLINE_SECONDS) == 0


def test_what_cannot_be_served_ends_the_supervisor_with_exit_code_78(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.onnx"
    nonsense.write_bytes(b"nothing of this is a model")
    with supervised(tmp_path / "run", "--model-file", str(nonsense), serving=False) as running:
        assert running.process.wait(DEADLINE_SECONDS) == 78
        assert "no format" in running.event("unservable")["error"]["message"]


def test_a_supervisor_stays_small(quick_bundle: Bundle, tmp_path: Path) -> None:
    with supervised(tmp_path, "--bundle", str(quick_bundle.folder)) as running:
        maps = Path(f"/proc/{running.process.pid}/maps").read_text()
        assert "numpy" not in maps
        assert "pydantic" not in maps
        assert psutil.Process(running.process.pid).memory_info().rss < 60 << 20


def test_it_ends_when_its_standard_input_does(quick_bundle: Bundle, tmp_path: Path) -> None:
    # The helper gives it /dev/null, which is at its end at once.
    with supervised(tmp_path, "--bundle", str(quick_bundle.folder), "--end-with-stdin", serving=False) as running:
        assert running.process.wait(DEADLINE_SECONDS) == 0


def test_both_a_slow_request_head_and_a_request_answered_late_keep_their_connection(
    quick_bundle: Bundle, tmp_path: Path
) -> None:
    with supervised(tmp_path, "--bundle", str(quick_bundle.folder), serving=False) as running:
        base = running.client.base_url
        with socket.create_connection((base.host, base.port or 80), timeout=DEADLINE_SECONDS) as wire:
            wire.sendall(b"GET /v2/health/li")  # the stand-in has half of it when the worker takes over
            running.event("serving")
            wire.sendall(b"ve HTTP/1.1\r\nhost: x\r\n\r\n")
            assert wire.recv(100).startswith(b"HTTP/1.1 200 OK")


@given(lived=st.floats(0, 1e6), previous=st.floats(0, LONGEST_SECONDS))
def test_the_delay_before_a_replacement_is_bounded_and_forgets_after_a_settled_life(
    lived: float, previous: float
) -> None:
    delay = next_delay(previous, lived)
    assert FIRST_SECONDS <= delay <= LONGEST_SECONDS or delay == 2 * previous
    if lived >= SETTLED_SECONDS:
        assert delay == FIRST_SECONDS


def test_the_delay_doubles_while_workers_die_young() -> None:
    delays, delay = [], 0.0
    for _ in range(12):
        delay = next_delay(delay, 0.5)
        delays.append(delay)
    assert delays[:3] == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]
    assert delays[-1] == LONGEST_SECONDS


def _family(rule: str, kind: str, values: dict[str, float]) -> Family:
    samples = [["x", {"code": code}, value] for code, value in values.items()]
    return {"name": "x", "type": kind, "documentation": "", "over_workers": rule, "samples": samples}


counts = st.dictionaries(st.sampled_from(["200", "400", "503"]), st.integers(0, 10**6).map(float))


@given(st.lists(counts, max_size=5), st.lists(counts, max_size=5))
def test_counters_of_living_and_ended_workers_add_up(
    living: list[dict[str, float]], dead: list[dict[str, float]]
) -> None:
    ended = Ended()
    for values in dead:
        ended.add([_family("sum", "counter", values)])
    families = total({i: [_family("sum", "counter", values)] for i, values in enumerate(living)}, ended.families)
    summed = {labels["code"]: value for family in families for _, labels, value in family["samples"]}
    for code in {code for values in (*living, *dead) for code in values}:
        assert summed[code] == sum(values.get(code, 0) for values in (*living, *dead))


def test_gauges_end_with_their_worker_and_are_kept_apart() -> None:
    ended = Ended()
    ended.add([_family("each", "gauge", {"200": 5.0}), _family("sum", "gauge", {"200": 5.0})])
    assert ended.families == []
    (family,) = total({0: [_family("each", "gauge", {"200": 1.0})], 3: [_family("each", "gauge", {"200": 2.0})]})
    assert family["samples"] == [["x", {"code": "200", "worker": "0"}, 1.0], ["x", {"code": "200", "worker": "3"}, 2.0]]
    (family,) = total({0: [_family("same", "gauge", {"200": 1.0})], 3: [_family("same", "gauge", {"200": 1.0})]})
    assert family["samples"] == [["x", {"code": "200"}, 1.0]]


def _value(metrics: str, prefix: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(prefix))


def _alive(run_dir: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if process.pid != os.getpid() and str(run_dir) in " ".join(process.info["cmdline"] or ())
    ]
