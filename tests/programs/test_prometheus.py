"""Prometheus itself reads our metrics, understands our alerts, and would be alarmed at the right moment."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.pages import page, shows
from tests.cluster.scene import Scene
from tests.programs.conftest import Program
from tests.programs.prometheus import Prometheus, prometheus

CONFIG: Final = Path(__file__).parents[2] / "config" / "prometheus"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules as Prometheus has them: what stands in the PrometheusRule."""
    content = yaml.safe_load((CONFIG / "rules.yaml").read_text(encoding="utf-8"))["spec"]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(content, width=1000), encoding="utf-8")
    return path


def promtool(program: Program, *arguments: str | Path, said: str | None = None) -> tuple[int, str]:
    """Run promtool and return its exit code and all that it says."""
    command = [program("promtool"), *arguments]
    done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


async def test_promtool_finds_no_fault_with_the_metrics(program: Program, scene: Scene) -> None:
    scene.aws.fail("InternalFailure", status=500, region="eu-west-1")
    await scene.create(ecr_secret("pull"), ecr_secret("failing", region="eu-west-1"))
    async with scene.operator() as operator:
        await scene.ready("pull")
        await shows(operator, 1, "resources_failing")
        text = (await page(operator, "/metrics")).body
    assert await asyncio.to_thread(promtool, program, "check", "metrics", said=text) == (0, "")


def test_promtool_finds_no_fault_with_the_rules(program: Program, rules: Path) -> None:
    code, said = promtool(program, "check", "rules", "--lint-fatal", rules)
    assert (code, "6 rules found" in said) == (0, True), said


def test_each_alert_comes_when_it_should_and_not_before(program: Program, rules: Path) -> None:
    tests = shutil.copy(CONFIG / "tests" / "alerts.yaml", rules.parent / "alerts.yaml")
    code, said = promtool(program, "test", "rules", tests)
    assert code == 0, said


def test_every_alert_is_seen_firing_in_these_tests(rules: Path) -> None:
    names = {
        rule["alert"] for rule in yaml.safe_load(rules.read_text(encoding="utf-8"))["groups"][0]["rules"]
    }
    groups = yaml.safe_load((CONFIG / "tests" / "alerts.yaml").read_text(encoding="utf-8"))["tests"]
    cases = [case for group in groups for case in group["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


def test_the_tests_of_the_alerts_notice_another_threshold(program: Program, rules: Path) -> None:
    rules.write_text(rules.read_text(encoding="utf-8").replace("3600", "1200"), encoding="utf-8")
    tests = shutil.copy(CONFIG / "tests" / "alerts.yaml", rules.parent / "alerts.yaml")
    code, said = promtool(program, "test", "rules", tests)
    assert (code, "ECRTokenExpiresSoon" in said) == (1, True), said


def test_every_panel_of_the_dashboard_asks_in_valid_promql(program: Program, tmp_path: Path) -> None:
    panels = json.loads((CONFIG / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = [re.sub(r"\$__rate_interval", "5m", each).replace("$namespace", ".*") for each in asked]
    group = {
        "name": "panels",
        "rules": [{"record": f"panel_{number}", "expr": each} for number, each in enumerate(asked)],
    }
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [group]}), encoding="utf-8")
    code, said = promtool(program, "check", "rules", path)
    assert (code, f"{len(asked)} rules found" in said) == (0, True), said


async def test_a_prometheus_scrapes_the_operator_and_is_alarmed_by_a_dead_token(
    program: Program, scene: Scene, rules: Path
) -> None:
    scene.aws.token_life = 5
    await scene.create(ecr_secret("pull"))
    async with scene.operator() as operator:
        await scene.ready("pull")
        target = f"127.0.0.1:{await operator.port('/metrics')}"
        async with prometheus(program("prometheus"), rules.parent, target, rules) as running:
            health = await wait_for(lambda: _healths(running), 20, "the first scrape")
            assert health == ["up"]
            scene.aws.fail("AccessDeniedException")
            await scene.told("pull", "False", "AccessDenied")
            labels = await wait_for(lambda: _alarmed(running, "ECRTokenExpired"), 30, "the alert")
    assert labels["resource_name"] == "pull"
    assert labels["resource_namespace"] == scene.namespace
    assert labels["severity"] == "critical"


async def _healths(running: Prometheus) -> list[str] | None:
    targets = (await running.ask("targets")).get("activeTargets", [])
    healths = [target["health"] for target in targets]
    return healths if healths and "unknown" not in healths else None


async def _alarmed(running: Prometheus, name: str) -> dict[str, str] | None:
    """Return the labels of an alert that is pending or firing; promtool tells how long it is pending."""
    alerts = (await running.ask("alerts")).get("alerts", [])
    return next((alert["labels"] for alert in alerts if alert["labels"]["alertname"] == name), None)
