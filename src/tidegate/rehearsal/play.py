"""Plays a rehearsal: a controller, a gateway and copies of the model of its own; one rollout for each fault.

Whatever ends it, nothing goes on running: at the end, and when it is interrupted, all is stopped here; when it is
killed, the controller that it started sees that nobody holds the stage any more and stops itself (`controller.stage`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.artifact.bundle import Bundle, read_bundle
from tidegate.client import Client, Rollout
from tidegate.client import is_terminal as has_ended
from tidegate.contract.errors import Conflict, InvalidInput, NotFound, TidegateError, Unavailable
from tidegate.contract.faults import LEAK_LIMIT_BYTES, Fault, FaultKind
from tidegate.contract.quantities import Duration, Throughput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller import launch
from tidegate.controller.home import Home, write_atomically
from tidegate.controller.stage import Stage
from tidegate.gate.machine import measure
from tidegate.rehearsal import findings, pages, script
from tidegate.rehearsal.findings import Ending, Finding
from tidegate.rehearsal.inputs import inputs_of
from tidegate.rehearsal.traffic import Expected, Traffic, learn
from tidegate.trial.tolerances import tolerances

#: The revision of the healthy copy, the first of its deployment.
STABLE = 1
#: For each fault, when nothing is said.
TIME_LIMIT = Duration.parse("10m")

_POLL_SECONDS = 0.2
#: How long the copy of stable may take to serve, and to serve again after a copy with a fault was promoted.
_READY_SECONDS = 120.0
_ENDINGS = {"promoted": Ending.PROMOTED, "rolled_back": Ending.ROLLED_BACK}
#: Answers to requests that were under way at the end of a rollout.
_TAIL_SECONDS = 0.5


@dataclass(frozen=True)
class Settings:
    """How to rehearse.

    Attributes:
        faults: as typed; every kind once when empty.
        traffic: requests to send; None for the deployment's throughput, as far as the machine bears it.
        time_limit: for each fault, from its deployment on.
        request: the document of a candidate to come, with absolute paths: its steps, analysis and gates are rehearsed,
            and its model is not looked at; None for the document that the stable revision was deployed with.
        inputs: a file of JSON lines to send; None for what was logged, else golden requests and the bundle's sample.
    """

    faults: tuple[str, ...] = ()
    traffic: Throughput | None = None
    time_limit: Duration = TIME_LIMIT
    request: Mapping[str, Any] | None = None
    inputs: Path | None = None


@dataclass(frozen=True)
class Progress:
    """What is happening: a sentence, and the number of the fault that it is about, from 1; 0 before the first."""

    message: str
    number: int = 0
    faults: int = 0


Tell = Callable[[Progress], None]


def rehearse(home: Path, name: str, settings: Settings | None = None, tell: Tell = lambda _: None) -> dict[str, Any]:
    """Rehearse the rollback of a deployment and return what was found, as JSON values; see `pages.document`.

    The report is kept as JSON, Markdown and HTML below the home; its paths are in the document, under `reports`.

    Args:
        home: of the controller that serves the deployment.
        tell: called with what happens.

    Raises:
        NotFound: there is no such deployment.
        InvalidInput: a setting is wrong, or the model's server is not Tidegate's own.
        Conflict, NotReady: a rollout or another rehearsal is under way, nothing serves, or the memory does not suffice.
        Unavailable: a controller does not answer, or the rehearsal was ended from outside.
    """
    settings = settings or Settings()
    place = Home(home)
    began = datetime.now(UTC)
    subject = _subject(place, name, settings.request)
    faults = script.faults_of(settings.faults, subject.request)
    inputs = inputs_of(subject.request, subject.serving, subject.revision, subject.bundle, settings.inputs)
    leak = LEAK_LIMIT_BYTES if any(fault.kind is FaultKind.MEMORY_LEAK for fault in faults) else 0
    free = measure(home).free_memory_bytes
    script.refuse_too_little_memory(subject.request, subject.bundle.manifest.memory_bytes, leak, free)
    for kind in script.blind_spots(subject.request, [fault.kind for fault in faults]):
        tell(Progress(f"nothing in the request of {name} can see {kind.value.replace('-', ' ')}"))
    with _stage(place, tell) as stage:
        play = _Play(stage, subject, settings, tell)
        tell(Progress(f"starting a copy of {name}, revision {subject.revision}"))
        play.open()
        try:
            expected = play.serve(inputs.bodies)
            rate, why = script.rate(settings.traffic, subject.request, expected.answer_seconds, _cores())
            tell(Progress(f"{why}; {pages.different(len(expected.bodies))}: {inputs.source}"))
            found = [play.take(number, fault, expected, rate) for number, fault in enumerate(faults, start=1)]
            play.close()
        except TidegateError as error:
            play.refuse_ended(error)
            raise
    told = pages.document(
        name=name,
        revision=subject.revision,
        request=subject.request,
        found=found,
        traffic={"rps": round(rate, 3), "rate": why, "inputs": inputs.source, "different": len(expected.bodies)},
        time_limit=settings.time_limit,
        began=began,
        ended=datetime.now(UTC),
    )
    return _kept(place, told)


def clear(home: Path) -> list[str]:
    """End what a rehearsal left that was killed, and return what was ended; one that is under way is left alone."""
    stage = Stage(Home(home).rehearsal)
    return [] if stage.is_held() else launch.clear_stage(stage)


@dataclass(frozen=True)
class _Subject:
    """What is rehearsed.

    Attributes:
        revision: that serves.
        serving: the request that it was deployed with.
        request: how the next candidate is tried.
    """

    name: str
    revision: int
    serving: DeploymentRequest
    request: DeploymentRequest
    bundle: Bundle


def _subject(place: Home, name: str, given: Mapping[str, Any] | None) -> _Subject:
    with Client.connect(place.root) as client:
        status, history = client.status(name), client.history(name)
    rollout = status.get("rollout")
    if rollout is not None and not has_ended(rollout):
        raise Conflict(
            f"a rollout of {name!r} is under way",
            subject=name,
            hint=f"wait for it (`tidegate watch {name}`), or end it (`tidegate abort {name}`)",
        )
    number = status["stable"]
    if number is None:
        raise Conflict(f"{name!r} has no stable revision to rehearse with", subject=name)
    found = next((revision for revision in history["revisions"] if revision["number"] == number), None)
    if found is None:
        raise NotFound(f"revision {number} of {name!r} is not on record", subject=name)
    bundle = read_bundle(place.bundles / found["digest"])
    if bundle.signature.kind == "opaque":
        raise InvalidInput(
            f"{name!r} is served by a command: faults can be injected into Tidegate's own server alone",
            subject=name,
            expected="a model that Tidegate serves itself",
            got=f"the runtime {bundle.manifest.runtime}",
        )
    serving = parse_request(found["request"])
    request = serving if given is None else parse_request(given).model_copy(update={"name": name})
    return _Subject(name, number, serving, request, bundle)


@contextmanager
def _stage(place: Home, tell: Tell) -> Iterator[Stage]:
    """Have the home's stage for oneself, and leave nothing on it."""
    stage = Stage(place.rehearsal)
    if not stage.is_held() and stage.home.exists():
        tell(Progress("ending what an earlier rehearsal left"))
        launch.clear_stage(stage)
    try:
        with stage.hold():
            try:
                yield stage
            finally:
                launch.stop(stage.home)
    finally:
        if not stage.is_held():
            launch.clear_stage(stage)


