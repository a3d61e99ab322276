"""What a pickle would import, found by following its opcodes without performing any.

A machine with symbols instead of objects: strings, integers, tuples and dicts are kept because the names of imports and
the sizes of joblib's raw array buffers are made of them; everything else is one opaque symbol. No global is ever
resolved, so nothing of the file runs.

joblib writes the bytes of an array straight into the stream behind the opcode that completes its
`NumpyArrayWrapper` (see `joblib.numpy_pickle.NumpyArrayWrapper.read_array`); the machine steps over them, or, for an
array of objects, follows the complete pickle that stands there.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

_JOBLIB_ARRAY = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_MEMORY_OPS = {"PUT", "BINPUT", "LONG_BINPUT"}
_RECALL_OPS = {"GET", "BINGET", "LONG_BINGET"}
_TEXT_OPS = {
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_INTEGER_OPS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"}
_NESTING_LIMIT = 20
_CHUNK_BYTES = 1 << 20


class Stream(Protocol):
    """What the machine reads from: forward only."""

    def read(self, size: int = -1, /) -> bytes: ...

    def readline(self) -> bytes: ...


class _Forward:
    """A stream without `tell`, which `pickletools` would call and which unpacking streams do not have."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self.readline = stream, stream.readline

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end. What the stream does not hold takes no memory."""
        if size <= _CHUNK_BYTES:
            return self._stream.read(size)
        found = bytearray()
        while len(found) < size and (chunk := self._stream.read(min(size - len(found), _CHUNK_BYTES))):
            found += chunk
        return bytes(found)


class UnreadablePickleError(Exception):
    """The opcodes cannot be followed any further; the text says why."""


class _Symbol:
    """A value of which nothing is known."""

    __slots__ = ()


class _Mark:
    __slots__ = ()


_OPAQUE, _MARK = _Symbol(), _Mark()


@dataclass(frozen=True)
class _Global(_Symbol):
    module: str
    name: str


@dataclass(eq=False)
class _Instance(_Symbol):
    """The result of calling `function`; `state` is what BUILD gave it."""

    function: Any
    arguments: Any
    state: Any = None


@dataclass
class Findings:
    """What was seen so far.

    Attributes:
        imports: (module, name) of every global, in the order of first appearance.
        texts_after: for each watched key, the first text that was pushed right after it.
    """

    imports: dict[tuple[str, str], None] = field(default_factory=dict)
    texts_after: dict[str, str] = field(default_factory=dict)


#: Attributes in which frameworks write their version into their objects.
WATCHED = frozenset({"_sklearn_version", "_xgboost_version", "_lightgbm_version"})


def follow(stream: Stream, findings: Findings, *, depth: int = 0) -> None:
    """Follow one pickle, from the stream's position to its STOP, adding to `findings`.

    Raises:
        UnreadablePickleError: the opcodes are damaged, unknown or do not fit together. What was found up to there is in
            `findings`.
    """
    if depth > _NESTING_LIMIT:
        raise UnreadablePickleError("too many pickles inside one another")
    machine = _Machine(findings)
    for opcode, argument in _opcodes(stream):
        array = machine.step(opcode, argument)
        if array is not None:
            _pass_over(stream, array, findings, depth)


def _opcodes(stream: Stream) -> Iterator[tuple[pickletools.OpcodeInfo, Any]]:
    try:
        for opcode, argument, _ in pickletools.genops(_Forward(stream)):  # type: ignore[arg-type]
            yield opcode, argument
    except (ValueError, EOFError, OverflowError, UnicodeDecodeError) as error:
        raise UnreadablePickleError(f"the opcodes cannot be read: {error}") from error


class _Machine:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._last_text: str | None = None

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> _Instance | None:
        """Perform one opcode; return the joblib array whose bytes follow in the stream, if any."""
        name = opcode.name
        if name in _TEXT_OPS:
            self._push_text(argument)
        elif name in _INTEGER_OPS:
            self._stack.append(argument)
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif name in _MEMORY_OPS:
            self._memo[int(argument)] = self._top()
        elif name in _RECALL_OPS:
            self._stack.append(self._memo.get(int(argument), _OPAQUE))
        elif name in _HANDLERS:
            array: _Instance | None = _HANDLERS[name](self, argument)
            return array
        else:
            self._perform(opcode)
        return None

    def _push_text(self, text: Any) -> None:
        if self._last_text in WATCHED:
            self._findings.texts_after.setdefault(str(self._last_text), str(text))
        self._last_text = text
        self._stack.append(text)

    def _top(self) -> Any:
        return self._stack[-1] if self._stack else _OPAQUE

    def _pop(self) -> Any:
        if not self._stack:
            raise UnreadablePickleError("an opcode takes more from the stack than there is")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self._pop()) is not _MARK:
            values.append(value)
        values.reverse()
        return values

    def _perform(self, opcode: pickletools.OpcodeInfo) -> None:
        """Perform an opcode by what `pickletools` says it takes and leaves."""
        before = list(opcode.stack_before)
        if pickletools.markobject in before:
            self._pop_to_mark()
            before = before[: before.index(pickletools.markobject)]
        taken = [self._pop() for _ in before]
        for position, kind in enumerate(opcode.stack_after):
            if kind is pickletools.markobject:
                self._stack.append(_MARK)
            elif kind is pickletools.pydict and not taken:
                self._stack.append({})
            # APPEND, SETITEM and their like leave the container that they took first.
            elif taken and position == 0 and kind is opcode.stack_before[0]:
                self._stack.append(taken[-1])
            else:
                self._stack.append(_OPAQUE)

    def _import(self, module: Any, name: Any) -> None:
        found = _Global(
            module if isinstance(module, str) else "(computed)", name if isinstance(name, str) else "(computed)"
        )
        self._findings.imports.setdefault((found.module, found.name))
        self._stack.append(found)

    # One method per opcode that needs more than counting.

    def _global(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self._import(module, name)

    def _inst(self, argument: Any) -> None:
        self._pop_to_mark()
        self._global(argument)
        self._stack.append(_Instance(self._pop(), ()))

    def _stack_global(self, _: Any) -> None:
        name = self._pop()
        module = self._pop()
        self._import(module, name)

    def _extension(self, argument: Any) -> None:
        self._import("copyreg", f"extension {argument}")

    def _call(self, _: Any) -> None:
        arguments = self._pop()
        self._stack.append(_Instance(self._pop(), arguments))

    def _call_with_keywords(self, _: Any) -> None:
        self._pop()
        self._call(None)

    def _object(self, _: Any) -> None:
        values = self._pop_to_mark()
        self._stack.append(_Instance(values[0] if values else _OPAQUE, tuple(values[1:])))

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _short_tuple(self, size: int) -> None:
        values = [self._pop() for _ in range(size)]
        self._stack.append(tuple(reversed(values)))

    def _dictionary(self, _: Any) -> None:
        values = self._pop_to_mark()
        self._stack.append(_pairs({}, values))

    def _set_items(self, _: Any) -> None:
        values = self._pop_to_mark()
        _pairs(self._top(), values)

    def _set_item(self, _: Any) -> None:
        value = self._pop()
        key = self._pop()
        _pairs(self._top(), [key, value])

    def _constant(self, value: Any) -> None:
        self._stack.append(value)

    def _duplicate(self, _: Any) -> None:
        self._stack.append(self._top())

    def _drop(self, _: Any) -> None:
        self._pop()

    def _build(self, _: Any) -> _Instance | None:
        state = self._pop()
        instance = self._top()
        if not isinstance(instance, _Instance):
            return None
        instance.state = state
        return instance if _class_of(instance) == _JOBLIB_ARRAY else None


def _pairs(target: Any, values: list[Any]) -> dict[str, Any]:
    """Put the pairs that matter (those with text keys) into `target` when it is a dict that is being followed."""
    if isinstance(target, dict):
        target.update(
            (key, value) for key, value in zip(values[::2], values[1::2], strict=False) if isinstance(key, str)
        )
        return target
    return {}


_HANDLERS: dict[str, Any] = {
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "INST": _Machine._inst,
    "EXT1": _Machine._extension,
    "EXT2": _Machine._extension,
    "EXT4": _Machine._extension,
    "REDUCE": _Machine._call,
    "NEWOBJ": _Machine._call,
    "NEWOBJ_EX": _Machine._call_with_keywords,
    "OBJ": _Machine._object,
    "TUPLE": _Machine._tuple,
    "EMPTY_TUPLE": lambda machine, _: machine._constant(()),
    "TUPLE1": lambda machine, _: machine._short_tuple(1),
    "TUPLE2": lambda machine, _: machine._short_tuple(2),
    "TUPLE3": lambda machine, _: machine._short_tuple(3),
    "DICT": _Machine._dictionary,
    "SETITEMS": _Machine._set_items,
    "SETITEM": _Machine._set_item,
    "NONE": lambda machine, _: machine._constant(None),
    "NEWTRUE": lambda machine, _: machine._constant(True),
    "NEWFALSE": lambda machine, _: machine._constant(False),
    "DUP": _Machine._duplicate,
    "POP": _Machine._drop,
    "POP_MARK": lambda machine, _: machine._pop_to_mark() and None,
    "BUILD": _Machine._build,
}


def _class_of(instance: _Instance) -> tuple[str, str] | None:
    """Return (module, name) of the class that an instance is made of, through `copyreg._reconstructor` too."""
    made_by = instance.function
    if isinstance(made_by, _Global) and made_by.name in ("_reconstructor", "__newobj__"):
        arguments = instance.arguments
        made_by = arguments[0] if isinstance(arguments, tuple) and arguments else None
    return (made_by.module, made_by.name) if isinstance(made_by, _Global) else None


def _pass_over(stream: Stream, array: _Instance, findings: Findings, depth: int) -> None:
    state = array.state if isinstance(array.state, dict) else {}
    shape, dtype = state.get("shape"), _item_size(state.get("dtype"))
    if dtype is None:
        # Objects: a complete pickle of its own stands here.
        follow(stream, findings, depth=depth + 1)
        return
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and 0 <= size < 1 << 48 for size in shape):
        raise UnreadablePickleError("an array of joblib has a shape that cannot be read")
    if state.get("numpy_array_alignment_bytes") is not None:
        padding = stream.read(1)
        stream.read(padding[0] if padding else 0)
    remaining = math.prod(shape) * dtype
    while remaining > 0:
        chunk = stream.read(min(remaining, _CHUNK_BYTES))
        if not chunk:
            raise UnreadablePickleError("the file ends inside an array")
        remaining -= len(chunk)


def _item_size(dtype: Any) -> int | None:
    """Return the bytes per item of a pickled `numpy.dtype`, None for one that holds objects."""
    if not (isinstance(dtype, _Instance) and isinstance(dtype.arguments, tuple) and dtype.arguments):
        raise UnreadablePickleError("an array of joblib has a type that cannot be read")
    code = dtype.arguments[0]
    if code == "O" or (isinstance(code, str) and code.startswith("O")):
        return None
    state = dtype.state
    # Structured types carry their item size in the state: (version, order, subtype, names, fields, size, ...).
    if isinstance(state, tuple) and len(state) > 5 and isinstance(state[5], int) and state[5] > 0:
        return _flat_size(state)
    try:
        return int(np.dtype(code).itemsize)
    except (TypeError, ValueError) as error:
        raise UnreadablePickleError(f"an array of joblib has the unknown type {code!r}") from error


def _flat_size(state: tuple[Any, ...]) -> int | None:
    fields = state[4]
    if isinstance(fields, dict):
        parts = [part[0] for part in fields.values() if isinstance(part, tuple) and part]
        if any(_item_size(part) is None for part in parts):
            return None
    return int(state[5])
