"""`python -m tidegate.agent`: the agent, in a container of the Compose project whose replicas it starts."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

import uvicorn

from tidegate.agent.app import build_app
from tidegate.agent.check import SOCKET
from tidegate.agent.client import KEPT_SECONDS
from tidegate.agent.engine import Engine
from tidegate.agent.keeper import Keeper
from tidegate.agent.service import Agent
from tidegate.agent.specification import Limits
from tidegate.contract.errors import TidegateError
from tidegate.contract.quantities import Memory

ENGINE = "/var/run/docker.sock"
EXIT_REFUSED = 6

log = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tidegate.agent", description=__doc__)
    parser.add_argument("--socket", type=Path, default=Path(SOCKET), help="where the controller asks")
    parser.add_argument("--engine", type=Path, default=Path(ENGINE), help="the container engine's socket")
    parser.add_argument("--own", default=socket.gethostname(), help="the agent's own container")
    parser.add_argument("--network", default="backend", help="the network of replicas, as the Compose file names it")
    parser.add_argument("--memory", default="1Gi", help="of each replica, at most")
    parser.add_argument("--cpus", type=float, default=1.0, help="of each replica, at most")
    parser.add_argument("--most", type=int, default=64, help="replicas at one time")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        limits = Limits(Memory.parse(given.memory).bytes, given.cpus, replicas=given.most)
        asyncio.run(_serve(given.socket, given.engine, given.own, given.network, limits))
    except TidegateError as error:
        log.error("%s", error)  # noqa: TRY400 -- the message is complete
        return EXIT_REFUSED
    return 0


async def _serve(at: Path, engine_socket: Path, own: str, network: str, limits: Limits) -> None:
    async with Engine(engine_socket) as engine:
        agent = Agent(engine, own, network, limits)
        await agent.ready()
        listener = _listen(at)
        log.info("the agent listens at %s", at)
        kept = round(10 * KEPT_SECONDS)
        config = uvicorn.Config(
            build_app(agent), log_config=None, access_log=False, lifespan="off", timeout_keep_alive=kept
        )
        keeping = asyncio.create_task(Keeper(engine, agent.project).run())
        await uvicorn.Server(config).serve(sockets=[listener])
        keeping.cancel()


def _listen(at: Path) -> socket.socket:
    at.unlink(missing_ok=True)
    # For owner and group; the folder is a volume that nobody but the controller mounts.
    os.umask(0o117)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(at))
    return listener


if __name__ == "__main__":
    sys.exit(main())
