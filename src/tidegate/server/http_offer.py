"""A request's offer to speak another protocol, taken out of its head (RFC 9110, section 7.8): pure, light to import."""

from __future__ import annotations

from collections.abc import Iterable

#: Headers with which a client makes the offer.
_OFFER = frozenset((b"upgrade", b"connection", b"http2-settings"))


def without_offer(method: bytes, url: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request anew, without its offer to speak another protocol."""
    kept = (header for header in headers if header[0].lower() not in _OFFER)
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), header_lines(kept))


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as bytes that end with a line end."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)
