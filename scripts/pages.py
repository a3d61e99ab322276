"""The reference pages, as Markdown made from models, tables and catalogues."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from scripts.replica_metrics import replica_families
from tidegate.api.errors import status_of
from tidegate.cli.exits import ExitCode, exit_code_of
from tidegate.contract import errors
from tidegate.contract.quantities import Duration, Memory, Quantity, Share, Throughput
from tidegate.contract.request import ServingRequirements, parse_request
from tidegate.contract.schema import SchemaName, build_schema
from tidegate.observe.alerts import alert_rules
from tidegate.observe.catalogue import CATALOGUE

_NOTE = "<!-- Written by `python -m scripts.generate` from the code; change the code, not this page. -->"

_SMALLEST = {"modelArtifact": {"path": "models/churn.onnx"}, "servingRequirements": {"latencyP99": "50ms"}}

Schema = dict[str, Any]


def request_page() -> str:
    full = parse_request(_SMALLEST).as_document()
    return page(
        "The request document",
        """
        What `tidegate deploy -f FILE` reads, as YAML or JSON, and what `POST /v1/deployments` takes as JSON. A
        field that is not listed here is refused. For editors and programs there is a
        [JSON Schema](../../src/tidegate/contract/schemas/deployment-request.schema.json). Some things
        only Tidegate checks: the bounds of quantities, that steps rise and end with 100, that `traffic.timeout` is
        above the p99 objective, and that `analysis.interval` is no longer than the shortest step.
        """,
        "The least that a request says:",
        _yaml(_SMALLEST),
        "The same request with every default written out:",
        _yaml(full),
        *_objects("deployment-request"),
        "## Quantities",
        "A number with a unit and no space between them. Each is exact; a number has at most six decimals.",
        table(
            ("Quantity", "Units", "Examples"),
            ((kind.__name__, ", ".join(kind.units), _codes(kind.examples)) for kind in _QUANTITIES),
        ),
    )


_QUANTITIES: tuple[type[Quantity], ...] = (Duration, Throughput, Share, Memory)


def result_page() -> str:
    return page(
        "The result document",
        """
        What `tidegate deploy --output json` prints and `GET /v1/deployments/{name}/result` answers. Every value is
        real: the addresses answer, the metrics are served under these names, the alerts are rules in the file named
        beside them, the dashboards are files that Grafana imports. For programs there is a
        [JSON Schema](../../src/tidegate/contract/schemas/deployment-result.schema.json).
        """,
        *_objects("deployment-result"),
    )


_GOLDEN = {
    "tolerances": {"probabilities": {"absolute": 0.02}},
    "requests": [
        {
            "name": "an evening flight",
            "predict": [{"distance": 800, "hour": 19}],
            "expect": [{"prediction": "late", "probabilities": {"late": 0.81}}],
        },
        {
            "infer": {"inputs": [{"name": "hour", "datatype": "FP64", "shape": [1], "data": [9]}]},
            "expect": [{"name": "prediction", "data": ["on time"]}],
        },
    ],
}


def golden_page() -> str:
    return page(
        "Golden requests",
        """
        The file that `gates.golden` of a [request document](request.md) or `--golden` names, as YAML or JSON: requests
        with the answers that a candidate must give [before any user meets it](../how-to/gate-a-candidate.md). For
        editors and programs there is a
        [JSON Schema](../../src/tidegate/contract/schemas/golden-requests.schema.json).
        """,
        _yaml(_GOLDEN),
        """
        Text, labels, flags and missing values must be equal. A number may differ from the expected one by the larger
        of the two tolerances of its output; where none is named, by 1e-6 and by the same share of it. What `expect`
        does not say is free: other outputs, other labels. The rows or tensors that it lists must all be there.
        """,
        *_objects("golden-requests"),
    )


def metrics_page() -> str:
    return page(
        "Metrics",
        "Prometheus metrics; all names begin with `tidegate_`.",
        "## Served by the controller",
        """
        At `GET /metrics` for all deployments and at `GET /v1/deployments/{name}/metrics` for one. The counters of the
        gateway begin again at zero when the gateway is restarted, and a revision's series end when it is removed.
        """,
        table(
            ("Metric", "Kind", "Unit", "Labels", "Meaning"),
            (
                (f"`{metric.name}`", metric.kind, metric.unit, _codes(metric.labels), metric.help)
                for metric in CATALOGUE
            ),
        ),
        "## Served by each replica",
        """
        At `GET /metrics` of the replica itself, which the gateway serves at `/NAME/metrics` of one replica at a time.
        All carry the labels `deployment` and `revision`, and but for those of several workers `model_version`. With
        several workers the numbers are those of all together, and what belongs to one process has a label `worker`.
        """,
        table(("Metric", "Kind", "Labels", "There", "Meaning"), _replica_metrics()),
    )


def alerts_page() -> str:
    return page(
        "Alerts",
        """
        Tidegate writes a Prometheus rule file for each deployment from its service level. These are the rules of a
        deployment named `churn` with the default service level. A `page` is for now, a `ticket` for the next morning.
        """,
        *(
            part
            for rule in alert_rules("churn", ServingRequirements())
            for part in (
                f"## {rule.name} ({rule.severity})",
                f"> {rule.summary}",
                rule.runbook,
                f"```promql\n{rule.expression}\n```",
                f"Fires when that has held for {rule.hold}." if rule.hold else "Fires at once.",
            )
        ),
    )


def errors_page() -> str:
    classes = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.TidegateError) and kind is not errors.TidegateError
    ]
    return page(
        "Errors and exit codes",
        "An error says what went wrong, with which object, what was expected, what was there, and what to type next.",
        "## Codes",
        """
        In JSON an error is `{"error": {"code", "message", "subject", "expected", "got", "hint"}}`; fields that would
        say nothing are left out. A request without a valid token is answered with 401 and the code `unauthorized`;
        a failure of Tidegate itself with 500, and the CLI then exits with 1.
        """,
        table(
            ("Code", "HTTP status", "Exit code of the CLI", "Meaning"),
            (
                (f"`{kind.code}`", str(status_of(kind(""))), str(int(exit_code_of(kind("")))), _first_line(kind))
                for kind in sorted(classes, key=lambda kind: status_of(kind("")))
            ),
        ),
        "## Exit codes",
        table(("Exit code", "Meaning"), ((str(int(code)), code.meaning) for code in ExitCode)),
    )


def page(title: str, *parts: str) -> str:
    """Join the parts of a page; one that begins with a line break is prose, whose own line breaks mean nothing."""
    flowed = [" ".join(part.split()) if part.startswith("\n") else part for part in parts]
    return "\n\n".join([_NOTE, f"# {title}", *flowed]) + "\n"


def _yaml(document: Any) -> str:
    return f"```yaml\n{yaml.safe_dump(document, sort_keys=False).rstrip()}\n```"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _objects(name: SchemaName) -> Iterator[str]:
    schema = build_schema(name)
    yield "## Fields"
    yield _fields(schema, schema)
    yield from _nested(schema, schema, "")


def _nested(root: Schema, schema: Schema, prefix: str) -> Iterator[str]:
    """Yield a heading, a sentence and a table for each object below `schema`, in the order of the fields."""
    for field, value in schema["properties"].items():
        inner = _object_in(root, value)
        if inner is None:
            continue
        is_list = _without_null(value).get("type") == "array"
        path = f"{prefix}{field}{'[]' if is_list else ''}"
        yield f"### {path}"
        yield inner["description"]
        yield _fields(root, inner)
        yield from _nested(root, inner, f"{path}.")


def _fields(root: Schema, schema: Schema) -> str:
    required = schema.get("required", [])
    return table(
        ("Field", "Type", "Default", "Meaning"),
        (
            (
                f"`{field}`",
                _type(root, value, field in required),
                _default(value, field in required),
                _meaning(root, value),
            )
            for field, value in schema["properties"].items()
        ),
    )


def _default(value: Schema, is_required: bool) -> str:
    if is_required:
        return "required"
    default = value.get("default")
    if default is None or isinstance(default, dict):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def _meaning(root: Schema, value: Schema) -> str:
    text: str = value.get("description") or _resolved(root, value)["description"]
    return " ".join(text.split())


def _type(root: Schema, value: Schema, is_required: bool = False) -> str:
    if is_required and _without_null(value) is not value:
        return f"{_type(root, value)}, or null"
    value = _without_null(value)
    if "enum" in value:
        return "one of " + _codes(value["enum"])
    if "title" in value and "x-from" in value:
        return f"{value['title']}, {value['x-from']} to {value['x-to']}"
    if value.get("type") == "string":
        return str(value.get("title", "text"))
    if value.get("type") == "integer":
        low, high = value.get("minimum"), value.get("maximum")
        bounds = f", {low} to {high}" if high is not None else f", {low} or more"
        return f"whole number{bounds if low is not None else ''}"
    if value.get("type") == "array":
        return "list" if _object_in(root, value) is not None else f"list of {_type(root, value['items'])}"
    return {"boolean": "true or false", "number": "number"}.get(value.get("type", ""), "object")


def _without_null(value: Schema) -> Schema:
    some = [choice for choice in value.get("anyOf", []) if choice.get("type") != "null"]
    return some[0] if len(some) == 1 else value


def _resolved(root: Schema, value: Schema) -> Schema:
    reference = value.get("$ref")
    return value if reference is None else root["$defs"][reference.rpartition("/")[2]]


def _object_in(root: Schema, value: Schema) -> Schema | None:
    """Return the object that a field holds, by itself, in a list or as one of several forms; None if it holds none."""
    value = _resolved(root, _without_null(value))
    if value.get("type") == "array":
        return _object_in(root, value["items"])
    if "properties" in value:
        return value
    return next((choice for choice in value.get("anyOf", []) if "properties" in choice), None)


def _replica_metrics() -> Iterator[tuple[str, str, str, str, str]]:
    for there, families in replica_families():
        for family in families:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = _codes(sorted(family.labels)) if family.labels else ""
            yield f"`{name}`", family.type, labels, there, family.documentation
