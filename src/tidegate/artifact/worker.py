"""The process that opens an artifact for the first time: `python -m tidegate.artifact --request FILE`.

It inspects, checks and bundles, prints one line of JSON, `{"ok": …}` or `{"error": …}`, and ends. Whatever a model does
to the process that loads it (a crash, all of the memory, a loop without end, text on standard output) happens here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidegate.artifact.bundle import ArtifactVersion, BundleContent, version_of, write_bundle
from tidegate.artifact.check import Checked, check_artifact
from tidegate.artifact.inspect import ArtifactLimits
from tidegate.contract.errors import TidegateError
from tidegate.runtime.signatures import signature_to_dict

#: Attempts at removing a folder into which something still writes: it must not keep this process from ending.
_REMOVALS = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one request; return 0 when there is a bundle, 1 when there is an error, which is printed in JSON."""
    parser = argparse.ArgumentParser(prog="python -m tidegate.artifact", description=__doc__)
    parser.add_argument("--request", type=Path, required=True, help="JSON file that `build_bundle` wrote")
    request_file = parser.parse_args(arguments).request
    request = json.loads(request_file.read_bytes())
    answers = _claim_standard_output()
    _end_with_whoever_started_this(request_file.parent)
    # Native code that holds the interpreter's lock keeps a thread from noticing.
    signal.alarm(int(request["seconds"]) + 5)
    try:
        answer: dict[str, Any] = {"ok": perform(request)}
    except TidegateError as error:
        answer = {"error": error.as_dict()}
    except MemoryError:
        answer = {"error": {"code": "invalid_input", "message": "The model needs more memory than there is."}}
    with os.fdopen(answers, "w") as stream:
        stream.write(json.dumps(answer) + "\n")
    return 0 if "ok" in answer else 1


def _claim_standard_output() -> int:
    """Return a descriptor for the answer; what frameworks print from now on goes to standard error."""
    sys.stdout.flush()
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _end_with_whoever_started_this(scratch: Path) -> None:
    """End this process and what it started when its input ends, and remove the folder that was made for it.

    What is checked reads an empty input. An input that is no pipe or socket, as when a person tries this, is kept.
    """
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) or os.getpgrp() != os.getpid():
        return
    given = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait() -> None:
        os.read(given, 1)
        _remove(scratch)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="input", daemon=True).start()


def _remove(folder: Path) -> None:
    """Remove a folder into which this very process may be writing."""
    # Under another name first: nothing new comes in by the old one, and what has it for its working directory is few.
    moved = folder.with_name(f"{folder.name}-removed")
    with suppress(OSError):
        folder = folder.rename(moved)
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def perform(request: Mapping[str, Any]) -> dict[str, Any]:
    """Build the bundle that a request asks for.

    Raises:
        TidegateError: it cannot be built.
    """
    path = Path(request["path"])
    sample_path = request.get("sample_path")
    version = version_of(path)
    with tempfile.TemporaryDirectory(prefix="derived-") as derived:
        checked = check_artifact(
            path,
            framework=request.get("framework"),
            trust=bool(request.get("trust")),
            sample_path=None if sample_path is None else Path(sample_path),
            settings=request.get("settings") or {},
            limits=ArtifactLimits(**request["limits"]),
            derived=Path(derived),
        )
        return _bundled(request, checked, version, Path(derived))


def _bundled(request: Mapping[str, Any], checked: Checked, version: ArtifactVersion, derived: Path) -> dict[str, Any]:
    content = BundleContent(
        artifact=Path(request["path"]),
        runtime=checked.recognition.runtime,
        format=checked.recognition.format,
        framework_version=checked.recognition.framework_version,
        # A file that needs no trust is served the same with or without it.
        trusted=bool(request.get("trust")) and checked.recognition.needs_trust,
        signature=signature_to_dict(checked.signature),
        environment=checked.environment,
        memory_bytes=checked.memory_bytes,
        cpu_seconds=checked.cpu_seconds,
        settings=dict(request.get("settings") or {}),
        sample=checked.sample,
        version=version,
        derived=derived if any(derived.iterdir()) else None,
    )
    bundle = write_bundle(content, Path(request["bundles"]))
    return {"digest": bundle.manifest.digest, "warnings": list(checked.warnings)}


if __name__ == "__main__":
    sys.exit(main())
