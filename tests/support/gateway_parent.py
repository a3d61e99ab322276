"""A parent of a gateway's Envoys, as the gateway's container has it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tidegate.gateway.base import DEFAULT_ENVOYS
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.files import GatewayFolder
from tidegate.gateway.opening import open_gateway
from tidegate.gateway.os_process import OsProcess, find_by_argument
from tidegate.gateway.parent import SOCKET_NAME
from tidegate.gateway.process import PARENT_VARIABLE


class Parent:
    """A parent that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / SOCKET_NAME
        self.process = self.begin()

    def begin(self) -> subprocess.Popen[str]:
        """Start one and wait until it listens."""
        self.process = subprocess.Popen(self.command(), stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        assert any("listens at" in line for line in self.process.stderr), "it ended"
        return self.process

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tidegate.gateway.parent", "--folder", str(self.folder)]

    def end(self, sent: signal.Signals) -> int:
        self.process.send_signal(sent)
        code = self.process.wait(20)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def gateway(self, port: int = 0) -> EnvoyGateway:
        return open_gateway(self.folder, {PARENT_VARIABLE: str(self.socket)}, port=port)

    def envoys(self) -> list[OsProcess]:
        numbers = range(1, DEFAULT_ENVOYS + 1)
        return [one for number in numbers for one in find_by_argument(str(self.bootstrap(number)))]

    def bootstrap(self, number: int) -> Path:
        return GatewayFolder(self.folder).member(number).bootstrap
