"""What Prometheus reads: one registry a server, histograms in seconds, the model in a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ..engine import Track

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.033, 0.066, 0.133, 0.266, 0.5, 1.0, 2.0, 5.0)
Gauges = Callable[[], Iterable[tuple[str, str, str, float]]]
"""Gives (name, help, model, value) of every gauge as it stands now."""


class Metrics:
    """Every number that the server counts.

    Args:
        gauges: read whenever somebody asks, so that they cannot differ from what they describe.
    """

    def __init__(self, gauges: Gauges) -> None:
        self.registry = CollectorRegistry(auto_describe=True)

        def seconds(name: str, what: str) -> Histogram:
            return Histogram(
                f"framestate_{name}_seconds", what, ["model"], registry=self.registry, buckets=BUCKETS
            )

        def count(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"framestate_{name}", what, ["model", *labels], registry=self.registry)

        self._queue = seconds("queue", "From submission until the step of a frame began.")
        self._input = seconds("compute_input", "Filter prediction, crop and normalisation of a frame.")
        self._infer = seconds("compute_infer", "The model's call of a frame.")
        self._output = seconds("compute_output", "From the model's maps to a box.")
        self._age = seconds("frame_age", "From receiving a frame until its answer was there.")
        self._decode = seconds("decode", "Decoding the image of a frame.")
        self._frames = count(
            "frames", "Frames by how they ended: a track, or the name of an error.", "outcome"
        )
        self._dropped = count("frames_dropped", "Frames dropped by a queue policy.", "policy")
        self._evictions = count("evictions", "Sessions that the server ended.", "reason")
        self._opened = count("sessions_opened", "Sessions opened or restored.")
        self._requests = Counter(
            "framestate_http_requests", "Requests answered.", ["method", "status"], registry=self.registry
        )
        self.registry.register(_Gauges(gauges))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def track(self, model: str, track: Track, age: float, decode: float) -> None:
        """Counts one answered frame; ``age`` and ``decode`` in seconds."""
        timings = track.timings
        self._queue.labels(model).observe(timings.queue_ms / 1e3)
        self._input.labels(model).observe(timings.prepare_ms / 1e3)
        self._infer.labels(model).observe(timings.model_ms / 1e3)
        self._output.labels(model).observe(timings.finish_ms / 1e3)
        self._age.labels(model).observe(age)
        self._decode.labels(model).observe(decode)
        self._frames.labels(model, "track").inc()

    def made(self, model: str, age: float, decode: float, infer: float) -> None:
        """Counts one frame that was answered by pictures."""
        self._infer.labels(model).observe(infer)
        self._age.labels(model).observe(age)
        self._decode.labels(model).observe(decode)
        self._frames.labels(model, "made").inc()

    def failed(self, model: str, error: BaseException) -> None:
        """Counts a frame that ended in an error."""
        self._frames.labels(model, type(error).__name__).inc()

    def dropped(self, model: str, policy: str) -> None:
        """Counts a frame that a policy dropped."""
        self._dropped.labels(model, policy).inc()

    def opened(self, model: str) -> None:
        """Counts a session."""
        self._opened.labels(model).inc()

    def evicted(self, model: str, reason: str) -> None:
        """Counts a session that the server ended."""
        self._evictions.labels(model, reason).inc()

    def answered(self, method: str, status: int) -> None:
        """Counts a request."""
        known = method if method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS") else "other"
        self._requests.labels(known, str(status)).inc()

    def render(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    """Gauges that are asked for, not kept."""

    def __init__(self, read: Gauges) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, what, model, value in self._read():
            family = families.setdefault(name, GaugeMetricFamily(name, what, labels=["model"]))
            family.add_metric([model], value)
        yield from families.values()
