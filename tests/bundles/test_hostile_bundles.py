"""Bundles that are damaged, or made by somebody who means harm: each a typed error that says what and why."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import Bundle, load_bundle
from framestate.errors import BundleError, BundleIntegrityError, BundleVersionError


def rewrite(bundle: Bundle, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest on disk."""
    path = bundle.path / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), "utf-8")


def declare(bundle: Bundle, name: str, content: bytes) -> None:
    """Put a file into the bundle with a manifest that vouches for it, as an attacker can."""
    (bundle.path / name).write_bytes(content)
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    rewrite(bundle, lambda manifest: manifest["files"].update({name: entry}))


def refused(bundle: Bundle, said: str, kind: type[BundleError] = BundleIntegrityError) -> None:
    """Loading fails with this kind of error, whose message has this in it, and stays short."""
    with pytest.raises(kind, match=said) as caught:
        load_bundle(bundle.path)
    assert caught.value.remedy.endswith(".")
    assert not caught.value.problem.endswith(".")
    assert len(str(caught.value)) < 1000


def test_one_changed_bit(bundle: Bundle) -> None:
    path = bundle.file("weights.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(bundle, "sha256")
    load_bundle(bundle.path, verify=False)  # what "without reading the files" means


def test_a_file_cut_off(bundle: Bundle) -> None:
    path = bundle.file("weights.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    refused(bundle, r"bytes where the manifest says")
    with pytest.raises(BundleIntegrityError, match="bytes where the manifest says"):
        load_bundle(bundle.path, verify=False)


def test_a_missing_file(bundle: Bundle) -> None:
    bundle.file("step.onnx").unlink()
    refused(bundle, "declared in the manifest but missing")


@pytest.mark.parametrize("name", ["extra.txt", "weights.pt", ".hidden"])
def test_an_undeclared_file(bundle: Bundle, name: str) -> None:
    (bundle.path / name).write_bytes(b"x")
    refused(bundle, "not declared")


def test_an_undeclared_folder(bundle: Bundle) -> None:
    (bundle.path / "more").mkdir()
    refused(bundle, "not declared")


@pytest.mark.parametrize(
    "name",
    [
        "w.pt",
        "w.pth",
        "w.pkl",
        "w.pickle",
        "w.bin",
        "w.npy",
        "w.npz",
        "w.joblib",
        "w.ckpt",
        "w.py",
        "w.so",
        "w",
    ],
)
def test_a_pickle_is_refused_even_when_it_is_declared(bundle: Bundle, name: str) -> None:
    declare(bundle, name, pickle.dumps({"weights": 1}))
    refused(bundle, "not of a kind that a bundle may hold")


def test_a_pickle_under_another_name_is_no_tensor_file(bundle: Bundle) -> None:
    declare(bundle, "weights.safetensors", pickle.dumps({"weights": [1.0] * 100}))
    refused(bundle, "header")


@pytest.mark.parametrize(
    "name",
    ["../outside.onnx", "/etc/passwd.txt", "a/b.onnx", "a\\b.onnx", "..", ".", "", ".onnx", "manifest.json",
     "C:evil.onnx", "a\0.onnx", "a..onnx", "ü.onnx", "x" * 300 + ".onnx"],
)  # fmt: skip
def test_a_name_that_leaves_the_folder(bundle: Bundle, name: str) -> None:
    (bundle.path.parent / "outside.onnx").write_bytes(b"x")
    rewrite(bundle, lambda m: m["files"].update({name: m["files"]["step.onnx"]}))
    refused(bundle, "cannot be the name of a file")


@pytest.mark.parametrize("target", ["../secret.onnx", "weights.safetensors", "nowhere"])
def test_a_link_in_place_of_a_file(bundle: Bundle, target: str) -> None:
    step = bundle.file("step.onnx")
    (bundle.path.parent / "secret.onnx").write_bytes(step.read_bytes())
    step.unlink()
    step.symlink_to(target)
    refused(bundle, "no regular file")


def test_a_folder_or_a_pipe_in_place_of_a_file(bundle: Bundle) -> None:
    step = bundle.file("step.onnx")
    step.unlink()
    step.mkdir()
    refused(bundle, "no regular file")
    step.rmdir()
    os.mkfifo(step)
    refused(bundle, "no regular file")  # and does not wait for a writer


def test_the_manifest_is_a_link_or_missing(bundle: Bundle) -> None:
    manifest = bundle.path / "manifest.json"
    moved = manifest.rename(bundle.path.parent / "manifest.json")
    refused(bundle, "has no manifest.json")
    manifest.symlink_to(moved)
    refused(bundle, "no regular file")


@pytest.mark.parametrize("version", [0, 2, 10**30])
def test_another_format_version(bundle: Bundle, version: int) -> None:
    """Said before anything else is looked at: the rest of a newer manifest may look different."""
    rewrite(bundle, lambda m: (m.update(format_version=version), m.pop("spec")))
    refused(bundle, f"format version {version}; this Framestate reads version 1", BundleVersionError)


def test_some_other_json(bundle: Bundle) -> None:
    rewrite(bundle, lambda m: m.update(format="package-lock"))
    refused(bundle, "not the manifest of a bundle")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"\x80\x04}", "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b'"text"', "not an object"),
        (b"{}", "no field 'format'"),
        (b'{"format": NaN}', "not JSON"),
        (b'{"format": 1e999}', "is inf"),
        (b'{"format": "a", "format": "b"}', "same key twice"),
        (b'{"format": "\\ud800"}', "no Unicode text"),
        (b'{"\\ud800": 1}', "no Unicode text"),
        (b'{"format": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 100_000, "nested too deep|not JSON"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested more than"),
    ],
)
def test_a_manifest_that_is_no_manifest(bundle: Bundle, content: bytes, said: str) -> None:
    (bundle.path / "manifest.json").write_bytes(content)
    refused(bundle, said, BundleError)


def test_a_huge_manifest_is_not_read(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with (bundle.path / "manifest.json").open("r+b") as file:
        file.truncate(2**40)  # a sparse file: reading it would end the process
    refused(bundle, "more than the 4194304 a manifest may have")


def test_too_many_files(bundle: Bundle) -> None:
    rewrite(bundle, lambda m: m["files"].update({f"f{n}.txt": m["files"]["step.onnx"] for n in range(300)}))
    refused(bundle, "lists 302 files, more than 256")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("files", [], "not an object"),
        ("files", {"step.onnx": "x"}, "not an object"),
        ("files", {"step.onnx": {"sha256": "x", "bytes": 1}}, "64 hexadecimal digits"),
        ("files", {"step.onnx": {"sha256": "A" * 64, "bytes": 1}}, "64 hexadecimal digits"),
        ("files", {"step.onnx": {"sha256": "a" * 64, "bytes": -1}}, "below 0"),
        ("files", {"step.onnx": {"sha256": "a" * 64, "bytes": True}}, "not an integer"),
        ("files", {"step.onnx": {"sha256": "a" * 64, "bytes": 1.5}}, "not an integer"),
        ("files", {"step.onnx": {"sha256": "a" * 64}}, "no field 'bytes'"),
        ("files", {"step.onnx": {"sha256": "a" * 64, "bytes": 1, "url": "x"}}, "unknown field 'url'"),
        ("format", 1, "not a string"),
        ("format_version", "1", "not an integer"),
        ("format_version", True, "not an integer"),
        ("spec", "tiny", "not an object"),
        ("spec", {}, "no field 'functions'"),
        ("versions", [], "not an object"),
        ("metrics", 3, "not an object"),
        ("surprise", 3, "unknown field 'surprise'"),
    ],
)
def test_a_field_of_the_wrong_kind(bundle: Bundle, key: str, value: Any, said: str) -> None:
    rewrite(bundle, lambda m: m.update({key: value}))
    refused(bundle, said, BundleError)


@pytest.mark.parametrize(
    "key", ["format", "format_version", "spec", "files", "versions", "provenance", "metrics", "parity"]
)
def test_a_field_that_is_missing(bundle: Bundle, key: str) -> None:
    rewrite(bundle, lambda m: m.pop(key))
    refused(bundle, f"no field '{key}'", BundleError)


def test_messages_stay_short_whatever_is_in_the_file(bundle: Bundle) -> None:
    rewrite(bundle, lambda m: m["spec"].update(name="x" * 10**6))
    refused(bundle, "not a name", BundleError)
    rewrite(bundle, lambda m: (m["spec"].update(name="x"), m["files"].update({"y" * 10**6: 1})))
    refused(bundle, "cannot be the name", BundleError)
    rewrite(bundle, lambda m: m.update(files={}, **{"z" * 10**6: 1}))
    refused(bundle, "unknown field", BundleError)


def test_a_path_to_a_file(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="neither a model"):
        load_bundle(bundle.path / "manifest.json")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleIntegrityError, match=r"has no manifest\.json"):
        load_bundle(tmp_path)
