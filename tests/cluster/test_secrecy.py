"""No token and no key in anything that the operator says: log, metrics, Events, statuses."""

import base64
import json

from lab.api import ARGO_SECRETS, ECR_SECRETS, EVENTS, SECRETS, Api
from lab.aws_faults import RESHAPED
from lab.secrecy import forms, leaks
from lab.waiting import wait_for
from tests.cluster import admission, reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.pages import scrape
from tests.cluster.scene import Scene

AWS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION_TOKEN = base64.b64encode(bytes(range(200))).decode()
REFUSED = {"generated_secret_name": "refused"}
LOGIN_IN_A_URL = "hunter2-hunter2-hunter2-hunter2"


async def test_log_metrics_events_and_statuses_hold_no_token_and_no_key(scene: Scene) -> None:
    scene.aws.token_life = 5
    # The admin's bearer token stands in its kubeconfig.
    scene.kubeconfig = scene.plane.kubeconfig
    await _refuse_a_secret_and_quote_it(scene)
    regions = {f"garbled-{body}": f"eu-lab-{number}" for number, body in enumerate(RESHAPED, 1)}
    await scene.create(
        ecr_secret("pull"),
        ecr_secret("refused", **REFUSED),
        ecr_secret("bad", frequency="often", region="eu-west-1"),
        argo_secret(
            "charts", url=f"https://user:{LOGIN_IN_A_URL}@{registry('eu-west-1')}", region="us-east-1"
        ),
        *(ecr_secret(name, region=region) for name, region in regions.items()),
    )
    for name, region in regions.items():
        scene.aws.garble(name.removeprefix("garbled-"), region=region)
    env = {"AWS_SECRET_ACCESS_KEY": AWS_KEY, "AWS_SESSION_TOKEN": SESSION_TOKEN}
    async with scene.operator(env=env) as operator:
        await scene.ready("pull")
        refused = await scene.told("refused", "False", "KubernetesRefused")
        assert "denied request: refused: " in reading.condition(refused, "Ready")["message"]
        await scene.told("charts", "False", "RegionMismatch", kind=ARGO_SECRETS)
        for name in regions:
            await scene.told(name, "False", "InvalidTokenResponse")
        quote = f"{scene.aws.services.passwords[0]} {AWS_KEY} {SESSION_TOKEN}"
        scene.aws.fail("AccessDeniedException", message=f"You said {quote}", region="us-east-1")
        await scene.told("pull", "False", "AccessDenied")
        await wait_for(lambda: _has_event(scene, "AccessDenied"), what="the Event")
        metrics = (await scrape(operator)).text
        await operator.stop()
        said = {"log": operator.log.read_text(), "metrics": metrics, **await _all_said(scene)}
    assert len(scene.aws.services.passwords) >= 2
    assert leaks(said, _secrets(scene)) == {}


def _secrets(scene: Scene) -> list[str]:
    """Return all that must not be seen, tokens in every form in which they travel."""
    found = [AWS_KEY, SESSION_TOKEN, scene.plane.token, LOGIN_IN_A_URL]
    for password in scene.aws.services.passwords:
        _, auth = forms(password)
        login = f'{{"auths":{{"{registry()}":{{"username":"AWS","password":"{password}","auth":"{auth}"}}}}}}'
        found += [password, auth, base64.b64encode(login.encode()).decode().removeprefix(_harmless())]
    return found


def _harmless() -> str:
    """Return how the data of every Secret begins."""
    return base64.b64encode(f'{{"auths":{{"{registry()}":{{"username":"AWS"'.encode()).decode()[:-4]


async def _has_event(scene: Scene, reason: str) -> bool:
    return reason in await scene.events("pull")


async def _all_said(scene: Scene) -> dict[str, str]:
    """Return Events, statuses and the metadata of Secrets as text."""
    api: Api = scene.api
    statuses = [
        each.get("status", {})
        for kind in (ECR_SECRETS, ARGO_SECRETS)
        for each in await api.list(kind, scene.namespace)
    ]
    metadata = [each["metadata"] for each in await api.list(SECRETS, scene.namespace)]
    return {
        "Events": json.dumps(await api.list(EVENTS, scene.namespace)),
        "statuses": json.dumps(statuses),
        "metadata": json.dumps(metadata),
    }


async def _refuse_a_secret_and_quote_it(scene: Scene) -> None:
    """Have the API server refuse one Secret with a message that holds its data, as a bad webhook might."""
    await admission.refuse_secrets(
        scene,
        ("CREATE", "UPDATE"),
        probe="refused",
        expression="object.metadata.name != 'refused'",
        messageExpression="'refused: ' + object.data['.dockerconfigjson'].substring(0, 3000)",
    )
