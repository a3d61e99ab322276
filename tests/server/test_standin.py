"""What stands in for the workers keeps no connection once one of them serves."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tests.server.processes import DEADLINE_SECONDS
from tidegate.server.handover import HandoverQueue, Intake
from tidegate.server.supervisor.standin import StandIn


async def _nobody(method: str, path: str, body: bytes) -> tuple[int, Any]:
    return 503, {"error": "nobody serves"}


async def _accepted_just_before_a_worker_serves() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        handover = HandoverQueue.create()
        standin = StandIn(listener, handover, _nobody)
        taken: asyncio.Future[socket.socket] = loop.create_future()
        worker = Intake(listener, handover, lambda connection, _: taken.set_result(connection))
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            standin.open()
            standin._adopt(accepted, True)  # what its intake calls; the worker serves before the loop turns again
            standin.close()
            worker.open(loop)
            given = await asyncio.wait_for(taken, DEADLINE_SECONDS)
            with given:
                assert given.getpeername() == client.getsockname()
        worker.close()
        standin.end()


def test_a_connection_accepted_just_before_a_worker_serves_is_handed_over() -> None:
    asyncio.run(_accepted_just_before_a_worker_serves())
