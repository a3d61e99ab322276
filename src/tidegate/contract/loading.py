"""Reading a document from text: YAML 1.2's plain types or JSON, bounded, and never two meanings for one key."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any, ClassVar, NoReturn

import yaml

from tidegate.contract.errors import InvalidInput
from tidegate.contract.problems import shown, shown_name

MOST_BYTES = 1024 * 1024
DEEPEST = 20


class _RefusedError(Exception):
    """What is wrong, and on which line (counted from 1; None when that is unknown)."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def load_request_text(text: str, source_name: str) -> dict[str, Any]:
    """Return the object that a request document holds; whether it is a valid one is for `parse_request` to say.

    As `load_text`, and it raises the same.
    """
    return load_text(text, source_name, what="deployment request", field="modelArtifact")


def load_text(text: str, source_name: str, *, what: str, field: str) -> dict[str, Any]:
    """Return the object that a YAML or JSON text holds.

    Args:
        source_name: the file's name or what stands for it; named in every message.
        what: what the text should be, to be read after "no".
        field: one that such a document has.

    Raises:
        InvalidInput: more than 1 MiB, not YAML or JSON, nested too deep, a key twice, an alias, or not an object.
    """
    try:
        return _bounded_object(text, what, field, json_only=source_name.endswith(".json"))
    except _RefusedError as refused:
        place = source_name if refused.line is None else f"{source_name}, line {refused.line}"
        raise InvalidInput(f"{place}: {refused.reason}", subject=source_name) from None


def _bounded_object(text: str, kind: str, field: str, *, json_only: bool) -> dict[str, Any]:
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise _RefusedError(f"larger than 1 MiB, which no {kind} is")
    data = _parse(text, json_only=json_only)
    if not isinstance(data, dict):
        what = "the document is empty" if data is None else f"got {shown(data)}"
        raise _RefusedError(f"expected an object with fields such as {field}; {what}")
    return data


def _parse(text: str, *, json_only: bool) -> Any:
    # JSON is tried first where it may be meant: YAML refuses JSON that is indented with tabs.
    if json_only or text.lstrip().startswith("{"):
        try:
            return _parse_json(text)
        except json.JSONDecodeError as error:
            if json_only:
                raise _RefusedError(f"not JSON: {error.msg}", error.lineno) from None
    return _parse_yaml(text)


def _parse_json(text: str) -> Any:
    def constant(name: str) -> NoReturn:
        raise _RefusedError(f"{name} is not a number in JSON")

    try:
        data = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=constant)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise _RefusedError(_too_much(error)) from None
    if _depth(data) > DEEPEST:
        raise _RefusedError(f"nested more than {DEEPEST} deep")
    return data


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RefusedError(f"the field {shown_name(key)} is there twice")
        found[key] = value
    return found


def _depth(data: Any) -> int:
    deepest, level = 0, [data]
    while level and deepest <= DEEPEST:
        deepest += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return deepest


class _Loader(yaml.SafeLoader):
    """YAML with JSON's types only: no dates, no `on` and `yes` for true, no octal, no aliases, no key twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]
    _level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise _RefusedError("aliases are not accepted; write the value out", line)
        self._level += 1
        if self._level > DEEPEST:
            raise _RefusedError(f"nested more than {DEEPEST} deep", line)
        node = super().compose_node(parent, index)
        self._level -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _RefusedError("expected a field name here, as text", line)
            if key.value in seen:
                raise _RefusedError(f"the field {shown_name(key.value)} is there twice", line)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]{0,17})$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}(?:[eE][-+]?[0-9]{1,2})?|[0-9]{1,18}[eE][-+]?[0-9]{1,2})$",
        list("-+0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _parse_yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader with less, not more
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "not YAML"
        raise _RefusedError(f"not YAML: {reason}", None if mark is None else mark.line + 1) from None
    except yaml.reader.ReaderError as error:
        raise _RefusedError(f"not YAML: {error.reason} (position {error.position})") from None
    except (RecursionError, ValueError, yaml.YAMLError) as error:
        raise _RefusedError(_too_much(error)) from None


def _too_much(error: Exception) -> str:
    return f"nested more than {DEEPEST} deep" if isinstance(error, RecursionError) else f"cannot be read: {error}"
