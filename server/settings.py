"""`Settings`: everything about a server that can be set, with its limits and defaults."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

MEGABYTE = 1024 * 1024


class Settings(BaseSettings):
    """What a server may be told: by arguments, or by environment variables ``FRAMESTATE_SERVE_<NAME>``.

    Times are in seconds, sizes in bytes. Numbers that a hostile peer could drive up all have a limit.
    """

    model_config = SettingsConfigDict(env_prefix="FRAMESTATE_SERVE_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; any but this machine's own needs keys.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    models: tuple[str, ...] = Field(
        ("tracker-nano",), min_length=1, description="Names or folders of bundles."
    )
    runtime: str = Field("auto", description="auto, onnx or eager.")
    device: str = Field("auto", description="auto, cpu or cuda.")
    workers: int = Field(0, ge=0, description="Model calls side by side on a CPU; 0 is one a core.")
    max_sessions: PositiveInt | None = Field(None, description="Sessions a model; none: what memory allows.")
    state_dir: Path | None = Field(None, description="Where sessions and videos outlive the process.")
    snapshot_s: float = Field(5.0, gt=0, le=86_400, description="Seconds between two rounds of snapshots.")
    api_key_file: Path | None = Field(None, description="A file of API keys, one a line.")
    allow_origins: tuple[str, ...] = Field(
        (), description="Web origins that may use the API besides its own."
    )
    allow_hosts: tuple[str, ...] = Field((), description="Names that the server may be asked for by.")
    sources: tuple[str, ...] = Field((), description="Live sources as name=address; the only addresses read.")

    max_frame_bytes: PositiveInt = Field(16 * MEGABYTE, description="Of one picture as it is sent.")
    max_pixels: PositiveInt = Field(3840 * 2160, description="Of one picture, read from its header first.")
    max_upload_bytes: PositiveInt = Field(2048 * MEGABYTE, description="Of one video.")
    max_videos: PositiveInt = Field(32, description="Videos that are kept: waiting, running and finished.")
    max_frames_per_second: PositiveFloat = Field(1000.0, description="Messages a second of one session.")
    max_connections: PositiveInt = Field(1024, description="Connections at once; more get 503.")
    idle_s: PositiveFloat = Field(300.0, description="A session that hears nothing for so long is closed.")
    grace_s: PositiveFloat = Field(60.0, description="How long a session outlives its connection.")
    header_s: PositiveFloat = Field(
        10.0, description="For a request's headers, or a stream's hello, to arrive."
    )
    body_s: PositiveFloat = Field(30.0, description="For a request's body; uploads get more by their size.")
    upload_rate: PositiveInt = Field(64 * 1024, description="Bytes a second that an upload must keep up.")
    send_s: PositiveFloat = Field(15.0, description="For a peer to take what it is sent.")
    drain_s: PositiveFloat = Field(10.0, description="For frames under way when the server stops.")
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
