"""The report as a page: whole in itself, escaped, with the plots that its numbers allow."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.controller.test_report import at, rolled_back
from tidegate.controller.page import html
from tidegate.controller.report import build
from tidegate.drawing.axes import Axis, nice_top, ticks, time_ticks

HARM = {"errors": {"harm": 0.4, "safety": 0.0}, "latency": {"harm": 0.0, "safety": 0.6}}
LOOKS: list[dict[str, Any]] = [
    {"at": at(5).isoformat(), "phase": "baseline", "step": -1, "weight": 0, "observed_percent": None, "signals": {}},
    *(
        {"at": at(second).isoformat(), "phase": "analyzing", "step": 0, "weight": 10, "observed_percent": 9.5,
         "signals": HARM}
        for second in range(10, 19)
    ),
]  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(page)
    return parser.found


def report(**decision: Any) -> dict[str, Any]:
    return build(*rolled_back(**decision), LOOKS)


def test_a_page_needs_nothing_else_and_runs_nothing() -> None:
    tags = tags_of(html(report()))
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    assert all("src" not in attributes and "href" not in attributes for _, attributes in tags)


def test_a_page_says_the_outcome_the_reason_the_steps_and_the_events() -> None:
    page = html(report())
    for words in ("Rollout 7 of churn", "rolled back", "5 of 39 failed.", "6.2 ms", "it is replica_died", "12.0 %"):
        assert words in page


def test_each_plot_is_there_and_is_well_formed() -> None:
    page = html(report())
    pictures = page.split("<svg")[1:]
    for picture in pictures:
        ET.fromstring("<svg" + picture.split("</svg>")[0] + "</svg>")  # noqa: S314 - our own
    assert len(pictures) == 5  # split, errors, slow requests, evidence against, evidence for


def test_a_rollout_that_measured_nothing_has_a_page_without_plots_of_it() -> None:
    row, candidate, events = rolled_back()
    page = html(build(row, candidate, events[:1]))
    assert "<svg" not in page
    assert "Rollout 7 of churn" in page


@given(text=st.text(alphabet=st.sampled_from("<>&\"'abc/ \u2028é"), max_size=40))
def test_whatever_comes_in_is_escaped(text: str) -> None:
    row, candidate, events = rolled_back()
    hostile = f"<script>alert(1)</script><img src=x onerror=1>{text}"
    built = build(row, candidate, events, LOOKS)
    built |= {"deployment": hostile, "artifact": hostile, "reason": hostile, "decided_by": hostile}
    for event in built["events"]:
        event["message"] = event["kind"] = hostile
    for step in built["steps"]:
        step["verdict"] = {"outcome": hostile, "reason": hostile, "signals": [{"reason": hostile}]}
    for look in built["looks"]:
        look["signals"] = {hostile: {"harm": 0.1, "safety": 0.1}} if look["signals"] else {}
    assert not {"script", "img"} & {tag for tag, _ in tags_of(html(built))}


@given(value=st.floats(1e-6, 1e6))
def test_axes_reach_what_they_show_in_few_round_steps(value: float) -> None:
    top = nice_top(value)
    assert value <= top * (1 + 1e-9) <= 2.5 * value * (1 + 1e-6)
    assert 2 <= len(ticks(top)) <= 6


@given(seconds=st.floats(1, 1e7))
def test_times_at_an_axis_are_few(seconds: float) -> None:
    assert 1 <= len(time_ticks(seconds)) <= 8


@given(value=st.floats(-1e9, 1e9))
def test_nothing_is_drawn_outside_of_a_plot(value: float) -> None:
    assert 10 <= Axis(0, 1, 10, 90).at(value) <= 90
