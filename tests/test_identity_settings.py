"""The flags that bound what the operator's AWS identity may be used for."""

import pytest

from ecr_operator.api.identity import IdentityPolicy
from ecr_operator.settings import SettingsError, parse_settings

ONE, TWO = "arn:aws:iam::123456789012:role/one", "arn:aws:iam::*:role/two-*"


def policy(*arguments: str) -> IdentityPolicy:
    """Parse a command line."""
    return parse_settings(arguments, {}).identities


def test_by_default_nothing_is_permitted_marked_or_tagged() -> None:
    assert policy() == IdentityPolicy()


@pytest.mark.parametrize(
    "arguments",
    [
        (f"--permitted-roles={ONE},{TWO}",),
        ("--permitted-roles", f"{ONE}, {TWO}"),
        (f"-permitted-roles={ONE}", f"--permitted-roles={TWO}"),
    ],
)
def test_roles_come_in_a_list_or_one_by_one_in_either_spelling(arguments: tuple[str, ...]) -> None:
    assert policy(*arguments).permitted_roles == (ONE, TWO)


@pytest.mark.parametrize(
    ("arguments", "tags"),
    [
        (("--session-tags",), True),
        (("-session-tags",), True),
        (("--session-tags=true",), True),
        (("-session-tags=false",), False),
    ],
)
def test_tags_are_a_boolean_as_go_has_it(arguments: tuple[str, ...], *, tags: bool) -> None:
    assert policy(*arguments).session_tags is tags


def test_the_external_id_is_taken_as_it_is() -> None:
    assert policy("-external-id=a:b/c@d").external_id == "a:b/c@d"


@pytest.mark.parametrize(
    "argument",
    [
        "--permitted-roles=",
        "--permitted-roles=puller",
        f"--permitted-roles={ONE},",
        f"--permitted-roles={ONE} {TWO}",
        "--permitted-roles=arn:aws:iam::1:role/\u0430",
        "--external-id=x",
        "--external-id=a b",
        f"--external-id={'x' * 1225}",
        "--session-tags=maybe",
    ],
)
def test_a_mistake_is_one_line_that_names_the_flag(argument: str) -> None:
    with pytest.raises(SettingsError) as caught:
        policy(argument)
    assert argument.partition("=")[0] in str(caught.value)
    assert "\n" not in str(caught.value)
