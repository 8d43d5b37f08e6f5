"""Where an ONNX graph keeps its data, found by walking the wire format."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle, ModelSpec, load_bundle, write_bundle
from framestate.bundles.onnx_wire import external_data
from framestate.errors import BundleIntegrityError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


def outside(location: str = "shared.data", **entries: str) -> Any:
    """A tensor whose data is in another file."""
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[2])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def model_with(tensor: Any, place: str) -> Any:
    """A model that holds ``tensor`` somewhere."""
    graph = helper.make_graph([], "g", [], [])
    model = helper.make_model(graph)
    node = helper.make_node("Constant", [], ["y"])
    inner = helper.make_graph([helper.make_node("Constant", [], ["z"], value=tensor)], "inner", [], [])
    sparse = onnx.SparseTensorProto(values=tensor)
    if place == "initializer":
        model.graph.initializer.append(tensor)
    elif place == "sparse initializer":
        model.graph.sparse_initializer.append(sparse)
    elif place == "attribute":
        model.graph.node.append(helper.make_node("Constant", [], ["y"], value=tensor))
    elif place == "attribute list":
        attribute = onnx.AttributeProto(name="many", type=onnx.AttributeProto.TENSORS, tensors=[tensor])
        node.attribute.append(attribute)
        model.graph.node.append(node)
    elif place == "sparse attribute":
        node.attribute.append(
            onnx.AttributeProto(name="s", type=onnx.AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse)
        )
        model.graph.node.append(node)
    elif place == "subgraph":
        model.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))
    elif place == "subgraph list":
        node.attribute.append(onnx.AttributeProto(name="g", type=onnx.AttributeProto.GRAPHS, graphs=[inner]))
        model.graph.node.append(node)
    elif place == "function":
        model.functions.append(
            helper.make_function(
                "d", "F", [], ["y"], [helper.make_node("Constant", [], ["y"], value=tensor)], []
            )
        )
    elif place == "function default":
        function = helper.make_function("d", "F", [], [], [], [])
        function.attribute_proto.append(helper.make_attribute("a", tensor))
        model.functions.append(function)
    elif place == "training":
        model.training_info.add().initialization.CopyFrom(inner)
    else:
        raise AssertionError(place)
    return model


PLACES = [
    "initializer", "sparse initializer", "attribute", "attribute list", "sparse attribute", "subgraph",
    "subgraph list", "function", "function default", "training",
]  # fmt: skip


def saved(model: Any, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


@pytest.mark.parametrize("place", PLACES)
def test_a_reference_is_found_wherever_it_is(place: str, tmp_path: Path) -> None:
    model = model_with(outside("../../etc/shadow", offset="4"), place)
    found = external_data(saved(model, tmp_path))
    assert {entry for reference in found for entry in reference.entries} == {
        ("location", "../../etc/shadow"),
        ("offset", "4"),
    }


def test_the_message_fields_are_those_of_onnx() -> None:
    """Every path from a model to a tensor that the onnx package knows is one that the walk takes."""
    from framestate.bundles.onnx_wire import _CHILDREN

    names = {"Training": "TrainingInfo"}
    followed = {names.get(name, name) + "Proto" for name in [*_CHILDREN, "Tensor"]}
    for message, children in _CHILDREN.items():
        descriptor = getattr(onnx, names.get(message, message) + "Proto").DESCRIPTOR
        leading = [field for field in descriptor.fields if field.message_type is not None]
        known = {
            field.number: field.message_type.name for field in leading if field.message_type.name in followed
        }
        assert {number: names.get(child, child) + "Proto" for number, child in children.items()} == known


@pytest.mark.parametrize("place", PLACES)
def test_data_inside_is_no_reference(place: str, tmp_path: Path) -> None:
    inside = numpy_helper.from_array(np.arange(2, dtype=np.float32), "w")
    assert external_data(saved(model_with(inside, place), tmp_path)) == []


def test_a_reference_without_a_place(tmp_path: Path) -> None:
    tensor = outside()
    del tensor.external_data[:]
    with pytest.raises(BundleIntegrityError, match="without saying where"):
        external_data(saved(model_with(tensor, "initializer"), tmp_path))


def test_an_engine_file(tmp_path: Path) -> None:
    node = helper.make_node("EPContext", [], [], domain="com.microsoft", ep_cache_context="../engine.bin")
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    with pytest.raises(BundleIntegrityError, match="EPContext"):
        external_data(saved(model, tmp_path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x08\x0a", "no graph"),
        (b"\x3a\x05", "ends inside a field"),
        (b"\x3a", "ends inside a number"),
        (b"\xff" * 11, "more than 10 bytes"),
        (b"\x3b", "wire type 3"),
        (b"\x00\x00", "number 0"),
        (b"not a model at all", "sound ONNX model"),
        (b"\x3a\x04\x0a\x02\x2a\x05", "ends inside a field"),
    ],
)
def test_what_is_no_model(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(BundleIntegrityError, match=said):
        external_data(saved(content, tmp_path))


def test_absurd_nesting(tmp_path: Path) -> None:
    graph = b""
    for _ in range(100):  # graph { node { attribute { g { ... } } } }
        for key in (0x32, 0x2A, 0x0A):
            length, size = len(graph), bytearray()
            while length > 127:
                size.append(length & 127 | 128)
                length >>= 7
            graph = bytes([key, *size, length]) + graph
    head = bytearray()
    length = len(graph)
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    with pytest.raises(BundleIntegrityError, match="nested more than 64"):
        external_data(saved(bytes([0x3A, *head, length]) + graph, tmp_path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=64))
def test_any_bytes_are_a_model_or_a_typed_error(content: bytes, tmp_path: Path) -> None:
    with contextlib.suppress(BundleIntegrityError):
        external_data(saved(content, tmp_path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.sampled_from(PLACES),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)
def test_nothing_that_onnx_would_follow_is_missed(
    place: str, changes: list[tuple[int, int]], tmp_path: Path
) -> None:
    """Bytes of a sound model are changed; what the onnx package then finds, the walk finds or refuses."""
    content = bytearray(model_with(outside(), place).SerializeToString())
    for position, value in changes:
        content[position % len(content)] = value
    try:
        parsed = onnx.ModelProto.FromString(bytes(content))
    except Exception:  # whatever protobuf calls it
        return
    wanted = sum(len(tensor.external_data) > 0 for tensor in _tensors(parsed))
    try:
        found = external_data(saved(bytes(content), tmp_path))
    except BundleIntegrityError:
        return
    assert len(found) >= wanted


def _tensors(message: Any) -> list[Any]:
    found = [message] if isinstance(message, onnx.TensorProto) else []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if field.is_repeated else [value]:
                found.extend(_tensors(item))
    return found


def test_shared_weights_load_with_the_bundle(tmp_path: Path, spec: ModelSpec) -> None:
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    model = helper.make_model(helper.make_graph([], "g", [], [], [weight]))
    onnx.save_model(
        model, tmp_path / "step.onnx", save_as_external_data=True, location="shared.data", size_threshold=0
    )
    files: dict[str, Path | bytes] = {name: tmp_path / name for name in ("step.onnx", "shared.data")}
    bundle = write_bundle(tmp_path / "m", spec, files, provenance={}, metrics={}, parity={})
    assert load_bundle(bundle.path).hash == bundle.hash


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"location": "../secret.data"}, "no declared file"),
        ({"location": "/etc/shadow"}, "no declared file"),
        ({"location": "missing.data"}, "no declared file"),
        ({"location": "./shared.data"}, "no declared file"),
        ({"location": "manifest.json"}, "no declared file"),
        ({"location": "step.onnx"}, "no declared file"),
        ({"location": ""}, "no declared file"),
        ({"location": "shared.data", "offset": "-4"}, "which is not there"),
        ({"location": "shared.data", "offset": "x"}, "which is not there"),
        ({"location": "shared.data", "length": "9"}, "which is not there"),
        ({"location": "shared.data", "offset": "4", "length": "5"}, "which is not there"),
        ({"location": "shared.data", "length": "9" * 30}, "which is not there"),
    ],
)
def test_data_outside_the_bundle_is_refused(bundle: Bundle, entries: dict[str, str], said: str) -> None:
    """Also when the manifest vouches for the graph, as an attacker's would."""
    (bundle.path.parent / "secret.data").write_bytes(bytes(8))
    (bundle.path / "shared.data").write_bytes(bytes(8))
    bundle.file("step.onnx").write_bytes(model_with(outside(**entries), "initializer").SerializeToString())
    path = bundle.path / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    for name in ("step.onnx", "shared.data"):
        content = (bundle.path / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    path.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleIntegrityError, match=said):
        load_bundle(bundle.path)
