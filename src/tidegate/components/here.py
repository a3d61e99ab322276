"""The environment of this very process: its Python, and an H2O that is installed beside Tidegate, with its Java."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from platform import python_version

from packaging.specifiers import SpecifierSet

from tidegate import __version__
from tidegate.components.allowed import exactly, versions_of
from tidegate.components.image_contents import java_versions
from tidegate.components.records import H2O, TIDEGATE, Component, Found

PLACE = f"this environment (tidegate {__version__})"
_JAVA_SECONDS = 10.0
_JAVA_VERSION = re.compile(r'version "([^"]+)"')


def supported_python() -> SpecifierSet:
    """Return the Pythons that Tidegate runs on, by its own metadata."""
    stated = versions_of(metadata.metadata(TIDEGATE)["Requires-Python"] or "")
    return SpecifierSet(prereleases=False) if stated is None else stated


def found_here() -> list[Found]:
    """Return what this process runs on and, where the package h2o is installed, that with its Java."""
    beside = frozenset({TIDEGATE})
    python = python_version()
    found = [Found(Component.PYTHON, PLACE, python, exactly(python.rstrip("+")), beside=beside, is_running=True)]
    try:
        client = metadata.version(H2O)
    except metadata.PackageNotFoundError:
        return found
    found.append(Found(Component.CLIENT, PLACE, f"{H2O}=={client}", exactly(client), is_running=True))
    return [*found, *_java()]


def _java() -> list[Found]:
    """Return the Java with which `h2o.init` would start a cluster; nothing where there is none: it starts none then."""
    home = os.environ.get("JAVA_HOME")
    own = Path(home, "bin", "java") if home else None
    java = str(own) if own is not None and own.is_file() else shutil.which("java")
    if java is None:
        return []
    try:
        done = subprocess.run(
            [java, "-version"], capture_output=True, text=True, errors="replace", timeout=_JAVA_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        trouble = f"{java} does not run: {error}"
        return [Found(Component.JAVA, PLACE, java, None, trouble=trouble, beside=frozenset({H2O}))]
    told = _JAVA_VERSION.search(done.stderr + done.stdout)
    versions = java_versions(told[1]) if told else None
    text = f"{told[1] if told else 'another answer than a version'} ({java})"
    return [Found(Component.JAVA, PLACE, text, versions, "set JAVA_HOME to a Java 17", None, frozenset({H2O}))]
