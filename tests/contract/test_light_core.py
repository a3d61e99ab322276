"""What the import linter cannot see: that nothing loads a model framework before there is a model to load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FRAMEWORKS = {"joblib", "lightgbm", "onnx", "onnxruntime", "pandas", "scipy", "skops", "sklearn", "xgboost"}
CONTROL_PLANE = {"fastapi", "sqlalchemy", "uvicorn", "pydantic"}


def loaded_by(*modules: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after importing `modules`."""
    tops = "sorted({name.partition('.')[0] for name in sys.modules})"
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps({tops}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "modules",
    [
        ("tidegate.api.app", "tidegate.controller.service"),
        ("tidegate.server.app", "tidegate.artifact.bundle", "tidegate.runtime.registry"),
        (
            "tidegate.runtime.sklearn",
            "tidegate.runtime.xgboost",
            "tidegate.runtime.lightgbm",
            "tidegate.runtime.onnx",
        ),
    ],
    ids=["controller", "replica", "runtimes"],
)
def test_no_framework_is_loaded_before_a_model_is(modules: tuple[str, ...]) -> None:
    assert loaded_by(*modules) & FRAMEWORKS == set()


def test_the_command_line_starts_without_frameworks_and_without_the_control_plane() -> None:
    assert loaded_by("tidegate.cli.main") & (FRAMEWORKS | CONTROL_PLANE) == set()
