"""Train the matrix: `python -m tests.runtime.mojo.matrix.make OUT [--port N] [--only TEXT]`."""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tests.runtime.mojo.matrix import cluster, genmodel, insight, kept, recipes_linear, recipes_others, recipes_trees
from tests.runtime.mojo.matrix.recipes import FRAME, Recipe
from tests.runtime.mojo.matrix.recipes_xgboost import xgboost
from tests.runtime.mojo.matrix.rows import read_rows, rows_of, write_rows
from tests.runtime.mojo.matrix.tables import CLEAN, odd, plain
from tests.runtime.mojo.matrix.words import asked, upload_words

_WITH_INSIGHT = ("gbm", "drf", "xgboost", "isolation_forest", "uplift")


def recipes() -> Iterator[Recipe]:
    """Return all of them; base models come before their ensembles."""
    trees, linear, others = recipes_trees, recipes_linear, recipes_others
    return chain(
        trees.gbm(), trees.drf(), trees.uplift(), trees.isolation(), xgboost(), linear.glm(), linear.gam(),
        linear.coxph(), linear.isotonic(), others.deep_learning(), others.unsupervised(), others.composites(),
        others.encoders(),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--port", type=int, default=54_771)
    parser.add_argument("--only", default="", help="make the models alone whose names begin so")
    given = parser.parse_args()
    for folder in ("models", "expected", "rows"):
        (given.out / folder).mkdir(parents=True, exist_ok=True)
    genmodel.start()
    with cluster.running(given.port):
        make(given.out, [recipe for recipe in recipes() if recipe.name.startswith(given.only)])


def make(out: Path, chosen: Sequence[Recipe]) -> None:
    """Train, export and score each recipe. What H2O refuses to train or to write goes to the index with its reason."""
    tables = (plain(), odd())
    rows: dict[str, list[dict[str, str]]] = {}
    for table in tables:
        write_rows(out / "rows" / f"{table.name}.csv.gz", *rows_of(table))
        rows[table.name] = read_rows(out / "rows" / f"{table.name}.csv.gz")
    write_rows(out / "rows" / "words.csv.gz", ["word"], [[text] for text in asked()])
    rows["words"] = read_rows(out / "rows" / "words.csv.gz")
    frames = {table.name: cluster.upload(table) for table in tables} | {"words": upload_words()}
    workshop = cluster.Workshop(frames)
    again = {recipe.name for recipe in chosen}
    index = _kept_of(out, again) | {"h2o_version": cluster.version()}
    for recipe in chosen:
        began = time.monotonic()
        try:
            entry = _made(out, recipe, workshop, rows[recipe.table])
        except Exception as error:  # noqa: BLE001 - h2o raises what its server says, in many classes
            index["not_made"].append({"name": recipe.name, "reason": _reason(error)})
            print(f"{recipe.name}: {_reason(error)}", flush=True)
            continue
        index["models"].append(entry)
        print(f"{recipe.name}: {time.monotonic() - began:.1f} s, {_summary(entry)}", flush=True)
    order = {recipe.name: place for place, recipe in enumerate(recipes())}
    for entries in (index["models"], index["not_made"]):
        entries.sort(key=lambda entry: order[entry["name"]])
    kept.write_index(out, index)


def _kept_of(out: Path, again: set[str]) -> dict[str, Any]:
    """Return what an index already says of models that are not made again, and are still in the matrix."""
    if not (out / "index.json").exists():
        return {"models": [], "not_made": []}
    stay = {recipe.name for recipe in recipes()} - again
    return {
        key: [entry for entry in kept.read_index(out)[key] if entry["name"] in stay] for key in ("models", "not_made")
    }


def _made(out: Path, recipe: Recipe, workshop: cluster.Workshop, rows: list[dict[str, str]]) -> dict[str, Any]:
    model = workshop.train(recipe)
    mojo = out / "models" / f"{recipe.name}.zip"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(model.download_mojo(folder), mojo)
    judged = genmodel.judge(mojo, rows)
    predicted, cluster_failure = _predicted(workshop, recipe, model)
    more = insight.insights(mojo, rows) if recipe.algorithm in _WITH_INSIGHT and judged.failure is None else {}
    expected = out / "expected" / f"{recipe.name}.npz"
    kept.write_expected(expected, judged, predicted, more)
    entry: dict[str, Any] = {
        "name": recipe.name,
        "algorithm": recipe.algorithm,
        "version": _version(mojo),
        "category": judged.category,
        "mojo": f"models/{mojo.name}",
        "expected": f"expected/{expected.name}",
        "rows": f"rows/{recipe.table}.csv.gz",
        "inputs": list(recipe.inputs),
        "response": recipe.response,
        "parameters": _shown(recipe.parameters),
        "refused_rows": sum(map(bool, judged.refusals)),
        "cluster_difference": _difference(judged, predicted),
    }
    extras = {
        "threshold": recipe.threshold,
        "base_models": list(recipe.base_models),
        "failure": judged.failure,
        "cluster_failure": cluster_failure,
    }
    notes = {"to_be_refused": recipe.to_be_refused, "notes": recipe.notes, "kept_besides": sorted(more)}
    return entry | {key: value for key, value in (extras | notes).items() if value}


def _predicted(workshop: cluster.Workshop, recipe: Recipe, model: Any) -> tuple[cluster.Predicted | None, str | None]:
    """Return what the cluster predicts, or why it cannot."""
    try:
        return workshop.predict(recipe, model), None
    except OSError as error:  # what h2o raises for an answer that says so
        return None, _reason(error)


def _difference(judged: genmodel.Judged, predicted: cluster.Predicted | None) -> float | None:
    """Return the worst relative difference between genmodel and the cluster in the clean rows that both score, in the
    columns that both have; None where the cluster was not asked."""
    if predicted is None or judged.values.size == 0:
        return None
    ours, theirs = judged.values[:CLEAN], predicted[1]
    if judged.calibrated.size:
        ours = np.hstack([ours, judged.calibrated[:CLEAN]])
    # The cluster has no distances of clusters, and standard errors that genmodel has not.
    shared = min(ours.shape[1], theirs.shape[1])
    ours, theirs = ours[:, :shared], theirs[:, :shared]
    both = np.isfinite(ours) & np.isfinite(theirs)
    scale = np.maximum(np.maximum(np.abs(ours), np.abs(theirs)), 1e-300)
    return float(np.max(np.abs(ours - theirs) / scale, initial=0.0, where=both))


def _version(mojo: Path) -> str:
    """Return the version of the format that a file says it has."""
    with zipfile.ZipFile(mojo) as archive:
        lines = archive.read("model.ini").decode().splitlines()
    return next(line.partition("=")[2].strip() for line in lines if line.startswith("mojo_version"))


def _shown(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "the training frame" if value is FRAME else value for name, value in parameters.items()}


def _summary(entry: Mapping[str, Any]) -> str:
    if "failure" in entry:
        return f"genmodel cannot load it: {entry['failure']}"
    return f"{entry['category']}, {entry['refused_rows']} refused, cluster differs by {entry['cluster_difference']}"


def _reason(error: Exception) -> str:
    """Return the message in one line, without what is of one run alone: keys of jobs, addresses, stack traces."""
    text = " ".join(str(error).split()).partition(" stacktrace: ")[0]
    text = re.sub(r"Job with key \S+ |from /[0-9.:]+: |https?://\S+|timestamp = \d+ ", "", text)
    text = " ".join(re.sub(r"<[^>]*>|^HTTP 500 Server Error: ", " ", text).split())
    return text[:300] or type(error).__name__


if __name__ == "__main__":
    main()
