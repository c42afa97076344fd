"""The validators of the operator framework find nothing in the bundle but a name that is old on purpose."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from lab import programs
from tests.bundle import olm
from tests.programs.conftest import Program

CSV_FILE: Final = "manifests/ecr-secret-operator.clusterserviceversion.yaml"
# v0.6.0's subscribers are in this channel.
ALPHA: Final = ("good-practices", "warning", 'channel(s) ["alpha"] are not following')


class Validators:
    """The validators, with an answer to the question which platforms an image has."""

    def __init__(self, program: Path, home: Path) -> None:
        """Put a `docker` into a folder that answers for every image what the labels of the bundle promise."""
        self._program = program
        self._home = home
        platforms = [{"os": "linux", "architecture": each} for each in ("amd64", "arm64")]
        answer = json.dumps({"manifests": [{"platform": each} for each in platforms]})
        docker = home / "docker"
        docker.write_text(f"#!/bin/sh\n[ \"$1\" = pull ] || echo '{answer}'\n")
        docker.chmod(0o755)

    def find(self, bundle: Path) -> list[tuple[str, str, str]]:
        """Return what they find in a bundle: validator, level and message."""
        env = {"PATH": f"{self._home}:{os.environ['PATH']}"}
        command = [self._program, bundle]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return [(each["validator"], each["level"], each["message"]) for each in found]


@pytest.fixture
def validators(program: Program, tmp_path: Path) -> Validators:
    """The validators, built if they aren't there."""
    home = tmp_path / "bin"
    home.mkdir()
    return Validators(program(programs.BUNDLE_VALIDATORS), home)


def test_the_channel_alpha_is_all_that_they_find(validators: Validators) -> None:
    ((validator, level, message),) = validators.find(olm.ROOT / "bundle")
    assert (validator, level) == ALPHA[:2]
    assert ALPHA[2] in message


def test_each_of_them_finds_what_is_wrong(validators: Validators, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(olm.ROOT / "bundle", tmp_path / "bundle"))
    csv = yaml.safe_load((bundle / CSV_FILE).read_text())
    spec, metadata = csv["spec"], csv["metadata"]
    spec["minKubeVersion"] = "1.29"
    spec["provider"]["name"] = ""
    spec["customresourcedefinitions"]["owned"] = []
    spec["install"]["spec"]["deployments"][0]["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    metadata["annotations"] |= {"capabilities": "All", "categories": "Fun"}
    metadata["labels"]["operatorframework.io/arch.s390x"] = "supported"
    (bundle / CSV_FILE).write_text(yaml.safe_dump(csv))
    found = {name for name, _, message in validators.find(bundle) if ALPHA[2] not in message}
    assert found >= {
        *("clusterserviceversion", "operatorhub", "standardcapabilities", "standardcategories"),
        *("multiarch", "bundle", "good-practices"),
    }
