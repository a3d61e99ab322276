"""MOJO pipelines: models whose predictions are features of another one (format section 13.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.info import MAX_COLUMNS
from tidegate.runtime.mojo.nested import Picker, Submodels, places_of
from tidegate.runtime.mojo.scorer import Rows, Scorer


@dataclass(frozen=True)
class Step:
    """A model before the main one.

    Attributes:
        picks: its row from the pipeline's.
        outputs, targets: which of its scores go where in the main model's row.
    """

    scorer: Scorer
    picks: Picker
    outputs: NDArray[np.intp]
    targets: NDArray[np.intp]


@dataclass(frozen=True)
class Pipeline:
    """The models before the main one, and the main one.

    Attributes:
        copied: shape (2, columns): a feature's place in our row, and in the main model's.
    """

    header: Header
    steps: tuple[Step, ...]
    main_model: Scorer
    copied: NDArray[np.intp]

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.main_model.outputs

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the main model's scores; offsets do not count."""
        inner = np.full((len(rows), self.main_model.header.n_features), np.nan)
        inner[:, self.copied[1]] = rows[:, self.copied[0]]
        for step in self.steps:
            inner[:, step.targets] = step.scorer.score(step.picks(rows))[:, step.outputs]
        return self.main_model.score(inner)


def read(container: Container, header: Header, depth: int) -> Pipeline:
    """Read the models.

    Raises:
        MojoFormatError: they are damaged, or do not fit together.
        MojoUnsupportedError: a model cannot be scored.
    """
    keys = header.keys
    models = Submodels(container, header, depth)
    main_model = models[keys.text("main_model")]
    inner = places_of(main_model.header.features)
    generated: dict[str, list[tuple[int, int]]] = {}
    names = set()
    for number in range(keys.integer("generated_column_count", most=MAX_COLUMNS)):
        name = keys.text(f"generated_column_name_{number}")
        if name not in inner:
            raise MojoFormatError(MODEL_INI, f"the main model has no feature {name[:80]!r}")
        names.add(name)
        output = keys.integer(f"generated_column_index_{number}")
        generated.setdefault(keys.text(f"generated_column_model_{number}"), []).append((output, inner[name]))
    steps = tuple(_step(models[key], header, places) for key, places in generated.items())
    # A feature that the pipeline has as well is copied; one that it makes is made.
    own = places_of(header.features)
    copied = [(own[name], place) for name, place in inner.items() if name in own and name not in names]
    return Pipeline(header, steps, main_model, np.array(copied, np.intp).reshape(-1, 2).T.copy())


def _step(scorer: Scorer, header: Header, places: list[tuple[int, int]]) -> Step:
    if any(output >= len(scorer.outputs) for output, _ in places):
        raise MojoFormatError(MODEL_INI, f"generated_column_index: a model has only {len(scorer.outputs)} outputs")
    return Step(
        scorer,
        Picker(header.features, scorer.header.features),
        outputs=np.array([output for output, _ in places], np.intp),
        targets=np.array([target for _, target in places], np.intp),
    )
