"""Names of the model registry: models, versions, aliases and stages, and how a reference to a version is written.

References are MLflow's: `models:/NAME/3`, `models:/NAME@ALIAS`, `models:/NAME/STAGE` and `models:/NAME/latest`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from tidegate.contract.errors import InvalidInput
from tidegate.contract.problems import shown

Stage = Literal["none", "staging", "production", "archived"]
STAGES: tuple[Stage, ...] = get_args(Stage)
ARCHIVED: Stage = "archived"

SCHEME = "models:/"
LATEST = "latest"
EXPECTED_REFERENCE = "models:/NAME@ALIAS, models:/NAME/VERSION, models:/NAME/STAGE or models:/NAME/latest"
EXPECTED_NAME = "a name of 1 to 200 printable characters without / : @ and without spaces at its ends"
EXPECTED_ALIAS = 'a name of 1 to 100 letters, digits, "-", "_" and ".", which is neither "latest" nor "v" and a number'
EXPECTED_NEW_ALIAS = "a name that is no whole number"
ALIAS_PATTERN = r"^(?!latest$|[vV]\d+$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"

_LONGEST_NAME = 200
_OF_REFERENCES = frozenset("/:@")
#: SQL's integers have nine digits at least.
_MOST_DIGITS = 9


@dataclass(frozen=True)
class ModelReference:
    """Which version of a model is meant: one of `version`, `alias` and `stage`, or with none of them the latest."""

    model: str
    version: int | None = None
    alias: str | None = None
    stage: Stage | None = None

    def __str__(self) -> str:
        if self.alias is not None:
            return f"{SCHEME}{self.model}@{self.alias}"
        return f"{SCHEME}{self.model}/{self.asked or self.version}"

    @property
    def asked(self) -> str | None:
        """The words that choose a version, which may choose another one tomorrow; None for a number."""
        if self.version is not None:
            return None
        return self.alias or self.stage or LATEST


def is_reference(path: str) -> bool:
    """Say whether a path names a version in the registry, and no file."""
    return path.startswith("models:")


def parse_reference(text: str) -> ModelReference:
    """Read a reference; `models:/` may be left out.

    Raises:
        InvalidInput: it is none.
    """
    rest = text.removeprefix(SCHEME)
    model, at, alias = rest.partition("@")
    if at:
        found = ModelReference(model, alias=alias) if is_alias(alias) else None
    else:
        model, _, which = rest.partition("/")
        found = _by_path(model, which)
    if found is None or not is_model_name(found.model):
        got = shown(text)
        raise InvalidInput(
            f"expected a version of a model, {EXPECTED_REFERENCE}, got {got}",
            subject=text[:_LONGEST_NAME],
            expected=EXPECTED_REFERENCE,
            got=got,
        )
    return found


def _by_path(model: str, which: str) -> ModelReference | None:
    if which.isascii() and which.isdecimal() and len(which) <= _MOST_DIGITS and int(which) >= 1:
        return ModelReference(model, version=int(which))
    word = which.lower()
    if word == LATEST:
        return ModelReference(model)
    stage = next((stage for stage in STAGES if stage == word), None)
    return ModelReference(model, stage=stage) if stage is not None else None


def is_model_name(text: str) -> bool:
    fits = 1 <= len(text) <= _LONGEST_NAME and text.isprintable() and not _OF_REFERENCES & set(text)
    return fits and text == text.strip() and text not in (".", "..")


def is_alias(text: str) -> bool:
    return re.fullmatch(ALIAS_PATTERN[1:-1], text) is not None


def check_model_name(text: str) -> str:
    """Return the name of a model unchanged; InvalidInput when it cannot be one."""
    if is_model_name(text):
        return text
    raise _wrong("the name of a model", EXPECTED_NAME, text)


def check_alias(text: str) -> str:
    """Return an alias unchanged; InvalidInput when it cannot be one."""
    if is_alias(text):
        return text
    raise _wrong("an alias", EXPECTED_ALIAS, text)


def check_new_alias(text: str) -> str:
    """Return an alias unchanged; InvalidInput when none of that name may be made.

    A number would be taken for a version's; references to such aliases that there are already are read as before.
    """
    if not check_alias(text).isdecimal():
        return text
    raise InvalidInput(
        f"an alias: expected {EXPECTED_NEW_ALIAS}, got {shown(text)}",
        expected=EXPECTED_NEW_ALIAS,
        got=shown(text),
        hint=f"NAME/{text} is a version by its number already; call the alias by what it is for, such as challenger",
    )


def check_stage(text: str) -> Stage:
    """Return a stage; InvalidInput when it is none."""
    found = next((stage for stage in STAGES if stage == text), None)
    if found is None:
        raise _wrong("a stage", f"one of {', '.join(STAGES)}", text)
    return found


def _wrong(what: str, expected: str, text: str) -> InvalidInput:
    got = shown(text)
    return InvalidInput(f"{what}: expected {expected}, got {got}", expected=expected, got=got)
