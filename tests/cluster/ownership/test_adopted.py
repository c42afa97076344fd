"""What v0.6.0 wrote is adopted as soon as Kubernetes allows it."""

from lab.api import ARGO_SECRETS
from lab.waiting import wait_for
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.cluster.ownership.conflicts import kept, unable_to_delete
from tests.cluster.scene import SECRET_WRITE, Scene


async def test_an_adoption_that_kubernetes_refuses_is_reported_and_made_once_it_is_allowed(
    scene: Scene,
) -> None:
    before = [await v060.left_behind(scene, each) for each in (ecr_secret("pull"), argo_secret("charts"))]
    allowed = scene.kubeconfig
    # Who may not delete a Secret may not give it an owner either.
    scene.kubeconfig = await unable_to_delete(scene)
    async with scene.operator() as operator:
        await wait_for(lambda: scene.requests()[SECRET_WRITE] >= 2, what="refused adoptions")
        await wait_for(lambda: '"level": "warning"' in operator.log.read_text(), what="a warning")
        first = next(line for line in operator.log.read_text().splitlines() if "warning" in line)
    assert '"KubernetesForbidden"' in first
    assert "Add the missing rule to its role" in first
    scene.kubeconfig = allowed
    async with scene.operator():
        await scene.ready("pull")
        await scene.ready("charts", kind=ARGO_SECRETS)
    # With the tokens that v0.6.0 left in them.
    after = await scene.secrets("pull-login", "charts-login")
    assert [kept(each) for each in after] == [kept(each) for each in before]
    assert scene.aws.count() == 0
