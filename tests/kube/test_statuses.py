"""A status is replaced as a whole, for that very object."""

from typing import Any

import pytest
import structlog.testing

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.kube.client import JSON_PATCH, METADATA, KubeClient
from ecr_operator.kube.statuses import KubeStatuses
from tests.builders import resource
from tests.kube.server import Answer, ScriptedServer, hold, refuse, reply, text

PATH = "/apis/ecr.mobb.redhat.com/v1alpha1/namespaces/team/secrets/web"
FULL = {"phase": "Updated", "observedGeneration": 1, "conditions": []}


@pytest.fixture
def statuses(client: KubeClient) -> KubeStatuses:
    """The operator's statuses."""
    return KubeStatuses(client)


async def test_the_whole_status_is_replaced_on_that_very_object(
    server: ScriptedServer, statuses: KubeStatuses
) -> None:
    server.others = [reply({"metadata": {"uid": "uid-of-web"}, "status": FULL})]
    new = {"phase": "Updated", "secretName": "web-pull", "conditions": [1, 2]}
    assert await statuses.write(resource(status={"phase": "Failed"}), new) == FULL
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.query) == (
        "PATCH",
        f"{PATH}/status",
        {"fieldManager": "ecr-secret-operator"},
    )
    assert asked.headers["Content-Type"] == JSON_PATCH
    assert asked.body == [
        {"op": "test", "path": "/metadata/uid", "value": "uid-of-web"},
        {"op": "add", "path": "/status", "value": new},
    ]


@pytest.mark.parametrize(
    "answers",
    [
        [refuse(404, "NotFound")],
        [refuse(422, "Invalid"), reply({"metadata": {"uid": "another"}})],
        [refuse(422, "Invalid"), refuse(404, "NotFound")],
    ],
    ids=["gone", "made anew", "made anew and gone"],
)
async def test_a_resource_that_is_gone_is_no_error(
    server: ScriptedServer, statuses: KubeStatuses, answers: list[Answer]
) -> None:
    server.others = answers
    assert await statuses.write(resource(status={"phase": "Failed"}), FULL) == {"phase": "Failed"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(
            refuse(422, "Invalid", "spec: Invalid value"), PermanentError, id="a spec that no longer passes"
        ),
        pytest.param(
            refuse(403, "Forbidden", "x is forbidden: User y cannot"), PermanentError, id="a missing right"
        ),
        pytest.param(refuse(500, "InternalError"), TransientError, id="a failure"),
    ],
)
async def test_a_status_that_is_refused(
    server: ScriptedServer, statuses: KubeStatuses, answer: Answer, kind: type[OperatorError]
) -> None:
    server.others = [answer, reply({"metadata": {"uid": "uid-of-web"}})]
    with pytest.raises(kind, match="write the status of Secret team/web"):
        await statuses.write(resource(), FULL)


async def test_an_owner_is_read_by_its_metadata(server: ScriptedServer, statuses: KubeStatuses) -> None:
    server.others = [reply({"metadata": {"uid": "u"}}), refuse(404, "NotFound"), refuse(500, "InternalError")]
    assert await statuses.uid_of(resource().key) == "u"
    assert await statuses.uid_of(resource().key) is None
    with pytest.raises(TransientError, match="read Secret team/web"):
        await statuses.uid_of(resource().key)
    assert (server.asked[0].path, server.asked[0].headers["Accept"]) == (PATH, METADATA)


@pytest.mark.parametrize(
    ("answer", "active"),
    [
        pytest.param(reply({"metadata": {"uid": "u"}}), True, id="there"),
        pytest.param(reply({"metadata": {"uid": "other"}}), False, id="another object of that name"),
        pytest.param(
            reply({"metadata": {"uid": "u", "deletionTimestamp": "2026-03-01T12:00:00Z"}}),
            False,
            id="being deleted",
        ),
        pytest.param(refuse(404, "NotFound"), False, id="gone"),
    ],
)
async def test_whether_a_resource_is_active(
    server: ScriptedServer, statuses: KubeStatuses, answer: Answer, *, active: bool
) -> None:
    server.others = [answer]
    assert await statuses.is_active(resource().key, "u") is active
    assert server.asked[0].headers["Accept"] == METADATA


