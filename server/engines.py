"""The engines of a server: one for each model of its settings, by the name that clients use"""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction

from ..engine import Engine, Session
from ..errors import BundleError, CapacityError, OptionError
from ..vision import Frame
from ..vision.synthetic import demo_clip
from .keys import required_keys
from .settings import Settings

TRIED_FRAMES, TRIED_SIZE = 2, (320, 180)
"""Of the clip that a model is tried on: an interpolator wants two frames before it makes one."""


def load_engines(settings: Settings, stack: ExitStack) -> dict[str, Engine]:
    """Loads every model and tries it; ``stack`` closes them.

    Raises:
        OptionError: the settings would make an unsafe server, or two models have one name.
        BundleError, UnknownRuntimeError, RuntimeUnavailableError, CapacityError: a model cannot be used.
    """
    required_keys(settings)  # before anything that takes long
    engines: dict[str, Engine] = {}
    for model in settings.models:
        engine = Engine.load(
            model,
            runtime=settings.runtime,
            device=settings.device,
            workers=settings.workers,
            capacity=settings.max_sessions,
        )
        stack.enter_context(engine)
        name = engine.runtime.spec.name
        if name in engines:
            raise OptionError(f"two models are named {name!r}", "Give one of them.")
        try_out(engine)
        engines[name] = engine
    return engines


def try_out(engine: Engine) -> None:
    """Has a session answer a few drawn frames, which also warms the model up.

    Raises:
        BundleError: the model answers no frame, so that no client could use it.
        CapacityError: not even one session fits.
    """
    spec, runtime = engine.runtime.spec, engine.runtime
    session: Session[object] | None = None
    try:
        for index, (image, box, _) in enumerate(demo_clip(frames=TRIED_FRAMES, size=TRIED_SIZE)):
            frame = Frame(image, index, Fraction(1, 25), index)
            if session is None:
                session = engine.open(**engine.task.trial(frame, box))
                if engine.task.opens_on_frame:
                    continue
            session.push(frame)
    except CapacityError:
        raise
    except Exception as error:  # whatever a stranger's graph does
        why = getattr(error, "problem", None) or repr(error)
        raise BundleError(
            f"model {spec.name!r} cannot be served: as a model of {spec.task} on {runtime.name} "
            f"({runtime.device}) it answers no frame of a drawn clip ({why})",
            "export the model again, or choose another --runtime",
        ) from error
    finally:
        if session is not None:
            session.close()
