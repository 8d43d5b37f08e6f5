"""What `make docs` adds to the pages: the reference, the decisions, and links that leave ``docs/``."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "framestate.engine": "Sessions and tasks: start here.",
    "framestate.vision": "Frames, boxes, videos in and out, drawing.",
    "framestate.client": "The client of the server.",
    "framestate.wire": "Answers, as they go over the network.",
    "framestate.server": "The server as a part of a program.",
    "framestate.bundles": "Models as folders.",
    "framestate.runtimes": "What runs a model.",
    "framestate.errors": "Every error that is raised on purpose.",
}
_LINK = re.compile(r"(!?\[[^\]]*\])\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(\s*```\w+) ([\w./-]+)$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the two pages of the reference, which are made from the code."""
    for name, text in (("command", command_page()), ("python", python_page())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the pages, which are written to be read in the repository, fit the site."""

    def outside(found: re.Match[str]) -> str:
        target = (ROOT / "docs" / page.file.src_uri).parent / found[2]
        if target.resolve().is_relative_to(ROOT / "docs"):
            return found[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_uri} links to {found[2]}, and there is no such file")
        return f"{found[1][1:-1]} (`{target.resolve().relative_to(ROOT)}`)"

    if page.file.src_uri == "decisions/README.md":
        text += "\n## All of them\n\n" + "\n".join(decisions()) + "\n"
    return _FENCE.sub(r'\1 title="\2"', _LINK.sub(outside, text))


def decisions() -> list[str]:
    """A line for each decision, with its title."""
    lines = []
    for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        title = path.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{title}]({path.name})")
    return lines


def command_page() -> str:
    """Every verb with its arguments and options, by Typer."""
    from framestate.cli.main import app
    from typer.cli import get_docs_for_click

    command = typer.main.get_command(app)
    root = typer.Context(command, info_name="framestate")
    parts = ["# The command", get_docs_for_click(obj=command, ctx=root, name="framestate", call_prefix="")]
    return "\n\n".join(parts)


def python_page() -> str:
    """The public names of the packages that users import, by mkdocstrings."""
    parts = ["# Python", "What these packages hand on is public. What lies deeper may change."]
    for package, words in PACKAGES.items():
        names = sorted(getattr(import_module(package), "__all__", ()))
        parts += [f"## `{package}`", words]
        parts += [f"::: {package}.{name}" for name in names]
    return "\n\n".join(parts) + "\n"
