"""Hypothesis strategies for whatever JSON an object may hold."""

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

# JSON can spell halves of surrogate pairs (`"\ud800"`), which no encoding takes.
texts: Final = (
    st.text()
    | st.text(alphabet=st.characters(categories=("Cs", "Cc", "Cf", "L")))
    | st.sampled_from(["", "x" * 300, "é" * 3000, "\ud800", "a\nb", "\x1b[31m", "true", "Secret/web"])
)
scalars: Final = st.none() | st.booleans() | st.integers() | st.floats() | texts
json_values: Final = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def objects(**fields: SearchStrategy[Any]) -> SearchStrategy[Mapping[str, Any]]:
    """Return objects with some of these fields, each as it should be or any JSON."""
    return st.fixed_dictionaries({}, optional={name: field | json_values for name, field in fields.items()})


def lists_of(inner: SearchStrategy[Any]) -> SearchStrategy[list[Any]]:
    """Return short lists, with an entry of any other form here and there."""
    return st.lists(inner | json_values, max_size=4)
