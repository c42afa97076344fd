"""Secrets are written under guard, and only their metadata comes back."""

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
from ecr_operator.api.outcome import Reason
from ecr_operator.core.ports import SecretStore
from ecr_operator.core.secret import generated_secret
from ecr_operator.kube.client import APPLY, JSON, METADATA, KubeClient
from ecr_operator.kube.secrets import KubeSecrets
from tests.builders import desired, resource, secret_metadata, tokens, view
from tests.kube.server import Answer, ScriptedServer, refuse, reply

OF = resource()
PATH = "/api/v1/namespaces/team/secrets/web-pull"
STORED = reply({"kind": "PartialObjectMetadata", "metadata": secret_metadata(OF, version="11")})
PRESENT = view(OF, version="10")
NEW_UID = refuse(
    422, "Invalid", 'Secret "x" is invalid: metadata.uid: Invalid value: "u": field is immutable'
)
NEW_TYPE = refuse(422, "Invalid", 'Secret "x" is invalid: type: Invalid value: "Opaque": field is immutable')

SEALED = refuse(
    422, "Invalid", 'Secret "x" is invalid: data: Forbidden: field is immutable when `immutable` is set'
)
DENIED = "denied request: Secret is invalid: field is immutable"
BY_POLICY = refuse(
    422, "Invalid", f"secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' {DENIED}"
)
BY_WEBHOOK = refuse(
    422, "Invalid", 'admission webhook "w" denied the request: Secret "x" is invalid: field is immutable'
)


@pytest.fixture
def store(client: KubeClient) -> SecretStore:
    """The operator's Secrets."""
    return KubeSecrets(client)


def manifest() -> Mapping[str, Any]:
    return generated_secret(OF, desired(OF), tokens(OF))


async def test_a_secret_is_created_only_where_nothing_is(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [STORED]
    applied = await store.apply(manifest(), None)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PATCH", PATH)
    assert asked.query == {"fieldManager": "ecr-secret-operator", "force": "true"}
    assert (asked.headers["Content-Type"], asked.headers["Accept"]) == (APPLY, METADATA)
    assert asked.body["metadata"]["resourceVersion"] == "1"
    assert "uid" not in asked.body["metadata"]
    assert asked.body["data"] == manifest()["data"]
    assert applied == view(OF, version="11")


async def test_a_secret_is_changed_only_in_the_version_last_seen(
    server: ScriptedServer, store: SecretStore
) -> None:
    server.others = [STORED]
    await store.apply(manifest(), PRESENT)
    metadata = server.asked[0].body["metadata"]
    assert (metadata["resourceVersion"], metadata["uid"]) == ("10", PRESENT.uid)
    assert {**metadata, **manifest()["metadata"]} == metadata


async def apply_error(store: SecretStore, *, present: bool) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        await store.apply(manifest(), PRESENT if present else None)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "present", "kind"),
    [
        pytest.param(refuse(409, "Conflict"), False, StaleObjectError, id="something is there already"),
        pytest.param(refuse(409, "Conflict"), True, StaleObjectError, id="it has changed"),
        pytest.param(NEW_UID, True, StaleObjectError, id="it was made anew"),
        pytest.param(NEW_TYPE, True, ImmutableSecretError, id="its type can't be changed"),
        pytest.param(SEALED, True, ImmutableSecretError, id="somebody has made it immutable"),
        pytest.param(BY_POLICY, True, PermanentError, id="a policy speaks of immutable Secrets"),
        pytest.param(BY_WEBHOOK, True, PermanentError, id="a webhook uses the API server's words"),
        pytest.param(NEW_UID, False, PermanentError, id="a refusal of what we have not seen is just that"),
        pytest.param(
            refuse(422, "Invalid", "data: too long"), True, PermanentError, id="any other refusal too"
        ),
        pytest.param(refuse(404, "NotFound"), False, TransientError, id="its namespace is gone"),
        pytest.param(refuse(503, "ServiceUnavailable", Retry_After="3"), True, TransientError, id="not now"),
    ],
)
async def test_an_apply_that_is_refused(
    server: ScriptedServer,
    store: SecretStore,
    answer: Answer,
    present: bool,  # noqa: FBT001 - a table
    kind: type[OperatorError],
) -> None:
    server.others = [answer]
    assert type(await apply_error(store, present=present)) is kind


async def test_a_token_that_a_webhook_sends_back_stays_out_of_the_message(
    server: ScriptedServer, store: SecretStore
) -> None:
    server.others = [refuse(400, "BadRequest", f"denied: {manifest()}")]
    error = await apply_error(store, present=False)
    assert error.reason is Reason.KUBERNETES_REFUSED
    assert manifest()["data"][".dockerconfigjson"][:60] not in error.message


async def test_a_look_reads_metadata_only(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [STORED]
    assert await store.look("team", "web-pull") == view(OF, version="11")
    assert (server.asked[0].method, server.asked[0].path, server.asked[0].headers["Accept"]) == (
        "GET",
        PATH,
        METADATA,
    )


async def test_a_whole_secret_is_read_where_asked_for(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [reply({"metadata": {}, "data": {"a": "b"}})]
    found = await store.read("team", "web-pull")
    assert found is not None
    assert found["data"] == {"a": "b"}
    assert server.asked[0].headers["Accept"] == JSON


async def test_what_is_not_there_is_none(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [refuse(404, "NotFound")] * 3
    assert await store.look("team", "web-pull") is None
    assert await store.read("team", "web-pull") is None
    await store.delete(PRESENT)


async def test_only_the_very_secret_in_the_very_version_is_deleted(
    server: ScriptedServer, store: SecretStore
) -> None:
    server.others = [reply({"kind": "Status", "status": "Success"})]
    await store.delete(PRESENT)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("DELETE", PATH)
    assert asked.body["preconditions"] == {"uid": PRESENT.uid, "resourceVersion": "10"}


async def test_a_secret_that_has_changed_is_not_deleted(server: ScriptedServer, store: SecretStore) -> None:
    server.others = [refuse(409, "Conflict")]
    with pytest.raises(StaleObjectError):
        await store.delete(PRESENT)


@pytest.mark.parametrize("verb", ["look", "read"])
async def test_reading_that_fails_is_told(server: ScriptedServer, store: SecretStore, verb: str) -> None:
    server.others = [refuse(500, "InternalError")]
    with pytest.raises(TransientError, match="failed to read"):
        await getattr(store, verb)("team", "web-pull")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a?b"])
async def test_no_name_that_is_none_reaches_the_server(
    server: ScriptedServer, store: SecretStore, name: str
) -> None:
    with pytest.raises(ValueError, match="is not a valid name"):
        await store.look("team", name)
    with pytest.raises(ValueError, match="is not a valid name"):
        await store.delete(view(OF, name=name or " "))
    assert server.asked == []
