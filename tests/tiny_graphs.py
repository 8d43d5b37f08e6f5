"""Very small models in plain ONNX, written without PyTorch: a Siamese pair of files, and an interpolator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framestate.bundles import Bundle


def write_siamese_pair(folder: Path, size: int = 64, mixing: bool = False) -> tuple[Path, Path]:
    """Writes a Siamese tracker as public ones come: two ONNX files for one row, of NanoTrack's signature.

    The backbone looks at 8 x 8 patches and weighs its channels by their means; the head matches every place
    of the template with every place of the search area. ``mixing`` lets the rows of a batch mix.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    kernel, grid, depth = 4, size // 8, 6

    def weight(name: str, *shape: int, scale: float = 1.0) -> Any:
        fan = float(np.prod(shape[1:]))
        return numpy_helper.from_array(
            (scale * rng.normal(size=shape) / np.sqrt(fan)).astype(np.float32), name
        )

    def shape(name: str, *sizes: int) -> Any:
        return numpy_helper.from_array(np.array(sizes, np.int64), name)

    def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> Any:
        def value(entry: tuple[str, tuple[int, ...]]) -> Any:
            return helper.make_tensor_value_info(entry[0], TensorProto.FLOAT, entry[1])

        graph = helper.make_graph(
            nodes, "pair", list(map(value, inputs)), list(map(value, outputs)), constants
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7)

    node = helper.make_node
    eyes = model(
        [
            node("Conv", ["image", "eye"], ["seen"], strides=[8, 8]),
            node("GlobalAveragePool", ["seen"], ["pooled"]),
            node("Reshape", ["pooled", "flat"], ["row"]),
            node("Gemm", ["row", "mix"], ["mixed"]),
            node("Reshape", ["mixed", "tall"], ["gates"]),
            node("Sigmoid", ["gates"], ["gate"]),
            node("Mul", ["seen", "gate"], ["features"]),
        ],
        [("image", (1, 3, size, size))],
        [("features", (1, depth, grid, grid))],
        [
            weight("eye", depth, 3, 8, 8, scale=0.01),
            weight("mix", depth, depth),
            shape("flat", 1, depth),
            shape("tall", 1, depth, 1, 1),
        ],
    )
    searched = [node("ReduceMean", ["search"], ["searched"], axes=[0], keepdims=1)]
    brain = model(
        [
            *(searched if mixing else [node("Identity", ["search"], ["searched"])]),
            node("Reshape", ["key", "lines"], ["keys"]),
            node("Transpose", ["keys"], ["turned"], perm=[0, 2, 1]),
            node("Reshape", ["searched", "lines"], ["places"]),
            node("MatMul", ["turned", "places"], ["matches"]),
            node("Reshape", ["matches", "map"], ["matched"]),
            node("Conv", ["matched", "class", "class_bias"], ["classes"]),
            node("Conv", ["matched", "side", "side_bias"], ["raw"]),
            node("Exp", ["raw"], ["sides"]),
        ],
        [("key", (1, depth, kernel, kernel)), ("search", (1, depth, grid, grid))],
        [("classes", (1, 2, grid, grid)), ("sides", (1, 4, grid, grid))],
        [
            weight("class", 2, kernel**2, 1, 1),
            weight("side", 4, kernel**2, 1, 1, scale=0.01),
            numpy_helper.from_array(np.array([-1.0, 1.0], np.float32), "class_bias"),
            numpy_helper.from_array(np.full(4, 2.0, np.float32), "side_bias"),
            shape("lines", 1, depth, -1),
            shape("map", 1, -1, grid, grid),
        ],
    )
    paths = folder / "backbone.onnx", folder / "head.onnx"
    save(eyes, paths[0])
    save(brain, paths[1])
    return paths


def write_interpolator(folder: Path) -> Bundle:
    """An interpolator without weights: the first frame plus ``t`` times the smoothed change to the second.

    Where little changes within 18 pixels it is a plain blend. Its motion is at half the frame's size.
    """
    from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec, write_bundle
    from onnx import TensorProto, helper, numpy_helper

    frame, half = ("batch", 3, "height", "width"), ("batch", 3, "height/2", "width/2")
    image, t = TensorSpec("image", "float32", frame), TensorSpec("t", "float32", ("batch", 1))
    state = tuple(TensorSpec(f"{name}.image", "float32", frame) for name in ("first", "second"))
    change = TensorSpec("motion.change", "float32", half)
    both = ("first.image", "second.image")
    functions = {
        "encode": FunctionSpec((image,), (), (), ("second.image",)),
        "motion": FunctionSpec((), (), both, ("motion.change",)),
        "interpolate": FunctionSpec((t,), (image,), (*both, "motion.change")),
    }
    preprocess: dict[str, Any] = {"multiple": 16, "motion_resize": {"motion.change": "map"}}
    spec = ModelSpec("tiny", "interpolation", "none", {}, preprocess, functions, (*state, change))

    node, past = helper.make_node, "past_state."
    nodes = {
        "encode": [node("Identity", ["image"], ["present_state.second.image"])],
        "motion": [
            node("Sub", [past + "second.image", past + "first.image"], ["whole"]),
            node("AveragePool", ["whole"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
            node(
                "AveragePool",
                ["half"],
                ["present_state.motion.change"],
                kernel_shape=[9, 9],
                pads=[4, 4, 4, 4],
            ),
        ],
        "interpolate": [
            node("Resize", [past + "motion.change", "", "twice"], ["whole"], mode="linear"),
            node("Reshape", ["t", "column"], ["share"]),
            node("Mul", ["whole", "share"], ["part"]),
            node("Add", [past + "first.image", "part"], ["sum"]),
            node(
                "Mul", [past + "second.image", "none"], ["nothing"]
            ),  # so that the input is one of the graph
            node("Add", ["sum", "nothing"], ["all"]),
            node("Clip", ["all", "none", "one"], ["image"]),
        ],
    }
    constants: dict[str, Any] = {"twice": [1.0, 1.0, 2.0, 2.0], "none": 0.0, "one": 1.0}
    tensors = [numpy_helper.from_array(_float32(value), name) for name, value in constants.items()]
    tensors.append(helper.make_tensor("column", TensorProto.INT64, [4], [-1, 1, 1, 1]))
    shapes = {one.name: one.shape for one in (image, t)}
    shapes |= {prefix + one.name: one.shape for one in spec.state for prefix in (past, "present_state.")}
    files: dict[str, Path | bytes] = {}
    for name, steps in nodes.items():
        function = functions[name]
        inputs = [one.name for one in function.inputs] + [past + key for key in function.reads_state]
        outputs = [one.name for one in function.outputs]
        outputs += ["present_state." + key for key in function.writes_state]
        values = {key: helper.make_tensor_value_info(key, TensorProto.FLOAT, shapes[key]) for key in shapes}
        used = {key for step in steps for key in step.input}
        graph = helper.make_graph(
            steps, name, [values[key] for key in inputs], [values[key] for key in outputs],
            [tensor for tensor in tensors if tensor.name in used],
        )  # fmt: skip
        opset = [helper.make_opsetid("", 20)]
        files[f"{name}.onnx"] = helper.make_model(
            graph, opset_imports=opset, ir_version=9
        ).SerializeToString()
    return write_bundle(folder, spec, files, provenance={}, metrics={}, parity={})


def _float32(value: Any) -> Any:
    import numpy as np

    return np.array(value, np.float32)
