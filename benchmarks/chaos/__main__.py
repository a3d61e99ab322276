"""`python -m benchmarks.chaos`: rollouts under SIGKILL of controller, gateway and replicas at random moments.

Good and harmful candidates of one deployment are tried in turn, under steady traffic, while up to three processes are
killed in each rollout. Expected: a good candidate is promoted, a harmful one is rolled back; no transition is lost or
doubled; nothing is left running; and every request that a user lost is one that the harmful candidate failed, or that
a killed process held. Writes benchmarks/results/chaos.json and .md.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.chaos import models
from benchmarks.chaos.killer import KINDS, Kill, keep_controller, kill_one, kind_of, processes
from examples.flights.load import Record, read_records
from tidegate.client import Client
from tidegate.contract.errors import TidegateError
from tidegate.controller import launch

_ROOT = Path(__file__).parents[2]
_NAME = "prices"
_RATE = 60.0
#: A rollout that takes longer has not ended as it should.
_LONGEST_SECONDS = 120.0
#: A request that was under way this long before or after a kill may have been held by what was killed.
_KILL_WINDOW_SECONDS = 3.0
_MOST_KILLS = 3
_ENDS = {True: "promoted", False: "rolled_back"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--results", type=Path, default=_ROOT / "benchmarks" / "results")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-chaos-") as folder:
        result = run(Path(folder), given.rollouts, given.seed)
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / "chaos.json").write_text(json.dumps(result, indent=1) + "\n")
    (given.results / "chaos.md").write_text(page(result))
    sys.stdout.write(page(result))
    return 0 if result["as_it_should"] else 1


def run(folder: Path, rollouts: int, seed: int) -> dict[str, Any]:
    """Try the candidates and return what is written down."""
    home, chance = folder / "home", random.Random(seed)
    launch.ensure_running(home, 0, 0)
    begun = time.time()
    try:
        first = models.write(folder / "m0", harm=0.0, factor=4000.0)
        _ended(home, _deploy(home, first))
        out, traffic = _traffic(home, folder, seconds=rollouts * _LONGEST_SECONDS)
        tried, kills = [], []
        for number in range(1, rollouts + 1):
            keep_controller(home)
            good = chance.random() < 0.6
            artifact = models.write(folder / f"m{number}", harm=0.0 if good else models.HARM, factor=4000.0 + number)
            told, killed = _one(home, artifact, chance)
            kills += killed
            tried.append({"good": good, **told, "kills": [kill.kind for kill in killed]})
            sys.stderr.write(
                f"{number}/{rollouts} {'good' if good else 'harmful'} {told['outcome']} {tried[-1]['kills']}\n"
            )
        keep_controller(home)
        orphans = _settle(home)
        traffic.terminate()
        traffic.wait(30)
        records = read_records(out)
    finally:
        launch.stop(home)
    left = _left(home)
    harmful = {one["revision"] for one in tried if not one["good"]}
    unexplained = [record for record in records if record.failed and not _explained(record, harmful, kills)]
    wrong = [one for one in tried if one["outcome"] != _ENDS[one["good"]]]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m benchmarks.chaos --rollouts {rollouts} --seed {seed}",
        "seconds": round(time.time() - begun, 1),
        "rollouts": rollouts,
        "good": sum(one["good"] for one in tried),
        "kills": dict(Counter(kill.kind for kill in kills)),
        "outcomes": dict(Counter(f"{'good' if one['good'] else 'harmful'}, {one['outcome']}" for one in tried)),
        "not_as_it_should": wrong,
        "doubled_or_lost": [one for one in tried if one["flaws"]],
        "requests": len(records),
        "failed": sum(record.failed for record in records),
        "failed_by_a_harmful_candidate": sum(record.failed and record.revision in harmful for record in records),
        "failed_around_a_kill": sum(
            record.failed and record.revision not in harmful and _explained(record, harmful, kills)
            for record in records
        ),
        "unexplained": [vars(record) for record in unexplained[:20]],
        "unexplained_count": len(unexplained),
        "orphans": orphans,
        "left_after_down": left,
        "as_it_should": not (wrong or unexplained or orphans or left or any(one["flaws"] for one in tried)),
    }


def _deploy(home: Path, artifact: Path) -> str:
    document = {
        "name": _NAME,
        "modelArtifact": {"path": str(artifact), "trust": True},
        "servingRequirements": {"latencyP99": "1s", "availability": "99%"},
        "steps": [50, 100],
        "analysis": {
            "stepDuration": "40s",
            "interval": "200ms",
            "baseline": "200ms",
            "minRequests": 20,
            "margin": "10%",
        },
        "healthChecks": {"maxRestarts": 5},
    }
    while True:
        with suppress(TidegateError), Client.connect(home) as client:
            accepted = client.deploy(document)
            if accepted["rollout"] is None:
                raise RuntimeError(f"{artifact} is what serves")
            return str(accepted["rollout"])
        keep_controller(home)
        found = _active(home)
        if found is not None:  # the controller was killed between the decision and its answer
            return found


def _active(home: Path) -> str | None:
    with suppress(TidegateError), Client.connect(home) as client:
        rollout = client.status(_NAME).get("rollout")
        if rollout is not None and rollout.get("ended_at") is None:
            return str(rollout["id"])
    return None


def _one(home: Path, artifact: Path, chance: random.Random) -> tuple[dict[str, Any], list[Kill]]:
    """Try one candidate, with kills; return how it ended and who was killed."""
    rollout = _deploy(home, artifact)
    begun, kills = time.monotonic(), []
    due = sorted(chance.uniform(0.0, 8.0) for _ in range(chance.randint(0, _MOST_KILLS)))
    down_until = 0.0
    while time.monotonic() - begun < _LONGEST_SECONDS:
        if due and time.monotonic() - begun >= due[0]:
            due.pop(0)
            killed = kill_one(home, chance.choice(KINDS), *_revisions(home), chance)
            if killed is not None:
                kills.append(killed)
                if killed.kind == "controller":
                    down_until = time.monotonic() + chance.uniform(0.0, 2.0)
        if time.monotonic() >= down_until:
            keep_controller(home)
            report = _report_of(home, rollout)
            if report is not None:
                return _told(report), kills
        time.sleep(0.05)
    return {"outcome": "not ended", "revision": None, "seconds": None, "flaws": []}, kills


def _revisions(home: Path) -> tuple[int | None, int | None]:
    with suppress(TidegateError), Client.connect(home) as client:
        status = client.status(_NAME)
        return status.get("stable"), status.get("candidate")
    return None, None


def _report_of(home: Path, rollout: str) -> dict[str, Any] | None:
    with suppress(TidegateError), Client.connect(home) as client:
        if client.rollout(rollout)["ended_at"] is not None:
            return dict(client.report(rollout))
    return None


def _ended(home: Path, rollout: str) -> dict[str, Any]:
    deadline = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < deadline:
        report = _report_of(home, rollout)
        if report is not None:
            return report
        time.sleep(0.05)
    raise RuntimeError(f"rollout {rollout} did not end")


def _told(report: dict[str, Any]) -> dict[str, Any]:
    return {
        "outcome": report["outcome"],
        "reason": report["reason"],
        "revision": report["to_revision"],
        "seconds": report["duration_seconds"],
        "flaws": flaws(report["events"]),
    }


def flaws(events: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the transitions of a rollout that has ended: one lost, or one told twice."""
    edges = [event for event in events if "phase" in event["data"] and "from" in event["data"]]
    found = [
        f"{before['data']['phase']} is followed by one from {after['data']['from']}"
        for before, after in pairwise(edges)
        if before["data"]["phase"] != after["data"]["from"]
    ]
    ends = [edge for edge in edges if edge["data"]["phase"] in ("promoted", "rolled_back", "aborted", "failed")]
    if len(ends) != 1:
        found.append(f"{len(ends)} ends")
    numbers = [event["seq"] for event in events]
    if numbers != sorted(set(numbers)):
        found.append("events out of order")
    return found


