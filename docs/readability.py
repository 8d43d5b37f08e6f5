"""Count the words of the README and the documentation, and how long their sentences are.

Run from the root of the repository: ``python docs/readability.py [FILE.md ...]``. What is counted is the
running text, list items included. Headings, tables, code and pictures are left out. The decisions and the
changelog are records: they are left out too, unless they are named.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LONG = 30
"""A sentence of more words than this is long."""
MOST_MEAN, MOST_LONG = 16.0, 0.05
"""What `tests/docs` asks of all pages together: words a sentence, and the share of long sentences."""
LEFT_OUT = ("docs/decisions", "docs/site", "CHANGELOG.md")

_FENCE = re.compile(r"^\s*(```|~~~)")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_`]*[A-Z0-9`])")
_WORD = re.compile(r"[\w][\w'’./:@%-]*")
_SHORT = re.compile(r"\b(e\.g|i\.e|vs|cf|no|St)\.$")


@dataclass(frozen=True)
class Count:
    """Of one page, or of several together."""

    words: int
    sentences: int
    long: int

    def __add__(self, other: Count) -> Count:
        return Count(self.words + other.words, self.sentences + other.sentences, self.long + other.long)

    @property
    def mean(self) -> float:
        """Words a sentence; 0 where there is none."""
        return self.words / self.sentences if self.sentences else 0.0

    @property
    def share(self) -> float:
        """Long sentences of all; 0 where there is none."""
        return self.long / self.sentences if self.sentences else 0.0


def paragraphs(text: str) -> Iterable[str]:
    """The running text of a page: each paragraph and list item on one line."""
    lines: list[str] = []
    fenced = False
    for line in [*text.splitlines(), ""]:
        if _FENCE.match(line):
            fenced = not fenced
            line = ""
        elif fenced or line.startswith(("#", "|", "<", "!!!", "???", ":::")):
            line = ""
        if lines and (not line.strip() or _ITEM.match(line)):
            yield " ".join(lines)
            lines = []
        if line.strip():
            lines.append(_ITEM.sub("", line).strip())


def sentences(text: str) -> list[str]:
    """The sentences of a page. Only a full stop, a question mark or an exclamation mark ends one."""
    found: list[str] = []
    for paragraph in paragraphs(text):
        plain = re.sub(r"`[^`]*`", "`code`", _LINK.sub(r"\1", paragraph))
        parts = _END.split(plain)
        for part in parts:
            if not part.strip("*_` "):
                continue
            if found and _SHORT.search(found[-1]):
                found[-1] += f" {part}"
            else:
                found.append(part)
    return [one for one in found if _WORD.search(one)]


def count(text: str) -> Count:
    """Words, sentences and long sentences of a page."""
    lengths = [len(_WORD.findall(one)) for one in sentences(text)]
    return Count(sum(lengths), len(lengths), sum(length > LONG for length in lengths))


def pages(root: Path) -> list[Path]:
    """The README and every page of the documentation that is no record."""
    found = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
    return [path for path in found if not path.relative_to(root).as_posix().startswith(LEFT_OUT)]


def main() -> None:
    """Print a table."""
    root = Path(__file__).resolve().parent.parent
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or pages(root)
    total = Count(0, 0, 0)
    lines = [f"{'page':<44} {'words':>6} {'sentences':>9} {'mean':>6} {'> 30 words':>10}"]
    for path in chosen:
        one = count(path.read_text(encoding="utf-8"))
        total += one
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        lines.append(_line(name, one))
    lines.append(_line("all", total))
    print("\n".join(lines))  # noqa: T201


def _line(name: str, one: Count) -> str:
    return f"{name:<44} {one.words:>6} {one.sentences:>9} {one.mean:>6.1f} {one.share:>10.1%}"


if __name__ == "__main__":
    main()
