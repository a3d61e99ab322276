"""Mage with its scheduler mended: `python mage_pipeline/start.py start mage_pipeline`, else `mage start mage_pipeline`.

Mage 0.9.80 loses blocks and runs them twice, each a matter of moments, and so of how busy the machine is.

Blocks go through a queue to a process that runs them, the pool, which ends when it has nothing to do:

- A job that is put while the pool is ending stays in the queue. Its block is QUEUED, for good where no other is queued.
- A job is put before it is on record as queued. Who takes it in between finds no record and ends without having run it;
  or its own record, that it runs, is overwritten, and the scheduler takes it for crashed and runs it a second time.
- A job that was taken from the queue and is not yet on record as running is taken for crashed as well.

A run that is started by the API is stored first, and then its blocks. A scheduler that looks in between finds a run
without blocks, which it adds, so that each is there twice, and is run twice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mage_ai.settings.repo import set_repo_path

# Where Mage's database is follows from it, once and for all with the first of what comes next.
set_repo_path(str(Path(__file__).resolve().parent))

from mage_ai.cli.main import app  # noqa: E402
from mage_ai.orchestration.db.models.schedules import PipelineRun  # noqa: E402
from mage_ai.orchestration.queue import process_queue  # noqa: E402
from mage_ai.orchestration.queue.process_queue import (  # noqa: E402
    LIVENESS_TIMEOUT_SECONDS,
    JobStatus,
    ProcessQueue,
    QueueStatus,
)


class MendedQueue(ProcessQueue):
    """Mage's queue, which loses no job."""

    def enqueue(self, job_id: str, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """See `ProcessQueue.enqueue`; the record is made first."""
        if self.status != QueueStatus.ACTIVE:
            self._print("Cannot enqueue a job to an inactive queue.")
            return
        if self.has_job(job_id):
            self._print(f"Job {job_id} exists. Skip enqueue.")
            return
        self._print(f"Enqueue job {job_id}")
        if self.redis_client:
            self.redis_client.set(job_id, self.client_id)
            self.redis_client.set(self.client_id, "1", ex=LIVENESS_TIMEOUT_SECONDS)
        self.job_dict[job_id] = JobStatus.QUEUED
        self.queue.put([job_id, target, args, kwargs])
        if not self.is_worker_pool_alive():
            self.start_worker_pool()

    def has_job(self, job_id: str, logger: Any = None, logging_tags: dict[str, Any] | None = None) -> bool:
        """See `ProcessQueue.has_job`; what is on record as queued is there for as long as the pool is."""
        if super().has_job(job_id, logger=logger, logging_tags=logging_tags):
            return True
        state = self.job_dict.get(job_id)
        if state == JobStatus.QUEUED:
            return self.is_worker_pool_alive()
        # A number is the process that runs it: taken while we asked, or gone since.
        return isinstance(state, int) and bool(super().has_job(job_id, logger=logger, logging_tags=logging_tags))

    def clean_up_jobs(self) -> None:
        """See `ProcessQueue.clean_up_jobs`; the scheduler calls it each time that it looks. Jobs get a pool again."""
        super().clean_up_jobs()
        if not self.queue.empty() and not self.is_worker_pool_alive():
            self._print("Jobs wait and nothing runs them: start the worker pool.")
            self.start_worker_pool()


create_run = PipelineRun.create.__func__


def create_without_blocks(cls: type[PipelineRun], create_block_runs: bool = True, **kwargs: Any) -> PipelineRun:
    """See `PipelineRun.create`; the scheduler adds the blocks, under its lock, as it does for runs that it creates."""
    return create_run(cls, create_block_runs=False, **kwargs)


# The names by which Mage knows both.
process_queue.ProcessQueue = MendedQueue
PipelineRun.create = classmethod(create_without_blocks)

if __name__ == "__main__":
    # As with `mage`: this file's folder holds Mage's blocks, and is no place to import from.
    del sys.path[0]
    app()
