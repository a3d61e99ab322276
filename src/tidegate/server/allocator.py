"""Giving back what the allocator keeps."""

from __future__ import annotations

import ctypes


def return_free_memory() -> None:
    """Return free memory to the system where the C library can (malloc_trim(3), glibc); else do nothing.

    Loading a model leaves much behind that glibc keeps for later: after a forest of 300 MB more than the forest takes.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
