"""`Client`: the controller's API as Python methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

from tidegate.client.documents import Accepted, Event, Freeze, History, Rollout, RolloutId, Status
from tidegate.client.follow import follow
from tidegate.client.home import ControllerAddress, home_folder, read_address
from tidegate.client.http import Transport, fetch_json, post_json
from tidegate.client.phases import is_terminal, is_waiting_for_person
from tidegate.client.registry import ModelRegistry
from tidegate.client.sensing import (
    Asked,
    Degree,
    Reason,
    Sensed,
    require_reasons,
    sense_aspects,
    sense_columns,
    together,
)
from tidegate.contract.errors import Unavailable

# Inside the class `list` is the method.
Statuses = list[Status]
Events = list[Event]
Freezes = list[Freeze]
Lines = list[str]
Records = list[dict[str, Any]]
Rows = list[dict[str, Any]]

#: A deploy loads the model once to check it; large ones take their time.
DEPLOY_TIMEOUT_SECONDS = 300.0
#: A receiver has a minute at most.
TEST_TIMEOUT_SECONDS = 75.0
#: Outcomes of many requests take a while to store, and to count.
OUTCOMES_TIMEOUT_SECONDS = 60.0
#: Added to the time that a long poll may take by itself.
POLL_MARGIN_SECONDS = 10.0


class Client:
    """A connection to one controller; close it, or use it in a `with` block. Not for several threads at once.

    Every method raises an error of `tidegate.contract.errors`: `InvalidInput` (mend the request), `NotFound`,
    `Conflict` (the state does not allow this now), `Unavailable` (the controller does not answer).
    """

    def __init__(self, address: ControllerAddress, *, home: Path | None = None, timeout_seconds: float = 30.0) -> None:
        """Prepare a connection; nothing is sent yet.

        Args:
            address: where the controller is.
            home: its state folder, when it is on this machine: there `reconnect` finds a controller that came
                back at another address.
            timeout_seconds: for one answer, deploys and long polls excepted.
        """
        self._home = home
        self._timeout_seconds = timeout_seconds
        self._http = Transport(address, timeout_seconds)

    @classmethod
    def connect(cls, home: Path | str | None = None, *, timeout_seconds: float = 30.0) -> Self:
        """Find the controller of this machine by its home; None: TIDEGATE_HOME, else the user's data folder.

        Raises:
            Unavailable: no controller was started there.
        """
        folder = home_folder(home)
        return cls(read_address(folder), home=folder, timeout_seconds=timeout_seconds)

    @property
    def url(self) -> str:
        return self._http.address.url

    @property
    def registry(self) -> ModelRegistry:
        """The model registry."""
        return ModelRegistry(self._http)

    def reconnect(self) -> None:
        """Read the address again, after the controller was away; Unavailable when it has written none."""
        if self._home is None:
            return
        address = read_address(self._home)
        self._http.close()
        self._http = Transport(address, self._timeout_seconds)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What there is

    def info(self) -> dict[str, Any]:
        """Return version, gateway_url and home of the controller."""
        return self._http.json("GET", "/v1/info")

    def list(self) -> Statuses:
        """Return the status of every deployment, by name."""
        return cast("Statuses", self._http.json("GET", "/v1/deployments")["deployments"])

    def status(self, name: str) -> Status:
        return cast("Status", self._http.json("GET", _deployment(name)))

    def result(self, name: str) -> dict[str, Any]:
        """Return the DeploymentResult document of a deployment."""
        return self._http.json("GET", _deployment(name, "result"))

    def history(self, name: str) -> History:
        return cast("History", self._http.json("GET", _deployment(name, "history")))

    def logs(self, name: str, *, revision: int | None = None, replica: int | None = None, lines: int = 100) -> Lines:
        """Return the last lines that a replica wrote. None: the revision on trial, else stable; all its replicas."""
        chosen = {"revision": revision, "replica": replica, "lines": lines}
        return cast("Lines", self._http.json("GET", _deployment(name, "logs"), params=chosen)["lines"])

    def rollout(self, rollout_id: RolloutId) -> Rollout:
        return cast("Rollout", self._http.json("GET", f"/v1/rollouts/{quote(str(rollout_id), safe='')}"))

    def report(self, rollout_id: RolloutId) -> dict[str, Any]:
        """Return what happened in a rollout: steps, splits, counts, verdicts, who decided, timings."""
        return self._http.json("GET", f"/v1/rollouts/{quote(str(rollout_id), safe='')}/report")

    def report_markdown(self, rollout_id: RolloutId) -> str:
        """Return the same report as a Markdown page."""
        return self._http.text(f"/v1/rollouts/{quote(str(rollout_id), safe='')}/report", params={"format": "markdown"})

    def recording(self, rollout_id: RolloutId) -> str:
        """Return all that the judge was shown in a rollout, as JSON lines; NotFound when nothing was recorded."""
        return self._http.text(f"/v1/rollouts/{quote(str(rollout_id), safe='')}/recording")

    def report_html(self, rollout_id: RolloutId) -> str:
        """Return the same report as one HTML page with plots, which needs nothing else to be shown."""
        return self._http.text(f"/v1/rollouts/{quote(str(rollout_id), safe='')}/report", params={"format": "html"})

    def notifications(self, name: str) -> Records:
        """Return the latest notifications of a deployment, newest last, each with its attempts."""
        return cast("Records", self._http.json("GET", _deployment(name, "notifications"))["notifications"])

    def test_notifications(self, name: str, *, by: str | None = None) -> Records:
        """Send a test to everybody who is notified; return how each went, after a minute at most."""
        body = {"by": by} if by is not None else {}
        answer = self._http.json(
            "POST", _deployment(name, "notifications/test"), body=body, timeout_seconds=TEST_TIMEOUT_SECONDS
        )
        return cast("Records", answer["tests"])

    def sample(self, name: str) -> Rows:
        """Return rows that the model takes, as its endpoint's own OpenAPI document has them; asks the gateway.

        Raises:
            Unavailable: the endpoint does not answer.
        """
        document = fetch_json(f"{self.status(name)['url'].rstrip('/')}/openapi.json", self._timeout_seconds)
        body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
        return cast("Rows", body["example"])

    def predict(self, name: str, rows: Rows) -> Rows:
        """Return the predictions of the deployment for rows, as any user of its endpoint gets them.

        Raises:
            InvalidInput: the model refuses the rows.
            Unavailable: the endpoint does not answer.
        """
        url = f"{self.status(name)['url'].rstrip('/')}/predict"
        return cast("Rows", post_json(url, rows, self._timeout_seconds).get("predictions"))

    def counts(self, name: str, reader: str) -> dict[str, Any]:
        """Have the replicas of the stable revision count some of their requests by column for ten seconds.

        Args:
            reader: a name of your own choice; each gets what was counted since it last asked, at first nothing.

        Returns:
            `revision`, and `counted`: a list of `{"requests": 31, "inputs": {COLUMN: SKETCH}, "outputs": {…}}`, one row
            of each request in it, of which all add up; see `contract.sketch`.
        """
        return self._http.json("POST", _deployment(name, "counts"), body={"reader": reader})

    def drift_readings(
        self,
        name: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        column: str | None = None,
        limit: int = 300,
    ) -> Records:
        """Return readings of drift that the controller made where the request has a `drift`, oldest first.

        Args:
            since: from when on, aware; None: of a day.
            until: until when, aware; None: until now.
            column: with this one alone; None: with all.
            limit: the newest so many, 1,000 at most.

        Returns:
            Each with `at`, `revision`, `state` (the worst of its columns: "none", "inconclusive", "moderate", "large"),
            `drifted` (how the data stands, which the edge of a threshold does not turn over again and again),
            `requests`, `look` (which reading of the revision's watch it is), `thresholds` (of the PSI, and `alpha`, its
            part of the chance of a false alarm), `interval` (what was counted since the reading before: `since` and
            `requests`, and in each column the counts of its bins), and `columns`, the largest `psi` first.
        """
        return cast("Records", self.drift(name, since=since, until=until, column=column, limit=limit)["readings"])

    def drift(
        self,
        name: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        column: str | None = None,
        limit: int = 300,
    ) -> dict[str, Any]:
        """Return readings of drift, and what the log of predictions says.

        Args:
            since, until, column, limit: see `drift_readings`; `limit` is of the readings of columns, and of those of
                each aspect.

        Returns:
            `readings`; without `column` also `aspects`: readings of the log, each with `aspect` ("quality",
            "performance", "together"), `state`, `at`, `revision`, `requests`, `said` (sentences), `reference` and
            `current` (the times that were compared), `drifted` (how it stands) and `measured`; and `watched`: what is
            known of each aspect now, with `unread`, why there is no reading of it.
        """
        chosen = {**_period(since, until), "column": column, "limit": limit}
        return self._http.json("GET", _deployment(name, "drift"), params=chosen)

    def drift_total(
        self,
        name: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        column: str | None = None,
    ) -> dict[str, Any]:
        """Return the drift of a whole period: what was counted in its intervals, added up and compared.

        Args:
            since: from when on, aware; None: of a day.
            until: until when, aware; None: until now.
            column: this one alone; None: all.

        Returns:
            `totals`, one for each revision, since each has a reference of its own. Each has `revision`, `since` and
            `until` of what is covered, `intervals` and the `seconds` that they took together, `requests`, and `state`,
            `thresholds`, `columns` and `skipped` as `tidegate drift check` has them, with all of the `alpha` of the
            request. `straddling` are the intervals that reach over an end of the period and are in no total, and
            `uncountedUntil` when the last reading of the period was made that has no counts of its own; None mostly.

        Raises:
            InvalidInput: the period ends before it begins, no reference has the column, or one is gone.
        """
        chosen = {**_period(since, until), "column": column}
        return self._http.json("GET", _deployment(name, "drift/total"), params=chosen)

    def drift_sensor(
        self,
        name: str,
        *,
        at_least: Degree = "moderate",
        min_requests: int = 0,
        columns: Collection[str] = (),
        retrained_at: datetime | None = None,
        cool_down: timedelta = timedelta(0),
        max_age: timedelta | None = None,
        by: Collection[Reason] = (),
    ) -> Sensed:
        """Say whether the last readings of what serves are a reason to retrain; for a sensor of a pipeline.

        Args:
            at_least: how far a column, or all inputs together, must have drifted, "moderate" or "large".
            min_requests: that a reading must be of.
            columns: that count; all when empty.
            retrained_at: when you retrained last, aware; None when never.
            cool_down: after `retrained_at`, before anything is due again.
            max_age: of the reading; None for any, of up to 400 days.
            by: what may be a reason, "columns", "quality", "performance" or "together"; all when empty.

        Raises:
            InvalidInput: a column is not in the reading, or there is no such reason.
        """
        reasons = require_reasons(by)
        now, stable = datetime.now(UTC), self.status(name)["stable"]
        asked = Asked(now, at_least, min_requests, retrained_at, cool_down, max_age)
        found = self.drift(name, since=now - timedelta(days=400), limit=1)
        # What was read of an earlier revision is no reason to train again after the next one was promoted.
        last = [one for one in found["readings"][-1:] if one["revision"] == stable]
        by_columns = sense_columns(last[0] if last else None, asked, columns)
        told = [one for one in found["aspects"] if one["revision"] == stable]
        unread = {one["aspect"]: one["unread"] for one in found["watched"] if one["unread"] is not None}
        by_aspects = sense_aspects(told, unread, asked, reasons)
        return together(by_columns if "columns" in reasons else None, by_aspects)

    # What happens

    def poll_events(
        self, name: str, *, after: int = 0, wait_seconds: float = 0.0, rollout: RolloutId | None = None
    ) -> Events:
        """Return the events with `seq` above `after`, oldest first; when there are none, wait for some."""
        answer = self._http.json(
            "GET",
            _deployment(name, "events"),
            params={"after": after, "wait": wait_seconds, "rollout": rollout},
            timeout_seconds=self._timeout_seconds + wait_seconds + POLL_MARGIN_SECONDS,
        )
        return cast("Events", answer["events"])

    def events(
        self, name: str, *, after: int = 0, rollout: RolloutId | None = None, follow: bool = False
    ) -> Iterator[Event]:
        """Yield the events of a deployment from the oldest on, a page at a time.

        Args:
            after: leave out events up to this `seq`.
            rollout: only those of one rollout.
            follow: go on for ever as events happen, instead of ending at the newest.
        """
        while True:
            page = self.poll_events(name, after=after, wait_seconds=20.0 if follow else 0.0, rollout=rollout)
            if not page and not follow:
                return
            for event in page:
                after = event["seq"]
                yield event

    def wait(
        self,
        name: str,
        rollout: RolloutId,
        *,
        timeout_seconds: float | None = None,
        until_person: bool = True,
        on_event: Callable[[Event], None] | None = None,
    ) -> Rollout:
        """Wait for the end of a rollout and return it; a controller that is away for less than a minute is waited for.

        Args:
            timeout_seconds: None waits for as long as it takes.
            until_person: return as well when the rollout is paused and waits for somebody.
            on_event: called with each event of the rollout as it happens.

        Raises:
            Unavailable: the time is up (the rollout goes on), or the controller stayed away.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        for look in follow(self, name, rollout):
            for event in look.events:
                if on_event is not None:
                    on_event(event)
            state = look.rollout
            if state is not None and (is_terminal(state) or (until_person and is_waiting_for_person(state))):
                return state
            if deadline is not None and time.monotonic() >= deadline:
                break
        raise Unavailable(
            f"Rollout {rollout} has not ended after {timeout_seconds:g} s.",
            subject=str(rollout),
            hint=f"It goes on. Watch it with: tidegate watch {name}",
        )

    # What people do

    def deploy(
        self, request: Mapping[str, Any], *, override_freeze: str | None = None, by: str | None = None
    ) -> Accepted:
        """Hand over a DeploymentRequest document; return when the model is checked and the rollout has begun.

        `modelArtifact.path` must be absolute, since the controller reads the file itself, or name a version in the
        model registry, such as `models:/churn@champion`. A document that names the
        bundle and settings of the revision already in place changes nothing and returns `created` False.

        Args:
            override_freeze: why it is deployed in spite of a freeze; None: a freeze holds, and `Frozen` is raised.
            by: who says so.
        """
        answer = self._http.json(
            "POST",
            "/v1/deployments",
            body=dict(request),
            params={"override_freeze": override_freeze, "by": by},
            timeout_seconds=DEPLOY_TIMEOUT_SECONDS,
        )
        return cast("Accepted", answer)

    def preview(
        self, request: Mapping[str, Any], *, override_freeze: str | None = None, by: str | None = None
    ) -> dict[str, Any]:
        """Return what `deploy` would do with the document, and why it would refuse it (`refusals`); changes nothing."""
        return self._http.json(
            "POST",
            "/v1/deployments",
            body=dict(request),
            params={"dry_run": True, "override_freeze": override_freeze, "by": by},
            timeout_seconds=DEPLOY_TIMEOUT_SECONDS,
        )

    def promote(
        self, name: str, *, arm: str | None = None, reason: str | None = None, by: str | None = None
    ) -> dict[str, Any]:
        """Make the candidate stable now, without the steps that are left; of an A/B test with arms, the one named."""
        return self._decide(name, "promote", reason, by, arm=arm)

    def set_weights(
        self, name: str, weights: Mapping[str, float], *, reason: str | None = None, by: str | None = None
    ) -> dict[str, Any]:
        """Give arms of the running A/B test other weights, percents by their names; stable gets the rest.

        Arms that are not named keep theirs, one with 0 is taken out. Only as many users change hands as must.
        """
        return self._decide(name, "weights", reason, by, weights=dict(weights))

    def pause(self, name: str, *, reason: str | None = None, by: str | None = None) -> dict[str, Any]:
        """Hold the rollout at its present split."""
        return self._decide(name, "pause", reason, by)

    def resume(self, name: str, *, reason: str | None = None, by: str | None = None) -> dict[str, Any]:
        """Let a paused rollout go on."""
        return self._decide(name, "resume", reason, by)

    def abort(self, name: str, *, reason: str | None = None, by: str | None = None) -> dict[str, Any]:
        """End the rollout and give all traffic back to stable."""
        return self._decide(name, "abort", reason, by)

    def rollback(
        self, name: str, *, to: int | None = None, reason: str | None = None, by: str | None = None
    ) -> dict[str, Any]:
        """Go back to an earlier revision: `to`, else the stable one before this."""
        body = {key: value for key, value in {"to": to, "reason": reason, "by": by}.items() if value is not None}
        return self._http.json("POST", _deployment(name, "rollback"), body=body)

    def delete(self, name: str, *, reason: str | None = None, by: str | None = None) -> dict[str, Any]:
        """Take the deployment off the gateway and end its replicas; its reports and events stay."""
        body = {key: value for key, value in {"reason": reason, "by": by}.items() if value is not None}
        return self._http.json("DELETE", _deployment(name), body=body)

    def tell_outcomes(self, name: str, outcomes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Tell what came of requests; return what became of what was told.

        Args:
            outcomes: at most 10,000, each with `request_id` (the x-request-id that the answer had); `bad` (whether the
                outcome is bad) or `outcome` (a label or a number that `analysis.outcomes.badWhen` judges); and
                `actual`, what the model should have answered: a number, a text, true or false, an object by output, or
                a list by row. One of the three is enough. Optionally `at`, when it happened, as text with a time zone.
                Telling one again changes nothing; of what is told otherwise the later `at` holds, then the last told.

        Returns:
            `received`, how many of them were `joined`, `waiting`, `corrected`, `duplicate`, `late`, `ambiguous`,
            `unknown`, `unjudged` and `refused`, `errors` (the first that were refused, with `index` and `message`), and
            `noting`: whether requests are noted now. What was told is stored when this returns.
        """
        body = {"outcomes": [dict(one) for one in outcomes]}
        return self._http.json(
            "POST", _deployment(name, "outcomes"), body=body, timeout_seconds=OUTCOMES_TIMEOUT_SECONDS
        )

    def outcomes(self, name: str) -> dict[str, Any]:
        """Return what came of the requests of the latest rollout so far, by revision, and how many outcomes wait."""
        return self._http.json("GET", _deployment(name, "outcomes"), timeout_seconds=OUTCOMES_TIMEOUT_SECONDS)

    def freezes(self, *, every: bool = False) -> Freezes:
        """Return the freezes that hold now or will; with `every`, all that ever were."""
        return cast("Freezes", self._http.json("GET", "/v1/freezes", params={"all": every})["freezes"])

    def add_freeze(
        self,
        deployment: str | None,
        *,
        reason: str,
        ends_at: datetime,
        starts_at: datetime | None = None,
        by: str | None = None,
    ) -> Freeze:
        """Let nothing be deployed to a deployment, or to any when it is None; `starts_at` None: from now on.

        Both moments have a time zone. A rollout that is under way goes on, and going back is never refused.
        """
        begins = starts_at.isoformat() if starts_at is not None else None
        fields = {"deployment": deployment, "reason": reason, "by": by, "starts_at": begins}
        body = {key: value for key, value in fields.items() if value is not None}
        return cast("Freeze", self._http.json("POST", "/v1/freezes", body={**body, "ends_at": ends_at.isoformat()}))

    def remove_freeze(self, freeze_id: int, *, by: str | None = None) -> Freeze:
        """End a freeze, or call off one to come."""
        body = {} if by is None else {"by": by}
        return cast("Freeze", self._http.json("DELETE", f"/v1/freezes/{freeze_id}", body=body))

    def shutdown(self) -> None:
        """Ask the controller to stop itself, the gateway and all replicas."""
        with suppress(Unavailable):
            self._http.json("POST", "/v1/shutdown")

    def _decide(self, name: str, verb: str, reason: str | None, by: str | None, **more: Any) -> dict[str, Any]:
        body = {key: value for key, value in {"reason": reason, "by": by, **more}.items() if value is not None}
        return self._http.json("POST", _deployment(name, verb), body=body)


def _period(since: datetime | None, until: datetime | None) -> dict[str, str | None]:
    ends = {"since": since, "until": until}
    return {name: None if moment is None else moment.isoformat() for name, moment in ends.items()}


def _deployment(name: str, part: str | None = None) -> str:
    path = f"/v1/deployments/{quote(name, safe='')}"
    return path if part is None else f"{path}/{part}"
