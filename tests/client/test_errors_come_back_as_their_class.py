"""Every error that the API sends is raised again as the class it was, with all its fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.client.http import error_from
from tidegate.contract.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    NotTrusted,
    ReasonRequired,
    TidegateError,
    Unavailable,
)

KINDS = [InvalidInput, NotTrusted, ReasonRequired, NotFound, Conflict, Unavailable, TidegateError]
_text = st.none() | st.text("abc \n", max_size=10)


_details = st.fixed_dictionaries(dict.fromkeys(("subject", "expected", "got", "hint"), _text))


@given(st.sampled_from(KINDS), st.text("abc", min_size=1), _details)
def test_an_error_survives_the_way(kind: type[TidegateError], message: str, details: dict[str, str | None]) -> None:
    sent = kind(message, **details)
    back = error_from(500, {"error": sent.as_dict()})
    assert type(back) is kind
    assert back.as_dict() == sent.as_dict()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (401, Unavailable),
        (404, NotFound),
        (409, Conflict),
        (422, InvalidInput),
        (500, TidegateError),
        (503, Unavailable),
        (599, TidegateError),
    ],
)
@pytest.mark.parametrize(
    "body", [None, [], {"detail": "said"}, {"error": "said"}, {"error": {"code": "new", "message": "m"}}]
)
def test_an_answer_of_another_shape_is_judged_by_its_status(status: int, kind: type[TidegateError], body: Any) -> None:
    assert type(error_from(status, body)) is kind


def test_a_wrong_token_says_what_to_do() -> None:
    told = error_from(401, {"error": {"code": "unauthorized", "message": "the token is missing or wrong"}})
    assert isinstance(told, Unavailable)
    assert "token" in told.message
