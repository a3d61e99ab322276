"""What is passed on to a server of somebody else's: everything but what speaks of one connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.server.forward.headers import HOP_BY_HOP, end_to_end, target_of

names = st.sampled_from([*sorted(HOP_BY_HOP), b"host", b"content-length", b"x-one", b"X-Two", b"cookie"])
headers = st.lists(st.tuples(names, st.binary(max_size=8)), max_size=12)


def test_headers_of_the_connection_and_those_that_it_names_stay_behind() -> None:
    given_headers = [
        (b"Host", b"a"),
        (b"Connection", b"keep-alive, X-Trace ,content-length"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Trace", b"1"),
        (b"x-kept", b"1"),
        (b"x-kept", b"2"),
        (b"Content-Length", b"3"),
        (b"Transfer-Encoding", b"chunked"),
    ]
    assert end_to_end(given_headers) == [
        (b"Host", b"a"),
        (b"x-kept", b"1"),
        (b"x-kept", b"2"),
        (b"Content-Length", b"3"),
    ]


@given(headers)
def test_what_is_passed_on_is_unchanged_in_order_and_passing_it_on_again_changes_nothing(
    given_headers: list[tuple[bytes, bytes]],
) -> None:
    passed = end_to_end(given_headers)
    remaining = iter(given_headers)
    assert all(header in remaining for header in passed)
    assert not {name.lower() for name, _ in passed} & HOP_BY_HOP
    assert end_to_end(passed) == passed
    lengths = [header for header in given_headers if header[0] in (b"content-length", b"host")]
    assert [header for header in passed if header[0] in (b"content-length", b"host")] == lengths


def test_only_the_predict_path_is_another() -> None:
    predict = b"/v1/models/churn:predict"
    assert target_of(b"/predict", b"", predict) == predict
    assert target_of(b"/predict", b"a=1", predict) == predict + b"?a=1"
    assert target_of(b"/predict", b"a=1", b"/ask?b=2") == b"/ask?b=2&a=1"
    assert target_of(b"/predict/more", b"", predict) == b"/predict/more"
    assert target_of(b"/a%20b//c", b"x=%2F&x", predict) == b"/a%20b//c?x=%2F&x"
