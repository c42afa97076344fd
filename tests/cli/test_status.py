"""`status`: the row of a resource, and how rows are shown."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from ecr_operator.cli.output import Terminal
from ecr_operator.cli.rows import Row, as_data, by_urgency, changed, row_of
from ecr_operator.cli.status import (
    Printer,
    cells,
    columns_of,
    filled_cells,
    next_refresh,
    notes,
    summary,
    time_left,
)
from ecr_operator.core.status import SUCCEEDED
from ecr_operator.settings.commands import TableOutput
from tests.cli import running
from tests.cli.builders import (
    LIFE,
    NOW,
    READY,
    REFRESHED,
    Json,
    at,
    cluster,
    condition,
    failing,
    resource,
    row,
    status,
)
from tests.cli.running import write_kubeconfig
from tests.fakes import FakeClock
from tests.kube.server import ScriptedServer, reply

NARROW = columns_of("table", namespaces=False, messages=True)
WIDE = columns_of("wide", namespaces=True, messages=True)
DENIED = condition("Refreshed", "False", "AccessDenied", "AWS denies it.")
SUSPENDED = condition("Refreshed", "Unknown", "Suspended", "Nothing is refreshed.")


def of(status: Json | None = None, **fields: Any) -> Row:
    return row_of("Secret", resource(status, **fields), NOW)


TAKEN = condition("Ready", "False", "SecretConflict", "Taken.")
MISTAKE = condition("Refreshed", "False", "InvalidSpec", "spec.frequency: no.")
HINT = condition("Refreshed", "True", "Refreshed", f"{SUCCEEDED} Know this.")
STATES = {
    "ready": (of(status(READY, REFRESHED)), "Ready", "Refreshed", ""),
    "a failing refresh": (of(status(READY, DENIED)), "Failing", "AccessDenied", "AWS denies it."),
    "Ready False": (of(status(TAKEN, DENIED, age=None)), "Not ready", "SecretConflict", "Taken."),
    "suspended": (of(status(READY, SUSPENDED)), "Ready", "Suspended", "Nothing is refreshed."),
    "a mistake, renewed": (of(status(READY, MISTAKE)), "Failing", "InvalidSpec", "spec.frequency: no."),
    "a hint": (of(status(READY, HINT)), "Ready", "Refreshed", "Know this."),
    "no status": (of(), "Not ready", "Pending", "No operator has processed"),
    "an empty status": (of({}), "Not ready", "Pending", "No operator has processed"),
    "an older spec": (of(status(READY, REFRESHED), generation=2), "Not ready", "Pending", "changed spec"),
    "expired": (of(status(READY, REFRESHED, age=12.01)), "Not ready", "TokenExpired", "Is the operator"),
    "expired, with its cause": (of(status(READY, DENIED, age=13)), "Not ready", "TokenExpired", "AWS denies"),
    "long overdue": (of(status(READY, REFRESHED, age=10.2)), "Failing", "Pending", "Is the operator running"),
    "just due": (of(status(READY, REFRESHED, age=10.05)), "Ready", "Refreshed", ""),
    "suspended, overdue": (of(status(READY, SUSPENDED, age=11)), "Ready", "Suspended", "Nothing is"),
}


@pytest.mark.parametrize(("found", "state", "reason", "message"), STATES.values(), ids=STATES)
def test_a_row_shows_the_present_state(found: Row, state: str, reason: str, message: str) -> None:
    assert (found.state, found.reason) == (state, reason)
    assert message in found.message
    assert bool(found.message) == bool(message)
    assert found.ready == (state != "Not ready")


@pytest.mark.parametrize(
    ("legacy", "state", "reason", "left"),
    [
        ({"phase": "Updated", "lastUpdatedTime": at(-1)}, "Ready", "Refreshed", 11),
        ({"phase": "Updated", "lastUpdatedTime": at(-13)}, "Not ready", "TokenExpired", -1),
        ({"phase": "Failed", "lastUpdatedTime": at(-1)}, "Not ready", "Failed", 11),
        ({"phase": "Failed"}, "Not ready", "Failed", None),
        ({"lastUpdatedTime": at(-1)}, "Not ready", "Pending", 11),
        ({"phase": "Updated", "lastUpdatedTime": "9999-12-31T23:59:59Z"}, "Ready", "Refreshed", None),
    ],
    ids=["updated", "long ago", "failed", "failed from the start", "no phase", "a time that is no token's"],
)
def test_a_status_of_v0_6_0_has_a_presumed_life_of_twelve_hours(
    legacy: Json, state: str, reason: str, left: int | None
) -> None:
    found = of(legacy)
    assert (found.state, found.reason, found.estimated) == (state, reason, left is not None)
    assert found.expires_at == (None if left is None else NOW + timedelta(hours=left))


@pytest.mark.parametrize(
    "garbage",
    [
        {"status": "text"},
        {"status": {"conditions": "text"}},
        {"status": {"conditions": [1, {"type": 2}, {"type": "Ready"}]}},
        {"status": {"phase": 7, "lastUpdatedTime": "soon"}},
        {"spec": None},
        {"spec": {"ecr_registry": 5, "generated_secret_name": None}},
    ],
    ids=str,
)
def test_values_of_other_types_make_a_row_that_is_not_ready(garbage: Json) -> None:
    found = row_of("Secret", {**resource(), **garbage}, NOW)
    assert not found.ready
    assert json.dumps(as_data(found, NOW))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("host/\x1b[31mred", "host/?[31mred"),
        ("a\nb", "a?b"),
        ("https://user:token@host/v2", "https://host/v2"),
        ("user:token@host", "host"),
        ("host/path@sha256:1", "host/path@sha256:1"),
    ],
)
def test_a_registry_is_shown_without_login_and_control_characters(written: str, shown: str) -> None:
    assert of(status(READY, REFRESHED), ecr_registry=written).registry == shown
    assert row_of("ArgoHelmRepoSecret", resource(url=written), NOW).registry == shown


def test_reason_message_and_name_are_shown_without_control_characters() -> None:
    spec = {"generated_secret_name": "a\tb"}
    found = of(status(condition("Ready", "False", "X\x07", "bad\x1b]0;x")), **spec)
    assert (found.reason, found.message, found.secret) == ("X?", "bad?]0;x", "a?b")


def covering(served: int, ready: int, *conditions: Json, **fields: Any) -> Row:
    known: Json = {"namespaces": {"served": served, "ready": ready}, **fields}
    found = status(*(conditions or (READY, REFRESHED)), **known)
    return row_of("ClusterSecret", cluster(found), NOW)


def test_a_cluster_secret_has_its_namespaces_in_place_of_one() -> None:
    found = covering(12, 12)
    assert (found.key.kind, found.key.namespace, found.state) == ("ClusterSecret", "", "Ready")
    shown = dict(zip(WIDE, cells(found, WIDE, NOW), strict=True))
    assert (shown["NAMESPACE"], shown["RESOURCE"]) == ("12/12", "ecrclustersecret/shared")
    data = as_data(covering(9, 7, CONFLICT, **failing("a", count=2)), NOW)
    assert data["failing"] == [{"namespace": "a", "reason": "SecretConflict", "message": "Taken."}]
    assert (data["namespace"], data["namespaces"]) == ("", {"served": 9, "ready": 7})
    assert (data["ready"], data["failingCount"]) == (False, 2)
    assert of(status(READY, REFRESHED, namespaces={"served": 1, "ready": 1})).coverage is None


FIRST = "Namespace a: Taken."
CONFLICT = condition("Ready", "False", "SecretConflict", FIRST)
FAILED = condition(
    "Refreshed", "False", "SecretConflict", "2 of 9 namespaces failed. The first by name is a: x"
)
COVERAGES = {
    "one fails": (covering(9, 8, CONFLICT, **failing("a")), FIRST),
    "two fail": (covering(9, 7, CONFLICT, **failing("a", "b")), f"{FIRST} Also failing: b (SecretConflict)."),
    "another is first": (
        covering(9, 7, condition("Ready", "False", "Pending", "Namespace 0: Wait."), **failing("a")),
        "Namespace 0: Wait. Also failing: a (SecretConflict).",
    ),
    "more than are named": (
        covering(99, 9, CONFLICT, **failing(*"abcdefgh", count=90)),
        f"{FIRST} Also failing: {', '.join(f'{each} (SecretConflict)' for each in 'bcdef')} and 84 more.",
    ),
    "a token in each all the same": (
        covering(9, 9, READY, FAILED, **failing("a", "b")),
        f"{FAILED['message']} Also failing: b (SecretConflict).",
    ),
}


@pytest.mark.parametrize(("found", "message"), COVERAGES.values(), ids=COVERAGES)
def test_the_message_of_a_cluster_secret_names_the_namespaces_that_fail(found: Row, message: str) -> None:
    assert found.message == message
    assert notes([found], ["NAMESPACE", *NARROW])[0] == f"ecrclustersecret/shared: {message}"


def test_a_cluster_secret_that_nobody_serves_has_a_message_of_its_own() -> None:
    found = row_of("ClusterSecret", cluster(), NOW)
    assert (found.state, found.coverage) == ("Not ready", None)
    assert "does its log say that ClusterSecrets are not served?" in found.message


GARBAGE: list[Json] = [
    {"namespaces": "text"},
    {"namespaces": {"served": "2", "ready": True}},
    {"namespaces": {"served": -1, "ready": 0}},
    {"failing": "text", "failingCount": "many"},
    {"failing": [5, {}, {"namespace": 1}, {"namespace": "b\x1b[31m"}], "failingCount": -3},
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=str)
def test_namespaces_of_other_types_are_left_out(garbage: Json) -> None:
    found = row_of("ClusterSecret", cluster(status(CONFLICT, **garbage)), NOW)
    assert (found.coverage, found.message) == (None, FIRST)
    known: Json = {"namespaces": {"served": 2, "ready": 1}} | garbage
    data = as_data(row_of("ClusterSecret", cluster(status(CONFLICT, **known)), NOW), NOW)
    assert isinstance(data["failing"], list)
    assert [each["namespace"] for each in data["failing"]] in ([], ["b?[31m"])
    assert data["failingCount"] == len(data["failing"])


def test_the_most_urgent_come_first() -> None:
    soon, later = NOW + timedelta(minutes=5), NOW + timedelta(hours=5)
    rows = [
        row(name="ready-later", expires_at=later),
        row(name="ready-soon", expires_at=soon),
        row(name="expired", state="Not ready", expires_at=soon),
        row(name="failing-later", state="Failing", expires_at=later),
        row(name="never", state="Not ready", expires_at=None),
        row(name="failing-soon", state="Failing", expires_at=soon),
        row(name="b", namespace="a", state="Not ready", expires_at=None),
    ]
    names = " ".join(each.key.name for each in by_urgency(rows))
    assert names == "b never expired failing-soon failing-later ready-soon ready-later"


def test_changes_are_new_changed_and_deleted_rows() -> None:
    same, old, new, gone = row(name="same"), row(name="x"), row(name="x", reason="Y"), row(name="gone")
    found = changed([same, old, gone], [new, same, row(name="more")])
    assert [(each.key.name, each.reason, each.ready) for each in found] == [
        ("x", "Y", True),
        ("more", "Refreshed", True),
        ("gone", "Deleted", False),
    ]


def test_data_has_the_documented_fields() -> None:
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
        "namespaces": None,
        "failing": [],
        "failingCount": 0,
    }


BAD = row(name="bad", state="Not ready", reason="AccessDenied", message="AWS denies it.", expires_at=None)


def test_the_columns_of_a_table_and_of_a_wide_one() -> None:
    assert dict(zip(NARROW, cells(row(kind="ArgoHelmRepoSecret"), NARROW, NOW), strict=True)) == {
        "RESOURCE": "argohelmrepo/pull",
        "STATE": "Ready",
        "REASON": "Refreshed",
        "TIME LEFT": "11h",
        "NEXT REFRESH": "in 9h",
        "SECRET": "pull-login",
    }
    assert ["NAMESPACE", *NARROW, "REGISTRY", "REFRESHED", "MESSAGE"] == WIDE
    assert cells(BAD, WIDE, NOW)[-3:] == ["host", "1h ago", "AWS denies it."]
    assert cells(BAD, WIDE, NOW)[4] == "-"
    assert columns_of("wide", namespaces=True, messages=False) == WIDE[:-1]


@pytest.mark.parametrize(
    ("left", "estimated", "shown", "seconds"),
    [
        (None, False, "", None),
        (timedelta(0), False, "expired", 0),
        (-LIFE, False, "expired", 0),
        (timedelta(minutes=5, seconds=0.9), False, "5m", 300),
        (timedelta(minutes=5), True, "~5m", 300),
    ],
    ids=["no token", "just expired", "long expired", "alive", "estimated"],
)
def test_the_time_left_is_never_negative(
    left: timedelta | None, shown: str, seconds: int | None, *, estimated: bool
) -> None:
    found = row(expires_at=None if left is None else NOW + left, estimated=estimated)
    assert time_left(found, NOW) == shown
    assert as_data(found, NOW)["secondsLeft"] == seconds


@pytest.mark.parametrize(
    ("hours", "shown"), [(None, ""), (1, "in 1h"), (0, "now"), (-0.05, "now"), (-2, "overdue 2h")]
)
def test_the_next_refresh(hours: float | None, shown: str) -> None:
    due = None if hours is None else NOW + timedelta(hours=hours)
    assert next_refresh(row(next_refresh_at=due), NOW) == shown


@pytest.mark.parametrize(("hours", "full"), [(12.0, 10), (6.0, 5), (0.01, 1), (0.0, 0), (-1.0, 0)])
def test_the_bar_shrinks_with_the_time_left(hours: float, full: int) -> None:
    expires_at = NOW + timedelta(hours=hours)
    assert filled_cells(row(expires_at=expires_at, refreshed_at=expires_at - LIFE), NOW) == full


def test_notes_are_the_messages_of_rows_that_are_not_ready() -> None:
    rows = [row(), BAD, row(reason="Suspended", message="Nothing is refreshed.")]
    assert notes(rows, NARROW) == ["ecrsecret/bad: AWS denies it.", ""]
    assert notes(rows, WIDE) == []
    assert notes(rows, ["NAMESPACE", *NARROW])[0] == "team-a ecrsecret/bad: AWS denies it."


def test_the_summary_counts_states() -> None:
    assert summary([]) == "0 resources: none"
    assert summary([row()]) == "1 resource: 1 ready"
    rows = [row(), row(), BAD, row(state="Failing")]
    assert summary(rows) == "4 resources: 2 ready, 1 failing, 1 not ready"


def test_a_pipe_gets_aligned_columns_and_later_lines_keep_their_widths() -> None:
    out = io.StringIO()
    printer = Printer("table", Terminal(out, io.StringIO()), ["RESOURCE", "STATE", "SECRET"])
    printer.write_all([row(name="a-long-name"), BAD], NOW)
    printer.write_changes([row(name="x")], NOW)
    assert out.getvalue().splitlines() == [
        "RESOURCE                STATE       SECRET",
        "ecrsecret/a-long-name   Ready       pull-login",
        "ecrsecret/bad           Not ready   pull-login",
        "",
        "ecrsecret/bad: AWS denies it.",
        "",
        "2 resources: 1 ready, 1 not ready",
        "ecrsecret/x             Ready       pull-login",
    ]


@pytest.mark.parametrize(
    ("output", "first"),
    [("json", '{"kind": "Secret", "namespace": "team-a"'), ("yaml", "---\nkind: Secret\n")],
)
def test_a_change_is_one_object_for_programs(output: TableOutput, first: str) -> None:
    out = io.StringIO()
    printer = Printer(output, Terminal(out), [])
    printer.write_changes([row(), row(name="other")], NOW)
    assert out.getvalue().startswith(first)
    assert len(list(yaml.safe_load_all(out.getvalue().replace("\n{", "\n---\n{")))) == 2


def drawn(*rows: Row, height: int | None = None, errors: tuple[str, ...] = ()) -> list[str]:
    out = io.StringIO()
    printer = Printer("table", Terminal(out), columns_of("wide", namespaces=False, messages=False))
    Console(file=out, width=140, _environ={}).print(printer.table(rows, NOW, errors, height))
    return out.getvalue().splitlines()


def test_a_terminal_shows_bars_and_notes_and_no_text_is_markup() -> None:
    shown = drawn(row(name="half", expires_at=NOW + timedelta(hours=1)), BAD, row(registry="[bold]x[/bold]"))
    assert "#####..... 1h" in "\n".join(shown)
    assert "[bold]x[/bold]" in "\n".join(shown)
    assert shown[-3:] == ["ecrsecret/bad: AWS denies it.", "", "3 resources: 2 ready, 1 not ready"]


def test_a_table_of_limited_height_has_the_summary_and_the_most_urgent_rows() -> None:
    shown = drawn(*(row(name=f"r{number}") for number in range(50)), height=24, errors=("No server.",))
    assert shown[:2] == ["50 resources: 50 ready (34 more not shown)", "No server."]
    assert [line.split()[0] for line in shown if "ecrsecret/r" in line] == [
        f"ecrsecret/r{number}" for number in range(16)
    ]


# The command line, what the API server lists, and what is shown on standard output, or else as a note.
SHOWN: dict[str, tuple[str, list[Json], int, str]] = {
    "all ready": ("-n team-a -o wide", [resource(status(READY, REFRESHED))], 0, "1 resource: 1 ready\n"),
    "one is not ready": ("-A", [resource()], 1, "1 resource: 1 not ready\n"),
    "none": ("-n team-a", [], 0, "No resources in namespace team-a; -A shows all.\n"),
    "none in any": ("-A", [], 0, "No resources in any namespace.\n"),
    "none for programs": ("-n team-a -o json", [], 0, "[]\n"),
}


@pytest.mark.parametrize(("line", "items", "code", "shown"), SHOWN.values(), ids=SHOWN)
async def test_exit_code_1_where_one_is_not_ready(
    tmp_path: Path, line: str, items: list[Json], code: int, shown: str
) -> None:
    async with ScriptedServer() as server:
        server.others = [reply({"items": items}), *[reply({"items": []})] * 2]
        kubeconfig = write_kubeconfig(tmp_path, server.url)
        ended = await running.run("status", *line.split(), kubeconfig=kubeconfig, clock=FakeClock(NOW))
    assert (ended.code, (ended.out or ended.err).endswith(shown)) == (code, True)
    assert (ended.out == "") == shown.startswith("No")
