"""A Python class with `load` and `predict`: a `.py` file, or a folder with `model.py` and all that it needs.

The class is constructed without arguments. `load(self, folder)`, where it has one, is called once with the folder of
the artifact. `predict(self, inputs)` is called from several threads at once, each time with one or more rows, which may
be those of several requests; it answers for every row, in order. `close(self)`, where it has one, is called at the end.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tidegate.contract.errors import InvalidInput, NotTrusted, TidegateError
from tidegate.runtime.base import ArtifactFiles, Columns, LoadOptions, Model, Recognition, Signature, TensorSpec
from tidegate.runtime.columns import datatype_from_sample, sample_values
from tidegate.runtime.frames import FrameBuilder
from tidegate.runtime.frameworks import limit_threads
from tidegate.runtime.introspect import ColumnFacts
from tidegate.runtime.python_answers import CodeFailed, outputs_from_answer, specs_from_answer
from tidegate.runtime.python_import import import_from, line_of
from tidegate.runtime.python_source import SourceFacts, read_source
from tidegate.runtime.rows import inputs_from_rows, made_up_row, rows_from_inputs
from tidegate.runtime.settings import require_known
from tidegate.runtime.settings_file import read_settings_file, settings_of
from tidegate.runtime.tensor_documents import specs_from_documents
from tidegate.runtime.writable import writable

#: The module of a folder, and the class that is taken where there are several.
MODULE, CLASS = "model", "Model"

_SETTINGS = ("class", "inputs", "outputs", "inputType")
_INPUT_TYPES = ("arrays", "pandas", "records")
_MOST_REASONS = 20

log = logging.getLogger("tidegate.runtime.python")

Prepare = Callable[[Columns], Any]


class PythonRuntime:
    """Classes of the user's own."""

    name = "python"
    packages = ("numpy",)

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        if files.is_folder:
            settings = read_settings_file(files)
            if "command" in settings:
                return None
            named = isinstance(settings.get("class"), str)
            source = files.root / f"{_module_of(settings).replace('.', '/')}.py"
        else:
            named, source = False, files.root
        if source.suffix != ".py" or not source.is_file():
            return None
        facts = read_source(source)
        if facts is None or not (named or facts.classes or facts.damaged):
            return None
        return _recognition(source.name, facts)

    def recognise_named(self, files: ArtifactFiles) -> Recognition:
        """Take any folder and any `.py` file; what is in it is seen when it is loaded."""
        if not files.is_folder and files.root.suffix != ".py":
            raise InvalidInput(
                f"{files.root.name} is no Python code.",
                subject=str(files.root),
                expected="a .py file, or a folder with model.py",
            )
        return _recognition(files.root.name, SourceFacts())

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        settings = settings_of(files, options.settings)
        require_known(settings, _SETTINGS, self.name)
        if not options.trusted:
            raise NotTrusted(
                f"{files.root.name} is Python code, which runs when it is loaded.", subject=str(files.root)
            )
        limit_threads(options.threads)
        code = _Code(files, settings)
        try:
            return PythonModel(code, options, settings)
        except BaseException:
            code.close()
            raise


def _recognition(name: str, facts: SourceFacts) -> Recognition:
    what = f"the class {', '.join(facts.classes)}" if facts.classes else "Python code"
    others = [module for module in facts.imports if module not in sys.stdlib_module_names]
    reasons = [f"it runs {what} of {name}", *(f"it imports {module}" for module in others[:_MOST_REASONS])]
    return Recognition(runtime="python", format="python", needs_trust=True, reasons=tuple(reasons))


def _module_of(settings: Mapping[str, Any]) -> str:
    chosen = settings.get("class")
    return chosen.partition(":")[0] if isinstance(chosen, str) and ":" in chosen else MODULE


