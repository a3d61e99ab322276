"""The model registry as tables for a terminal. Pure: what they show is in the arguments, the time included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tidegate.cli.humanize import ago, clock, count
from tidegate.cli.render import listing, pairs

#: Metrics that a line of a list has room for.
_MOST_METRICS = 4
#: The latest moves that a model is shown with.
_MOST_MOVES = 20
_STAGE_STYLES = {"production": "green", "staging": "yellow", "archived": "dim"}


def models_table(models: Sequence[Mapping[str, Any]], now: datetime, *, boxed: bool) -> Table:
    """Return one line per model, by name."""
    table = listing(boxed, "MODEL", "VERSIONS", "ALIASES", "SINCE", "BY", "ABOUT")
    for model in models:
        aliases = ", ".join(f"{alias} → {number}" for alias, number in model["aliases"].items())
        table.add_row(
            Text(model["name"], style="bold"),
            str(model["latest"]),
            Text(aliases or "-"),
            ago(model["created_at"], now),
            Text(model["created_by"]),
            Text(model["description"] or "-", overflow="fold"),
        )
    return table


def model_view(model: Mapping[str, Any], now: datetime, *, boxed: bool) -> RenderableType:
    """Return a model: its versions, newest first, and the latest moves."""
    head: list[tuple[str, RenderableType]] = [
        ("model", Text(model["name"], style="bold")),
        ("about", Text(model["description"])),
        ("registered", Text(f"{clock(model['created_at'])} by {model['created_by']}")),
    ]
    parts: list[RenderableType] = [pairs(head), Text(), versions_table(model["versions"], now, boxed=boxed)]
    if model["alias_moves"] or model["stage_changes"]:
        parts += [Text(), moves_table(model, boxed=boxed)]
    return Group(*parts)


def versions_table(versions: Sequence[Mapping[str, Any]], now: datetime, *, boxed: bool) -> Table:
    """Return one line per version."""
    table = listing(boxed, "VERSION", "STAGE", "ALIASES", "DEPLOYED", "METRICS", "BUNDLE", "CREATED", "BY")
    for version in versions:
        table.add_row(
            str(version["version"]),
            Text(version["stage"], style=_STAGE_STYLES.get(version["stage"], "")),
            ", ".join(version["aliases"]) or "-",
            ", ".join(_deployed(one) for one in version["deployed"]) or "-",
            Text(_few(version["metrics"]) or "-"),
            version["digest"][:12],
            ago(version["created_at"], now),
            Text(version["created_by"]),
        )
    return table


def moves_table(model: Mapping[str, Any], *, boxed: bool) -> Table:
    """Return the latest moves of aliases and stages, oldest first."""
    table = listing(boxed, "WHEN", "WHAT", "FROM", "TO", "BY", "WHY")
    moves = [(move["at"], move["alias"], move["before"], move["version"], move) for move in model["alias_moves"]]
    moves += [
        (change["at"], f"stage of {change['number']}", change["before"], change["stage"], change)
        for change in model["stage_changes"]
    ]
    for at, what, before, after, told in sorted(moves, key=lambda move: move[0])[-_MOST_MOVES:]:
        table.add_row(
            clock(at), what, _or_dash(before), _or_dash(after), Text(told["by"]), Text(told["reason"], overflow="fold")
        )
    return table


def version_view(version: Mapping[str, Any], *, boxed: bool) -> RenderableType:
    """Return all of one version: what it is, what it was made from, what it reached, what it takes and gives."""
    lineage = version["lineage"]
    head: list[tuple[str, RenderableType]] = [
        ("version", Text(version["reference"], style="bold")),
        ("stage", Text(version["stage"], style=_STAGE_STYLES.get(version["stage"], ""))),
        ("aliases", ", ".join(version["aliases"])),
        ("deployed", ", ".join(_deployed(one) for one in version["deployed"])),
        ("description", Text(version["description"])),
        ("registered", Text(f"{clock(version['created_at'])} by {version['created_by']}")),
        ("source", Text(version["source"])),
        ("framework", _framework(version)),
        ("bundle", f"{version['digest']} ({count(version['size_bytes'])} bytes)"),
        *(("data", Text(_data(one))) for one in lineage.get("data") or []),
        ("code", Text(lineage.get("code") or "")),
        ("parent", Text(lineage.get("parent") or "")),
        ("run", Text(lineage.get("run") or "")),
    ]
    parts: list[RenderableType] = [pairs(head)]
    if version["metrics"]:
        table = listing(boxed, "METRIC", "VALUE")
        for name, value in sorted(version["metrics"].items()):
            table.add_row(Text(name), number(value))
        parts += [Text(), table]
    signature = listing(boxed, "SIGNATURE", "NAME", "TYPE")
    for side in ("input", "output"):
        for spec in version["signature"][f"{side}s"]:
            signature.add_row(side, Text(spec["name"]), f"{spec['datatype']} {spec['shape']}")
    parts += [Text(), signature]
    environment = version["environment"]
    packages = ", ".join(f"{name} {of}" for name, of in sorted(environment["packages"].items()))
    return Group(*parts, Text(), Text(f"python {environment['python']}, {packages}".rstrip(", ")))


def comparison_view(compared: Mapping[str, Any], *, every: bool, boxed: bool) -> RenderableType:
    """Return two versions side by side; what differs has a ≠.

    Args:
        every: also packages that are the same.
    """
    left, right = compared["left"]["reference"], compared["right"]["reference"]
    table = listing(boxed, "", "", left, right, "CHANGE")
    for row in compared["metrics"]:
        change = row["change"]
        shown = f"{change:+.4g}" if change else "-" if change is None else "0"
        table.add_row(_mark(row), Text(f"metric {row['name']}"), number(row["left"]), number(row["right"]), shown)
    for row in compared["signature"]:
        table.add_row(_mark(row), Text(row["name"]), _or_dash(row["left"]), _or_dash(row["right"]), "")
    for row in compared["environment"]:
        if every or row["differs"]:
            name = row["name"] if row["name"] == "python" else f"package {row['name']}"
            table.add_row(_mark(row), Text(name), _or_dash(row["left"]), _or_dash(row["right"]), "")
    for row in compared["bundle"]:
        before, after = (_short(row["name"], row[side]) for side in ("left", "right"))
        if every or row["differs"]:
            table.add_row(_mark(row), Text(row["name"].replace("_", " ")), before, after, "")
    return Group(table, Text(), *_client_lines(compared, right))


def number(value: float | None) -> str:
    """Return a metric with as many digits as tell it from its neighbours; a dash for None."""
    return "-" if value is None else f"{value:.6g}"


def _client_lines(compared: Mapping[str, Any], right: str) -> Iterator[Text]:
    clients = compared["clients"]
    if clients["unknown"]:
        yield Text(f"Whether clients could go on with {right} is not known: {clients['unknown']}")
    elif clients["breaking"]:
        yield Text(f"Clients could not all go on with {right}:", style="red")
        yield from (Text(f"  {one}") for one in clients["breaking"])
    else:
        yield Text(f"Clients can go on with {right}.", style="green")
    yield from (Text(f"  {one}") for one in clients["harmless"])


def _mark(row: Mapping[str, Any]) -> Text:
    return Text("≠", style="yellow") if row["differs"] else Text("")


def _short(name: str, value: Any) -> str:
    if name == "digest":
        return str(value)[:12]
    if name.endswith("_bytes") and value is not None:
        return count(value)
    return _or_dash(value)


def _deployed(one: Mapping[str, Any]) -> str:
    return f"{one['deployment']} ({'stable' if one['stable'] else 'on trial'})"


def _framework(version: Mapping[str, Any]) -> str:
    of = f" {version['framework_version']}" if version["framework_version"] else ""
    return f"{version['framework']}{of} ({version['format']}{', trusted' if version['trusted'] else ''})"


def _data(one: Mapping[str, Any]) -> str:
    return f"{one['uri']} (sha256 {one['sha256'][:12]}…)" if one.get("sha256") else str(one["uri"])


def _few(metrics: Mapping[str, float]) -> str:
    named = [f"{name} {number(value)}" for name, value in sorted(metrics.items())]
    more = f", … ({len(named)})" if len(named) > _MOST_METRICS else ""
    return ", ".join(named[:_MOST_METRICS]) + more


def _or_dash(value: Any) -> str:
    return "-" if value in (None, "") else str(value)
