"""ServiceAccounts as tests make, change and read them, and operators with just the rights of a component."""

from pathlib import Path
from typing import Final

import yaml

from lab.api import SERVICE_ACCOUNTS, ApiError, Json
from lab.audit import Request
from lab.waiting import LONG, wait_for
from tests.cluster.scene import Scene
from tests.cluster.users import GROUP, allow, rule

ACCOUNT_WRITE: Final = Request("patch", "serviceaccounts", "")
COMPONENT: Final = Path("config/rbac/link-service-accounts/rules/role.yaml")
LABEL: Final = "ecr.mobb.redhat.com/linked"
LINKS: Final = "ecr.mobb.redhat.com/links"

_RULES: Final = (
    rule("", ["secrets"], "get", "list", "watch", "create", "patch", "delete"),
    rule(GROUP, ["*"], "get", "list", "watch", "patch"),
    rule("events.k8s.io", ["events"], "create"),
)


def link(name: str = "builder", *uses: str) -> Json:
    """Make one entry of a spec."""
    return {"name": name, "for": list(uses or ("pull",))}


def account(name: str = "builder", *, pull: tuple[str, ...] = (), mount: tuple[str, ...] = ()) -> Json:
    """Make a ServiceAccount with links to Secrets of these names, as OpenShift or a person makes them."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name},
        "imagePullSecrets": [{"name": secret} for secret in pull],
        "secrets": [{"name": secret} for secret in mount],
    }


def pod(name: str, *images: str) -> Json:
    """Make a pod; the API server itself adds the pull secrets of its service account, `default`."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images or ("app",))]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": containers, "automountServiceAccountToken": False},
    }


def pulls(found: Json) -> list[str]:
    """Return the Secrets that a ServiceAccount's pods pull with."""
    return [entry["name"] for entry in found.get("imagePullSecrets", [])]


def mounts(found: Json) -> list[str]:
    """Return the Secrets that a ServiceAccount's pods may mount."""
    return [entry["name"] for entry in found.get("secrets", [])]


def essence(found: Json) -> Json:
    """Return what is in a ServiceAccount, without what the API server adds."""
    metadata = {key: found["metadata"].get(key) for key in ("labels", "annotations")}
    return {**metadata, "pulls": pulls(found), "mounts": mounts(found)}


async def get_account(scene: Scene, name: str = "builder") -> Json:
    """Return a ServiceAccount."""
    return await scene.api.get(SERVICE_ACCOUNTS, name, scene.namespace)


async def edit(scene: Scene, patch: Json, name: str = "builder") -> Json:
    """Merge a patch into a ServiceAccount, as somebody else."""
    return await scene.api.merge_patch(SERVICE_ACCOUNTS, name, patch, scene.namespace)


async def until_linked(
    scene: Scene, name: str = "builder", *, pull: list[str], mount: list[str], within: float = LONG
) -> Json:
    """Wait until a ServiceAccount has just these links, and return it."""

    async def look() -> Json | None:
        found = await get_account(scene, name)
        return found if (pulls(found), mounts(found)) == (pull, mount) else None

    return await wait_for(look, within, f"{name}: pull {pull}, mount {mount}")


async def limited(scene: Scene) -> None:
    """Run the scene's operators as a user without any right to ServiceAccounts."""
    await allow(scene, scene.user, *_RULES)
    scene.kubeconfig = scene.plane.write_kubeconfig(scene.user)


async def grant_component(scene: Scene) -> None:
    """Give the scene's user what the component has, in its namespace."""
    rules = yaml.safe_load(COMPONENT.read_text(encoding="utf-8"))["rules"]
    await allow(scene, scene.user, *rules, name="links")


async def add_as_somebody(scene: Scene, prefix: str, count: int, name: str = "builder") -> list[str]:
    """Add entries to both lists one by one, each read and written in that version; return their names."""
    added = [f"{prefix}-{number}" for number in range(count)]
    for entry in added:
        while True:
            if await _add(scene, name, entry):
                break
    return added


async def _add(scene: Scene, name: str, entry: str) -> bool:
    found = await get_account(scene, name)
    for field in ("imagePullSecrets", "secrets"):
        found[field] = [*found.get(field, []), {"name": entry}]
    try:
        await scene.api.replace(found)
    except ApiError as error:
        if error.reason != "Conflict":
            raise
        return False
    return True
