"""What each way to start the program imports, and what a user's errors look like."""

import asyncio
import io
import os
import sys
from datetime import timedelta

import pytest

from ecr_operator.cli.cluster import explain, is_unknown_kind
from ecr_operator.cli.output import Terminal, format_span
from ecr_operator.kube.api_error import ApiError
from lab import commands

# The operator's own run, as far as it gets without a cluster.
OPERATOR = """
import sys
from ecr_operator.__main__ import main
sys.argv = ["ecr-secret-operator", "--kubeconfig", "/nonexistent/config"]
assert main() == 1
"""


IMPORTS = {
    "the operator": (OPERATOR, "ecr_operator.app", {"rich.console", "ecr_operator.cli"}),
    "status and refresh on a pipe": (
        "import ecr_operator.cli.main, ecr_operator.cli.status, ecr_operator.cli.refresh",
        "ecr_operator.kube.client",
        {"rich", "aiobotocore", "structlog"},
    ),
    "pull": (
        "import ecr_operator.cli.main, ecr_operator.cli.pull",
        "ecr_operator.cli.manifests",
        {"rich", "aiobotocore", "structlog"},
    ),
    "completion": (
        "import ecr_operator.__main__, ecr_operator.cli.completion",
        "ecr_operator.settings.plugin",
        {"rich", "aiobotocore", "structlog", "aiohttp"},
    ),
    "render without tokens": (
        "import ecr_operator.cli.main, ecr_operator.cli.render",
        "ecr_operator.core.manifest",
        {"rich", "aiobotocore", "aiohttp"},
    ),
    "a mistake in a flag": (
        "import ecr_operator.__main__",
        "ecr_operator.settings",
        {"aiohttp", "structlog", "ecr_operator.settings.commands"},
    ),
}


@pytest.mark.parametrize(("code", "needed", "unneeded"), IMPORTS.values(), ids=IMPORTS)
async def test_only_what_is_needed_is_imported(code: str, needed: str, unneeded: set[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - else it waits for the collector
    imported = set(out.decode().split())
    assert needed in imported
    assert unneeded & imported == set()


async def test_a_closed_pipe_ends_the_command_without_a_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = await commands.run("render", "-f", "samples/ecr_v1alpha1_secret.yaml", out=writer)
    os.close(writer)
    assert (ended.code, "Traceback" in ended.err) == (141, False)


def test_letters_replace_signs_that_the_encoding_lacks() -> None:
    raw = io.BytesIO()
    terminal = Terminal(io.TextIOWrapper(raw, encoding="ascii"), io.StringIO())
    terminal.write(f"hóst {terminal.marks.good}")
    assert raw.getvalue() == b"h?st ok\n"


LIST = ("list", "Secret", "")


CLUSTER = ("list", "ClusterSecret", "")
PATCH = ("patch", "ArgoHelmRepoSecret", "argocd")
FAILURES = {
    "reading in all namespaces": (403, "", LIST, "-secret-viewer-role, or select a namespace with -n."),
    "writing in one namespace": (403, "", PATCH, "-argohelmreposecret-editor-role."),
    "reading ClusterSecrets": (403, "", CLUSTER, "list clustersecrets.ecr.mobb.redhat.com. Ask for"),
    "no CRDs": (404, "", LIST, "Install the CRDs with `kubectl apply -k config/crd`."),
    "unknown credentials": (401, "", LIST, "Log in again."),
    "no answer": (0, "no route", LIST, "Can't reach the API server: no route."),
    "another error": (500, "broken", LIST, "refused to list secrets.ecr.mobb.redhat.com: broken."),
}


@pytest.mark.parametrize(("code", "text", "request_", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failed_request_is_explained_with_what_helps(
    code: int, text: str, request_: tuple[str, str, str], message: str
) -> None:
    assert message in explain(ApiError(code, "Reason", text), *request_)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (404, "the server could not find the requested resource", True),
        (404, 'secrets.ecr.mobb.redhat.com "x" not found', False),
        (403, "the server could not find the requested resource", False),
    ],
    ids=["the kind", "the object", "not a 404"],
)
def test_a_404_for_the_kind_differs_from_one_for_the_object(
    code: int, message: str, *, expected: bool
) -> None:
    assert is_unknown_kind(ApiError(code, "Reason", message)) is expected


@pytest.mark.parametrize(
    ("span", "formatted"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(seconds=61), "1m1s"),
        (timedelta(hours=9, minutes=12, seconds=59), "9h12m"),
        (timedelta(days=3, seconds=59), "3d"),
        (timedelta(hours=1, seconds=5), "1h"),
        (timedelta(seconds=-61), "1m1s"),
        (timedelta(days=4000), "4000d"),
    ],
    ids=str,
)
def test_a_span_has_its_two_largest_units(span: timedelta, formatted: str) -> None:
    assert format_span(span) == formatted
