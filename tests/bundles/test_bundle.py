"""Writing a bundle, loading it, adding to it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import framestate.bundles.bundle as bundle_module
import framestate.bundles.writer as writer_module
import numpy as np
import pytest
from framestate.bundles import Bundle, ModelSpec, add_to_bundle, default_bundles, load_bundle, write_bundle
from framestate.errors import BundleError, BundleIntegrityError, UnknownModelError


def everything_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_written_is_what_loads(
    bundle: Bundle, spec: ModelSpec, weights: dict[str, np.ndarray]
) -> None:
    loaded = load_bundle(bundle.path)
    assert loaded.spec == spec
    assert loaded.hash == bundle.hash
    assert list(loaded.files) == ["step.onnx", "weights.safetensors"]
    assert loaded.file("step.onnx") == bundle.path / "step.onnx"
    assert (loaded.provenance, loaded.metrics, loaded.parity) == ({"seed": 1}, {"auc": 0.5}, {})
    assert loaded.parameters == 7
    for name, array in loaded.weights().items():
        np.testing.assert_array_equal(array, weights[name])


def test_the_manifest_names_the_versions(bundle: Bundle) -> None:
    versions = bundle.manifest["versions"]
    assert isinstance(versions, dict)
    assert versions["numpy"] == np.__version__
    assert "framestate" in versions


def test_a_path_as_text_or_relative(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_bundle(str(bundle.path)).hash == bundle.hash
    monkeypatch.chdir(bundle.path.parent)
    assert load_bundle("tiny").hash == bundle.hash


def test_a_file_that_it_lacks(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no file 'init\.onnx'.*It has: step\.onnx"):
        bundle.file("init.onnx")


def test_a_bundle_without_weights(tmp_path: Path, spec: ModelSpec) -> None:
    bare = write_bundle(tmp_path / "bare", spec, {}, provenance={}, metrics={}, parity={})
    assert bare.parameters == 0
    with pytest.raises(BundleError, match="no file 'weights"):
        bare.weights()


def test_weights_of_a_type_that_numpy_has_not(spec: ModelSpec, tmp_path: Path) -> None:
    """A sound file of the format: two numbers of bfloat16."""
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    stored = len(header).to_bytes(8, "little") + header + bytes(4)
    files: dict[str, Path | bytes] = {"weights.safetensors": stored}
    halves = write_bundle(tmp_path / "halves", spec, files, provenance={}, metrics={}, parity={})
    with pytest.raises(BundleError, match="holds tensors of a type that NumPy does not have"):
        halves.weights()


@pytest.mark.parametrize("name", ["no-such-model", "no/such/folder", "", "a\0b"])
def test_an_unknown_model(name: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        load_bundle(name)
    for known in default_bundles():
        assert known in caught.value.remedy


def test_every_default_bundle_is_sound() -> None:
    for name in default_bundles():
        assert load_bundle(name).spec.name == name


def test_a_default_bundle_is_found_by_name(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "__file__", str(bundle.path.parent / "bundle.py"))
    assert default_bundles() == ["tiny"]
    assert load_bundle("tiny").path == bundle.path
    with pytest.raises(UnknownModelError, match="Use one of: tiny;"):
        load_bundle("tinier")


def test_the_hash_follows_the_content_only(
    bundle: Bundle, tmp_path: Path, spec: ModelSpec, weights: dict[str, np.ndarray]
) -> None:
    files: dict[str, Path | bytes] = {name: bundle.file(name) for name in bundle.files}
    same = write_bundle(tmp_path / "other", spec, files, provenance={}, metrics={"auc": 1}, parity={})
    assert same.hash == bundle.hash
    respecified = dataclasses.replace(spec, config={})
    changed = write_bundle(tmp_path / "third", respecified, files, provenance={}, metrics={}, parity={})
    assert changed.hash != bundle.hash


def test_nothing_is_written_over_unasked(bundle: Bundle, spec: ModelSpec) -> None:
    before = everything_under(bundle.path.parent)
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(bundle.path, spec, {}, provenance={}, metrics={}, parity={})
    assert everything_under(bundle.path.parent) == before
    replaced = write_bundle(bundle.path, spec, {}, provenance={}, metrics={}, parity={}, replace=True)
    assert replaced.files == {}
    assert [path.name for path in bundle.path.iterdir()] == ["manifest.json"]


def test_what_is_no_bundle_is_never_replaced(tmp_path: Path, spec: ModelSpec) -> None:
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is no bundle"):
        write_bundle(precious, spec, {}, provenance={}, metrics={}, parity={}, replace=True)
    assert (precious / "thesis.txt").exists()
    link = tmp_path / "link"
    link.symlink_to(precious)
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(link, spec, {}, provenance={}, metrics={}, parity={}, replace=True)


@pytest.mark.parametrize("replace", [False, True])
def test_a_failed_write_leaves_no_trace(
    bundle: Bundle, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    """Whether the content is unsafe or the last rename fails: what stood there stands, and nothing else."""
    before = everything_under(bundle.path.parent)
    target = bundle.path if replace else bundle.path.parent / "fresh"
    for files in ({"weights.pt": b"x"}, {"step.onnx": b"x"}, {"step.onnx": Path("no/such/file")}):
        with pytest.raises(BundleError):
            write_bundle(target, spec, files, provenance={}, metrics={}, parity={}, replace=replace)
    with pytest.raises(BundleError, match="which JSON cannot hold"):
        write_bundle(target, spec, {}, provenance={}, metrics={"x": float("inf")}, parity={}, replace=replace)

    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if self.parent.name.startswith(f".{target.name}.") and self.name == target.name:
            raise OSError("disk full")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="disk full"):
        write_bundle(target, spec, {}, provenance={}, metrics={}, parity={}, replace=replace)
    assert everything_under(bundle.path.parent) == before
    assert [path.name for path in bundle.path.parent.iterdir()] == ["tiny"]


def test_a_folder_that_cannot_be_made(tmp_path: Path, spec: ModelSpec) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tmp_path / "file" / "model", spec, {}, provenance={}, metrics={}, parity={})


def test_a_manifest_that_would_be_too_large(
    tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_MANIFEST_BYTES", 1000)
    with pytest.raises(BundleError, match="more than 1000"):
        write_bundle(tmp_path / "m", spec, {}, provenance={"x": "y" * 1000}, metrics={}, parity={})


def test_files_and_figures_are_added(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "notes"
    source.write_text("read me")
    more = add_to_bundle(bundle, {"README.md": source}, metrics={"fps": 9}, parity={"max_abs": 1e-6})
    assert more.path == bundle.path
    assert set(more.files) == {"README.md", *bundle.files}
    assert more.metrics == {"auc": 0.5, "fps": 9}
    assert more.provenance == {"seed": 1}
    assert more.parity == {"max_abs": 1e-6}
    assert load_bundle(bundle.path).hash == more.hash != bundle.hash


def test_nothing_is_added_to_a_bundle_that_was_changed(bundle: Bundle) -> None:
    bundle.file("step.onnx").write_bytes(b"12345")
    with pytest.raises(BundleIntegrityError):
        add_to_bundle(bundle, {"README.md": b"x"})
    assert not (bundle.path / "README.md").exists()


def test_a_bundle_can_be_moved(bundle: Bundle, tmp_path: Path) -> None:
    moved = shutil.move(bundle.path, tmp_path / "elsewhere")
    assert load_bundle(moved).hash == bundle.hash


def test_the_manifest_is_readable(bundle: Bundle) -> None:
    text = (bundle.path / "manifest.json").read_text("utf-8")
    assert json.loads(text) == bundle.manifest
    assert text.endswith("}\n")
