"""A containment query over all vectors, with the GIN index that they have and without it: the plans, and the rows."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.store.filled import Filled
from benchmarks.store.place import described
from benchmarks.store.vectors import CONTAINED
from tidegate.store.versions import connected

INDEX = "features.feature_vectors_by_content"
QUERY = f"SELECT entity FROM features.feature_vectors WHERE vector @> '{json.dumps(CONTAINED)}'"  # noqa: S608 -- of ours


def measure(filled: Filled, times: int) -> dict[str, Any]:
    """Explain the query so often with the index and without; return of each the plan that took the median time.

    The index is dropped in a transaction that is rolled back.
    """
    database = connected(filled.url)
    try:
        with database.engine.begin() as db:
            with_index = _explained(db, times)
            rows = sorted(db.exec_driver_sql(QUERY).scalars())
        with database.engine.connect() as db:
            db.execute(text("SET LOCAL statement_timeout = 0"))
            db.execute(text(f"DROP INDEX {INDEX}"))
            without = _explained(db, times)
            assert sorted(db.exec_driver_sql(QUERY).scalars()) == rows
            db.rollback()
        with database.read() as db:
            size = db.execute(text("SELECT pg_relation_size(:name)"), {"name": INDEX}).scalar_one()
    finally:
        database.close()
    return {
        "vectors": filled.vectors,
        "server": described(filled.server),
        "query": QUERY,
        "rows": len(rows),
        "index_bytes": int(size),
        "with": with_index,
        "without": without,
    }


def _explained(db: Connection, times: int) -> dict[str, Any]:
    plans = []
    for _ in range(times + 1):
        found = db.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {QUERY}").scalars().all()
        taken = next(float(line.split()[2]) for line in found if line.startswith("Execution Time:"))
        plans.append((taken, found))
    # The first one reads from the disk what the others find in memory.
    taken, lines = sorted(plans[1:])[times // 2]
    return {"execution_ms": taken, "first_ms": plans[0][0], "plan": list(lines)}
