"""README and documentation: what they print works, what they link to is there, and they can be read."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from framestate.cli.main import app
from framestate.vision import VideoWriter
from framestate.vision.synthetic import demo_clip
from typer.testing import CliRunner

from ..ports import free_port

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
RUN = (
    "README.md", "docs/install.md", "docs/follow.md", "docs/follow-everything.md", "docs/scenes.md",
    "docs/more-frames.md",
    "docs/serve.md", "docs/your-model.md", "docs/on-a-gpu.md",
)  # fmt: skip
"""Pages whose blocks are run from top to bottom, but for those that say why not."""
PRINTED = "127.0.0.1:8000"
_BLOCK = re.compile(r"^(<!-- not run[^\n]*-->\n)?```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    language: str
    text: str
    is_run: bool

    def commands(self) -> list[str]:
        """What follows the prompts of a console, with continued lines."""
        found: list[str] = []
        continued = False
        for line in self.text.splitlines():
            if continued:
                found[-1] += f"\n{line}"
            elif line.startswith("$ "):
                found.append(line[2:])
            continued = line.endswith("\\") and (continued or line.startswith("$ "))
        return found


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    found = _BLOCK.findall(page.read_text("utf-8"))
    return [Block(language, text, not marker) for marker, language, _, text in found]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


class Desk:
    """A folder where somebody types what a page prints, with a short clip in it.

    The command and the blocks of Python run in this process: starting it anew for each line takes longer than
    what the lines do. Servers and other programs are processes of their own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.servers: list[subprocess.Popen[str]] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FRAMESTATE_")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FRAMESTATE_SERVE_PORT": str(self.port),
            "OMP_NUM_THREADS": "1",
        }
        with VideoWriter(folder / "clip.mp4", 640, 360, 25) as video:
            for image, _, _ in demo_clip(frames=8):
                video.write(image)

    def type(self, command: str) -> None:
        """Run a line of a console; a server stays until the desk is left."""
        if re.match(r"framestate serve\b", command):
            return self._serve(command)
        words = shlex.split(self._moved(command), comments=True)
        if words[0] == "framestate":
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, f"{command}\n{result.output}"
            return None
        done = subprocess.run(
            ["bash", "-ec", self._moved(command)],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=170,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def python(self, text: str) -> None:
        """Run a block of Python."""
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(self._moved(text), "<a page>", "exec"), {"__name__": "__main__"})

    def leave(self) -> None:
        """End the servers."""
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
        try:
            assert [server.wait(60) for server in self.servers] == [0] * len(self.servers)
        finally:
            for server in self.servers:
                server.kill()
                server.wait()

    def _moved(self, text: str) -> str:
        return text.replace(PRINTED, f"127.0.0.1:{self.port}")

    def _serve(self, command: str) -> None:
        server = subprocess.Popen(
            shlex.split(command, comments=True),
            cwd=self.folder, env=self.environment, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.servers.append(server)
        end = time.monotonic() + 60
        while True:
            assert server.poll() is None, command
            assert time.monotonic() < end, command
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/health/ready", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    found = Desk(tmp_path)
    yield found
    found.leave()


@pytest.mark.parametrize("name", RUN)
def test_a_page_works_as_printed(desk: Desk, name: str) -> None:
    chosen = [
        block for block in blocks(ROOT / name) if block.is_run and block.language in ("console", "python")
    ]
    assert chosen, "there is something to type"
    for block in chosen:
        if block.language == "python":
            desk.python(block.text)
        for command in block.commands() if block.language == "console" else ():
            program = shlex.split(command, comments=True)[0]
            if program != "framestate" and shutil.which(program) is None:
                pytest.skip(f"there is no {program} here")
            desk.type(command)


def test_task_pages_begin_with_a_command_and_end_with_a_remedy() -> None:
    for name in RUN[2:]:
        text = (ROOT / name).read_text("utf-8")
        assert "```" in text[:600], name
        assert "## When it fails" in text, name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_printed_command_can_be_typed(page: Path) -> None:
    """Each line with ``framestate`` is read by the command itself, up to where it would begin to work."""
    for block in blocks(page):
        for command in block.commands() if block.language == "console" else ():
            for part in re.split(r"\s(?:\||&&)\s|;", command.replace("\\\n", " ")):
                words = shlex.split(part, comments=True)
                if words[:1] == ["framestate"] and "bench latency|throughput" not in part:
                    understood(words[1:], command)


def understood(words: list[str], line: str) -> None:
    """Raise an AssertionError where the command would refuse its arguments."""
    command: Any = typer.main.get_command(app)
    context: Any = None
    words = [word for word in words if word not in ("…", "...")]
    is_whole = "…" not in line and "..." not in line and not {*words} & {"--help", "--version"}
    while True:
        try:
            context = command.make_context(
                command.name, list(words), parent=context, resilient_parsing=not is_whole
            )
        except Exception as error:
            raise AssertionError(f"{line}: {error}") from error
        rest = [*context._protected_args, *context.args]
        if not hasattr(command, "commands") or not rest:
            return
        assert rest[0] in command.commands, f"{line}: there is no {rest[0]}"
        command, words = command.commands[rest[0]], rest[1:]


def anchors(page: Path) -> set[str]:
    """Where a link can lead in a page, by GitHub's rule."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S), re.M
    )
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in plain}


@pytest.mark.parametrize("page", [*PAGES, *sorted((DOCS / "decisions").glob("*.md"))], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), f"{name_of(page)}: {target}"
        assert not anchor or found.suffix != ".md" or anchor in anchors(found), f"{name_of(page)}: {target}"


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) < 120
    assert (DOCS / "images" / "lost_and_found.webp").stat().st_size < 2_000_000


def readability() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readability", DOCS / "readability.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["readability"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_sentences_are_short() -> None:
    module = readability()
    total = module.Count(0, 0, 0)
    for page in module.pages(ROOT):
        total += module.count(page.read_text("utf-8"))
    assert total.words > 10_000
    assert total.mean <= module.MOST_MEAN, f"{total}; see python docs/readability.py"
    assert total.share <= module.MOST_LONG, f"{total}; see python docs/readability.py"


def test_sentences_are_counted_as_people_count() -> None:
    module = readability()
    text = "# A title\n\nOne two three. Four `a b c`, five!\n\n- Six (seven. Eight).\n\n```\nNot this.\n```\n"
    assert module.sentences(text) == ["One two three.", "Four `code`, five!", "Six (seven.", "Eight)."]
    assert module.count(text) == module.Count(9, 4, 0)
    assert module.count("word " * 31 + "end.").long == 1
