"""The files that fuzzing begins with: small models of every algorithm, and what earlier fuzzing kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tests.runtime.mojo.fuzz.mutate import members_of, zip_of

HERE = Path(__file__).resolve().parent
#: Mutants that reach code which no other file of them does; and what once went wrong, one file per cause.
CORPUS, FINDINGS = HERE / "corpus", HERE / "findings"
_MODELS = (HERE.parent / "data", HERE.parent / "matrix" / "data" / "models")
#: Small files are tried faster, and more of their bytes matter.
MOST_BYTES = 24_000
_MOST_DETAILS = 4_000


def kept() -> list[Path]:
    """Return the corpus and the findings."""
    return sorted([*CORPUS.glob("*.zip"), *FINDINGS.glob("*.zip")])


def seeds() -> Iterator[bytes]:
    """Yield each small model that there is, without what is not needed to score it."""
    for path in sorted(found for folder in _MODELS for found in folder.rglob("*.zip")):
        members = members_of(path.read_bytes()) or {}
        slim = {
            name: content
            for name, content in members.items()
            if not name.startswith("experimental/") or len(content) <= _MOST_DETAILS
        }
        made = zip_of(slim)
        if len(made) <= MOST_BYTES:
            yield made


def name_of(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:12]}.zip"