class _Code:
    """The user's object, and its methods with the errors of theirs named by line."""

    def __init__(self, files: ArtifactFiles, settings: Mapping[str, Any]) -> None:
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self.name = files.root.name
        if files.is_folder:
            self.folder, module = files.root, _module_of(settings)
        else:
            self.folder, module = self._alone(files.root)
        wanted = settings.get("class")
        if wanted is not None and (not isinstance(wanted, str) or not wanted.strip(": ")):
            raise InvalidInput(
                "The class to serve is not named.",
                subject="modelArtifact.settings.class",
                expected='"Churn", or "model:Churn" with the module',
                got=str(wanted)[:100],
            )
        class_name = None if wanted is None else wanted.rpartition(":")[2]
        try:
            self.instance = import_from(self.folder, module, lambda found: self._construct(found, class_name))
        except TidegateError:
            raise
        except ModuleNotFoundError as error:
            raise self._not_installed(error, module) from error
        except (Exception, SystemExit) as error:
            raise InvalidInput(
                f"{self.name} cannot be loaded: {self.described(error)}.", subject=str(files.root)
            ) from error

    def _alone(self, path: Path) -> tuple[Path, str]:
        """Return a folder with nothing but this file, as it will be in a bundle, and the name of its module."""
        module = path.stem
        if not module.isidentifier() or module in sys.stdlib_module_names or module in sys.modules:
            module = MODULE
        if path.name == f"{module}.py" and [entry.name for entry in path.parent.iterdir()] == [path.name]:
            return path.parent, module
        self._scratch = tempfile.TemporaryDirectory(prefix="tidegate-python-")
        shutil.copyfile(path, Path(self._scratch.name, f"{module}.py"))
        return Path(self._scratch.name), module

    def _construct(self, module: ModuleType, class_name: str | None) -> Any:
        instance = _chosen_class(module, class_name, self.name)()
        load = getattr(instance, "load", None)
        if callable(load):
            load(self.folder)
        return instance

    def _not_installed(self, error: ModuleNotFoundError, module: str) -> InvalidInput:
        if error.name == module.partition(".")[0] and not (self.folder / f"{module.replace('.', '/')}.py").exists():
            return InvalidInput(
                f"{self.name} has no module {module}.",
                subject=str(self.folder),
                expected=f"{MODULE}.py, or another one named in modelArtifact.settings.class, e.g. churn:Churn",
            )
        return InvalidInput(
            f"{self.name} needs the module {error.name!r}, which is not installed here "
            f"({line_of(error, self.folder) or 'imported by a package'}).",
            subject=str(self.folder),
            hint="Install it into Tidegate's environment, or put it into the folder.",
        )

    def described(self, error: BaseException) -> str:
        """Return class, text and line of an error in one line."""
        text = " ".join(str(error).split())[:300].rstrip(".")
        where = line_of(error, self.folder)
        return f"{type(error).__name__}{f': {text}' if text else ''}{f' ({where})' if where else ''}"

    def predict(self, inputs: Any) -> Any:
        """Raises CodeFailed for whatever the user's code raises."""
        try:
            return self.instance.predict(inputs)
        except (Exception, SystemExit) as error:
            raise CodeFailed(self.described(error)) from error

    def close(self) -> None:
        close = getattr(getattr(self, "instance", None), "close", None)
        if callable(close):
            try:
                close()
            except (Exception, SystemExit) as error:  # noqa: BLE001 (the user's code: nothing depends on it any more)
                log.warning("close: %s", self.described(error))
        if self._scratch is not None:
            with contextlib.suppress(OSError):
                self._scratch.cleanup()


def _chosen_class(module: ModuleType, name: str | None, artifact: str) -> Callable[[], Any]:
    own = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and callable(getattr(value, "predict", None))
    }
    chosen = vars(module).get(name or CLASS)
    if name is None and not isinstance(chosen, type) and len(own) == 1:
        (chosen,) = own.values()
    if isinstance(chosen, type) and callable(getattr(chosen, "predict", None)):
        return chosen
    raise InvalidInput(
        f"{artifact} has no class {name} with a method predict."
        if name is not None or not own
        else f"{artifact} has {len(own)} classes with a method predict.",
        subject="modelArtifact.settings.class",
        expected=f"a class {name or CLASS}, or the name of another one in modelArtifact.settings.class",
        got=", ".join(own) or "no class with a method predict",
    )


