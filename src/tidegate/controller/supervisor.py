"""Runs one reconciler per deployment, and keeps running it whatever happens in one of them."""

from __future__ import annotations

import asyncio
import logging

from tidegate.contract.errors import NotFound, TidegateError
from tidegate.controller.home import Home
from tidegate.controller.reconcile import Reconciler, Seen
from tidegate.store import StaleState, Store
from tidegate.target.base import Target

log = logging.getLogger(__name__)

#: Time between two ticks of a deployment with a rollout under way.
TICK_SECONDS = 0.2
#: Time between two ticks of one that only serves: the gateway routes around a dead replica by itself.
IDLE_SECONDS = 0.6
#: Time between two ticks while one fails, so that a broken disk does not fill it with logs.
RETRY_SECONDS = 1.0


class Supervisor:
    """Start it once; `wake` makes a deployment's next tick come at once."""

    def __init__(self, home: Home, store: Store, target: Target) -> None:
        self._home = home
        self._store = store
        self._target = target
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reconcilers: dict[str, Reconciler] = {}
        self._wakers: dict[str, asyncio.Event] = {}
        self._gateway_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bring up the target and begin to drive every deployment in the store.

        Raises:
            InvalidInput, Unavailable: the target cannot come up; nothing is driven.
        """
        await self._target.start()
        self._gateway_task = asyncio.create_task(self._keep_target(), name="target")
        for deployment in self._store.deployments():
            self.adopt(deployment.name)

    def adopt(self, name: str) -> None:
        """Drive the deployment from now on; does nothing when it is driven already."""
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

    async def release(self, name: str) -> None:
        """Stop driving a deployment that was deleted, take it off the gateway and end its replicas."""
        await self._end([self._tasks.pop(name)] if name in self._tasks else [])
        self._reconcilers.pop(name, None)
        self._wakers.pop(name, None)
        await self._target.set_split(name, {}, 30.0)
        for ref in await self._target.running():
            if ref.deployment == name:
                await self._target.remove_revision(ref)

    async def stop(self) -> None:
        """Stop driving; what runs goes on running."""
        tasks = [*self._tasks.values(), *([self._gateway_task] if self._gateway_task else [])]
        self._tasks.clear()
        await self._end(tasks)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_target(self) -> None:
        """Start the gateway again whenever it is gone."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._target.start()
            except TidegateError as error:
                log.error("the gateway cannot be started: %s", error)  # noqa: TRY400 - the message is complete

    async def _run(self, name: str) -> None:
        reconciler, waker = self._reconcilers[name], self._wakers[name]
        while True:
            waker.clear()
            try:
                pause = TICK_SECONDS if await reconciler.tick() else IDLE_SECONDS
            except StaleState:
                continue  # a person's command came in between: decide again from what is stored now
            except NotFound:
                log.info("%s is no longer deployed", name)
                return
            except Exception:  # one broken deployment must not end the loop of the controller
                log.exception("%s: a tick failed; trying again", name)
                pause = RETRY_SECONDS
            try:
                await asyncio.wait_for(waker.wait(), pause)
            except TimeoutError:
                continue
