"""Metrics for Prometheus: predictions, their latency, refused requests, and restarts."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from runtime.settings import Identity

_LABELS = ("tenant", "deployment", "version")
_BUCKETS_MS = (0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)


class Metrics:
    """In a registry of its own, so that metrics of a model's libraries are not exposed."""

    def __init__(self, identity: Identity, restarts: int) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._labels = labels = (identity.tenant, identity.deployment, identity.version)
        self._answered = Counter(
            "predictions", "Requests answered with predictions.", _LABELS, registry=self._registry
        ).labels(*labels)
        self._latency = Histogram(
            "prediction_latency_ms",
            "Milliseconds from a request's head to its answer, for those answered with predictions.",
            _LABELS,
            buckets=_BUCKETS_MS,
            registry=self._registry,
        ).labels(*labels)
        self._refused = Counter(
            "prediction_errors", "Requests without predictions.", (*_LABELS, "code"), registry=self._registry
        )

        Counter(
            "server_restarts", "Starts of the server after its model hung or crashed.", _LABELS, registry=self._registry
        ).labels(*labels).inc(restarts)

    def answered(self, milliseconds: float) -> None:
        self._answered.inc()
        self._latency.observe(milliseconds)

    def refused(self, code: str) -> None:
        self._refused.labels(*self._labels, code).inc()

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)
