"""Two MOJOs that H2O trained, in production: one rolled out over the other as a canary, and one that is too strict."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from examples.flights import data
from examples.flights.mojos import recipes
from tests.e2e.conftest import Tidegate
from tidegate import mojo
from tidegate.contract.errors import Conflict, InvalidInput

pytestmark = pytest.mark.e2e

NAME = "late-flights"
FIRST, SECOND, THIRD = (recipe.path for recipe in recipes.RECIPES)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return data.traffic(data.load_flights(), 400, 11)


@pytest.fixture(scope="module")
def first(tidegate: Tidegate) -> dict[str, Any]:
    return tidegate.ended(tidegate.deploy(NAME, FIRST))


def test_a_mojo_answers_through_the_gateway_as_it_does_in_python(
    tidegate: Tidegate, first: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    assert first["outcome"] == "promoted", first["reason"]
    answer = httpx.post(f"{tidegate.status(NAME)['url']}/predict", json={"records": rows[:50]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == mojo.load(FIRST).predict(rows[:50])


def test_levels_travel_as_bytes_in_the_open_inference_protocol(
    tidegate: Tidegate, first: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    specs = mojo.load(FIRST).signature.inputs
    inputs = [
        {"name": spec.name, "datatype": spec.datatype, "shape": [8], "data": [row[spec.name] for row in rows[:8]]}
        for spec in specs
    ]
    url = f"{tidegate.status(NAME)['url']}/v2/models/{NAME}/infer"
    answer = httpx.post(url, json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    expected = mojo.load(FIRST).predict(rows[:8])
    assert outputs == {name: [row[name] for row in expected] for name in expected[0]}


def test_one_is_rolled_out_over_the_other_and_no_request_fails(
    tidegate: Tidegate, first: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    traffic = tidegate.traffic(NAME, documents=[{"records": [row]} for row in rows])
    promoted = tidegate.ended(tidegate.deploy(NAME, SECOND))
    records = traffic.stop()
    assert promoted["outcome"] == "promoted", promoted["reason"]
    assert [step["weight"] for step in promoted["steps"]] == [20, 100]
    assert not [record for record in records if record.failed]
    assert {record.revision for record in records} == {1, 2}
    answer = httpx.post(f"{tidegate.status(NAME)['url']}/predict", json={"records": rows[:5]})
    assert answer.json()["predictions"] == mojo.load(SECOND).predict(rows[:5])


def test_one_that_lacks_levels_and_takes_them_for_missing_values_breaks_no_client(
    tidegate: Tidegate, first: dict[str, Any]
) -> None:
    serving = {"latencyP99": "250ms", "availability": "99%"}
    with tidegate.client as client:
        contract = client.preview(
            {"name": NAME, "modelArtifact": {"path": str(THIRD)}, "servingRequirements": serving}
        )["contract"]
    assert contract["breaking"] == []
    assert [told for told in contract["harmless"] if "carrier: stable knows the categories AS" in told]


def test_one_that_lacks_levels_is_not_let_in_and_taken_back_when_it_is(
    tidegate: Tidegate, first: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    strict = {"modelArtifact": {"path": str(THIRD), "settings": {"strict": True}}}
    with pytest.raises((Conflict, InvalidInput), match="categories AS"):
        tidegate.deploy(NAME, THIRD, **strict)
    traffic = tidegate.traffic(NAME, documents=[{"records": [row]} for row in rows])
    report = tidegate.ended(tidegate.deploy(NAME, THIRD, **strict, gates={"allowBreaking": True}))
    records = traffic.stop()
    assert report["outcome"] == "rolled_back", report["reason"]
    assert "rejected" in report["reason"]
    stable = report["from_revision"]
    assert {record.revision for record in records if record.failed} == {report["to_revision"]}
    assert tidegate.status(NAME)["split_asked"] == {str(stable): 100}


def test_bad_input_is_answered_with_one_clear_message(
    tidegate: Tidegate, first: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    url = f"{tidegate.status(NAME)['url']}/predict"
    for changed, said in (
        ({**rows[0], "dep_delay": "late"}, "field 'dep_delay', row 0: expected a number or null"),
        ({**rows[0], "carrier": 7}, "field 'carrier', row 0: expected a string or null"),
        ({"carrier": "UA"}, "row 0 lacks 'dep_delay'"),
    ):
        answer = httpx.post(url, json={"records": [changed]})
        assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text
