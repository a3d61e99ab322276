"""What the tests of the how-to pages share: a reader with a Tidegate and a model, one for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docs.running import Reader
from tests.support import models


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("how-to")
    (folder / "models").mkdir()
    models.sklearn_classifier(folder / "models" / "churn.skops")
    reader = Reader(folder, folder / "home")
    try:
        reader.type("tidegate up")
        yield reader
    finally:
        reader.leave()
