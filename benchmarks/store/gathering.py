"""`python -m benchmarks.store.gathering SECONDS OPTIONS`: the replica's server, whose log gathers for so long.

Takes the options of `python -m tidegate.server`.
"""

from __future__ import annotations

import sys


def main() -> None:
    from tidegate.runtime.frameworks import limit_threads

    limit_threads(1)
    from tidegate.server import __main__ as server
    from tidegate.telemetry import sink

    sink.GATHER_SECONDS = float(sys.argv.pop(1))
    server.main()


if __name__ == "__main__":
    main()
