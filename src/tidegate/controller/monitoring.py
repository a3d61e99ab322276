"""The files that a deployment's monitoring consists of: Prometheus rules and a Grafana dashboard in the home folder."""

from __future__ import annotations

from tidegate.contract.request import DeploymentRequest
from tidegate.controller.home import Home, write_atomically
from tidegate.observe.alerts import alert_rules, rule_file
from tidegate.observe.dashboard import dashboard_text


def write_monitoring(home: Home, request: DeploymentRequest) -> None:
    """Write both files anew from the request's service level."""
    name = request.name
    write_atomically(home.rules(name), rule_file(name, request.serving_requirements))
    write_atomically(home.dashboard(name), dashboard_text(name))


def alert_names(request: DeploymentRequest) -> tuple[str, ...]:
    """Return the names of the deployment's alert rules, each once."""
    rules = alert_rules(request.name, request.serving_requirements)
    return tuple(dict.fromkeys(rule.name for rule in rules))
