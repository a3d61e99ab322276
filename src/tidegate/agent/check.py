"""`python -m tidegate.agent.check`: exit with 0 where the agent and the engine answer.

For a container's health check, which comes every few seconds: it imports next to nothing.
"""

from __future__ import annotations

import http.client
import socket
import sys
from pathlib import Path

SOCKET = "/run/tidegate-agent/agent.sock"
_SECONDS = 4.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, at: Path) -> None:
        super().__init__("agent", timeout=_SECONDS)
        self._at = at

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._at))


def main() -> int:
    at = Path(sys.argv[1] if len(sys.argv) > 1 else SOCKET)
    connection = _Connection(at)
    try:
        connection.request("GET", "/v1/health")
        answer = connection.getresponse()
        told = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        told, is_well = str(error), False
    else:
        is_well = answer.status == http.client.OK
    finally:
        connection.close()
    if not is_well:
        sys.stderr.write(f"the agent at {at} is not well: {told[:500]}\n")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
