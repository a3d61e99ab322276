"""Where in a JSON document a value is: `data.items[0].value`. Pure."""

from __future__ import annotations

import re
from typing import Any

from tidegate.measure.errors import UnmeasurableError

_PART = re.compile(r"\[(-?[0-9]+)\]|([A-Za-z0-9_-]+)")


def at(document: Any, place: str) -> Any:
    """Return the value at a place; a leading `$` stands for the whole document.

    Raises:
        UnmeasurableError: there is nothing at the place.
    """
    value, so_far = document, ""
    for found in _PART.finditer(place.removeprefix("$")):
        number, key = found.groups()
        so_far += found.group(0) if number is not None else f".{key}"
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and number is not None and -len(value) <= int(number) < len(value):
            value = value[int(number)]
        else:
            raise UnmeasurableError(f"the answer has nothing at {so_far.removeprefix('.')}")
    return value
