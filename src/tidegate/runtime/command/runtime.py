"""`command`: any HTTP server that a command line starts; recognised by its `tidegate.yaml`, tried by starting it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, Columns, LoadOptions, Model, Recognition, Signature
from tidegate.runtime.command.child import HOST, CommandProcess
from tidegate.runtime.command.settings import CommandSettings, command_settings
from tidegate.runtime.command.workspace import lay_out
from tidegate.runtime.settings_file import read_settings_file, settings_of

#: It is asked this often whether it is well, and has this long to say so.
POLL_SECONDS, HEALTH_TIMEOUT_SECONDS = 0.1, 2.0
#: From SIGTERM to SIGKILL after a check.
_GRACE_SECONDS = 5.0
_MOST_SAMPLE_BYTES = 64 << 20
_LONGEST_OUTPUT = 2000

_OPAQUE = Signature("opaque", (), ())


class CommandRuntime:
    """Servers that answer HTTP requests of a form of their own."""

    name = "command"
    #: What it needs is between the user and the command.
    packages: tuple[str, ...] = ()

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        settings = read_settings_file(files)
        return _recognition(str(settings["command"])) if "command" in settings else None

    def recognise_named(self, files: ArtifactFiles) -> Recognition:
        """Take any file and any folder: what the command is, the request document says."""
        return self.recognise(files) or _recognition("the one that modelArtifact.settings names")

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        """Start the server, wait until it is well and send it the sample request; `close` ends it.

        Raises:
            InvalidInput: it cannot be started, ends, is not well in time, or does not answer the sample with 2xx.
            NotTrusted: the caller did not say that the command may run.
            Unavailable: its port is taken.
        """
        settings = command_settings(settings_of(files, options.settings))
        if not options.trusted:
            raise NotTrusted("A command is only run for who trusts it.", subject=str(files.root))
        tried = _TriedServer(files, settings)
        try:
            tried.wait_until_well()
            tried.send_sample(options.sample_path)
        except BaseException:
            tried.close()
            raise
        return tried


def _recognition(command: str) -> Recognition:
    reason = f"it runs the command {command[:200]}"
    return Recognition(runtime="command", format="command", needs_trust=True, reasons=(reason,), opaque=True)


class _TriedServer:
    """A server that runs for a check."""

    signature = _OPAQUE

    def __init__(self, files: ArtifactFiles, settings: CommandSettings) -> None:
        self._settings = settings
        self._scratch = tempfile.TemporaryDirectory(prefix="tidegate-command-", ignore_cleanup_errors=True)
        try:
            folder = Path(self._scratch.name, "work")
            folder.mkdir()
            self._output = Path(self._scratch.name, "output")
            log = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._process = CommandProcess(settings, lay_out(files.root, folder), folder, log)
            finally:
                os.close(log)
            self._client = httpx.Client(base_url=f"http://{HOST}:{self._process.port}", trust_env=False)
        except BaseException:
            self._scratch.cleanup()
            raise

    def wait_until_well(self) -> None:
        deadline = time.monotonic() + self._settings.start_seconds
        answered = "nothing"
        while time.monotonic() < deadline:
            code = self._process.exit_code()
            if code is not None:
                raise self._failed(f"The command ended with exit code {code} instead of serving.", self._said())
            with contextlib.suppress(httpx.HTTPError):
                response = self._client.get(self._settings.health_path, timeout=HEALTH_TIMEOUT_SECONDS)
                answered = f"status {response.status_code}"
                if response.is_success:
                    return
            time.sleep(POLL_SECONDS)
        raise self._failed(
            f"The server did not say within {self._settings.start_seconds:g} s that it is well: GET "
            f"{self._settings.health_path} on port {self._process.port} got {answered}.",
            self._said(),
            hint="It must listen on 127.0.0.1 and the port in {port} or PORT. Set healthPath to a path that answers "
            "2xx, and startSeconds to the time that it needs.",
        )

    def send_sample(self, path: Path | None) -> None:
        body, content_type = _sample_of(self._settings, path)
        if body is None:
            return
        where = f"{self._settings.method} {self._settings.predict_path}"
        try:
            response = self._client.request(
                self._settings.method,
                self._settings.predict_path,
                content=body,
                headers={"content-type": content_type},
                timeout=self._settings.timeout_seconds,
            )
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise self._failed(
                f"The server did not answer the sample request {where}: {reason}.", self._said()
            ) from error
        if not response.is_success:
            raise self._failed(
                f"The server answered the sample request {where} with status {response.status_code}.",
                " ".join(response.text.split())[:500] or None,
                hint="Check predictPath, method and the sample.",
            )

    def _failed(self, message: str, got: str | None, hint: str | None = None) -> InvalidInput:
        return InvalidInput(message, subject=" ".join(self._process.words)[:500], got=got, hint=hint)

    def _said(self) -> str | None:
        """Return the last that the command wrote."""
        with self._output.open("rb") as stream:
            stream.seek(max(0, self._output.stat().st_size - _LONGEST_OUTPUT))
            lines = stream.read().decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-8:]) or None

    def predict(self, inputs: Columns) -> Columns:
        raise InvalidInput("A server started by a command takes requests, not columns.")

    def close(self) -> None:
        self._client.close()
        self._process.end(_GRACE_SECONDS)
        self._scratch.cleanup()


def _sample_of(settings: CommandSettings, path: Path | None) -> tuple[bytes | None, str]:
    """Return the body to try it with, None for none, and its content type: the user's file as it is goes first."""
    if path is None:
        found: Any = settings.sample_request
        return (None if found is None else json.dumps(found).encode()), "application/json"
    try:
        if path.stat().st_size > _MOST_SAMPLE_BYTES:
            raise InvalidInput(f"The sample {path.name} is too large.", subject=str(path))
        body = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"The sample {path} cannot be read: {error.strerror or error}.", subject=str(path)
        ) from error
    kinds = {".json": "application/json", ".csv": "text/csv", ".txt": "text/plain"}
    return body, kinds.get(path.suffix.lower(), "application/octet-stream")
