"""The Open Inference Protocol v2 over gRPC, on the replica's own event loop; needs the extra `grpc`.

Nothing but the process imports this package, and only when it is told to listen for gRPC.
"""
