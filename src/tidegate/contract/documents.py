"""Base of both documents, and the one way in which pydantic's findings become a message for people."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Strict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from tidegate.contract.errors import InvalidInput
from tidegate.contract.problems import PROBLEM, shown, shown_name

#: Values as they are written: no number in quotes, no 1 for true.
Text = Annotated[str, Strict()]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]

_MOST_LINES = 20
_HINTS = {"string_type": "put it in quotes"}
_EXPECTED = {
    "string_type": "text",
    "string_unicode": "text that UTF-8 can express",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
}


class Document(BaseModel):
    """A part of a document: camelCase outside, snake_case in Python, immutable, and no field that is not declared."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    def as_document(self) -> dict[str, Any]:
        """Return the JSON form: camelCase, quantities in their canonical form, fields without a value left out."""
        return self.model_dump(mode="json", exclude_none=True)


def invalid_document(
    kind: str, model: type[BaseModel], data: Mapping[str, Any], error: ValidationError
) -> InvalidInput:
    """Turn all that pydantic found wrong with `data` into one error with one line per problem.

    Args:
        kind: what the document is, e.g. "deployment request".
    """
    wrong = error.errors(include_url=False)
    found = [_described(model, data, details) for details in wrong if not _follows(details, wrong)]
    if len(found) == 1:
        path, sentence, expected, got = found[0]
        return InvalidInput(f"{path}: {sentence}", subject=path, expected=expected, got=got)
    lines = [f"  {path}: {sentence}" for path, sentence, _, _ in found[:_MOST_LINES]]
    if len(found) > _MOST_LINES:
        lines.append(f"  and {len(found) - _MOST_LINES} more")
    return InvalidInput("\n".join([f"the {kind} has {len(found)} problems:", *lines]))


def _follows(details: ErrorDetails, wrong: Sequence[ErrorDetails]) -> bool:
    """Say whether a finding is no problem of its own.

    That is a default that would be derived from a wrong field, and a list that lacks what wrong items would have been.
    """
    if details["type"] == "too_short":
        place = details["loc"]
        return any(other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in wrong)
    return details["type"] == "default_factory_not_called"


_Line = tuple[str, str, str | None, str | None]


def _described(model: type[BaseModel], data: Any, error: ErrorDetails) -> _Line:
    """Return path, sentence, expected and got of one finding."""
    kind, location, value = error["type"], error["loc"], error["input"]
    context = error.get("ctx", {})
    path = context.get("path") or _path(data, location)
    if kind == "missing":
        return path, "required, and missing", None, None
    if kind == "extra_forbidden":
        return path, f"unknown field; {_nearest(model, location)}", None, None
    hint = context.get("hint") or _HINTS.get(kind) or _nearest_choice(kind, context, value)
    expected, got = _expected(model, error), context.get("got") or shown(value)
    sentence = f"expected {expected}, got {got}" + (f"; {hint}" if hint else "")
    return path, sentence, expected, got


def _expected(model: type[BaseModel], error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == PROBLEM:
        return str(context["expected"])
    if kind == "literal_error":
        return f"one of {', '.join(_choices(context))}"
    if kind in {"greater_than_equal", "less_than_equal"}:
        return f"{context['ge']} or more" if "ge" in context else f"{context['le']} or less"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        fields = ", ".join(_aliases(_model_at(model, error["loc"])))
        return f"an object with the fields {fields}" if fields else "an object"
    if kind in {"too_short", "too_long", "string_too_long"}:
        unit = "characters" if kind == "string_too_long" else "items"
        return (
            f"{context['min_length']} or more {unit}"
            if kind == "too_short"
            else f"at most {context['max_length']} {unit}"
        )
    return _EXPECTED.get(kind, error["msg"])


def _choices(context: Mapping[str, Any]) -> list[str]:
    # pydantic hands the choices over as the text "'rolling', 'canary' or 'shadow'".
    return re.findall(r"'([^']*)'", context["expected"])


def _nearest_choice(kind: str, context: Mapping[str, Any], value: Any) -> str | None:
    if kind != "literal_error" or not isinstance(value, str):
        return None
    near = difflib.get_close_matches(value.lower(), _choices(context), n=1)
    return f"did you mean {near[0]}?" if near else None


def _path(data: Any, location: Sequence[int | str]) -> str:
    """Return `steps[1].weight` for a location, ending where the document itself ends."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
            data = data[part] if isinstance(data, Sequence) and part < len(data) else None
        else:
            if not isinstance(data, Mapping):
                break
            name = shown_name(part)
            path += f".{name}" if path else name
            data = data.get(part)
    return path or "document"


def _nearest(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """Say which known field was probably meant by an unknown one: a sibling first, then one elsewhere."""
    here = _aliases(_model_at(model, location[:-1]))
    wanted = _plain(str(location[-1]))
    near = difflib.get_close_matches(wanted, [_plain(alias) for alias in here], n=1)
    if near:
        return "did you mean " + next(alias for alias in here if _plain(alias) == near[0]) + "?"
    elsewhere = [path for path in _all_paths(model) if _plain(path.rpartition(".")[2]) == wanted]
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    return f"known here: {', '.join(here)}" if here else "no fields are known here"


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _aliases(model: type[BaseModel] | None) -> list[str]:
    if model is None:
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model that a location leads to, through optional fields and lists; None when it is not one."""
    here: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int) or here is None:
            continue
        fields = {field.alias or name: field.annotation for name, field in here.model_fields.items()}
        here = _model_in(fields.get(part))
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None)


def _all_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        yield path
        inner = _model_in(field.annotation)
        # What is in a list is no place to put a field that was found elsewhere.
        if inner is not None and get_origin(field.annotation) is not tuple:
            yield from _all_paths(inner, f"{path}.")
