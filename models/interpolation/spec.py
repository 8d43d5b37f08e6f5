"""What a runtime must know of a hybrid interpolator: its functions, their tensors, its state."""

from __future__ import annotations

from collections.abc import Sequence

from ...bundles import Dim, FunctionSpec, ModelSpec, TensorSpec
from ..rife.config import RifeConfig
from .config import FAR_SMALLER, InterpolatorConfig
from .flow import FLOW
from .scan import DIRECTIONS

LEVELS = (4, 8, 16, 32)


def spec_of(
    config: InterpolatorConfig, name: str, carried_states: Sequence[str], in_parts: bool
) -> ModelSpec:
    """The spec of a model called ``name``.

    ``carried_states`` are the names of the SSM states; ``in_parts`` tells whether frames can be warped
    between two functions.
    """
    image = TensorSpec("image", "float32", ("batch", 3, "height", "width"))
    features: dict[str, tuple[Dim, ...]] = {"image": image.shape}
    for level, channels in zip(LEVELS, config.channels, strict=True):
        features[f"f{level}"] = ("batch", channels, f"height/{level}", f"width/{level}")
    motion: dict[str, tuple[Dim, ...]] = {
        "flow": ("batch", FLOW, "height/8", "width/8"),
        "hidden": ("batch", 1 + config.hidden + config.rest, "height/8", "width/8"),
    }
    resizes = {"flow": "flow", "hidden": "map"}
    if config.far_blocks:
        half = f"height/{FAR_SMALLER}", f"width/{FAR_SMALLER}"
        features["far"] = ("batch", 3 + RifeConfig().features, *half)
        motion["far"] = ("batch", FLOW, "height/4", "width/4")
        motion["far_mask"] = ("batch", 1, "height/4", "width/4")
        resizes |= {"far": "flow", "far_mask": "map"}
    if "ssm" in config.carry:
        for key, dim in zip(carried_states, config.dims, strict=True):
            mixer = config.mixer_of(dim)
            whole = (DIRECTIONS * mixer.heads, mixer.states, mixer.inner // mixer.heads)
            by_channel = (DIRECTIONS * mixer.inner, mixer.states)
            motion[key] = ("batch", *(by_channel if config.mixer == "mamba1" else whole))
    state = [
        TensorSpec(f"{owner}.{key}", "float32", shape)
        for owner, tensors in (("first", features), ("second", features), ("motion", motion))
        for key, shape in tensors.items()
    ]
    second = tuple(f"second.{key}" for key in features)
    kept = [*(["image"] if config.warp == "images" else []), *(f"f{level}" for level in LEVELS[1:])]
    kept += ["far"] if config.far_blocks else []
    coarse = tuple(f"{owner}.{key}" for owner in ("first", "second") for key in kept)
    fine = tuple(f"{owner}.{key}" for owner in ("first", "second") for key in ("image", "f4"))
    written = tuple(f"motion.{key}" for key in motion)
    carried = tuple(key for key in written if key == "motion.flow" or "lgs" in key) if config.carry else ()
    if "flow" not in config.carry:
        carried = tuple(key for key in carried if key != "motion.flow")
    starts = config.start_flow != "none"
    grid: tuple[Dim, ...] = ("batch", FLOW, "height/8", "width/8")
    told = (("flow", starts), ("bend", config.bend))
    started = tuple(TensorSpec(key, "float32", grid) for key, wanted in told if wanted)
    t, moved = TensorSpec("t", "float32", ("batch", 1)), tuple(f"motion.{key}" for key in resizes)
    features_at_4 = ("first.f4", "second.f4")
    return ModelSpec(
        name=name,
        task="interpolation",
        architecture="hybrid_interpolator",
        config=config.to_dict(),
        preprocess={
            "multiple": config.multiple,
            "motion_resize": {f"motion.{key}": kind for key, kind in resizes.items()},
            **({"start_flow": config.start_flow} if starts else {}),
        },
        functions={
            "encode": FunctionSpec((image,), (), (), second),
            "encode_fine": FunctionSpec((image,), (), (), ("second.image", "second.f4")),
            "motion": FunctionSpec(started, (), (*coarse, *carried), written),
            "interpolate": FunctionSpec((t,), (image,), (*fine, *moved), ()),
            **(parts_of(config, t, image, (*features_at_4, *moved)) if in_parts else {}),
        },
        state=tuple(state),
    )


def parts_of(
    config: InterpolatorConfig, t: TensorSpec, image: TensorSpec, reads: tuple[str, ...]
) -> dict[str, FunctionSpec]:
    """``interpolate`` in two functions, between which the caller warps both frames."""
    widths = {"flow": FLOW, "mask": 1, "trunk": config.flow_width[2], **({"keep": 1} if config.rest else {})}
    aimed = tuple(
        TensorSpec(name, "float32", ("batch", width, "height/4", "width/4")) for name, width in widths.items()
    )
    warped = tuple(TensorSpec(name, "float32", image.shape) for name in ("one", "other"))
    patches = tuple(
        TensorSpec(name, "float32", ("batch", channels * LEVELS[0] ** 2, "height/4", "width/4"))
        for name, channels in (("residual", 3), ("share", 1))
    )
    return {
        "aim": FunctionSpec((t,), aimed, reads, ()),
        "mend": FunctionSpec((*warped, *aimed[1:]), patches, (), ()),
    }
