"""`python -m benchmarks.chaos`: rollouts under SIGKILL, a full disk and a clock that is set, at random moments.

Good and harmful candidates of one deployment are tried, each by a way that the seed picks (`plans`: canary, with and
without a pause that a person ends, blue-green, rolling), under steady traffic, while up to five of these happen in
each: SIGKILL of the controller, of the gateway, of a replica of stable or of the candidate, SIGKILL of the controller
in the middle of a write of the store, a disk without a free byte for some seconds, a clock that is set by up to a day.
Expected: a good candidate ends as its plan says (or is taken back where all its replicas were killed), a harmful one is
rolled back; no transition is lost or doubled; nothing is left running; and every request that a user lost is one that
the harmful candidate failed, or that a killed process held. Writes benchmarks/results/chaos.json and .md.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.chaos import explain, models
from benchmarks.chaos.disk import Disk, mounted
from benchmarks.chaos.faults import Faults
from benchmarks.chaos.killer import KINDS, Kill, Serving, keep_controller, kill_one, kind_of, processes
from benchmarks.chaos.page import page
from benchmarks.chaos.person import Person
from benchmarks.chaos.plans import PLANS, Plan
from benchmarks.serving.surroundings import load_average, machine
from examples.flights.load import read_records
from tidegate.client import Client
from tidegate.contract.errors import TidegateError
from tidegate.controller import launch

_ROOT = Path(__file__).parents[2]
_NAME = "prices"
_RATE = 60.0
#: A service that is to lose nothing by two kills within the time of a start has three.
_REPLICAS = 3
#: So has its gateway three Envoys, which are killed as often.
_ENVOYS = 3
#: From when a rollout waits for a person until one acts, at the most.
_MOST_PATIENCE_SECONDS = 1.5
#: A rollout that takes longer has not ended as it should.
_LONGEST_SECONDS = 180.0
_MOST_FAULTS = 5
#: How the clock is set, in seconds.
_JUMPS = (-86400.0, -3600.0, -60.0, 60.0, 3600.0, 86400.0)
#: Ports below those that the system hands out: a controller that was killed wants its own back.
_PORTS = range(20_000, 30_000)
ALL = (*KINDS, "store", "disk", "clock")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no rollout after so long")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--envoys", type=int, default=_ENVOYS, help="of the gateway")
    parser.add_argument("--without", action="append", choices=ALL, default=[], help="leave a kind of fault out")
    parser.add_argument("--results", type=Path, default=_ROOT / "benchmarks" / "results")
    given = parser.parse_args()
    kinds = [kind for kind in ALL if kind not in given.without]
    # What was started is ended, however this is.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit("ended from outside"))
    with tempfile.TemporaryDirectory(prefix="tidegate-chaos-") as folder:
        home = Path(folder) / "home"
        with mounted(home) if "disk" in kinds else nullcontext() as disk:
            scene = Scene(home, Faults(Path(folder)), disk, kinds, given.envoys, random.Random(given.seed))
            result = run(Path(folder), scene, given.rollouts, given.minutes * 60)
    result["command"] = (
        f"python -m benchmarks.chaos --rollouts {given.rollouts} --seed {given.seed} --envoys {given.envoys}"
    )
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / "chaos.json").write_text(json.dumps(result, indent=1) + "\n")
    (given.results / "chaos.md").write_text(page(result))
    sys.stdout.write(page(result))
    return 0 if result["as_it_should"] else 1


@dataclass
class Scene:
    """One home and what is done to it."""

    home: Path
    faults: Faults
    disk: Disk | None
    kinds: Sequence[str]
    envoys: int
    chance: random.Random
    kills: list[Kill] = field(default_factory=list)
    #: Whether the candidate on trial may have been without a replica while it could have traffic.
    was_bare: bool = False
    #: When the fault that lasts ends, in the time of `monotonic`: no controller is started before.
    down_until: float = 0.0
    full_until: float = 0.0

    def strike(self) -> str | None:
        """Let one fault happen; return its kind, None when there was nothing to strike."""
        kind = self.chance.choice(self.kinds)
        match kind:
            case "disk" if self.disk is not None:
                self.disk.fill()
                self.full_until = time.monotonic() + self.chance.uniform(0.5, 5.0)
            case "clock":
                self.faults.move_clock(self.chance.choice(_JUMPS))
            case "store":
                self.faults.kill_in_store_write(self.chance.randint(1, 12))
            case _:
                seen = serving(self.home)
                killed = kill_one(self.home, kind, seen, self.chance)
                if killed is None:
                    return None
                self.kills.append(killed)
                has_traffic = seen.phase not in ("preparing", "baseline")
                self.was_bare |= kind == "candidate" and killed.left == 0 and has_traffic
                if kind == "controller":
                    self.down_until = time.monotonic() + self.chance.uniform(0.0, 2.0)
        return kind

    def mend(self) -> None:
        """End what has lasted long enough, and start a controller that is gone."""
        if self.disk is not None and time.monotonic() >= self.full_until:
            self.disk.free()
        if time.monotonic() >= self.down_until:
            keep_controller(self.home, self.faults)

    def calm(self) -> None:
        """End every fault that lasts."""
        self.faults.kill_in_store_write(0)
        self.full_until = self.down_until = 0.0
        self.mend()


def run(folder: Path, scene: Scene, rollouts: int, seconds: float) -> dict[str, Any]:
    """Try the candidates, as many as there is time for, and return what is written down."""
    home = scene.home
    with scene.faults.for_children():
        launch.ensure_running(home, *_free_ports(scene.chance), envoys=scene.envoys)
    begun = time.time()
    started: list[subprocess.Popen[bytes]] = []
    try:
        _ended(scene, _deploy(scene, PLANS[0], models.write(folder / "m0", harm=0.0, factor=4000.0)))
        out, traffic = _traffic(home, folder, seconds=rollouts * _LONGEST_SECONDS)
        started.append(traffic)
        tried = []
        for number in range(1, rollouts + 1):
            if time.time() - begun > seconds:
                break
            scene.calm()
            good = scene.chance.random() < 0.6
            artifact = models.write(folder / f"m{number}", harm=0.0 if good else models.HARM, factor=4000.0 + number)
            plan = scene.chance.choice(PLANS)
            one = _one(scene, plan, artifact)
            one["as_it_should"] = explain.ends_as_it_should(one["outcome"], plan, good=good, was_bare=one["was_bare"])
            tried.append({"strategy": plan.name, "good": good, **one})
            sys.stderr.write(
                f"{number}/{rollouts} {plan.name}: {'good' if good else 'harmful'} {one['outcome']} "
                f"{one['seconds']} s {one['faults']}\n"
            )
        scene.calm()
        orphans = _settle(scene)
        traffic.terminate()
        traffic.wait(30)
        records = read_records(out)
    finally:
        for process in started:
            process.kill()
            process.wait()
        scene.calm()
        launch.stop(home)
    left = _left(home)
    harmful = {one["revision"] for one in tried if not one["good"]}
    failed = list(explain.reasons(records, scene.kills, harmful))
    unexplained = [vars(record) for record, reason in failed if reason == explain.UNEXPLAINED]
    outages = [end - begin for begin, end in explain.gateway_outages(records, scene.kills)]
    wrong = [one for one in tried if not one["as_it_should"]]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - begun, 1),
        "rollouts": len(tried),
        "rate": _RATE,
        "replicas": _REPLICAS,
        "envoys": scene.envoys,
        "machine": machine(),
        "load_after": load_average(),
        "good": sum(one["good"] for one in tried),
        "strategies": dict(Counter(one["strategy"] for one in tried)),
        "unplanned_waits": sum(one["unplanned_waits"] for one in tried),
        "faults": dict(Counter(kind for one in tried for kind in one["faults"])),
        "outcomes": dict(Counter(f"{'good' if one['good'] else 'harmful'}, {one['outcome']}" for one in tried)),
        "not_as_it_should": wrong,
        "doubled_or_lost": [one for one in tried if one["flaws"]],
        "requests": len(records),
        "failed": dict(Counter(reason for _, reason in failed)),
        "unexplained": unexplained[:50],
        "longest_gateway_outage_seconds": round(max(outages, default=0.0), 2),
        "orphans": orphans,
        "left_after_down": left,
        "as_it_should": not (wrong or unexplained or orphans or left or any(one["flaws"] for one in tried)),
        "tried": tried,
    }


def _free_ports(chance: random.Random) -> tuple[int, int]:
    """Return a port for the controller and one for the gateway."""
    found: list[int] = []
    for port in chance.sample(_PORTS, 100):
        with socket.socket() as trying, suppress(OSError):
            trying.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == 2:
            return found[0], found[1]
    raise RuntimeError(f"no two ports are free between {_PORTS.start} and {_PORTS.stop}")


def _document(plan: Plan, artifact: Path) -> dict[str, Any]:
    return {
        "name": _NAME,
        "modelArtifact": {"path": str(artifact), "trust": True},
        "servingRequirements": {"latencyP99": "1s", "availability": "99%"},
        "infrastructure": {"resources": {"replicas": _REPLICAS}},
        **plan.fields,
        "analysis": {
            "stepDuration": "40s",
            "interval": "200ms",
            "baseline": "1s",
            "minRequests": 20,
            "margin": "10%",
        },
        "healthChecks": {"maxRestarts": 5},
    }


def _deploy(scene: Scene, plan: Plan, artifact: Path) -> str:
    document = _document(plan, artifact)
    deadline = time.monotonic() + _LONGEST_SECONDS
    while True:
        try:
            with Client.connect(scene.home) as client:
                accepted = client.deploy(document)
        except TidegateError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{artifact} could not be deployed: {error}") from error
        else:
            if accepted["rollout"] is None:
                raise RuntimeError(f"{artifact} is what serves")
            return str(accepted["rollout"])
        scene.mend()
        found = _active(scene.home)
        if found is not None:  # the controller was killed between the decision and its answer
            return found
        time.sleep(0.2)


def _active(home: Path) -> str | None:
    with suppress(TidegateError), Client.connect(home) as client:
        rollout = client.status(_NAME).get("rollout")
        if rollout is not None and rollout.get("ended_at") is None:
            return str(rollout["id"])
    return None


def _one(scene: Scene, plan: Plan, artifact: Path) -> dict[str, Any]:
    """Try one candidate, with faults; return how it ended and what happened to it."""
    scene.was_bare = False
    rollout = _deploy(scene, plan, artifact)
    person = Person(scene.home, _NAME, plan.person, scene.chance.uniform(0.0, _MOST_PATIENCE_SECONDS))
    begun, struck = time.monotonic(), []
    due = sorted(scene.chance.uniform(0.0, plan.seconds) for _ in range(scene.chance.randint(0, _MOST_FAULTS)))
    told = None
    while told is None and time.monotonic() - begun < _LONGEST_SECONDS:
        if due and time.monotonic() - begun >= due[0]:
            due.pop(0)
            kind = scene.strike()
            struck += [] if kind is None else [kind]
        scene.mend()
        seen = _rollout(scene.home, rollout)
        if seen is not None and seen["ended_at"] is not None:
            told = _report_of(scene.home, rollout)
        elif seen is not None:
            person.look(seen)
        time.sleep(0.05)
    happened: dict[str, Any] = {
        "seconds": round(time.monotonic() - begun, 1),
        "faults": struck,
        "was_bare": scene.was_bare,
        "unplanned_waits": person.unplanned,
    }
    if told is not None:
        return {**_told(told), **happened}
    stuck: dict[str, Any] = {"outcome": "not ended", "revision": None, "reason": _status(scene.home), "flaws": []}
    scene.calm()
    with suppress(TidegateError), Client.connect(scene.home) as client:
        client.abort(_NAME, by="benchmark", reason="it does not end")
        _ended(scene, rollout)
    return {**stuck, **happened}


def _status(home: Path) -> str:
    try:
        with Client.connect(home) as client:
            return json.dumps(client.status(_NAME))
    except TidegateError as error:
        return str(error)


def serving(home: Path) -> Serving:
    """Return what the deployment runs; nothing of it where nobody can be asked."""
    with suppress(TidegateError), Client.connect(home) as client:
        return Serving.of(client.status(_NAME))
    return Serving()


def _rollout(home: Path, rollout: str) -> dict[str, Any] | None:
    with suppress(TidegateError), Client.connect(home) as client:
        return dict(client.rollout(rollout))
    return None


def _report_of(home: Path, rollout: str) -> dict[str, Any] | None:
    """Return the report of a rollout that is over; None for one that is not, or where nobody can be asked."""
    with suppress(TidegateError), Client.connect(home) as client:
        if client.rollout(rollout)["ended_at"] is not None:
            return dict(client.report(rollout))
    return None


def _ended(scene: Scene, rollout: str) -> dict[str, Any]:
    deadline = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < deadline:
        report = _report_of(scene.home, rollout)
        if report is not None:
            return report
        time.sleep(0.05)
    raise RuntimeError(f"rollout {rollout} did not end")


def _told(report: dict[str, Any]) -> dict[str, Any]:
    return {
        "outcome": report["outcome"],
        "reason": report["reason"],
        "revision": report["to_revision"],
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
    bodies.write_text("".join(json.dumps([{"size": size}]) + "\n" for size in range(models.SMALLEST, 90)))
    command = [sys.executable, "-m", "examples.flights.load", "--url", url, "--bodies", str(bodies), "--out", str(out)]
    command += ["--rate", str(_RATE), "--seconds", str(seconds)]
    return out, subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _settle(scene: Scene) -> list[str]:
    """Return the processes that are one too many once nothing is to be done any more."""
    home = scene.home
    deadline = time.monotonic() + 60.0
    while True:
        stable = serving(home).stable
        found = Counter(kind_of(process, stable, None) or "other" for process in processes(home))
        wanted = {"controller": 1, "gateway": scene.envoys, "stable": _REPLICAS}
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


if __name__ == "__main__":
    sys.exit(main())
