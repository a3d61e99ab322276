"""Word2Vec: vectors of words (format section 12.8). Words are no rows of numbers, so it has an interface of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.blobs import floats_of
from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.info import lines_of_entry
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.text import trim, unescaped

_VOCABULARY = "vocabulary"
_VECTORS = "vectors"


@dataclass(frozen=True)
class Word2Vec:
    """Words and their vectors.

    Attributes:
        words: the place of each word; matched exactly.
        vectors: shape (words, size), float32.
    """

    header: Header
    words: Mapping[str, int]
    vectors: NDArray[np.float32]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of a vector's numbers, as H2O's `transform` calls them."""
        return tuple(f"C{number + 1}" for number in range(self.vectors.shape[1]))

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Raise MojoUnsupportedError: a row of numbers has no words."""
        raise MojoUnsupportedError(
            "a Word2Vec model takes words, not rows of numbers", hint="use its `transform` or `average`"
        )

    def vector(self, word: str) -> NDArray[np.float32] | None:
        """Return the vector of a word, float32; None for an unknown word."""
        place = self.words.get(word)
        return None if place is None else self.vectors[place].copy()

    def transform(self, words: Sequence[str | None]) -> NDArray[np.float32]:
        """Return the vectors of words, shape (words, size); NaN for those that are unknown or missing."""
        places = np.array([-1 if word is None else self.words.get(word, -1) for word in words], np.intp)
        found = np.full((len(places), self.vectors.shape[1]), np.nan, np.float32)
        known = places >= 0
        found[known] = self.vectors[places[known]]
        return found

    def average(self, words: Iterable[str | None]) -> NDArray[np.float32]:
        """Return the mean of the vectors of those words that are known, shape (size,); NaN where none is.

        The sum is one of float32, in the order of the words, as H2O's is.
        """
        total = np.zeros(self.vectors.shape[1], np.float32)
        count = 0
        with np.errstate(over="ignore", invalid="ignore"):
            for word in words:
                place = None if word is None else self.words.get(word)
                if place is not None:
                    total += self.vectors[place]
                    count += 1
            return total / np.float32(count) if count else np.full_like(total, np.nan)


def read(container: Container, header: Header) -> Word2Vec:
    """Read the vectors. Raises MojoFormatError."""
    size = header.keys.integer("vec_size", least=1)
    count = header.keys.integer("vocab_size")
    if not count:
        raise MojoFormatError(_VOCABULARY, "has no words")
    lines = lines_of_entry(container, _VOCABULARY, count, "words")
    words = {trim(unescaped(line)): place for place, line in enumerate(lines)}
    return Word2Vec(header, words, floats_of(container, _VECTORS, count, size))
