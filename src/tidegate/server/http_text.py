"""What a connection writes by itself, as bytes of HTTP/1.1 (RFC 9112): pure."""

from __future__ import annotations

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

#: Size of a request's line and headers together.
HEAD_BYTES = 64 * 1024

CLOSE = b"connection: close\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

#: Headers with which a client offers to speak another protocol.
_OFFER = frozenset((b"upgrade", b"connection", b"http2-settings"))


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as bytes that end with a line end."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


def refusal(*, is_head_too_large: bool) -> bytes:
    """Return the whole answer to what is no HTTP, or to a head beyond `HEAD_BYTES`."""
    sentence = (
        f"the request line and headers hold more than {HEAD_BYTES} bytes"
        if is_head_too_large
        else "this is not an HTTP request"
    )
    text = b'{"error":"%b"}' % sentence.encode()
    head = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(text)
    return STATUS_LINE[431 if is_head_too_large else 400] + head + CLOSE + b"\r\n" + text


def without_offer(method: bytes, url: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request anew, without its offer to speak another protocol."""
    kept = (header for header in headers if header[0].lower() not in _OFFER)
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), header_lines(kept))
