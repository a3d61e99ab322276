"""Rules on the images that are built on and run: they stay the same ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidegate.dockerfile.images import ImageName
from tidegate.dockerfile.model import Dockerfile
from tidegate.scan.compose.services import ComposeFile
from tidegate.scan.records import Hit, Rule, Severity

IMAGE_TAG = Rule(
    "image-tag",
    Severity.WARNING,
    "An image has no tag, or the tag latest.",
    "Another image may be behind it tomorrow, and nobody can say which one runs. Write a version: `python:3.12-slim`.",
    covers=("DL3006", "DL3007"),
)
IMAGE_DIGEST = Rule(
    "image-digest",
    Severity.INFO,
    "An image is not pinned by its digest.",
    "A tag can be moved to other content; a digest cannot: `python:3.12-slim@sha256:…`.",
)


def in_dockerfile(file: Dockerfile) -> Iterator[Hit]:
    for stage in file.stages:
        if stage.image is not None:
            yield from _hits(stage.image, stage.start.line, written=stage.start.text)
    names = {stage.name for stage in file.stages}
    for stage in file.stages:
        for instruction in stage.body:
            source = instruction.flag("from") if instruction.keyword in ("COPY", "ADD") else None
            # A word without tag, digest or slash may as well be a context that the build names.
            if source and "$" not in source and source.lower() not in names and re.search(r"[/:@]", source):
                yield from _hits(ImageName.parse(source), instruction.line, written=source)


def in_compose(file: ComposeFile) -> Iterator[Hit]:
    for service in file.services:
        image = service.value("image")
        if image is None or service.value("build") is not None:
            continue
        resolved = file.resolved(image)
        if resolved:
            yield from _hits(ImageName.parse(resolved), image.line, written=image.text)


def _hits(image: ImageName, line: int, *, written: str) -> Iterator[Hit]:
    if image.digest is not None:
        return
    if image.tag is None:
        yield Hit(IMAGE_TAG, line, f"{image.repository} has no tag; write the version that you mean")
    elif image.tag == "latest":
        yield Hit(IMAGE_TAG, line, f"{image.repository}:latest is another image tomorrow; write the version")
    # A variable for the digest is how a file is pinned where it is deployed.
    elif "DIGEST" not in written.upper():
        yield Hit(IMAGE_DIGEST, line, f"{image.repository}:{image.tag} is not pinned by a digest (@sha256:…)")
