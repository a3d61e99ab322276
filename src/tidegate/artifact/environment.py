"""Which packages a model depends on, and whether their versions fit the ones that wrote it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from importlib import metadata

from tidegate.artifact.bundle import Environment
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Recognition, Runtime


def environment_of(runtime: Runtime, modules: Iterable[str] = (), derived: Sequence[str] = ()) -> Environment:
    """Return the installed versions of what it takes to load a model.

    Args:
        runtime: its packages count,
        modules: and those that bring these modules (top-level names).
        derived: packages that stand in for the runtime's when derived files are loaded instead of the artifact.
    """
    providers = metadata.packages_distributions()
    names = [*(derived or runtime.packages), *(name for module in modules for name in providers.get(module, ()))]
    packages = {}
    for name in dict.fromkeys(names):
        version = installed_version(name)
        if version is not None:
            packages[name] = version
    return Environment(python=platform.python_version(), packages=dict(sorted(packages.items())))


def installed_version(distribution: str) -> str | None:
    """Return the version of a distribution, None when it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def imported_modules(recognition: Recognition) -> list[str]:
    """Return the top-level modules that a pickle imports, as its reasons name them."""
    prefix = "it imports "
    names = [reason.removeprefix(prefix) for reason in recognition.reasons if reason.startswith(prefix)]
    return sorted({name.partition(".")[0] for name in names})


def framework_of(runtime: Runtime) -> tuple[str, str] | None:
    """Return (distribution, version) of the runtime's framework as installed, None when none of its packages is."""
    for name in runtime.packages:
        version = installed_version(name)
        if version is not None:
            return name, version
    return None


def compare_versions(recognition: Recognition, runtime: Runtime) -> list[str]:
    """Compare the framework version that wrote an artifact with the installed one; return warnings.

    Raises:
        InvalidInput: the two are known not to work together.
    """
    installed = framework_of(runtime)
    if recognition.framework_version is None or installed is None:
        return []
    name, version = installed
    wrote, here = _parts(recognition.framework_version), _parts(version)
    if not wrote or not here or wrote[:2] == here[:2]:
        return []
    reason = _incompatible(recognition, wrote, here)
    if reason is not None:
        raise InvalidInput(
            f"The model was written by {name} {recognition.framework_version}, and {reason}.",
            expected=f"{name} {'.'.join(map(str, wrote[:2]))}",
            got=f"{name} {version}",
            hint=f"Install {name}=={recognition.framework_version}, or export the model again with {version}.",
        )
    newer = "newer" if wrote > here else "older"
    warning = (
        f"The model was written by {name} {recognition.framework_version}, which is {newer} than the installed "
        f"{version}. Its answers may differ: try it on rows whose answers you know."
    )
    return [warning]


def _parts(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split(".")[:3]:
        digits = "".join(character for character in part if character.isdigit())
        if not part[:1].isdigit():
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _incompatible(recognition: Recognition, wrote: Sequence[int], here: Sequence[int]) -> str | None:
    """Return why two versions cannot work together, None when nothing is known against it.

    Sources: XGBoost, "Introduction to Model IO" (a model can be read by newer versions, not by older ones);
    scikit-learn, "Model persistence" (loading across versions is not supported).
    """
    maker = recognition.delegate or recognition.runtime
    if maker == "xgboost" and wrote[0] > here[0]:
        return f"an XGBoost {here[0]} does not read the models of {wrote[0]}"
    if maker == "sklearn" and wrote[0] < 1 <= here[0]:
        return "scikit-learn 1 does not read the models of 0.x"
    return None
