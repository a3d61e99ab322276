"""Mutants of a MOJO: its members are changed, since most changes of the zip itself only show that it is damaged."""

from __future__ import annotations

import io
import random
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping

from tests.runtime.mojo.damage import NASTY

#: Changes bytes as the fuzzer sees fit: `atheris.Mutate`, which uses what comparisons in the code asked for.
Guided = Callable[[bytes, int], bytes]

#: A share of mutants is of the zip's own bytes, or of the whole of a member.
_OF_ZIP, _OF_MEMBERS = 0.03, 0.05
_MORE_BYTES = 64
_NUMBER = re.compile(rb"(?<![\w.])-?[0-9][0-9.eE+-]*(?![\w])")
_TEXTS = (".ini", ".txt", "names", "losses", "vocabulary", "feature_map", "sorted")
_INTS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def members_of(data: bytes) -> dict[str, bytes] | None:
    """Return what is in a zip; None where it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {entry.filename: archive.read(entry) for entry in archive.infolist() if entry.file_size < 1 << 20}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
        return None


def zip_of(members: Mapping[str, bytes], *, packed: bool = False) -> bytes:
    """Return a zip without times, so that the same members make the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, archive.compression)
    return out.getvalue()


def mutant(data: bytes, most: int, rng: random.Random, guided: Guided) -> bytes:
    """Return a mutant of at most `most` bytes; the data themselves where that cannot be."""
    members = members_of(data)
    if not members or rng.random() < _OF_ZIP:
        return guided(data, most)
    for _ in range(1 + int(rng.random() < 0.3)):
        _change(members, rng, guided)
    made = zip_of(members)
    return made if len(made) <= most else data


def crossed(data: bytes, other: bytes, most: int, rng: random.Random) -> bytes:
    """Return a MOJO with some members of another one."""
    members, others = members_of(data), members_of(other)
    if not members or not others:
        return data
    common = sorted(members.keys() & others.keys()) or sorted(members)
    for name in rng.sample(common, min(len(common), rng.randint(1, 3))):
        members[name] = others.get(name, others[rng.choice(sorted(others))])
    made = zip_of(members)
    return made if len(made) <= most else data


def _change(members: dict[str, bytes], rng: random.Random, guided: Guided) -> None:
    if not members:
        return
    names = sorted(members)
    # As often a text as a blob, however many there are of each.
    texts = [name for name in names if name.endswith(_TEXTS)]
    blobs = [name for name in names if not name.endswith(_TEXTS)]
    name = rng.choice(rng.choice([kind for kind in (texts, texts[-1:], blobs) if kind]))
    content = members[name]
    if rng.random() < _OF_MEMBERS:
        if rng.random() < 0.5:
            del members[name]
        else:
            members[name] = members[rng.choice(names)]
    elif rng.random() < 0.3:
        members[name] = guided(content, len(content) + _MORE_BYTES)
    elif name in texts:
        members[name] = _changed_text(content, rng)
    else:
        members[name] = _changed_bytes(content, rng)


def _changed_text(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    way = rng.random()
    if way < 0.5:
        numbers = list(_NUMBER.finditer(content))
        if numbers:
            found = rng.choice(numbers)
            return content[: found.start()] + _other_number(found[0], rng) + content[found.end() :]
    elif way < 0.6:
        key, equals, _ = lines[place].partition(b"=")
        value = rng.choice(lines).rpartition(b"=")[2] if rng.random() < 0.5 else b" " + rng.choice(NASTY).encode()
        lines[place] = key + equals + value
    elif way < 0.75:
        parts = lines[place].split(b",")
        if len(parts) > 1 and rng.random() < 0.5:
            del parts[rng.randrange(1, len(parts))]
        else:
            parts.insert(rng.randrange(len(parts) + 1), b" " + rng.choice(NASTY).encode())
        lines[place] = b",".join(parts)
    elif way < 0.85:
        del lines[place]
    else:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return b"\n".join(lines)


def _other_number(number: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.5 and number.lstrip(b"-").isdigit() and len(number) < 18:
        return str(int(number) + rng.choice((-2, -1, 1, 2, int(number)))).encode()
    return rng.choice(NASTY).encode()


def _changed_bytes(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return rng.randbytes(rng.randrange(40))
    place = rng.randrange(len(content))
    way = rng.random()
    if way < 0.6:
        size = rng.choice((1, 1, 1, 2, 4, 8))
        number = (rng.choice(_INTS) & ((1 << 8 * size) - 1)).to_bytes(size, rng.choice(("little", "big")))
        return content[:place] + number + content[place + size :]
    if way < 0.75:
        return content[:place] + bytes((content[place] ^ (1 << rng.randrange(8)),)) + content[place + 1 :]
    if way < 0.85:
        return content[:place]
    end = min(len(content), place + rng.choice((1, 4, 5, 8, 40)))
    if way < 0.95:
        return content[:end] + content[place:end] + content[end:]
    return content[:place] + content[end:]
