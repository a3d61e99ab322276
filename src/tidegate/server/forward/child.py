"""The child through its life: started, waited for, watched, ended."""

from __future__ import annotations

import asyncio
import shutil
from enum import StrEnum
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic

from tidegate.artifact.bundle import Bundle, verify_bundle
from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles
from tidegate.runtime.command.child import HOST, CommandProcess
from tidegate.runtime.command.settings import CommandSettings, command_settings
from tidegate.runtime.command.workspace import lay_out
from tidegate.runtime.settings_file import settings_of
from tidegate.server.forward.upstream import Upstream

#: How often the child is asked whether it is well, before and after it is ready.
_STARTING_POLL_SECONDS, _POLL_SECONDS = 0.05, 0.5
#: How often it is looked whether the child's process still is.
_WATCH_SECONDS = 0.05
#: A child that answers nothing so often in a row is not ready; one that answers, and not with 2xx, is not at once.
_MOST_SILENT_POLLS = 3
#: A child that answers nothing for so long will not come back: we say that we are not alive, and are replaced.
STUCK_SECONDS = 60.0
_WORK = "work-"


class Phase(StrEnum):
    """starting: not well yet; serving; unwell: it was well and does not say so now; draining: about to end."""

    STARTING = "starting"
    SERVING = "serving"
    UNWELL = "unwell"
    DRAINING = "draining"


class Child:
    """The server of one bundle. Used on the event loop's thread only.

    Args:
        run_dir: the replica's folder; the child's working folder is made in it.
        most: requests that it gets at once.
    """

    def __init__(self, bundle: Bundle, run_dir: Path, most: int) -> None:
        self._bundle = bundle
        self._run_dir = run_dir
        self._most = most
        self.settings: CommandSettings = _settings_of(bundle)
        self.phase = Phase.STARTING
        self.upstream: Upstream | None = None
        self._process: CommandProcess | None = None
        self._silent_polls = 0
        self._silent_since: float | None = None

    @property
    def is_ready(self) -> bool:
        return self.phase is Phase.SERVING

    @property
    def is_stuck(self) -> bool:
        return self._silent_since is not None and monotonic() - self._silent_since > STUCK_SECONDS

    async def start(self) -> None:
        """Start it and wait until it is well.

        Raises:
            TidegateError: the bundle is damaged, or the command cannot be started or is not well in time.
        """
        artifact, folder = await asyncio.to_thread(self._prepare_folder)
        self._process = CommandProcess(self.settings, artifact, folder)
        upstream = Upstream(HOST, self._process.port, most=self._most, silence_seconds=self.settings.timeout_seconds)
        deadline = monotonic() + self.settings.start_seconds
        path = self.settings.health_path
        while not _is_well(status := await upstream.health(path)):
            if self._process.exit_code() is not None:
                return  # `ended` tells
            if monotonic() > deadline:
                await upstream.close()
                raise InvalidInput(
                    f"the server did not say within {self.settings.start_seconds:g} s that it is well",
                    subject=" ".join(self._process.words)[:500],
                    expected=f"2xx for GET {path} on port {self._process.port}",
                    got="no answer" if status is None else f"status {status}",
                )
            await asyncio.sleep(_STARTING_POLL_SECONDS)
        self.upstream = upstream
        if self.phase is Phase.STARTING:
            self.phase = Phase.SERVING

    def _prepare_folder(self) -> tuple[Path, Path]:
        verify_bundle(self._bundle)
        for left in self._run_dir.glob(f"{_WORK}*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(mkdtemp(dir=self._run_dir, prefix=_WORK))
        return lay_out(self._bundle.artifact_path, folder), folder

    async def ended(self) -> int:
        """Return the exit code of the child, once it has ended by itself."""
        # The end of a process sets no event.
        while self._process is None or (code := self._process.exit_code()) is None:  # noqa: ASYNC110
            await asyncio.sleep(_WATCH_SECONDS)
        return code

    async def has_ended(self, within_seconds: float) -> bool:
        """Say whether the child has ended by itself, or does so within this time."""
        try:
            await asyncio.wait_for(self.ended(), within_seconds)
        except TimeoutError:
            return False
        return True

    async def watch(self) -> None:
        """Ask it again and again whether it is well; goes on until it is cancelled."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            if self.upstream is not None:
                self._note(await self.upstream.health(self.settings.health_path))

    def _note(self, status: int | None) -> None:
        if status is None:
            self._silent_polls += 1
            self._silent_since = self._silent_since or monotonic()
        else:
            self._silent_polls, self._silent_since = 0, None
        if self.phase is Phase.SERVING and not _is_well(status):
            if status is not None or self._silent_polls >= _MOST_SILENT_POLLS:
                self.phase = Phase.UNWELL
        elif self.phase is Phase.UNWELL and _is_well(status):
            self.phase = Phase.SERVING

    async def end(self, grace_seconds: float) -> None:
        """End it and everything that it started: SIGTERM, and SIGKILL after a while. Nothing of it is left."""
        process, self._process = self._process, None
        if self.upstream is not None:
            await self.upstream.close()
        if process is not None:
            await asyncio.to_thread(process.end, grace_seconds)


def _is_well(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


def _settings_of(bundle: Bundle) -> CommandSettings:
    if not bundle.manifest.trusted:
        raise NotTrusted("the bundle's command may not run: nobody said that they trust it", subject=str(bundle.folder))
    return command_settings(settings_of(ArtifactFiles(bundle.artifact_path), bundle.manifest.settings))