class PythonModel:
    """The user's object behind the interface of a model."""

    def __init__(self, code: _Code, options: LoadOptions, settings: Mapping[str, Any]) -> None:
        self._code = code
        declared = _declared(code.instance, settings)
        if options.signature is not None:
            inputs = options.signature.inputs
        else:
            inputs = declared.get("inputs") or _inputs_from_sample(options.sample, code.name)
        self._prepare = _preparation(_input_type(code.instance, settings), inputs)
        if options.signature is not None:
            self.signature = options.signature
        else:
            outputs = declared.get("outputs") or self._outputs_of(inputs, options.sample)
            self.signature = Signature(_kind(inputs), inputs, outputs)

    def predict(self, inputs: Columns) -> Columns:
        rows = len(next(iter(inputs.values())))
        return outputs_from_answer(self._code.predict(self._prepare(inputs)), rows, self.signature.outputs)

    def close(self) -> None:
        self._code.close()

    def _outputs_of(
        self, inputs: tuple[TensorSpec, ...], sample: Sequence[Mapping[str, Any]] | None
    ) -> tuple[TensorSpec, ...]:
        """Ask the class once, and see."""
        rows = list(sample) if sample else [made_up_row(inputs)]
        # Two rows at least: a class that answers for one row alone would fail on the first batch.
        rows = rows * 2 if len(rows) == 1 else rows
        try:
            return specs_from_answer(self._code.predict(self._prepare(inputs_from_rows(inputs, rows))), len(rows))
        except CodeFailed as error:
            raise InvalidInput(
                f"{self._code.name} loads, and fails on {'the sample' if sample else 'made-up rows'}: {error.message}",
                expected=error.expected,
                got=error.got,
                hint=error.hint or (None if sample else "Give a few typical rows with --sample rows.json (or .csv)."),
            ) from error


def _declared(instance: Any, settings: Mapping[str, Any]) -> dict[str, tuple[TensorSpec, ...]]:
    """Return the inputs and outputs that settings or class declare; without a key where neither does."""
    found = {}
    for what in ("inputs", "outputs"):
        if settings.get(what) is not None:
            found[what] = specs_from_documents(settings[what], f"modelArtifact.settings.{what}")
        elif getattr(instance, what, None) is not None:
            found[what] = specs_from_documents(getattr(instance, what), f"{type(instance).__name__}.{what}")
    return found


def _inputs_from_sample(sample: Sequence[Mapping[str, Any]] | None, name: str) -> tuple[TensorSpec, ...]:
    if not sample:
        raise InvalidInput(
            f"{name} does not say what it takes.",
            expected='a class attribute such as inputs = [{"name": "age", "datatype": "FP64"}], or a sample',
            hint="Declare inputs in the class, or give a few typical rows with --sample rows.json (or .csv).",
        )
    names = dict.fromkeys(name for row in sample for name in row)
    return tuple(_input_from_sample(name, sample_values(sample, name)) for name in names)


def _input_from_sample(name: str, values: list[Any]) -> TensorSpec:
    datatype = datatype_from_sample(values)
    if datatype is not None:
        return TensorSpec(name, datatype)
    if values and all(isinstance(value, list) for value in values):
        with contextlib.suppress(CodeFailed):
            return specs_from_answer({name: values}, len(values))[0]
    raise InvalidInput(
        f"The sample does not say what the input {name!r} is.",
        subject=name,
        expected="numbers, true and false, text, or lists of one shape",
        got=str(values[0])[:100] if values else "no value in any row",
        hint="Declare it in the class: inputs = [{'name': …, 'datatype': …, 'shape': …}].",
    )


def _input_type(instance: Any, settings: Mapping[str, Any]) -> str:
    chosen = settings.get("inputType", getattr(instance, "input_type", "arrays"))
    if chosen not in _INPUT_TYPES:
        raise InvalidInput(
            "There is no such form of inputs.",
            subject="modelArtifact.settings.inputType",
            expected=f"one of {', '.join(_INPUT_TYPES)}",
            got=str(chosen)[:100],
        )
    return str(chosen)


def _kind(inputs: Sequence[TensorSpec]) -> Any:
    return "columns" if all(spec.shape == (-1,) for spec in inputs) else "tensors"


def _preparation(input_type: str, inputs: tuple[TensorSpec, ...]) -> Prepare:
    if input_type == "arrays":
        return lambda given: {name: writable(array) for name, array in given.items()}
    if input_type == "records":
        signature = Signature(_kind(inputs), inputs, ())
        return lambda given: rows_from_inputs(signature, given)
    if _kind(inputs) != "columns":
        raise InvalidInput(
            "A DataFrame holds columns, and an input of this model is a tensor.",
            subject="modelArtifact.settings.inputType",
            expected="arrays, or inputs of shape [-1]",
        )
    return FrameBuilder(inputs, {spec.name: ColumnFacts() for spec in inputs})
