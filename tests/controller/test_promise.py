"""What a report says of false alarms covers what can take a candidate back by counts, and names what it leaves out."""

from __future__ import annotations

from typing import Any

from tidegate.contract.request import parse_request
from tidegate.controller.promise import promise
from tidegate.trial.steps import trial_steps

METRIC = {"http": {"url": "http://127.0.0.1:9/queue"}, "failureCondition": "result > 100"}


def said(analysis: dict[str, Any] | None = None, **fields: Any) -> str:
    document = {"modelArtifact": {"path": "m"}, "servingRequirements": {}, **fields, "analysis": analysis or {}}
    return promise(document, trial_steps(parse_request(document), 2))


def test_the_signals_that_are_counted_are_covered_together() -> None:
    assert said({"alpha": "2%"}).startswith(
        "A healthy candidate is taken back with a chance of 2% at most over the whole rollout, for errors, latency and "
        "rejections together, however often one looks, if requests are independent within a look."
    )


def test_what_takes_nobody_back_is_listed_apart() -> None:
    signals = {"latency": {"critical": False}, "rejections": {"dryRun": True}}
    told = said({"signals": signals, "metrics": [{**METRIC, "name": "queue", "critical": False}]})
    assert "for errors together" in told
    apart = told.partition("Not in it, taking nobody back: ")[2]
    assert apart == (
        "latency (a warning at most), rejections (shown only), predictions (shown only) and queue (a warning at most)."
    )


def test_predictions_are_covered_where_they_can_take_a_candidate_back() -> None:
    told = said({"predictions": {"tolerance": "10%", "critical": True}})
    assert "errors, latency, rejections and predictions together" in told
    assert "Not in it" not in told


def test_a_signal_that_no_step_measures_is_neither_covered_nor_listed() -> None:
    limited = {"predictions": {"tolerance": "10%", "critical": True}, "disagreement": "1%"}
    switched = said(limited, deploymentStrategy="blue-green")
    assert "for errors, latency and rejections together" in switched
    assert "predictions" not in switched
    shadowed = said({**limited, "outcomes": {"bad": "1%", "window": "1m"}}, deploymentStrategy="shadow")
    assert "for errors, latency, rejections and disagreement together" in shadowed
    both = said(limited, steps=[{"shadow": 20}, 5, 100])
    assert "for errors, latency, rejections, disagreement and predictions together" in both


def test_thresholds_are_not_covered_and_counters_of_a_metric_are() -> None:
    counted = {"name": "useless", "http": {"url": "http://127.0.0.1:9/{{revision}}"}}
    counted["counted"] = {"bad": "bad", "total": "all", "objective": "1%"}
    told = said({"metrics": [{**METRIC, "name": "queue"}, counted], "resources": {"memory": {}}})
    assert "errors, latency, rejections and useless together" in told
    assert "queue and memory are held to thresholds of the request's own, which that does not cover." in told


def test_arms_divide_alpha_and_say_so() -> None:
    arms = [{"modelArtifact": {"path": f"{name}.onnx"}, "weight": 20} for name in "bc"]
    told = said(deploymentStrategy="ab-test", abTest={"arms": arms})
    assert told.startswith("A healthy arm is taken out with a chance of 1% at most")
    assert "for all 2 arms (1/2 of it for each) and for errors, latency and rejections together" in told
    alone = said(deploymentStrategy="ab-test", abTest={"weight": 20})
    assert alone.startswith("A healthy candidate is taken back with a chance of 1% at most")


def test_where_nothing_that_is_counted_takes_anybody_back_nothing_is_promised() -> None:
    told = said({"signals": {name: {"dryRun": True} for name in ("errors", "latency", "rejections")}})
    assert told.startswith("No signal that is counted takes anybody back. Not in it")
    assert "chance" not in told


def test_of_a_document_that_is_not_read_any_more_nothing_is_said() -> None:
    assert promise({"modelArtifact": {"path": "m"}, "servedBy": "an older version"}, ()) == ""
