"""The Lease over real HTTP: what is sent, and what of an answer counts."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.election.lease import LEASE_NAME, LeaseRecord
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.lease_store import KubeLeaseStore
from tests.kube.server import Answer, ScriptedServer, hold, refuse, reply, text

COLLECTION = "/apis/coordination.k8s.io/v1/namespaces/ops/leases"
PATH = f"{COLLECTION}/bc9c1120.mobb.redhat.com"
TIME = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
SPEC = {
    "holderIdentity": "pod_1",
    "leaseDurationSeconds": 15,
    "acquireTime": "2026-03-04T05:06:07.000089Z",
    "renewTime": "2026-03-04T05:06:07.000089Z",
    "leaseTransitions": 3,
}
RECORD = LeaseRecord(
    holder="pod_1", duration=15, acquire_time=TIME, renew_time=TIME, transitions=3, version="7"
)


def lease(spec: Any = SPEC, **metadata: Any) -> dict[str, Any]:
    """Make a Lease as the server sends it."""
    return {
        "kind": "Lease",
        "metadata": {"name": LEASE_NAME, "namespace": "ops", "resourceVersion": "7", **metadata},
        "spec": spec,
    }


async def refusal(client: KubeClient, record: LeaseRecord | None = None) -> OperatorError:
    leases = KubeLeaseStore(client, "ops")
    with pytest.raises(OperatorError) as caught:
        await (leases.write(record) if record else leases.read())
    return caught.value


async def test_it_is_v0_6_0s_lease_in_the_operators_namespace(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.others = [reply(lease())]
    assert await KubeLeaseStore(client, "ops").read() == RECORD
    assert [(each.method, each.path) for each in server.asked] == [("GET", PATH)]
    assert str(KubeLeaseStore(client, "ops")) == "ops/bc9c1120.mobb.redhat.com"


async def test_there_may_be_none(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [refuse(404, "NotFound")]
    assert await KubeLeaseStore(client, "ops").read() is None


async def test_a_record_without_a_version_is_created(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [reply(lease(), 201)]
    record = LeaseRecord(holder="pod_1", acquire_time=TIME, renew_time=TIME)
    assert await KubeLeaseStore(client, "ops").write(record) == RECORD
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", COLLECTION)
    assert asked.body == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE_NAME, "namespace": "ops"},
        "spec": {**SPEC, "leaseTransitions": 0},
    }


async def test_a_record_with_a_version_replaces_that_version_and_keeps_labels(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.others = [reply(lease(labels={"a": "b"}, uid="u")), reply(lease())]
    leases = KubeLeaseStore(client, "ops")
    found = await leases.read()
    assert found
    await leases.write(found)
    asked = server.asked[1]
    assert (asked.method, asked.path) == ("PUT", PATH)
    assert asked.body["metadata"] == lease(labels={"a": "b"}, uid="u")["metadata"]
    assert asked.body["spec"] == SPEC


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        pytest.param(RECORD, refuse(409, "Conflict"), id="another version is there"),
        pytest.param(RECORD, refuse(404, "NotFound"), id="it was deleted"),
        pytest.param(LeaseRecord(holder="a"), refuse(409, "AlreadyExists"), id="somebody made it"),
    ],
)
async def test_a_write_that_came_too_late_has_to_look_again(
    server: ScriptedServer, client: KubeClient, record: LeaseRecord, answer: Answer
) -> None:
    server.others = [answer]
    assert isinstance(await refusal(client, record), StaleObjectError)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, LeaseRecord(holder="", duration=0, version="7"), id="empty"),
        pytest.param(None, LeaseRecord(holder="", duration=0, version="7"), id="without a spec"),
        pytest.param(
            {"holderIdentity": None, "renewTime": "yesterday", "leaseDurationSeconds": "x"},
            LeaseRecord(holder="", duration=0, version="7"),
            id="with nonsense",
        ),
    ],
)
async def test_whatever_a_lease_says_is_read(
    server: ScriptedServer, client: KubeClient, spec: Any, expected: LeaseRecord
) -> None:
    server.others = [reply(lease(spec))]
    assert await KubeLeaseStore(client, "ops").read() == expected


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply({}), id="nothing"),
        pytest.param(reply(lease(name="another")), id="another object"),
        pytest.param(reply(lease(resourceVersion=None)), id="no version"),
        pytest.param(reply({"metadata": "x", "spec": []}), id="other types"),
        pytest.param(text("<html>"), id="a page of a proxy"),
        pytest.param(refuse(503, "ServiceUnavailable"), id="an error"),
    ],
)
async def test_an_answer_that_is_not_the_lease_is_a_passing_error(
    server: ScriptedServer, client: KubeClient, answer: Answer
) -> None:
    server.others = [answer, answer]
    assert isinstance(await refusal(client), TransientError)
    assert isinstance(await refusal(client, RECORD), TransientError)


async def test_without_rights_it_names_what_to_apply(server: ScriptedServer, client: KubeClient) -> None:
    said = 'leases.coordination.k8s.io "x" is forbidden: User "u" cannot get resource'
    server.others = [refuse(403, "Forbidden", said)]
    error = await refusal(client)
    assert isinstance(error, PermanentError)
    assert error.reason is Reason.KUBERNETES_FORBIDDEN
    assert "Role for leader election of config/rbac" in error.message


async def test_a_request_leaves_time_for_another_try(server: ScriptedServer, client: KubeClient) -> None:
    server.others = [hold]
    begun = time.monotonic()
    assert isinstance(await refusal(client), TransientError)
    assert 3.5 < time.monotonic() - begun < 5
