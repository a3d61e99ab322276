"""Starting, asking and ending a command; see `guard` for why nothing of it is ever left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.runtime.command import guard
from tidegate.runtime.command.settings import CommandSettings, expanded

HOST = "127.0.0.1"


class CommandProcess:
    """A command that runs.

    Args:
        settings: how to start it.
        artifact: its artifact, in the folder where it runs.
        folder: where it runs.
        log: descriptor that gets what it writes.

    Raises:
        InvalidInput: there is no such program.
        Unavailable: its port is taken, or no process can be started.
    """

    def __init__(self, settings: CommandSettings, artifact: Path, folder: Path, log: int = 2) -> None:
        self.port = free_port(settings.port)
        values = {"port": str(self.port), "host": HOST, "artifact": str(artifact), "python": sys.executable}
        self.words = [expanded(word, values) for word in settings.command]
        own = {name: expanded(text, values) for name, text in settings.environment}
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PORT": str(self.port), **own}
        program = _program(self.words[0], folder, environment)
        control, self._control = os.pipe()
        try:
            # In a session of its own: whoever kills our group leaves it time to end the command.
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(control), "--", program, *self.words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=environment,
                pass_fds=(control,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._control)
            raise Unavailable(f"The command cannot be started: {error}.", subject=" ".join(self.words)) from error
        finally:
            os.close(control)

    @property
    def pid(self) -> int:
        """Process id of the guard; the command is its child."""
        return self._guard.pid

    def exit_code(self) -> int | None:
        """Return how the command ended (128 and the number of a signal), None while it runs."""
        return self._guard.poll()

    def ask_to_end(self) -> None:
        """Send SIGTERM to the command and what it started."""
        with contextlib.suppress(OSError):
            os.write(self._control, b"T")

    def end(self, grace_seconds: float) -> int:
        """Ask it to end, kill it when it has not after a while, and return its exit code; nothing of it is left."""
        self.ask_to_end()
        try:
            code = self._guard.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._guard.wait()
        self.kill()
        return code

    def kill(self) -> None:
        """Kill the command and what it started, at once; the guard follows. May be called again."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1


def free_port(wanted: int) -> int:
    """Return a port that nobody listens on: the wanted one, or for 0 any.

    A server on a port that is taken would not be asked; the one that has the port would.

    Raises:
        Unavailable: somebody listens on it, or it may not be listened on.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise Unavailable(
                f"The port {wanted} is taken: {error.strerror or error}.",
                subject="modelArtifact.settings.port",
                hint="Leave port out: each replica then gets a free one, as {port} in the command and as PORT.",
            ) from error
        return int(probe.getsockname()[1])


def _program(word: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Return the program's path; one that is named with a slash counts from the folder."""
    candidate = str(folder / word) if "/" in word else word
    found = shutil.which(candidate, path=environment.get("PATH"))
    if found is not None:
        return found
    present = "/" in word and Path(candidate).exists()
    raise InvalidInput(
        f"The program {word} cannot be executed." if present else f"There is no program {word}.",
        subject="modelArtifact.settings.command",
        expected="a program that is installed here, or a file of the artifact that may be executed",
        hint="For a Python file, begin the command with {python}." if word.endswith(".py") else None,
    )
