"""The pages on `tidegate serve`: a reader follows them, with a server and neither controller nor gateway."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, HOW_TO, read
from tests.docs.running import Reader

pytestmark = pytest.mark.e2e

MOJO = Path(__file__).resolve().parents[2] / "examples/flights/mojos/arrivals-v1.zip"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader for whom the ports that the pages name, 9000 and 9001, are two that are free here."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = [str(listener.getsockname()[1]) for listener in (first, second)]
    reader = Reader(tmp_path, tmp_path / "home", instead=dict(zip(("9000", "9001"), ports, strict=True)))
    try:
        yield reader
    finally:
        reader.leave()


def test_the_page_on_protocols_is_true_of_a_real_server(reader: Reader) -> None:
    reader.follow(read(DOCS / "reference" / "protocols.md"))


def test_the_page_on_runtimes_is_true_of_pickle_and_skops(reader: Reader) -> None:
    reader.follow(read(DOCS / "reference" / "runtimes.md"))


def test_the_page_on_images_writes_a_folder_that_one_is_built_of(reader: Reader) -> None:
    shutil.copy(MOJO, reader.folder / "churn.zip")
    reader.follow(read(HOW_TO / "pack-a-model.md"))
    assert {"Dockerfile", "model", "requirements.txt"} <= {
        one.name for one in (reader.folder / "churn-image").iterdir()
    }
