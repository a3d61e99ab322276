"""A process that ensures one replica and then waits to be killed, as a controller does between two ticks."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.target.conftest import spec_of, tiny_command
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.target.local import LocalTarget


async def main(home: Path, deployment: str, options: list[str]) -> None:
    target = LocalTarget(home, EnvoyGateway(home / "gateway", port=0), command=tiny_command(*options))
    await target.start()
    await target.ensure_replicas(spec_of(deployment), 1)
    print("ensured", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
