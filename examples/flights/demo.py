"""`make demo`: a real model in production, the good candidate promoted, the bad one taken back.

Three models are trained on real flights (with `--mojo` they are three that H2O trained) and deployed one after the
other, under open-loop traffic made of real later flights. In the middle of the second rollout the controller is killed
with SIGKILL and started again. Everything is done with the command `tidegate`, as a user would; what is claimed at the
end is counted by the client that sent the traffic and by the operating system's list of processes.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

from examples.flights import data, processes, summary, train
from examples.flights.command import CommandFailedError, Tidegate, executable
from examples.flights.load import Plan
from examples.flights.mojos import recipes as mojos
from examples.flights.screen import Screen
from examples.flights.traffic import Traffic, command, write_bodies
from tidegate.client import Client
from tidegate.contract.errors import TidegateError

NAME = "arrivals"
STEPS = "10,25,50,100"
#: Generous: whatever else two cores may be busy with, it is failed requests that show v3 up.
P99 = "200ms"
SEED = 7
#: Bodies for the traffic; when they are used up they come again.
ROWS = 20_000

#: The most that the story may take once the models are trained.
STORY_SECONDS = 300.0
#: Traffic on v1 before v2 comes, and on v2 after v3 is gone.
QUIET_SECONDS = 5.0
#: How long v2's first step has run when the controller is killed, and how long the controller stays dead.
BEFORE_KILL_SECONDS = 2.0
DEAD_SECONDS = 4.0
LEFT_SECONDS = 15.0

ROLLED_BACK = 3


class DemoFailedError(Exception):
    """The story cannot go on."""


@dataclass(frozen=True)
class Cast:
    """The three models of a story.

    Attributes:
        title: what is said of them.
        make: puts them into a folder, from the flights.
        kept: which rows v3's author kept, in a few words.
        is_beyond_v3: whether v3 cannot take a row of the traffic.
        beyond: what such a row has, said of many.
        settings: of the runtime, by version.
        insists: what v3's author adds to `deploy`.
    """

    title: str
    make: Callable[[pd.DataFrame, Path], tuple[train.TrainedModel, ...]]
    kept: str
    is_beyond_v3: Callable[[Mapping[str, Any]], bool]
    beyond: str
    settings: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    insists: Sequence[str] = ()


FRAMEWORKS = Cast(
    title="Three models of late arrivals, from the flights out of New York in 2013",
    make=train.train_all,
    kept="complete rows only",
    is_beyond_v3=lambda row: any(row[name] is None for name in train.WEATHER),
    beyond="lack a weather reading, which v3 has never seen",
)
MOJOS = Cast(
    title="Three MOJOs of late arrivals, which H2O trained on the flights out of New York in 2013",
    make=mojos.copy_all,
    kept="large airlines only",
    is_beyond_v3=lambda row: row["carrier"] not in mojos.LARGE_AIRLINES,
    beyond="are of an airline that v3 has never seen",
    settings={recipe.version: {"strict": True} for recipe in mojos.RECIPES if recipe.strict},
    # The check of signatures sees that airlines are missing, and would not let it into production.
    insists=("--allow-breaking",),
)


class Story:
    """One run of the demo; the methods are its chapters, in order. What was found is in `report`."""

    def __init__(self, folder: Path, rate: float, screen: Screen, cast: Cast) -> None:
        self.cast = cast
        self.folder = folder
        self.rate = rate
        self.screen = screen
        self.tidegate = Tidegate(folder / "home")
        self.models: tuple[train.TrainedModel, ...] = ()
        self.predict_url = ""
        self.begun = time.monotonic()
        self.report: dict[str, Any] = {"folder": str(folder), "rate": rate}

    @property
    def home(self) -> Path:
        return self.tidegate.home

    @property
    def bodies(self) -> Path:
        return self.folder / "requests.jsonl"

    @property
    def left(self) -> float:
        """Seconds that the story still has."""
        seconds = self.begun + STORY_SECONDS - time.monotonic()
        if seconds <= 0:
            raise DemoFailedError(f"the story has not ended within {STORY_SECONDS:g} s")
        return seconds

    def train(self) -> None:
        """Train the three models, or take those that are kept, and prepare the requests."""
        self.screen.chapter(self.cast.title)
        flights = data.load_flights()
        self.models = self.cast.make(flights, self.folder)
        train.write_sample(flights, self.folder / "sample.json")
        rows = data.traffic(flights, ROWS, SEED)
        write_bodies(rows, self.bodies)
        beyond = sum(map(self.cast.is_beyond_v3, rows)) / len(rows)
        self.report["models"] = [model.as_dict() for model in self.models]
        self.report["traffic_rows_beyond_v3"] = round(beyond, 4)
        self.screen.models(self.models, self.cast.kept)
        self.screen.say(f"The traffic: {len(rows):,} flights of October and November; {beyond:.1%} {self.cast.beyond}.")

    def start(self) -> None:
        """Start Tidegate and put v1 into production."""
        self.screen.chapter("v1: the first deployment goes live when its replicas are ready")
        self.begun = time.monotonic()
        self.screen.typed("tidegate up")
        self.tidegate.call("up", "--port", "0", "--gateway-port", "0")
        result = self._deploy(1).wait(self.left)
        self.predict_url = result["servingEndpoint"]["predictEndpoint"]
        self.screen.say(f"{NAME} answers at {self.predict_url}")

    def traffic(self) -> Traffic:
        """Start the traffic, bounded by what is left of the story's time."""
        self.screen.say(f"Traffic: {self.rate:g} requests a second, sent when they are due, answered or not.")
        plan = Plan(self.predict_url, self.rate, self.left, seed=SEED)
        return Traffic(plan, self.bodies, self.folder / "records.jsonl")

    def promote_v2(self) -> None:
        """Roll out v2 and, in the middle of it, kill the controller and start it again."""
        self.screen.chapter("v2: better, and nothing wrong with it; and the controller dies on the way")
        rollout = self._deploy(2)
        try:
            self._kill_controller()
            self._restart_controller()
            rollout.wait(self.left)
        finally:
            rollout.end()
        self._keep_report("v2")

    def take_back_v3(self) -> None:
        """Roll out v3, which Tidegate takes back by itself."""
        self.screen.chapter("v3: the best of the three offline")
        rollout = self._deploy(3)
        try:
            rollout.wait(self.left, expected=(0, ROLLED_BACK))
        finally:
            rollout.end()
        self._keep_report("v3")

    def quiet(self, traffic: Traffic) -> None:
        """Let the traffic run for a while."""
        until = time.monotonic() + min(QUIET_SECONDS, self.left)
        while traffic.running and (left := until - time.monotonic()) > 0:
            time.sleep(min(0.2, left))
        if not traffic.running:
            raise DemoFailedError("the load generator has ended by itself")
        records = traffic.so_far()
        failed = sum(record.failed for record in records)
        self.screen.say(f"So far {len(records):,} requests, {failed} failed.")

    def sum_up(self, traffic: Traffic, watch: processes.Watch) -> None:
        """End the traffic and put together what the run showed."""
        records = traffic.stop()
        events = {version: self.report[version].pop("events") for version in ("v2", "v3")}
        changes = summary.split_changes([*events["v2"], *events["v3"]])
        self.report |= {
            "requests_in_all": len(records),
            "requests": summary.traffic_by_revision(records),
            "failed_requests": summary.failed_requests(records, (1, 2, 3)),
            "split_changes_ms": {"max": max(changes, default=None), "all": changes},
            "replicas": {"started": dict(watch.started), "doubled": watch.doubled},
            "seconds": round(time.monotonic() - self.begun, 1),
        }
        for version, revision in (("v2", 2), ("v3", 3)):
            self.report[version]["steps"] = summary.steps_seen(events[version], records, revision)
        self.report["v3"] |= summary.taken_back(events["v3"], records, 3)
        kill = self.report["controller_kill"]
        hits, requests = summary.share_of(records, 2, kill["killed_at"], kill["restarted_at"])
        kill |= {
            "requests": requests,
            "candidate_requests": hits,
            "seen_percent": round(100 * hits / requests, 2) if requests else None,
        }

    def _deploy(self, version: int) -> Any:
        model = self.models[version - 1]
        words = ["deploy", *self._artifact(version, model.path), "--name", NAME, "--version", f"v{version}"]
        words += ["--p99", P99, "--throughput", f"{self.rate:g}rps", "--availability", "99.9%"]
        words += ["--sample", str(self.folder / "sample.json")]
        words += [] if version == 1 else ["--steps", STEPS]
        words += self.cast.insists if version == 3 else []
        self.screen.typed(" ".join(["tidegate", *words]).replace(f"{self.folder}/", ""))
        return self.tidegate.start(*words, say=self.screen.told)

    def _artifact(self, version: int, path: Path) -> list[str]:
        """Return how a model is named to `deploy`: by its path, or by a request document if it has settings."""
        settings = self.cast.settings.get(version)
        if settings is None:
            return [str(path)]
        document = self.folder / f"arrivals-v{version}.json"
        text = json.dumps({"modelArtifact": {"path": str(path), "settings": settings}}, indent=2)
        document.write_text(text + "\n", encoding="utf-8")
        return ["-f", str(document)]

    def _kill_controller(self) -> None:
        weight = self._wait_for_first_step()
        time.sleep(BEFORE_KILL_SECONDS)
        status = self.tidegate.call("status", NAME)
        pid = int(json.loads((self.home / "controller.json").read_text())["pid"])
        before = {process.pid: process.create_time() for process in processes.belonging_to(self.home)}
        others = {other: created for other, created in before.items() if other in self._serving_pids(status)}
        self.screen.typed(f"kill -9 {pid}")
        os.kill(pid, signal.SIGKILL)
        self.report["controller_kill"] = {
            "pid": pid,
            "weight": weight,
            "killed_at": time.time(),
            "rollout": status["rollout"]["id"],
            "serving": others,
        }
        self.screen.say(f"The controller is dead; the split stays at {weight} % for v2.")

    def _wait_for_first_step(self) -> int:
        """Wait until the first step's split is in force and return its weight."""
        after = 0
        with Client.connect(self.home) as client:
            while True:
                for event in client.poll_events(NAME, after=after, wait_seconds=min(5.0, self.left)):
                    after = event["seq"]
                    if event["kind"] == "analyzing" and event["data"]["step"] == 0:
                        return int(event["data"]["weight"])
                    if event["kind"] in ("rolling_back", "paused"):
                        raise DemoFailedError(f"v2 was not let into production: {event['message']}")

    def _serving_pids(self, status: dict[str, Any]) -> set[int]:
        """Return the pids of the replicas, as Tidegate names them, and of Envoy."""
        replicas = [replica for revision in status["replicas"].values() for replica in revision["replicas"]]
        envoy = [process.pid for process in processes.belonging_to(self.home) if "envoy" in process.name()]
        return {*envoy, *(replica["pid"] for replica in replicas if replica["pid"] is not None)}

    def _restart_controller(self) -> None:
        time.sleep(DEAD_SECONDS)
        kill = self.report["controller_kill"]
        kill["restarted_at"] = time.time()
        self.screen.typed("tidegate up")
        info = self.tidegate.call("up")
        kill["back_at"] = time.time()
        status = self.tidegate.call("status", NAME)
        kill["dead_seconds"] = round(kill["back_at"] - kill["killed_at"], 2)
        before = kill.pop("serving")
        after = {process.pid: process.create_time() for process in processes.belonging_to(self.home)}
        named = self._serving_pids(status)
        kill["new_pid"] = info["pid"]
        kill["processes"] = sorted(before)
        kill["same_processes"] = bool(before) and named == set(before) and before.items() <= after.items()
        kill["same_rollout"] = status["rollout"]["id"] == kill["rollout"]
        self.screen.say(
            f"The controller is back after {kill['dead_seconds']} s with a new pid, {info['pid']}. The {len(before)} "
            f"processes that serve are {'the same as before' if kill['same_processes'] else 'NOT the same'}."
        )

    def _keep_report(self, version: str) -> None:
        report = self.tidegate.call("report", NAME)
        files = [self.home / "reports" / NAME / f"{report['rollout']}.{suffix}" for suffix in ("md", "json")]
        self.report[version] = {
            "outcome": report["outcome"],
            "reason": report["reason"],
            "rollout": report["rollout"],
            "revision": report["to_revision"],
            "seconds": report["duration_seconds"],
            "reports": [str(file) for file in files],
            "events": report["events"],
        }


