"""What a Python file holds, read from its text: nothing is imported and nothing runs."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from pathlib import Path

#: Larger files of code are not looked into.
MAX_SOURCE_BYTES = 2 << 20


@dataclass(frozen=True)
class SourceFacts:
    """What the text says.

    Attributes:
        classes: classes of the module itself with a method `predict`, in order.
        imports: top-level names of the modules that are imported anywhere in it, sorted; relative ones left out.
        damaged: it defines a `predict` and has a syntax error; loading it will name the line.
    """

    classes: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    damaged: bool = False


def read_source(path: Path) -> SourceFacts | None:
    """Return what a file of Python code holds; None when it is not that."""
    with path.open("rb") as stream:
        source = stream.read(MAX_SOURCE_BYTES + 1)
    if len(source) > MAX_SOURCE_BYTES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ast.parse(source)
    except SyntaxError:
        return SourceFacts(damaged=True) if b"def predict(" in source else None
    except (ValueError, RecursionError, MemoryError):
        return None
    return SourceFacts(_classes_with_predict(module), _imports(module))


def _classes_with_predict(module: ast.Module) -> tuple[str, ...]:
    """A class that inherits its `predict` from another one of the file counts too."""
    found: dict[str, bool] = {}
    for statement in module.body:
        if isinstance(statement, ast.ClassDef):
            own = any(isinstance(part, ast.FunctionDef) and part.name == "predict" for part in statement.body)
            inherited = any(isinstance(base, ast.Name) and found.get(base.id, False) for base in statement.bases)
            found[statement.name] = own or inherited
    return tuple(name for name, has_predict in found.items() if has_predict)


def _imports(module: ast.Module) -> tuple[str, ...]:
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            names.add(node.module.partition(".")[0])
    return tuple(sorted(names - {"__future__"}))
