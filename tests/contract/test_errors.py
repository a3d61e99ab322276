"""Errors: printed without saying anything twice, and the same facts as JSON."""

from __future__ import annotations

from tidegate.contract.errors import InvalidInput, NotTrusted, TidegateError


def test_the_parts_are_printed_on_lines_of_their_own() -> None:
    error = InvalidInput("The model cannot be read.", expected="a zip", got="12 bytes", hint="Export it again.")
    assert str(error) == "The model cannot be read.\nexpected: a zip\ngot: 12 bytes\nExport it again."


def test_what_the_message_states_is_not_repeated() -> None:
    assert str(InvalidInput("expected a zip, got 12 bytes", expected="a zip", got="12 bytes")) == (
        "expected a zip, got 12 bytes"
    )


def test_json_leaves_out_what_is_not_known() -> None:
    assert TidegateError("it broke").as_dict() == {"code": "error", "message": "it broke"}
    assert NotTrusted("no", subject="m.pkl").as_dict() == {
        "code": "not_trusted",
        "message": "no",
        "subject": "m.pkl",
    }
