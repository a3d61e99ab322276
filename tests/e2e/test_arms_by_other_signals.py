"""Arms of an A/B test that go for what no counter of the gateway shows: outcomes, and a metric of the user's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Tidegate, eventually
from tests.e2e.test_outcomes import ANALYSIS, GOOD, OUTCOMES, WORSE, Shop, artifact, shop

pytestmark = [pytest.mark.e2e, pytest.mark.long]
__all__ = ["artifact", "shop"]

#: An arm goes for half of its outcomes later than it is shown to be worse, so that the comparison has it still.
TOLERANT = {**OUTCOMES, "bad": "25%"}

QUALITY = """
import json


def measure(asked):
    with open({path!r}) as found:
        return json.load(found)[str(asked["revision"])]
"""


def test_each_arm_goes_for_its_own_outcomes_and_its_own_metric_and_the_others_stay(
    tidegate: Tidegate, shop: Callable[[str], Shop], artifact: Callable[[str, str], Path], tmp_path: Path
) -> None:
    name = "other-signals"

    def arm(called: str, code: str) -> dict[str, Any]:
        path = artifact(called, f"{code}\n# {called}\n")
        return {"name": called, "modelArtifact": {"path": str(path), "trust": True}, "weight": 25}

    with shop(name) as open_shop:
        status = tidegate.status(name)
        stable = int(status["stable"])
        labelled = {str(stable): 0.9, str(stable + 1): 0.9, str(stable + 2): 0.2, str(stable + 3): 0.9}
        (tmp_path / "labels.json").write_text(json.dumps(labelled))
        (tmp_path / "quality.py").write_text(QUALITY.format(path=str(tmp_path / "labels.json")))
        quality = {
            "name": "quality",
            "python": {"path": str(tmp_path / "quality.py"), "function": "measure", "trust": True},
            "failureCondition": "result < 0.5",
            "failureLimit": 2,
            "interval": "1s",
        }
        champion = tmp_path / f"{name}-good"
        rollout = tidegate.deploy(
            name,
            champion,
            modelArtifact={"path": str(champion), "trust": True},
            deploymentStrategy="ab-test",
            steps=None,
            abTest={"arms": [arm("regretted", WORSE), arm("poor", GOOD), arm("fine", GOOD)]},
            analysis={**ANALYSIS, "outcomes": TOLERANT, "metrics": [quality]},
        )

        def out() -> dict[str, str | None]:
            arms = tidegate.status(name)["rollout"]["arms"]
            return {one["name"]: one["out"] for one in arms if one["name"] != "stable"}

        gone = eventually("both of them out", lambda: out() if out()["regretted"] and out()["poor"] else None, 100)
        assert gone["regretted"].startswith("outcomes: "), gone
        assert gone["poor"].startswith("quality: "), gone
        assert gone["fine"] is None
        assert tidegate.status(name)["split_asked"] == {str(stable): 75, str(stable + 3): 25}
        statements = tidegate.status(name)["rollout"]["comparison"]["statements"]
        assert any("is better than regretted on outcomes: " in said for said in statements), statements
        with tidegate.client as client:
            client.promote(name, arm="fine", by="ada")
        report = tidegate.ended(rollout)
        assert (report["outcome"], report["to_revision"]) == ("promoted", stable + 3)
        assert "for all 3 arms (1/3 of it for each) and for errors," in report["promise"]
        assert "rejections and outcomes together" in report["promise"]
        assert any("better than regretted on outcomes" in said for said in report["comparison"]["statements"])
    assert open_shop.failed == []
