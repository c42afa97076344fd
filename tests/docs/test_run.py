"""Commands of each page, in order, with a real API server and a running operator."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lab import rights
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from tests.docs import stage
from tests.docs.blocks import DOCUMENTS, shell_blocks, skip_reason

NAMESPACE = "ecr-secret-operator"
# `refresh` waits for a quarter of it.
TOKEN_LIFE = 16
RUNNABLE = {
    document: [each for each in shell_blocks(document) if skip_reason(each.script) is None]
    for document in DOCUMENTS
}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane with garbage collection."""
    with ControlPlane(controller_manager=True) as started:
        yield started


@pytest.fixture
async def aws(plane: ControlPlane) -> AsyncIterator[LocalAws]:
    """A local AWS, and an operator with the permissions of an installation."""
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
        # Releases the Lease, so that the next operator need not wait for it.
        await operator.stop()
    await stage.clear(plane)


@pytest.mark.parametrize(
    "document", [each for each in DOCUMENTS if RUNNABLE[each]], ids=lambda path: path.name
)
async def test_the_commands_of_a_page_succeed(
    document: Path, plane: ControlPlane, aws: LocalAws, tmp_path: Path
) -> None:
    await stage.run(RUNNABLE[document], plane=plane, aws=aws.url, folder=tmp_path)
