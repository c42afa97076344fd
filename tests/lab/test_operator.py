"""The operator as a child process: what it is started with."""

import psutil
import pytest

from lab.operator import OperatorProcess


async def test_it_starts_with_a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "HTTPS_PROXY", "WATCH_NAMESPACE"):
        monkeypatch.setenv(name, "of the caller")
    env = {"WATCH_NAMESPACE": "mine", "AWS_ACCESS_KEY_ID": None}
    async with OperatorProcess("--version", kubeconfig=None, aws_endpoint="http://aws", env=env) as operator:
        environment = psutil.Process(operator.process.pid).environ()
    assert set(environment) <= {
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
        "AWS_SECRET_ACCESS_KEY",
        "HOME",
        "LC_CTYPE",
        "PATH",
        "PYTHONUNBUFFERED",
        "TMPDIR",
        "WATCH_NAMESPACE",
    }
    assert (environment["AWS_ENDPOINT_URL"], environment["WATCH_NAMESPACE"]) == ("http://aws", "mine")


async def test_its_folder_goes_with_it() -> None:
    async with OperatorProcess("--version", kubeconfig=None) as operator:
        await operator.wait()
        assert operator.home.exists()
    assert not operator.home.exists()
    assert not operator.running
