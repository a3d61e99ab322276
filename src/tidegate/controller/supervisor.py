"""Runs one reconciler per deployment, and keeps running it whatever happens in one of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tidegate.contract.errors import NotFound, TidegateError, Unavailable
from tidegate.controller import trouble
from tidegate.controller.checkpoints import Checkpoints
from tidegate.controller.courier import Courier
from tidegate.controller.drift.log_watcher import LogWatcher
from tidegate.controller.drift.watcher import DriftWatcher
from tidegate.controller.home import Home
from tidegate.controller.keeper import Keeper
from tidegate.controller.outcomes.noting import NoteTaker
from tidegate.controller.reconcile import Reconciler, Seen
from tidegate.controller.reserve import Reserve
from tidegate.controller.upkeep import Upkeep
from tidegate.controller.watching import Watching
from tidegate.store import StaleState, Store
from tidegate.target.base import Target

log = logging.getLogger(__name__)

#: Time between two ticks while one fails, so that a broken disk does not fill it with logs.
RETRY_SECONDS = 1.0
#: Time between two looks at the gateway's processes.
WATCH_SECONDS = 0.1
#: Time between two searches for replicas of deployments that were deleted.
LEFTOVERS_SECONDS = 5.0


class Supervisor:
    """Start it once; `wake` makes a deployment's next tick come at once."""

    def __init__(self, home: Home, store: Store, target: Target) -> None:
        self._home = home
        self._store = store
        self._target = target
        self.reserve = Reserve(home.root)
        self.watching = Watching(target)
        self.drift = DriftWatcher(store, self.watching, home)
        self.drift_log = LogWatcher(store)
        self.upkeep = Upkeep(store)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reconcilers: dict[str, Reconciler] = {}
        self._wakers: dict[str, asyncio.Event] = {}
        self._changing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._common: list[asyncio.Task[None]] = []
        self._stopped = False

    async def start(self) -> None:
        """Bring up the target and begin to drive every deployment in the store.

        Raises:
            InvalidInput, Unavailable: the target cannot come up; nothing is driven.
        """
        await self._target.start()
        self._common = [
            asyncio.create_task(self._keep_target(), name="target"),
            asyncio.create_task(self._keep_clean(), name="leftovers"),
            asyncio.create_task(Courier(self._store).run(), name="courier"),
            asyncio.create_task(NoteTaker(self._store, self._target).run(), name="notes of served requests"),
            asyncio.create_task(Keeper(self._home, self._store).run(), name="keeper"),
            asyncio.create_task(Checkpoints(self._store).run(), name="checkpoints"),
            asyncio.create_task(self.drift.run(), name="drift"),
            asyncio.create_task(self.drift_log.run(), name="drift, by the log of predictions"),
            asyncio.create_task(self.upkeep.run(), name="upkeep of the store"),
        ]
        for deployment in self._store.deployments():
            self.adopt(deployment.name)

    def adopt(self, name: str) -> None:
        """Drive the deployment from now on; does nothing when it is driven already, or after `stop`."""
        if self._stopped:
            return
        if name in self._tasks and not self._tasks[name].done():
            self.wake(name)
            return
        self._reconcilers[name] = Reconciler(name, self._home, self._store, self._target)
        self._wakers[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._run(name), name=f"deployment {name}")

    def wake(self, name: str) -> None:
        if name in self._wakers:
            self._wakers[name].set()

    def seen(self, name: str) -> Seen:
        """Return what the deployment's reconciler knows of the world now."""
        reconciler = self._reconcilers.get(name)
        return reconciler.seen if reconciler is not None else Seen()

    @asynccontextmanager
    async def changing(self, name: str) -> AsyncIterator[None]:
        """Keep others from making or deleting a deployment of this name meanwhile.

        What an earlier deployment of the name left, because its controller was killed or the target failed, is ended
        first: revisions count from 1 again, and its replicas must not be taken for those of the new one.
        """
        async with self._changing[name]:
            if all(deployment.name != name for deployment in self._store.deployments()):
                await self._end_leftovers(name)
            yield

    async def release(self, name: str) -> None:
        """Stop driving a deployment that was deleted, take it off the gateway and end its replicas.

        Only while `changing` the name. Replicas come last: as long as there are any, what is left can be found again.
        """
        await self._end([self._tasks.pop(name)] if name in self._tasks else [])
        self._reconcilers.pop(name, None)
        self._wakers.pop(name, None)
        for file in (self._home.rules(name), self._home.dashboard(name), self._home.counting(name)):
            file.unlink(missing_ok=True)
        try:
            await self._target.set_split(name, {}, 30.0)
        except Unavailable as error:
            log.warning("%s: the gateway will be told of its end when it is back: %s", name, error)
        for ref in await self._target.running():
            if ref.deployment == name:
                await self._target.remove_revision(ref)

    async def _end_leftovers(self, name: str) -> None:
        if any(ref.deployment == name for ref in await self._target.running()):
            log.info("%s: ending what an earlier deployment left", name)
            await self.release(name)

    async def stop(self) -> None:
        """Stop driving; what runs goes on running."""
        self._stopped = True
        tasks = [*self._tasks.values(), *self._common]
        self._tasks.clear()
        await self._end(tasks)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_target(self) -> None:
        """Start what is gone of the gateway again, before the rest of it can go as well."""
        started_at = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._target.is_whole() and time.monotonic() - started_at < RETRY_SECONDS:
                continue
            try:
                await self._target.start()
            except TidegateError as error:
                log.error("the gateway cannot be started: %s", error)  # noqa: TRY400 - the message is complete
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # a full disk, say; it must be tried again when that is over
                log.exception("the gateway cannot be looked after; trying again")
                await asyncio.sleep(RETRY_SECONDS)
            started_at = time.monotonic()

    async def _keep_clean(self) -> None:
        """End what is left of deployments that were deleted, when a kill or a failure came in between."""
        while True:
            try:
                left = {ref.deployment for ref in await self._target.running()}
                for name in left & self._store.deleted_names():
                    async with self.changing(name):
                        pass
            except Exception:
                log.exception("what deleted deployments left could not be ended; trying again")
            try:
                self.reserve.keep()
            except OSError as error:
                log.warning("no room could be kept for taking candidates back: %s", error)
            await asyncio.sleep(LEFTOVERS_SECONDS)

    async def _run(self, name: str) -> None:
        reconciler, waker = self._reconcilers[name], self._wakers[name]
        while True:
            waker.clear()
            try:
                pause = await reconciler.tick()
                reconciler.seen.trouble = None
            except StaleState:
                continue  # a person's command came in between: decide again from what is stored now
            except NotFound:
                log.info("%s is no longer deployed", name)
                return
            except Exception as error:  # one broken deployment must not end the loop of the controller
                log.exception("%s: a tick failed; trying again", name)
                reconciler.seen.trouble = trouble.sentence(error, self._home.root)
                if reconciler.seen.is_going_back and self.reserve.use():
                    continue
                pause = RETRY_SECONDS
            try:
                # Not `wait_for`, which loses a cancellation that comes together with what it waits for (Python 3.11).
                async with asyncio.timeout(pause):
                    await waker.wait()
            except TimeoutError:
                continue
