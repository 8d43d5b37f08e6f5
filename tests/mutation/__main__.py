"""``python -m tests.mutation engine``: random one-token changes of a folder, each against its tests.

Cosmic Ray makes the changes, in a copy of the checkout under ``build/mutation``; the checkout itself is never
touched. The report shows the changes that no test noticed. ``--seed`` draws others.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from cosmic_ray.work_db import use_db

from ..made_once import VARIABLE

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "__pycache__", "runs", "*.egg-info", ".*_cache"
)
# Changes that cannot be seen: annotations are not evaluated, and a log line more or less is nobody's promise.
NOT_ASKED = ("core/ReplaceBinaryOperator_BitOr_", "core/RemoveDecorator")
CONFIGURATION = """
[cosmic-ray]
module-path = "{folder}"
timeout = {timeout}
excluded-modules = []
test-command = "{python} -m pytest -q -x -p no:cacheprovider -m 'not slow and not long and not alone' {tests}"

[cosmic-ray.distributor]
name = "local"
"""


def main() -> int:
    """Copy, mutate, test, report; the exit code says whether every change was noticed."""
    asked = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    asked.add_argument("folder", help="a folder of code, such as engine or vision")
    asked.add_argument("--tests", nargs="*", help="the tests to run (default: those of the folder)")
    asked.add_argument("--count", type=int, default=24, help="how many changes")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--timeout", type=float, default=300, help="seconds of one run of the tests")
    given = asked.parse_args()
    tests = given.tests or [f"tests/{given.folder}"]
    work = ROOT / "build" / "mutation" / given.folder
    tree = copy(work)
    configuration, session = work / "cosmic-ray.toml", work / "session.sqlite"
    configuration.write_text(
        CONFIGURATION.format(
            folder=given.folder, timeout=given.timeout, python=sys.executable, tests=" ".join(tests)
        ),
        "utf-8",
    )
    environment = os.environ | {"PYTHONPATH": str(work / "view"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {VARIABLE: str(work / "bundles")}  # made before any change
    ray = Path(sys.executable).with_name("cosmic-ray")

    def run(*arguments: str | Path) -> None:
        subprocess.run([*map(str, arguments)], cwd=tree, env=environment, check=True)

    run(ray, "init", configuration, session)
    drawn = draw(session, given.count, given.seed)
    print(f"{drawn} changes of {given.folder}, each against {' '.join(tests)}", flush=True)
    run(ray, "baseline", configuration)  # the tests have to pass before any change
    run(ray, "exec", configuration, session)
    run(ray.with_name("cr-report"), "--show-diff", "--surviving-only", session)
    with use_db(str(session)) as database:
        lived = sum(result.test_outcome == "survived" for _, result in database.results)
    print(f"{lived} of {drawn} lived")
    return int(lived > 0)


def copy(work: Path) -> Path:
    """A copy of the checkout, and beside it the installed shape of the package, made of links."""
    tree, view = work / "tree", work / "view" / "framestate"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
    view.mkdir(parents=True)
    (work / "bundles").mkdir()
    for init in tree.glob("*/__init__.py"):
        (view / init.parent.name).symlink_to(init.parent)
    return tree


def draw(session: Path, count: int, seed: int) -> int:
    """Keep ``count`` of the possible changes, by chance, as many of each file as its share of them."""
    with use_db(str(session)) as database:
        items = [item for item in database.work_items if asked_for(item)]
        kept = random.Random(seed).sample(items, min(count, len(items)))
        database.clear()
        database.add_work_items(kept)
    return len(kept)


def asked_for(item: object) -> bool:
    """Whether a change can be seen by a test at all."""
    names: Iterable[str] = (mutation.operator_name for mutation in item.mutations)  # type: ignore[attr-defined]
    return not any(name.startswith(NOT_ASKED) for name in names)


if __name__ == "__main__":
    sys.exit(main())
