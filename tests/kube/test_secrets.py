"""Secrets are written under a precondition, and only their metadata comes back."""

from collections.abc import Mapping
from typing import Any

import pytest

from ecr_operator.api.errors import (
    ImmutableSecretError,
    OperatorError,
    PermanentError,
    StaleObjectError,
    TransientError,
)
from ecr_operator.core.manifest import generated_secret
from ecr_operator.core.ports import SecretStore
from ecr_operator.kube.client import APPLY, JSON, METADATA, KubeClient
from ecr_operator.kube.secrets import KubeSecrets
from tests.builders import desired, resource, secret_metadata, tokens, view
from tests.kube.server import Answer, ScriptedServer, refuse, reply

OF = resource()
PATH = "/api/v1/namespaces/team/secrets/web-pull"
STORED = reply({"kind": "PartialObjectMetadata", "metadata": secret_metadata(OF, version="11")})
PRESENT = view(OF, version="10")


@pytest.fixture
def store(client: KubeClient) -> SecretStore:
    return KubeSecrets(client)


def manifest() -> Mapping[str, Any]:
    return generated_secret(desired(OF), tokens(OF))


async def test_secret_is_created_only_where_nothing_is(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [STORED]
    applied = await store.apply(manifest(), None)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PATCH", PATH)
    assert asked.query == {
        "fieldManager": "ecr-secret-operator",
        "fieldValidation": "Ignore",
        "force": "true",
    }
    assert (asked.headers["Content-Type"], asked.headers["Accept"]) == (APPLY, METADATA)
    assert asked.body["metadata"]["resourceVersion"] == "1"
    assert "uid" not in asked.body["metadata"]
    assert asked.body["data"] == manifest()["data"]
    assert applied == view(OF, version="11")


async def test_secret_is_changed_only_as_last_seen(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [STORED]
    await store.apply(manifest(), PRESENT)
    precondition = {"resourceVersion": "10", "uid": PRESENT.uid}
    assert server.asked[0].body["metadata"] == {**manifest()["metadata"], **precondition}


def invalid(what: str, before: str = "") -> Answer:
    """Answer that the Secret is not valid, as the API server or an admission says so."""
    return refuse(422, "Invalid", f'{before}Secret "x" is invalid: {what}')


POLICY = "secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: "
NEW_UID = invalid('metadata.uid: Invalid value: "u": field is immutable')
NEW_TYPE = invalid('type: Invalid value: "Opaque": field is immutable')
IMMUTABLE = invalid("data: Forbidden: field is immutable when `immutable` is set")
BY_POLICY = invalid("field is immutable", POLICY)
BY_WEBHOOK = invalid("field is immutable", 'admission webhook "w" denied the request: ')
REFUSED = {
    "something is there already": (refuse(409, "Conflict"), False, StaleObjectError),
    "it has changed": (refuse(409, "Conflict"), True, StaleObjectError),
    "it was created again": (NEW_UID, True, StaleObjectError),
    "its type can't be changed": (NEW_TYPE, True, ImmutableSecretError),
    "it was made immutable": (IMMUTABLE, True, ImmutableSecretError),
    "a policy mentions immutable Secrets": (BY_POLICY, True, PermanentError),
    "a webhook uses the API server's words": (BY_WEBHOOK, True, PermanentError),
    "a Secret that we have not seen": (NEW_UID, False, PermanentError),
    "any other refusal": (invalid("data: too long"), True, PermanentError),
}


@pytest.mark.parametrize(("answer", "present", "kind"), REFUSED.values(), ids=REFUSED)
async def test_apply_that_is_refused(
    server: ScriptedServer, store: SecretStore, answer: Answer, kind: type[OperatorError], *, present: bool
) -> None:
    server.others = [answer]
    with pytest.raises(OperatorError) as caught:
        await store.apply(manifest(), PRESENT if present else None)
    assert type(caught.value) is kind


async def test_look_reads_metadata_and_read_the_whole(server: ScriptedServer, store: SecretStore) -> None:
    whole = {"metadata": {}, "data": {"a": "b"}}
    server.others = [STORED, reply(whole)]
    assert await store.look("team", "web-pull") == view(OF, version="11")
    assert await store.read("team", "web-pull") == whole
    asked = [(each.method, each.path, each.headers["Accept"]) for each in server.asked]
    assert asked == [("GET", PATH, METADATA), ("GET", PATH, JSON)]


async def test_absent_secret_is_not_an_error(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [refuse(404, "NotFound")] * 3
    assert await store.look("team", "web-pull") is None
    assert await store.read("team", "web-pull") is None
    await store.delete(PRESENT)


async def test_read_that_fails_is_an_error(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [refuse(500, "InternalError")] * 2
    for read, what in ((store.look, "the metadata of Secret web-pull"), (store.read, "Secret web-pull")):
        with pytest.raises(TransientError, match=f"failed to read {what}"):
            await read("team", "web-pull")


async def test_secret_is_deleted_only_as_last_seen(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [reply({"kind": "Status", "status": "Success"}), refuse(409, "Conflict")]
    await store.delete(PRESENT)
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("DELETE", PATH)
    assert asked.body["preconditions"] == {"uid": PRESENT.uid, "resourceVersion": "10"}
    with pytest.raises(StaleObjectError):
        await store.delete(PRESENT)
