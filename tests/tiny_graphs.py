"""Very small models in plain ONNX, written without PyTorch: a Siamese pair of files, and an interpolator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framestate.bundles import Bundle, ModelSpec, TensorSpec


def write_siamese_pair(
    folder: Path, size: int = 64, mixing: bool = False, kernel_made: bool = False
) -> tuple[Path, Path]:
    """Writes a Siamese tracker as public ones come: two ONNX files for one row, of NanoTrack's signature.

    The backbone looks at 8 x 8 patches and weighs its channels by their means; the head matches every place
    of the template with every place of the search area. ``mixing`` lets the rows of a batch mix. With
    ``kernel_made`` the middle of the template is the kernel of a convolution, and a 1 x 1 convolution stands
    before the match; NanoTrack v3 has both.
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
    slid = [
        node("Slice", ["key", "from", "to", "sides_of_it"], ["middle"]),
        node("Reshape", ["middle", "kernels"], ["kernel"]),
        node("Conv", ["search", "kernel"], ["slid"], pads=[1, 1, 1, 1], group=depth),
        node("Slice", ["slid", "second", "end", "sides_of_it"], ["cut"]),
        node("Conv", ["cut", "turn", "turn_bias"], ["searched"]),
    ]
    looked = slid if kernel_made else [node("Identity", ["search"], ["searched"])]
    brain = model(
        [
            *(searched if mixing else looked),
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
            *([weight("turn", depth, depth, 1, 1), weight("turn_bias", depth)] if kernel_made else []),
            *(
                shape(name, *sizes)
                for name, sizes in (
                    ("from", (1, 1)),
                    ("to", (3, 3)),
                    ("sides_of_it", (2, 3)),
                    ("kernels", (depth, 1, 2, 2)),
                    ("second", (1, 1)),
                    ("end", (grid + 1, grid + 1)),
                )
                if kernel_made
            ),
        ],
    )
    paths = folder / "backbone.onnx", folder / "head.onnx"
    save(eyes, paths[0])
    save(brain, paths[1])
    return paths


