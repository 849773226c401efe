"""Traces for OpenTelemetry: a span around each request and each reconcile pass, and its trace's id in every log line below it.

They are made when `fasttrack[otel]` is installed and `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Otherwise none of its SDK is
imported, and a span is nothing. Its own variables (`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` …) hold as its documentation
says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

log = structlog.get_logger()

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NAME = "fasttrack"


class _State:
    tracer: Tracer | None = None


class Span:
    """One thing that is being done; with no tracer, nothing."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def name(self, name: str) -> None:
        """Call it so: what it is may be known only at its end."""
        if self._span is not None:
            self._span.update_name(name)

    def note(self, facts: Mapping[str, str | int]) -> None:
        """What is known of it."""
        if self._span is not None:
            self._span.set_attributes(facts)

    def failed(self, why: str) -> None:
        """It did not do what it should have."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR, why))


_NOTHING = Span()


def set_up(exporter: SpanExporter | None = None) -> bool:
    """Make spans from here on, if the environment asks for it; whether they are made.

    :param exporter: where spans go, at once; by default to the environment's endpoint, in batches.
    """
    if exporter is None and (_State.tracer is not None or not any(map(os.environ.get, ENDPOINTS))):
        return _State.tracer is not None
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    except ImportError:
        log.warning("no traces are sent: OTEL_EXPORTER_OTLP_ENDPOINT is set, but fasttrack[otel] is not installed")
        return False
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": _NAME}
    provider = TracerProvider(resource=Resource.create(named))
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))  # writes what is left at the process's end
        trace.set_tracer_provider(provider)  # for whatever else is instrumented in this process
    _State.tracer = provider.get_tracer(_NAME)
    return True


def turn_off() -> None:
    """Make no spans from here on."""
    _State.tracer = None


@contextmanager
def span(
    name: str,
    *,
    kind: Literal["INTERNAL", "SERVER"] = "INTERNAL",
    headers: Mapping[str, str] | None = None,
) -> Iterator[Span]:
    """A span while the block runs, below the one that is open here; its trace's id is bound to log lines.

    :param headers: of the request that it serves; with a `traceparent` it belongs to the caller's trace.
    """
    tracer = _State.tracer
    if tracer is None:
        yield _NOTHING
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract(dict(headers)) if headers is not None else None
    with tracer.start_as_current_span(name, context=parent, kind=SpanKind[kind]) as made:
        trace_id = format(made.get_span_context().trace_id, "032x")
        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            yield Span(made)
