"""Does the model load, and does it answer? Everything that can go wrong before a replica starts goes wrong here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.artifact.bundle import Environment
from tidegate.artifact.environment import compare_versions, environment_of, imported_modules
from tidegate.artifact.inspect import ArtifactLimits, inspect_artifact
from tidegate.artifact.memory import PeakMemory, largest_child_peak
from tidegate.artifact.processor import cpu_seconds_of
from tidegate.artifact.sample import check_columns, read_sample, rows_to_try
from tidegate.contract.errors import InvalidInput, NotTrusted, TidegateError
from tidegate.runtime.base import Columns, Derived, Derives, LoadOptions, Model, Recognition, Signature
from tidegate.runtime.registry import get_runtime
from tidegate.runtime.rows import inputs_from_rows
from tidegate.runtime.signatures import fixed_rows

#: A model that took longer than this to be tried is not tried again to be timed.
_LONGEST_TRY_SECONDS = 5.0

#: What the formats are that are code themselves: there is nothing else to export them as.
_OWN_CODE = {
    "python": "Python code, which runs when it is loaded",
    "command": "a server's command line, which would be run",
    "tensorflow-savedmodel": "a SavedModel whose graph can reach beyond the model",
}


@dataclass(frozen=True)
class Checked:
    """An artifact that loaded and answered.

    Attributes:
        sample: the rows that it answered, in the signature's own terms.
        memory_bytes: peak resident memory that loading and answering added to this process; of an opaque model, the
            peak of its largest process.
        cpu_seconds: processor time of one prediction for one row, by the warm model with one thread; None where that
            cannot be told, as of an opaque model.
        warnings: what the user should know although it is no error.
    """

    recognition: Recognition
    signature: Signature
    sample: Sequence[Mapping[str, Any]]
    environment: Environment
    memory_bytes: int
    cpu_seconds: float | None = None
    warnings: Sequence[str] = field(default_factory=tuple)


def check_artifact(
    path: Path,
    *,
    framework: str | None = None,
    trust: bool = False,
    sample_path: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    limits: ArtifactLimits | None = None,
    derived: Path | None = None,
) -> Checked:
    """Recognise, load and try an artifact, in this process.

    Args:
        path, framework, trust, sample_path, settings: as in `BuildRequest`.
        limits: None for the usual ones.
        derived: an empty folder for what the runtime makes of the artifact; None serves the artifact itself.

    Raises:
        NotTrusted: loading would run code of the file and `trust` is False, or it would do what no model needs.
        InvalidInput: anything else that is wrong with the file, the sample or the installed framework.
    """
    peak = PeakMemory()
    files, recognition = inspect_artifact(path, framework, limits)
    require_trust(path, recognition, trust=trust)
    runtime = get_runtime(recognition.runtime)
    maker = get_runtime(recognition.delegate or recognition.runtime)
    warnings = compare_versions(recognition, maker)
    sample = None if sample_path is None or recognition.opaque else read_sample(sample_path)
    options = LoadOptions(trusted=trust, sample=sample, sample_path=sample_path, settings=settings or {})
    made = Derived()
    try:
        if derived is not None and isinstance(runtime, Derives):
            made = runtime.derive(files, options, derived)
            if made.packages:
                options = replace(options, derived=derived)
        model = runtime.load(files, options)
    except TidegateError as error:
        raise _with_versions(error, warnings) from error
    try:
        signature = model.signature
        started = time.perf_counter()
        rows = [] if signature.kind == "opaque" else _tried(model, sample, sample_path)
        grown = peak.growth()
        took = time.perf_counter() - started
        cpu_seconds = _cpu_seconds(model, rows) if rows and took <= _LONGEST_TRY_SECONDS else None
    finally:
        model.close()
    return Checked(
        recognition=recognition,
        signature=signature,
        sample=rows,
        environment=environment_of(maker, imported_modules(recognition), made.packages),
        memory_bytes=largest_child_peak() if recognition.opaque else grown,
        cpu_seconds=cpu_seconds,
        warnings=(*warnings, *made.warnings),
    )


def require_trust(path: Path, recognition: Recognition, *, trust: bool) -> None:
    """Refuse an artifact that would run code of its own.

    Raises:
        NotTrusted: it needs trust and has none, or it holds what no model needs, which trust does not change.
    """
    if recognition.dangerous:
        raise NotTrusted(
            f"{path.name} would do what no model needs: {_listed(recognition.dangerous[:10])}. It was not loaded.",
            subject=str(path),
            expected="a model",
            got=_listed(recognition.reasons),
            hint="This is what malicious files look like, and --trust does not change it. Do not open it; ask where it "
            "comes from. If it is your own, save the model without that part, or as skops or ONNX.",
        )
    if recognition.needs_trust and not trust and recognition.format in _OWN_CODE:
        raise NotTrusted(
            f"{path.name} is {_OWN_CODE[recognition.format]}. It was not loaded.",
            subject=str(path),
            got=_listed(recognition.reasons),
            hint="If you wrote it yourself, or have read it, give the same command with --trust.",
        )
    if recognition.needs_trust and not trust:
        what = "a pickle" if recognition.format in ("pickle", "joblib") else f"a {recognition.format} file"
        raise NotTrusted(
            f"{path.name} is {what}, which can run code of its own when it is loaded. It was not loaded.",
            subject=str(path),
            got=_listed(recognition.reasons),
            hint="If you made this file yourself, give the same command with --trust. If not, ask for the model as "
            "skops (skops.io.dump(model, 'model.skops')) or ONNX, which need no trust.",
        )


def _listed(reasons: Sequence[str]) -> str:
    """Join reasons into one sentence, saying "it imports" once."""
    prefix = "it imports "
    imports = [reason.removeprefix(prefix) for reason in reasons if reason.startswith(prefix)]
    others = [reason for reason in reasons if not reason.startswith(prefix)]
    return "; ".join([*([prefix + ", ".join(imports)] if imports else []), *others])


def _with_versions(error: TidegateError, warnings: Sequence[str]) -> TidegateError:
    """Add the likely cause to an error of loading: another version wrote the file."""
    if warnings and isinstance(error, InvalidInput) and not isinstance(error, NotTrusted):
        version = warnings[0].partition(". ")[0]
        return InvalidInput(
            error.message,
            subject=error.subject,
            expected=error.expected,
            got=error.got,
            hint=f"{version}. {error.hint or ''}".strip(),
        )
    return error


def _tried(model: Model, sample: Sequence[Mapping[str, Any]] | None, sample_path: Path | None) -> list[dict[str, Any]]:
    """Return the rows that the model answered."""
    if sample is not None and sample_path is not None:
        check_columns(model.signature, sample, sample_path)
    rows = rows_to_try(model, sample)
    _try(model, rows, made_up=sample is None)
    return rows


def _cpu_seconds(model: Model, rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return what a request with one row takes, or with as many as the model must have; see `Checked`."""
    count = fixed_rows(model.signature) or 1
    return cpu_seconds_of(model, inputs_from_rows(model.signature.inputs, rows[:count]))


def _try(model: Model, rows: Sequence[Mapping[str, Any]], *, made_up: bool) -> None:
    inputs = inputs_from_rows(model.signature.inputs, rows)
    try:
        outputs = model.predict(inputs)
    except InvalidInput:
        raise
    except Exception as error:
        text = error.message if isinstance(error, TidegateError) else f"{type(error).__name__}: {error}"
        raise InvalidInput(
            f"The model loads, and fails on {'a made-up row' if made_up else 'the sample'}.",
            got=" ".join(text.split())[:500],
            hint="Give a few typical rows with --sample rows.json (or .csv)." if made_up else None,
        ) from error
    _check_outputs(model.signature, outputs, len(rows))


def _check_outputs(signature: Signature, outputs: Columns, rows: int) -> None:
    for spec in signature.outputs:
        answer = outputs.get(spec.name)
        if not isinstance(answer, np.ndarray) or answer.ndim != len(spec.shape) or len(answer) != rows:
            raise InvalidInput(
                f"The model's output {spec.name!r} is not what its signature says.",
                expected=f"{spec.datatype} of shape {[rows, *spec.shape[1:]]}",
                got=f"{answer.dtype} of shape {list(answer.shape)}" if isinstance(answer, np.ndarray) else str(answer),
            )
