"""The operator framework's validators accept the bundle, except for a channel's name that is v0.6.0's."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from lab import programs
from tests.programs.conftest import Program
from tools import ROOT

CSV_FILE: Final = "manifests/ecr-secret-operator.clusterserviceversion.yaml"
# The platforms of every image, as the labels of the bundle promise.
PLATFORMS: Final = [{"platform": {"os": "linux", "architecture": each}} for each in ("amd64", "arm64")]


def find(program: Program, bundle: Path, folder: Path) -> list[tuple[str, str, str]]:
    """Return what the validators find in a bundle: validator, level and message.

    They ask `docker` for the platforms of an image; one in the folder answers.
    """
    docker = folder / "docker"
    docker.write_text(f"#!/bin/sh\n[ \"$1\" = pull ] || echo '{json.dumps({'manifests': PLATFORMS})}'\n")
    docker.chmod(0o755)
    command = [program(programs.BUNDLE_VALIDATORS), bundle]
    env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [(each["validator"], each["level"], each["message"]) for each in found]


def test_the_only_finding_is_the_name_of_the_channel_alpha(program: Program, tmp_path: Path) -> None:
    ((validator, level, message),) = find(program, ROOT / "bundle", tmp_path)
    assert (validator, level) == ("good-practices", "warning")
    assert 'channel(s) ["alpha"] are not following' in message


FAULTS: dict[str, tuple[list[str | int], object, str]] = {
    "no provider": (["spec", "provider", "name"], "", "operatorhub"),
    "a platform that the image lacks": (
        ["metadata", "labels", "operatorframework.io/arch.s390x"],
        "supported",
        "multiarch",
    ),
    "no kinds": (["spec", "customresourcedefinitions", "owned"], [], "bundle"),
}


@pytest.mark.parametrize(("path", "value", "validator"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found(
    program: Program, tmp_path: Path, path: list[str | int], value: object, validator: str
) -> None:
    bundle = Path(shutil.copytree(ROOT / "bundle", tmp_path / "bundle"))
    csv = yaml.safe_load((bundle / CSV_FILE).read_text())
    place = csv
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (bundle / CSV_FILE).write_text(yaml.safe_dump(csv))
    assert validator in {name for name, _, _ in find(program, bundle, tmp_path)}
