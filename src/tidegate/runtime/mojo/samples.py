"""Tiny models of the common kinds, made up here, to compile what models of their kind run before there is any."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError

#: Inputs of each: a number, and a column with two levels.
_LEVELS = ("a", "b")
_TREES = {"n_trees": 1, "n_trees_per_class": 1, "_genmodel_encoding": "AUTO"}
_LINEAR = {
    "use_all_factor_levels": "true",
    "cats": 1,
    "cat_offsets": [0, 2],
    "nums": 1,
    "mean_imputation": "true",
    "num_means": [0.0],
    "cat_modes": [0],
}
_WEIGHTS = {
    "nums": 1,
    "cats": 1,
    "cat_offsets": [0, 3],
    "norm_mul": [1.0],
    "norm_sub": [0.0],
    "use_all_factor_levels": "true",
    "activation": "Rectifier",
    "mean_imputation": "true",
    "cat_modes": [0],
    "_genmodel_encoding": "AUTO",
}


def samples() -> Iterator[tuple[str, Container]]:
    """Yield what each model is, and its file: forests for two classes and for numbers, and so on."""
    leaf = {"trees/t00_000.bin": b"\x00\xff\xff" + struct.pack("<f", 0.5)}
    two = {"category": "Binomial", "supervised": "true", "n_classes": 2}
    number = {"category": "Regression", "supervised": "true"}
    bernoulli = {"distribution": "bernoulli", "link_function": "logit", "init_f": 0.0}
    gaussian = {"distribution": "gaussian", "link_function": "identity", "init_f": 0.0}
    yield "GBM, two classes", _model("Gradient Boosting Machine", 1.4, {**two, **_TREES, **bernoulli}, leaf)
    yield "GBM", _model("Gradient Boosting Machine", 1.4, {**number, **_TREES, **gaussian}, leaf)
    drf = {**_TREES, "binomial_double_trees": "false"}
    yield "DRF, two classes", _model("Distributed Random Forest", 1.4, {**two, **drf}, leaf)
    yield "DRF", _model("Distributed Random Forest", 1.4, {**number, **drf}, leaf)
    isolation = {"category": "AnomalyDetection", "max_path_length": 2, "min_path_length": 1, **_TREES}
    yield "isolation forest", _model("Isolation Forest", 1.4, {**isolation, "output_anomaly_flag": "false"}, leaf)
    beta = {"beta": [0.1, 0.2, 0.3, 0.4], **_LINEAR}
    yield (
        "GLM",
        _model("Generalized Linear Modeling", 1.0, {**number, **beta, "family": "gaussian", "link": "identity"}),
    )
    yield (
        "GLM, two classes",
        _model("Generalized Linear Modeling", 1.0, {**two, **beta, "family": "binomial", "link": "logit"}),
    )
    three = {"category": "Multinomial", "supervised": "true", "n_classes": 3}
    betas = {**_LINEAR, "beta": [0.1] * 12, "family": "multinomial", "link": "multinomial"}
    yield "GLM, three classes", _model("Generalized Linear Modeling", 1.0, {**three, **betas})
    centres: dict[str, object] = {
        "standardize": "true",
        "standardize_means": [0.0, "NaN"],
        "standardize_mults": [1.0, 1.0],
    }
    centres |= {"standardize_modes": [-1, 0], "center_num": 1, "center_0": [0.0, 0.0]}
    yield "K-means", _model("K-means", 1.0, {"category": "Clustering", **centres})
    yield "deep learning", _model("Deep Learning", 1.1, {**two, **_WEIGHTS, "distribution": "bernoulli", **_layers(2)})
    booster = {"nums": 1, "cats": 1, "cat_offsets": [0, 3], "use_all_factor_levels": "true", "sparse": "false"}
    booster |= {"booster": "gbtree", "ntrees": 1, "has_offset": "false"}
    yield "XGBoost", _model("XGBoost", 1.1, {**two, **booster}, {"boosterBytes": _booster()})


class _Entries:
    """A container of entries in memory."""

    def __init__(self, entries: Mapping[str, bytes], place: str = "") -> None:
        self._entries = entries
        self.place = place

    def has(self, name: str) -> bool:
        return name in self._entries

    def size(self, name: str) -> int:
        return len(self.read(name))

    def read(self, name: str) -> bytes:
        if name not in self._entries:
            raise MojoFormatError(name, "is missing")
        return self._entries[name]

    def below(self, folder: str) -> Container:
        start = f"{folder.rstrip('/')}/"
        found = {k.removeprefix(start): data for k, data in self._entries.items() if k.startswith(start)}
        return _Entries(found, self.place + start)


def _model(
    algorithm: str, version: float, keys: Mapping[str, object], entries: Mapping[str, bytes] | None = None
) -> Container:
    """Return the file of a model; inputs of linear models and their like come with levels first."""
    names = ["kind", "size"] if "cat_offsets" in keys else ["size", "kind"]
    domains: list[tuple[int, tuple[str, ...]]] = [(names.index("kind"), _LEVELS)]
    if keys.get("supervised") == "true":
        names.append("response")
        classes = int(str(keys.get("n_classes", 1)))
        domains += [(2, tuple(map(str, range(classes))))] if classes > 1 else []
    info = {"algorithm": algorithm, "mojo_version": version, "n_features": 2, "n_columns": len(names), **keys}
    lines = ["[info]", *(f"{key} = {value}".replace("'", "") for key, value in info.items())]
    lines += ["[columns]", *names, "[domains]"]
    found = dict(entries or {})
    for place, levels in domains:
        lines.append(f"{place}: {len(levels)} d{place}.txt")
        found[f"domains/d{place}.txt"] = "".join(f"{level}\n" for level in levels).encode()
    return _Entries({**found, MODEL_INI: "\n".join(lines).encode()})


def _layers(outputs: int) -> dict[str, object]:
    sizes = [4, 2, outputs]
    found: dict[str, object] = {"neural_network_sizes": sizes, "hidden_dropout_ratios": [0.0, 0.0]}
    for layer in range(2):
        found[f"weight_layer{layer}"] = [0.1] * (sizes[layer] * sizes[layer + 1])
        found[f"bias_layer{layer}"] = [0.0] * sizes[layer + 1]
    return found


def _booster() -> bytes:
    """Return a booster of one tree that is one leaf, in XGBoost's old format."""
    head = b"binf" + struct.pack("<fIiiiII", 0.5, 4, 0, 0, 0, 1, 6) + bytes(27 * 4)
    names = b"".join(struct.pack("<Q", len(name)) + name for name in (b"binary:logistic", b"gbtree"))
    trees = struct.pack("<iiiiqii", 1, 1, 4, 0, 0, 1, 0) + bytes(32 * 4)
    tree = struct.pack("<6i", 1, 1, 0, 0, 0, 0) + bytes(31 * 4) + struct.pack("<iiiIf", -1, -1, -1, 0, 0.5) + bytes(16)
    return head + names + trees + tree + struct.pack("<i", 0)
