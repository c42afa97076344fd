"""Shared strings: the same JSON, in less memory."""

import json
from typing import Any

import pytest

from ecr_operator.api.interning import share

STATUS = {
    "phase": "Updated",
    "observedGeneration": 3,
    "conditions": [{"type": "Ready", "status": "True", "message": "holds a token that lives for long"}],
}


@pytest.mark.parametrize(
    "value",
    [STATUS, {}, [], None, 1, 1.5, True, "", "x" * 100, {"a": None, "b": [None, [["deep"]]]}],
    ids=repr,
)
def test_nothing_is_changed(value: Any) -> None:
    assert share(value) == value


def test_keys_and_short_values_are_one_object_however_often_they_are_parsed() -> None:
    first, second = (share(json.loads(json.dumps(STATUS))) for _ in range(2))
    for mine, other in ((first, second), (first["conditions"][0], second["conditions"][0])):
        assert [*map(id, mine)] == [*map(id, other)]
    assert first["phase"] is second["phase"]


def test_the_depth_of_what_others_wrote_is_no_danger() -> None:
    deep: Any = "end"
    for _ in range(900):
        deep = [deep]
    assert share(deep) == deep
