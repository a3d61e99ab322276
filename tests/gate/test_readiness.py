"""Readiness: what is measured passes, warns or fails; what fails refuses the rollout with a reason and a way out."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli import doctor
from tidegate.contract.errors import NotReady
from tidegate.contract.findings import Finding, Level
from tidegate.gate import readiness
from tidegate.gate.machine import group_cores, group_left, inotify_instances, inotify_left, measure

GIB = 1024**3
SEVERITY = [Level.PASS, Level.WARN, Level.FAIL]


@pytest.mark.parametrize(
    ("finding", "level", "told"),
    [
        (readiness.memory(GIB, 2, 1, 8 * GIB), Level.PASS, "2 replicas may take 2.1 GiB, 8.0 GiB are free"),
        (readiness.memory(GIB, 2, 2, 5 * GIB), Level.WARN, "2 replicas of 2 workers may take 4.2 GiB"),
        (readiness.memory(GIB, 8, 1, 4 * GIB), Level.FAIL, "8 replicas may take 8.5 GiB, 4.0 GiB are free"),
        (readiness.throughput(2345.6, 50, 2, 0.7), Level.PASS, "2 replicas answer about 2,346 requests/s at 70 % use"),
        (readiness.throughput(8.04, 50, 2, 0.7), Level.WARN, "8 requests/s at 70 % use, as one row was answered; the"),
        (readiness.throughput(None, 50, 2, 0.7), Level.PASS, "not estimated"),
        (readiness.open_files(None), Level.PASS, "any number"),
        (readiness.inotify(None, 9), Level.PASS, "does not tell"),
        (readiness.inotify(9, 9), Level.PASS, "9 instances left"),
        (readiness.inotify(8, 9), Level.FAIL, "needs 9 more"),
        (readiness.inotify(-3, 9), Level.FAIL, "0 instances left"),
        (readiness.open_files(1024), Level.WARN, "1024 for each process"),
        (readiness.open_files(64), Level.FAIL, "64 for each process"),
        (readiness.disk(3 * GIB, "/h"), Level.PASS, "3.0 GiB free in /h"),
        (readiness.disk(GIB, "/h"), Level.WARN, "1.0 GiB free in /h"),
        (readiness.disk(10 * 1024**2, "/h"), Level.FAIL, "10 MiB free in /h"),
        (readiness.ports((), {9000: "revision 1 of 'a'"}, {}), Level.PASS, "each replica gets free ones"),
        (readiness.ports([9000], {9001: "revision 1 of 'a'"}, {}), Level.PASS, "nobody listens on 9000"),
        (readiness.ports([9000], {9000: "revision 1 of 'a'"}, {9000: "taken"}), Level.FAIL, "is that of revision 1 of"),
        (readiness.ports([80], {}, {80: "Permission denied"}), Level.FAIL, "port 80 cannot be had: Permission denied"),
        (readiness.ports([9000, 9000], {}, {}), Level.FAIL, "port 9000 is asked for by 2 arms"),
        (readiness.gateway(None, None), Level.PASS, "does not run yet"),
        (readiness.gateway("http://g", None), Level.PASS, "http://g answers"),
        (readiness.gateway("http://g", "the gateway does not run"), Level.FAIL, "the gateway does not run"),
        (readiness.metrics(None, 1, [1, 2]), Level.PASS, "revision 1 are counted"),
        (readiness.metrics(None, 1, []), Level.WARN, "counts nothing for revision 1"),
        (readiness.metrics(None, None, []), Level.PASS, "nothing is compared yet"),
        (readiness.metrics("it is away", 1, None), Level.FAIL, "cannot be read: it is away"),
        (readiness.vulnerabilities([], 9, refuses=True), Level.PASS, "none is known of 9 packages"),
        (readiness.vulnerabilities(["numpy 2.0: CVE-1"], 9, refuses=False), Level.WARN, "numpy 2.0: CVE-1"),
        (readiness.vulnerabilities(["numpy 2.0: CVE-1"], 9, refuses=True), Level.FAIL, "numpy 2.0: CVE-1"),
        (readiness.vulnerabilities(["one: x"] * 1000, 9, refuses=True), Level.FAIL, " more"),
        (readiness.way_back(None, has_bundle=False, ready=None), Level.PASS, "the first revision"),
        (readiness.way_back(3, has_bundle=True, ready=2), Level.PASS, "revision 3"),
        (readiness.way_back(3, has_bundle=True, ready=0), Level.WARN, "no replica of revision 3"),
        (readiness.way_back(3, has_bundle=False, ready=2), Level.FAIL, "the bundle of revision 3 is gone"),
        (readiness.other_rollout("churn", is_active=True), Level.FAIL, "under way"),
        (readiness.freeze([], is_overridden=False), Level.PASS, "none holds"),
        (readiness.freeze(["freeze 1"], is_overridden=False), Level.FAIL, "freeze 1"),
        (readiness.freeze(["freeze 1"], is_overridden=True), Level.WARN, "overridden: freeze 1"),
    ],
    ids=lambda value: value.check if isinstance(value, Finding) else "",
)
def test_each_check_says_how_it_ended_and_why(finding: Finding, level: Level, told: str) -> None:
    assert (finding.level, told in finding.reason) == (level, True), finding


@given(model=st.integers(0, 8 * GIB), replicas=st.integers(1, 64), free=st.integers(0, 64 * GIB))
def test_more_replicas_or_less_memory_never_make_a_check_better(model: int, replicas: int, free: int) -> None:
    level = readiness.memory(model, replicas, 1, free).level
    for worse in (
        readiness.memory(model, replicas + 1, 1, free),
        readiness.memory(model, replicas, 2, free),
        readiness.memory(model, replicas, 1, max(0, free - GIB)),
    ):
        assert SEVERITY.index(worse.level) >= SEVERITY.index(level)


@given(
    amount=st.integers(0, 4 * GIB),
    step=st.integers(0, GIB),
    check=st.sampled_from(
        [
            lambda amount: readiness.disk(amount, "/h"),
            lambda amount: readiness.open_files(amount >> 16),
        ]
    ),
)
def test_more_of_a_resource_never_makes_a_check_worse(amount: int, step: int, check: Callable[[int], Finding]) -> None:
    assert SEVERITY.index(check(amount + step).level) <= SEVERITY.index(check(amount).level)


def test_a_rollout_is_refused_for_each_check_that_failed_and_warned_of_the_others() -> None:
    findings = [readiness.memory(GIB, 8, 1, GIB), readiness.disk(GIB, "/h"), readiness.disk(0, "/h")]
    with pytest.raises(NotReady) as refused:
        readiness.refuse_unready("churn", findings)
    told = str(refused.value)
    assert "a rollout of 'churn' cannot begin:" in told
    assert "  memory: 8 replicas may take 8.5 GiB, 1.0 GiB are free" in told
    assert "memory: fewer replicas (--replicas)" in told
    assert "disk: 0 MiB free" in told
    assert readiness.warnings(findings) == ("disk: 1.0 GiB free in /h",)
    readiness.refuse_unready("churn", findings[1:2])


def test_the_doctor_and_the_gate_agree_on_what_is_little() -> None:
    assert (doctor.DISK_WARN_BYTES, doctor.DISK_FAIL_BYTES) == (readiness.DISK_WARN_BYTES, readiness.DISK_FAIL_BYTES)
    assert doctor.DESCRIPTORS_WARN == readiness.FILES_WARN


def test_the_machine_is_measured_also_for_a_home_that_is_not_there_yet(tmp_path: Path) -> None:
    machine = measure(tmp_path / "not" / "yet")
    assert machine.free_memory_bytes > 0
    assert 0 < machine.cores <= (os.cpu_count() or 1)
    assert machine.free_disk_bytes > 0
    assert machine.open_files is None or machine.open_files > 0


def test_inotify_instances_of_a_process_are_counted() -> None:
    own = Path(f"/proc/{os.getpid()}")
    before = inotify_instances(own)
    held = [ctypes.CDLL(None).inotify_init1(0) for _ in range(5)]
    try:
        assert inotify_instances(own) == before + sum(descriptor >= 0 for descriptor in held)
        assert max(held) >= 0
    finally:
        for descriptor in held:
            if descriptor >= 0:
                os.close(descriptor)


def test_what_all_processes_of_this_user_have_is_taken_off_the_limit(tmp_path: Path) -> None:
    limit = tmp_path / "sys" / "fs" / "inotify" / "max_user_instances"
    limit.parent.mkdir(parents=True)
    limit.write_text("128\n")
    for process, links in {"7": ["anon_inode:inotify", "/dev/null"], "8": ["anon_inode:inotify"] * 2}.items():
        (tmp_path / process / "fd").mkdir(parents=True)
        for number, link in enumerate(links):
            (tmp_path / process / "fd" / str(number)).symlink_to(link)
    assert inotify_left(tmp_path) == 125


def test_a_system_without_inotify_tells_nothing(tmp_path: Path) -> None:
    assert inotify_left(tmp_path) is None


@pytest.mark.parametrize(("limit", "left"), [("1000", 1000 - 600 + 100), ("max", None), ("500", 0)])
def test_a_control_group_counts_with_what_it_may_still_take(tmp_path: Path, limit: str, left: int | None) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("600\n")
    (tmp_path / "memory.stat").write_text("anon 400\ninactive_file 100\n")
    assert group_left(tmp_path) == left
    assert group_left(tmp_path / "none") is None


@pytest.mark.parametrize(("limit", "cores"), [("150000 100000", 1.5), ("max 100000", math.inf), ("damaged", math.inf)])
def test_a_control_group_counts_with_the_cores_that_it_may_use(tmp_path: Path, limit: str, cores: float) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert group_cores(tmp_path) == cores
    assert group_cores(tmp_path / "none") == math.inf
