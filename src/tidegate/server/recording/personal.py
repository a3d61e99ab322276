"""Fields of persons in the prediction log: left away, or replaced by what only the holder of a key could find again.

A value is hashed by HMAC-SHA256 (RFC 2104), so that rows of one person can still be joined and counted, and, unlike a
hash without a key, cannot be found by trying all values. The text that is hashed is a string itself, and of anything
else its JSON.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Signature
from tidegate.server.settings import KEY_VARIABLE

_SHORTEST_KEY, _LONGEST_KEY = 16, 4096


@dataclass(frozen=True)
class PersonalFields:
    """What is done to columns and tensors, inputs and outputs alike, before they are logged anywhere.

    Attributes:
        dropped, hashed: their names.
        key: at least 16 bytes where anything is hashed.
    """

    dropped: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    key: bytes = field(default=b"", repr=False)

    def kept(self, names: Collection[str]) -> list[str]:
        """Return those that are logged at all."""
        return [name for name in names if name not in self.dropped]

    def applied(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return columns, which are as orjson takes them, with hashes in the place of values; None stays None."""
        if not self.hashed:
            return dict(columns)
        return {name: self._hashed(_plain(value)) if name in self.hashed else value for name, value in columns.items()}

    def _hashed(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, list):
            return [self._hashed(one) for one in value]
        text = value.encode() if isinstance(value, str) else orjson.dumps(value)
        return hmac.digest(self.key, text, "sha256").hex()


def personal_fields(
    dropped: Collection[str], hashed: Collection[str], key_file: Path | None, environment: Mapping[str, str]
) -> PersonalFields:
    """Return what is done to these fields; the key is read from the file, else from the environment.

    Raises:
        InvalidInput: something is to be hashed and there is no key, or it is too short.
    """
    if not hashed:
        return PersonalFields(frozenset(dropped))
    return PersonalFields(frozenset(dropped), frozenset(hashed), _key(key_file, environment))


def refuse_unknown_fields(fields: PersonalFields, signature: Signature) -> None:
    """A name that is misspelt would leave what it means in the log.

    Raises:
        InvalidInput: the model has no such input or output.
    """
    known = {spec.name for spec in (*signature.inputs, *signature.outputs)}
    unknown = sorted((fields.dropped | fields.hashed) - known)
    if unknown:
        raise InvalidInput(
            f"The model has no input or output {', '.join(map(repr, unknown))} to keep out of the prediction log.",
            subject="--prediction-log-drop, --prediction-log-hash",
            expected=f"names among {', '.join(sorted(known))}",
            got=", ".join(unknown),
        )


def _plain(value: Any) -> Any:
    """Return a column as it would have been logged."""
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))


def _key(file: Path | None, environment: Mapping[str, str]) -> bytes:
    if file is None:
        subject, key = KEY_VARIABLE, environment.get(KEY_VARIABLE, "").encode()
    else:
        subject = str(file)
        try:
            with file.open("rb") as stream:
                key = stream.read(_LONGEST_KEY)
        except OSError as error:
            raise InvalidInput(
                f"The key for hashes in the prediction log cannot be read: {error.strerror or error}.", subject=subject
            ) from error
    key = key.strip()
    if len(key) < _SHORTEST_KEY:
        raise InvalidInput(
            "There is no key, or too short a one, for hashes in the prediction log.",
            subject=subject,
            expected=f"at least {_SHORTEST_KEY} bytes, in a file that --prediction-log-key-file names or in "
            f"{KEY_VARIABLE}",
            got=f"{len(key)} bytes",
            hint="make one with: openssl rand -hex 32",
        )
    return key
