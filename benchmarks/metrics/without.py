"""`python -m benchmarks.metrics.without OPTIONS`: the replica's server, with nothing counted per request.

Takes the options of `python -m tidegate.server`. What is counted elsewhere (requests in flight, what was shed) decides
about requests, too, and stays.
"""

from __future__ import annotations

from typing import Any


def main() -> None:
    from tidegate.runtime.frameworks import limit_threads

    limit_threads(1)
    from tidegate.server import __main__ as server
    from tidegate.server.metrics import ServerMetrics
    from tidegate.server.recording.watch import Watch

    def nothing(*_: Any) -> None:
        return None

    for owner, name in ((ServerMetrics, "answered"), (ServerMetrics, "served"), (Watch, "counted")):
        setattr(owner, name, nothing)
    server.main()


if __name__ == "__main__":
    main()
