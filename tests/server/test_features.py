"""Requests that name entities: completed from the store, by Redis where it can be, and refused clearly where not."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from tests.server.conftest import LIMITS, InProcess, Serve
from tests.server.processes import wait_until
from tests.store.conftest import address, server
from tests.support.valkey import Valkey
from tidegate.artifact.bundle import Bundle
from tidegate.contract.errors import TidegateError
from tidegate.features import FeatureStore
from tidegate.server.features.rows import asked, completed
from tidegate.server.features.settings import FeatureSettings
from tidegate.store.address import Address

__all__ = ["address", "server"]

AT = datetime(2026, 1, 1, tzinfo=UTC)


def text(where: Address) -> str:
    return where.render_as_string(hide_password=False) if isinstance(where, URL) else str(where)


def rows_of(bundle: Bundle) -> list[dict[str, Any]]:
    return [dict(row) for row in bundle.sample[:3]]


def fill(store: FeatureStore, bundle: Bundle) -> None:
    """Load the sample as what is known of the planes 0, 1 and 2, with a feature that the model does not take."""
    store.create("planes", "plane")
    rows = enumerate(rows_of(bundle))
    store.load("planes", [{"plane": number, "at": AT, **row, "unused": [1]} for number, row in rows])


@pytest.fixture
def filled(address: Address, quick_bundle: Bundle) -> FeatureSettings:
    with FeatureStore(address) as store:
        fill(store, quick_bundle)
    return FeatureSettings("planes", "plane", text(address))


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    running = Valkey(tmp_path)
    yield running
    running.send(signal.SIGCONT)
    running.kill()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a PostgreSQL that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"postgresql://nobody@127.0.0.1:{listener.getsockname()[1]}/none"


def predict(client: InProcess, body: Any, **headers: str) -> Any:
    return client.post("/predict", json=body, headers=headers)


def test_entities_and_rows_that_name_them_get_the_answers_of_whole_rows(
    serve: Serve, quick_bundle: Bundle, filled: FeatureSettings
) -> None:
    _, client = serve(quick_bundle, features=filled)
    rows = rows_of(quick_bundle)
    whole = predict(client, rows)
    assert whole.status_code == 200
    assert predict(client, {"entities": ["0", 1, "2"]}).json() == whole.json()
    named = [{"plane": 0}, rows[1], {"plane": "2", "distance": rows[2]["distance"]}]
    assert predict(client, named).json() == whole.json()
    assert predict(client, {"records": named}).json() == whole.json()
    assert predict(client, {"plane": "1"}).json() == predict(client, rows[1]).json()
    assert predict(client, {"entities": ["2", "2"]}).json() == predict(client, [rows[2], rows[2]]).json()
    assert predict(client, {"entities": ["0"]}).headers["server-timing"].startswith("queue;dur=")


def test_it_is_counted_where_features_came_from(serve: Serve, quick_bundle: Bundle, filled: FeatureSettings) -> None:
    _, client = serve(quick_bundle, features=filled)
    predict(client, rows_of(quick_bundle))
    predict(client, {"entities": ["0"]})
    predict(client, {"entities": ["0", "777"]})
    counted = {
        line.split('outcome="')[1].split('"')[0]: float(line.split()[-1])
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("tidegate_server_feature_requests_total{")
    }
    assert counted == {"redis": 0, "store": 1, "unknown_entity": 1, "unavailable": 0}


def test_what_a_row_says_itself_wins_over_the_store(
    serve: Serve, quick_bundle: Bundle, filled: FeatureSettings
) -> None:
    _, client = serve(quick_bundle, features=filled)
    other = {**rows_of(quick_bundle)[0], "distance": 2222.0}
    assert predict(client, [{"plane": "0", "distance": 2222.0}]).json() == predict(client, [other]).json()


def test_a_newer_vector_is_used_from_the_next_request_on(
    serve: Serve, quick_bundle: Bundle, filled: FeatureSettings, address: Address
) -> None:
    _, client = serve(quick_bundle, features=filled)
    predict(client, {"entities": ["0"]})
    other = {**rows_of(quick_bundle)[0], "distance": 2222.0}
    with FeatureStore(address) as store:
        store.load("planes", [{"plane": 0, "at": AT.replace(day=2), **other}])
    assert predict(client, {"entities": ["0"]}).json() == predict(client, [other]).json()


def test_what_cannot_be_completed_is_refused_with_the_reason(
    serve: Serve, quick_bundle: Bundle, filled: FeatureSettings
) -> None:
    _, client = serve(quick_bundle, features=filled)
    unknown = predict(client, {"entities": ["0", "777", *map(str, range(900, 910))]})
    assert unknown.status_code == 404
    assert "'planes' has no vector of" in unknown.json()["error"]
    assert "777" in unknown.json()["error"]
    assert "and 6 more" in unknown.json()["error"]
    for keys in ([None], [1.5], [True], [""], ["x" * 300], ["a\0"], [["0"]]):
        refused = predict(client, {"entities": keys})
        assert refused.status_code == 400, keys
        assert "no key of an entity" in refused.json()["error"]
    beyond = predict(client, {"entities": [12345678901234567890123]}).json()
    assert "or a whole number of 64 bits" in json.dumps(beyond)
    assert predict(client, {"entities": "0"}).status_code == 400
    assert predict(client, {"entities": ["0"] * (LIMITS.rows + 1)}).status_code == 413
    # What names no entity is the model's own business, as ever.
    lacking = predict(client, [{"distance": 1.0}])
    assert lacking.status_code == 400
    assert predict(client, [{"tail": "0"}]).status_code == 400
    broken = client.post("/predict", content=b'{"entities": ', headers={"content-type": "application/json"})
    assert broken.status_code == 400
    assert predict(client, {"entities": []}).status_code == predict(client, []).status_code


def test_a_view_that_is_not_there_is_said(serve: Serve, quick_bundle: Bundle, filled: FeatureSettings) -> None:
    _, client = serve(quick_bundle, features=FeatureSettings("others", "plane", filled.store))
    answer = predict(client, {"entities": ["0"]})
    assert answer.status_code == 503
    assert "no view 'others'" in answer.json()["error"]


@pytest.mark.parametrize("where", ["postgresql://nobody@127.0.0.1:1/none", "none.db", "mysql://h/d"])
def test_without_a_store_whole_rows_are_answered_and_others_refused(
    serve: Serve, quick_bundle: Bundle, tmp_path: Path, where: str
) -> None:
    store = where if "://" in where else str(tmp_path / where)
    _, client = serve(quick_bundle, features=FeatureSettings("planes", "plane", store))
    rows = rows_of(quick_bundle)
    for _ in range(3):
        answer = predict(client, {"entities": ["0"]})
        assert answer.status_code == 503
        assert "feature store" in answer.json()["error"]
        assert answer.headers["retry-after"] == "1"
        assert predict(client, rows).status_code == 200
        assert predict(client, [{**row, "plane": "0"} for row in rows]).status_code == 200
    if where == "none.db":
        assert not Path(store).exists()
        with FeatureStore(Path(store)) as made:
            fill(made, quick_bundle)
        wait_until(lambda: predict(client, {"entities": ["0"]}).status_code == 200, "the store is used again")


def test_a_store_that_is_silent_holds_nobody_up_but_those_who_need_it(
    serve: Serve, quick_bundle: Bundle, silent: str
) -> None:
    _, client = serve(quick_bundle, features=FeatureSettings("planes", "plane", silent))
    rows = rows_of(quick_bundle)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(predict, client, {"entities": ["0"]})
        served = 0
        while not waiting.done():
            assert predict(client, rows).status_code == 200
            served += 1
        assert served > 1
    assert waiting.result().status_code == 503
    assert "did not answer" in waiting.result().json()["error"]


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_store_that_is_locked_is_given_up_and_used_again(
    serve: Serve, quick_bundle: Bundle, filled: FeatureSettings, address: URL
) -> None:
    _, client = serve(quick_bundle, features=filled)
    assert predict(client, {"entities": ["0"]}).status_code == 200
    engine = create_engine(address.set(drivername="postgresql+psycopg"))
    with engine.begin() as db:
        db.exec_driver_sql("LOCK TABLE features.feature_vectors IN ACCESS EXCLUSIVE MODE")
        for _ in range(6):
            assert predict(client, {"entities": ["0"]}).status_code == 503
            assert predict(client, rows_of(quick_bundle)).status_code == 200
    engine.dispose()
    wait_until(lambda: predict(client, {"entities": ["0"]}).status_code == 200, "the store is used again")


def test_a_client_that_is_in_a_hurry_does_not_wait_for_the_store(
    serve: Serve, quick_bundle: Bundle, silent: str
) -> None:
    _, client = serve(quick_bundle, features=FeatureSettings("planes", "plane", silent))
    hurried = predict(client, {"entities": ["0"]}, **{"x-request-timeout-ms": "50"})
    assert hurried.status_code == 504
    assert predict(client, rows_of(quick_bundle)).status_code == 200


def test_redis_stands_in_front_of_the_store_and_is_gone_around(
    serve: Serve, quick_bundle: Bundle, tmp_path: Path, valkey: Valkey
) -> None:
    path = tmp_path / "features.db"
    with FeatureStore(path) as store:
        fill(store, quick_bundle)
    settings = FeatureSettings("planes", "plane", str(path), valkey.url, max_age_seconds=3600)
    _, client = serve(quick_bundle, features=settings)
    expected = predict(client, rows_of(quick_bundle)[:1]).json()
    own = redis.Redis(port=valkey.port)

    def is_kept() -> bool:
        assert predict(client, {"entities": ["0"]}).json() == expected
        return bool(own.keys("tidegate:features:*:planes:0"))

    wait_until(is_kept, "the vector is in Redis")
    # From here on the store says something else, and what Redis keeps is answered.
    with FeatureStore(path) as store:
        store.load("planes", [{"plane": 0, "at": AT.replace(day=2), **rows_of(quick_bundle)[1]}])
    wait_until(lambda: predict(client, {"entities": ["0"]}).json() == expected, "Redis is asked first")
    newer = predict(client, rows_of(quick_bundle)[1:2]).json()
    valkey.kill()
    wait_until(lambda: predict(client, {"entities": ["0"]}).json() == newer, "the store is asked instead")
    valkey.start()


def test_many_requests_at_once_are_each_answered_with_their_own(
    serve: Serve, quick_bundle: Bundle, filled: FeatureSettings
) -> None:
    _, client = serve(quick_bundle, features=filled)
    expected = [predict(client, [row]).json() for row in rows_of(quick_bundle)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: predict(client, {"entities": [number % 3]}).json(), range(90)))
    assert answers == [expected[number % 3] for number in range(90)]


# -- pure --

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["plane", "a", "b", "c"]), inner),
)
documents = values | st.fixed_dictionaries({"entities": values}) | st.fixed_dictionaries({"records": values})


@given(documents)
def test_any_document_is_completed_left_alone_or_refused(document: Any) -> None:
    body = orjson.dumps(document)
    try:
        found = asked(body, "plane", ["a", "b"], LIMITS)
    except TidegateError:
        return
    if found is None:
        return
    vectors = {key: json.dumps({"a": 1, "b": 2, "d": 3}) for key in found.wanted}
    made = orjson.loads(completed(found, vectors, "planes", ["a", "b"], 1_000_000))
    for row, before, key in zip(made, found.rows, found.keys, strict=True):
        assert row == ({"a": 1, "b": 2, **before} if key is not None else before)
