"""What hooks have said at the points of a rollout, so that a controller that is started again need not ask again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from tidegate.store.database import Database
from tidegate.store.schema.delivery import hook_answers

#: A point of a rollout: type and name of the hook, and the step; None for what is asked at all of them.
Point = tuple[str, str, int | None]

#: In place of a step; steps count from -1.
_EVERY_STEP = -2


class HookAnswers:
    """The answers of hooks in one store; what an answer holds is the caller's business, plain JSON values."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, rollout_id: int) -> dict[Point, Mapping[str, Any]]:
        """Return what was kept of a rollout."""
        with self._database.read() as db:
            query = select(hook_answers).where(hook_answers.c.rollout_id == rollout_id)
            return {
                (row.type, row.hook, None if row.step == _EVERY_STEP else row.step): row.said
                for row in db.execute(query)
            }

    def keep(self, rollout_id: int, point: Point, said: Mapping[str, Any]) -> None:
        """Keep what was said at a point, in place of what was kept of it before."""
        kind, hook, step = point
        where = {"rollout_id": rollout_id, "type": kind, "hook": hook, "step": _EVERY_STEP if step is None else step}
        added = self._database.insert(hook_answers).values(**where, said=dict(said))
        with self._database.write() as db:
            db.execute(added.on_conflict_do_update(index_elements=list(where), set_={"said": dict(said)}))
