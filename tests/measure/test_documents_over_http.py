"""A JSON document over HTTP, from a real server that does all that servers do."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.documents import documents
from tidegate.contract.metrics import Metric
from tidegate.measure import Asked, UnmeasurableError, ask, numbers_of
from tidegate.measure.place import at

ASKED = Asked("churn", candidate=7, stable=6, revision=7)
SECRET = "s3cr3t"


def metric(**http: Any) -> Metric:
    fields = {"name": "m", "http": http, "successCondition": "result == 1"}
    return Metric.model_validate(fields, by_alias=True, by_name=False)


def asked(metric: Metric, environ: dict[str, str] | None = None) -> Any:
    return asyncio.run(ask(metric, ASKED, environ or {}))


def test_a_place_in_the_document_is_the_result_and_placeholders_are_filled_in() -> None:
    with documents(lambda _: (200, {"data": [{"value": 0.25}]})) as served:
        url = served.url + "/{{deployment}}?of={{ candidate }}&beside={{stable}}&about={{revision}}"
        assert asked(metric(url=url, path="data[0].value")) == 0.25
        assert asked(metric(url=url)) == {"data": [{"value": 0.25}]}
        assert served.asked[0].path == "/churn?of=7&beside=6&about=7"
        assert served.asked[0].method == "GET"


def test_a_post_sends_a_body_and_headers_come_from_the_environment() -> None:
    with documents(lambda _: (200, 1)) as served:
        headers = {"authorization": {"valueFromEnv": "TIDEGATE_TOKEN"}, "x-team": {"value": "ranking"}}
        body = {"model": "{{deployment}}", "revisions": ["{{candidate}}", 1]}
        one = metric(url=served.url, method="POST", body=body, headers=headers)
        assert asked(one, {"TIDEGATE_TOKEN": f"Bearer {SECRET}"}) == 1
        got = served.asked[0]
        assert json.loads(got.body) == {"model": "churn", "revisions": ["7", 1]}
        assert (got.headers["authorization"], got.headers["x-team"]) == (f"Bearer {SECRET}", "ranking")
        assert SECRET not in json.dumps(one.as_document())
        with pytest.raises(UnmeasurableError, match="no TIDEGATE_TOKEN in its environment"):
            asked(one)
        with pytest.raises(UnmeasurableError, match="holds what no header can") as refused:
            asked(one, {"TIDEGATE_TOKEN": f"{SECRET}\r\nx: y"})
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((500, {"value": 1}), "answered 500"),
        ((302, b""), "answered 302"),
        ((200, b"<html>"), "no JSON document"),
        ((200, b"["  * 100_000), "no JSON document"),
        ((200, b"1" * ((1 << 20) + 1)), "more than 1 MiB"),
        ((200, {"other": 1}), "nothing at value"),
    ],
)  # fmt: skip
def test_what_is_no_measurement_is_told_and_nothing_of_the_url_is(answer: tuple[int, Any], why: str) -> None:
    with documents(lambda _: answer) as served, pytest.raises(UnmeasurableError, match=why) as refused:
        asked(metric(url=f"{served.url}/some/where", path="value"))
    assert "some/where" not in str(refused.value)


def test_an_answer_that_was_packed_without_being_asked_for_is_not_unpacked() -> None:
    with documents(lambda _: (200, gzip.compress(b"1"))) as served:
        served.headers["content-encoding"] = "gzip"
        with pytest.raises(UnmeasurableError, match="content encoding"):
            asked(metric(url=served.url))


def test_the_time_limit_is_for_the_whole_call() -> None:
    let_go = threading.Event()

    def slow(_: str) -> tuple[int, Any]:
        let_go.wait(30)
        return 200, 1

    with documents(slow) as served:
        try:
            with pytest.raises(UnmeasurableError, match=r"no answer within 0\.2 s"):
                asked(metric(url=served.url, timeout="200ms"))
        finally:
            let_go.set()


def test_nobody_there_is_told_without_the_address() -> None:
    with documents(lambda _: (200, 1)) as served:
        url = served.url
    with pytest.raises(UnmeasurableError, match="cannot connect") as refused:
        asked(metric(url=url))
    assert url.removeprefix("http://") not in str(refused.value)


def test_counters_are_two_places_in_one_answer() -> None:
    with documents(lambda path: (200, {"of": path, "seen": {"bad": 1, "all": 9}})) as served:
        fields = {"name": "m", "http": {"url": served.url + "/{{revision}}", "path": "seen"}}
        fields["counted"] = {"bad": "bad", "total": "all", "objective": "1%"}
        one = Metric.model_validate(fields, by_alias=True, by_name=False)
        assert asyncio.run(numbers_of(one, ASKED, ("bad", "all"), {})) == [1, 9]
        assert [got.path for got in served.asked] == ["/7"]


@given(
    st.recursive(
        st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab0", min_size=1, max_size=2), inner),
        max_leaves=8,
    ),
    st.data(),
)
def test_every_part_of_a_document_is_found_by_its_path(document: Any, data: st.DataObject) -> None:
    value, path = document, "$"
    while isinstance(value, dict | list) and value and data.draw(st.booleans()):
        if isinstance(value, dict):
            key = data.draw(st.sampled_from(sorted(value)))
            value, path = value[key], f"{path}.{key}"
        else:
            number = data.draw(st.integers(-len(value), len(value) - 1))
            value, path = value[number], f"{path}[{number}]"
    assert at(document, path) is value
