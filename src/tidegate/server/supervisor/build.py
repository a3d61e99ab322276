"""`python -m tidegate.server.supervisor.build`: a model becomes a bundle, in a process of its own.

Takes one JSON object on standard input and prints one line, `{"ok": …}` or `{"error": …}`. The supervisor itself never
imports what this takes, and what a model does while it is checked ends with this process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tidegate.contract.errors import TidegateError
from tidegate.server.priority import stand_back


def main() -> None:
    request = json.load(sys.stdin)
    if request["in_background"]:
        stand_back()  # and with this thread every process that it starts
    try:
        answer: dict[str, Any] = {"ok": build(request)}
    except TidegateError as error:
        answer = {"error": error.as_dict()}
    sys.stdout.write(json.dumps(answer) + "\n")


def build(request: dict[str, Any]) -> dict[str, Any]:
    """Build the bundle; return its folder and the warnings.

    Raises:
        TidegateError: it cannot be built.
    """
    from tidegate.artifact.build import BuildLimits, BuildRequest, build_bundle

    sample = request["sample"]
    info = asyncio.run(
        build_bundle(
            BuildRequest(
                path=Path(request["path"]),
                framework=request["framework"],
                trust=request["trust"],
                sample_path=None if sample is None else Path(sample),
            ),
            Path(request["bundles"]),
            BuildLimits(seconds=request["seconds"]),
        )
    )
    return {"folder": str(info.folder), "warnings": info.warnings}


if __name__ == "__main__":
    main()
