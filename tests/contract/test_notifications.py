"""A request document names secrets and never holds one."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.notifications import MOMENTS, concealed
from tidegate.contract.request import DeploymentRequest, parse_request


def request_with(**fields: Any) -> DeploymentRequest:
    return parse_request({"modelArtifact": {"path": "/m.onnx"}, "servingRequirements": {}, **fields})


def notification(**fields: Any) -> DeploymentRequest:
    return request_with(notifications=[{"name": "oncall", **fields}])


def test_a_notification_without_moments_is_told_of_all_of_them() -> None:
    (one,) = notification(url="http://127.0.0.1:9000/told").notifications
    assert one.when == MOMENTS


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com/services/T00/B00/s3cr3t",
        "https://acme.webhook.office.com/webhookb2/s3cr3t",
        "https://user:s3cr3t@example.com/told",
        "https://example.com/told?key=s3cr3t",
        "https://example.com/told#s3cr3t",
        "https://example.com/s3cr3ts3cr3ts3cr3ts3cr3t",
        "slack://s3cr3t/s3cr3t/s3cr3t",
        "mailto://user:s3cr3t@example.com",
        "s3cr3t",
        "http://[s3cr3t",
        "http://example.com/s3cr3t with a space",
    ],
)
def test_a_url_that_may_be_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        notification(url=url)
    assert "s3cr3t" not in str(refused.value.as_dict())
    assert refused.value.subject == "notifications[0].url"


def test_a_url_where_the_name_of_a_variable_belongs_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as refused:
        notification(urlFromEnv="https://hooks.slack.com/services/T00/B00/s3cr3t")
    assert "s3cr3t" not in str(refused.value.as_dict())
    assert "TIDEGATE_SLACK_URL" in str(refused.value)


def test_only_variables_that_replicas_never_get_can_be_named() -> None:
    with pytest.raises(InvalidInput, match="begins with TIDEGATE_"):
        notification(urlFromEnv="AWS_SECRET_ACCESS_KEY")


@pytest.mark.parametrize("fields", [{}, {"url": "http://a/b", "urlFromEnv": "TIDEGATE_URL"}])
def test_exactly_one_place_for_the_url_is_named(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="exactly one of url, urlFromEnv, urlFromFile"):
        notification(**fields)


def test_each_name_and_each_moment_is_there_once() -> None:
    one = {"name": "a", "url": "http://a/b"}
    with pytest.raises(InvalidInput, match="each name once"):
        request_with(notifications=[one, one])
    with pytest.raises(InvalidInput, match="each moment once"):
        request_with(notifications=[{**one, "when": ["failed", "failed"]}])


def test_a_moment_that_there_is_not_is_one_problem_and_an_empty_list_another() -> None:
    with pytest.raises(InvalidInput, match=r"^notifications\[0\]\.when\[0\]: expected one of .*did you mean arm-out"):
        notification(url="http://a/b", when=["arm-in"])
    with pytest.raises(InvalidInput, match="expected 1 or more items"):
        notification(url="http://a/b", when=[])


def test_a_relative_file_counts_from_the_folder_of_the_document(tmp_path: Any) -> None:
    request = request_with(
        notifications=[{"name": "a", "urlFromFile": "a.url"}],
        hooks=[{"name": "b", "type": "event", "urlFromFile": "b.url"}],
    ).anchored(tmp_path)
    assert request.notifications[0].url_from_file == str(tmp_path / "a.url")
    assert request.hooks[0].url_from_file == str(tmp_path / "b.url")
    assert parse_request(request.as_document()) == request


def test_what_is_shown_of_a_url_is_its_scheme_and_host() -> None:
    assert concealed("https://user:key@example.com:8443/path?key=1") == "https://example.com:8443/…"
    assert concealed("slack://key/key") == "slack://…"
    assert concealed("http://[") == "a URL that cannot be read"
