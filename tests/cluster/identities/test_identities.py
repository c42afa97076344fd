"""Identities per resource, with a real operator, API server and TokenRequest: whom they serve, and no other.

What is refused by the form of a spec alone, `tests/api` has.
"""

import json
from typing import Any, Final

import pytest

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Reason
from ecr_operator.kube import connection
from ecr_operator.kube.identity_objects import KubeIdentityObjects
from ecr_operator.settings import Settings
from lab.api import SECRETS, Json
from lab.aws import Trust, read_claims
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.identities.tenancy import (
    PERMITTED_ROLES,
    ROLE,
    TENANT_KEY,
    TENANT_SECRET,
    VICTIM,
    iam_secret,
    message,
    permit,
    service_account,
    signer,
)
from tests.cluster.scene import Scene

OWN_KEY: Final = "AKIAIOSFODNN7EXAMPLE"
STS, WEB, ECR = "AssumeRole", "AssumeRoleWithWebIdentity", "GetAuthorizationToken"
HUGE: Final = 200_000


async def signers(scene: Scene, *names: str) -> list[str]:
    """Whose keys got the token of each resource."""
    return [await signer(scene, f"{name}-login") for name in names]


async def test_every_identity_of_a_namespace_has_tokens_of_its_own(scene: Scene) -> None:
    scene.aws.token_life = 9
    subject = f"system:serviceaccount:{scene.namespace}:ci"
    # Each role is trusted by what the resource names and by nothing else.
    scene.aws.services.trust = {
        ROLE: Trust(keys=frozenset({OWN_KEY})),
        f"{ROLE}-annotated": Trust(subjects=frozenset({f"{subject}-irsa"})),
        f"{ROLE}-account": Trust(subjects=frozenset({subject})),
        f"{ROLE}-keys": Trust(keys=frozenset({TENANT_KEY})),
    }
    # Only the operator's own identity needs a permission.
    await permit(scene, f"{VICTIM}, {ROLE[:-1]}?")
    named: dict[str, tuple[dict[str, Any], str]] = {
        "own": ({}, OWN_KEY),
        "role": ({"role_arn": ROLE}, ROLE),
        "keys": ({"aws_iam_secret": {"name": "keys"}}, TENANT_KEY),
        "keys-role": ({"aws_iam_secret": {"name": "keys"}, "role_arn": f"{ROLE}-keys"}, f"{ROLE}-keys"),
        "account": ({"service_account": {"name": "ci"}, "role_arn": f"{ROLE}-account"}, f"{ROLE}-account"),
        "annotated": ({"service_account": {"name": "ci-irsa"}}, f"{ROLE}-annotated"),
    }
    await scene.create(iam_secret(), service_account(), service_account("ci-irsa", f"{ROLE}-annotated"))
    # One that fails leaves the others in the region alone.
    bad = ecr_secret("bad", service_account={"name": "ci"}, role_arn=VICTIM)
    await scene.create(bad, *(ecr_secret(name, **spec) for name, (spec, _) in named.items()))
    expected = [signer for _, signer in named.values()]
    async with scene.operator():
        await scene.ready(*named)
        refused = await scene.told("bad", "False", "AccessDenied")
        assert await signers(scene, *named) == expected
        asked = scene.aws.count(ECR)
        await wait_for(lambda: scene.aws.count(ECR) >= asked + 2 * len(named), what="two more rounds")
        assert await signers(scene, *named) == expected
        await scene.change("own", {"aws_iam_secret": {"name": "keys"}})
        await scene.ready("own")
        assert await signers(scene, "own") == [TENANT_KEY]
    assert subject in message(refused)


async def test_without_keys_of_its_own_the_operator_serves_a_service_account(scene: Scene) -> None:
    await scene.create(service_account(role=ROLE), ecr_secret("pull", service_account={"name": "ci"}))
    async with scene.operator(env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}):
        await scene.ready("pull")
    first = scene.aws.calls[0]
    assert (first.operation, first.access_key) == (WEB, "")
    claims = read_claims(first.token)
    assert claims["sub"] == f"system:serviceaccount:{scene.namespace}:ci"
    assert claims["aud"] == ["sts.amazonaws.com"]
    assert 600 <= claims["exp"] - claims["iat"] <= 3660


async def test_what_is_reported_of_a_tenants_keys_holds_none_of_them(scene: Scene) -> None:
    scene.aws.keys.known = {OWN_KEY: None}
    await scene.create(iam_secret(), iam_secret("other"), ecr_secret("pull", aws_iam_secret={"name": "keys"}))
    async with scene.operator() as operator:
        told = await scene.told("pull", "False", "AccessDenied")
        await operator.stop()
        log = operator.log.read_text()
    for text in (json.dumps(told), log):
        assert TENANT_KEY not in text
        assert TENANT_SECRET not in text
    assert f"Secret {scene.namespace}/keys" in message(told)
    # Only the named Secret is read.
    assert scene.requests_for("other") == 0


async def test_what_the_operator_has_no_right_to_read_is_named_with_what_grants_it(scene: Scene) -> None:
    kubeconfig = (str(scene.plane.write_kubeconfig("stranger")),)
    settings = Settings(kubeconfig=kubeconfig, in_cluster=False, namespaces=("",), pod_name="x")
    async with await connection.connect(settings) as client:
        objects = KubeIdentityObjects(client)
        component = "config/rbac/service-account"
        for asked, grants in (
            (objects.iam_keys(scene.namespace, "x"), "Add the missing rule to its role"),
            (objects.service_account(scene.namespace, "x"), component),
            (objects.service_account_token(scene.namespace, "x"), component),
            (objects.namespace(scene.namespace), ""),
        ):
            with pytest.raises(OperatorError) as forbidden:
                await asked
            assert forbidden.value.reason is Reason.KUBERNETES_FORBIDDEN
            assert grants in forbidden.value.message


