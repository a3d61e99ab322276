"""Faults in a replica's model: healthy until armed, then as asked; and nothing of it where none is asked for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tidegate.contract.faults import parse_fault
from tidegate.runtime.base import Columns, Signature, TensorSpec
from tidegate.server.faults import FaultyModel, InjectedFault, wrong
from tidegate.server.settings import parse_arguments

INPUTS = {"x": np.arange(3.0)}


class Doubling:
    """A model that answers twice what it is given."""

    signature = Signature("columns", (TensorSpec("x", "FP64"),), (TensorSpec("y", "FP64"),))
    closed = False

    def predict(self, inputs: Columns) -> Columns:
        return {"y": inputs["x"] * 2}

    def close(self) -> None:
        self.closed = True


def faulty(text: str) -> FaultyModel:
    model = FaultyModel(Doubling(), parse_fault(text))
    assert np.array_equal(model.predict(INPUTS)["y"], INPUTS["x"] * 2), "healthy until it is armed"
    model.arm()
    return model


def test_errors_fail_their_share_of_the_requests() -> None:
    always, seldom = faulty("errors=100%"), faulty("errors=20%")
    with pytest.raises(InjectedFault, match="errors=100%"):
        always.predict(INPUTS)
    failed = 0
    for _ in range(2000):
        try:
            seldom.predict(INPUTS)
        except InjectedFault:
            failed += 1
    # Seven standard deviations of a binomial.
    assert abs(failed - 400) < 7 * (2000 * 0.2 * 0.8) ** 0.5


def test_latency_makes_each_request_take_longer() -> None:
    model = faulty("latency=+50ms")
    began = time.perf_counter()
    assert np.array_equal(model.predict(INPUTS)["y"], INPUTS["x"] * 2)
    assert time.perf_counter() - began >= 0.05


def test_wrong_answers_have_the_form_of_right_ones() -> None:
    answered = faulty("wrong-answers=100%").predict(INPUTS)["y"]
    assert answered.shape == (3,)
    assert not np.any(np.isclose(answered, INPUTS["x"] * 2, rtol=0.01))


def test_closing_closes_the_model() -> None:
    inner = Doubling()
    FaultyModel(inner, parse_fault("crash=3")).close()
    assert inner.closed


@pytest.mark.parametrize(("fault", "survives"), [("crash=3", 2), ("memory-leak=64Mi", 3)])
def test_a_crash_and_a_full_leak_end_the_process_as_a_kill_does(fault: str, survives: int) -> None:
    program = (
        "import numpy as np\n"
        "from tests.server.test_faults import INPUTS, faulty\n"
        f"model = faulty({fault!r})\n"
        "for number in range(10):\n"
        "    model.predict(INPUTS)\n"
        "    print(number, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.split() == [str(number) for number in range(survives)]


numbers = st.one_of(
    arrays(np.float64, array_shapes(max_dims=2, max_side=5), elements=st.floats(-1e6, 1e6)),
    arrays(np.int64, array_shapes(max_dims=2, max_side=5)),
    arrays(np.bool_, array_shapes(max_dims=2, max_side=5)),
)


@given(numbers)
def test_a_wrong_answer_keeps_type_and_shape(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    changed = np.asarray(wrong({"y": values})["y"])
    assert changed.shape == values.shape
    assert changed.dtype == values.dtype


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1)))
def test_a_wrong_share_is_a_share_and_another_one(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    changed = np.asarray(wrong({"y": values})["y"])
    assert np.all((changed >= 0) & (changed <= 1))
    assert np.all(np.abs(changed - values) > 0.02)


def test_wrong_labels_and_missing_ones() -> None:
    texts = np.array(["late", None], dtype=object)
    assert wrong({"y": texts})["y"].tolist() == ["not late", None]
    assert wrong({"y": np.array([0, 1, 1])})["y"].tolist() == [1, 0, 0]
    assert wrong({"y": np.array([[0.2, 0.8]])})["y"].tolist() == [[0.8, 0.2]]


def test_a_replica_without_a_fault_does_not_even_know_of_them() -> None:
    program = "import sys, tidegate.server.process; print('tidegate.server.faults' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "False"


def test_a_fault_is_a_matter_of_the_command_line_and_chance_forbids_batches() -> None:
    words = ["--bundle", "b", "--deployment", "d", "--revision", "2", "--run-dir", "r"]
    assert parse_arguments(words).fault is None
    assert parse_arguments([*words, "--fault", "errors=20%"]).batch_requests == 1
    assert parse_arguments([*words, "--fault", "crash=5"]).batch_requests > 1
    with pytest.raises(SystemExit):
        parse_arguments([*words, "--fault", "errors=2"])
