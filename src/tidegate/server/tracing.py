"""OpenTelemetry traces of inference requests, when they are configured.

They are configured when `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) is set, the standard's own variables,
which also set headers, sampling and more. A request continues the trace that its `traceparent` names. Its spans are
written down when it has been answered, with the times that were measured anyway, so a request pays nothing before.

Spans: the request (kind SERVER), and inside it the queue and the model.
"""

from __future__ import annotations

import os
import threading
from time import time_ns
from typing import Any

from tidegate.contract.errors import Unavailable
from tidegate.server.exchange import Answer
from tidegate.server.protocols.base import Identity

_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NANO = 1_000_000_000
_CLOSING_SECONDS = 3.0


class Tracer:
    """Writes down the spans of requests that were answered. Used on the event loop's thread."""

    def __init__(self, provider: Any, identity: Identity) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("tidegate.server")
        self._trace = trace
        self._contexts = TraceContextTextMapPropagator()
        self._facts = {
            "tidegate.deployment": identity.deployment,
            "tidegate.revision": identity.revision,
            "tidegate.model_version": identity.model_version,
        }

    def request(
        self,
        protocol: str,
        *,
        traceparent: bytes,
        tracestate: bytes,
        request_id: bytes,
        status: int,
        seconds: float,
        answer: Answer | None,
    ) -> None:
        """Write down one request that has just been answered.

        Args:
            traceparent: as the client sent it; empty when it did not.
            tracestate: likewise; what other tracing systems want to be told by whoever continues the trace.
            seconds: from its headers to its answer.
            answer: None when it failed.
        """
        end = time_ns()
        start = end - int(seconds * _NANO)
        carrier = {"traceparent": traceparent.decode("latin-1")} if traceparent else {}
        if traceparent and tracestate:
            carrier["tracestate"] = tracestate.decode("latin-1")
        span = self._tracer.start_span(
            f"infer {protocol}",
            context=self._contexts.extract(carrier),
            kind=self._trace.SpanKind.SERVER,
            start_time=start,
            attributes={
                **self._facts,
                "tidegate.protocol": protocol,
                "tidegate.request_id": request_id.decode("latin-1"),
                "http.response.status_code": status,
            },
        )
        if span.is_recording():
            if answer is not None:
                self._inside(span, end, answer)
            if status >= 500:
                span.set_status(self._trace.StatusCode.ERROR)
        span.end(end)

    def close(self) -> None:
        """Send what waits to be sent, for a few seconds at most."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)

    def _inside(self, span: Any, end: int, answer: Answer) -> None:
        span.set_attribute("tidegate.rows", answer.rows)
        span.set_attribute("tidegate.batch_requests", answer.batch_requests)
        if answer.cache is not None:
            span.set_attribute("tidegate.cache", answer.cache)
        context = self._trace.set_span_in_context(span)
        # The model's part ended just now, but for writing down the answer; the queue's ended where the model's began.
        model = end - int(answer.model_seconds * _NANO)
        queue = model - int(answer.queue_seconds * _NANO)
        for name, begin, stop in (("queue", queue, model), ("model", model, end)):
            self._tracer.start_span(name, context=context, start_time=begin).end(stop)


def build_tracer(identity: Identity, replica: int) -> Tracer | None:
    """Return the tracer that the environment asks for; None when it asks for none.

    Raises:
        Unavailable: it asks for one and OpenTelemetry is not installed.
    """
    if not any(os.environ.get(name) for name in _VARIABLES):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Unavailable(
            "Traces are asked for and OpenTelemetry is not installed.",
            subject=" or ".join(_VARIABLES),
            hint="pip install 'tidegate[otel]', or unset the variable",
        ) from error
    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", identity.deployment),
            "service.version": str(identity.revision),
            "service.instance.id": f"{identity.deployment}-{identity.revision}-{replica}",
        }
    )
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider, identity)
