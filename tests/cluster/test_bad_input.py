"""Specs whose login can't be known: admitted, and reported on that one resource, while all others go on.

What is wrong with a single field beside the login is in test_last_good.
"""

from typing import Any

from lab.api import ARGO_SECRETS
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.scene import ARGO_STATUS_WRITE, SECRET_WRITE, STATUS_WRITE, Scene

NAME = "generated_secret_name"
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "registry-empty": ({"ecr_registry": ""}, "InvalidRegistry", "is empty"),
    "registry-space": ({"ecr_registry": f" {registry()}"}, "InvalidRegistry", "space"),
    "other-region": ({"region": "eu-west-1", "ecr_registry": registry()}, "RegionMismatch", "us-east-1"),
    "no-region": ({"ecr_registry": "ecr.example.com", "region": None}, "InvalidSpec", "spec.region"),
    "region-none": ({"ecr_registry": "ecr.example.com", "region": "EU West"}, "InvalidSpec", "spec.region"),
    "name-capitals": ({NAME: "Not_A_Name"}, "InvalidSpec", NAME),
    "name-empty": ({NAME: ""}, "InvalidSpec", NAME),
    "name-path": ({NAME: ".."}, "InvalidSpec", NAME),
    "name-slash": ({NAME: "a/b"}, "InvalidSpec", NAME),
}


async def test_a_bad_spec_costs_one_status_and_is_served_at_once_when_it_is_corrected(scene: Scene) -> None:
    await scene.create(ecr_secret("good"), argo_secret("charts", url="my registry"))
    await scene.create(*(ecr_secret(name, **spec) for name, (spec, _, _) in BAD.items()))
    async with scene.operator():
        await scene.ready("good")
        await scene.told("charts", "False", "InvalidRegistry", kind=ARGO_SECRETS)
        for name, (_, reason, words) in BAD.items():
            bad = await scene.told(name, "False", reason)
            assert words in reading.condition(bad, "Refreshed")["message"], name
            assert reading.verdict(bad, "Ready") == ("False", reason)
            assert reading.verdict(bad, "Stalled") == ("True", reason)
            assert bad["status"]["phase"] == "Failed"
            assert not {"secretName", "expirationTime", "lastUpdatedTime"} & set(bad["status"])
        await scene.writes_are({STATUS_WRITE: len(BAD) + 1, ARGO_STATUS_WRITE: 1, SECRET_WRITE: 1})
        await scene.change("other-region", {"region": "us-east-1"})
        (corrected,) = await scene.ready("other-region")
        assert reading.condition(corrected, "Stalled") == {}
        before = await scene.secret("good-login")
        await scene.change("good", {"ecr_registry": ""})
        spoiled = await scene.told("good", "False", "InvalidRegistry")
        assert reading.verdict(spoiled, "Ready") == ("False", "InvalidRegistry")
        assert await scene.secret("good-login") == before
    assert scene.aws.count() == 1
