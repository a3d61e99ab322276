"""Quantities: exact, one canonical form, and a message that shows what would have been right."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.contract.quantities import Duration, Memory, Quantity, Share, Throughput

KINDS: list[type[Quantity]] = [Duration, Throughput, Share, Memory]

numbers = st.decimals(min_value=0, max_value=10**9, places=3, allow_nan=False).map(lambda number: f"{number:f}")


@pytest.mark.parametrize(
    ("text", "canonical", "ms"),
    [
        ("50ms", "50ms", 50.0),
        ("0.2s", "200ms", 200.0),
        ("1.5s", "1.5s", 1500.0),
        ("0.25ms", "0.25ms", 0.25),
        ("60s", "1m", 60_000.0),
        ("90s", "90s", 90_000.0),
        ("2m", "2m", 120_000.0),
        ("0.5h", "30m", 1_800_000.0),
        ("1h", "1h", 3_600_000.0),
        ("0ms", "0s", 0.0),
    ],
)
def test_durations_are_read_and_printed_canonically(text: str, canonical: str, ms: float) -> None:
    duration = Duration.parse(text)
    assert str(duration) == canonical
    assert duration.ms == ms
    assert duration.seconds == ms / 1000


@pytest.mark.parametrize(
    ("text", "canonical", "rps"),
    [("500rps", "500rps", 500.0), ("30rpm", "0.5rps", 0.5), ("1rpm", "1rpm", 1 / 60), ("2.50rps", "2.5rps", 2.5)],
)
def test_rates_are_exact_even_per_minute(text: str, canonical: str, rps: float) -> None:
    assert str(Throughput.parse(text)) == canonical
    assert Throughput.parse(text).rps == rps


def test_shares_are_exact_fractions() -> None:
    share = Share.parse("99.9%")
    assert share.fraction == Fraction(999, 1000)
    assert 1 - share.fraction == Fraction(1, 1000)
    assert str(share) == "99.9%"


@pytest.mark.parametrize(
    ("text", "canonical", "size"),
    [
        ("512Mi", "512Mi", 512 * 1024**2),
        ("1024Mi", "1Gi", 1024**3),
        ("1.5Gi", "1536Mi", 1536 * 1024**2),
        ("2GB", "1953125Ki", 2 * 1000**3),
        ("1500KB", "1500KB", 1_500_000),
        ("7B", "7B", 7),
    ],
)
def test_memory_is_whole_bytes(text: str, canonical: str, size: int) -> None:
    memory = Memory.parse(text)
    assert memory.bytes == size
    assert str(memory) == canonical


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_what_is_printed_reads_back_as_the_same_value(kind: type[Quantity], data: st.DataObject) -> None:
    unit = data.draw(st.sampled_from(list(kind.units)))
    text = f"{data.draw(numbers)}{unit}"
    try:
        quantity = kind.parse(text)
    except InvalidInput:
        return
    assert kind.parse(str(quantity)) == quantity
    assert str(kind.parse(str(quantity))) == str(quantity)


@given(st.integers(min_value=0, max_value=10**15))
def test_every_duration_round_trips(microseconds: int) -> None:
    assert Duration.parse(str(Duration(microseconds))) == Duration(microseconds)


@given(st.integers(min_value=0, max_value=10**17))
def test_every_amount_of_memory_round_trips(size: int) -> None:
    assert Memory.parse(str(Memory(size))) == Memory(size)


@given(st.integers(min_value=0, max_value=10**8))
def test_every_share_round_trips(millionths_of_percent: int) -> None:
    share = Share(Fraction(millionths_of_percent, 10**8))
    assert Share.parse(str(share)) == share


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=30))
def test_any_text_is_read_or_refused_with_an_example(kind: type[Quantity], text: str) -> None:
    refused = None
    try:
        kind.parse(text)
    except InvalidInput as error:
        refused = error
    assert refused is None or (kind.expected in refused.message and refused.got is not None)


@pytest.mark.parametrize(
    "text", ["fast", "", "50", "ms", "-5ms", "50 ms", "50MS", "1e3ms", "٥٠ms", "50ms\n", "0.0001ms", "1d", "999999999h"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Duration.parse(text)


def test_the_message_names_field_expected_and_got() -> None:
    with pytest.raises(InvalidInput) as caught:
        Duration.parse("fast", field="latencyP99")
    assert str(caught.value) == 'latencyP99: expected a duration such as "50ms" or "0.2s", got "fast"'
    assert caught.value.as_dict() == {
        "code": "invalid_input",
        "message": 'latencyP99: expected a duration such as "50ms" or "0.2s", got "fast"',
        "subject": "latencyP99",
        "expected": 'a duration such as "50ms" or "0.2s"',
        "got": '"fast"',
    }


def test_a_share_above_the_whole_is_refused() -> None:
    with pytest.raises(InvalidInput):
        Share.parse("100.1%")


def test_values_that_no_text_expresses_cannot_be_made() -> None:
    for make in (lambda: Duration(-1), lambda: Share(Fraction(1, 3)), lambda: Throughput(Fraction(1, 7))):
        with pytest.raises(ValueError, match="cannot hold"):
            make()


def test_quantities_of_one_kind_are_ordered() -> None:
    assert Duration.parse("900ms") < Duration.parse("1s") < Duration.parse("1m")
    assert Duration.of_seconds(0.05) == Duration.parse("50ms")
