"""Faults as they are typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.contract.faults import USUAL_AMOUNTS, Fault, FaultKind, parse_fault
from tidegate.contract.quantities import Duration


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("errors=20%", FaultKind.ERRORS, 0.2),
        ("latency=+200ms", FaultKind.LATENCY, 0.2),
        ("latency=1s", FaultKind.LATENCY, 1.0),
        ("crash=50", FaultKind.CRASH, 50),
        ("wrong-answers=100%", FaultKind.WRONG_ANSWERS, 1.0),
        ("memory-leak=8Mi", FaultKind.MEMORY_LEAK, 8 * 1024**2),
    ],
)
def test_a_fault_is_read_with_its_amount(text: str, kind: FaultKind, amount: float) -> None:
    assert parse_fault(text) == Fault(kind, pytest.approx(amount), text)


def test_a_fault_without_an_amount_has_the_usual_one_and_latency_twice_the_objective() -> None:
    for kind, amount in USUAL_AMOUNTS.items():
        assert parse_fault(kind.value) == parse_fault(f"{kind}={amount}")
    assert parse_fault("latency", objective=Duration.parse("50ms")) == parse_fault("latency=+100ms")


@given(st.sampled_from(["errors", "wrong-answers"]), st.integers(1, 100))
def test_what_a_fault_says_of_itself_is_read_as_the_same(kind: str, percent: int) -> None:
    fault = parse_fault(f"{kind}={percent}%")
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    "text",
    [
        *("", "error", "errors=", "errors=0%", "errors=20", "errors=101%", "latency=0ms", "latency=fast"),
        *("latency=11m", "crash=0", "crash=-1", "crash=1.5", "crash=99999999", "crash=²", "memory-leak=0B"),
        *("memory-leak=1Gi", "wrong-answers=", "latency"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_fault(text, field="--fault")
    assert refused.value.subject == "--fault"
    assert "such as" in str(refused.value.expected) or "one of errors, latency" in str(refused.value.expected)
