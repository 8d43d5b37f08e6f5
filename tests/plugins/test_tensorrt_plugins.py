"""The TensorRT plugins as far as they go without TensorRT: kernels, registration, classes.

Registration runs against the Python half of NVIDIA's own bindings, which checks signatures and drives a
plugin as a build would, over a stand-in for the compiled half.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the interpreter compiles nothing", allow_module_level=True)

from framestate.plugins import tensorrt_kernels
from framestate.plugins.tensorrt_kernels import arrange, assemble, assembler_of_here, compile_kernel
from framestate.plugins.tensorrt_registry import OPERATORS, plugin_modules, register_plugins
from framestate.plugins.tensorrt_rules import NAMESPACE, OPEN, PluginRules, TimeTiles
from framestate.plugins.tensorrt_v3 import plugin_class, unpack

from .tensorrt_core import Core, Expression

PLUGINS = plugin_modules()
SIZES = {"B": OPEN, "T": 64, "H": 4, "P": 32, "G": 1, "N": 32, "D": 48, "K": 4, "V": 24}
ELF = b"\x7fELF"


@pytest.fixture(scope="module", autouse=True)
def compiled_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        yield


def shapes(rules: PluginRules, time: int = SIZES["T"]) -> list[list[int]]:
    return [[dim_of(dim, time) for dim in rule.dims] for rule in rules.inputs]


def dim_of(dim: str, time: int = SIZES["T"]) -> int:
    return time if dim == "T" else SIZES[dim[0]] + int(dim[1:] or 0) if dim != "B" else OPEN


def attributes(rules: PluginRules) -> dict[str, float]:
    return {**dict.fromkeys(rules.attributes, 1), **dict.fromkeys(rules.numbers, 1e-6)}


def node_of(rules: PluginRules) -> dict[str, Any]:
    """A node's attributes as TensorRT hands them over."""
    whole = {name: np.array([1], np.int32) for name in rules.attributes}
    return {**whole, **{name: np.array([1e-6], np.float32) for name in rules.numbers}}


@pytest.mark.parametrize("capability", [87, 90])
@pytest.mark.parametrize("plugin", PLUGINS, ids=OPERATORS)
def test_a_plugins_kernel_assembles_with_its_arguments_in_order(plugin: ModuleType, capability: int) -> None:
    """For Orin and for H100 and H200, by the assembler of NVIDIA's own tool chain."""
    rules: PluginRules = plugin.RULES
    types = ["fp32"] * len(rules.inputs)
    kernel = compile_kernel(plugin, shapes(rules), types, attributes(rules), capability=capability)
    assert assemble(kernel.ptx)[:4] == ELF
    entry = re.search(rf"\.entry {kernel.name}\((.*?)\)", kernel.ptx, re.DOTALL)
    assert entry
    widths = re.findall(r"\.param \.(u\d+)", entry[1])
    pointers, last = ["u64"] * len(rules.inputs), ["u64"] * len(rules.outputs)
    assert widths == [*pointers, *["u32"] * len(rules.scalars), *last]
    assert kernel.scalars == tuple(SIZES[letter] for letter in rules.scalars.values())
    assert kernel.threads % 32 == 0
    assert all(isinstance(side, TimeTiles) or side >= 1 for side in kernel.grid)
    assert ".loc" not in kernel.ptx  # nor any path of this machine
    assert str(Path(__file__).parents[2]) not in kernel.ptx


def test_halves_are_other_code() -> None:
    plugin = PLUGINS[OPERATORS.index("selective_scan")]
    rules: PluginRules = plugin.RULES
    types = ["fp32" if rule.always_float32 else "fp16" for rule in rules.inputs]
    code = [
        compile_kernel(plugin, shapes(rules), kinds, {}, capability=87).ptx for kinds in (types, ["fp32"] * 6)
    ]
    assert "f16" in code[0]
    assert "f16" not in code[1]
    with pytest.raises(ValueError, match="past_state of SelectiveScan is fp16; it must be fp32"):
        compile_kernel(plugin, shapes(rules), [*types[:5], "fp16"], {}, capability=87)


