"""What every test may rely on, however the suite was started."""

from __future__ import annotations

import gc
import signal

import pytest
from hypothesis import HealthCheck, settings

# A shell without job control starts a command in the background with SIGINT ignored, and every process below inherits
# that: a command that a test interrupts would never notice. A handler of Python's is not inherited, so what tests start
# takes Ctrl-C as it does at a keyboard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test is about time: a machine that is busy makes an example slow, and its drawing too.
settings.register_profile("tidegate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tidegate")

# Thousands of tests are a million objects, which stay: each full collection of garbage would go through all of them.
gc.disable()


def pytest_collection_finish() -> None:
    """Have what was collected be no garbage to look for."""
    gc.collect()
    gc.freeze()
    gc.enable()


#: Folders of which a file takes minutes. They come first: a worker that met one at the end would be alone with it.
_LONG = ("docs", "e2e")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order tests by when they should begin. Within a folder, and beyond the long ones, they stay in order."""
    tests = config.rootpath / "tests"
    items.sort(key=lambda item: not any(item.path.is_relative_to(tests / folder) for folder in _LONG))
