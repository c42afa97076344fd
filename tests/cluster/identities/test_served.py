"""Each identity that a resource may name, from its manifest to the token in its Secret."""

import asyncio
import json
from typing import Any

from lab.aws import Trust
from tests.cluster.builders import ecr_secret
from tests.cluster.identities.tenancy import (
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

OWN_KEY = "AKIAIOSFODNN7EXAMPLE"
STS, WEB, ECR = "AssumeRole", "AssumeRoleWithWebIdentity", "GetAuthorizationToken"


async def test_every_identity_of_a_namespace_has_tokens_of_its_own(scene: Scene) -> None:
    scene.aws.token_life = 12
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
    bad: dict[str, Any] = {"service_account": {"name": "ci"}, "role_arn": VICTIM}
    await scene.create(
        ecr_secret("bad", **bad), *(ecr_secret(name, **spec) for name, (spec, _) in named.items())
    )
    async with scene.operator():
        await scene.ready(*named)
        refused = await scene.told("bad", "False", "AccessDenied")
        for _ in range(3):
            found = {name: await signer(scene, f"{name}-login") for name in named}
            assert found == {name: expected for name, (_, expected) in named.items()}
            await asyncio.sleep(2)
        await scene.change("own", {"aws_iam_secret": {"name": "keys"}})
        await scene.ready("own")
        assert await signer(scene, "own-login") == TENANT_KEY
    assert subject in message(refused)


async def test_without_keys_of_its_own_the_operator_serves_a_service_account(scene: Scene) -> None:
    await scene.create(service_account(role=ROLE), ecr_secret("pull", service_account={"name": "ci"}))
    async with scene.operator(env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}):
        await scene.ready("pull")
    first = scene.aws.calls[0]
    assert (first.operation, first.access_key) == (WEB, "")


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
