"""Compare Tidegate's server with its peers on this machine and write benchmarks/results/serving.{json,md}.

python -m benchmarks.serving            every server, every model, two rounds: about 20 minutes once installed
python -m benchmarks.serving --quick    the XGBoost model alone, one short round: about 3 minutes
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.serving import models as served
from benchmarks.serving import rounds
from benchmarks.serving.asking import GeneratorFailedError, NoAnswerError
from benchmarks.serving.environments import EnvironmentFailedError, python_of, versions
from benchmarks.serving.goals import Goal, judged
from benchmarks.serving.measure import FULL, LARGE, QUICK, Bench, Lengths
from benchmarks.serving.page import as_markdown
from benchmarks.serving.peers import SERVERS
from benchmarks.serving.processes import divided_cores
from benchmarks.serving.profile import profiled
from benchmarks.serving.servers import Server
from benchmarks.serving.surroundings import load_average, machine

_ROOT = Path(__file__).parents[2]
_BASE = _ROOT / ".bench"
_RESULTS = _ROOT / "benchmarks" / "results"
_TITLES = {
    "xgboost": "XGBoost, 200 trees",
    "pipeline": "scikit-learn pipeline with categories",
    "network": "small ONNX network",
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    servers, models = _chosen(given)
    lengths = QUICK if given.quick else FULL
    bench = _prepared(models, replace(lengths, rounds=given.rounds or lengths.rounds))
    installed = {server.name: _versions(server) for server in servers}
    before, begun = load_average(), time.perf_counter()
    found, own_times = rounds.measure_all(bench, servers, models)
    table = rounds.table(found)
    goals = judged(table, {name: times["median_ms"] for name, times in own_times.items()})
    profiles = _profiles(goals, bench) if not given.no_profile else []
    run = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _command(given),
        "quick": given.quick,
        "revision": _revision(),
        "seconds": round(time.perf_counter() - begun, 1),
        "machine": machine(),
        "load_average": {"before": before, "after": load_average()},
        "cores": asdict(bench.cores),
        "lengths": asdict(bench.lengths),
        "models": {model.name: _TITLES[model.name] for model in models},
        "servers": {server.name: _described(server, installed[server.name]) for server in servers},
        "own_times": own_times,
        "goals": [asdict(goal) for goal in goals],
        "table": table,
        "starts": rounds.starts(found),
        "profiles": profiles,
    }
    _write(run, Path(given.results))
    for goal in goals:
        print(f"{'met' if goal.met else 'not measured' if goal.met is None else 'MISSED':12} {goal.model}: "
              f"{goal.wanted}: {goal.found}")  # fmt: skip
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one short round, by default with one model")
    parser.add_argument("--only", help=f"servers, with commas: {', '.join(SERVERS)}")
    parser.add_argument("--variants", action="store_true", help="also the settings of peers that are not the default")
    parser.add_argument("--models", help=f"models, with commas: {', '.join(served.NAMES)}")
    parser.add_argument(
        "--rounds", type=int, choices=range(1, 10), metavar="N", help="how often all are measured in turn"
    )
    parser.add_argument("--no-profile", action="store_true", help="no profile where a goal is missed")
    parser.add_argument("--results", default=str(_RESULTS), help="folder for serving.json and serving.md")
    return parser.parse_args(arguments)


def _command(given: argparse.Namespace) -> str:
    """Return the command as it can be repeated, without where its results went."""
    words = ["python -m benchmarks.serving"]
    words += [f"--{name.replace('_', '-')}" for name in ("quick", "variants", "no_profile") if getattr(given, name)]
    words += [f"--{name} {getattr(given, name)}" for name in ("only", "models", "rounds") if getattr(given, name)]
    return " ".join(words)


def _chosen(given: argparse.Namespace) -> tuple[list[Server], list[served.ServedModel]]:
    names = given.only.split(",") if given.only else [s.name for s in SERVERS.values() if s.default or given.variants]
    kinds = given.models.split(",") if given.models else list(served.NAMES[:1] if given.quick else served.NAMES)
    for asked, known in ((names, SERVERS), (kinds, served.NAMES)):
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise SystemExit(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
    trained = served.prepare(_BASE / "models")
    return [SERVERS[name] for name in names], [trained[kind] for kind in kinds]


def _prepared(models: Sequence[served.ServedModel], lengths: Lengths) -> Bench:
    from tidegate.artifact.build import BuildRequest, build_bundle

    bundles = {}
    for model in models:
        bundles[model.name] = asyncio.run(build_bundle(BuildRequest(model.own_path), _BASE / "bundles")).folder
    by_name = {model.name: model for model in models}
    return Bench(_BASE, by_name, bundles, divided_cores(), lengths)


def _versions(server: Server) -> dict[str, str]:
    """Return versions, making the environment first; a server that cannot be installed is reported when measured."""
    try:
        return versions(server, python_of(server, _BASE))
    except EnvironmentFailedError as error:
        print(error, file=sys.stderr, flush=True)
        return {}


def _described(server: Server, installed: dict[str, str]) -> dict[str, Any]:
    known = {"title": server.title, "form": server.form, "path": server.path, "settings": server.settings}
    return {**known, "sources": list(server.sources), "versions": installed}


def _profiles(goals: Sequence[Goal], bench: Bench) -> list[dict[str, Any]]:
    """Return a profile for each kind of request with which Tidegate missed a goal."""
    wanted = dict.fromkeys((goal.server, goal.model, goal.rows) for goal in goals if goal.met is False)
    profiles = []
    for name, model, rows in wanted:
        if name not in SERVERS or SERVERS[name].peer is not None:
            continue
        print(f"profiling {name}, {model}, {rows} rows …", flush=True)
        try:
            profiles.append(profiled(SERVERS[name], bench.models[model], bench, rows, 1 if rows == LARGE else 16))
        except (EnvironmentFailedError, NoAnswerError, GeneratorFailedError, RuntimeError) as error:
            about = {"server": name, "model": model, "rows": rows, "form": SERVERS[name].form}
            profiles.append({**about, "reason": str(error).replace(str(_ROOT), "")})
    return profiles


def _revision() -> str:
    """Return the commit that was measured, with a plus when the tree has changes to the code."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, check=False, capture_output=True, text=True
    )
    if commit.returncode != 0:
        return "unknown"
    changed = subprocess.run(
        ["git", "status", "--porcelain", "src"], cwd=_ROOT, check=False, capture_output=True, text=True
    )
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _write(run: dict[str, Any], folder: Path) -> None:
    """Add the run to those of before and renew the page."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "serving.json"
    runs = json.loads(kept.read_text(encoding="utf-8"))["runs"] if kept.exists() else []
    runs.append(run)
    kept.write_text(json.dumps({"runs": runs}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "serving.md").write_text(as_markdown(runs), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
