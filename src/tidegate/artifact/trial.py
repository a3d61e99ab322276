"""`python -m tidegate.artifact.trial FOLDER`: is the bundle whole, and does its model answer its sample here?

Run it where an image is built: a package that is missing or does not fit ends the build, and what a runtime compiles
for the model is on disk afterwards.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tidegate.artifact.bundle import Bundle, load_model, read_bundle, verify_bundle
from tidegate.artifact.environment import installed_version
from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.rows import inputs_from_rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Try a bundle; return 0 where its model answers, else 1 with the reason on standard error."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if len(words) != 1:
        sys.stderr.write("usage: python -m tidegate.artifact.trial FOLDER\n")
        return 2
    begun = time.perf_counter()
    try:
        bundle = try_bundle(Path(words[0]))
    except TidegateError as error:
        sys.stderr.write(f"The model cannot be served here.\n{error}\n")
        return 1
    for line in differences(bundle):
        sys.stderr.write(f"warning: {line}\n")
    sys.stdout.write(f"The model answers its sample ({time.perf_counter() - begun:.1f} s).\n")
    return 0


def try_bundle(folder: Path) -> Bundle:
    """Load a bundle's model and have it answer the bundle's sample.

    Raises:
        TidegateError: it is damaged, or its model cannot be loaded or does not answer.
    """
    bundle = read_bundle(folder)
    verify_bundle(bundle)
    model = load_model(bundle, threads=1)
    try:
        outputs = model.predict(inputs_from_rows(model.signature.inputs, bundle.sample))
    except TidegateError:
        raise
    except Exception as error:
        raise InvalidInput(
            "The model loads, and fails on its sample.", got=f"{type(error).__name__}: {error}"[:500]
        ) from error
    finally:
        model.close()
    missing = [spec.name for spec in bundle.signature.outputs if spec.name not in outputs]
    if missing:
        raise InvalidInput("The model leaves out what its signature says.", expected=", ".join(missing))
    return bundle


def differences(bundle: Bundle) -> list[str]:
    """Return which packages are of other versions here than where the model was checked."""
    told = []
    for name, version in bundle.manifest.environment.packages.items():
        here = installed_version(name) or "none"
        # A local part, such as `+cpu`, says for which hardware it was built.
        if here.partition("+")[0] != version.partition("+")[0]:
            told.append(f"the model was checked with {name} {version}, and here is {here}")
    return told


if __name__ == "__main__":
    sys.exit(main())
