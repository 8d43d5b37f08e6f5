"""What is shipped is what is there, and what is shipped works on its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

NOT_SHIPPED = {"tests", "docs", "examples", "deploy", "build", "dist", "runs"}


def settings(checkout: Path) -> dict[str, Any]:
    """The whole of pyproject.toml."""
    return tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))


def code_folders(checkout: Path) -> list[Path]:
    """The folders at the root that hold Python code which is shipped."""
    candidates = (path for path in checkout.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(path for path in candidates if path.name not in NOT_SHIPPED and any(path.rglob("*.py")))


def test_the_listed_packages_are_those_on_disk(checkout: Path) -> None:
    folders = {path.parent for folder in code_folders(checkout) for path in folder.rglob("*.py")}
    on_disk = {".".join(("framestate", *folder.relative_to(checkout).parts)) for folder in folders}
    listed = settings(checkout)["tool"]["setuptools"]["packages"]
    assert sorted(on_disk) == sorted(listed)
    assert listed == sorted(listed)


def test_every_package_has_an_init(checkout: Path) -> None:
    folders = {path.parent for folder in code_folders(checkout) for path in folder.rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_each_folder_at_the_root_is_mapped_and_typed(checkout: Path) -> None:
    names = [folder.name for folder in code_folders(checkout)]
    mapping = settings(checkout)["tool"]["setuptools"]["package-dir"]
    assert mapping == {f"framestate.{name}": name for name in names}
    assert [name for name in names if not (checkout / name / "py.typed").is_file()] == []


def test_the_serving_dependencies_hold_no_extra(checkout: Path) -> None:
    project = settings(checkout)["project"]
    serving = {Requirement(text).name for text in project["dependencies"]}
    assert not serving & {"torch", "onnx", "onnxscript", "matplotlib", "triton", "tensorrt"}


def test_the_constraints_pin_every_dependency(checkout: Path) -> None:
    project = settings(checkout)["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["torch"], *extras["bench"], *extras["dev"]]
    pinned = re.findall(
        r"^([A-Za-z0-9_.-]+)==\S+$", (checkout / "constraints.txt").read_text("utf-8"), re.MULTILINE
    )
    missing = {_normal(Requirement(text).name) for text in wanted} - {_normal(name) for name in pinned}
    assert not missing


def test_extras_can_be_installed_beside_all_else(checkout: Path) -> None:
    """None brings a package that unpacks over another one, or one whose build wants what is not there yet."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]
    names = {
        extra: {re.split(r"[\[<>=;~ ]", line)[0] for line in lines}
        for extra, lines in {"": project["dependencies"], **project["optional-dependencies"]}.items()
    }
    everywhere = set().union(*names.values())
    assert not {"onnxruntime", "onnxruntime-gpu"} <= everywhere, "both are the folder onnxruntime"
    assert len([name for name in everywhere if name.startswith("opencv")]) == 1, "all are the folder cv2"
    assert not {"mamba-ssm", "causal-conv1d"} & everywhere, "they are built with the PyTorch that is there"
    told = [
        *(checkout / "docs").glob("*.md"),
        checkout / "README.md",
        *checkout.glob("*/*.py"),
        *checkout.glob("bench/*.sh"),
    ]
    asked = {
        extra
        for path in told
        for found in re.findall(r"framestate\[([\w,]+)\]", path.read_text("utf-8"))
        for extra in found.split(",")
    }
    assert asked <= set(names), "an extra that there is not is passed over by pip"


@pytest.mark.slow
def test_a_wheel_works_from_another_folder(checkout: Path, tmp_path: Path) -> None:
    """Build the wheel, install it in a clean environment with the serving dependencies only, run the demo."""
    wheel = build_wheel(checkout, tmp_path)
    check_wheel(wheel, checkout)
    python = serving_environment(tmp_path / "venv")
    pip(["--python", str(python), "install", "--no-deps", "--no-index", str(wheel)])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [str(python.parent / "framestate"), "demo", "--json"],
        cwd=elsewhere, env=clean_environment(), capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["runtime"] == "onnx"
    assert report["outputs"]
    for output in report["outputs"]:
        assert (elsewhere / output).stat().st_size > 0


