"""The folder in which one controller keeps everything: who may read it, and what lies where."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.boot import birth_of
from tidegate.contract.errors import Unavailable


@dataclass(frozen=True)
class Home:
    """Paths below the home; `create` makes those that must exist."""

    root: Path

    @property
    def token_file(self) -> Path:
        return self.root / "token"

    @property
    def address_file(self) -> Path:
        return self.root / "controller.json"

    @property
    def lock_file(self) -> Path:
        return self.root / "controller.lock"

    @property
    def database(self) -> Path:
        return self.root / "tidegate.db"

    @property
    def foreground_file(self) -> Path:
        """Who stays with the controller; see `controller.foreground`."""
        return self.root / "foreground.json"

    @property
    def standbys(self) -> Path:
        """The folder with a file for each controller that stands by, named by its pid."""
        return self.root / "standby"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    @property
    def golden(self) -> Path:
        """Golden requests of revisions, named by the sha256 of their bytes."""
        return self.root / "golden"

    @property
    def references(self) -> Path:
        """What revisions are watched for drift by, named by the sha256 of its bytes."""
        return self.root / "references"

    def counting(self, deployment: str) -> Path:
        """What is counted of the deployment for drift and in no reading yet."""
        return self.root / "counting" / f"{deployment}.json"

    @property
    def gateway(self) -> Path:
        return self.root / "gateway"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def rehearsal(self) -> Path:
        """The folder of the rehearsal that is under way; see `controller.stage`."""
        return self.root / "rehearsal"

    @property
    def controller_log(self) -> Path:
        return self.logs / "controller.log"

    def report(self, deployment: str, rollout: int, suffix: str) -> Path:
        """Return the file of a rollout's report; `suffix` is "json", "md", "html" or "looks.jsonl"."""
        return self.root / "reports" / deployment / f"{rollout}.{suffix}"

    def recording(self, deployment: str, rollout: int) -> Path:
        """Return the file of all that the judge was shown in a rollout, look by look."""
        return self.report(deployment, rollout, "looks.jsonl")

    def rehearsed(self, deployment: str, moment: str, suffix: str) -> Path:
        """Return the file of a rehearsal's report; `suffix` is "json", "md" or "html"."""
        return self.root / "rehearsals" / deployment / f"{moment}.{suffix}"

    def rules(self, deployment: str) -> Path:
        return self.root / "monitoring" / f"{deployment}.rules.yml"

    def dashboard(self, deployment: str) -> Path:
        return self.root / "monitoring" / f"{deployment}.dashboard.json"

    def standing_by(self) -> list[int]:
        """Return the pids of the controllers of this home that stand by."""
        told = (read_json(file) for file in sorted(self.standbys.glob("*")))
        return [one["pid"] for one in told if one and birth_of(one["pid"]) == one["born"]]

    def create(self) -> None:
        """Make the folders, readable by their owner only.

        Raises:
            Unavailable: the home cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.bundles, self.gateway, self.logs):
                folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise Unavailable(
                f"the home folder cannot be written: {error.strerror}",
                subject=str(self.root),
                hint="set TIDEGATE_HOME to a folder that you can write",
            ) from error

    def token(self) -> str:
        """Return the token that proves a caller may speak to the controller, making it when there is none."""
        if not self.token_file.exists():
            # Whole or not at all: half a token would lock everybody out for good.
            beside = self.root / f".token.{secrets.token_hex(8)}"
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(secrets.token_urlsafe(32) + "\n")
            with suppress(FileExistsError):  # another process was faster
                os.link(beside, self.token_file)
            beside.unlink()
        return self.token_file.read_text(encoding="ascii").strip()


def write_atomically(path: Path, text: str, mode: int | None = None) -> None:
    """Write the file beside and rename it into place: a reader sees the old text or the new one, never half of it.

    Args:
        mode: who may read and write it, whatever the umask; None: as the umask says.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        if mode is not None:
            beside.chmod(mode)
        beside.replace(path)
    except OSError:  # a full disk, say
        beside.unlink(missing_ok=True)
        raise


def no_room(root: Path) -> Unavailable:
    """Return the error of a controller that cannot start since the disk of its home is full."""
    return Unavailable(
        f"no room is left on the disk of {root}, and the controller needs some to start",
        subject=str(root),
        hint="What serves goes on serving. Make room, then: tidegate up",
    )


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in the file, or None when there is none: no such file, or one that was cut short."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None
