"""`Settings`: everything about a server that can be set, with its limits and defaults."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

MEGABYTE = 1024 * 1024
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_in(text: object) -> object:
    """Seconds of a text such as 90, 90s, 30m, 12h or 7d; anything else is left as it is."""
    found = re.fullmatch(r"([0-9.]+)([smhd])", text.strip()) if isinstance(text, str) else None
    return text if found is None else float(found[1]) * UNITS[found[2]]


class Settings(BaseSettings):
    """What a server may be told: by arguments, or by environment variables ``FRAMESTATE_SERVE_<NAME>``.

    Times are in seconds, sizes in bytes. All that a hostile peer could drive up has a limit here.
    """

    model_config = SettingsConfigDict(
        env_prefix="FRAMESTATE_SERVE_", frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own needs keys."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes a free one."""
    models: Annotated[tuple[str, ...], Field(min_length=1)] = ("tracker-nano",)
    """Names or folders of bundles; the first one of a task is its default."""
    runtime: str = "auto"
    """auto, onnx or eager."""
    device: str = "auto"
    """auto, cpu or cuda."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Model calls side by side on a CPU; 0 is one a core."""
    max_sessions: PositiveInt | None = None
    """Sessions of each model; without it, as many as memory allows."""
    state_dir: Path | None = None
    """Where sessions and videos outlive the process."""
    state_wait_s: Annotated[float, Field(ge=0)] = 15.0
    """For a server that still holds the state folder to leave, as in a restart."""
    snapshot_s: Annotated[float, Field(gt=0, le=86_400)] = 5.0
    """Between two rounds of snapshots: so much is lost at most when the process is killed."""
    api_key_file: Path | None = None
    """A file of API keys, one a line."""
    tls_cert: Path | None = None
    """A certificate, or a chain of them, in PEM form: with it the server speaks HTTPS alone."""
    tls_key: Path | None = None
    """The certificate's key in PEM form, without a password."""
    root_path: str = ""
    """The path that a proxy serves this server under, such as /framestate."""
    proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded headers are believed."""
    allow_origins: tuple[str, ...] = ()
    """Web origins that may use the API besides the server's own page."""
    allow_hosts: tuple[str, ...] = ()
    """Host names that are answered to besides localhost, where there are no keys."""
    sources: tuple[str, ...] = ()
    """Live sources as name=address. The server reads no other address, whoever asks."""
    allow_sources: tuple[str, ...] = ()
    """Places whose addresses may be added as sources while the server runs; none without."""
    max_sources: PositiveInt = 64
    """Live sources at once, those of the command line included."""
    max_targets: PositiveInt = 64
    """Targets of one source at once; each takes a session's slot."""
    look_ms: PositiveFloat = 30.0
    """Of one frame of a source, within which its targets are looked at by the model; the others wait."""
    late_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    """How long after its frame the detections of a source may come."""
    detector: Path | None = None
    """An ONNX file of the YOLO form, which finds targets in every source that a tracker follows."""
    detect_every: PositiveInt = 10
    """At every Nth frame that a source's targets are followed in."""
    detect_classes: tuple[str, ...] = ()
    """Only these classes of the detector, by name; all without."""
    detector_score: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Least score of the detector that counts."""
    pushes: tuple[str, ...] = ()
    """Annotated sources that are sent elsewhere, as name=rtsp://host/path."""
    max_peers: PositiveInt = 16
    """WebRTC connections at once."""
    source_file: Path | None = None
    """A file of live sources, name=address a line, so that passwords are in no list of processes."""
    stale_s: PositiveFloat = 10.0
    """A source's picture that is older is answered with 503."""
    webhooks: tuple[str, ...] = ()
    """Web addresses that events are sent to."""
    webhook_secret_file: Path | None = None
    """The secret that these are signed with: ``whsec_`` and base64, as standardwebhooks.com has it."""
    mqtt: tuple[str, ...] = ()
    """Brokers that events are sent to: mqtt://user:password@host:1883/prefix, or mqtts."""
    max_events: PositiveInt = 100_000
    """Events that wait to be taken; the oldest are given up beyond that, and the log says so."""
    max_frame_bytes: PositiveInt = 16 * MEGABYTE
    """Of one picture as it is sent."""
    max_pixels: PositiveInt = 3840 * 2160
    """Of one picture; read from its header before it is decoded."""
    max_upload_bytes: PositiveInt = 2048 * MEGABYTE
    """Of one video."""
    max_videos: PositiveInt = 32
    """Videos that wait or are worked on."""
    video_workers: PositiveInt = 1
    """Videos that are worked on side by side."""
    keep_videos: Annotated[float, BeforeValidator(seconds_in), Field(gt=0)] = Field(default=604_800.0)
    """How long a video is kept when it is over: seconds, or as 30m, 12h, 7d."""
    keep_videos_bytes: PositiveInt | None = None
    """Of all videos that are over; beyond it the oldest are deleted."""
    max_frames_per_second: PositiveFloat = 1000.0
    """Messages of one stream, or frames of one session; more are refused, far more end a stream."""
    max_connections: PositiveInt = 1024
    """Connections at once, as far as files may be open; one more ends the oldest stranger, or gets 503."""
    address_per_second: PositiveFloat = 2000.0
    """Requests of one address, except for the page and health; more get 429."""
    address_streams: PositiveInt = 512
    """Streams of one address at once; one more is refused."""
    key_per_second: PositiveFloat = 2000.0
    """Requests with one key, unless the key file gives it its own ``per_second``."""
    key_streams: PositiveInt = 512
    """Streams with one key at once, unless the key file gives it its own ``streams``."""
    wrong_keys_per_minute: PositiveInt = 10
    """Of one address; more lock it out, except for keys that were good there before."""
    idle_s: PositiveFloat = 300.0
    """A session, or a stream, that hears nothing for so long is ended."""
    grace_s: PositiveFloat = 60.0
    """How long a session waits for its stream to come back."""
    header_s: PositiveFloat = 10.0
    """For a request's headers, or a stream's hello, to arrive."""
    body_s: PositiveFloat = 30.0
    """For a request's body to arrive; a video gets more by its size."""
    upload_rate: PositiveInt = 64 * 1024
    """Bytes a second that the upload of a video has to keep up."""
    send_s: PositiveFloat = 15.0
    """For a peer to take one message."""
    ping_s: Annotated[float, Field(gt=0, le=30)] = 20.0
    """Between two pings of a stream; one that sends nothing for as long after a ping is closed."""
    drain_s: PositiveFloat = 10.0
    """From being told to stop to the end: frames under way, the last snapshots, leaving."""
    traces: str | None = None
    """Where traces go by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; nowhere without."""
    log_file: Path | None = None
    """Where the log goes instead of stderr; opened again when it was moved away."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged; debug has a line for every request."""


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
