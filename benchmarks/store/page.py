"""The page for people about what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.store.paired import Shift, shift

_LONGEST_LINE = 118


def page(result: Mapping[str, Any]) -> str:
    """Return the page, with a section for each part that was measured."""
    lines = ["# The store in PostgreSQL", "", "`python -m benchmarks.store`"]
    for part, section in _SECTIONS.items():
        if part in result:
            found = result[part]
            machine, load = found["machine"], found["load_average"]
            quick = ", short: only to see that it runs" if found["quick"] else ""
            before, after = ("/".join(f"{value:g}" for value in load[side]) for side in ("before", "after"))
            about = (
                f"Measured {found['at']} in {found['seconds']:,.0f} s on {machine['cpus']} cores "
                f"({machine['cpu_model']}), {machine['memory_gib']} GiB; load before {before}, after {after}{quick}."
            )
            lines += ["", *section(found["measured"]), "", about]
    return "\n".join(lines) + "\n"


def _server(about: Mapping[str, Any]) -> str:
    whose = "`stack/warehouse/postgresql.conf`" if about["is_configured"] else "the settings that it comes with"
    return f"PostgreSQL {about['version']} with {whose}."


def _settings(about: Mapping[str, Any]) -> str:
    settings = ", ".join(f"`{name} = {value}`" for name, value in about["settings"].items())
    return f"The server is on the same machine, behind a socket, and waits for its disk: {settings}."


def _lookup(found: Mapping[str, Any]) -> Iterator[str]:
    loads = found["loaded"]["loads"]
    rates = sorted(loads, key=lambda load: load["rows"] / load["seconds"])
    middle = rates[len(rates) // 2]
    yield from ("## Look-ups of features", "")
    yield (
        f"Among {found['vectors']:,} vectors, one after the other, by random keys. Each is one statement and one round "
        "trip. "
        f"{_server(found['server'])} {_settings(found['server'])}"
    )
    yield from ("", "| Asked by | Entities | Look-ups | p50 ms | p99 ms | p99.9 ms | Longest ms | A second |")
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for row in found["look_ups"]:
        yield (
            f"| {row['way']} | {row['entities']} | {row['count']:,} | {row['p50_ms']:.3f} | **{row['p99_ms']:.3f}** "
            f"| {row['p999_ms']:.3f} | {row['longest_ms']:.1f} | {row['per_second']:,} |"
        )
    yield ""
    yield (
        f"The vectors came in by `FeatureStore.load`, {len(loads)} loads of {loads[0]['rows']:,} rows in no order of "
        f"keys, at **{_rate(middle)}** (the median of the loads; half of them from "
        f"{_rate(rates[len(rates) // 4])} to {_rate(rates[-1 - len(rates) // 4])}). In that one "
        f"reading, checking and COPY took {middle['read_seconds']:.0f} s, and merging "
        f"{middle['seconds'] - middle['read_seconds']:.0f} s. It began {loads[0]['at']}; load averages before each: "
        f"{_loads(loads)}, to which a load adds 1."
    )
    yield from ("", "| On disk | Bytes a vector | GiB |", "|---|---:|---:|")
    for one in found["sizes"]:
        kind = "index" if one["is_index"] else "table"
        size = one["bytes"]
        yield f"| {kind} `{one['name']}` | {size / found['vectors']:,.0f} | {size / 2**30:.2f} |"


def _rate(load: Mapping[str, Any]) -> str:
    return f"{load['rows'] / load['seconds']:,.0f} rows/s"


def _loads(loads: Sequence[Mapping[str, Any]]) -> str:
    of_a_minute = [load["load_before"][0] for load in loads]
    return f"{min(of_a_minute):g} to {max(of_a_minute):g}"


def _log(found: Mapping[str, Any]) -> Iterator[str]:
    yield from ("## The prediction log beside look-ups", "")
    yield (
        f"One sink of `tidegate.telemetry` writes records of one flight each into `telemetry.predictions`, whose "
        f"partition of the day has two indexes, while one entity of {found['vectors']:,} is looked up "
        f"{found['look_ups_per_second']:g} times a second through `tidegate.features`. A duration runs from when a "
        f"look-up was due. {found['rounds']} windows of {found['window_seconds']:g} s of each, in turn. "
        f"{_server(found['server'])}"
    )
    yield from ("", "| Records asked | Rows/s written | Not written | Look-ups: p50 ms | p99 ms | p99.9 ms | Busy |")
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in found["rates"]:
        asked = {None: "none", 0: "as many as it takes"}.get(row["rate"], f"{row['rate'] or 0:,}/s")
        times = row["look_ups"]
        yield (
            f"| {asked} | {row['per_second']:,} | {row['failed']:,} | {times['p50_ms']:.2f} "
            f"| **{times['p99_ms']:.2f}** | {times['p999_ms']:.2f} | {row['busy_percent']:g} % |"
        )
    yield ""
    full = found["rates"][-1]
    yield (
        f"A row takes {found['bytes_per_row']:,} bytes with its indexes, and {full['cpu_us_per_row']:g} µs of the "
        f"writing process, the making of the record included."
    )


def _containment(found: Mapping[str, Any]) -> Iterator[str]:
    with_index, without = found["with"], found["without"]
    ratio = without["execution_ms"] / with_index["execution_ms"]
    yield from ("## A containment query", "")
    yield f"`{found['query']}` finds {found['rows']:,} of {found['vectors']:,}. {_server(found['server'])}"
    yield ""
    yield (
        f"With the GIN index `feature_vectors_by_content` ({found['index_bytes'] / 2**30:.2f} GiB) it takes "
        f"**{with_index['execution_ms']:.1f} ms**, without it **{without['execution_ms']:,.0f} ms**, "
        f"{ratio:,.0f} times as long (the median of some, with what is read in memory; the first time "
        f"{with_index['first_ms']:.1f} and {without['first_ms']:,.0f} ms). The index was dropped in a transaction that "
        "was rolled back."
    )
    for title, plan in (("With the index", with_index), ("Without it", without)):
        yield from ("", f"{title}, `EXPLAIN (ANALYZE, BUFFERS)`:", "", "```text")
        yield from (_cut(line) for line in plan["plan"])
        yield "```"


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def _partitions(found: Mapping[str, Any]) -> Iterator[str]:
    months = found["months"]
    yield from ("## A year of partitions", "")
    yield (
        f"pg_partman {found['partman']} in PostgreSQL {found['version']}, whose clock was set a week ahead 53 times. "
        f"Each week {7 * found['rows_a_day']:,} rows of its seven days were written into `telemetry.predictions` and "
        f"`tidegate db maintain --keep predictions={found['keep_days']}d` ran: partitions of a day, {found['ahead']} "
        "made ahead."
    )
    yield from ("", "| Month | Rows written | Partitions made | Dropped | There | Rows kept | The oldest, days |")
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for month in months:
        yield (
            f"| {month['month']} | {month['written']:,} | {month['made']} | {month['dropped']} | {month['partitions']} "
            f"| {month['rows']:,} | {month['oldest_days']:g} |"
        )
    made, dropped = (sum(month[name] for month in months) for name in ("made", "dropped"))
    yield ""
    yield (
        f"In all {made} made, {dropped} dropped. Rows in the default partition after a maintenance, at most: "
        f"{found['in_default']}. What a maintenance left undone: {found['left']}."
    )


def _serving(rates: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from ("## Serving while requests are logged", "")
    yield (
        "One deployment behind the gateway, one replica of a LightGBM model, open loop, `predictionLog: {sink: "
        '"store:"}`; controller, gateway, replica, users and PostgreSQL share the machine. In windows of the same '
        "processes a share of the requests is in the sample, or none: their ids decide. Of the four windows of a block "
        "the inner or the outer two are logged, by lot. A block's ratio is that of the geometric means of its p99s "
        "with and without; told are what Hodges and Lehmann estimate of them, the interval of Wilcoxon's signed ranks, "
        "and how often lots alone would give a mean as far from 1. "
        f"{_server(rates[0]['server'])}"
    )
    yield from ("", "| Requests/s | Share logged | p99 ms without | With | Ratio, 95 % interval | By chance | Busy |")
    yield "|---:|---:|---:|---:|---|---:|---|"
    for row in rates:
        found = shift(row["ratios"])
        yield (
            f"| {row['rate']:,} | {row['share']:.0%} "
            f"| {row['median_p99_ms_without']:.2f} | {row['median_p99_ms_with']:.2f} "
            f"| **{_ratio(found)}** | {100 * found.chance:.0f} % "
            f"| {row['busy_percent_without']:g} %, {row['busy_percent_with']:g} % |"
        )
    yield ""
    for row in rates:
        records = row["records"]
        yield (
            f"- At {row['rate']:,} requests/s, {row['share']:.0%} logged, {effect(row['ratios'])} "
            f"({len(row['ratios'])} blocks of four windows of {row['window_seconds']:g} s). "
            f"Of {row['requests']:,} requests {row['failed']:,} failed; "
            f"{row['logged_requests']:,} were to be logged: {records.get('written', 0):,} records written, "
            f"{records.get('dropped', 0):,} dropped, {records.get('failed', 0):,} failed, {row['rows']:,} rows in the "
            "table."
        )


def _ratio(found: Shift) -> str:
    return f"{found.factor:.3f}" if found.low is None else f"{found.factor:.3f}, {found.low:.3f} to {found.high:.3f}"


def effect(ratios: Sequence[float]) -> str:
    """Return what the ratios of the blocks say: there is an effect where their interval leaves 1 out."""
    found = shift(ratios)
    if found.low is None or found.high is None:
        return "there are too few blocks to say"
    if found.low > 1.0:
        between = f"{100 * (found.low - 1):.0f} to {100 * (found.high - 1):.0f} %"
        return f"the log costs something: the p99 is {between} longer"
    if found.high < 1.0:
        return "the p99 is shorter with the log, which it cannot be the reason of"
    return f"no effect of the log on the p99 is seen; one of {100 * (found.high - 1):.0f} % would be"


def _gather(found: Mapping[str, Any]) -> Iterator[str]:
    yield from ("## How long records are gathered", "")
    yield (
        f"A replica for each span, all of whose requests are logged, at {found['rate']:,} requests/s past the gateway; "
        f"medians of {found['rounds']} windows of {found['window_seconds']:g} s, in turn. Processor time is that of "
        f"one request. {_server(found['server'])}"
    )
    yield from ("", "| Gathered for | Replica, µs | Database, µs | p50 ms | p99 ms |", "|---|---:|---:|---:|---:|")
    for one in found["spans"]:
        span = "no log" if one["seconds"] is None else f"{1000 * one['seconds']:g} ms"
        yield (
            f"| {span} | {one['replica_us']:.0f} | {one['database_us']:.0f} | {one['p50_ms']:.2f} "
            f"| {one['p99_ms']:.2f} |"
        )


_SECTIONS = {
    "lookup": _lookup,
    "log": _log,
    "containment": _containment,
    "partitions": _partitions,
    "serving": _serving,
    "gather": _gather,
}
