"""Small models against the answers of H2O's own scorer, and damaged ones.

Files of `data/small`: models without what only explains them; for each a table of rows and answers, `error` for a row
that H2O's scorer refuses.
"""

from __future__ import annotations

import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.mojo.damage import Memory, damaged, entries_of
from tidegate.runtime.mojo.container import open_container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.registry import read_model
from tidegate.runtime.mojo.scorer import Scorer

DATA = Path(__file__).parent / "data" / "small"
NAMES = sorted(path.stem for path in DATA.glob("*.csv"))
#: Reading one damaged model takes milliseconds.
SECONDS = 5.0


def table(name: str) -> tuple[NDArray[np.float64], list[list[float] | None]]:
    """Return rows, and H2O's answer to each; None for an error."""
    rows, answers = [], []
    for line in (DATA / f"{name}.csv").read_text().splitlines():
        row, _, answer = line.partition(";")
        rows.append([float(value) for value in row.split(",")])
        answers.append(None if answer == "error" else [float(value) for value in answer.split(",")])
    return np.array(rows), answers


def model(name: str) -> Scorer:
    return read_model(open_container(DATA / f"{name}.zip"))


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_h2os_scorer(name: str) -> None:
    scorer = model(name)
    rows, answers = table(name)
    good = [place for place, answer in enumerate(answers) if answer is not None]
    assert good
    scores = scorer.score(rows[good] if len(good) < len(rows) else rows)
    expected = np.array([answers[place][: len(scorer.outputs)] for place in good])  # type: ignore[index]
    assert scores.shape == (len(good), len(scorer.outputs))
    np.testing.assert_allclose(scores, expected, rtol=1e-12, atol=0.0, equal_nan=True)
    if scorer.header.is_classifier:
        assert (scores[:, 0] == expected[:, 0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_row_that_h2os_scorer_refuses_is_refused(name: str) -> None:
    scorer = model(name)
    rows, answers = table(name)
    for place in (place for place, answer in enumerate(answers) if answer is None):
        with pytest.raises(MojoRowError):
            scorer.score(rows[place : place + 1])


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("glrm")])
def test_a_row_alone_scores_as_among_others(name: str) -> None:
    scorer = model(name)
    rows, answers = table(name)
    good = np.array([place for place, answer in enumerate(answers) if answer is not None])
    together = scorer.score(rows[good])
    alone = np.concatenate([scorer.score(rows[place : place + 1]) for place in good])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_have_no_scores(name: str) -> None:
    scorer = model(name)
    assert scorer.score(np.empty((0, scorer.header.n_features))).shape == (0, len(scorer.outputs))


@pytest.mark.parametrize("name", ["coxph_ints_false", "glrm_reg_l1", "klime_all", "ensemble_bin_glm_logit_trees"])
def test_threads_do_not_disturb_each_other(name: str) -> None:
    scorer = model(name)
    rows, answers = table(name)
    rows = rows[[answer is not None for answer in answers]]
    expected = scorer.score(rows)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(scorer.score, [rows] * 16):
            np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.zip")))
def test_a_damaged_model_is_refused_or_scores(name: str) -> None:
    entries = entries_of(DATA / f"{name}.zip")
    rng = random.Random(name)
    with contextlib.suppress(MojoUnsupportedError, MojoRowError):  # kernels are compiled before the clock runs
        whole = read_model(Memory(entries))
        whole.score(np.zeros((1, whole.header.n_features)))
    for _ in range(60):
        case = damaged(entries, rng)
        began = time.process_time()
        with contextlib.suppress(MojoFormatError, MojoUnsupportedError, MojoRowError):
            scorer = read_model(Memory(case))
            rows = np.array([[rng.choice([0.0, 1.0, 2.5, -1.0, np.nan, 40.0])] * scorer.header.n_features])
            assert scorer.score(rows).shape == (1, len(scorer.outputs))
        assert time.process_time() - began < SECONDS
