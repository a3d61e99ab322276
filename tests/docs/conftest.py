"""What the tests of the how-to pages share: a reader with a Tidegate and a model, one for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docs.running import Reader
from tests.support.quick_models import write_flights


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("how-to")
    (folder / "models").mkdir()
    write_flights(folder / "models" / "churn.onnx", from_hour=14.0)
    reader = Reader(folder, folder / "home")
    try:
        reader.type("tidegate up")
        yield reader
    finally:
        reader.leave()
