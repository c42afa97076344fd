"""A change of the spec is acted on at once, at no more cost than it needs."""

from lab.api import ARGO_SECRETS
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.scene import Scene


async def test_a_change_of_the_spec_is_acted_on_at_once(scene: Scene) -> None:
    await scene.create(*map(ecr_secret, ("region", "registry", "often")), argo_secret("charts"))
    other = registry().replace("123456789012", "210987654321")
    async with scene.operator():
        await scene.ready("region", "registry", "often")
        await scene.ready("charts", kind=ARGO_SECRETS)
        before = await scene.secret("often-login")
        await scene.change("registry", {"ecr_registry": other})
        await scene.change("charts", {"url": f"{registry()}/charts"}, ARGO_SECRETS)
        await scene.change("often", {"frequency": "4h"})
        _, often = await scene.ready("registry", "often")
        await scene.ready("charts", kind=ARGO_SECRETS)
        assert scene.aws.count() == 1
        await scene.change("region", {"region": "eu-west-1", "ecr_registry": registry("eu-west-1")})
        (region,) = await scene.ready("region")
    data = reading.decoded(await scene.secret("registry-login"))[".dockerconfigjson"]
    assert data.startswith(f'{{"auths":{{"{other}":')
    assert reading.decoded(await scene.secret("charts-login"))["url"] == f"{registry()}/charts"
    # Another frequency moves the next refresh and leaves the Secret alone.
    status = often["status"]
    hours = (reading.epoch(status["nextRefreshTime"]) - reading.epoch(status["lastUpdatedTime"])) / 3600
    assert 3.79 < hours <= 4
    assert await scene.secret("often-login") == before
    secret = await scene.secret("region-login")
    assert reading.token(secret).region == "eu-west-1"
    assert registry() not in reading.decoded(secret)[".dockerconfigjson"]
    assert region["status"]["observedGeneration"] == 2