def write_interpolator(folder: Path, carries: bool = False) -> Bundle:
    """An interpolator without weights: the first frame plus ``t`` times the smoothed change to the second.

    One that ``carries`` adds half of the change before it.

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
        "motion": FunctionSpec((), (), both + ("motion.change",) * carries, ("motion.change",)),
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
                ["smooth" if carries else "present_state.motion.change"],
                kernel_shape=[9, 9],
                pads=[4, 4, 4, 4],
            ),
            *(
                [
                    node("Mul", [past + "motion.change", "fading"], ["before"]),
                    node("Add", ["smooth", "before"], ["present_state.motion.change"]),
                ]
                if carries
                else []
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
    constants = {"twice": [1.0, 1.0, 2.0, 2.0], "none": 0.0, "one": 1.0, "fading": 0.5}
    tensors = [numpy_helper.from_array(_float32(value), name) for name, value in constants.items()]
    tensors.append(helper.make_tensor("column", TensorProto.INT64, [4], [-1, 1, 1, 1]))
    return write_bundle(folder, spec, _graphs(spec, nodes, tensors), provenance={}, metrics={}, parity={})


def write_stream(folder: Path, size: int | None = 16) -> Bundle:
    """A model of the task ``stream``: a gate says how much of each frame goes into a trail of them.

    Frames are seen at ``size`` x ``size``; without it at their own size, padded, beside the frame before.
    """
    from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec, write_bundle
    from onnx import helper, numpy_helper

    side: tuple[int | str, ...] = ("height", "width") if size is None else (size, size)
    planes = ("batch", 3, *side)
    image, before = (TensorSpec(name, "float32", planes) for name in ("image", "before"))
    clean, score = TensorSpec("clean", "float32", planes), TensorSpec("score", "float32", ("batch", 1))
    inputs = (image, before) if size is None else (image,)
    functions = {"step": FunctionSpec(inputs, (clean, score), ("trail",), ("trail",))}
    seen: dict[str, Any] = {"multiple": 8} if size is None else {}
    said: dict[str, Any] = {"image": {"kind": "frame", **seen}}
    if size is None:
        said["before"] = {"kind": "frame", "back": 1, **seen}
    told: dict[str, Any] = {"inputs": said, "outputs": {"clean": {"kind": "picture"}}}
    spec = ModelSpec(
        "tiny-stream", "stream", "none", {}, told, functions, (TensorSpec("trail", "float32", planes),)
    )
    node, past, now = helper.make_node, "past_state.trail", "present_state.trail"
    nodes = [
        node("Concat", ["image", "before" if size is None else past, past], ["all"], axis=1),
        node("Conv", ["all", "eye"], ["raw"], pads=[1, 1, 1, 1]),
        node("Sigmoid", ["raw"], ["gate"]),
        node("Sub", ["image", past], ["away"]),
        node("Mul", ["away", "gate"], ["part"]),
        node("Add", [past, "part"], [now]),
        node("Identity", [now], ["clean"]),
        node("Abs", ["away"], ["size"]),
        node("GlobalAveragePool", ["size"], ["pooled"]),
        node("Flatten", ["pooled"], ["row"]),
        node("MatMul", ["row", "third"], ["score"]),
    ]
    rng = _rng()
    weights = {"eye": rng.normal(size=(3, 9, 3, 3)), "third": [[1 / 3]] * 3}
    tensors = [numpy_helper.from_array(_float32(value), name) for name, value in weights.items()]
    return write_bundle(
        folder, spec, _graphs(spec, {"step": nodes}, tensors), provenance={}, metrics={}, parity={}
    )


def write_classifier(folder: Path) -> Bundle:
    """A classifier of three labels that carries what it saw, and does not smooth by itself."""
    from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec, write_bundle
    from onnx import helper, numpy_helper

    image, frame = (
        TensorSpec("image", "float32", ("batch", 3, 16, 16)),
        TensorSpec("frame", "float32", ("batch", 3)),
    )
    functions = {"classify": FunctionSpec((image,), (frame,), ("trail",), ("trail",))}
    told: dict[str, Any] = {
        "labels": ["cat", "dog", "sea"], "size": 16, "view": "middle", "mean": [0.5] * 3, "std": [0.25] * 3
    }  # fmt: skip
    state = (TensorSpec("trail", "float32", ("batch", 3)),)
    spec = ModelSpec("tiny-labels", "classification", "none", {}, told, functions, state)
    node, past, now = helper.make_node, "past_state.trail", "present_state.trail"
    nodes = [
        node("GlobalAveragePool", ["image"], ["pooled"]),
        node("Flatten", ["pooled"], ["row"]),
        node("MatMul", ["row", "eye"], ["new"]),
        node("MatMul", [past, "mix"], ["old"]),
        node("Add", ["new", "old"], ["sum"]),
        node("Tanh", ["sum"], [now]),
        node("Softmax", [now], ["frame"], axis=1),
    ]
    rng = _rng()
    weights = {"eye": 9 * rng.normal(size=(3, 3)), "mix": rng.normal(size=(3, 3))}
    tensors = [numpy_helper.from_array(_float32(value), name) for name, value in weights.items()]
    graphs = _graphs(spec, {"classify": nodes}, tensors)
    return write_bundle(folder, spec, graphs, provenance={}, metrics={}, parity={})


def _graphs(spec: ModelSpec, nodes: dict[str, list[Any]], tensors: list[Any]) -> dict[str, Path | bytes]:
    """One ONNX file a function, of its nodes and those of the constants that they use."""
    from framestate.bundles import past_name, present_name
    from onnx import TensorProto, helper

    def value(name: str, one: TensorSpec) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, one.shape)

    state = {one.name: one for one in spec.state}
    files: dict[str, Path | bytes] = {}
    for name, steps in nodes.items():
        function = spec.functions[name]
        inputs = [value(one.name, one) for one in function.inputs]
        inputs += [value(past_name(key), state[key]) for key in function.reads_state]
        outputs = [value(one.name, one) for one in function.outputs]
        outputs += [value(present_name(key), state[key]) for key in function.writes_state]
        used = {key for step in steps for key in step.input}
        constants = [tensor for tensor in tensors if tensor.name in used]
        graph = helper.make_graph(steps, name, inputs, outputs, constants)
        opset = [helper.make_opsetid("", 20)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        files[f"{name}.onnx"] = model.SerializeToString()
    return files


def _rng() -> Any:
    import numpy as np

    return np.random.default_rng(0)


def _float32(value: Any) -> Any:
    import numpy as np

    return np.array(value, np.float32)
