"""Outcomes that are told later take a candidate back by themselves, whoever is killed in between."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2 as messages

from tests.e2e.conftest import Tidegate, eventually
from tests.e2e.test_kills import kill
from tidegate.contract.errors import Unavailable

pytestmark = pytest.mark.e2e

#: Says whom to make an offer to. Both answer at once and alike in form: nothing but what comes of it tells them apart.
OFFERS = """
class Model:
    inputs = [{"name": "x"}]

    def predict(self, inputs):
        return {"offer": inputs["x"] * BIAS}
"""
GOOD, WORSE = OFFERS.replace("BIAS", "1.0"), OFFERS.replace("BIAS", "-1.0")
OUTCOMES = {"bad": "10%", "window": "2s"}
ANALYSIS = {"stepDuration": "40s", "interval": "500ms", "baseline": "1s", "minRequests": 40, "margin": "10%"}


@pytest.fixture
def artifact(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write the code of a model into a folder of its own."""

    def write(name: str, code: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.py").write_text(code)
        return folder

    return write


@dataclass
class Shop:
    """Customers who are served, over REST with ids of their own and of the gateway and over gRPC, and the books.

    A wrong offer comes to a bad end in half of the cases, a right one in few. Every outcome is told twice, some of
    requests that nobody made; while nobody answers it is kept and told later.
    """

    tidegate: Tidegate
    name: str
    served: dict[str, int] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    _untold: list[dict[str, Any]] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Shop:
        self._threads = [threading.Thread(target=self._serve), threading.Thread(target=self._tell)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        try:
            self._open()
        except Exception as error:
            self.failed.append(repr(error))
            raise

    def _open(self) -> None:
        chance = random.Random(7)
        status = self.tidegate.status(self.name)
        url = f"{status['url']}/predict"
        with self.tidegate.client as client:
            address = client.result(self.name)["servingEndpoint"]["grpcEndpoint"]
        with httpx.Client(trust_env=False) as http, grpc.insecure_channel(address) as channel:
            call = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=messages.ModelInferRequest.SerializeToString,
                response_deserializer=messages.ModelInferResponse.FromString,
            )
            while not self._stopping.is_set():
                chosen = str(uuid.uuid4())
                if (draw := chance.random()) < 0.2:
                    request = messages.ModelInferRequest(model_name=self.name)
                    tensor = request.inputs.add(name="x", datatype="FP64", shape=[1])
                    tensor.contents.fp64_contents.append(1.0)
                    answer, done = call.with_call(request, metadata=(("x-request-id", chosen),), timeout=10)
                    headers = dict(done.initial_metadata())
                    offer = answer.outputs[0].contents.fp64_contents[0]
                else:
                    own = {"x-request-id": chosen} if draw < 0.6 else {}
                    found = http.post(url, json={"records": [{"x": 1.0}]}, headers=own)
                    if found.status_code != 200:
                        self.failed.append(found.text)
                        continue
                    headers = dict(found.headers)
                    offer = float(found.json()["predictions"][0]["offer"])
                request_id = headers["x-request-id"]
                self.served[request_id] = int(headers["x-tidegate-revision"])
                is_bad = chance.random() < (0.03 if offer > 0 else 0.5)
                self._untold.append({"request_id": request_id, "bad": is_bad})
                time.sleep(0.02)

    def _tell(self) -> None:
        while not self._stopping.is_set():
            part = self._untold[:100]
            if not part:
                time.sleep(0.1)
                continue
            try:
                with self.tidegate.client as client:
                    for _ in range(2):
                        answer = client.tell_outcomes(
                            self.name, [*part, {"request_id": f"nobody's {uuid.uuid4()}", "bad": True}]
                        )
                        self.said.update({word: n for word, n in answer.items() if isinstance(n, int)})
            except Unavailable:
                time.sleep(0.2)
                continue
            del self._untold[: len(part)]


@pytest.fixture
def shop(tidegate: Tidegate, artifact: Callable[[str, str], Path]) -> Callable[[str], Shop]:
    """Open a shop with a good model."""

    def opened(name: str) -> Shop:
        report = tidegate.ended(deploy(tidegate, name, artifact(f"{name}-good", GOOD)))
        assert report["outcome"] == "promoted", report["reason"]
        return Shop(tidegate, name)

    return opened


def deploy(tidegate: Tidegate, name: str, folder: Path, **fields: Any) -> str:
    return tidegate.deploy(
        name,
        folder,
        modelArtifact={"path": str(folder), "trust": True},
        steps=[50, 100],
        analysis={**ANALYSIS, "outcomes": OUTCOMES},
        **fields,
    )


def test_a_candidate_whose_answers_come_to_a_bad_end_is_taken_back_by_that_alone_even_if_the_controller_is_killed(
    tidegate: Tidegate, shop: Callable[[str], Shop], artifact: Callable[[str, str], Path]
) -> None:
    with shop("offers") as open_shop:
        rollout = deploy(tidegate, "offers", artifact("worse", WORSE))
        candidate = tidegate.in_phase("offers", "analyzing")["candidate"]
        told = eventually("outcomes of the candidate", lambda: counted(tidegate, rollout, candidate))
        kill(tidegate.controller())
        before = len(open_shop.served)
        eventually("requests without a controller", lambda: len(open_shop.served) > before + 40)
        tidegate.start()
        report = tidegate.ended(rollout)
        assert report["outcome"] == "rolled_back", report["reason"]
        assert report["reason"].startswith("outcomes: "), report["reason"]
        of_candidate = {name for name, revision in open_shop.served.items() if revision == candidate}

        def joined() -> dict[str, Any] | None:
            with tidegate.client as client:
                found = client.outcomes("offers")["revisions"][str(candidate)]
            return found if found["good"] + found["bad"] + found["late"] + found["open"] == len(of_candidate) else None

        # Every request that the candidate answered is known as its own, once, over REST and gRPC.
        found = eventually("every outcome", joined)
        assert found["served"] == len(of_candidate)
    tally = report["requests"][str(candidate)]["further"]["outcomes"]
    assert told <= tally["requests"] <= found["good"] + found["bad"]
    assert open_shop.failed == []
    assert open_shop.said["duplicate"] > open_shop.said["joined"] / 4
    assert open_shop.said["ambiguous"] == open_shop.said["refused"] == 0


def counted(tidegate: Tidegate, rollout: str, revision: int) -> int:
    with tidegate.client as client:
        totals = client.rollout(rollout)["requests"].get(str(revision), {})
    return int(totals.get("further", {}).get("outcomes", {}).get("requests", 0))


def test_a_candidate_that_is_as_good_passes_when_enough_outcomes_are_in(
    tidegate: Tidegate, shop: Callable[[str], Shop], artifact: Callable[[str, str], Path]
) -> None:
    with shop("as-good"):
        report = tidegate.ended(deploy(tidegate, "as-good", artifact("other", GOOD + "\n# another\n")), 100)
    assert report["outcome"] == "promoted", report["reason"]
    verdicts = [step["verdict"] for step in report["steps"]]
    last = next(signal for signal in verdicts[-1]["signals"] if signal["signal"] == "outcomes")
    assert last["candidate"]["requests"] >= 40
    # What comes in after the end is told as an event and changes nothing.


def test_outcomes_of_requests_that_were_not_noted_are_told_so(tidegate: Tidegate, shop: Callable[[str], Shop]) -> None:
    shop("quiet")
    with tidegate.client as client:
        answer = client.tell_outcomes("quiet", [{"request_id": "a", "bad": True}, {"request_id": "", "bad": True}])
    assert (answer["unknown"], answer["refused"], answer["noting"]) == (1, 1, False)
    assert answer["errors"][0]["index"] == 1
