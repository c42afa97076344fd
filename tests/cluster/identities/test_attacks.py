"""Resources that try to get a token of an identity that is not theirs, all under one operator.

What is refused by its form alone, `tests/api/test_identity.py` has.
"""

import json
from dataclasses import dataclass
from typing import Any

from lab.api import SECRETS, Json
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
STS, WEB, ECR = "AssumeRole", "AssumeRoleWithWebIdentity", "GetAuthorizationToken"
HUGE = 200_000


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What is tried, and what must come of it.

    Attributes:
        spec: fields of the resource.
        reason: that it must fail with.
        says: words of the message.
        has: what else the tenant makes in its namespace.
    """

    spec: dict[str, Any]
    reason: str
    says: str = ""
    has: tuple[Json, ...] = ()


ATTACKS = {
    "someone else's role": Attack(spec={"role_arn": VICTIM}, reason="RoleNotPermitted", says="cluster admin"),
    "its own ServiceAccount annotated with the victim's role": Attack(
        spec={"service_account": {"name": "annotated"}},
        has=(service_account("annotated", VICTIM),),
        reason="AccessDenied",
        says="trust policy for system:serviceaccount:",
    ),
    "its own ServiceAccount with the victim's role in the spec": Attack(
        spec={"service_account": {"name": "plain"}, "role_arn": VICTIM},
        has=(service_account("plain"),),
        reason="AccessDenied",
    ),
    "an annotation of 200 kB": Attack(
        spec={"service_account": {"name": "huge"}},
        has=(service_account("huge", "arn:aws:iam::123456789012:role/" + "x" * HUGE),),
        reason="CredentialsMissing",
        says="is not a valid IAM role ARN",
    ),
    "a Secret of another namespace by a path": Attack(
        spec={"aws_iam_secret": {"name": "../../kube-system/secrets/keys"}}, reason="InvalidSpec"
    ),
    "a Secret of another namespace by a field": Attack(
        spec={"aws_iam_secret": {"name": "absent", "namespace": "victim"}},
        reason="CredentialsMissing",
        says="does not exist",
    ),
    "the generated Secret as keys": Attack(
        spec={"aws_iam_secret": {"name": "generated"}, "generated_secret_name": "generated"},
        reason="CredentialsMissing",
    ),
    "a Secret without keys": Attack(
        spec={"aws_iam_secret": {"name": "empty"}},
        has=({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "empty"}},),
        reason="CredentialsMissing",
        says="no aws_access_key_id",
    ),
    "keys that carry a header": Attack(
        spec={"aws_iam_secret": {"name": "header"}},
        has=(iam_secret("header", key="AKIA\r\nHost: evil.example.com"),),
        reason="CredentialsMissing",
        says="aws_access_key_id",
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


async def test_no_attack_gets_a_token(scene: Scene) -> None:
    scene.aws.services.trust = {
        ROLE: Trust(keys=frozenset({OWN_KEY})),
        VICTIM: Trust(keys=frozenset({OWN_KEY}), subjects=frozenset({"system:serviceaccount:victim:ci"})),
    }
    await permit(scene, ROLE)
    names = {f"try-{number}": attack for number, attack in enumerate(ATTACKS.values())}
    for name, attack in names.items():
        await scene.create(*attack.has, ecr_secret(name, **attack.spec))
    async with scene.operator() as operator:
        told = {name: await scene.told(name, "False", attack.reason) for name, attack in names.items()}
        longest = max(map(len, operator.log.read_text().splitlines()))
    for (text, attack), name in zip(ATTACKS.items(), names, strict=True):
        assert attack.says in message(told[name]), text
        assert len(message(told[name])) < 1000, text
    secrets = {each["metadata"]["name"] for each in await scene.api.list(SECRETS, scene.namespace)}
    assert secrets == {"empty", "header"}
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
    tenants = ecr_secret("tenant", aws_iam_secret={"name": "keys"})
    await scene.create(iam_secret(), fields, huge, permitted, tenants)
    async with scene.operator():
        (resource, _, _) = await scene.ready("fields", "huge", "tenant")
        # The annotation counts on the namespace alone.
        await scene.told("permitted", "False", "RoleNotPermitted")
    assert not set(FIELDS) & set(resource["spec"])
    assert {call.operation for call in scene.aws.calls} == {ECR}
    assert len(json.dumps(await scene.secret("huge-login"))) < 20_000
    signers = [await signer(scene, f"{name}-login") for name in ("fields", "huge", "tenant")]
    assert signers == [OWN_KEY, OWN_KEY, TENANT_KEY]


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
