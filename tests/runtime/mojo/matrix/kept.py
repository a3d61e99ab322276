"""The kept files: one zip and one array file per model, rows that models share, and an index."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Expected:
    """What H2O says of the rows of a model; see `genmodel.Judged` for the shapes.

    Attributes:
        cluster: what the cluster itself predicts for the first rows, None where it was not asked.
        more: of tree models: see `insight.insights`.
    """

    outputs: tuple[str, ...]
    values: NDArray[np.float64]
    labels: tuple[str, ...]
    calibrated: NDArray[np.float64]
    refusals: tuple[str, ...]
    strict_refusals: tuple[str, ...]
    cluster_outputs: tuple[str, ...]
    cluster: NDArray[np.float64] | None
    more: dict[str, NDArray[Any]]


def write_expected(path: Path, judged: Any, predicted: Any, more: dict[str, Any]) -> None:
    """Write what genmodel and the cluster say."""
    arrays: dict[str, Any] = {
        "outputs": np.array(judged.outputs, dtype=np.str_),
        "values": judged.values,
        "labels": np.array(judged.labels, dtype=np.str_),
        "calibrated": judged.calibrated,
    }
    for name, texts in (("refusals", judged.refusals), ("strict_refusals", judged.strict_refusals)):
        different, codes = np.unique(np.array(texts, dtype=np.str_), return_inverse=True)
        arrays |= {f"{name}_texts": different, f"{name}_codes": codes.astype(np.int16)}
    if predicted is not None:
        arrays |= {"cluster_outputs": np.array(predicted[0], dtype=np.str_), "cluster": predicted[1]}
    np.savez_compressed(path, **arrays, **{f"more_{name}": array for name, array in more.items()})


def read_expected(path: Path) -> Expected:
    """Read what `write_expected` wrote."""
    with np.load(path, allow_pickle=False) as kept:
        arrays = dict(kept)

    def texts(name: str) -> tuple[str, ...]:
        return tuple(arrays[f"{name}_texts"][arrays[f"{name}_codes"]].tolist())

    return Expected(
        outputs=tuple(arrays["outputs"].tolist()),
        values=arrays["values"],
        labels=tuple(arrays["labels"].tolist()),
        calibrated=arrays["calibrated"],
        refusals=texts("refusals"),
        strict_refusals=texts("strict_refusals"),
        cluster_outputs=tuple(arrays["cluster_outputs"].tolist()) if "cluster_outputs" in arrays else (),
        cluster=arrays.get("cluster"),
        more={name.removeprefix("more_"): array for name, array in arrays.items() if name.startswith("more_")},
    )


def read_index(folder: Path = DATA) -> dict[str, Any]:
    """Return the index: `models`, and `not_made` with H2O's reasons."""
    found: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return found


def write_index(folder: Path, index: dict[str, Any]) -> None:
    """Write the index, one model per line, so that a change of one is a line of a diff."""
    lines = [f'{{"h2o_version": {json.dumps(index["h2o_version"])}']
    for key in ("models", "not_made"):
        entries = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index[key])
        lines.append(f"{json.dumps(key)}: [\n{entries}\n]")
    (folder / "index.json").write_text(",\n".join(lines) + "}\n", encoding="utf-8")
