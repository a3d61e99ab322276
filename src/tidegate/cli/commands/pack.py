"""`tidegate pack`: a model as an image that serves it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import MODEL, TRUST, Framework, OutputOption, Sample, Settings
from tidegate.cli.output import Output, note, print_json, say
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from tidegate.packing import PackRequest

IMAGE = "Image"
#: A version is a part of a URL, and of the image's tag where none is given.
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
#: Names of images and networks: what more Docker asks of them it says itself.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")


class Form(StrEnum):
    """What comes of it."""

    IMAGE = "image"
    CONTEXT = "context"


def pack(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The model's file or folder, or a bundle.", show_default=False)
    ],
    *,
    form: Annotated[
        Form,
        typer.Option("--format", help="image, or context for the folder that it is built of.", rich_help_panel=IMAGE),
    ] = Form.IMAGE,
    tag: Annotated[
        str | None,
        typer.Option(
            "--tag",
            "-t",
            metavar="IMAGE",
            help="What the image is called.",
            show_default="NAME:VERSION",
            rich_help_panel=IMAGE,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="An empty or new folder for the build context, which is kept.",
            show_default=False,
            rich_help_panel=IMAGE,
        ),
    ] = None,
    base_image: Annotated[
        str | None,
        typer.Option(
            "--base-image",
            envvar="PYTHON_IMAGE",
            metavar="IMAGE",
            help="A Debian or Ubuntu with Python, like the official one of Python.",
            show_default="python, pinned",
            rich_help_panel=IMAGE,
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            envvar="BUILD_NETWORK",
            metavar="NETWORK",
            help="Network of the build, as for docker build.",
            show_default="Docker's",
            rich_help_panel=IMAGE,
        ),
    ] = None,
    requirements: Annotated[
        str | None,
        typer.Option(
            "--requirements",
            metavar="FILE",
            help="Python packages that the model takes beside those that Tidegate knows of, one a line.",
            show_default=False,
            rich_help_panel=IMAGE,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="The model to its clients.", show_default="the file's name", rich_help_panel=MODEL),
    ] = None,
    version: Annotated[
        str, typer.Option("--version", help="The model version that clients see.", rich_help_panel=MODEL)
    ] = "1",
    framework: Framework = None,
    sample: Sample = None,
    settings: Settings = None,
    trust: Annotated[bool, TRUST] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Build an image that serves the model: one replica, with the Open Inference Protocol at port 8080.

    The model is checked here, as by `deploy`, and loaded and asked once more where the image is built. There is no
    controller and no gateway in it: no canary and no way back either. It takes Docker; where that is not there, does
    not answer or cannot build, the exit code is 6.

    $ tidegate pack churn.zip
    $ tidegate pack churn.zip --tag registry.example.com/churn:7 --version 7
    $ tidegate pack churn.zip --format context --to churn-image
    """
    from tidegate.contract.names import EXPECTED_NAME, is_valid_name, name_from_path
    from tidegate.packing import PackRequest, require_engine

    if form is Form.CONTEXT and to is None:
        raise InvalidInput("--format context needs --to DIR, a folder for it", subject="--to")
    path = _existing(model)
    name = name or name_from_path(str(path))
    if not is_valid_name(name):
        raise InvalidInput(f"--name: {name!r} is no name of a model", subject="--name", expected=EXPECTED_NAME)
    tag = tag or f"{name}:{version}"
    _check("--version", version, _VERSION)
    for option, text in (("--tag", tag), ("--base-image", base_image), ("--network", network)):
        _check(option, text, _PLAIN)
    if form is Form.IMAGE:
        require_engine()  # before the model is looked at, which takes longer
    request = PackRequest(
        path=path,
        name=name,
        version=version,
        framework=framework,
        trust=trust,
        sample_path=None if sample is None else _existing(sample),
        settings={} if settings is None else _settings(_existing(settings)),
        base_image=base_image,
        further=() if requirements is None else _requirements(_existing(requirements)),
    )
    with tempfile.TemporaryDirectory(prefix="tidegate-pack-") as scratch:
        told = _carried_out(request, Path(scratch) if to is None else Path(to).absolute(), form, tag, network)
    if to is not None:
        told["context"] = str(Path(to).absolute())
    if output is Output.JSON:
        print_json(told)
    else:
        say(*_lines(told))


def _carried_out(request: PackRequest, folder: Path, form: Form, tag: str, network: str | None) -> dict[str, Any]:
    from tidegate.packing import build_image, pack

    note("Checking the model …")
    packed = pack(request, folder)
    for warning in packed.warnings:
        note(f"warning: {warning}")
    told: dict[str, Any] = {
        "model": request.name,
        "version": request.version,
        "runtime": packed.manifest.runtime,
        "bundle": packed.manifest.digest,
        "base_image": packed.base_image,
        "warnings": list(packed.warnings),
    }
    if form is Form.IMAGE:
        note(f"Building {tag} …")
        image = build_image(folder, tag, network=network)
        told |= {"image": tag, "id": image.id, "size_bytes": image.size_bytes}
    return told


def _lines(told: Mapping[str, Any]) -> list[str]:
    if "image" not in told:
        return [f"The build context is in {told['context']}.", f"Next: docker build --tag IMAGE {told['context']}"]
    url = f"http://127.0.0.1:8080/v2/models/{told['model']}"
    return [
        f"Built {told['image']} ({told['size_bytes'] / 1e6:.0f} MB with {told['base_image']}).",
        f"  id      {told['id']}",
        f"  bundle  sha256:{told['bundle']}",
        "Next:",
        f"  docker run --rm -p 127.0.0.1:8080:8080 {told['image']}",
        f"  curl {url}",
    ]


def _check(option: str, text: str | None, pattern: re.Pattern[str]) -> None:
    if text is not None and pattern.fullmatch(text) is None:
        raise InvalidInput(
            f"{option}: {text!r} has letters that cannot be in it",
            subject=option,
            expected=f"text that matches {pattern.pattern}",
        )


def _existing(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise InvalidInput(f"there is no {text}", subject=text)
    return path


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} cannot be read as JSON: {error}", subject="--settings") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{path} is no JSON object", subject="--settings")
    return found


def _requirements(path: Path) -> list[str]:
    """Return the requirements of a file: names with versions; options and other files are for pip alone."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", subject="--requirements") from error
    found = []
    for number, line in enumerate(lines, 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text:
            continue
        try:
            found.append(str(Requirement(text)))
        except InvalidRequirement as error:
            raise InvalidInput(
                f"{path}:{number}: {text} is no requirement that can be read",
                subject="--requirements",
                expected="a package with its version, such as category-encoders==2.8.1",
            ) from error
    return found
