"""Only the image swapped: under v0.6.0's CRDs and rights all of it works, and one line says what to apply."""

import asyncio
import json
from pathlib import Path

from lab import audit
from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Json, Resource
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.ownership import v060
from tests.cluster.ownership.conflicts import OURS, accepted, owner_reference
from tests.cluster.scene import SECRET_WRITE, Scene

COLLECTED = 90.0
IDLE = 6.0
SPOILED = {".dockerconfigjson": "eyJhdXRocyI6e319"}
KINDS = {"pull": ECR_SECRETS, "charts": ARGO_SECRETS}
NAMES = ("pull-login", "charts-login")


async def _phase(scene: Scene, name: str, phase: str, kind: Resource = ECR_SECRETS) -> Json:
    """Wait for a phase, and return the resource."""

    async def look() -> Json | None:
        resource = await scene.resource(name, kind)
        return resource if resource.get("status", {}).get("phase") == phase else None

    return await wait_for(look, what=f"{name} {phase}")


async def _updated(scene: Scene) -> dict[str, Json]:
    """Wait until both resources are Updated, and return them."""
    return {name: await _phase(scene, name, "Updated", kind) for name, kind in KINDS.items()}


def _lines(log: Path, *words: str) -> list[Json]:
    """Return the lines of a log that hold all of the words."""
    return [json.loads(line) for line in log.read_text().splitlines() if all(word in line for word in words)]


def _asked(scene: Scene) -> set[str]:
    """Return what the operator has asked for since `mark`, watches and what must come at a start aside."""
    found = audit.entries(scene.plane.audit_log, scene.since, user=scene.user)
    return {f"{entry['verb']} {entry['requestURI']}" for entry in found if entry["verb"] != "watch"}


async def test_both_kinds_are_served_in_full_and_one_log_line_names_what_to_apply(
    old: Scene,
) -> None:
    await old.create(ecr_secret("pull"), argo_secret("charts"))
    async with old.operator(watch="") as operator:
        (line,) = await wait_for(lambda: _lines(operator.log, "config/crd"), what="a line about the CRDs")
        assert "aws_iam_secret" in line["message"]
        resources = await _updated(old)
        (calm,) = _lines(operator.log, "ClusterSecrets are not served")
        assert calm["level"] == "info"
        # The last echoes.
        await asyncio.sleep(1)
        assert old.writes()[SECRET_WRITE] == 2
        old.mark()
        await asyncio.sleep(IDLE)
        assert _asked(old) == set()
        for name, resource in resources.items():
            assert set(resource["status"]) == {"phase", "lastUpdatedTime"}
            secret = await old.secret(f"{name}-login")
            assert secret["metadata"]["ownerReferences"] == [owner_reference(resource)]
        for _ in range(3):
            await _repaired(old)
        assert old.aws.count() == 1
        await old.change("pull", {"generated_secret_name": "renamed"})
        await old.appears("renamed")
        await old.gone("pull-login")
        await wait_for(lambda: _lines(operator.log, "Events"), what="a line about Events")
        # Forbidden Events are a warning, once.
        levels = [line["level"] for line in _lines(operator.log, "Events")]
        assert [level for level in levels if level != "debug"] == ["warning"]
        assert len(_lines(operator.log, "config/crd")) == 1
        assert not _lines(operator.log, '"level": "error"')
        assert not _lines(operator.log, "Traceback")
    await _restart_costs_nothing(old)
    async with old.operator(watch=""):
        await old.watching()
        for name, kind in KINDS.items():
            await old.delete(name, kind)
        await old.gone("renamed", "charts-login", within=COLLECTED)
        await asyncio.sleep(1)
        assert not await old.api.list(SECRETS, old.namespace)


async def _restart_costs_nothing(scene: Scene) -> None:
    scene.mark()
    calls = scene.aws.count()
    async with scene.operator(watch=""):
        await scene.watching()
        await scene.writes_are({})
    assert scene.aws.count() == calls


async def _repaired(scene: Scene) -> None:
    """Damage Secrets of both kinds and see them restored."""
    before = [reading.essence(each) for each in await scene.secrets(*NAMES)]
    await scene.patch_secret("pull-login", {"data": SPOILED})
    await scene.delete("charts-login")

    async def healed() -> bool:
        found = [await scene.find_secret(name) for name in NAMES]
        return [each and reading.essence(each) for each in found] == before

    await wait_for(healed, what="the Secrets as they were")


async def test_refreshes_go_by_expiry_and_the_phase_is_failed_without_a_live_token(
    old: Scene,
) -> None:
    old.aws.token_life = 5
    await old.create(ecr_secret("pull"), argo_secret("charts"))
    async with old.operator(watch=""):
        first = await _updated(old)
        await wait_for(lambda: _are_renewed(old), what="the second token")
        old.aws.fail("ServiceUnavailable", 503)
        failed = await _phase(old, "pull", "Failed")
        assert set(failed["status"]) == {"phase", "lastUpdatedTime"}
        assert old.aws.keys.now() >= (await old.token("pull-login")).expires_at
        old.aws.clear()
        old.aws.token_life = 3600
        again = await _updated(old)
    for name, resource in again.items():
        assert resource["status"]["lastUpdatedTime"] > first[name]["status"]["lastUpdatedTime"]


async def _are_renewed(scene: Scene) -> bool:
    return min([(await scene.token(name)).serial for name in NAMES]) >= 2


async def test_what_v060_left_is_adopted_with_one_write_each_and_no_call_to_aws(old: Scene) -> None:
    resources = [ecr_secret(f"r{number}") for number in range(20)]
    resources += [argo_secret(f"a{number}") for number in range(10)]
    before = [await v060.left_behind(old, resource) for resource in resources]
    names = [secret["metadata"]["name"] for secret in before]
    statuses = await _statuses(old)
    old.mark()
    async with old.operator(watch=""):
        await wait_for(lambda: accepted(old)[SECRET_WRITE] == 30, what="30 Secrets adopted")
        # The status says all that it can already.
        await old.writes_are({SECRET_WRITE: 30})
    after = await old.secrets(*names)
    assert [each["data"] for each in after] == [each["data"] for each in before]
    assert all(OURS.items() <= each["metadata"]["labels"].items() for each in after)
    assert all(len(each["metadata"]["ownerReferences"]) == 1 for each in after)
    assert await _statuses(old) == statuses
    await _restart_costs_nothing(old)
    assert old.aws.count() == 0


async def _statuses(scene: Scene) -> list[Json]:
    found = [*await scene.api.list(ECR_SECRETS, scene.namespace)]
    found += await scene.api.list(ARGO_SECRETS, scene.namespace)
    return [each["status"] for each in found]
