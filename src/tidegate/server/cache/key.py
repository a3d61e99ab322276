"""What makes two requests equal: the same model and the same inputs, whatever protocol they came by."""

from __future__ import annotations

import hashlib

import numpy as np

from tidegate.runtime.base import Array
from tidegate.server.protocols.base import Call

_BYTES = 20


def key_of(model: bytes, call: Call) -> bytes:
    """Return the digest of a model and the inputs of a call, 20 bytes.

    Inputs are taken as they were decoded, in the order of the signature, so spaces, the order of keys, `3` for `3.0`
    and inputs that the model ignores make no difference. The outputs that a request asks for make none either: all of
    them are cached.

    Args:
        model: digest of the bundle.
    """
    digest = hashlib.blake2b(model, digest_size=_BYTES)
    for array in call.inputs.values():
        digest.update(b"%b%d" % (array.dtype.str.encode(), array.ndim))
        digest.update(np.array(array.shape, dtype=np.int64).tobytes())
        digest.update(_texts(array) if array.dtype.kind == "O" else np.ascontiguousarray(array).tobytes())
    return digest.digest()


def _texts(array: Array) -> bytes:
    """Return texts so that no two lists of them look alike: each with its length, -1 for a missing one."""
    parts = []
    for text in array.reshape(-1).tolist():
        encoded = b"" if text is None else text.encode("utf-8", "surrogatepass")
        parts.append(b"%d:%b" % (-1 if text is None else len(encoded), encoded))
    return b"".join(parts)