def _traffic(home: Path, folder: Path, seconds: float) -> tuple[Path, subprocess.Popen[bytes]]:
    with Client.connect(home) as client:
        url = f"{client.status(_NAME)['url']}/predict"
    bodies, out = folder / "bodies.jsonl", folder / "traffic.jsonl"
    bodies.write_text("".join(json.dumps([{"size": size}]) + "\n" for size in range(40, 90)))
    command = [sys.executable, "-m", "examples.flights.load", "--url", url, "--bodies", str(bodies), "--out", str(out)]
    command += ["--rate", str(_RATE), "--seconds", str(seconds)]
    return out, subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _settle(home: Path) -> list[str]:
    """Return the processes that are one too many once nothing is to be done any more."""
    deadline = time.monotonic() + 60.0
    while True:
        stable, _ = _revisions(home)
        found = Counter(kind_of(process, stable, None) or "other" for process in processes(home))
        wanted = {"controller": 1, "gateway": 1, "stable": 2}
        if found == wanted:
            return []
        if time.monotonic() > deadline:
            return [f"{kind}: {count}" for kind, count in sorted(found.items()) if count != wanted.get(kind)]
        time.sleep(0.2)


def _left(home: Path) -> list[str]:
    deadline = time.monotonic() + 20.0
    while (left := [" ".join(process.cmdline()) for process in processes(home)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def _explained(record: Record, harmful: set[int], kills: Sequence[Kill]) -> bool:
    """Say whether a failed request is one that had to be: of a harmful candidate, or held by what was killed."""
    if record.revision in harmful:
        return True
    ended = record.intended_at + record.latency_ms / 1000
    return any(
        record.intended_at - _KILL_WINDOW_SECONDS <= kill.at <= ended for kill in kills if kill.kind != "controller"
    )


def page(result: dict[str, Any]) -> str:
    """Return the page for people."""
    told = (
        f"`{result['command']}`, {result['at']}, {result['seconds']:.0f} s: {result['rollouts']} rollouts, of which "
        f"{result['good']} with a good candidate, at {_RATE:g} requests/s."
    )
    window, around = f"{_KILL_WINDOW_SECONDS:g} s", result["failed_around_a_kill"]
    lines = [
        "# Rollouts under SIGKILL",
        "",
        told,
        "",
        "| What | How many |",
        "|---|---|",
        *(f"| killed: {kind} | {count} |" for kind, count in sorted(result["kills"].items())),
        *(f"| ended: {outcome} | {count} |" for outcome, count in sorted(result["outcomes"].items())),
        f"| rollouts that did not end as they should | {len(result['not_as_it_should'])} |",
        f"| rollouts with a lost or doubled transition | {len(result['doubled_or_lost'])} |",
        f"| requests | {result['requests']:,} |",
        f"| failed by a harmful candidate | {result['failed_by_a_harmful_candidate']:,} |",
        f"| failed within {window} of a kill of a replica or the gateway | {around:,} |",
        f"| failed for no such reason | {result['unexplained_count']:,} |",
        f"| processes too many when all was over | {len(result['orphans'])} |",
        f"| processes left after `tidegate down` | {len(result['left_after_down'])} |",
        "",
        "As it should be." if result["as_it_should"] else "Not as it should be; chaos.json has the details.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
