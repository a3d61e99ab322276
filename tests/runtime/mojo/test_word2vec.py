"""Vectors of words, from a small model that H2O trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.runtime.mojo.damage import Memory, entries_of
from tests.runtime.mojo.numeric_models import model
from tidegate import mojo
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.registry import read_model
from tidegate.runtime.mojo.word2vec import Word2Vec

FILE = Path(__file__).parent / "data" / "small" / "word2vec.zip"
#: H2O's scorer says so of "cat".
CAT = [
    0.24758845567703247,
    -0.3221350312232971,
    0.3030824363231659,
    0.13982783257961273,
    0.12418518215417862,
    0.28301358222961426,
    -0.1780577301979065,
]


@pytest.fixture(scope="module")
def words() -> Word2Vec:
    scorer = read_model(Memory(entries_of(FILE)))
    assert isinstance(scorer, Word2Vec)
    return scorer


def test_a_word_has_h2os_vector(words: Word2Vec) -> None:
    vector = words.vector("cat")
    assert vector is not None
    assert vector.astype(np.float64).tolist() == CAT


@pytest.mark.parametrize("word", ["über", "back\\slash", "a b"])
def test_words_are_unescaped(words: Word2Vec, word: str) -> None:
    assert words.vector(word) is not None


def test_an_unknown_word_has_no_vector(words: Word2Vec) -> None:
    assert words.vector("Cat") is None
    assert np.isnan(words.transform(["Cat", None])).all()


def test_a_vector_that_was_given_out_may_be_changed(words: Word2Vec) -> None:
    vector = words.vector("cat")
    assert vector is not None
    vector[:] = 0
    assert words.transform(["cat"])[0].astype(np.float64).tolist() == CAT


def test_a_sentence_is_the_mean_of_its_known_words(words: Word2Vec) -> None:
    expected = (words.transform(["the"])[0] + words.transform(["cat"])[0]) / np.float32(2)
    assert words.average(["the", "cat", "unknown"]).tolist() == expected.tolist()
    assert np.isnan(words.average(["unknown"])).all()


def test_a_model_that_was_loaded_tells_the_vector_of_a_sentence(words: Word2Vec) -> None:
    loaded = mojo.load(FILE)
    assert loaded.average(iter(["the", None, "cat"])).tolist() == words.average(["the", "cat"]).tolist()
    assert len(loaded.average([])) == len(loaded.outputs)


def test_a_sentence_is_no_list_of_its_letters() -> None:
    with pytest.raises(InvalidInput, match="list of words"):
        mojo.load(FILE).average("the cat")


def test_other_models_have_no_vectors() -> None:
    with pytest.raises(MojoUnsupportedError, match="Word2Vec"):
        model("dl_value").average(["the"])


def test_rows_of_numbers_are_refused(words: Word2Vec) -> None:
    with pytest.raises(MojoUnsupportedError):
        words.score(np.zeros((1, 1)))


def test_vectors_of_another_size_are_refused() -> None:
    entries = entries_of(FILE)
    entries["vectors"] = entries["vectors"][:-4]
    with pytest.raises(MojoFormatError, match="vectors"):
        read_model(Memory(entries))
