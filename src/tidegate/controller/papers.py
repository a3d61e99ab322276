"""What a deployment leaves for people and for Prometheus: reports of its rollouts, alert rules, a dashboard."""

from __future__ import annotations

import json
import logging
import time

from tidegate.controller import page, planning, report
from tidegate.controller.home import Home, write_atomically
from tidegate.controller.monitoring import write_monitoring
from tidegate.store import DeploymentRow, RolloutRow, Store

log = logging.getLogger(__name__)

MAX_REPORTED_EVENTS = 10_000
#: Between two attempts at files that could not be written.
RETRY_SECONDS = 5.0


class Papers:
    """The files of one deployment. They follow from the store, so that what was not written is written later."""

    def __init__(self, name: str, home: Home, store: Store) -> None:
        self._name = name
        self._home = home
        self._store = store
        self._caught_up = False
        self._monitored: int | None = None
        self._failed_at = float("-inf")

    def rollout_ended(self) -> None:
        """Have `keep` look for reports that are not written yet."""
        self._caught_up = False

    def keep(self, deployment: DeploymentRow) -> None:
        """Write what is missing, or of another revision. Its failure stops nothing; it is tried again."""
        if time.monotonic() - self._failed_at < RETRY_SECONDS:
            return
        caught_up, self._caught_up = self._caught_up, True
        row = self._store.active_rollout(deployment.id)
        number = deployment.stable if deployment.stable is not None else (row.to_revision if row is not None else None)
        monitored, self._monitored = self._monitored, number
        try:
            if number is not None and number != monitored:
                # What is promised is what the revision that serves promises, whatever is on trial.
                write_monitoring(self._home, planning.request_of(self._store.revision(deployment.id, number)))
            if not caught_up:
                self._catch_up(deployment)
        except Exception:  # a report that cannot be made, for whatever reason, must not slow down a rollout
            log.exception("%s: reports or monitoring files could not be written; trying again", self._name)
            self._failed_at, self._caught_up, self._monitored = time.monotonic(), False, None

    def _catch_up(self, deployment: DeploymentRow) -> None:
        """Write the reports that an earlier controller was killed before writing."""
        for row in self._store.rollouts(deployment.id):
            if row.ended_at is not None and not self._home.report(self._name, row.id, "json").exists():
                self.write_report(row)

    def write_report(self, row: RolloutRow) -> None:
        """Write the report of a rollout that has ended."""
        candidate = self._store.revision(row.deployment_id, row.to_revision)
        events = self._store.events(row.deployment_id, rollout_id=row.id, limit=MAX_REPORTED_EVENTS)
        built = report.build(row, candidate, events, self._store.looks(row.id))
        write_atomically(self._home.report(self._name, row.id, "html"), page.html(built))
        write_atomically(self._home.report(self._name, row.id, "md"), report.markdown(built))
        write_atomically(self._home.report(self._name, row.id, "json"), json.dumps(built, indent=2) + "\n")
