"""Any JSON there is, and what every error of the wire says."""

from __future__ import annotations

from framestate.errors import WireError
from hypothesis import strategies as st


def check_text(error: WireError) -> None:
    """It says what is wrong and what to do, and can be logged and sent on."""
    assert error.problem.encode()
    assert error.remedy.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
