"""What the gateway counts, for /metrics: requests, latencies and requests in flight.

Label values come from the routing table, never from a request, and are deleted together with their variant, so
neither strangers nor many rollouts can increase their number without limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from reconciler.targets.local.gateway.balance import LiveRoute, LiveVariant

CLIENT_LEFT = 499
"""The code under which a request counts whose client did not wait for the answer, as nginx has it."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_VARIANT_LABELS = ("tenant", "deployment", "variant")
_UNROUTED = ("", "", "")


@dataclass(slots=True)
class _Series:
    """The ready-made children of one variant: a look-up by labels costs more than the counting."""

    labels: tuple[str, str, str]
    latency: Histogram
    codes: dict[int, Counter] = field(default_factory=dict)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "kubeserve_gateway_requests",
            "Requests answered; without tenant, deployment and variant where no variant was chosen.",
            (*_VARIANT_LABELS, "code"),
            registry=self.registry,
        )
        self._latency = Histogram(
            "kubeserve_gateway_request_seconds",
            "From a request's head to the last byte of its answer, the model's own time included.",
            _VARIANT_LABELS,
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._inflight = Gauge(
            "kubeserve_gateway_requests_in_flight",
            "Requests that a variant is answering now.",
            _VARIANT_LABELS,
            registry=self.registry,
        )
        self._series: dict[str, _Series] = {}
        self._unrouted: dict[int, Counter] = {}

    def arrived(self, route: LiveRoute, variant: LiveVariant) -> None:
        labels = (route.tenant, route.deployment, variant.name)
        self._series[variant.key] = _Series(labels, self._latency.labels(*labels))
        self._inflight.labels(*labels).set_function(lambda: variant.inflight)

    def departed(self, variant: LiveVariant) -> None:
        series = self._series.pop(variant.key)
        self._latency.remove(*series.labels)
        self._inflight.remove(*series.labels)
        for code in series.codes:
            self._requests.remove(*series.labels, str(code))

    def answered(self, variant: LiveVariant | None, code: int, seconds: float) -> None:
        """Counts a request by the variant that it went to last, if it went to any."""
        series = self._series.get(variant.key) if variant is not None else None
        if series is None:
            self._count(self._unrouted, _UNROUTED, code)
            return
        self._count(series.codes, series.labels, code)
        series.latency.observe(seconds)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)

    def _count(self, codes: dict[int, Counter], labels: tuple[str, str, str], code: int) -> None:
        counter = codes.get(code)
        if counter is None:
            # The upstream chooses the code; three digits bound it.
            counter = codes[code] = self._requests.labels(*labels, str(code))
        counter.inc()