class _Play:
    """One rehearsal, on its stage."""

    def __init__(self, stage: Stage, subject: _Subject, settings: Settings, tell: Tell) -> None:
        self._stage = stage
        self._subject = subject
        self._settings = settings
        self._tell = tell
        self._faults: dict[int, str] = {}
        self._url = ""
        self._total = len(settings.faults) or len(script.EVERY_FAULT)

    def open(self) -> None:
        """Start the controller."""
        subject, stage = self._subject, self._stage
        Home(stage.home).create()
        # The very bundle, and no second copy on the disk. It is read-only.
        (Home(stage.home).bundles / subject.bundle.folder.name).symlink_to(subject.bundle.folder)
        stage.set_faults({})
        launch.ensure_running(stage.home, 0, 0, stage)

    def serve(self, bodies: tuple[bytes, ...]) -> Expected:
        """Have the copy of stable serve, and learn what it answers."""
        name = self._subject.name
        with self._client() as client:
            accepted = client.deploy(self._document(0), by="rehearsal")
            assert accepted["rollout"] is not None  # noqa: S101 (the home was empty)
            rollout = self._ended(client, accepted["rollout"])
            if rollout["phase"] != "promoted":
                raise Unavailable(f"the copy of stable does not serve: {rollout['reason']}", subject=name)
            self._url = f"{client.status(name)['url'].rstrip('/')}/predict"
        return learn(self._url, bodies, self._subject.request.traffic.timeout.seconds)

    def refuse_ended(self, error: TidegateError) -> None:
        """Raise Unavailable when the rehearsal's controller is gone: that is why whatever failed did."""
        if launch.running(self._stage.home) is None:
            raise Unavailable(
                "the rehearsal was ended from outside",
                subject=self._subject.name,
                got=error.message,
                hint="was it `tidegate down`? Begin again with: tidegate rehearse",
            ) from error

    def close(self) -> None:
        """See that the copy of stable still serves."""
        with self._client() as client:
            client.predict(self._subject.name, [dict(row) for row in self._subject.bundle.sample[:1]])

    def take(self, number: int, fault: Fault, expected: Expected, rate: float) -> Finding:
        """Deploy the copy with one fault and watch what becomes of it."""
        request = self._subject.request
        traffic = Traffic(
            self._url,
            expected,
            rate=rate,
            timeout_seconds=request.traffic.timeout.seconds,
            objective_seconds=request.serving_requirements.latency_p99.seconds,
            tolerances=tolerances(request.analysis),
        )
        began = time.time()
        traffic.start()
        try:
            with self._client() as client:
                finding = self._watched(client, number, fault, began)
        finally:
            traffic.stop()
        finding = replace(finding, answers=findings.answers_of(traffic.since(began), STABLE))
        finding = replace(finding, advice=findings.advised(finding, request))
        by = f"taken back by {', '.join(finding.signals)}" if finding.detected else f"not taken back: {finding.ending}"
        self._say(number, fault, by)
        with self._client() as client:
            self._restore(client)
        return finding

    def _watched(self, client: Client, number: int, fault: Fault, began: float) -> Finding:
        name, limit = self._subject.name, self._settings.time_limit
        revision = 1 + max(one["number"] for one in client.history(name)["revisions"])
        self._faults[revision] = fault.text
        self._stage.set_faults(self._faults)
        accepted = client.deploy(self._document(number), by="rehearsal")
        rollout_id = accepted["rollout"]
        if rollout_id is None or accepted["revision"] != revision:
            raise Unavailable("somebody else deploys in the rehearsal's home", subject=str(self._stage.home))
        ending = self._ending(client, rollout_id, number, fault, began + limit.seconds)
        report = client.report(rollout_id)
        # While the requests that were under way are answered; afterwards a healthy copy may get the traffic back.
        time.sleep(_TAIL_SECONDS)
        return findings.finding_of(
            fault,
            ending,
            report,
            findings.Answers(),
            stands_for=self._subject.revision,
            time_limit=limit,
        )

    def _ending(self, client: Client, rollout_id: str, number: int, fault: Fault, deadline: float) -> Ending:
        """Follow a rollout until it is settled what becomes of it."""
        said = ""
        waiting_since: float | None = None
        while True:
            rollout = client.rollout(rollout_id)
            sentence = _sentence(rollout)
            if sentence != said:
                self._say(number, fault, sentence)
                said = sentence
            if has_ended(rollout):
                return _ENDINGS.get(rollout["phase"], Ending.ENDED)
            if time.time() >= deadline:
                return Ending.TIME_LIMIT
            if rollout["phase"] != "paused":
                waiting_since = None
            elif not _is_gate(rollout):
                return Ending.WAITS
            else:
                # A person would look for as long as a step takes; harm takes the copy back meanwhile.
                waiting_since = waiting_since or time.time()
                if time.time() - waiting_since >= self._subject.request.analysis.step_duration.seconds:
                    if rollout["step_index"] + 1 >= len(rollout["steps"]):
                        return Ending.WAITS
                    client.resume(self._subject.name, by="rehearsal", reason="nothing was seen at the gate")
            time.sleep(_POLL_SECONDS)

    def _ended(self, client: Client, rollout_id: str) -> Rollout:
        """Wait for the end of a rollout that has nothing to prove; return it."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            rollout = client.rollout(rollout_id)
            if has_ended(rollout):
                return rollout
            time.sleep(_POLL_SECONDS)
        raise Unavailable(
            f"a copy of {self._subject.name} was not ready within {_READY_SECONDS:.0f} s", subject=self._subject.name
        )

    def _restore(self, client: Client) -> None:
        """Have the healthy copy serve all again, and nothing else run."""
        name = self._subject.name
        rollout = client.status(name).get("rollout")
        if rollout is not None and not has_ended(rollout):
            client.abort(name, by="rehearsal", reason="the rehearsal of this fault is over")
            self._ended(client, rollout["id"])
        if client.status(name)["stable"] != STABLE:
            back = client.rollback(name, to=STABLE, by="rehearsal", reason="the fault was promoted")
            assert back["rollout"] is not None  # noqa: S101 (it was another one that was stable)
            self._ended(client, back["rollout"])

    def _document(self, take: int) -> dict[str, Any]:
        bundle = Home(self._stage.home).bundles / self._subject.bundle.folder.name
        request = self._subject.request if take else self._subject.serving
        return script.copy_of(request, bundle, take).as_document()

    def _client(self) -> Client:
        return Client.connect(self._stage.home)

    def _say(self, number: int, fault: Fault, sentence: str) -> None:
        self._tell(Progress(f"{fault}: {sentence}", number, self._total))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _sentence(rollout: Rollout) -> str:
    phase = str(rollout["phase"]).replace("_", " ")
    return f"{phase}: {rollout['reason']}" if rollout.get("reason") else phase


def _is_gate(rollout: Rollout) -> bool:
    """Say whether a paused rollout waits at a step that is there for a person, and not for want of a verdict."""
    steps = rollout["steps"]
    index = rollout["step_index"]
    return 0 <= index < len(steps) and steps[index]["until"] == "person"


def _kept(place: Home, told: dict[str, Any]) -> dict[str, Any]:
    """Keep the report in three forms; return it with their paths."""
    moment = told["began_at"].replace(":", "").replace("-", "").partition(".")[0].partition("+")[0]
    paths = {suffix: place.rehearsed(told["deployment"], moment, suffix) for suffix in ("json", "md", "html")}
    told = {**told, "reports": {suffix: str(path) for suffix, path in paths.items()}}
    try:
        write_atomically(paths["json"], json.dumps(told, indent=2, ensure_ascii=False) + "\n")
        write_atomically(paths["md"], pages.markdown(told))
        write_atomically(paths["html"], pages.html(told))
    except OSError as error:
        raise TidegateError(f"the report cannot be kept: {error.strerror}", subject=str(paths["json"])) from error
    return told
