"""The image: built from the Dockerfile, and run as OpenShift runs it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ecr_operator import __version__
from lab.processes import Process, temporary_folder
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene
from tests.programs import container
from tests.programs.container import Image

# One of a range that OpenShift gives a namespace.
UID = 1000710000
# Not /var/run, which is a link to it: outside of the root that is changed it would be this machine's.
ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
_MOST = 140 * 2**20
_V0_6_0 = ("--health-probe-bind-address=127.0.0.1:0", "--metrics-bind-address=127.0.0.1:0", "--leader-elect")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image, built once."""
    with temporary_folder("ecr-image-") as storage:
        yield container.build(storage)


def test_it_starts_what_v0_6_0s_deployment_starts_as_a_user_that_is_a_number(image: Image) -> None:
    assert (image.config["Entrypoint"], image.config["User"]) == (["/manager"], "65532")
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert __version__.startswith(labels["version"])
    assert (image.root / "licenses" / "LICENSE").is_file()


def test_every_module_of_ours_is_compiled_and_needs_no_look_at_its_source(image: Image) -> None:
    (package,) = image.root.glob("opt/operator/lib/python3*/site-packages/ecr_operator")
    sources = sorted(package.rglob("*.py"))
    assert len(sources) > 50
    for source in sources:
        (compiled,) = (source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc")
        # The flags of a hash-based file that is not checked.
        assert compiled.read_bytes()[4:8] == (1).to_bytes(4, "little")


def test_it_has_no_installer_and_is_small(image: Image) -> None:
    operator = image.root / "opt" / "operator"
    assert not list(operator.rglob("pip"))
    assert sum(file.stat().st_size for file in operator.rglob("*") if file.is_file()) < _MOST


async def test_any_user_keeps_secrets_alive_with_it_on_a_root_that_can_not_be_written_to(
    scene: Scene, image: Image, tmp_path: Path
) -> None:
    account = _as_kubelet_mounts_it(scene, tmp_path / "account")
    # As a container runtime makes the place of a mount.
    (image.root / ACCOUNT.lstrip("/")).mkdir(parents=True, exist_ok=True)
    await scene.create(ecr_secret("pull"))
    environment = {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(scene.plane.port),
        "WATCH_NAMESPACE": scene.namespace,
        "AWS_ENDPOINT_URL": scene.aws.url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "lab-secret-key",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = image.command(*_V0_6_0, uid=UID, mounts={account: ACCOUNT})
    with Process("the image", command, log=tmp_path / "log", env=environment) as process:
        try:
            await scene.ready("pull", within=60)
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            print(process.tail(40))
        assert process.stop(10) == 0
    assert f"Uid:\t{UID}" in status


def _as_kubelet_mounts_it(scene: Scene, folder: Path) -> Path:
    """Write the files of a pod's service account; the token is the admin's."""
    folder.mkdir()
    for name, text in {
        "token": scene.plane.token,
        "ca.crt": scene.plane.authority,
        "namespace": scene.namespace,
    }.items():
        (folder / name).write_text(text)
    return folder
