"""docs/reference.md is complete: every reason, annotation, field, flag and variable of the code."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

import ecr_operator
from ecr_operator.api.kinds import ABSENT, GROUP, KINDS, SPECS
from ecr_operator.api.outcome import MEANINGS, Reason
from ecr_operator.settings import parse_settings
from ecr_operator.settings.flags import operator_parser, variable_of
from tests.builders import resource
from tools.reference import render

PAGE: Final = render()
_KEY: Final = re.compile(rf"{re.escape(GROUP)}/[a-z-]+")


def test_every_reason_has_its_meaning() -> None:
    assert set(MEANINGS) == set(Reason)


def _keys_in_the_code() -> Iterator[str]:
    for module in pkgutil.walk_packages(ecr_operator.__path__, "ecr_operator."):
        if module.name != "ecr_operator.__main__":
            values = vars(importlib.import_module(module.name)).values()
            yield from (each for each in values if isinstance(each, str) and _KEY.fullmatch(each))


def test_every_annotation_of_the_code_is_in_the_reference() -> None:
    keys = set(_keys_in_the_code())
    assert len(keys) >= 9
    assert {key for key in keys if f"`{key}`" not in PAGE} == set()


def _defaults() -> Iterator[Any]:
    for kind in KINDS:
        for name, field in SPECS[kind].model_fields.items():
            if isinstance(field.json_schema_extra, dict) and ABSENT in field.json_schema_extra:
                yield pytest.param(kind, name, field.json_schema_extra[ABSENT], id=f"{kind} {name}")


@pytest.mark.parametrize(("kind", "field", "value"), list(_defaults()))
def test_a_default_equals_the_absent_field(kind: str, field: str, value: str) -> None:
    written = False if value == "false" else value
    assert resource(kind, **{field: written}) == resource(kind)


class Recorder(Mapping[str, str]):
    """An empty environment that records the names of variables that are read."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_every_variable_that_the_settings_read_is_in_the_reference() -> None:
    environment = Recorder()
    parse_settings([], environment)
    # Kubernetes and the container's runtime set these two, nobody else.
    asked = {name.upper() for name in environment.asked} - {"KUBERNETES_SERVICE_HOST", "HOSTNAME"}
    assert asked >= {"WATCH_NAMESPACE", "KUBECONFIG"}
    of_flags = {variable_of(flag) for flag in operator_parser().flags}
    assert of_flags <= asked
    assert {name for name in asked - of_flags if f"`{name}`" not in PAGE} == set()
