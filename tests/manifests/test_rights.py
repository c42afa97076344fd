"""The rights of the installed ServiceAccount are exactly those that the operator uses."""

from lab import audit
from lab.api import ARGO_SECRETS, CLUSTER_SECRETS, SECRETS, SERVICE_ACCOUNTS
from lab.rights import rights_in, used
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, cluster_secret, core_secret, ecr_secret
from tests.cluster.identities.tenancy import ROLE, iam_secret, permit, service_account, signer
from tests.cluster.ownership import v060
from tests.manifests.installation import ACCOUNT, EVERYTHING, NAMESPACE, USER, Installation, build, roles_of

# Used by kube-rbac-proxy, which is not here.
ELSEWHERE = {"ecr-secret-operator-proxy-role"}


async def _work(stage: Installation) -> None:
    """Run the operator through all that it does."""
    stage.aws.token_life = 12
    await permit(stage, ROLE)
    await v060.left_behind(stage, ecr_secret("old"))
    await stage.create(
        iam_secret(),
        service_account(role=ROLE),
        core_secret("taken-login"),
        *(ecr_secret(name) for name in ("pull", "kept", "renamed", "taken", "spoiled")),
        argo_secret("charts"),
        ecr_secret("by-role", role_arn=ROLE),
        ecr_secret("by-account", service_account={"name": "ci"}),
        ecr_secret("by-keys", aws_iam_secret={"name": "keys"}),
        ecr_secret("linked", link_service_accounts=[{"name": "ci", "for": ["pull", "mount"]}]),
    )
    await stage.api.create(cluster_secret("everywhere", stage.namespace))
    # All namespaces, as the manifests have it.
    async with stage.operator("--leader-elect", watch="", env={"POD_NAMESPACE": NAMESPACE}):
        await stage.ready("pull", "kept", "renamed", "by-role", "by-account", "by-keys", "old")
        await stage.ready("charts", kind=ARGO_SECRETS)
        await stage.ready("everywhere", kind=CLUSTER_SECRETS)
        await stage.told("taken", "False", "SecretConflict")
        first = await stage.token("pull-login")
        await _change(stage)

        async def refreshed() -> bool:
            return (await stage.token("pull-login")).serial > first.serial

        await wait_for(refreshed, 15, "a second token")
        await wait_for(lambda: stage.events("taken"), 5, "an Event about the conflict")
    await stage.api.delete(CLUSTER_SECRETS, "everywhere")
    assert await signer(stage, "by-account-login") == await signer(stage, "by-role-login") == ROLE


async def _change(stage: Installation) -> None:
    """Change resources and damage Secrets, and wait until the operator has restored all."""
    await wait_for(lambda: _is_linked(stage), 10, "the link")
    await stage.change("linked", {"link_service_accounts": None})
    await stage.change("kept", {"deletion_policy": "Orphan"})
    await stage.change("renamed", {"generated_secret_name": "another-name"})
    await stage.delete("charts-login")
    await stage.delete("everywhere-login")
    spoiled = {"metadata": {"labels": None}, "data": {".dockerconfigjson": "eyJhdXRocyI6e319"}}
    await stage.api.merge_patch(SECRETS, "spoiled-login", spoiled, stage.namespace)
    adopted = {"metadata": {"annotations": {"ecr.mobb.redhat.com/adopt": "replace"}}}
    await stage.api.merge_patch(SECRETS, "taken-login", adopted, stage.namespace)
    # A change of its own makes the operator look at once.
    await stage.change("taken", {"frequency": "9h"})
    await stage.ready("kept", "renamed", "taken", "spoiled")
    await wait_for(lambda: _is_restored(stage), 10, "the deleted Secret, the new name, no owner and no link")


async def _is_restored(stage: Installation) -> bool:
    return (
        await stage.find_secret("charts-login") is not None
        and await stage.find_secret("everywhere-login") is not None
        and await stage.find_secret("renamed-login") is None
        and "ownerReferences" not in (await stage.secret("kept-login"))["metadata"]
        and not await _is_linked(stage)
    )


async def _is_linked(stage: Installation) -> bool:
    account = await stage.api.get(SERVICE_ACCOUNTS, "ci", stage.namespace)
    return {"name": "linked-login"} in account.get("imagePullSecrets", [])


async def test_no_request_of_the_operator_is_refused_and_each_right_is_used(stage: Installation) -> None:
    await _work(stage)
    assert stage.refusals() == []
    entries = audit.entries(stage.plane.audit_log, stage.begun)
    in_use = used(entry for entry in entries if entry["user"]["username"] == USER)
    granted = {role["metadata"]["name"]: rights_in(role) for role in roles_of(build(EVERYTHING), ACCOUNT)}
    assert granted.keys() >= ELSEWHERE
    idle = {name: rights - in_use for name, rights in granted.items() if name not in ELSEWHERE}
    assert len(idle) == 4
    assert not any(idle.values()), idle


def test_of_leases_only_the_operators_own_can_be_read_and_changed() -> None:
    rights = {right for role in roles_of(build(EVERYTHING), ACCOUNT) for right in rights_in(role)}
    assert {right.name for right in rights if right.resource == "leases" and right.verb != "create"} == {
        "bc9c1120.mobb.redhat.com"
    }
