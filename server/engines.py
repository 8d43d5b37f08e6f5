"""The engines of a server: one for each model of its settings, by the name that clients use"""

from __future__ import annotations

from contextlib import ExitStack

from ..engine import Engine
from ..errors import OptionError
from .keys import required_keys
from .settings import Settings


def load_engines(settings: Settings, stack: ExitStack) -> dict[str, Engine]:
    """Loads every model; ``stack`` closes them.

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
        engines[name] = engine
    return engines
