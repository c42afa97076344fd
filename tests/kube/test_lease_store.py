"""The Lease over real HTTP: what is sent, and what of an answer counts."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.election.lease import LEASE_NAME, RENEW_DEADLINE, LeaseRecord
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.lease_store import REQUEST_SECONDS, KubeLeaseStore
from tests.kube.server import Answer, ScriptedServer, refuse, reply, text

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
NEW = LeaseRecord(holder="pod_1", acquire_time=TIME, renew_time=TIME)
RECORD = replace(NEW, duration=15, transitions=3, version="7")


def lease(spec: Any = SPEC, **metadata: Any) -> dict[str, Any]:
    named = {"name": LEASE_NAME, "namespace": "ops", "resourceVersion": "7"}
    return {"kind": "Lease", "metadata": {**named, **metadata}, "spec": spec}


@pytest.fixture
def store(client: KubeClient) -> KubeLeaseStore:
    return KubeLeaseStore(client, "ops")


async def refusal(store: KubeLeaseStore, record: LeaseRecord | None = None) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        await (store.write(record) if record else store.read())
    return caught.value


async def test_lease_is_v0_6_0s_in_our_namespace(server: ScriptedServer, store: KubeLeaseStore) -> None:
    server.others = [reply(lease()), refuse(404, "NotFound")]
    assert await store.read() == RECORD
    assert await store.read() is None
    assert [(each.method, each.path) for each in server.asked] == [("GET", PATH)] * 2
    assert str(store) == "ops/bc9c1120.mobb.redhat.com"


async def test_record_without_a_version_is_created(server: ScriptedServer, store: KubeLeaseStore) -> None:
    server.others = [reply(lease(), 201)]
    assert await store.write(NEW) == RECORD
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", COLLECTION)
    assert asked.body == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE_NAME, "namespace": "ops"},
        "spec": {**SPEC, "leaseTransitions": 0},
    }


async def test_write_replaces_a_version_keeping_labels(server: ScriptedServer, store: KubeLeaseStore) -> None:
    labelled = lease(labels={"a": "b"}, uid="u")
    server.others = [reply(labelled), reply(lease())]
    found = await store.read()
    assert found
    await store.write(found)
    asked = server.asked[1]
    assert (asked.method, asked.path) == ("PUT", PATH)
    assert (asked.body["metadata"], asked.body["spec"]) == (labelled["metadata"], SPEC)


LATE = {
    "another version is there": (RECORD, refuse(409, "Conflict")),
    "it was deleted": (RECORD, refuse(404, "NotFound")),
    "somebody created it": (NEW, refuse(409, "AlreadyExists")),
}


@pytest.mark.parametrize(("record", "answer"), LATE.values(), ids=LATE)
async def test_late_write_is_stale(
    server: ScriptedServer, store: KubeLeaseStore, record: LeaseRecord, answer: Answer
) -> None:
    server.others = [answer]
    assert isinstance(await refusal(store, record), StaleObjectError)


ODD = {"holderIdentity": None, "renewTime": "yesterday", "leaseDurationSeconds": "x"}


@pytest.mark.parametrize("spec", [{}, None, ODD])
async def test_lease_of_an_odd_spec_is_read(server: ScriptedServer, store: KubeLeaseStore, spec: Any) -> None:
    server.others = [reply(lease(spec))]
    assert await store.read() == LeaseRecord(holder="", duration=0, version="7")


STRAY = {
    "nothing": reply({}),
    "another object": reply(lease(name="another")),
    "no version": reply(lease(resourceVersion=None)),
    "other types": reply({"metadata": "x", "spec": []}),
    "a page of a proxy": text("<html>"),
    "an error": refuse(503, "ServiceUnavailable"),
}


@pytest.mark.parametrize("answer", STRAY.values(), ids=STRAY)
async def test_answer_that_is_not_the_lease_is_a_transient_error(
    server: ScriptedServer, store: KubeLeaseStore, answer: Answer
) -> None:
    server.others = [answer, answer]
    assert isinstance(await refusal(store), TransientError)
    assert isinstance(await refusal(store, RECORD), TransientError)


async def test_missing_right_names_the_role_to_apply(server: ScriptedServer, store: KubeLeaseStore) -> None:
    said = 'leases.coordination.k8s.io "x" is forbidden: User "u" cannot get resource'
    server.others = [refuse(403, "Forbidden", said)]
    error = await refusal(store)
    assert (type(error), error.reason) == (PermanentError, Reason.KUBERNETES_FORBIDDEN)
    assert "Role for leader election of config/rbac" in error.message


async def test_request_leaves_time_for_another_before_the_deadline(client: KubeClient) -> None:
    async with asyncio.timeout(8):  # the client's own limit is longer
        error = await refusal(KubeLeaseStore(client, "ops", seconds=0.1))
    assert isinstance(error, TransientError)
    assert "no answer in time" in error.message
    assert 2 * REQUEST_SECONDS < RENEW_DEADLINE
