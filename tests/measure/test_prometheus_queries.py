"""Queries to a real Prometheus."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.documents import documents
from tests.support.prometheus import prometheus, until
from tidegate.contract.metrics import Metric
from tidegate.measure import Asked, UnmeasurableError, ask, numbers_of

ASKED = Asked("churn", candidate=7, stable=6, revision=7)
EXPOSED = b"""# TYPE answers_total counter
answers_total{deployment="churn",revision="6"} 100
answers_total{deployment="churn",revision="7"} 40
# TYPE wrong_total counter
wrong_total{deployment="churn",revision="7"} 3
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        documents(lambda _: (200, EXPOSED)) as served,
        prometheus(tmp_path_factory.mktemp("prometheus"), [f"127.0.0.1:{served.port}"]) as address,
    ):
        served.headers["content-type"] = "text/plain; version=0.0.4"
        until(lambda: asked(address, "count(answers_total)") == [2.0])
        yield address


def asked(address: str, query: str) -> Any:
    fields = {"name": "m", "prometheus": {"address": address, "query": query}, "successCondition": "result[0] > 0"}
    return asyncio.run(ask(Metric.model_validate(fields, by_alias=True, by_name=False), ASKED))


def test_a_vector_is_a_list_of_values_and_a_scalar_is_a_number(address: str) -> None:
    assert sorted(asked(address, 'answers_total{deployment="{{deployment}}"}')) == [40.0, 100.0]
    assert asked(
        address, 'answers_total{revision="{{candidate}}"} / ignoring(revision) answers_total{revision="6"}'
    ) == [0.4]
    assert asked(address, "scalar(sum(answers_total))") == 140.0
    assert asked(address, 'answers_total{revision="99"}') == []
    (nothing,) = asked(address, "sum(answers_total) * 0 / 0")
    assert math.isnan(nothing)


def test_counters_are_two_queries(address: str) -> None:
    places = ('wrong_total{revision="{{revision}}"}', 'answers_total{revision="{{revision}}"}')
    fields = {"name": "m", "prometheus": {"address": address}}
    fields["counted"] = {"bad": places[0], "total": places[1], "objective": "1%"}
    one = Metric.model_validate(fields, by_alias=True, by_name=False)
    until(lambda: asyncio.run(numbers_of(one, ASKED, places)) == [[3.0], [40.0]])


def test_counters_are_of_one_moment_though_prometheus_scrapes_between_the_queries(tmp_path: Path) -> None:
    scraped = 0

    def exposed(_: str) -> tuple[int, bytes]:
        nonlocal scraped
        scraped += 1
        label = '{revision="7"}'
        return 200, f"bad_total{label} {scraped}\nall_total{label} {scraped}\n".encode()

    with documents(exposed) as served, prometheus(tmp_path, [f"127.0.0.1:{served.port}"]) as address:
        served.headers["content-type"] = "text/plain; version=0.0.4"

        def forwarded(path: str) -> tuple[int, Any]:
            asked_for = between.asked[-1]
            answer = httpx.post(
                f"{address}{path}", content=asked_for.body, headers={"content-type": asked_for.headers["content-type"]}
            )
            before = scraped
            until(lambda: scraped > before + 1)  # by then the scrape before is kept
            return answer.status_code, answer.json()

        places = ('bad_total{revision="{{revision}}"}', 'all_total{revision="{{revision}}"}')
        with documents(forwarded) as between:
            fields: dict[str, Any] = {"name": "m", "prometheus": {"address": between.url, "timeout": "9s"}}
            fields["counted"] = {"bad": places[0], "total": places[1], "objective": "1%"}
            one = Metric.model_validate(fields, by_alias=True, by_name=False)
            until(lambda: asyncio.run(numbers_of(one, ASKED, places))[0] != [])
            bad, total = asyncio.run(numbers_of(one, ASKED, places))
    assert bad == total != []


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("sum(", "Prometheus refuses: .*parse error"),
        ("answers_total[5m]", "finds a matrix"),
        ('"text"', "finds a string"),
    ],
)
def test_a_query_that_is_none_is_told_as_prometheus_tells_it(address: str, query: str, why: str) -> None:
    with pytest.raises(UnmeasurableError, match=why):
        asked(address, query)


@pytest.mark.parametrize(
    "answer", [(200, []), (200, {"status": "success"}), (200, {"status": "success", "data": {"resultType": "vector"}})]
)
def test_what_is_no_prometheus_is_told(answer: tuple[int, Any]) -> None:
    with documents(lambda _: answer) as served, pytest.raises(UnmeasurableError, match="no Prometheus"):
        asked(served.url, "up")
