"""What Prometheus reads: one registry a server, histograms in seconds, the model in a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ..errors import FrameDroppedError
from ..wire import Timings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.033, 0.066, 0.133, 0.266, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A number as it stands now; a counter where its name ends in ``_total``, a gauge otherwise."""

    name: str
    what: str
    value: float
    labels: Mapping[str, str]


Readings = Callable[[], Iterable[Reading]]


class Metrics:
    """Every number that the server counts, and those that others hand over with ``read_from``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)

        def seconds(name: str, what: str) -> Histogram:
            return Histogram(
                f"framestate_{name}_seconds", what, ["model"], registry=self.registry, buckets=BUCKETS
            )

        def count(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"framestate_{name}", what, ["model", *labels], registry=self.registry)

        self._queue = seconds("queue", "What a frame waited.")
        self._input = seconds("compute_input", "From a frame to the model's first call.")
        self._infer = seconds("compute_infer", "The model's calls of a frame.")
        self._output = seconds("compute_output", "From the model's outputs to the answer.")
        self._age = seconds("frame_age", "From receiving a frame until its answer was there.")
        self._decode = seconds("decode", "Decoding the image of a frame.")
        self._frames = count(
            "frames", "Frames by how they ended: answered, or the name of an error.", "outcome"
        )
        self._dropped = count("frames_dropped", "Frames dropped by a queue policy.", "policy")
        self._evictions = count("evictions", "Sessions that the server ended.", "reason")
        self._opened = count("sessions_opened", "Sessions opened or restored.")
        self._requests = Counter(
            "framestate_http_requests", "Requests answered.", ["method", "status"], registry=self.registry
        )
        self._refused = Counter(
            "framestate_refused",
            "Requests and streams that were not let in, by the name of the error.",
            ["kind", "reason"],
            registry=self.registry,
        )
        self._closed = Counter(
            "framestate_streams_closed",
            "Streams that ended, by close code.",
            ["code"],
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def read_from(self, readings: Readings) -> None:
        """Reads these numbers whenever somebody asks, so that they cannot differ from what they are of."""
        self.registry.register(_Read(readings))

    def frame(self, model: str, timings: Timings) -> None:
        """Counts one answered frame."""
        self._queue.labels(model).observe(timings.queue_ms / 1e3)
        self._input.labels(model).observe(timings.prepare_ms / 1e3)
        self._infer.labels(model).observe(timings.model_ms / 1e3)
        self._output.labels(model).observe(timings.finish_ms / 1e3)
        self._age.labels(model).observe(timings.total_ms / 1e3)
        self._decode.labels(model).observe(timings.decode_ms / 1e3)
        self._frames.labels(model, "answered").inc()

    def failed(self, model: str, error: BaseException, policy: str = "WAIT") -> None:
        """Counts a frame that ended in an error; of one that was dropped, by which policy."""
        self._frames.labels(model, type(error).__name__).inc()
        if isinstance(error, FrameDroppedError):
            self.dropped(model, policy)

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

    def refused(self, kind: str, reason: str) -> None:
        """Counts a request (``http``) or a stream (``websocket``) that was not let in."""
        self._refused.labels(kind, reason).inc()

    def closed(self, code: int) -> None:
        """Counts a stream that ended."""
        self._closed.labels(str(code)).inc()

    def render(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)


class _Read(Collector):
    """Numbers that are asked for, not kept."""

    def __init__(self, read: Readings) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for one in self._read():
            kind = CounterMetricFamily if one.name.endswith("_total") else GaugeMetricFamily
            family = families.setdefault(one.name, kind(one.name, one.what, labels=list(one.labels)))
            family.add_metric(list(one.labels.values()), one.value)
        yield from families.values()
