"""What a MOJO file can be refused for."""

from __future__ import annotations

from tidegate.contract.errors import InvalidInput, ValueRefused


class MojoFormatError(InvalidInput):
    """The file is damaged, or it is no MOJO. The message names the entry and, in binary entries, the offset."""

    code = "mojo_format"

    def __init__(self, entry: str, problem: str, *, offset: int | None = None, hint: str | None = None) -> None:
        place = entry if offset is None else f"{entry} at byte {offset}"
        super().__init__(f"{place}: {problem}", subject=entry, hint=hint)
        self.entry = entry
        self.offset = offset


class MojoUnsupportedError(InvalidInput):
    """The file is whole, and cannot be scored to H2O's numbers; the message says why."""

    code = "mojo_unsupported"


class MojoRowError(ValueRefused):
    """A row cannot be scored: H2O's own scorer fails on it, too. The message names the column and the value."""

    code = "mojo_row"
