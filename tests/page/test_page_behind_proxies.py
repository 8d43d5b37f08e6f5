"""The page in Chromium behind nginx and Caddy, as deploy/proxy has them, and with the server's own TLS."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from framestate.vision import Box
from playwright.sync_api import expect

from ..certificates import write_certificate
from ..ports import free_port
from .test_page import draw, load, wait_for_tracks

Pair = tuple[Path, Path]
Proxy = Callable[[str, int], str]
WAIT_MS = 60_000


@dataclass
class Seen:
    """A site at the address that browsers know."""

    url: str
    site: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.site, name)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A certificate of our own for localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    write_certificate(cert, key, "localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    return cert, key


@pytest.fixture
def proxy(checkout: Path, pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Starts nginx or Caddy with its file of deploy/proxy, on ports of ours; gives the address in front."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, behind: int) -> str:
        program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip(f"there is no {name} here: apt-get install {name}")
        folder, port = tmp_path_factory.mktemp(name), free_port()
        given = checkout / "deploy" / "proxy" / {"nginx": "nginx.conf", "caddy": "Caddyfile"}[name]
        text = given.read_text("utf-8").replace("127.0.0.1:8000", f"127.0.0.1:{behind}")
        for old, new in zip(
            ("/etc/ssl/framestate/cert.pem", "/etc/ssl/framestate/key.pem"), pair, strict=True
        ):
            assert old in text
            text = text.replace(old, str(new))
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace(":443 ", f":{port} ")
        config = folder / given.name
        if name == "nginx":
            text = f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n" + text
            text = text.replace(
                "http {\n", f"http {{\n  access_log off; client_body_temp_path {folder};\n", 1
            )
            command = [program, "-c", str(config), "-p", str(folder)]
        else:
            text = text.replace("admin off", "admin off\n\tauto_https off\n\tdefault_bind 127.0.0.1", 1)
            command = [program, "run", "--config", str(config), "--adapter", "caddyfile"]
        config.write_text(text, "utf-8")
        with (folder / "log").open("wb") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(folder)}))
        wait_for(port, folder / "log")
        return f"https://localhost:{port}/framestate/"

    yield start
    for one in started:
        one.terminate()
        try:
            one.wait(10)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


def wait_for(port: int, log: Path) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, log.read_text("utf-8")
            time.sleep(0.05)


@pytest.mark.parametrize(("name", "prefix"), [("nginx", ""), ("caddy", "/framestate"), ("itself", "")])
def test_page_stream_and_job_work(
    name: str,
    prefix: str,
    host: Any,
    proxy: Proxy,
    pair: Pair,
    visit: Any,
    film: tuple[Path, Box],
    tmp_path: Path,
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef-key\n")
    pond = (f"pond={film[0]}",)
    if name == "itself":
        site = host(tls_cert=pair[0], tls_key=pair[1], api_key_file=keys, sources=pond)
        seen = Seen(site.url.replace("http://127.0.0.1", "https://localhost"), site)
    else:
        site = host(proxies=("127.0.0.1",), root_path=prefix, api_key_file=keys, sources=pond)
        seen = Seen(proxy(name, site.server.address[1]), site)
    expected = ("status of 401",)
    page = visit(seen, ignore_https_errors=True, ready=False, expected=expected)
    page.fill("#key-input", "0123456789abcdef-key")
    page.press("#key-input", "Enter")
    expect(page.locator("#health-dot")).to_have_attribute("data-state", "good", timeout=WAIT_MS)
    load(page, film)
    draw(page, film[1])
    page.click("#start")
    wait_for_tracks(page)
    page.click("#other")
    page.click("#pick-sample")
    expect(page.locator("#targets li")).to_have_count(2, timeout=WAIT_MS)
    page.click("#tab-live")
    page.get_by_role("button", name="pond").click()
    expect(page.locator("#live-picture")).to_be_visible(timeout=WAIT_MS)
    page.click("#live-picture")
    expect(page.locator("#live-targets li")).to_have_count(1)
    page.get_by_role("button", name="End target 1").click()
    expect(page.locator("#live-targets li")).to_have_count(0)
    page.click("#tab-interpolate")
    page.set_input_files("#job-file", film[0])
    page.click("#job-start")
    expect(page.locator("#compare")).to_be_visible(timeout=WAIT_MS)
    page.goto(f"{seen.url}docs")  # the key is known by now
    page.locator('.opblock-get:has([data-path="/v1/sessions"]) .opblock-summary').click()
    page.locator("button.try-out__btn").click()
    page.locator("button.execute").click()
    expect(
        page.locator(".responses-inner .live-responses-table tr.response .response-col_status").first
    ).to_contain_text("200")


def test_the_certificate_is_what_clients_check(host: Callable[..., Any], pair: Pair) -> None:
    port = host(tls_cert=pair[0], tls_key=pair[1]).server.address[1]
    context = ssl.create_default_context(cafile=str(pair[0]))
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert secure.recv(100).startswith(b"HTTP/1.1 200")
