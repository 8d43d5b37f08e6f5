"""The tree of errors."""

from __future__ import annotations

import inspect
import pickle

import pytest
from framestate import errors
from framestate.errors import BundleError, FramestateError, InputError, RunError, UnknownModelError

ALL = [getattr(errors, name) for name in errors.__all__]


def test_a_message_is_the_problem_and_the_remedy() -> None:
    error = BundleError("the batch is -1, below 0", "Ask for 0 rows or more.")
    assert str(error) == "the batch is -1, below 0. Ask for 0 rows or more."
    assert (error.problem, error.remedy) == ("the batch is -1, below 0", "Ask for 0 rows or more.")


@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_pickling(kind: type[FramestateError]) -> None:
    error = pickle.loads(pickle.dumps(kind("problem", "Remedy.")))  # noqa: S301 - what worker processes do
    assert type(error) is kind
    assert str(error) == "problem. Remedy."


@pytest.mark.parametrize("kind", ALL)
def test_the_exit_code_follows_from_the_branch(kind: type[FramestateError]) -> None:
    assert issubclass(kind, FramestateError)
    assert kind.exit_code == (2 if issubclass(kind, InputError) else 1)
    assert kind is FramestateError or issubclass(kind, InputError) != issubclass(kind, RunError)


def test_the_list_is_complete_and_sorted() -> None:
    defined = [name for name, value in vars(errors).items() if inspect.isclass(value) and value in ALL]
    assert sorted(defined) == errors.__all__
    assert {name for name, value in vars(errors).items() if inspect.isclass(value)} == set(errors.__all__)


def test_the_drawn_tree_is_the_tree() -> None:
    """Each class stands in the drawing once, indented one step deeper than its parent."""
    assert errors.__doc__ is not None
    depths = {}
    for line in errors.__doc__.splitlines():
        word = line.lstrip(" │├└─").split(" ")[0]
        if word in errors.__all__:
            assert word not in depths
            depths[word] = (len(line) - len(line.lstrip(" │├└─")) - 4) // 4
    assert depths == {kind.__name__: len(kind.__mro__) - len(FramestateError.__mro__) for kind in ALL}


def test_an_unknown_model_is_a_bundle_error() -> None:
    assert issubclass(UnknownModelError, BundleError)
