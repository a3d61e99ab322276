"""A small text for Word2Vec, and the words whose vectors are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

VOCABULARY = (
    "tide",
    "gate",
    "water",
    "opens",
    "closes",
    "größer",
    "東京",
    "two\\n",
    "back\\slash",
    'q"uote',
    "#",
    "null",
    "1",
    "1.0",
)


def upload_words() -> Any:
    """Return 150 sentences as a frame of one word per row, a missing value after each sentence."""
    import h2o

    rng = np.random.default_rng(5)
    words: list[list[str | None]] = []
    for _ in range(150):
        start = int(rng.integers(len(VOCABULARY)))
        words += [[VOCABULARY[(start + int(step)) % len(VOCABULARY)]] for step in rng.integers(0, 4, 6)]
        words.append([None])
    return h2o.H2OFrame(words, column_types=["string"], column_names=["word"], destination_frame="words_table")


def asked() -> list[str]:
    """Return the words that the model may know, and others that it does not."""
    return [*VOCABULARY, "unknown", "Tide", "tide ", " tide", "tide gate", "01", "größer\n", "NaN"]
