"""Liveness and readiness through the phases of a replica's life."""

from __future__ import annotations

import pytest

from tests.server.conftest import InProcess, Serve
from tidegate.artifact.bundle import Bundle, load_model
from tidegate.contract.errors import TidegateError
from tidegate.runtime.base import Columns, Signature
from tidegate.server.replica import Phase

READINESS = ["/v2/health/ready", "/v2/models/flights/ready", "/v2/models/flights/versions/3/ready"]


def readiness(client: InProcess) -> set[tuple[int, bool]]:
    answers = [client.get(path) for path in READINESS]
    return {(answer.status_code, answer.json()["ready"]) for answer in answers}


def test_before_the_model_is_loaded_it_lives_is_not_ready_and_says_when_to_ask_again(
    serve: Serve, quick_bundle: Bundle
) -> None:
    _, client = serve(quick_bundle, warm=False)
    assert client.get("/v2/health/live").status_code == 200
    assert readiness(client) == {(503, False)}
    for path in ("/predict", "/v2/models/flights/infer"):
        answer = client.post(path, json=list(quick_bundle.sample))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "loaded" in answer.json()["error"]
    assert client.get("/v2/models/flights").status_code == 200
    assert client.get("/docs").status_code == 200


def test_while_draining_it_lives_is_not_ready_and_still_answers(serve: Serve, quick_bundle: Bundle) -> None:
    replica, client = serve(quick_bundle)
    assert readiness(client) == {(200, True)}
    replica.phase = Phase.DRAINING
    assert readiness(client) == {(503, False)}
    assert client.get("/v2/health/live").status_code == 200
    answer = client.post("/predict", json=list(quick_bundle.sample))
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


class Shortened:
    """A real model, less its last row: what a model with a fault of its own may do."""

    def __init__(self, bundle: Bundle) -> None:
        self._model = load_model(bundle, threads=1)

    @property
    def signature(self) -> Signature:
        return self._model.signature

    def predict(self, inputs: Columns) -> Columns:
        return {name: values[:-1] for name, values in self._model.predict(inputs).items()}

    def close(self) -> None:
        self._model.close()


def test_a_model_that_does_not_answer_its_sample_never_becomes_ready(serve: Serve, quick_bundle: Bundle) -> None:
    replica, client = serve(quick_bundle, warm=False)

    with pytest.raises(TidegateError, match=r"values of .* for 3 rows"):
        client.call(replica.warm, Shortened(quick_bundle))
    assert readiness(client) == {(503, False)}
