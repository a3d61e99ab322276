"""What is said of a deployment whose loop cannot go on: one sentence for `status` and `doctor`. Pure."""

from __future__ import annotations

import errno
from pathlib import Path

from tidegate.contract.errors import TidegateError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def sentence(error: Exception, home: Path) -> str:
    """Say what stands in the way, and what it means; the controller goes on trying."""
    stays = "nothing is decided, and the split stays as it is, until that is over"
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return f"no room is left on the disk of {home}: {stays}"
    if isinstance(error, OSError):
        return f"{error.filename or home} cannot be used ({error.strerror or error}): {stays}"
    if isinstance(error, TidegateError):
        return f"{error.message}: {stays}"
    return f"the controller fails ({type(error).__name__}: {error}): {stays}; its log has the details"
