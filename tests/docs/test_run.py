"""The commands of each document, in its order, against a real API server with the operator at work."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lab import rights
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from tests.docs import stage
from tests.docs.blocks import DOCUMENTS, obstacle, shell_blocks

NAMESPACE = "ecr-secret-operator"
# AWS may be asked again after a quarter of it, which `refresh` waits for.
TOKEN_LIFE = 16
RUNNABLE = {
    document: [each for each in shell_blocks(document) if obstacle(each.script) is None]
    for document in DOCUMENTS
}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane that finishes what is deleted."""
    with ControlPlane(controller_manager=True) as started:
        yield started


@pytest.fixture
async def aws(plane: ControlPlane) -> AsyncIterator[LocalAws]:
    """A local AWS, and an operator at work with the rights of an installation."""
    await stage.set_up(plane)
    kubeconfig = plane.write_kubeconfig("operator", groups=(rights.OPERATORS,))
    async with (
        LocalAws(token_life=TOKEN_LIFE) as local,
        OperatorProcess(
            "--leader-elect", kubeconfig=kubeconfig, aws_endpoint=local.url, env={"POD_NAMESPACE": NAMESPACE}
        ) as operator,
    ):
        await stage.ready(plane)
        yield local
        print(operator.tail(40))
        # In order, so that the next need not wait for its Lease.
        await operator.stop()
    await stage.clear(plane)


@pytest.mark.parametrize(
    "document", [each for each in DOCUMENTS if RUNNABLE[each]], ids=lambda path: path.name
)
async def test_its_commands_work(document: Path, plane: ControlPlane, aws: LocalAws, tmp_path: Path) -> None:
    await stage.run(RUNNABLE[document], plane=plane, aws=aws.url, folder=tmp_path)
