"""A status is replaced as a whole, for that very object; and what the CRDs keep of it is known."""

from typing import Any

import pytest
import structlog.testing

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.kube.client import JSON_PATCH, METADATA, KubeClient
from ecr_operator.kube.resources import KubeResources
from tests.builders import resource
from tests.kube.server import Answer, ScriptedServer, refuse, reply, text

PATH = "/apis/ecr.mobb.redhat.com/v1alpha1/namespaces/team/secrets/web"
FULL = {"phase": "Updated", "observedGeneration": 1, "conditions": []}
KEY = resource().key
GONE = refuse(404, "NotFound")


def stored(uid: str = "uid-of-web", **more: Any) -> Answer:
    return reply({"metadata": {"uid": uid}, **more})


@pytest.fixture
def statuses(client: KubeClient) -> KubeResources:
    """The operator's statuses."""
    return KubeResources(client)


async def test_write_replaces_the_status_of_its_object(
    server: ScriptedServer, statuses: KubeResources
) -> None:
    server.others = [stored(status=FULL)]
    new = {"phase": "Updated", "secretName": "web-pull", "conditions": [1, 2]}
    assert await statuses.write(resource(status={"phase": "Failed"}), new) == FULL
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PATCH", f"{PATH}/status")
    assert asked.query == {"fieldManager": "ecr-secret-operator", "fieldValidation": "Ignore"}
    assert asked.headers["Content-Type"] == JSON_PATCH
    assert asked.body == [
        {"op": "test", "path": "/metadata/uid", "value": "uid-of-web"},
        {"op": "add", "path": "/status", "value": new},
    ]


async def test_a_first_status_is_not_sent_back_once_the_crd_is_known_to_keep_it(
    server: ScriptedServer, statuses: KubeResources
) -> None:
    server.others = [stored(status=FULL), stored(), stored(status={"phase": "Updated"})]
    assert await statuses.write(resource(), FULL) == FULL
    assert await statuses.write(resource(), FULL) == FULL
    # A later one shows what is kept: the CRD may have been replaced.
    assert await statuses.write(resource(status=FULL), FULL) == {"phase": "Updated"}
    accepted = [asked.headers["Accept"] for asked in server.asked]
    assert [each == METADATA for each in accepted] == [False, True, False]


DELETED = {
    "deleted": [GONE],
    "created again": [refuse(422, "Invalid"), stored("another")],
    "created again and deleted": [refuse(422, "Invalid"), GONE],
}


@pytest.mark.parametrize("answers", DELETED.values(), ids=DELETED)
async def test_write_to_a_deleted_resource_is_no_error(
    server: ScriptedServer, statuses: KubeResources, answers: list[Answer]
) -> None:
    server.others = list(answers)
    assert await statuses.write(resource(status={"phase": "Failed"}), FULL) == {"phase": "Failed"}


REFUSED = {
    "a spec that is no longer valid": (refuse(422, "Invalid", "spec: Invalid value"), PermanentError),
    "a stray answer": (reply({"kind": "Status", "status": "Success"}), TransientError),
}


@pytest.mark.parametrize(("answer", "kind"), REFUSED.values(), ids=REFUSED)
async def test_write_that_is_refused(
    server: ScriptedServer, statuses: KubeResources, answer: Answer, kind: type[OperatorError]
) -> None:
    server.others = [answer, stored()]
    with pytest.raises(kind, match="write the status of Secret team/web"):
        await statuses.write(resource(), FULL)


async def test_uid_is_read_from_the_metadata(server: ScriptedServer, statuses: KubeResources) -> None:
    server.others = [stored("u"), GONE, refuse(500, "InternalError")]
    assert await statuses.uid_of(KEY) == "u"
    assert await statuses.uid_of(KEY) is None
    with pytest.raises(TransientError, match="read Secret team/web"):
        await statuses.uid_of(KEY)
    assert (server.asked[0].path, server.asked[0].headers["Accept"]) == (PATH, METADATA)


async def test_resource_is_active_until_its_deletion(server: ScriptedServer, statuses: KubeResources) -> None:
    deleting = reply({"metadata": {"uid": "u", "deletionTimestamp": "2026-03-01T12:00:00Z"}})
    server.others = [stored("u"), stored("other"), deleting, GONE]
    assert [await statuses.is_active(KEY, "u") for _ in range(4)] == [True, False, False, False]
    assert server.asked[0].headers["Accept"] == METADATA


async def test_resource_is_read_whole(server: ScriptedServer, statuses: KubeResources) -> None:
    server.others = [stored("u", spec={}), GONE]
    assert await statuses.read(KEY) == {"metadata": {"uid": "u"}, "spec": {}}
    assert await statuses.read(KEY) is None


def schema(*fields: str, kind: str = "Secret") -> Answer:
    """Answer with the OpenAPI document of a CRD whose status has these fields."""
    status: dict[str, Any] = {"properties": {field: {} for field in fields}}
    found = {"x-kubernetes-group-version-kind": [{"kind": kind}], "properties": {"status": status}}
    return reply({"components": {"schemas": {"other": {}, "found": found}}})


SCHEMAS = {
    "our CRD": (schema("phase", "observedGeneration"), True),
    "v0.6.0's CRD": (schema("phase", "lastUpdatedTime"), False),
    "a document without the kind": (schema("phase", kind="Other"), True),
    "an empty document": (reply({}), True),
    "no right to read it": (refuse(403, "Forbidden"), True),
    "a document of another form": (reply({"components": {"schemas": {"x": 7}}}), True),
    "a null in it": (reply({"components": None}), True),
}


@pytest.mark.parametrize(("answer", "keeps"), SCHEMAS.values(), ids=SCHEMAS)
async def test_schema_of_the_crd_is_read_once(
    server: ScriptedServer, statuses: KubeResources, answer: Answer, *, keeps: bool
) -> None:
    server.others = [answer]
    assert [await statuses.keeps_details("Secret") for _ in range(2)] == [keeps, keeps]


async def test_schema_is_read_again_after_a_failure(server: ScriptedServer, statuses: KubeResources) -> None:
    server.others = [refuse(503, "ServiceUnavailable"), text("<html>"), schema("phase")]
    assert [await statuses.keeps_details("Secret") for _ in range(3)] == [True, True, False]


async def test_old_crds_are_announced_at_the_start(server: ScriptedServer, statuses: KubeResources) -> None:
    server.others = [schema("phase", "lastUpdatedTime"), schema("phase", kind="ArgoHelmRepoSecret")]
    with structlog.testing.capture_logs() as logs:
        await statuses.announce_old_crds()
    (line,) = logs
    assert "aws_iam_secret" in line["event"]
    assert "operator's own identity" in line["event"]


async def test_pruned_status_is_logged_once_as_an_old_crd_and_one_without_details_not(
    server: ScriptedServer, statuses: KubeResources
) -> None:
    legacy = {"phase": "Updated", "conditions": []}
    pruned = stored(status={"phase": "Updated"})
    server.others = [stored(status=legacy), pruned, pruned, stored(status=FULL)]
    with structlog.testing.capture_logs() as logs:
        await statuses.write(resource(), legacy)
        assert logs == []
        for _ in range(3):
            await statuses.write(resource(), FULL)
    assert [each["next"] for each in logs] == ["apply config/crd"]
    assert await statuses.keeps_details("Secret")
