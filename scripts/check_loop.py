"""Prove that nothing in the server runs a model on the event loop: `python -m scripts.check_loop`.

A function *runs a model* when it calls `.predict` of anything, names that of a model, or calls a function of the server
that does. What is handed to another thread (`run_in_daemon_thread(lambda: …)`) does not count for the function that
hands it over. Then:

1. a coroutine never runs a model: it runs on the loop;
2. no other function does, but in the modules whose functions the inference threads call;
3. a route is a coroutine: FastAPI would run others on threads that nobody bounds.

Calls are followed by name: `self.x()` to the method of the same class, `x()` to the function that the module defines or
imports, and `anything.x()` to every method of that name. What names cannot tell (a function kept in a variable) the
guard in `tidegate.server.off_loop` tells when it runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SERVER = Path(__file__).resolve().parent.parent / "src" / "tidegate" / "server"

#: Modules whose functions may run models, because inference threads call them.
THREAD_SIDE = frozenset({"batching", "dataplane", "faults", "off_loop"})
#: Has the guard refuse on the loop: the model is not reached.
_REFUSES = ("off_loop", "OffLoop", "prove")
#: What runs its argument on another thread.
HAND_OVERS = frozenset({"run_in_daemon_thread", "to_thread", "run_in_executor", "Thread"})
_RUNS = "predict"
_MODELS = frozenset({"model", "_model"})
_VERBS = frozenset({"get", "post", "put", "delete", "patch", "head", "options", "api_route", "route"})

_AnyDef = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class _Function:
    module: str
    owner: str | None
    node: _AnyDef
    runs: int | None = None
    calls: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def title(self) -> str:
        return f"{self.owner}.{self.name}" if self.owner else self.name


def violations(sources: Mapping[str, str]) -> list[str]:
    """Return a line for each violation.

    Args:
        sources: text of each module by its name below the server's package, such as "protocols.oip".
    """
    functions = [
        found
        for module, text in sorted(sources.items())
        for found in _functions(module, ast.parse(text))
        if (found.module, found.owner, found.name) != _REFUSES
    ]
    imported = {module: _imports(ast.parse(text)) for module, text in sources.items()}
    running = _running(functions, imported)
    told = []
    for function in functions:
        where = f"{function.module.replace('.', '/')}.py"
        if _is_route(function.node) and isinstance(function.node, ast.FunctionDef):
            told.append(f"{where}:{function.node.lineno}: the route {function.title} must be a coroutine (async def)")
        if id(function) not in running:
            continue
        line, how = running[id(function)]
        if isinstance(function.node, ast.AsyncFunctionDef):
            told.append(f"{where}:{line}: the coroutine {function.title} runs a model on the event loop: {how}")
        elif function.module not in THREAD_SIDE:
            told.append(f"{where}:{line}: {function.title} runs a model, and may be called on the event loop: {how}")
    return told


def _running(functions: list[_Function], imported: Mapping[str, Mapping[str, str]]) -> dict[int, tuple[int, str]]:
    """Return, for each function that runs a model, the line where it does and how.

    Callers of a function that should not run one are left out: it is told of itself.
    """
    running = {id(one): (one.runs, f"it has .{_RUNS}") for one in functions if one.runs is not None}
    grown = True
    while grown:
        grown = False
        targets = [one for one in functions if id(one) in running and _may_run(one)]
        for caller in functions:
            if id(caller) in running:
                continue
            for kind, name, line in caller.calls:
                target = next((one for one in targets if _meets(caller, kind, name, one, imported)), None)
                if target is not None:
                    running[id(caller)] = (line, f"it calls {target.title}")
                    grown = True
                    break
    return running


def _may_run(function: _Function) -> bool:
    return function.module in THREAD_SIDE and isinstance(function.node, ast.FunctionDef)


def _meets(
    caller: _Function, kind: str, name: str, target: _Function, imported: Mapping[str, Mapping[str, str]]
) -> bool:
    """Say whether a call of this name by the caller may be one of the target."""
    if kind == "self":
        return (target.module, target.owner, target.name) == (caller.module, caller.owner, name)
    if kind == "other":
        return target.name == name
    if target.owner is not None:
        return False
    is_own = target.module == caller.module and target.name == name
    return is_own or imported[caller.module].get(name) == f"{target.module}.{target.name}"


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for, below the server's package."""
    package = "tidegate.server"
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and (node.module + ".").startswith(package + "."):
            inner = node.module.removeprefix(package).lstrip(".")
            for alias in node.names:
                found[alias.asname or alias.name] = f"{inner}.{alias.name}".lstrip(".")
    return found


def _functions(module: str, tree: ast.Module) -> Iterator[_Function]:
    def visit(node: ast.AST, owner: str | None, handed: frozenset[str]) -> Iterator[_Function]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef) and child.name in handed:
                continue
            if isinstance(child, _AnyDef):
                function = _Function(module, owner, child)
                for statement in [*child.body, *child.args.defaults]:
                    _read(statement, function)
                yield function
                yield from visit(child, owner, _handed_over(child))
            else:
                yield from visit(child, child.name if isinstance(child, ast.ClassDef) else owner, handed)

    yield from visit(tree, None, frozenset())


def _handed_over(function: _AnyDef) -> frozenset[str]:
    """Return the names that the function uses for nothing but to hand them to another thread."""
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and _last_name(node.func) in HAND_OVERS]
    given = {id(value) for call in calls for value in (*call.args, *(keyword.value for keyword in call.keywords))}
    names = {node.id for node in uses if id(node) in given}
    return frozenset(names - {node.id for node in uses if id(node) not in given})


def _read(node: ast.AST, function: _Function) -> None:
    """Note what the function does by itself: not what functions within it do, nor what it hands to another thread."""
    if isinstance(node, _AnyDef | ast.ClassDef):
        return
    if isinstance(node, ast.Attribute) and node.attr == _RUNS and _last_name(node.value) in _MODELS:
        function.runs = function.runs or node.lineno
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Name):
            if called.id in HAND_OVERS:
                return
            function.calls.append(("name", called.id, node.lineno))
        elif isinstance(called, ast.Attribute):
            if called.attr in HAND_OVERS:
                return
            if called.attr == _RUNS:
                function.runs = function.runs or node.lineno
            is_own = isinstance(called.value, ast.Name) and called.value.id == "self"
            function.calls.append(("self" if is_own else "other", called.attr, node.lineno))
    for child in ast.iter_child_nodes(node):
        _read(child, function)


def _last_name(node: ast.AST) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def _is_route(node: _AnyDef) -> bool:
    return any(
        isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute) and decorator.func.attr in _VERBS
        for decorator in node.decorator_list
    )


def server_sources(folder: Path = SERVER) -> dict[str, str]:
    """Return the text of every module of the server by its name below the package."""
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


def main() -> int:
    found = violations(server_sources())
    for line in found:
        sys.stderr.write(f"src/tidegate/server/{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
