"""docs/reference.md is complete: every reason, annotation, field, flag and variable of the code."""

import argparse
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from pydantic import BaseModel, Field

import ecr_operator
from ecr_operator.api.kinds import ABSENT, GROUP, KINDS, SPECS
from ecr_operator.api.outcome import MEANINGS, Reason
from ecr_operator.settings import parse_settings
from tests.builders import resource
from tools.crds import structural
from tools.reference import field_rows, flag_rows, render, variable_rows

PAGE: Final = render()
_KEY: Final = re.compile(rf"{re.escape(GROUP)}/[a-z-]+")


def test_every_reason_has_its_meaning() -> None:
    assert set(MEANINGS) == set(Reason)


def _keys_in_the_code() -> Iterator[str]:
    for module in pkgutil.walk_packages(ecr_operator.__path__, "ecr_operator."):
        if module.name != "ecr_operator.__main__":
            values = vars(importlib.import_module(module.name)).values()
            yield from (each for each in values if isinstance(each, str) and _KEY.fullmatch(each))


def test_every_annotation_of_ours_is_there() -> None:
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


class Inner(BaseModel):
    """Something nested."""

    name: str = Field(description="Its name.")
    ways: list[str] = Field(description="How.")


class Outer(BaseModel):
    """Something that nests."""

    one: Inner | None = Field(default=None, description="One.")
    many: list[Inner] | None = Field(default=None, description="Many.")


def test_nested_objects_and_lists_have_their_paths() -> None:
    assert [row[:3] for row in field_rows(structural(Outer), "", {"one": "nobody"})] == [
        ("`one`", "object", "no: `nobody`"),
        ("`one.name`", "string", "yes"),
        ("`one.ways`", "list of strings", "yes"),
        ("`many`", "list of objects", "no"),
        ("`many[].name`", "string", "yes"),
        ("`many[].ways`", "list of strings", "yes"),
    ]


def test_flags_of_commands_are_there_too() -> None:
    parser = argparse.ArgumentParser(prog="it", add_help=False)
    parser.add_argument("--life", metavar="SECONDS", default=9, help="of 100%%, %(default)s by default")
    parser.add_argument("--hidden", help=argparse.SUPPRESS)
    status = parser.add_subparsers().add_parser("status", help="show a table")
    status.add_argument("--wide", action="store_true", help="show more")
    assert list(flag_rows(parser)) == [
        ("`--life SECONDS`", "of 100%, 9 by default"),
        ("`status`", "show a table"),
        ("`status --wide`", "show more"),
    ]


def test_variables_come_from_the_end_of_help() -> None:
    parser = argparse.ArgumentParser(
        epilog="environment:\n  ONE_A, B  what it\n            means\n  OTHER_C\n    x\n"
    )
    assert list(variable_rows(parser)) == [("`ONE_A`, `B`", "what it means"), ("`OTHER_C`", "x")]


class Recorder(dict[str, str]):
    """An environment that knows what it was asked for."""

    asked: set[str]

    def get(self, key: str, default: Any = None) -> Any:
        """Note the name."""
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def test_every_variable_that_the_settings_read_is_there() -> None:
    environment = Recorder()
    environment.asked = set()
    parse_settings([], environment)
    # Kubernetes and the container's runtime set these two, nobody else.
    asked = {name.upper() for name in environment.asked} - {"KUBERNETES_SERVICE_HOST", "HOSTNAME"}
    assert asked >= {"WATCH_NAMESPACE", "KUBECONFIG"}
    assert {name for name in asked if f"`{name}`" not in PAGE} == set()
