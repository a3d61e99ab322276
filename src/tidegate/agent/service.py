"""What the agent does for who may ask it: five things, and only with containers that carry this project's label."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from tidegate.agent import specification
from tidegate.agent.engine import Engine
from tidegate.agent.place import COMPOSE_PROJECT, place_of, project_of
from tidegate.agent.specification import Limits, Place, ReplicaKey, Specification
from tidegate.contract.errors import Conflict, InvalidInput, NotFound, TidegateError

log = logging.getLogger(__name__)

#: Of a log, at one time.
MOST_LINES = 10_000


@dataclass(frozen=True)
class Found:
    """A replica's container.

    Attributes:
        id: unlike that of any other before or after.
        image: what its image was called when it was made.
        address: in the network of replicas; None while it does not run.
        exit_code: as the engine has it, 128 and the signal's number for one that a signal ended; None while it runs.
        ran_out_of_memory: the kernel killed it, or one of its processes, at its limit.
    """

    key: ReplicaKey
    id: str
    image: str
    is_running: bool
    address: str | None = None
    exit_code: int | None = None
    ran_out_of_memory: bool = False

    def as_document(self) -> dict[str, Any]:
        return {**asdict(self.key), **{name: value for name, value in asdict(self).items() if name != "key"}}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        key = ReplicaKey(document["deployment"], document["revision"], document["index"])
        fields = ("id", "image", "is_running", "address", "exit_code", "ran_out_of_memory")
        return cls(key, **{name: document[name] for name in fields})


class Agent:
    """The five things. `ready` before the first of them."""

    def __init__(self, engine: Engine, own: str, network: str, limits: Limits) -> None:
        self._engine = engine
        self._own = own
        self._network = network
        self._limits = limits
        self._place: Place | None = None
        self._busy: defaultdict[ReplicaKey, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._starting = asyncio.Lock()

    async def ready(self) -> None:
        """Read where replicas run off the agent's own container.

        Raises:
            Unavailable: it has not all that they need.
        """
        try:
            own = await self._engine.inspect(self._own)
        except NotFound as error:
            raise NotFound(
                "the agent does not find its own container",
                subject=self._own,
                expected="a container of this id or name: the host's name is it, unless the Compose file sets another",
            ) from error
        networks = await self._engine.networks(f"{COMPOSE_PROJECT}={project_of(own)}")
        self._place = place_of(own, networks, self._network)

    @property
    def project(self) -> str:
        """The Compose project that the agent is of."""
        return self._at.project

    async def health(self) -> dict[str, Any]:
        await self._engine.ping()
        return {"project": self.project, "image": self._at.image}

    async def replicas(self) -> list[Found]:
        """Return every replica's container of this project."""
        listed = await self._engine.containers(self._at.project)
        found = [(key, one) for one in listed if (key := self._key(one.get("Labels")))]
        # Only an inspection tells how one ended.
        return list(await asyncio.gather(*(self._found(key, one) for key, one in found)))

    async def start(self, asked: Specification) -> Found:
        """Make and start a replica's container; what is left of an earlier one is removed.

        Raises:
            Conflict: this replica runs already, or as many run as may.
            InvalidInput: it asks for a secret that the agent does not have.
            Unavailable: the engine could not start it.
        """
        body = specification.container(asked, self._at, self._limits)
        async with self._busy[asked.key]:
            name = self._name(asked.key)
            async with self._starting:
                await self._refuse_too_many(asked.key)
                with suppress(NotFound):
                    await self._remove(asked.key)
                made = await self._engine.create(name, body)
            try:
                await self._engine.start(made)
            except TidegateError:
                with suppress(TidegateError):
                    await self._engine.remove(made)
                raise
            log.info("started %s", name)
            return self._inspected(asked.key, await self._engine.inspect(made))

    async def end(self, key: ReplicaKey, signal: Literal["SIGTERM", "SIGKILL"]) -> None:
        """Send a replica a signal; does nothing where it does not run.

        Raises:
            NotFound: there is none.
        """
        own = await self._mine(key)
        if own["State"]["Running"]:
            log.info("%s for %s", signal, self._name(key))
            with suppress(Conflict):  # it has just ended
                await self._engine.kill(own["Id"], signal)

    async def remove(self, key: ReplicaKey) -> None:
        """Remove the container of a replica that ended.

        Raises:
            NotFound: there is none.
            Conflict: it runs.
        """
        async with self._busy[key]:
            await self._remove(key)

    async def log(self, key: ReplicaKey, lines: int) -> list[str]:
        """Return the last lines that a replica wrote; raises NotFound where there is none."""
        if not 0 < lines <= MOST_LINES:
            raise InvalidInput("so many lines are not shown", expected=f"1 to {MOST_LINES}", got=str(lines))
        own = await self._mine(key)
        return await self._engine.log(own["Id"], lines)

    @property
    def _at(self) -> Place:
        if self._place is None:
            raise RuntimeError("the agent is asked before it is ready")
        return self._place

    def _name(self, key: ReplicaKey) -> str:
        return specification.container_name(self._at.project, key)

    def _key(self, labels: Any) -> ReplicaKey | None:
        return specification.key_of(labels or {}, self._at.project)

    async def _mine(self, key: ReplicaKey) -> dict[str, Any]:
        """Return the container of a replica; one that has its name and not its labels is not there."""
        own = await self._engine.inspect(self._name(key))
        if self._key(own["Config"].get("Labels")) != key:
            raise NotFound("no container of this project is this replica", subject=str(key))
        return own

    async def _remove(self, key: ReplicaKey) -> None:
        own = await self._mine(key)
        if own["State"]["Running"]:
            raise Conflict("this replica runs", subject=str(key))
        await self._engine.remove(own["Id"])
        log.info("removed %s", self._name(key))

    async def _refuse_too_many(self, key: ReplicaKey) -> None:
        others = [one for one in await self._engine.containers(self._at.project) if self._key(one["Labels"]) != key]
        if len(others) >= self._limits.replicas:
            raise Conflict(
                f"{len(others)} replicas have a container, as many as may",
                subject=str(key),
                hint="set REPLICAS_MOST to more, then docker compose up -d agent",
            )

    async def _found(self, key: ReplicaKey, listed: dict[str, Any]) -> Found:
        if listed["State"] == "running":
            return Found(key, listed["Id"], _image(listed), is_running=True, address=self._address(listed))
        try:
            return self._inspected(key, await self._engine.inspect(listed["Id"]))
        except NotFound:  # removed between the two looks
            return Found(key, listed["Id"], _image(listed), is_running=False)

    def _inspected(self, key: ReplicaKey, own: dict[str, Any]) -> Found:
        state, image = own["State"], _image(own["Config"])
        if state["Running"]:
            return Found(key, own["Id"], image, is_running=True, address=self._address(own))
        ended = state["Status"] in ("exited", "dead")
        return Found(
            key,
            own["Id"],
            image,
            is_running=False,
            exit_code=int(state["ExitCode"]) if ended else None,
            ran_out_of_memory=bool(state.get("OOMKilled")),
        )

    def _address(self, shown: dict[str, Any]) -> str | None:
        attached = shown["NetworkSettings"]["Networks"].get(self._at.network) or {}
        return attached.get("IPAddress") or None


def _image(labelled: dict[str, Any]) -> str:
    return str(labelled["Labels"].get(specification.IMAGE_LABEL, ""))
