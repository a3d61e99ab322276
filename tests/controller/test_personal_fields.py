"""A deployment that would write personal fields down is refused before anything changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.serving import PersonalFields
from tidegate.controller.admission import refuse_no_key, refuse_unknown_fields
from tidegate.runtime.base import Signature, TensorSpec

SIGNATURE = Signature("columns", (TensorSpec("email", "BYTES"),), (TensorSpec("score", "FP64"),))


def test_a_name_that_the_model_does_not_have_is_refused() -> None:
    refuse_unknown_fields(PersonalFields(drop=("email",), hash=("score",)), SIGNATURE)
    with pytest.raises(InvalidInput, match="no input or output e-mail"):
        refuse_unknown_fields(PersonalFields(drop=("e-mail",)), SIGNATURE)


def test_hashes_without_a_key_that_replicas_find_are_refused(tmp_path: Path) -> None:
    key = tmp_path / "log.key"
    refuse_no_key(PersonalFields(drop=("email",)), {})
    refuse_no_key(PersonalFields(hash=("email",)), {"TIDEGATE_PREDICTION_LOG_KEY": "x" * 16})
    with pytest.raises(InvalidInput, match="TIDEGATE_PREDICTION_LOG_KEY"):
        refuse_no_key(PersonalFields(hash=("email",)), {})
    with pytest.raises(InvalidInput, match="cannot be read"):
        refuse_no_key(PersonalFields(hash=("email",), key_file=str(key)), {})
    key.write_text("x" * 32)
    refuse_no_key(PersonalFields(hash=("email",), key_file=str(key)), {})