def run(story: Story, *, keep: bool) -> bool:
    """Tell the story and clean up after it; return whether every claim holds."""
    try:
        with processes.Watch(story.home) as watch:
            story.train()
            story.start()
            with story.traffic() as traffic:
                story.quiet(traffic)
                story.promote_v2()
                story.take_back_v3()
                story.quiet(traffic)
                story.sum_up(traffic, watch)
    except BaseException:
        _clean_up(story)
        raise
    if not keep:
        story.report["processes_left"] = _clean_up(story)
    claims = summary.claims(story.report)
    story.report["claims"] = [claim.as_dict() for claim in claims]
    story.report["passed"] = all(claim.holds for claim in claims)
    path = story.folder / "demo-report.json"
    path.write_text(json.dumps(story.report, indent=2) + "\n", encoding="utf-8")
    story.screen.summary(story.report, claims, path)
    if keep:
        _invite(story)
    return bool(story.report["passed"])


def _clean_up(story: Story) -> list[str]:
    """Stop Tidegate as a user does; return what was left and had to be killed."""
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if story.home.exists():
            story.screen.typed("tidegate down")
            story.tidegate.call("down")
        return processes.wait_until_none(story.home, LEFT_SECONDS)
    except (CommandFailedError, subprocess.TimeoutExpired) as error:
        story.screen.failed(str(error))
        return processes.wait_until_none(story.home, 0)
    finally:
        processes.end_all(story.home)
        signal.signal(signal.SIGINT, interrupted)


