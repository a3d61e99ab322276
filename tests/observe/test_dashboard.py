"""The dashboard: importable, and every query loads in Prometheus and asks for what is served."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observe.conftest import Promtool
from tidegate.observe.catalogue import CATALOGUE, metric_names
from tidegate.observe.dashboard import dashboard, dashboard_text, panels

CHURN: dict[str, Any] = dashboard("churn")


def expressions() -> list[str]:
    queries = [target["expr"] for panel in CHURN["panels"] for target in panel["targets"]]
    return [*queries, *(annotation["expr"] for annotation in CHURN["annotations"]["list"])]


def test_the_text_is_the_dashboard_as_json() -> None:
    assert json.loads(dashboard_text("churn")) == CHURN


def test_every_query_uses_metrics_of_the_catalogue() -> None:
    known = frozenset[str]().union(*(metric.series for metric in CATALOGUE))
    used = {name for expression in expressions() for name in re.findall(r"tidegate_\w+", expression)}
    assert used <= known


def test_every_metric_that_changes_with_a_deployment_is_on_it() -> None:
    shown = " ".join(expressions())
    assert [name for name in metric_names() if name not in shown] == [
        "tidegate_rollouts_total",
        "tidegate_controller_info",
    ]


def test_prometheus_loads_every_query(promtool: Promtool, tmp_path: Path) -> None:
    rules = [
        {"record": f"check:query:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(expressions())
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
    checked = promtool("check", "rules", path)
    assert checked.returncode == 0, checked.stderr


def test_the_datasource_is_a_variable_everywhere() -> None:
    assert [variable["name"] for variable in CHURN["templating"]["list"]] == ["datasource"]
    for panel in CHURN["panels"]:
        for holder in [panel, *panel["targets"]]:
            assert holder["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in CHURN["panels"]}) == len(panels("churn"))
    cells = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in CHURN["panels"]}
    assert len(cells) == len(CHURN["panels"])
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in CHURN["panels"])


@pytest.mark.parametrize("name", ["a", "churn", "x" * 63])
def test_the_uid_fits_grafana_and_is_the_same_every_time(name: str) -> None:
    uid = dashboard(name)["uid"]
    assert re.fullmatch(r"[a-z0-9-]{1,40}", uid)
    assert uid == dashboard(name)["uid"]
    assert dashboard("x" * 62)["uid"] != dashboard("x" * 63)["uid"]
