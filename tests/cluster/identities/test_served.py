"""Each identity that a resource may name, from its manifest to the token in its Secret."""

import asyncio
import json
from typing import Any

from lab.api import ARGO_SECRETS, ECR_SECRETS
from lab.aws import Trust
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.identities.tenancy import (
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


async def test_a_role_that_the_flag_permits_is_assumed(scene: Scene) -> None:
    scene.aws.services.trust = {ROLE: Trust(keys=frozenset({OWN_KEY}), external_id="the-cluster")}
    await scene.create(ecr_secret("pull", role_arn=ROLE), argo_secret("charts", role_arn=ROLE))
    async with scene.operator(f"-permitted-roles={ROLE}", "--external-id=the-cluster"):
        await scene.ready("pull")
        await scene.ready("charts", kind=ARGO_SECRETS)
    assert await signer(scene) == await signer(scene, "charts-login") == ROLE
    assert (scene.aws.count(STS), scene.aws.count(ECR)) == (1, 1)
    assert scene.aws.select(STS)[0].session == f"ecr-secret-operator@{scene.namespace}"


async def test_a_role_that_the_namespace_permits_is_assumed(scene: Scene) -> None:
    await permit(scene, f"{VICTIM}, arn:aws:iam::210987654321:role/pull*")
    await scene.create(ecr_secret("pull", role_arn=ROLE))
    async with scene.operator():
        await scene.ready("pull")
    assert await signer(scene) == ROLE


async def test_a_service_account_acts_by_its_annotation_with_a_real_token(scene: Scene) -> None:
    subject = f"system:serviceaccount:{scene.namespace}:ci"
    scene.aws.services.trust = {ROLE: Trust(subjects=frozenset({subject}))}
    await scene.create(service_account(role=ROLE), ecr_secret("pull", service_account={"name": "ci"}))
    async with scene.operator(env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}):
        await scene.ready("pull")
    assert await signer(scene) == ROLE
    first = scene.aws.calls[0]
    assert (first.operation, first.access_key) == (WEB, "")


async def test_a_service_account_acts_in_the_role_of_the_spec(scene: Scene) -> None:
    await scene.create(service_account(), ecr_secret("pull", service_account={"name": "ci"}, role_arn=ROLE))
    async with scene.operator():
        await scene.ready("pull")
    assert await signer(scene) == ROLE


async def test_the_keys_of_a_secret_are_used_and_read_again_when_they_are_others(scene: Scene) -> None:
    scene.aws.token_life = 8
    await scene.create(iam_secret(), ecr_secret("pull", aws_iam_secret={"name": "keys"}))
    async with scene.operator():
        await scene.ready("pull")
        assert await signer(scene) == TENANT_KEY
        await scene.api.apply(iam_secret(key="AKIAANOTHER000000000"), scene.namespace)

        async def is_by_the_other() -> bool:
            return await signer(scene) == "AKIAANOTHER000000000"

        await wait_for(is_by_the_other, 12, "a token by the other keys")


async def test_the_keys_of_a_secret_assume_a_role_without_anybodys_permission(scene: Scene) -> None:
    scene.aws.services.trust = {ROLE: Trust(keys=frozenset({TENANT_KEY}))}
    await scene.create(iam_secret(), ecr_secret("pull", aws_iam_secret={"name": "keys"}, role_arn=ROLE))
    async with scene.operator():
        await scene.ready("pull")
    assert await signer(scene) == ROLE


async def test_every_identity_of_a_namespace_has_tokens_of_its_own(scene: Scene) -> None:
    scene.aws.token_life = 12
    await permit(scene, "arn:aws:iam::210987654321:role/*")
    named: dict[str, dict[str, Any]] = {
        "own": {},
        "keys": {"aws_iam_secret": {"name": "keys"}},
        "account": {"service_account": {"name": "ci"}, "role_arn": f"{ROLE}-account"},
        **{f"role-{number}": {"role_arn": f"{ROLE}-{number}"} for number in range(8)},
    }
    await scene.create(iam_secret(), service_account())
    await scene.create(*(ecr_secret(name, **spec) for name, spec in named.items()))
    expected = {
        "own": OWN_KEY,
        "keys": TENANT_KEY,
        "account": f"{ROLE}-account",
        **{f"role-{number}": f"{ROLE}-{number}" for number in range(8)},
    }
    async with scene.operator():
        await scene.ready(*named)
        for _ in range(3):
            assert {name: await signer(scene, f"{name}-login") for name in named} == expected
            await asyncio.sleep(2)


async def test_an_identity_that_changes_takes_a_new_token_at_once(scene: Scene) -> None:
    await scene.create(iam_secret(), ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        assert await signer(scene) == OWN_KEY
        await scene.change("pull", {"aws_iam_secret": {"name": "keys"}})
        await scene.ready("pull")
        assert await signer(scene) == TENANT_KEY


async def test_a_failing_identity_leaves_the_others_in_the_region_alone(scene: Scene) -> None:
    scene.aws.services.trust = {}
    await scene.create(
        ecr_secret("pull"), ecr_secret("bad", service_account={"name": "default"}, role_arn=ROLE)
    )
    await scene.create(service_account("default"))
    async with scene.operator():
        bad = await scene.told("bad", "False", "AccessDenied")
        await scene.ready("pull")
    assert f"system:serviceaccount:{scene.namespace}:default" in message(bad)


async def test_what_is_said_of_a_tenants_keys_holds_none_of_them(scene: Scene) -> None:
    scene.aws.keys.known = {OWN_KEY: None}
    await scene.create(iam_secret(), ecr_secret("pull", aws_iam_secret={"name": "keys"}))
    async with scene.operator() as operator:
        told = await scene.told("pull", "False", "AccessDenied")
        await operator.stop()
        log = operator.log.read_text()
    for text in (json.dumps(told), log):
        assert TENANT_KEY not in text
        assert "secret-of-the-tenant" not in text
    assert f"Secret {scene.namespace}/keys" in message(told)


async def test_only_the_named_secret_is_read(scene: Scene) -> None:
    await scene.create(iam_secret(), iam_secret("other"), ecr_secret("pull", aws_iam_secret={"name": "keys"}))
    async with scene.operator():
        await scene.ready("pull")
        assert not [
            request for request in scene.requests() if request.verb == "get" and "other" in str(request)
        ]
    assert registry() in str((await scene.api.get(ECR_SECRETS, "pull", scene.namespace))["spec"])
