"""What a MOJO file can be refused for."""

from __future__ import annotations

from tidegate.contract.errors import InvalidInput, ValueRefused


class MojoFormatError(InvalidInput):
    """The file is damaged, or it is no MOJO. The message names the entry and, where there is one, its line or offset.

    Attributes:
        offset: of the first byte that is wrong, or not there, in a binary entry.
        line: of a text, from 1.
    """

    code = "mojo_format"

    def __init__(
        self,
        entry: str,
        problem: str,
        *,
        offset: int | None = None,
        line: int | None = None,
        hint: str | None = None,
    ) -> None:
        place = entry if offset is None else f"{entry} at byte {offset}"
        place = place if line is None else f"{place}, line {line}"
        super().__init__(f"{place}: {problem}", subject=entry, hint=hint)
        self.entry = entry
        self.offset = offset
        self.line = line


class MojoUnsupportedError(InvalidInput):
    """The file is whole, and cannot be scored to H2O's numbers; the message says why."""

    code = "mojo_unsupported"


class MojoRowError(ValueRefused):
    """A row cannot be scored: H2O's own scorer fails on it, too. The message names the column and the value."""

    code = "mojo_row"
