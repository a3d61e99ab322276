"""The one place that unpickles, behind the user's trust."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.frameworks import import_framework
from tidegate.runtime.pickle_scan import scan


def unpickle(files: ArtifactFiles, options: LoadOptions) -> Any:
    """Return the object in a pickle or joblib file.

    Raises:
        NotTrusted: the caller did not say that they trust it, or it imports what no model needs.
        InvalidInput: it is damaged, or needs a package that is not here.
    """
    path = files.root
    found = scan(path)
    if found is None:
        raise InvalidInput(f"{path.name} is not a pickle.", subject=str(path))
    if not options.trusted or found.dangerous:
        raise NotTrusted(
            f"{path.name} is a pickle, and loading it would run code from it.",
            subject=str(path),
            got=", ".join(found.dangerous or found.imports[:10]) or None,
        )
    try:
        with warnings.catch_warnings():
            # A version that differs is reported once, in words, when the artifact is checked.
            warnings.simplefilter("ignore")
            if found.joblib:
                # Mapped, the arrays of a file without compression are in memory once for all processes that load it.
                # "c": a model that writes into its arrays gets pages of its own, and the file stays as it is.
                return import_framework("joblib", extra="sklearn", what="A joblib file").load(path, mmap_mode="c")
            with path.open("rb") as stream:
                return pickle.load(stream)  # noqa: S301 (the user trusts it, see above)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{path.name} needs the module {error.name!r}, which is not installed here.",
            subject=str(path),
            hint="Install it into Tidegate's environment, or export the model as skops or ONNX.",
        ) from error
    except InvalidInput:
        raise
    except Exception as error:
        own = [name for name in found.imports if name.startswith("__main__.")]
        if own and isinstance(error, AttributeError):
            raise _defined_in_a_script(path.name, str(path), own) from error
        raise InvalidInput(
            f"{path.name} cannot be unpickled: {_short(error)}.",
            subject=str(path),
            hint="The file may be damaged, or written by other versions of its packages.",
        ) from error


def _defined_in_a_script(name: str, subject: str, own: list[str]) -> InvalidInput:
    return InvalidInput(
        f"{name} needs {', '.join(own[:5])}: code of the script or notebook that saved it, not held in the file.",
        subject=subject,
        hint="Move that code into a module, install it into Tidegate's environment, import it from there and save "
        "again; or export the model as ONNX.",
    )


def _short(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {str(error) or 'the data ends or stops making sense'}".split())
    return (text[:300] + "…") if len(text) > 300 else text.rstrip(".")
