"""What every MOJO says of itself, whatever its algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.info import Info, Keys, read_info

MAX_CLASSES = 100_000

#: Spellings of the key `algorithm`, which selects the reader, and the highest version that is known of each.
ALGORITHMS: dict[str, tuple[str, float]] = {
    "Gradient Boosting Machine": ("gbm", 1.40),
    "Gradient Boosting Method": ("gbm", 1.40),
    "Distributed Random Forest": ("drf", 1.40),
    "Isolation Forest": ("isolation_forest", 1.40),
    "Uplift Distributed Random Forest": ("uplift", 1.40),
    "Extended Isolation Forest": ("extended_isolation_forest", 1.00),
    "XGBoost": ("xgboost", 1.10),
    "Generalized Linear Modeling": ("glm", 1.00),
    "Generalized Linear Model": ("glm", 1.00),
    "Generalized Additive Model": ("gam", 1.00),
    "Deep Learning": ("deep_learning", 1.10),
    "deep learning": ("deep_learning", 1.10),
    "K-means": ("kmeans", 1.00),
    "Principal Components Analysis": ("pca", 1.00),
    "Generalized Low Rank Modeling": ("glrm", 1.10),
    "Generalized Low Rank Model": ("glrm", 1.10),
    "Cox Proportional Hazards": ("coxph", 1.00),
    "StackedEnsemble": ("stacked_ensemble", 1.01),
    "Stacked Ensemble": ("stacked_ensemble", 1.01),
    "RuleFit": ("rulefit", 1.00),
    "TargetEncoder": ("target_encoder", 1.00),
    "Word2Vec": ("word2vec", 1.00),
    "Isotonic Regression": ("isotonic", 1.00),
    "Support Vector Machine (*Spark*)": ("svm", 1.00),
    "k-LIME": ("klime", 1.00),
    "MOJO Pipeline": ("pipeline", 1.00),
}


@dataclass(frozen=True)
class Header:
    """The common part.

    Attributes:
        algorithm: our short name, a value of `ALGORITHMS`.
        version: of the format, such as 1.4.
        category: H2O's word, such as "Binomial".
        n_features: length of the row: columns 0 to n_features - 1.
        n_classes: 1 for regression and whatever has no classes.
        threshold: from which p1 on a two-class model says 1.
        prior, model_distribution: shares of classes in the training data, before and after balancing; None if unknown.
    """

    info: Info
    algorithm: str
    version: float
    category: str
    supervised: bool
    n_features: int
    n_classes: int
    balance_classes: bool
    threshold: float
    prior: NDArray[np.float64] | None
    model_distribution: NDArray[np.float64] | None

    @property
    def keys(self) -> Keys:
        return self.info.keys

    @cached_property
    def features(self) -> tuple[str, ...]:
        return self.info.columns[: self.n_features]

    @cached_property
    def feature_domains(self) -> tuple[tuple[str, ...] | None, ...]:
        return self.info.domains[: self.n_features]

    @property
    def response(self) -> str | None:
        """The response column; None without supervision."""
        return self.info.columns[-1] if self.supervised and self.info.columns else None

    @property
    def response_domain(self) -> tuple[str, ...] | None:
        """The classes as texts; None where the file names none."""
        return self.info.domains[-1] if self.supervised and self.info.domains else None

    @property
    def is_classifier(self) -> bool:
        return self.category in ("Binomial", "Multinomial", "Ordinal")

    @property
    def offset_column(self) -> str | None:
        return self.keys.find("offset_column")


def newest_of(named: str) -> tuple[str, float]:
    """Return our short name of an algorithm, and the newest version of its format that is read.

    Raises:
        MojoUnsupportedError: it is none that can be scored.
    """
    if named not in ALGORITHMS:
        raise MojoUnsupportedError(
            f"the algorithm {named!r} cannot be scored from a MOJO", expected=", ".join(sorted(set(ALGORITHMS)))
        )
    return ALGORITHMS[named]


def is_read(version: float, newest: float) -> bool:
    """Say whether a version of a format is read; a number is raised for what older readers must not guess at."""
    return 0.0 < version <= newest


def read_header(container: Container) -> Header:
    """Read `model.ini`.

    Raises:
        MojoFormatError: it is damaged.
        MojoUnsupportedError: the algorithm, its version or its byte order is none that can be scored.
    """
    info = read_info(container)
    keys = info.keys
    named = keys.text("algorithm")
    algorithm, newest = newest_of(named)
    version = keys.number("mojo_version")
    if not is_read(version, newest):
        raise MojoUnsupportedError(
            f"version {version:g} of the format of {named} is not known",
            expected=f"{newest:g} at most",
            got=f"{version:g}",
            hint="a newer H2O wrote it; H2O-3 up to 3.46 is known",
        )
    if keys.text("endianness", "LITTLE_ENDIAN") != "LITTLE_ENDIAN":
        raise MojoUnsupportedError("the model was written on a big-endian machine", expected="LITTLE_ENDIAN")
    n_features = keys.integer("n_features", most=len(info.columns))
    n_classes = keys.integer("n_classes", 1, most=MAX_CLASSES)
    domain = info.domains[-1] if info.domains and keys.flag("supervised", default=False) else None
    if n_classes > 1 and domain is not None and len(domain) != n_classes:
        raise keys.error("n_classes", f"n_classes is {n_classes}, and the response has {len(domain)} levels")
    return Header(
        info=info,
        algorithm=algorithm,
        version=version,
        category=keys.text("category", "Unknown"),
        supervised=keys.flag("supervised", default=False),
        n_features=n_features,
        n_classes=n_classes,
        balance_classes=keys.flag("balance_classes", default=False),
        threshold=keys.number("default_threshold", 0.5),
        prior=keys.find_numbers("prior_class_distrib"),
        model_distribution=keys.find_numbers("model_class_distrib"),
    )