# Resources that try to get a token of an identity that is not theirs, all under one operator.

# The spec, what else the tenant makes in its namespace, the reason, and words of the message.
Attack = tuple[dict[str, Any], list[Json], str, str]
ATTACKS: dict[str, Attack] = {
    "someone else's role": ({"role_arn": VICTIM}, [], "RoleNotPermitted", "cluster admin"),
    "its own ServiceAccount annotated with the victim's role": (
        {"service_account": {"name": "annotated"}},
        [service_account("annotated", VICTIM)],
        "AccessDenied",
        "trust policy for system:serviceaccount:",
    ),
    "its own ServiceAccount with the victim's role in the spec": (
        {"service_account": {"name": "plain"}, "role_arn": VICTIM},
        [service_account("plain")],
        "AccessDenied",
        "",
    ),
    "an annotation of 200 kB": (
        {"service_account": {"name": "huge"}},
        [service_account("huge", "arn:aws:iam::123456789012:role/" + "x" * HUGE)],
        "CredentialsMissing",
        "is not a valid IAM role ARN",
    ),
    "a Secret of another namespace by a field": (
        {"aws_iam_secret": {"name": "absent", "namespace": "victim"}},
        [],
        "CredentialsMissing",
        "does not exist",
    ),
    "the generated Secret as keys": (
        {"aws_iam_secret": {"name": "generated"}, "generated_secret_name": "generated"},
        [],
        "CredentialsMissing",
        "",
    ),
    "keys that carry a header": (
        {"aws_iam_secret": {"name": "header"}},
        [iam_secret("header", key="AKIA\r\nHost: evil.example.com")],
        "CredentialsMissing",
        "aws_access_key_id",
    ),
    "a region that is the attacker's host": (
        {"region": "evil.example.com", "ecr_registry": "proxy.example.com"},
        [],
        "InvalidSpec",
        "",
    ),
}


async def test_no_attack_gets_a_token(scene: Scene) -> None:
    scene.aws.services.trust = {
        ROLE: Trust(keys=frozenset({OWN_KEY})),
        VICTIM: Trust(keys=frozenset({OWN_KEY}), subjects=frozenset({"system:serviceaccount:victim:ci"})),
    }
    await permit(scene, ROLE)
    for number, (spec, has, _, _) in enumerate(ATTACKS.values()):
        await scene.create(*has, ecr_secret(f"try-{number}", **spec))
    async with scene.operator() as operator:
        for number, (text, (_, _, reason, says)) in enumerate(ATTACKS.items()):
            told = message(await scene.told(f"try-{number}", "False", reason))
            assert says in told, text
            assert len(told) < 1000, text
        longest = max(map(len, operator.log.read_text().splitlines()))
    secrets = {each["metadata"]["name"] for each in await scene.api.list(SECRETS, scene.namespace)}
    assert secrets == {"header"}
    assert longest <= 4096
    # AWS was asked by the ServiceAccounts' own tokens alone, for the victim's role.
    assert {(call.operation, call.role) for call in scene.aws.calls} == {(WEB, VICTIM)}


FIELDS = ("endpoint_url", "sts_endpoint", "external_id", "session_name", "namespace", "aws_access_key_id")


async def test_unknown_fields_and_annotations_of_a_resource_have_no_effect(scene: Scene) -> None:
    fields = ecr_secret("fields", **dict.fromkeys(FIELDS, "http://evil.example.com"))
    huge = ecr_secret("huge")
    huge["metadata"]["annotations"] = {f"a/{number}": "x" * 20_000 for number in range(10)}
    huge["metadata"]["labels"] = {f"l{number}": "x" * 63 for number in range(500)}
    permitted = ecr_secret("permitted", role_arn=ROLE)
    permitted["metadata"]["annotations"] = {PERMITTED_ROLES: "*"}
    await scene.create(iam_secret(), fields, huge, permitted)
    async with scene.operator():
        (resource, _) = await scene.ready("fields", "huge")
        # The annotation counts on the namespace alone.
        await scene.told("permitted", "False", "RoleNotPermitted")
    assert not set(FIELDS) & set(resource["spec"])
    assert {call.operation for call in scene.aws.calls} == {ECR}
    assert len(json.dumps(await scene.secret("huge-login"))) < 20_000
    assert await signers(scene, "fields", "huge") == [OWN_KEY, OWN_KEY]


async def test_a_spec_that_changes_between_check_and_use_gets_only_what_was_checked(scene: Scene) -> None:
    await permit(scene, ROLE)
    scene.aws.hang(operation=STS)
    await scene.create(ecr_secret("try", role_arn=ROLE))
    async with scene.operator():
        await wait_for(lambda: scene.aws.count(STS) == 1, what="the first role asked for")
        await scene.change("try", {"role_arn": VICTIM})
        scene.aws.release()
        await scene.told("try", "False", "RoleNotPermitted")
    assert {call.role for call in scene.aws.select(STS)} == {ROLE}
    assert await scene.find_secret("try-login") is None
