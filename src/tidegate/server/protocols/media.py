"""Which form a body has and which form its answer gets: `Content-Type` and `Accept` of `/predict`.

A body of a form that is not known is refused (415), and so is a request whose `Accept` names none of ours and has no
wildcard (406): a client that gets JSON where it reads Parquet fails later, and in a worse place.
"""

from __future__ import annotations

from enum import Enum

from tidegate.contract.errors import InvalidInput
from tidegate.server.protocols.base import NotAcceptable, UnsupportedMediaType


class Form(Enum):
    """The forms; the value is the content type of an answer."""

    JSON = b"application/json"
    CSV = b"text/csv; charset=utf-8"
    ARROW_STREAM = b"application/vnd.apache.arrow.stream"
    ARROW_FILE = b"application/vnd.apache.arrow.file"
    PARQUET = b"application/vnd.apache.parquet"


#: What curl sends when it is not told; the body is taken for JSON.
FORM_URLENCODED = "application/x-www-form-urlencoded"

#: Headers of most requests, which need no look inside.
COMMON_CONTENT_TYPES = frozenset({b"", b"application/json"})
COMMON_ACCEPTS = frozenset({b"", b"*/*", b"application/json", b"application/json, text/plain, */*"})

_BODY_FORMS = {
    "application/json": Form.JSON,
    "text/json": Form.JSON,
    FORM_URLENCODED: Form.JSON,
    "text/plain": Form.JSON,  # what fetch() says of a string
    "text/csv": Form.CSV,
    "application/vnd.apache.arrow.stream": Form.ARROW_STREAM,
    "application/vnd.apache.arrow.file": Form.ARROW_FILE,
    "application/vnd.apache.parquet": Form.PARQUET,
    "application/x-parquet": Form.PARQUET,
}
#: In the order in which we choose when a client likes several as much.
_ANSWER_FORMS = {
    "application/json": Form.JSON,
    "text/csv": Form.CSV,
    "application/vnd.apache.arrow.stream": Form.ARROW_STREAM,
    "application/vnd.apache.arrow.file": Form.ARROW_FILE,
    "application/vnd.apache.parquet": Form.PARQUET,
    "application/x-parquet": Form.PARQUET,
}
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
BODY_TYPES = ("application/json", "text/csv", *(form.value.decode() for form in list(Form)[2:]))


def media_type(header: bytes) -> tuple[str, dict[str, str]]:
    """Return the type of a header such as `text/csv; charset=utf-8`, lower-case, and its parameters."""
    kind, *rest = header.decode("latin-1").split(";")
    parameters = {}
    for part in rest:
        name, equals, value = part.partition("=")
        if equals:
            parameters[name.strip().lower()] = value.strip().strip('"')
    return kind.strip().lower(), parameters


def body_form(content_type: bytes) -> Form:
    """Return the form of a body. Raises UnsupportedMediaType."""
    if content_type in COMMON_CONTENT_TYPES:
        return Form.JSON
    kind, parameters = media_type(content_type)
    form = Form.JSON if kind.endswith("+json") else _BODY_FORMS.get(kind)
    accepted = ", ".join(BODY_TYPES)
    if form is None:
        raise UnsupportedMediaType(
            f"a body of type {kind[:80]!r} is not taken; send one of {accepted}",
            subject="Content-Type",
            expected=accepted,
            got=kind[:80],
        )
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in _CHARSETS:
        raise UnsupportedMediaType(
            f"text in {charset[:40]!r} is not taken; send UTF-8", subject="Content-Type", expected="charset=utf-8"
        )
    return form


def answer_form(accept: bytes) -> Form:
    """Return the form that the client likes best of those that we have. Raises NotAcceptable."""
    if accept in COMMON_ACCEPTS:
        return Form.JSON
    likings: dict[Form, tuple[float, int]] = {}
    refused: set[Form] = set()
    for item in accept.split(b","):
        kind, parameters = media_type(item)
        quality = _quality(parameters.get("q", "1"))
        for known, form in _ANSWER_FORMS.items():
            exactness = _exactness(kind, known)
            if exactness is None:
                continue
            if quality == 0 and exactness == 2:
                refused.add(form)
            likings[form] = max(likings.get(form, (0.0, 0)), (quality, exactness))
    liked = {form: liking for form, liking in likings.items() if liking[0] > 0 and form not in refused}
    if not liked:
        forms = ", ".join(dict.fromkeys(_ANSWER_FORMS))
        raise NotAcceptable(
            f"no answer can be given in {accept[:80].decode('latin-1')!r}; ask for one of {forms}",
            subject="Accept",
            expected=forms,
            got=accept[:80].decode("latin-1"),
        )
    best = max(quality for quality, _ in liked.values())
    # A form that is named goes before one that a wildcard lets in; else our own order decides.
    candidates = [(form, exactness) for form, (quality, exactness) in liked.items() if quality == best]
    order = list(Form)
    return min(candidates, key=lambda candidate: (-candidate[1], order.index(candidate[0])))[0]


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 1.0
    return value if 0 <= value <= 1 else 1.0


def _exactness(wanted: str, known: str) -> int | None:
    if wanted == known:
        return 2
    if wanted == "*/*":
        return 0
    return 1 if wanted.endswith("/*") and known.startswith(wanted[:-1]) else None


def hint_for_json(error: InvalidInput, content_type: bytes) -> InvalidInput:
    """Return the error of a body that is not JSON; where the client may not have said what it is, with that advice."""
    if error.hint is None and media_type(content_type)[0] == FORM_URLENCODED:
        error.hint = "if the body is not meant to be JSON, say what it is: -H 'Content-Type: text/csv', for example"
    return error