def test_ptx_that_is_not_as_expected_is_refused() -> None:
    entry = (
        ".visible .entry f(\n\t.param .u64 f_param_0,\n\t.param .u32 f_param_1,\n\t.param .u64 f_param_2\n)\n"
    )
    body = "{\n\t.loc\t1 2 3\n\tld.param.u32 %r1, [f_param_1];\n}\n"
    moved = arrange(entry + body, "f", ["p", "n"], ["n", "p"])
    assert moved.index("f_param_1,") < moved.index("f_param_0\n")
    assert "f_param_2" not in moved
    assert ".loc" not in moved
    with pytest.raises(ValueError, match="reads an argument that Triton added"):
        arrange(entry + body.replace("f_param_1", "f_param_2"), "f", ["p", "n"], ["n", "p"])
    with pytest.raises(ValueError, match="does not declare the arguments"):
        arrange(entry + body, "f", ["p", "n"], ["n", "q"])
    with pytest.raises(ValueError, match="names no GPU"):
        assemble(body)
    with pytest.raises(ValueError, match="ptxas refuses the PTX"):
        assemble(".version 8.0\n.target sm_87\n.address_size 64\nnonsense\n")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Core:
    """The Python half of NVIDIA's bindings, over the stand-in."""
    found = importlib.util.find_spec("tensorrt_bindings")
    if found is None or not found.submodule_search_locations:
        pytest.skip("tensorrt-cu13-bindings is not installed")
    folder = Path(next(iter(found.submodule_search_locations))) / "plugin"
    request = SimpleNamespace(STRICT_AOT="aot", STRICT_JIT="jit", PREFER_AOT="a", PREFER_JIT="j")
    core = Core(QuickPluginCreationRequest=request)
    monkeypatch.setitem(sys.modules, "tensorrt", core)
    for name in [name for name in sys.modules if name.startswith("tensorrt.plugin")]:
        monkeypatch.delitem(sys.modules, name)
    spec = importlib.util.spec_from_file_location(
        "tensorrt.plugin", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tensorrt.plugin", module)
    core.plugin = module
    spec.loader.exec_module(module)
    return core


class Builder:
    """An ``IExprBuilder`` over known numbers."""

    def constant(self, value: int) -> Expression:
        return Expression(value)

    def operation(self, operation: str, one: Expression, other: Expression) -> Expression:
        ways: dict[str, Any] = {"SUM": operator.add, "CEIL_DIV": lambda a, b: -(-a // b)}
        known = one.value is not None and other.value is not None
        return Expression(ways[operation](one.value, other.value) if known else None)


def described(core: Core, kind: Any, shape: list[int]) -> Any:
    made = core.DynamicPluginTensorDesc()
    made.desc = SimpleNamespace(type=kind, format=core.TensorFormat.LINEAR, scale=1.0, dims=shape)
    return made


@pytest.mark.parametrize("time", [SIZES["T"], OPEN])
@pytest.mark.parametrize("place", range(len(OPERATORS)), ids=OPERATORS)
def test_a_build_through_nvidias_own_python(quick: Core, place: int, time: int) -> None:
    """Registration is accepted, and a plugin is taken from types and shapes to its launch."""
    core = quick
    assert register_plugins(core, lambda: 87) == "quick"
    assert register_plugins(core, lambda: 87) == "quick"  # a second time changes nothing
    rules: PluginRules = PLUGINS[place].RULES
    creator = core.creators[rules.name, NAMESPACE]
    fields = [SimpleNamespace(name=name, data=value) for name, value in node_of(rules).items()]
    made = creator.create_plugin(rules.name, NAMESPACE, fields, "BUILD", "aot")

    floats = [core.DataType.FLOAT] * len(rules.inputs)
    assert made.get_output_data_types(floats, [len(rule.dims) for rule in rules.inputs]) == [
        core.DataType.FLOAT
    ] * len(rules.outputs)
    inputs = [[Expression(None if size == OPEN else size) for size in shape] for shape in shapes(rules, time)]
    outputs = made.get_output_shapes(inputs, [], Builder())
    assert [[one.value for one in shape] for shape in outputs] == [
        [None if dim_of(dim, time) == OPEN else dim_of(dim) for dim in rule.dims] for rule in rules.outputs
    ]

    every = [described(core, core.DataType.FLOAT, shape) for shape in shapes(rules, time)]
    every += [
        described(core, core.DataType.FLOAT, [dim_of(dim, time) for dim in rule.dims])
        for rule in rules.outputs
    ]
    allowed = made.get_supported_format_combinations(every, len(rules.inputs))
    assert len(allowed) == 2 * len(every)  # one row all floats, one with halves
    made.set_tactic(0)
    launch, scalars = SimpleNamespace(), SimpleSetter()
    made.get_launch_params(inputs, every, len(rules.inputs), launch, scalars, Builder())
    assert launch.grid_x.expr.value is None  # the batch, whatever it will be
    assert launch.block_x.expr.value % 32 == 0
    known = {**SIZES, "T": None if time == OPEN else time}
    assert [one.expr.value for one in scalars.values] == [known[one] for one in rules.scalars.values()]
    name, ptx = made.get_kernel(
        [one.desc for one in every[: len(rules.inputs)]], [one.desc for one in every[len(rules.inputs) :]]
    )
    assert f".entry {name}" in ptx.decode()


class SimpleSetter:
    """TensorRT's receiver of symbolic arguments."""

    def __init__(self) -> None:
        self.nbSymExprs = 0
        self.values: list[Any] = []

    def __setitem__(self, place: int, value: Any) -> None:
        assert place == len(self.values) < self.nbSymExprs
        self.values.append(value)


class Recorder:
    """A driver that notes what is launched."""

    def __init__(self) -> None:
        self.loaded: list[bytes] = []
        self.launched: list[tuple[Any, ...]] = []

    def load(self, code: bytes, name: str) -> int:
        self.loaded.append(code)
        return 7

    def launch(self, *arguments: Any) -> None:
        self.launched.append(arguments)


@pytest.mark.parametrize("time", [SIZES["T"], OPEN])
@pytest.mark.parametrize("place", range(len(OPERATORS)), ids=OPERATORS)
def test_a_plugin_class_goes_from_a_build_into_an_engine_and_back(place: int, time: int) -> None:
    """As TensorRT 10.3 does: formats, configuration, fields, another process, a launch."""
    core, driver = Core(), Recorder()
    rules: PluginRules = PLUGINS[place].RULES
    cls = plugin_class(core, PLUGINS[place], lambda: 87, lambda: driver)  # type: ignore[arg-type,return-value]
    built = cls(node_of(rules), core.TensorRTPhase.BUILD)
    floats = [core.DataType.FLOAT] * len(rules.inputs)
    assert built.num_outputs == len(built.get_output_data_types(floats)) == len(rules.outputs)
    every = [described(core, core.DataType.FLOAT, shape) for shape in shapes(rules, time)]
    every += [described(core, core.DataType.FLOAT, [1] * len(rule.dims)) for rule in rules.outputs]
    assert all(built.supports_format_combination(at, every, len(rules.inputs)) for at in range(len(every)))
    every[1].desc.type = core.DataType.INT32
    assert not built.supports_format_combination(1, every, len(rules.inputs))
    every[1].desc.type, every[1].desc.format = core.DataType.FLOAT, core.TensorFormat.HWC
    assert not built.supports_format_combination(1, every, len(rules.inputs))
    inputs = every[: len(rules.inputs)]
    assert built.get_output_shapes([one.desc.dims for one in inputs], [], None) == [
        inputs[one].desc.dims for one in rules.like
    ]

    built.configure_plugin(inputs, every[len(inputs) :])
    stored = {field.name: field.data for field in built.get_fields_to_serialize()}
    running = cls(stored, core.TensorRTPhase.RUNTIME).attach_to_context(None)
    assert running.kernel == replace(built.kernel, ptx="")
    assert running.attributes == pytest.approx(attributes(rules))
    steps = 40
    batch = [
        SimpleNamespace(dims=[{"B": 3, "T": steps}.get(dim, dim_of(dim)) for dim in rule.dims])
        for rule in rules.inputs
    ]
    addresses = list(range(1, 1 + len(inputs))), list(range(100, 100 + len(rules.outputs)))
    running.enqueue(batch, None, *addresses, 0, 55)
    running.enqueue(batch, None, *addresses, 0, 55)
    assert len(driver.loaded) == 1
    assert driver.loaded[0][:4] == ELF
    function, grid, threads, _, stream, arguments = driver.launched[1]
    assert (function, grid[0], stream, threads) == (7, 3, 55, built.kernel.threads)
    told = {**SIZES, "T": steps if time == OPEN else time}
    whole = [told[letter] for letter in rules.scalars.values()]
    assert [one.value for one in arguments] == [*addresses[0], *whole, *addresses[1]]
    assert list(grid[1:]) == [
        side.count(steps) if isinstance(side, TimeTiles) else side for side in built.kernel.grid
    ]
    with pytest.raises(ValueError, match="build it anew"):
        unpack(rules, {**stored, "kernel_numbers": np.zeros(2, np.int32)})


def test_the_cuda_that_is_installed_assembles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code is written for its version, and it is the one that is called; JetPack 6 has that of CUDA 12.6."""
    triton = pytest.importorskip("triton")
    wheel, called = triton.knobs.nvidia.ptxas.path, tmp_path / "called"
    installed = tmp_path / "ptxas"
    installed.write_text(
        f"""#!/bin/bash
if [ "$1" = --version ]; then echo "Cuda compilation tools, release 12.6, V12.6.68"; exit; fi
echo "$*" >>{called}
exec {wheel} "$@"
"""
    )
    installed.chmod(0o755)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt_kernels, "INSTALLED", installed)
    plugin = plugin_modules()[2]
    rules: PluginRules = plugin.RULES
    kernel = compile_kernel(
        plugin, shapes(rules), ["fp32"] * len(rules.inputs), attributes(rules), capability=87
    )
    assert ".version 8.5\n" in kernel.ptx
    assert assemble(kernel.ptx)[:4] == ELF
    assert len(called.read_text().splitlines()) == 2
    assert triton.knobs.nvidia.ptxas.path == wheel
    monkeypatch.setenv("TRITON_PTXAS_PATH", wheel)
    with assembler_of_here():
        assert triton.knobs.nvidia.ptxas.path == wheel
