"""Helm with the login that Argo CD finds in its repository Secret, against a real registry."""

from pathlib import Path

import pytest

from lab.api import ARGO_SECRETS
from tests.cluster import reading
from tests.cluster.builders import argo_secret
from tests.cluster.scene import Scene
from tests.programs.client import Helm
from tests.programs.steps import expired, refused, renewed

CHART = """apiVersion: v2
name: demo
version: {version}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart of our own making, version 0.1.0."""
    folder = tmp_path / "demo"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART.format(version="0.1.0"))
    (folder / "templates" / "map.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: demo\n"
    )
    return folder


async def test_charts_travel_until_the_token_dies_and_again_after_the_refresh(
    scene: Scene, helm: Helm, chart: Path, tmp_path: Path
) -> None:
    scene.aws.token_life = 20
    archive = await helm.package(chart)
    await scene.create(argo_secret(region=None))
    async with scene.operator():
        await scene.ready("charts", kind=ARGO_SECRETS)
        scene.aws.hang()  # No other token until `clear`, which answers at once.
        data = reading.decoded(await scene.secret("charts-login"))
        charts = f"{data['url']}/charts"

        await helm.login(data["url"], data["username"], data["password"])
        await helm.push(archive, charts)
        await helm.pull(f"{charts}/demo", "0.1.0", tmp_path)
        assert (tmp_path / "demo-0.1.0.tgz").read_bytes() == archive.read_bytes()

        token = await expired(scene, "charts-login")
        with refused(helm.registry, "expired"):
            await helm.push(archive, charts)
        with refused(helm.registry, "expired"):
            await helm.pull(f"{charts}/demo", "0.1.0", tmp_path / "refused")
        with refused(helm.registry, "expired"):
            await helm.login(data["url"], data["username"], data["password"])

        scene.aws.clear()
        data = await renewed(scene, "charts-login", token)
        await helm.login(data["url"], data["username"], data["password"])
        (chart / "Chart.yaml").write_text(CHART.format(version="0.2.0"))
        await helm.push(await helm.package(chart), charts)
        await helm.pull(f"{charts}/demo", "0.2.0", tmp_path)
        assert (tmp_path / "demo-0.2.0.tgz").exists()
