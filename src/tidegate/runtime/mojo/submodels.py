"""Where the models within a model lie (format section 13)."""

from __future__ import annotations

from tidegate.runtime.mojo.container import MODEL_INI
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.info import Keys
from tidegate.runtime.mojo.registry import MAX_MODELS


def folders_of(keys: Keys) -> dict[str, str]:
    """Return the folders of the models by their keys.

    Raises:
        MojoFormatError: a folder leads elsewhere than below the model, or two models share one.
    """
    folders: dict[str, str] = {}
    taken = set()
    for number in range(keys.integer("submodel_count", most=MAX_MODELS)):
        folder = keys.text(f"submodel_dir_{number}").rstrip("/")
        if not folder or any(part in ("", ".", "..") for part in folder.split("/")) or folder in taken:
            raise MojoFormatError(MODEL_INI, f"submodel_dir_{number}: expected a folder of its own")
        taken.add(folder)
        folders[keys.text(f"submodel_key_{number}")] = folder
    return folders
