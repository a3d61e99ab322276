"""Golden requests as they were when the rollout began: copied into the home, named by the sha256 of their bytes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.contract.golden import GoldenRequests, parse_golden
from tidegate.contract.loading import MOST_BYTES


def read_golden(path: Path) -> tuple[GoldenRequests, bytes]:
    """Read a file of golden requests; return them and the file's own bytes.

    Raises:
        InvalidInput: it cannot be read, or is no such file.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(
            f"the golden requests {path} cannot be read: {(error.strerror or 'unknown reason').lower()}",
            subject=str(path),
        ) from error
    return parse_golden(_text(path, content), str(path)), content


def kept_path(content: bytes, suffix: str, folder: Path) -> Path:
    """Return where `keep` keeps these bytes."""
    return folder / f"{hashlib.sha256(content).hexdigest()}{'.json' if suffix == '.json' else '.yaml'}"


def keep(content: bytes, suffix: str, folder: Path, *, what: str = "the golden requests") -> Path:
    """Keep the bytes of a file below `folder`; the same bytes are kept once. Return the copy, which never changes.

    Args:
        suffix: of the original's name; it says whether the text is JSON alone.
        what: it is, for messages.

    Raises:
        Unavailable: the disk refuses.
    """
    kept = kept_path(content, suffix, folder)
    if kept.exists():
        return kept
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as beside:
            beside.write(content)
            beside.flush()
            os.fsync(beside.fileno())
            os.fchmod(beside.fileno(), 0o444)
        Path(beside.name).replace(kept)
    except OSError as error:
        raise Unavailable(f"{what} cannot be copied to {folder}: {error.strerror}", subject=str(folder)) from error
    return kept


def read_kept(path: Path) -> GoldenRequests:
    """Read what `keep` wrote.

    Raises:
        InvalidInput: it is gone, or its bytes are no longer those that its name says.
    """
    golden, content = read_golden(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != path.stem:
        raise InvalidInput(
            f"the golden requests {path.name} were changed after they were kept",
            subject=str(path),
            expected=path.stem,
            got=digest,
            hint="delete the file and deploy again",
        )
    return golden


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text", subject=str(path)) from error
