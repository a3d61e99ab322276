"""Bodies that came compressed: `Content-Encoding: gzip` or `deflate`, as Triton's clients can send them.

Source: RFC 9110, section 8.4.1. They are decompressed on the threads of the pool, as they are decoded, and never beyond
what a body may hold: a few kilobytes may stand for gigabytes.
"""

from __future__ import annotations

import zlib

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import Columns
from tidegate.server.protocols.base import Call, Codec, Encoded, Message, TooLarge, UnsupportedMediaType

_NONE = frozenset({"", "identity"})
_TAKEN = frozenset({"gzip", "x-gzip", "deflate"})
#: Added to the size of zlib's window it means: the header says whether this is gzip's format or zlib's.
_EITHER_FORMAT = 32


def codec_of_encoded(codec: Codec, encoding: bytes, most_bytes: int) -> Codec:
    """Return what decodes bodies of this content encoding, `most_bytes` at most when they are decompressed.

    Raises:
        UnsupportedMediaType: the encoding is not taken.
    """
    name = encoding.decode("latin-1").strip().lower()
    if name in _NONE:
        return codec
    if name not in _TAKEN:
        raise UnsupportedMediaType(
            f"a body with the content encoding {name[:60]!r} is not taken; send it as it is, or as gzip or deflate",
            subject="Content-Encoding",
            expected="gzip or deflate",
            got=name[:60],
        )
    return _Compressed(codec, name, most_bytes)


class _Compressed:
    """A codec for bodies that came compressed; answers are not."""

    def __init__(self, codec: Codec, encoding: str, most_bytes: int) -> None:
        self.protocol = codec.protocol
        self._codec = codec
        self._encoding = encoding
        self._most_bytes = most_bytes

    def decode(self, message: Message) -> Call:
        return self._codec.decode(message._replace(body=self._decompressed(message.body)))

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        return self._codec.encode(call, outputs)

    def encode_error(self, error: TidegateError) -> bytes:
        return self._codec.encode_error(error)

    def _decompressed(self, body: bytes) -> bytes:
        reader = zlib.decompressobj(_EITHER_FORMAT + zlib.MAX_WBITS)
        try:
            plain = reader.decompress(body, self._most_bytes + 1)
        except zlib.error as error:
            raise self._damaged(str(error)) from error
        if len(plain) > self._most_bytes:
            raise TooLarge(
                f"the request's body is larger than {self._most_bytes} bytes when it is decompressed",
                expected=f"at most {self._most_bytes} bytes",
            )
        if not reader.eof:
            raise self._damaged("it ends too early")
        if reader.unused_data:
            raise self._damaged("something follows its end")
        return plain

    def _damaged(self, what: str) -> InvalidInput:
        return InvalidInput(
            f"the body is not {self._encoding}, as Content-Encoding says: {what}",
            subject="Content-Encoding",
            expected=self._encoding,
        )
