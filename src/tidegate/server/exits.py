"""How a process of the server ends, for whoever started it."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, numbered as in sysexits.h.

    NO_ADDRESS: the address cannot be listened on. DIED: every inference thread hangs, or the command ended by itself.
    LOCKED: this replica runs already. UNSERVABLE: what is to be served cannot be; starting again will not help.
    """

    OK = 0
    NO_ADDRESS = 69
    DIED = 70
    LOCKED = 75
    UNSERVABLE = 78
