"""What `status` says of a resource."""

import json
from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.cli.rows import Row, as_data, by_urgency, changed, row_of
from ecr_operator.core.status import SUCCEEDED
from tests.cli.builders import (
    LIFE,
    NOW,
    READY,
    REFRESHED,
    Json,
    at,
    condition,
    resource,
    row,
    status,
)

DENIED = condition("Refreshed", "False", "AccessDenied", "AWS denies it.")


def of(status: Json | None = None, **fields: Any) -> Row:
    return row_of("Secret", resource(status, **fields), NOW)


@pytest.mark.parametrize(
    ("found", "state", "reason", "words"),
    [
        pytest.param(of(status(READY, REFRESHED)), "Ready", "Refreshed", "", id="all is well"),
        pytest.param(
            of(status(READY, DENIED)),
            "Failing",
            "AccessDenied",
            "AWS denies it.",
            id="a live token, and no new",
        ),
        pytest.param(
            of(status(condition("Ready", "False", "SecretConflict", "Taken."), DENIED, age=None)),
            "Not ready",
            "SecretConflict",
            "Taken.",
            id="what Ready says counts when it is False",
        ),
        pytest.param(
            of(status(READY, condition("Refreshed", "Unknown", "Suspended", "Nothing is refreshed."))),
            "Ready",
            "Suspended",
            "Nothing is refreshed.",
            id="suspended with a live token",
        ),
        pytest.param(
            of(status(READY, condition("Refreshed", "False", "InvalidSpec", "spec.frequency: no."))),
            "Failing",
            "InvalidSpec",
            "spec.frequency: no.",
            id="a slip, with which the login goes on",
        ),
        pytest.param(
            of(status(condition("Ready", "False", "InvalidRegistry", "Write the host."), DENIED)),
            "Not ready",
            "InvalidRegistry",
            "Write the host.",
            id="a live token that no client can use",
        ),
        pytest.param(
            of(status(READY, condition("Refreshed", "True", "Refreshed", f"{SUCCEEDED} Know this."))),
            "Ready",
            "Refreshed",
            "Know this.",
            id="a hint",
        ),
        pytest.param(of(), "Not ready", "Pending", "No operator has looked at", id="no status"),
        pytest.param(of({}), "Not ready", "Pending", "No operator has looked at", id="an empty status"),
        pytest.param(
            of(status(READY, REFRESHED), generation=2),
            "Not ready",
            "Pending",
            "the changed spec",
            id="a status of an older spec",
        ),
        pytest.param(
            of(status(READY, REFRESHED, age=12.01)),
            "Not ready",
            "TokenExpired",
            "Is the operator running?",
            id="a token that died though the status says Ready",
        ),
        pytest.param(
            of(status(READY, DENIED, age=13)),
            "Not ready",
            "TokenExpired",
            "AWS denies it.",
            id="a dead token keeps the cause",
        ),
        pytest.param(
            of(status(READY, REFRESHED, age=10.2)),
            "Failing",
            "Pending",
            "Is the operator running",
            id="long overdue",
        ),
        pytest.param(of(status(READY, REFRESHED, age=10.05)), "Ready", "Refreshed", "", id="just due"),
        pytest.param(
            of(status(READY, condition("Refreshed", "Unknown", "Suspended"), age=11)),
            "Ready",
            "Suspended",
            "",
            id="what is suspended is not overdue",
        ),
    ],
)
def test_a_row_says_how_the_resource_is_now(found: Row, state: str, reason: str, words: str) -> None:
    assert (found.state, found.reason) == (state, reason)
    assert words in found.message
    assert bool(found.message) == bool(words)
    assert found.ready == (state != "Not ready")


