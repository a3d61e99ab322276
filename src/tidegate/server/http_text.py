"""What a connection writes by itself, as bytes of HTTP/1.1 (RFC 9112): pure."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

#: Size of a request's line and headers together.
HEAD_BYTES = 64 * 1024

CLOSE = b"connection: close\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


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
