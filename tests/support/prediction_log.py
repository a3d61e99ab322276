"""What a prediction log must not lose: what replicas counted as written, beside the rows that are in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import distinct, func, select

from tidegate.server.recording.log import RECORDS_TOTAL
from tidegate.store.address import Address
from tidegate.store.schema.telemetry import predictions
from tidegate.store.versions import connected

_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class Written:
    """How many records replicas counted as written: of each what it said last, also of those that have ended since."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], int] = {}

    def look(self, status: Mapping[str, Any]) -> Counter[int]:
        """Ask the replicas that a deployment's status names; return what is known by revision."""
        for revision, health in status["replicas"].items():
            for replica in health["replicas"]:
                if replica["address"] is not None:
                    with suppress(httpx.HTTPError):  # it is being ended
                        self._counts[int(revision), replica["pid"]] = _written(replica["address"])
        found: Counter[int] = Counter()
        for (revision, _), count in self._counts.items():
            found[revision] += count
        return found


def logged(store: Address, deployment: str, since: datetime = _FIRST, until: datetime = _LAST) -> Counter[int]:
    """Return how many requests answered between two moments are in the log, by revision; one that came twice is one."""
    at = predictions.c.at
    query = (
        select(predictions.c.revision, func.count(distinct(predictions.c.request_id)).label("requests"))
        .where(predictions.c.deployment == deployment, at >= since, at < until)
        .group_by(predictions.c.revision)
    )
    database = connected(store)
    try:
        with database.read() as db:
            return Counter({row.revision: row.requests for row in db.execute(query)})
    finally:
        database.close()


def _written(address: str) -> int:
    page = httpx.get(f"http://{address}/metrics", timeout=10).text
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return sum(int(one.value) for one in samples if one.name == RECORDS_TOTAL and one.labels["outcome"] == "written")
