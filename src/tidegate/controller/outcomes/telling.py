"""The calls of the API: take outcomes in, and show what came of the requests of the latest rollout."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.controller.outcomes import entries
from tidegate.controller.outcomes.joining import KEPT, WORDS, Settling
from tidegate.controller.outcomes.noting import is_noting, last_trial
from tidegate.controller.outcomes.source import milliseconds
from tidegate.rollout import Rollout
from tidegate.store import Store
from tidegate.store.outcomes import CHUNK_ROWS


def tell(store: Store, name: str, document: Any) -> dict[str, Any]:
    """Take outcomes in; when this returns they are in the store and outlast any kill.

    All are kept in the log of outcomes, to be read beside the predictions; what is said of each is what the judge of a
    rollout makes of it.

    Returns:
        How many were received, how many of them were what (`joining.WORDS`), how many were refused and why, and whether
        requests are being noted.

    Raises:
        NotFound: no such deployment.
        InvalidInput: the body is none, or the one outcome that it is cannot be taken.
    """
    deployment = store.deployment(name)
    given = entries.listed(document)
    trial = last_trial(store, deployment)
    settings = trial[1].analysis.outcomes if trial is not None else None
    now = round(time.time() * 1000)
    told, refused = entries.read(given, settings.bad_when if settings is not None else None, now)
    if refused and isinstance(document, Mapping) and "outcomes" not in document:
        raise InvalidInput(refused[0].message, subject=refused[0].request_id or "outcomes[0]")
    noting = is_noting(store, deployment)
    window_ms = round(settings.window.seconds * 1000) if settings is not None else None
    settle = Settling(window_ms, noting, now)
    said: Counter[str] = Counter()
    for start in range(0, len(told), CHUNK_ROWS):
        said += store.told.tell(deployment.id, told[start : start + CHUNK_ROWS], settle, KEPT, now)
    said["unjudged"] = sum(one.is_bad is None for one in told)
    return {
        "deployment": name,
        "received": len(given),
        **{word: said[word] for word in WORDS},
        "refused": len(refused),
        "errors": [one.as_dict() for one in refused[: entries.MOST_TOLD]],
        "noting": noting,
    }


def shown(store: Store, name: str) -> dict[str, Any]:
    """Return what came of the requests of the latest rollout so far, by revision; it may read much.

    Raises:
        NotFound: no such deployment.
    """
    deployment = store.deployment(name)
    trial = last_trial(store, deployment)
    base: dict[str, Any] = {"deployment": name, "rollout": None, "noting": False, "window": None, "revisions": {}}
    waiting = store.told.waiting(deployment.id)
    if trial is None or trial[1].analysis.outcomes is None:
        return {**base, "waiting": waiting}
    row, settings = trial[0], trial[1].analysis.outcomes
    now = datetime.now(UTC)
    found = store.told.summary(
        deployment.id,
        since=milliseconds(row.started_at),
        until=milliseconds(row.ended_at or now),
        now=milliseconds(now),
        window_ms=round(settings.window.seconds * 1000),
    )
    roles = {arm.revision: arm.name for arm in Rollout.from_storage(row.state).plan.arms}
    roles = {row.to_revision: "candidate", row.from_revision or 0: "stable", **roles}
    return {
        **base,
        "rollout": str(row.id),
        "noting": is_noting(store, deployment),
        "window": str(settings.window),
        "missing": settings.missing,
        "waiting": waiting,
        "revisions": {str(number): {"role": roles.get(number), **counts} for number, counts in sorted(found.items())},
    }
