"""YAML as values that know their lines; anchors, merge keys and several documents are resolved.

Built from the parser's events, with a stack of its own: no nesting is too deep for it, and an alias costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

#: The parser in C where PyYAML has it: ten times as fast.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST: Final = 100
#: Fields that merge keys may copy, all together: a file of a few lines can ask for millions.
_MOST_COPIED: Final = 200_000


class Unreadable(Exception):  # noqa: N818 -- it is told as a finding
    """What is no YAML, or no Compose file, at a line (from 1)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Value:
    """A scalar, list or map.

    Attributes:
        line: of its key, or of itself in a list.
        text: of a scalar, as written, without quotes.
        is_plain: it is a scalar without quotes.
        tag: such as `!reset`, or None.
    """

    line: int
    text: str = ""
    items: tuple[Value, ...] = ()
    fields: Mapping[str, Value] = field(default_factory=dict)
    is_list: bool = False
    is_map: bool = False
    is_plain: bool = False
    tag: str | None = None

    @property
    def is_null(self) -> bool:
        return self.is_plain and self.text.lower() in ("", "~", "null")

    @property
    def is_true(self) -> bool:
        return self.text.lower() in ("true", "yes", "on")

    @property
    def is_false(self) -> bool:
        return self.text.lower() in ("false", "no", "off")

    def get(self, *path: str) -> Value | None:
        """Return what is at the end of a path of keys; None where there is nothing, or null."""
        found: Value | None = self
        for key in path:
            found = found.fields.get(key) if found is not None else None
        return None if found is None or found.is_null else found


def read_documents(text: str) -> list[Value]:
    """Return the documents of a YAML text.

    Raises:
        Unreadable: it is no YAML, nests too deep, or a merge key makes it too large.
    """
    try:
        return list(_Builder().documents(yaml.parse(text, Loader=_LOADER)))
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        # The end of a file is said to be on the line below its last.
        line = min(mark.line, text.count("\n")) + 1 if mark else 1
        raise Unreadable(line, f"no YAML: {wrong.problem or wrong.context}") from wrong
    except yaml.YAMLError as wrong:
        raise Unreadable(1, f"no YAML: {str(wrong).splitlines()[0]}") from wrong


class Merger:
    """Lays values over each other, as Compose does with several documents and with `extends`."""

    def __init__(self) -> None:
        # Values that aliases share are merged once for each place that they are in, which can be without end.
        self.left = _MOST_COPIED

    def merged(self, base: Value, over: Value) -> Value:
        """Return `base` with `over` laid over it.

        Raises:
            Unreadable: that is too large.
        """
        self.left -= 1 + len(base.fields) + len(over.fields) + len(base.items)
        if self.left < 0:
            raise Unreadable(over.line, "aliases make it too large")
        if over.tag == "!override" or not (base.is_map and over.is_map):
            if base.is_list and over.is_list and over.tag != "!override":
                return replace(over, items=base.items + over.items)
            return over
        fields = dict(base.fields)
        for key, value in over.fields.items():
            if value.tag == "!reset":
                fields.pop(key, None)
            else:
                fields[key] = self.merged(fields[key], value) if key in fields else value
        return replace(over, fields=fields)


@dataclass
class _Open:
    """A list or map whose end has not come."""

    line: int
    anchor: str | None
    tag: str | None
    is_map: bool
    values: list[Value] = field(default_factory=list)


class _Builder:
    """Values out of events."""

    def __init__(self) -> None:
        self.stack: list[_Open] = []
        self.anchors: dict[str, Value] = {}
        self.copied = 0

    def documents(self, events: Iterator[Any]) -> Iterator[Value]:
        for event in events:
            done: Value | None = None
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors.clear()
            elif isinstance(event, yaml.AliasEvent):
                done = self._alias(event.anchor or "", line)
            elif isinstance(event, yaml.ScalarEvent):
                is_plain = event.implicit[0] and event.style in (None, "")
                done = Value(line, event.value, is_plain=is_plain, tag=event.tag)
                self._keep(event.anchor, done)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                if len(self.stack) >= _DEEPEST:
                    raise Unreadable(line, f"nests more than {_DEEPEST} deep")
                is_map = isinstance(event, yaml.MappingStartEvent)
                self.stack.append(_Open(line, event.anchor, event.tag, is_map))
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                opened = self.stack.pop()
                done = self._closed(opened)
                self._keep(opened.anchor, done)
            if done is not None:
                if self.stack:
                    self.stack[-1].values.append(done)
                else:
                    yield done

    def _keep(self, anchor: str | None, value: Value) -> None:
        if anchor is not None:
            self.anchors[anchor] = value

    def _alias(self, anchor: str, line: int) -> Value:
        if anchor not in self.anchors:
            raise Unreadable(line, f"*{anchor} names nothing that is whole by then")
        return self.anchors[anchor]

    def _closed(self, opened: _Open) -> Value:
        if not opened.is_map:
            return Value(opened.line, items=tuple(opened.values), is_list=True, tag=opened.tag)
        fields: dict[str, Value] = {}
        taken: list[Value] = []
        for key, value in zip(opened.values[::2], opened.values[1::2], strict=True):
            if key.text == "<<" and key.is_plain:
                taken += value.items if value.is_list else (value,)
            else:
                # A value that an alias brought keeps its own line: that is where it is written.
                fields[key.text] = value if value.line < key.line else replace(value, line=key.line)
        for source in taken:
            self.copied += len(source.fields)
            if self.copied > _MOST_COPIED:
                raise Unreadable(opened.line, "merge keys make it too large")
            for name, value in source.fields.items():
                fields.setdefault(name, value)
        return Value(opened.line, fields=fields, is_map=True, tag=opened.tag)
