"""Which models of the matrix are held to what: H2O's scorer, its cluster, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.runtime.mojo.matrix.kept import read_index

Entry = Mapping[str, Any]

ENTRIES: list[Entry] = read_index()["models"]
#: Smoothers whose columns genmodel writes to the wrong places or cannot compute; rules over a level called null or a
#: column called by a number, which it cannot read and does not need; columns that were made of categories, whose levels
#: only the columns' names say; ensembles of models that number levels otherwise; offsets that it ignores or refuses;
#: networks whose encoding it cannot read: the cluster's answers are the right ones.
RIGHT_IN_THE_CLUSTER = (
    "gam_i_splines",
    "gam_m_splines_3",
    "gam_thin_plate_standardized",
    "rulefit_odd",
    "xgboost_encoded_one_hot_explicit",
    "kmeans_encoded_one_hot",
    "extended_isolation_forest_one_hot",
    "stacked_encoded",
    "stacked_sorted",
    "gam_cubic_offset",
    "deep_learning_offset",
    "deep_learning_encoded_enum_limited",
    "deep_learning_limited_levels",
)
BY_CLUSTER = [entry for entry in ENTRIES if entry["name"].startswith(RIGHT_IN_THE_CLUSTER)]
REFUSED = [e for e in ENTRIES if ("failure" in e or "to_be_refused" in e) and e not in BY_CLUSTER]
LOADED = [entry for entry in ENTRIES if entry not in REFUSED and entry not in BY_CLUSTER]
#: A low rank model with an `exp` in its loss: its last bit may end the search for the factors a step earlier or later.
SEARCHED_BY_EXP = "glrm_poisson"


def named(entries: Sequence[Entry]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=[entry["name"] for entry in entries])
