"""hadolint as a program beside ours: found, started once for all files, and its answer read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tidegate.scan.records import Finding, Severity

INSTALL: Final = "pip install 'tidegate[scan]'"
#: Rules that are not told, each with the reason.
LEFT_OUT: Final = {
    "DL3003": "a `cd` ends with its RUN, and what is built and removed in one layer needs one",
    "DL3008": "a Debian mirror keeps one version, and a pinned one is gone with the next update; pin the image",
    "DL3018": "an Alpine mirror keeps one version, and a pinned one is gone with the next update; pin the image",
    "DL3033": "a pinned version of yum's is gone with the next update; pin the image",
    "DL3037": "a pinned version of zypper's is gone with the next update; pin the image",
    "DL3041": "a pinned version of dnf's is gone with the next update; pin the image",
    "DL3047": "how much wget writes into the log of a build is a matter of taste",
    "DL3059": "whether two RUNs should be one is a matter of caching",
    "DL3066": "a user with a name is no worse than a number, but where Kubernetes has to tell that it is not root",
    "SC2016": "single quotes are how a `$` is written that is to stay one",
}
#: That it cannot read a file.
UNREADABLE: Final = "DL1000"

_SECONDS: Final = 60
_SEVERITIES: Final = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "info": Severity.INFO,
    "style": Severity.INFO,
}


class Failed(Exception):  # noqa: N818 -- it is told in the report
    """hadolint could not be asked; the message says why and what to do."""


def find() -> Path:
    """Return the program: the one beside this Python, else the one in the PATH.

    Raises:
        Failed: there is none.
    """
    beside = Path(sys.executable).parent
    found = shutil.which("hadolint", path=os.pathsep.join([str(beside), os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise Failed(f"hadolint is not installed; install it with {INSTALL}")
    return Path(found)


class Run:
    """hadolint at work."""

    def __init__(self, program: Path, files: Sequence[Path]) -> None:
        # Without this its runtime takes the bytes of a file for ASCII, and ends at the first that is not.
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        # It would answer in that form, too.
        environment.pop("HADOLINT_FORMAT", None)
        # A name that begins with a dash would be an option.
        names = [str(file) if file.is_absolute() else f"./{file}" for file in files]
        self.by_name = dict(zip(names, files, strict=True))
        self.processes = [
            subprocess.Popen(
                [str(program), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for arguments in (["--version"], ["--no-fail", "--format", "json", "--", *names])
        ]

    def version(self) -> str:
        """Return its version.

        Raises:
            Failed: it does not say.
        """
        return _told(self.processes[0]).decode(errors="replace").strip().rpartition(" ")[2]

    def findings(self) -> list[Finding]:
        """Return all that it found.

        Raises:
            Failed: it ended with an error, took too long, or answered something else.
        """
        told = _told(self.processes[1])
        try:
            return [self._finding(entry) for entry in json.loads(told)]
        except (ValueError, KeyError, TypeError) as wrong:
            raise Failed(
                "hadolint answered something else than its JSON; a `format` in .hadolint.yaml does that: take it out"
            ) from wrong

    def _finding(self, entry: dict[str, Any]) -> Finding:
        return Finding(
            path=self.by_name[entry["file"]].as_posix(),
            line=max(int(entry["line"]), 1),
            severity=_SEVERITIES[entry["level"]],
            rule=str(entry["code"]),
            message=" ".join(str(entry["message"]).split()),
            tool="hadolint",
        )

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@contextmanager
def running(program: Path, files: Sequence[Path]) -> Iterator[Run]:
    """Have hadolint work on all files at once, while the caller does something else; it is gone afterwards.

    Raises:
        Failed: it cannot be started.
    """
    try:
        run = Run(program, files)
    except OSError as wrong:
        raise Failed(f"{program} cannot be started: {wrong.strerror}") from wrong
    try:
        yield run
    finally:
        run.end()


def _told(process: subprocess.Popen[bytes]) -> bytes:
    try:
        told, complaint = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired as wrong:
        raise Failed(f"hadolint took more than {_SECONDS} s") from wrong
    if process.returncode != 0:
        first = complaint.decode(errors="replace").strip().partition("\n")[0]
        raise Failed(f"hadolint ended with {process.returncode}: {first[:200]}")
    return told
