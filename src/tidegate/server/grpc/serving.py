"""What one replica serves over gRPC."""

from __future__ import annotations

from tidegate.server.grpc.health import MOST_WATCHERS, HealthService
from tidegate.server.grpc.listener import GrpcBounds, GrpcServer
from tidegate.server.grpc.service import InferenceService
from tidegate.server.replica import Replica

#: Calls beyond those that the queue takes, for methods that do not wait in it.
_OTHER_CALLS = 64


def server_of(replica: Replica) -> GrpcServer:
    """Return the gRPC server of a replica, which is not started."""
    settings = replica.settings
    bounds = GrpcBounds(
        body_bytes=settings.limits.body_bytes,
        calls=settings.threads + settings.queue_limit + MOST_WATCHERS + _OTHER_CALLS,
        grace_seconds=settings.grace_seconds,
    )
    health = HealthService(lambda: replica.is_ready, settings.identity.model_name)
    return GrpcServer(InferenceService(replica).handler(), health, bounds)
