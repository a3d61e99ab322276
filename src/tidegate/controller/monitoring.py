"""The files that a deployment's monitoring consists of: Prometheus rules and a Grafana dashboard in the home folder."""

from __future__ import annotations

from tidegate.contract.request import DeploymentRequest
from tidegate.controller.home import Home, write_atomically
from tidegate.observe.alerts import alert_rules, rule_file
from tidegate.observe.dashboard import dashboard_text

#: They hold no secret: where their folder is handed on to Prometheus and Grafana, as in a stack of containers, those
#: read them as users of their own. At home the folder above keeps others out.
_MODE = 0o644


def write_monitoring(home: Home, request: DeploymentRequest) -> None:
    """Write both files anew from the request's service level."""
    name = request.name
    write_atomically(home.rules(name), rule_file(name, request.serving_requirements), _MODE)
    write_atomically(home.dashboard(name), dashboard_text(name), _MODE)


def alert_names(request: DeploymentRequest) -> tuple[str, ...]:
    """Return the names of the deployment's alert rules, each once."""
    rules = alert_rules(request.name, request.serving_requirements)
    return tuple(dict.fromkeys(rule.name for rule in rules))
