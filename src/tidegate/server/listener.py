"""The HTTP server of a replica of ours."""

from __future__ import annotations

from tidegate.server.app import build_app, hot_endpoints
from tidegate.server.hot_request import BodyBudget
from tidegate.server.http_server import ConnectionServer
from tidegate.server.replica import Replica


class HttpServer(ConnectionServer):
    """Serves one replica over HTTP until `should_exit` is set."""

    def __init__(self, replica: Replica) -> None:
        settings = replica.settings
        super().__init__(
            build_app(replica), settings, hot=hot_endpoints(replica), budget=BodyBudget(settings.queue_bytes)
        )
