"""Who is told of which event, and what a deploy refuses because nobody could be told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller.notifications import addressees, not_taken_over, refuse_undeliverable

KEY = "s3cr3t"


def request_with(**fields: Any) -> DeploymentRequest:
    return parse_request({"modelArtifact": {"path": "/m.onnx"}, "servingRequirements": {}, **fields})


def told(kind: str, **fields: Any) -> list[tuple[str, str]]:
    return [(one.receiver, one.moment) for one in addressees(request_with(**fields).as_document(), kind)]


def test_each_is_told_of_the_moments_it_asked_for() -> None:
    asked = [
        {"name": "all", "url": "http://a/b"},
        {"name": "bad", "url": "http://a/b", "when": ["failed", "rolled-back"]},
    ]
    assert told("rolled_back", notifications=asked) == [("all", "rolled-back"), ("bad", "rolled-back")]
    assert told("held", notifications=asked) == told("paused", notifications=asked) == [("all", "waiting")]
    assert told("arm_out", notifications=asked) == [("all", "arm-out")]
    assert told("harm_after_end", notifications=asked) == [("all", "harm-after-end")]
    assert told("drifted", notifications=asked) == [("all", "drifted")]
    assert told("drift_over", notifications=asked) == [("all", "drift-over")]
    assert told("baseline", notifications=asked) == []


def test_hooks_of_the_type_event_are_told_of_everything_and_others_of_the_end_or_nothing() -> None:
    asked = [{"name": kind, "type": kind, "url": "http://a/b"} for kind in ("event", "post-rollout", "rollout")]
    assert told("replica_died", hooks=asked) == [("event", "replica-died")]
    assert told("aborted", hooks=asked) == [("event", "aborted"), ("post-rollout", "post-rollout")]


def refusal(environ: Mapping[str, str], **fields: Any) -> str:
    with pytest.raises(InvalidInput) as refused:
        asyncio.run(refuse_undeliverable(request_with(**fields), environ))
    assert KEY not in str(refused.value.as_dict())
    return str(refused.value)


def test_a_deploy_is_refused_when_a_url_is_missing_or_none_and_never_repeats_it(tmp_path: Path) -> None:
    asked = [{"name": "a", "urlFromEnv": "TIDEGATE_A"}]
    assert "no TIDEGATE_A in its environment" in refusal({}, notifications=asked)
    assert "no URL" in refusal({"TIDEGATE_A": KEY}, notifications=asked)
    assert "Apprise does not understand" in refusal({"TIDEGATE_A": f"nonsense://{KEY}"}, notifications=asked)
    hooks = [{"name": "a", "type": "rollout", "urlFromEnv": "TIDEGATE_A"}]
    assert "a hook is a service that answers HTTP" in refusal({"TIDEGATE_A": f"slack://{KEY}"}, hooks=hooks)
    files = [{"name": "a", "urlFromFile": str(tmp_path / "none")}]
    assert "No such file" in refusal({}, notifications=files)


def test_what_can_be_sent_is_accepted() -> None:
    urls = {"TIDEGATE_A": f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ{KEY}"[:-6]}
    asked = [{"name": "a", "urlFromEnv": "TIDEGATE_A"}, {"name": "b", "url": "https://example.com/told"}]
    asyncio.run(refuse_undeliverable(request_with(notifications=asked), urls))


def test_a_deploy_that_changes_nothing_says_that_new_receivers_wait_for_the_next() -> None:
    asked = request_with(notifications=[{"name": "a", "url": "http://a/b"}])
    assert not_taken_over(asked, asked) == ()
    assert "take effect with the next" in not_taken_over(asked, request_with())[0]
