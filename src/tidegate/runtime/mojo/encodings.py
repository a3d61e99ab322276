"""Which inputs a model takes, and where in the numeric row each of their values goes.

Most models take their own columns: a number as it is, a level as its code. Trees (from version 1.40) and networks
(from 1.10) may have been trained on columns that H2O made of the user's: then the file also holds the user's names and
levels, and the way from them to the row is done here. For other algorithms see `lost_encodings`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.info import MAX_LEVELS, lines_of_entry
from tidegate.runtime.mojo.lost_encodings import SILENT, lost_originals
from tidegate.runtime.mojo.text import integer_of, trim, unescaped

#: From this version on an algorithm's file says how categories were encoded.
_SAYS_ENCODING = {"gbm": 1.40, "drf": 1.40, "uplift": 1.40, "deep_learning": 1.10}
_IMPLICIT = ("AUTO", "Enum", "SortByResponse", "OneHotInternal")
_OTHER = "other"
_LIMITED = re.compile(r"(.+)\.top_[0-9]+_levels", re.DOTALL)


@dataclass(frozen=True)
class Field:
    """One input.

    Attributes:
        levels: those of the training in the order of their codes; None for a number.
        kind: a number; one value per level ("value"); one slot per level and one for missing ("one_hot"); the bits of
            the code plus one ("binary").
        first, width: the slots of the row.
        values: by text of a level the number that "value" writes, for the others its code. Some texts are no level
            of the training and stand for one all the same.
        marks_absence: a value that was left out is a missing one. Else its slots stay NaN, as in H2O's own scorer.
    """

    name: str
    levels: tuple[str, ...] | None
    kind: Literal["number", "value", "one_hot", "binary"]
    first: int
    width: int
    values: Mapping[str, float]
    marks_absence: bool = False


def fields_of(container: Container, header: Header) -> tuple[Field, ...]:
    """Return the inputs in the order in which a user knows them.

    Raises:
        MojoFormatError: what the file says of its encoding contradicts itself.
        MojoUnsupportedError: the file does not hold what its encoding takes.
    """
    encoding = _encoding(header)
    if encoding in _IMPLICIT:
        recovered = lost_originals(container, header) if header.algorithm in SILENT else None
        if recovered is None:
            return _plain(header)
        # H2O's own scorer has no answer here; its cluster takes a column that is not there as missing values.
        return tuple(replace(field, marks_absence=True) for field in _spread(header, *recovered, "OneHotExplicit"))
    names, domains = _originals(container, header)
    if encoding in ("OneHotExplicit", "Binary"):
        return tuple(_spread(header, names, domains, encoding))
    if len(names) != header.n_features:
        raise MojoFormatError(MODEL_INI, f"there are {len(names)} original inputs for {header.n_features} features")
    places: Sequence[int] = range(len(names))
    if encoding == "Eigen":
        values = _eigen(header, domains)
    elif encoding == "EnumLimited":
        places = _places_by_name(header, names, domains) if header.algorithm == "deep_learning" else places
        columns, new = zip(names, domains, places, strict=True), header.feature_domains
        values = [None if old is None else _limited(name, old, new[place]) for name, old, place in columns]
    else:
        values = [None if old is None else _labels(old) for old in domains]
    return tuple(
        _number(name, place) if own is None else Field(name, domain, "value", place, 1, own)
        for name, domain, place, own in zip(names, domains, places, values, strict=True)
    )


def _encoding(header: Header) -> str:
    since = _SAYS_ENCODING.get(header.algorithm)
    if since is None or header.version < since:
        return "AUTO"
    encoding = header.keys.find("_genmodel_encoding")
    if encoding is None:
        # H2O writes none for networks with enum_limited, and of them for these alone; it cannot load the file itself.
        return "EnumLimited" if header.algorithm == "deep_learning" and "_n_orig_names" in header.keys else "AUTO"
    if encoding not in (*_IMPLICIT, "OneHotExplicit", "Binary", "EnumLimited", "Eigen", "LabelEncoder"):
        raise MojoUnsupportedError(f"the encoding {encoding[:60]!r} of categories is not known")
    return encoding


def _plain(header: Header) -> tuple[Field, ...]:
    places = {name: place for place, name in enumerate(header.info.columns)}
    fields = []
    for place, (name, domain) in enumerate(zip(header.features, header.feature_domains, strict=True)):
        if places[name] != place:  # of a name that repeats, the last column counts; the others stay missing
            continue
        fields.append(_number(name, place) if domain is None else _coded(name, domain, place))
    return tuple(fields)


def _number(name: str, place: int) -> Field:
    return Field(name, None, "number", place, 1, {})


def _coded(name: str, levels: tuple[str, ...], place: int) -> Field:
    codes = {level: float(code) for code, level in enumerate(levels)}
    # What is no level may be one with the column's name before it.
    return Field(name, levels, "value", place, 1, {**_without(codes, f"{name}.", ""), **codes})


def _without(codes: Mapping[str, float], prefix: str, suffix: str) -> dict[str, float]:
    """Return what is between the prefix and the suffix of those texts that have both."""
    least = len(prefix) + len(suffix)
    return {
        text[len(prefix) : len(text) - len(suffix)]: code
        for text, code in codes.items()
        if len(text) >= least and text.startswith(prefix) and text.endswith(suffix)
    }


def _originals(container: Container, header: Header) -> tuple[list[str], list[tuple[str, ...] | None]]:
    """Return the user's columns that are inputs, and their levels, None for a number."""
    keys = header.keys
    names = _texts(container, "_orig_names", keys.integer("_n_orig_names"))
    count = keys.integer("_n_orig_domain_values")
    if count < len(names):
        raise MojoFormatError(MODEL_INI, f"{len(names)} original columns have {count} domains")
    domains: list[tuple[str, ...] | None] = []
    left = MAX_LEVELS
    for index in range(len(names)):
        levels = keys.integer(f"_m_orig_domain_values_{index}", 0, most=left)
        left -= levels
        file = f"_orig_domain_values_{index}"
        domains.append(tuple(_texts(container, file, levels)) if levels else None)
    others = header.info.columns[header.n_features :]
    while names and names[-1] in others:
        names.pop()
    return names, domains[: len(names)]


