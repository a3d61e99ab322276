"""Which headers are passed on: all but those that speak of one connection (RFC 9110, section 7.6.1). Pure."""

from __future__ import annotations

from collections.abc import Iterable

Header = tuple[bytes, bytes]

#: Lower-case. `Expect` is answered by us: the body has been read when the request goes on.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def end_to_end(headers: Iterable[Header]) -> list[Header]:
    """Return the headers without those of the connection, among them the ones that `Connection` names."""
    listed = [(name, name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower() for _, lower, value in listed if lower == b"connection" for token in value.split(b",")
    }
    # A client may not take away by `Connection: content-length` what says where a body ends.
    dropped = HOP_BY_HOP | (named - {b"content-length", b"host"})
    return [(name, value) for name, lower, value in listed if lower not in dropped]


def fault_in(headers: Iterable[Header]) -> str | None:
    """Return what is wrong with a request's headers (lower-case) that two servers may read in two ways, a sentence.

    None when nothing is. Lengths that contradict each other never get here: the parser refuses them.
    """
    listed = list(headers)
    if sum(name == b"host" for name, _ in listed) > 1:
        return "the request has more than one Host header"  # RFC 9112, section 3.2
    codings = [value for name, value in listed if name == b"transfer-encoding"]
    if codings and (len(codings) > 1 or codings[0].strip().lower() != b"chunked"):
        return "the request's Transfer-Encoding is not chunked alone"
    return None


def target_of(raw_path: bytes, query: bytes, predict_path: bytes) -> bytes:
    """Return the request target to ask for: the client's own, `predict_path` in the place of `/predict`."""
    path = predict_path if raw_path == b"/predict" else raw_path
    if not query:
        return path
    return path + (b"&" if b"?" in path else b"?") + query
