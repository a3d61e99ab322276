"""Conditions on what was measured, as people write them: `result[0] < 0.05 and not isNaN(result[0])`. Pure.

An expression is parsed by Python's own grammar, and only what is listed here is ever computed: no names but `result`,
no calls but the functions below, no attributes but keys of objects, numbers as floats. What is computed is no larger
than the expression and the result are, so that nothing that is measured can keep the controller busy.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, Final

LONGEST = 500
_MOST_NODES = 100

_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_OPERATIONS: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class ConditionError(ValueError):
    """The expression is none that is computed here, or does not fit the result; the message says where."""


class Condition:
    """An expression that was checked and can be asked of any JSON value."""

    def __init__(self, text: str) -> None:
        """Raises ConditionError for an expression that is not one of those computed here."""
        self.text = text
        self._tree = _parsed(text)

    def holds(self, result: Any) -> bool:
        """Return what the expression says of a JSON value; raises ConditionError where the value does not fit it."""
        try:
            answer = _value(self._tree, result)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise error if isinstance(error, ConditionError) else ConditionError(_told(error)) from error
        if not isinstance(answer, bool):
            raise ConditionError(f"{self.text!r} gives no yes or no: write a comparison")
        return answer


def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise ConditionError(f"a condition has {LONGEST} characters at most")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConditionError("no expression such as result[0] < 0.05; and, or, not join several") from None
    nodes = list(ast.walk(tree))
    if len(nodes) > _MOST_NODES:
        raise ConditionError(f"a condition has {_MOST_NODES} parts at most")
    for node in nodes:
        _refuse_others(node, tree)
    return tree


_PLAIN: Final = (
    *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd),
    *(ast.Compare, ast.In, ast.NotIn, ast.BinOp, ast.Subscript, ast.Load),
    *_COMPARISONS,
    *_OPERATIONS,
)


def _refuse_others(node: ast.AST, tree: ast.expr) -> None:
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
            return
        case ast.Name(id=name) if name == "result" or name in FUNCTIONS or name in _LITERALS:
            return
        case ast.Name(id=name):
            raise ConditionError(f"unknown name {name}: a condition knows result and {', '.join(FUNCTIONS)}")
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS and args:
            return
        case ast.Attribute(attr=attr) if not attr.startswith("_"):
            return
        case _ if isinstance(node, _PLAIN):
            return
    what = f"{ast.unparse(node)!r}" if isinstance(node, ast.expr) else f"{type(node).__name__} in {ast.unparse(tree)!r}"
    raise ConditionError(f"{what} is nothing that a condition can hold")


def _value(node: ast.expr, result: Any) -> Any:
    match node:
        case ast.Constant(value=value):
            return _number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        case ast.Name(id="result"):
            return result
        case ast.Name(id=name) if name in _LITERALS:
            return _LITERALS[name]
        case ast.BoolOp(op=op, values=values):
            return _joined(isinstance(op, ast.And), values, result)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _flag(_value(operand, result))
        case ast.UnaryOp(op=op, operand=operand):
            number = _number(_value(operand, result))
            return -number if isinstance(op, ast.USub) else number
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATIONS[type(op)](_number(_value(left, result)), _number(_value(right, result)))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared([_value(each, result) for each in (left, *others)], ops)
        case ast.Subscript(value=value, slice=place):
            return _part(_value(value, result), _value(place, result))
        case ast.Attribute(value=value, attr=key):
            return _part(_value(value, result), key)
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name](*(_value(argument, result) for argument in args))
    raise ConditionError(f"{ast.unparse(node)!r} is no value")


def _joined(is_and: bool, values: list[ast.expr], result: Any) -> bool:
    """Ask only as many as it takes, so that `len(result) == 0 or result[0] < 5` works."""
    said = (_flag(_value(each, result)) for each in values)
    return all(said) if is_and else any(said)


def _compared(values: list[Any], ops: list[ast.cmpop]) -> bool:
    for left, op, right in zip(values, ops, values[1:], strict=False):
        if isinstance(op, ast.In | ast.NotIn):
            holds = (left in right) is isinstance(op, ast.In)
        elif isinstance(op, _ORDERED):
            holds = _COMPARISONS[type(op)](_real(left), _real(right))
        else:
            holds = _COMPARISONS[type(op)](left, right)
        if not holds:
            return False
    return True


def _part(value: Any, place: Any) -> Any:
    if isinstance(value, dict):
        return value[place]
    if isinstance(value, list):
        number = _number(place)
        if not number.is_integer():
            raise ConditionError(f"{place} is no position in a list")
        return value[int(number)]
    raise ConditionError(f"{_kind(value)} has no parts")


def _number(value: Any) -> float:
    """Return a JSON number as a float; texts, flags and everything else are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = ": write result[0]" if isinstance(value, list) and len(value) == 1 else ""
        raise ConditionError(f"{_kind(value)} is no number{hint}")
    return float(value)


def _real(value: Any) -> Any:
    """Return what can be put in order: a number that is one, or a text."""
    if isinstance(value, str):
        return value
    number = _number(value)
    if math.isnan(number):
        raise ConditionError("what was measured is not a number (NaN, as 0/0 gives); ask isNaN(…) first")
    return number


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConditionError(f"{_kind(value)} is no yes or no")
    return value


def _as_float(value: Any) -> float:
    return float(value) if isinstance(value, str) and len(value) <= LONGEST else _number(value)


def _length(value: Any) -> float:
    if not isinstance(value, list | dict | str):
        raise ConditionError(f"{_kind(value)} has no length")
    return float(len(value))


def _default(value: Any, instead: Any) -> Any:
    return instead if value is None or (isinstance(value, float) and math.isnan(value)) else value


def _least(*values: Any) -> Any:
    return min(_real(value) for value in _listed(values))


def _most(*values: Any) -> Any:
    return max(_real(value) for value in _listed(values))


def _listed(values: tuple[Any, ...]) -> list[Any]:
    return values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)


#: Those of Argo Rollouts that make sense of JSON values, and a few of Python's.
FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": lambda value: abs(_number(value)),
    "asFloat": _as_float,
    "default": _default,
    "isInf": lambda value: math.isinf(_number(value)),
    "isNaN": lambda value: math.isnan(_number(value)),
    "len": _length,
    "max": _most,
    "min": _least,
}
_LITERALS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None, "nil": None}


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a flag"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


def _told(error: BaseException) -> str:
    match error:
        case IndexError():
            return "the result has no such position: nothing was found"
        case KeyError():
            return f"the result has no {error.args[0]!r}"
        case ZeroDivisionError():
            return "a division by zero"
        case _:
            return f"it cannot be computed ({type(error).__name__})"
