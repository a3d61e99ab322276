"""`python -m tidegate.server`: one replica, in this process."""

from __future__ import annotations

import importlib
import os
import sys

from tidegate.runtime.frameworks import limit_threads
from tidegate.scheduling import come_first, run_standing_back


def main() -> None:
    # Before NumPy is imported: its BLAS reads this once. Requests run side by side on the pool's threads instead.
    limit_threads(1)
    come_first()
    if "--in-background" in sys.argv:
        # Imports alone are a second of work. They too are for the processors that nobody else wants.
        run_standing_back(lambda: importlib.import_module("tidegate.server.worker"))
    from tidegate.server import forward, logs
    from tidegate.server.settings import parse_arguments

    settings = parse_arguments()
    logs.configure()
    if settings.worker is not None:
        from tidegate.server.worker import run
    elif forward.is_for(settings.bundle):
        from tidegate.server.forward.process import run
    else:
        from tidegate.server.process import run
    code = run(settings)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not `sys.exit`: a model whose native code still computes must not keep a process from ending that has answered
    # all it will answer.
    os._exit(code)


if __name__ == "__main__":
    main()