def _invite(story: Story) -> None:
    plan = Plan(story.predict_url, story.rate, seconds=600)
    load = command(plan, story.bodies, story.folder / "more-records.jsonl")
    tidegate = f"{executable()} --home {story.home}"
    story.screen.commands(
        "It all runs on. Try:",
        [
            f"{tidegate} status {NAME}",
            f"{tidegate} history {NAME}",
            f"{tidegate} rollback {NAME} --to 1",
            shlex.join(load),
            f"{tidegate} down",
        ],
    )


def _ended(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when every claim holds, 1 when not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m examples.flights.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where models, records and reports go (default: a new one in /tmp)")
    parser.add_argument("--rate", type=float, default=150.0, help="requests per second (default: 150)")
    parser.add_argument("--mojo", action="store_true", help="with MOJOs that H2O trained, and no Java")
    parser.add_argument("--keep", action="store_true", help="leave it running to play with")
    options = parser.parse_args(arguments)
    if options.folder is not None and (options.folder / "home").exists():
        parser.error(f"{options.folder} holds an earlier run: name another folder, or remove that one")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _ended)
    screen = Screen()
    story = Story(folder.absolute(), options.rate, screen, MOJOS if options.mojo else FRAMEWORKS)
    try:
        return 0 if run(story, keep=options.keep) else 1
    except KeyboardInterrupt:
        screen.failed("interrupted; everything was stopped")
        return 130
    except (DemoFailedError, CommandFailedError, TidegateError, subprocess.TimeoutExpired, RuntimeError) as error:
        screen.failed(str(error))
        screen.say(
            f"What Tidegate wrote is in {story.home / 'logs'}, what the replicas wrote in {story.home / 'replicas'}."
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
