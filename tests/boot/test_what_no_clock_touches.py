"""Processes are told apart, and time since the boot goes on, whatever the clock says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from tidegate.boot import birth_of, boot_id, booted_at, seconds_since_boot
from tidegate.gateway.os_process import OsProcess


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def later(seconds: float) -> None:
    """Wait until a clock that nobody sets has gone on."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        pass


def test_a_process_keeps_its_birth_and_shares_it_with_none(child: subprocess.Popen[bytes]) -> None:
    born = birth_of(child.pid)
    assert born is not None
    assert born.endswith(boot_id())
    later(0.02)
    assert birth_of(child.pid) == born
    assert birth_of(os.getpid()) != born
    child.kill()
    child.communicate()
    assert birth_of(child.pid) is None


def test_a_process_is_known_again_after_the_clock_was_set(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = OsProcess.of(child.pid)
    assert found is not None
    created = psutil.Process(child.pid).create_time()
    # The kernel dates the boot by the clock, and psutil dates processes by the boot.
    dated = psutil._pslinux.boot_time()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: dated + 3600)
    monkeypatch.setattr(psutil._pslinux, "BOOT_TIME", dated + 3600, raising=False)
    assert abs(psutil.Process(child.pid).create_time() - created) > 3000
    assert found.is_alive()
    assert OsProcess.of(child.pid) == found


def test_time_since_the_boot_goes_on_and_its_date_stays() -> None:
    before, dated = seconds_since_boot(), booted_at()
    later(0.01)
    assert 0.01 <= seconds_since_boot() - before < 60
    assert abs(booted_at() - dated) < 1