def _texts(container: Container, name: str, expected: int) -> list[str]:
    return [trim(unescaped(line)) for line in lines_of_entry(container, name, expected, "lines")]


def _spread(
    header: Header, names: Sequence[str], domains: Sequence[tuple[str, ...] | None], encoding: str
) -> Iterable[Field]:
    """Yield the fields of an encoding that takes several slots per category, numbers first."""
    numeric = sum(domain is None for domain in domains)
    place, number = numeric, 0
    fields = []
    for name, domain in zip(names, domains, strict=True):
        if domain is None:
            fields.append(_number(name, number))
            number += 1
            continue
        width = len(domain) + 1 if encoding == "OneHotExplicit" else len(domain).bit_length()
        codes = {level: float(code) for code, level in enumerate(domain)}
        fields.append(Field(name, domain, "one_hot" if encoding == "OneHotExplicit" else "binary", place, width, codes))
        place += width
    if place != header.n_features:
        raise MojoFormatError(MODEL_INI, f"{encoding} of the original columns takes {place} features, not n_features")
    return fields


def _eigen(header: Header, domains: Sequence[tuple[str, ...] | None]) -> list[dict[str, float] | None]:
    projection = header.keys.numbers("_orig_projection_array")
    values: list[dict[str, float] | None] = []
    base = 0
    for domain in domains:
        if domain is None:
            values.append(None)
            continue
        if base + len(domain) > len(projection):
            raise MojoFormatError(MODEL_INI, "_orig_projection_array has fewer values than there are levels")
        with np.errstate(over="ignore"):
            own = projection[base : base + len(domain)].astype(np.float32).astype(np.float64).tolist()
        values.append(dict(zip(domain, own, strict=True)))
        base += len(domain)
    return values


def _places_by_name(header: Header, names: Sequence[str], domains: Sequence[tuple[str, ...] | None]) -> Sequence[int]:
    """Return the feature that was made of each original column: the one of its name, or one of its most frequent
    levels. A network has its features in an order of its own, columns of levels first.

    Raises MojoUnsupportedError where there is no such feature: then the encoding is another one.
    """
    free = {feature: place for place, feature in enumerate(header.features)}
    limited = {match[1]: match[0] for match in map(_LIMITED.fullmatch, header.features) if match is not None}
    places = []
    for name, domain in zip(names, domains, strict=True):
        # An exact name comes first: a column of numbers may be called like one that was made.
        found = name if name in free else limited.get(name) if domain else None
        if found is None or found not in free:
            raise MojoUnsupportedError(
                "the model's categories were encoded, and its file does not say how",
                expected="_genmodel_encoding in model.ini, or columns made by enum_limited",
                got=f"no column that was made of {name[:80]!r}",
            )
        places.append(free.pop(found))
    return places


def _limited(name: str, old: Sequence[str], new: Sequence[str] | None) -> dict[str, float]:
    if new is None:
        raise MojoFormatError(MODEL_INI, f"EnumLimited: the feature made of {name!r} has no levels")
    codes = {level: float(code) for code, level in enumerate(new)}
    if _OTHER in codes:
        rest = codes[_OTHER]
        codes |= {level: rest for level in old if level not in codes}
        del codes[_OTHER]
    return {**_without(codes, f"{name}.top_", "_levels"), **codes}


def _labels(old: Sequence[str]) -> dict[str, float]:
    """Return the numbers that the levels spell; the code of one that spells none."""
    spelt = ((level, integer_of(level, 32), code) for code, level in enumerate(old))
    return {level: float(code if whole is None else whole) for level, whole, code in spelt}
