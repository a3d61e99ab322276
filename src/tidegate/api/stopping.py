"""How the controller is told to end."""

from __future__ import annotations

import asyncio


class Stopping(asyncio.Event):
    """Set when the controller is to end, and with it the gateway and every replica.

    Attributes:
        keeps_containers: but for replicas that have containers of their own and a gateway that has one, which serve on
            and are found again.
    """

    keeps_containers = False
