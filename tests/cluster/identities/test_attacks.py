"""The attack table: each row is a resource that tries something; none gets a token by it."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.api import NAMESPACES, Json
from lab.aws import Trust
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.identities.tenancy import (
    PERMITTED_ROLES,
    ROLE,
    TENANT_KEY,
    VICTIM,
    iam_secret,
    message,
    permit,
    service_account,
    signer,
)
from tests.cluster.scene import Scene

OWN_KEY = "AKIAIOSFODNN7EXAMPLE"
STS, ECR = "AssumeRole", "GetAuthorizationToken"
HUGE = 200_000


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What is tried, and what must come of it.

    Attributes:
        spec: fields of the resource.
        reason: that it must fail with.
        says: words of the message.
        has: what else the tenant makes in its namespace.
        asks: operations that AWS may see by it.
    """

    spec: dict[str, Any]
    reason: str
    says: str = ""
    has: tuple[Json, ...] = ()
    asks: frozenset[str] = field(default_factory=frozenset)


WEB = frozenset({"AssumeRoleWithWebIdentity"})
ACCOUNT = {"service_account": {"name": "ci"}}
ATTACKS = {
    "someone else's role": Attack(spec={"role_arn": VICTIM}, reason="RoleNotPermitted", says="cluster admin"),
    "a permitted role in another case": Attack(
        spec={"role_arn": ROLE.replace("puller", "Puller")}, reason="RoleNotPermitted"
    ),
    "a permitted role and a space": Attack(
        spec={"role_arn": f"{ROLE} "}, reason="InvalidSpec", says="role_arn"
    ),
    "a permitted role and a line break": Attack(spec={"role_arn": f"{ROLE}\n"}, reason="InvalidSpec"),
    "a role that is a wildcard": Attack(spec={"role_arn": f"{ROLE[:-1]}*"}, reason="InvalidSpec"),
    "a role that begins as a permitted one": Attack(
        spec={"role_arn": f"{ROLE}-admin"}, reason="RoleNotPermitted"
    ),
    "a role in a path of a permitted name": Attack(
        spec={"role_arn": f"{ROLE}/../production"}, reason="RoleNotPermitted"
    ),
    "two roles, one permitted": Attack(spec={"role_arn": f"{ROLE},{VICTIM}"}, reason="InvalidSpec"),
    "a role in letters that look alike": Attack(
        spec={"role_arn": ROLE.replace("p", "\u0440")}, reason="InvalidSpec"
    ),
    "its own ServiceAccount annotated with the victim's role": Attack(
        spec=ACCOUNT,
        has=(service_account(role=VICTIM),),
        reason="AccessDenied",
        says="trust policy for system:serviceaccount:",
        asks=WEB,
    ),
    "its own ServiceAccount with the victim's role in the spec": Attack(
        spec={**ACCOUNT, "role_arn": VICTIM}, has=(service_account(),), reason="AccessDenied", asks=WEB
    ),
    "an annotation of 200 kB": Attack(
        spec=ACCOUNT,
        has=(service_account(role="arn:aws:iam::123456789012:role/" + "x" * HUGE),),
        reason="CredentialsMissing",
        says="is not a valid IAM role ARN",
    ),
    "a Secret of another namespace by a path": Attack(
        spec={"aws_iam_secret": {"name": "../../kube-system/secrets/keys"}}, reason="InvalidSpec"
    ),
    "a Secret of another namespace by a slash": Attack(
        spec={"aws_iam_secret": {"name": "victim/keys"}}, reason="InvalidSpec"
    ),
    "a Secret of another namespace by a field": Attack(
        spec={"aws_iam_secret": {"name": "keys", "namespace": "victim"}},
        reason="CredentialsMissing",
        says="does not exist",
    ),
    "a ServiceAccount by a path": Attack(
        spec={"service_account": {"name": "../serviceaccounts/x"}}, reason="InvalidSpec"
    ),
    "a ServiceAccount with a subresource": Attack(
        spec={"service_account": {"name": "ci/token"}}, reason="InvalidSpec"
    ),
    "the generated Secret as keys": Attack(
        spec={"aws_iam_secret": {"name": "try-login"}}, reason="CredentialsMissing"
    ),
    "a Secret without keys": Attack(
        spec={"aws_iam_secret": {"name": "empty"}},
        has=({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "empty"}},),
        reason="CredentialsMissing",
        says="no aws_access_key_id",
    ),
    "keys that carry a header": Attack(
        spec={"aws_iam_secret": {"name": "keys"}},
        has=(iam_secret(key="AKIA\r\nHost: evil.example.com"),),
        reason="CredentialsMissing",
        says="aws_access_key_id",
    ),
    "two identities at once": Attack(
        spec={**ACCOUNT, "aws_iam_secret": {"name": "keys"}}, has=(iam_secret(),), reason="InvalidSpec"
    ),
    "a region that is the attacker's host": Attack(
        spec={"region": "evil.example.com", "ecr_registry": "proxy.example.com"}, reason="InvalidSpec"
    ),
    "a region that ends the host": Attack(
        spec={"region": "evil.example.com/", "ecr_registry": "proxy.example.com"}, reason="InvalidSpec"
    ),
    "a region with a login": Attack(
        spec={"region": "us-east-1@evil-1", "ecr_registry": "proxy.example.com"}, reason="InvalidSpec"
    ),
    "a registry of the attacker's that looks like ECR": Attack(
        spec={
            "ecr_registry": "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example.com",
            "region": None,
        },
        reason="InvalidSpec",
        says="region",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_an_attack_gets_no_token(scene: Scene, attack: Attack) -> None:
    scene.aws.services.trust = {
        ROLE: Trust(keys=frozenset({OWN_KEY})),
        VICTIM: Trust(keys=frozenset({OWN_KEY}), subjects=frozenset({"system:serviceaccount:victim:ci"})),
    }
    await permit(scene, ROLE)
    await scene.create(*attack.has, ecr_secret("try", **attack.spec))
    async with scene.operator() as operator:
        resource = await scene.told("try", "False", attack.reason)
        log = operator.log.read_text()
    assert attack.says in message(resource)
    assert len(message(resource)) < 1000
    assert len(log) < 20_000
    assert await scene.find_secret("try-login") is None
    assert {call.operation for call in scene.aws.calls} <= attack.asks


FIELDS = ("endpoint_url", "sts_endpoint", "external_id", "session_name", "namespace", "aws_access_key_id")


async def test_what_a_resource_may_not_choose_has_no_field(scene: Scene) -> None:
    await scene.create(ecr_secret("try", **dict.fromkeys(FIELDS, "http://evil.example.com")))
    async with scene.operator():
        (resource,) = await scene.ready("try")
    assert not set(FIELDS) & set(resource["spec"])
    assert [call.operation for call in scene.aws.calls] == [ECR]


async def test_a_namespace_without_permission_learns_nothing_from_anothers(scene: Scene) -> None:
    await permit(scene, "arn:aws:iam::*")
    other = await scene.api.create_namespace("other")
    await scene.create(ecr_secret("pull", role_arn=ROLE))
    await scene.api.create(ecr_secret("pull", role_arn=ROLE), other)
    async with scene.operator(watch=f"{scene.namespace},{other}"):
        await scene.ready("pull")
        scene.namespace = other
        await scene.told("pull", "False", "RoleNotPermitted")
    assert scene.aws.count(STS) == 1


async def test_a_spec_that_changes_between_check_and_use_gets_only_what_was_checked(scene: Scene) -> None:
    await permit(scene, ROLE)
    scene.aws.hang(operation=STS)
    await scene.create(ecr_secret("try", role_arn=ROLE))
    async with scene.operator():
        await wait_for(lambda: scene.aws.count(STS) == 1, 10, "the first role asked for")
        await scene.change("try", {"role_arn": VICTIM})
        scene.aws.release()
        await scene.told("try", "False", "RoleNotPermitted")
    assert {call.role for call in scene.aws.select(STS)} == {ROLE}
    assert await scene.find_secret("try-login") is None


async def test_a_permission_of_huge_size_is_read_and_means_what_it_says(scene: Scene) -> None:
    await permit(scene, ",".join(f"arn:aws:iam::{number:012}:role/*x*y*z*" for number in range(5000)))
    await scene.create(ecr_secret("try", role_arn=f"arn:aws:iam::000000000001:role/{'xyz' * 21}"))
    await scene.create(ecr_secret("beyond", role_arn=VICTIM))
    async with scene.operator():
        await scene.ready("try")
        told = await scene.told("beyond", "False", "RoleNotPermitted")
    assert len(json.dumps(told["status"])) < 4000


async def test_labels_and_annotations_of_huge_size_stay_on_the_resource(scene: Scene) -> None:
    manifest = ecr_secret("try")
    manifest["metadata"]["annotations"] = {f"a/{number}": "x" * 20_000 for number in range(10)}
    manifest["metadata"]["labels"] = {f"l{number}": "x" * 63 for number in range(500)}
    await scene.create(manifest)
    async with scene.operator():
        await scene.ready("try")
    assert len(json.dumps(await scene.secret("try-login"))) < 20_000


async def test_a_secret_made_by_the_tenant_serves_the_tenants_keys_only(scene: Scene) -> None:
    await scene.create(iam_secret(), ecr_secret("try", aws_iam_secret={"name": "keys"}), ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("try", "pull")
    assert await signer(scene, "try-login") == TENANT_KEY
    assert await signer(scene) == OWN_KEY


async def test_the_annotation_counts_on_the_namespace_alone(scene: Scene) -> None:
    manifest = ecr_secret("try", role_arn=ROLE)
    manifest["metadata"]["annotations"] = {PERMITTED_ROLES: "*"}
    await scene.create(manifest)
    async with scene.operator():
        await scene.told("try", "False", "RoleNotPermitted")
    annotations = (await scene.api.get(NAMESPACES, scene.namespace))["metadata"].get("annotations", {})
    assert PERMITTED_ROLES not in annotations
