"""Names of images, taken apart."""

from __future__ import annotations

import pytest

from tidegate.dockerfile.images import ImageName


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("python", ("python", None, False)),
        ("python:3.12-slim", ("python", "3.12-slim", False)),
        ("registry:5000/team/app", ("registry:5000/team/app", None, False)),
        ("registry:5000/team/app:1", ("registry:5000/team/app", "1", False)),
        ("app:1@sha256:" + "a" * 64, ("app", "1", True)),
        ("app@sha256:" + "a" * 64, ("app", None, True)),
        ("app:1@sha256:short", ("app", "1", False)),
    ],
)
def test_names_of_images(text: str, parts: tuple[str, str | None, bool]) -> None:
    image = ImageName.parse(text)
    assert (image.repository, image.tag, image.digest is not None) == parts