def test_one_opencv_is_brought_by_all_that_is_installed(checkout: Path) -> None:
    """Not even a dependency of a dependency may bring another build: it would unpack over ours.

    What the Makefile installs without its dependencies brings none.
    """
    alone = re.search(r"--no-deps ([\w ]+?)  #", (checkout / "Makefile").read_text("utf-8"))
    assert alone is not None
    apart = {"framestate", *alone[1].split()}
    asked = {
        Requirement(text).name
        for distribution in metadata.distributions()
        for text in distribution.requires or ()
        if "extra ==" not in text and distribution.metadata["Name"] not in apart
    }
    assert not {name for name in asked if name.startswith("opencv")}


@pytest.mark.parametrize("tag", [None, "v3.2.1"])
def test_the_version_is_that_of_the_tag(checkout: Path, tmp_path: Path, tag: str | None) -> None:
    """A clone without tags has one too, so that it can be built."""
    scm = pytest.importorskip("setuptools_scm")
    if not (checkout / ".git").exists():
        pytest.skip("this is no clone")
    clone = tmp_path / "clone"

    def git(*words: str) -> None:
        subprocess.run(["git", *words], check=True, capture_output=True, timeout=60)

    git("clone", "--quiet", "--no-tags", checkout.as_uri(), str(clone))
    if tag is not None:
        git("-C", str(clone), "tag", tag)
    options = settings(checkout)["tool"]["setuptools_scm"]
    found = Version(scm.get_version(root=clone, **options))
    assert found == Version(tag) if tag else found.release >= (0, 1)


def build_wheel(checkout: Path, tmp_path: Path) -> Path:
    """The wheel of this checkout, built from a copy: left-overs of earlier builds would get into it."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(checkout / name, source)
    for folder in code_folders(checkout):
        shutil.copytree(folder, source / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    pip(
        [
            "wheel",
            str(source),
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "-w",
            str(tmp_path / "wheels"),
        ]
    )
    (wheel,) = (tmp_path / "wheels").glob("framestate-*.whl")
    return wheel


def check_wheel(wheel: Path, checkout: Path) -> None:
    """Everything lies under ``framestate``; all code and every default bundle is in; nothing else is."""
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    code = {path for folder in code_folders(checkout) for path in folder.rglob("*.py")}
    bundles = {
        path for path in (checkout / "bundles").glob("*/*") if (path.parent / "manifest.json").exists()
    }
    expected = {f"framestate/{path.relative_to(checkout).as_posix()}" for path in code | bundles}
    assert expected <= shipped
    assert {Path(name).suffix for name in shipped - expected} <= {
        ".typed",
        ".toml",
        ".html",
        ".css",
        ".txt",  # the licence of Swagger UI
        ".js",
        ".svg",
        ".mp4",  # the sample of the page, and its picture
        ".webp",
        ".ptx",
    }
    licences = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("licenses/LICENSE")]
    assert licences


def serving_environment(folder: Path) -> Path:
    """A new environment that sees the serving dependencies of this one and nothing else; returns its Python.

    They are linked, not installed: no network, and no minute of waiting.
    """
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in sorted(closure("framestate")):
        if name == "framestate":
            continue
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or [] if file.parts[0] != ".."}:
            if not (site / top).exists() and top != "__pycache__":
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder / "bin" / "python"


def closure(name: str, done: frozenset[str] = frozenset()) -> frozenset[str]:
    """The names of all distributions that ``name`` needs, with its own, without extras."""
    done |= {_normal(name)}
    for text in metadata.distribution(name).requires or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if _normal(requirement.name) not in done:
            done = closure(requirement.name, done)
    return done


def pip(arguments: list[str]) -> None:
    """Run pip; on failure its output is the message."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        env=clean_environment(), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def clean_environment() -> dict[str, str]:
    """This environment without what would let Python find the checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
