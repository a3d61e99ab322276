"""How many variables a model uses, by what H2O noted of its training beside the model itself."""

from __future__ import annotations

import json

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError

_DETAILS = "experimental/modelDetails.json"
#: Such files have some hundred kilobytes; a nesting that exhausts the parser is refused with what is no JSON.
_MAX_BYTES = 64 << 20


def used_variables(container: Container) -> int:
    """Return how many variables have an importance above 0.

    Raises:
        MojoFormatError: the details are damaged.
        MojoUnsupportedError: the file does not have them, or they do not say it.
    """
    if not container.has(_DETAILS):
        raise MojoUnsupportedError(
            "contributions of a two-class random forest need the importances of its variables",
            expected=_DETAILS,
            hint="H2O writes them since 3.28",
        )
    if container.size(_DETAILS) > _MAX_BYTES:
        raise MojoFormatError(_DETAILS, "is larger than any model's details")
    try:
        details = json.loads(container.read(_DETAILS))
    except (ValueError, RecursionError):
        raise MojoFormatError(_DETAILS, "is no JSON") from None
    try:
        table = details["output"]["variable_importances"]
        names = [column["name"] for column in table["columns"]]
        importances = table["data"][names.index("relative_importance")]
        return sum(float(importance) > 0.0 for importance in importances)
    except (KeyError, TypeError, ValueError, IndexError):
        raise MojoUnsupportedError("the model's details do not say how important its variables are") from None
