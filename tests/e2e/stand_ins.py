"""What a cluster of one's own on one machine lacks: nodes, and the operator's image."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from lab.api import CRDS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Api, ApiError, Json, Resource
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from tests.cluster import reading
from tests.manifests.installation import NAMESPACE, token_of

DEPLOYMENTS = Resource("apps/v1", "deployments")
PODS = Resource("v1", "pods")
_PAUSE = 0.25


@dataclass(slots=True, kw_only=True)
class StandIns:
    """They do what nodes would: run the operator once it is deployed, and pods that have their login.

    Attributes:
        plane: the cluster.
        aws: that of the operator.
        images: those of the Deployment, in order.
        pulled: pods whose login was good, with its registries.
    """

    plane: ControlPlane
    aws: LocalAws
    images: list[str] = field(default_factory=list)
    pulled: dict[str, list[str]] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Work until the context is left, also after a failure of the script."""
        async with self.plane.api() as api, asyncio.TaskGroup() as group:
            work = group.create_task(self._work(api))
            try:
                yield
            finally:
                work.cancel()

    async def _work(self, api: Api) -> None:
        async with contextlib.AsyncExitStack() as stack:
            operator: OperatorProcess | None = None
            while True:
                await asyncio.sleep(_PAUSE)
                # What the script deletes meanwhile is looked at again.
                with contextlib.suppress(ApiError):
                    await self._accounts(api)
                    if operator is None and await api.list(DEPLOYMENTS, NAMESPACE):
                        operator = await self._run_operator(api, stack)
                    await self._roll_out(api)
                    await self._run_pods(api)

    async def _accounts(self, api: Api) -> None:
        """Give the namespaces of the script the account that pods run under."""
        for each in await api.list(NAMESPACES):
            name, account = each["metadata"]["name"], {"name": "default"}
            if name.startswith("ecr-e2e-") and not await api.find(SERVICE_ACCOUNTS, "default", name):
                await api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, name)

    async def _run_operator(self, api: Api, stack: contextlib.AsyncExitStack) -> OperatorProcess:
        await api.crds_served(each["metadata"]["name"] for each in await api.list(CRDS))
        # The garbage collector looks for new kinds at its start, and then every 30 s.
        await asyncio.to_thread(self.plane.restart_controller_manager)
        kubeconfig = self.plane.write_kubeconfig("installed", token=await token_of(api))
        process = OperatorProcess(kubeconfig=kubeconfig, aws_endpoint=self.aws.url)
        return await stack.enter_async_context(process)

    async def _roll_out(self, api: Api) -> None:
        for each in await api.list(DEPLOYMENTS, NAMESPACE):
            images = [one["image"] for one in each["spec"]["template"]["spec"]["containers"]]
            self.images += [image for image in images if image not in self.images]
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
            status = {"observedGeneration": each["metadata"]["generation"], **counts}
            if (each.get("status") or {}).get("observedGeneration") != status["observedGeneration"]:
                await _patch_status(api, DEPLOYMENTS, each, status)

    async def _run_pods(self, api: Api) -> None:
        for pod in await api.list(PODS):
            metadata = pod["metadata"]
            if (pod.get("status") or {}).get("phase") == "Pending" and "deletionTimestamp" not in metadata:
                await _patch_status(api, PODS, pod, await self._fate(api, pod))

    async def _fate(self, api: Api, pod: Json) -> Json:
        """Tell how a pod fares: well if a Secret that it names holds a live token."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        for secret in _named(pod):
            held = await api.get(SECRETS, secret, namespace)
            if reading.password(held) in self.aws.services.passwords:
                self.pulled[name] = list(json.loads(reading.decoded(held)[".dockerconfigjson"])["auths"])
        if name in self.pulled:
            return {"phase": "Succeeded"}
        waiting = {"waiting": {"reason": "ErrImagePull"}}
        container = pod["spec"]["containers"][0]
        shown = {"name": container["name"], "image": container["image"], "imageID": "", "state": waiting}
        return {"containerStatuses": [{**shown, "ready": False, "restartCount": 0}]}


async def _patch_status(api: Api, kind: Resource, manifest: Json, status: Json) -> None:
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    await api.merge_patch(kind, name, {"status": status}, namespace, "status")


def _named(pod: Json) -> list[str]:
    """Name the Secrets that a pod pulls with, or mounts."""
    spec = pod["spec"]
    mounted = [each["secret"]["secretName"] for each in spec.get("volumes", ()) if "secret" in each]
    return [*(each["name"] for each in spec.get("imagePullSecrets", ())), *mounted]
