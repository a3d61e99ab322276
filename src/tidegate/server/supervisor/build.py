"""`python -m tidegate.server.supervisor.build`: a model becomes a bundle, in a process of its own.

Takes one JSON object as a line on standard input and prints one line, `{"ok": …}` or `{"error": …}`. The supervisor
itself never imports what this takes, and what a model does while it is checked ends with this process. This process
ends when its input does: then nobody waits for it, or its supervisor was killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from tidegate.contract.errors import TidegateError
from tidegate.scheduling import stand_back

#: As shells have it for a process that ended by SIGINT.
_INTERRUPTED = 130


def main() -> None:
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    if request["in_background"]:
        stand_back()  # and with this thread every process that it starts
    try:
        answer: dict[str, Any] = {"ok": build(request)}
    except TidegateError as error:
        answer = {"error": error.as_dict()}
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the thread that reads would be waited for


def _end_with_the_input() -> None:
    sys.stdin.read()
    # As Ctrl-C does: what builds is cancelled, and ends the process in which the model is checked.
    os.kill(os.getpid(), signal.SIGINT)


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
                settings=request["settings"],
            ),
            Path(request["bundles"]),
            BuildLimits(seconds=request["seconds"]),
        )
    )
    return {"folder": str(info.folder), "warnings": info.warnings}


if __name__ == "__main__":
    main()
