"""`tidegate.yaml` in an artifact's folder: the settings of its runtime, so that the folder can be deployed as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.contract.loading import MOST_BYTES, load_request_text
from tidegate.runtime.base import ArtifactFiles

SETTINGS_FILE = "tidegate.yaml"


def read_settings_file(files: ArtifactFiles) -> dict[str, Any]:
    """Return what `tidegate.yaml` in the folder says; nothing for a file, and for a folder without one.

    Raises:
        InvalidInput: it is there and is no YAML object of names and values, or too large.
    """
    path = files.root / SETTINGS_FILE
    if not files.is_folder or not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(MOST_BYTES + 1)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{SETTINGS_FILE} is not a text file in UTF-8.", subject=str(path)) from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.", subject=str(path)) from error
    return load_request_text(text, SETTINGS_FILE) if text.strip() else {}


def settings_of(files: ArtifactFiles, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that hold: those of the request document, and of `tidegate.yaml` where it says nothing.

    Raises:
        InvalidInput: see `read_settings_file`.
    """
    return {**read_settings_file(files), **given}