@pytest.mark.parametrize(
    ("legacy", "state", "reason", "left"),
    [
        pytest.param({"phase": "Updated", "lastUpdatedTime": at(-1)}, "Ready", "Refreshed", 11, id="updated"),
        pytest.param(
            {"phase": "Updated", "lastUpdatedTime": at(-13)}, "Not ready", "TokenExpired", -1, id="long ago"
        ),
        pytest.param({"phase": "Failed", "lastUpdatedTime": at(-1)}, "Not ready", "Failed", 11, id="failed"),
        pytest.param({"phase": "Failed"}, "Not ready", "Failed", None, id="failed from the start"),
        pytest.param({"lastUpdatedTime": at(-1)}, "Not ready", "Pending", 11, id="no phase"),
    ],
)
def test_a_status_of_v0_6_0_is_read_with_a_life_of_twelve_hours(
    legacy: Json, state: str, reason: str, left: int | None
) -> None:
    found = of(legacy)
    assert (found.state, found.reason, found.estimated) == (state, reason, left is not None)
    assert found.expires_at == (None if left is None else NOW + timedelta(hours=left))


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param({"status": "text"}, id="a status that is text"),
        pytest.param({"status": {"conditions": "text"}}, id="conditions that are text"),
        pytest.param({"status": {"conditions": [1, {"type": 2}, {"type": "Ready"}]}}, id="bare conditions"),
        pytest.param({"status": {"phase": 7, "lastUpdatedTime": "soon"}}, id="fields of other types"),
        pytest.param({"spec": None}, id="no spec"),
        pytest.param(
            {"spec": {"ecr_registry": 5, "generated_secret_name": None}}, id="a spec of other types"
        ),
    ],
)
def test_whatever_stands_in_a_resource_makes_a_row_that_is_not_ready(garbage: Json) -> None:
    found = row_of("Secret", {**resource(), **garbage}, NOW)
    assert not found.ready
    assert json.dumps(as_data(found, NOW))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("host/\x1b[31mred", "host/?[31mred", id="no escape sequence reaches a terminal"),
        pytest.param("a\nb", "a?b", id="no line break"),
        pytest.param("https://user:token@host/v2", "https://host/v2", id="no login after a scheme"),
        pytest.param("user:token@host", "host", id="no login without a scheme"),
        pytest.param("host/path@sha256:1", "host/path@sha256:1", id="an @ in the path is no login"),
    ],
)
def test_a_registry_is_shown_without_what_could_harm(written: str, shown: str) -> None:
    assert of(status(READY, REFRESHED), ecr_registry=written).registry == shown


def test_messages_and_names_are_shown_without_control_characters() -> None:
    found = of(
        status(condition("Ready", "False", "X\x07", "bad\x1b]0;x")),
        generated_secret_name="a\tb",  # noqa: S106 - a name
    )
    assert (found.reason, found.message, found.secret) == ("X?", "bad?]0;x", "a?b")


def test_an_argo_resource_shows_its_url() -> None:
    raw = resource(url="https://host/charts")
    assert row_of("ArgoHelmRepoSecret", raw, NOW).registry == "https://host/charts"


def test_the_most_urgent_come_first() -> None:
    soon, later = NOW + timedelta(minutes=5), NOW + timedelta(hours=5)
    rows = [
        row(name="fine-later", expires_at=later),
        row(name="fine-soon", expires_at=soon),
        row(name="dead", state="Not ready", expires_at=soon),
        row(name="failing-later", state="Failing", expires_at=later),
        row(name="never", state="Not ready", expires_at=None),
        row(name="failing-soon", state="Failing", expires_at=soon),
        row(name="b", namespace="a", state="Not ready", expires_at=None),
    ]
    assert [each.name for each in by_urgency(rows)] == [
        "b",
        "never",
        "dead",
        "failing-soon",
        "failing-later",
        "fine-soon",
        "fine-later",
    ]


def test_changes_are_what_is_new_what_differs_and_what_is_gone() -> None:
    same, old, new, gone = row(name="same"), row(name="x"), row(name="x", reason="Y"), row(name="gone")
    before = {each.identity: each for each in (same, old, gone)}
    found = changed(before, [new, same, row(name="more")])
    assert [(each.name, each.reason, each.ready) for each in found] == [
        ("x", "Y", True),
        ("more", "Refreshed", True),
        ("gone", "Deleted", False),
    ]


def test_rows_for_programs_have_these_fields() -> None:
    assert as_data(row(), NOW) == {
        "kind": "Secret",
        "namespace": "team-a",
        "name": "pull",
        "ready": True,
        "reason": "Refreshed",
        "message": "",
        "registry": "host",
        "secret": "pull-login",
        "lastUpdatedTime": "2026-11-24T11:00:00Z",
        "expirationTime": "2026-11-24T23:00:00Z",
        "expirationEstimated": False,
        "nextRefreshTime": "2026-11-24T21:00:00Z",
        "secondsLeft": 39600,
    }


@pytest.mark.parametrize(
    ("expires_at", "seconds"),
    [(None, None), (NOW, 0), (NOW - LIFE, 0), (NOW + timedelta(seconds=1.9), 1)],
    ids=["no token", "dead now", "dead for long", "whole seconds"],
)
def test_the_seconds_left_are_never_negative(expires_at: Any, seconds: int | None) -> None:
    assert as_data(row(expires_at=expires_at), NOW)["secondsLeft"] == seconds
