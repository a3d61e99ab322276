"""`python -m tidegate.gateway.parent --folder DIR`: the parent of the Envoys, in a container of the gateway's own.

A controller whose container is replaced takes its children along. So where the gateway is to outlive that, this process
starts the Envoys for the controller. It starts them on the files of its own folder, with the same code, and is asked
for nothing else (`parent_request`). What they are told is still the controller's, by files in that folder.

On SIGTERM it ends them when their requests are done. When it is killed they live on, and the next parent of the folder
ends them at last.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate.contract.errors import Conflict, InvalidInput, TidegateError
from tidegate.gateway import parent_request, process
from tidegate.gateway.files import GatewayFolder
from tidegate.gateway.member import Member
from tidegate.gateway.os_process import OsProcess
from tidegate.gateway.parent_request import MOST_BYTES, Asked

SOCKET_NAME = "parent.sock"
EXIT_REFUSED = 6
#: Whoever has asked nothing for so long is let go.
_SECONDS = 5.0

log = logging.getLogger(__name__)


class Parent:
    """Starts Envoys on the files of one folder, each of them once, and takes note of their ends."""

    def __init__(self, folder: Path) -> None:
        self._shared = GatewayFolder(folder)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._starting = asyncio.Lock()

    async def start(self, asked: Asked) -> OsProcess:
        """Start an Envoy.

        Raises:
            Conflict: it runs already.
            InvalidInput, Unavailable: it cannot be started.
        """
        folder = self._shared.member(asked.member)
        async with self._starting:
            running = await process.find(folder)
            if running is not None:
                raise Conflict(f"Envoy {asked.member} runs already", subject=str(folder.root), got=f"pid {running.pid}")
            child = process.spawn(folder, self._shared, asked.host, asked.port, asked.workers)
            self._children[asked.member] = child
        log.info("started Envoy %d (pid %d) for %s:%d", asked.member, child.pid, asked.host, asked.port)
        found = OsProcess.of(child.pid)
        if found is None:
            raise process.ended_at_start(folder, asked.host, asked.port, child.poll())
        return found

    def reap(self) -> None:
        """Take note of the ends of children, so that nothing of them stays among the processes."""
        for member, child in list(self._children.items()):
            if child.poll() is not None:
                log.warning("Envoy %d (pid %d) ended with %d", member, child.pid, child.returncode)
                del self._children[member]

    async def stop(self) -> None:
        """End every Envoy of the folder, those of an earlier parent included, when its requests are done."""
        async with self._starting:
            await asyncio.gather(*(Member(self._shared, number).stop() for number in self._shared.members()))
            self.reap()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, and say what came of it."""
        try:
            async with asyncio.timeout(_SECONDS):
                text = await reader.readline()
            if text == parent_request.HEALTH:
                told = parent_request.line({"envoys": sorted(self._children)})
            else:
                started = await self.start(parent_request.parse(text))
                told = parent_request.line({"pid": started.pid, "born": started.born})
        except TidegateError as error:
            log.warning("%s", error)
            told = parent_request.refusal(error)
        except (OSError, TimeoutError, ValueError):  # it hung up, or says too much
            told = b""
        try:
            writer.write(told)
            await writer.drain()
        except OSError:
            log.info("nobody waited for the answer")
        finally:
            writer.close()


async def serve(folder: Path, at: Path) -> None:
    """Listen at the socket until SIGTERM or SIGINT; then end the Envoys.

    Raises:
        Conflict: the folder has a parent already.
        InvalidInput: the folder cannot be written to, or nothing can listen there.
    """
    with _alone(folder), _place(at):
        parent, told = Parent(folder), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        loop.add_signal_handler(signal.SIGCHLD, parent.reap)
        try:
            server = await asyncio.start_unix_server(parent.answer, at, limit=MOST_BYTES)
        except OSError as error:
            raise InvalidInput("the parent cannot listen there", subject=str(at), got=str(error)) from error
        log.info("the parent of the gateway's Envoys listens at %s", at)
        await told.wait()
        server.close()
        await parent.stop()
        log.info("the Envoys have ended")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder as its one parent; the system lets go of it with the process."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "parent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInput("the gateway's folder cannot be written to", subject=str(folder), got=str(error)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict("the gateway's folder has a parent of its Envoys already", subject=str(folder)) from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _place(at: Path) -> Iterator[None]:
    """Take away the socket that a killed parent left, and one's own at the end."""
    at.unlink(missing_ok=True)
    try:
        yield
    finally:
        at.unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tidegate.gateway.parent", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the gateway's, which the controller has, too")
    parser.add_argument(
        "--socket", type=Path, help=f"where the controller asks; {SOCKET_NAME} in the folder by default"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    folder = given.folder.absolute()
    try:
        asyncio.run(serve(folder, given.socket or folder / SOCKET_NAME))
    except TidegateError as error:
        log.error("%s", error)  # noqa: TRY400 -- the message is complete
        return EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