def schema(*fields: str, kind: str = "Secret") -> Answer:
    """Answer with the OpenAPI document of a CRD whose status has these fields."""
    status: dict[str, Any] = {"properties": {field: {} for field in fields}}
    found = {"x-kubernetes-group-version-kind": [{"kind": kind}], "properties": {"status": status}}
    return reply({"components": {"schemas": {"other": {}, "found": found}}})


@pytest.mark.parametrize(
    ("answer", "keeps"),
    [
        pytest.param(schema("phase", "observedGeneration"), True, id="our CRD"),
        pytest.param(schema("phase", "lastUpdatedTime"), False, id="v0.6.0's CRD"),
        pytest.param(schema("phase", kind="Other"), True, id="a document without the kind"),
        pytest.param(reply({}), True, id="an empty document"),
        pytest.param(refuse(403, "Forbidden"), True, id="no right to read it"),
        pytest.param(reply({"components": {"schemas": {"x": 7}}}), True, id="a document of another form"),
        pytest.param(reply({"components": None}), True, id="a null in it"),
    ],
)
async def test_what_the_crd_keeps_is_asked_once(
    server: ScriptedServer,
    statuses: KubeStatuses,
    answer: Answer,
    keeps: bool,  # noqa: FBT001 - a table
) -> None:
    server.others = [answer, hold]
    assert await statuses.keeps_details("Secret") is keeps
    assert await statuses.keeps_details("Secret") is keeps
    assert len(server.asked) == 1


async def test_old_crds_are_announced_at_the_start_once_for_both_kinds(
    server: ScriptedServer, statuses: KubeStatuses
) -> None:
    old = schema("phase", "lastUpdatedTime")
    server.others = [old, schema("phase", kind="ArgoHelmRepoSecret")]
    with structlog.testing.capture_logs() as logs:
        await statuses.announce_old_crds()
    (line,) = logs
    assert "aws_iam_secret" in line["event"]
    assert "operator's own identity" in line["event"]


@pytest.mark.parametrize("answer", [refuse(503, "ServiceUnavailable"), text("<html>")], ids=["503", "HTML"])
async def test_of_a_server_that_is_away_nothing_is_learnt(
    server: ScriptedServer, statuses: KubeStatuses, answer: Answer
) -> None:
    server.others = [answer, schema("phase")]
    assert await statuses.keeps_details("Secret")
    assert not await statuses.keeps_details("Secret")


async def test_an_old_crd_is_told_of_once(server: ScriptedServer, statuses: KubeStatuses) -> None:
    pruned: dict[str, Any] = {"metadata": {"uid": "uid-of-web"}, "status": {"phase": "Updated"}}
    server.others = [reply(pruned), reply(pruned), reply({"metadata": {"uid": "uid-of-web"}, "status": FULL})]
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await statuses.write(resource(), FULL)
    assert [each["next"] for each in logs] == ["apply config/crd"]
    assert await statuses.keeps_details("Secret")


async def test_a_stray_answer_is_no_success(server: ScriptedServer, statuses: KubeStatuses) -> None:
    server.others = [reply({"kind": "Status", "status": "Success"})]
    with pytest.raises(TransientError, match="is a proxy in between"):
        await statuses.write(resource(), FULL)


async def test_a_status_without_details_teaches_nothing_of_the_crd(
    server: ScriptedServer, statuses: KubeStatuses
) -> None:
    legacy = {"phase": "Updated", "conditions": []}
    server.others = [reply({"metadata": {"uid": "uid-of-web"}, "status": legacy})]
    with structlog.testing.capture_logs() as logs:
        await statuses.write(resource(), legacy)
    assert logs == []
