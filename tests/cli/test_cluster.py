"""Lists of all kinds: which failures are errors, and which ClusterSecrets are calmly left out for."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from aiohttp import web

from ecr_operator.cli.cluster import Listing, explain, kinds_of, list_all
from ecr_operator.cli.output import CommandError
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import KubeClient
from tests.cli.builders import cluster, resource
from tests.kube.conftest import configuration
from tests.kube.server import Answer, ScriptedServer, refuse, reply

SECRETS, ARGO, CLUSTERS = "secrets", "argohelmreposecrets", "clustersecrets"
FORBIDDEN, UNKNOWN, ABSENT, BROKEN = (
    refuse(403, "Forbidden"),
    refuse(401, "Unauthorized"),
    refuse(404, "NotFound", "the server could not find the requested resource"),
    refuse(500, "InternalError", "broken"),
)


ListedBy = Callable[[Sequence[str], dict[str, Answer]], Awaitable[Listing]]


@pytest.fixture
async def listed_by() -> AsyncIterator[ListedBy]:
    """Lists kinds from an API server with these answers by plural; any other has one resource."""
    async with ScriptedServer() as server, KubeClient(configuration(server.url)) as client:

        async def listed(kinds: Sequence[str], answers: dict[str, Answer]) -> Listing:
            async def answer(request: web.Request) -> web.StreamResponse:
                plural = request.path.rpartition("/")[2]
                one = cluster() if plural == CLUSTERS else resource()
                return await answers.get(plural, reply({"items": [one]}))(request)

            server.others = [answer] * len(kinds)
            return await list_all(client, "", kinds)

        yield listed


def test_a_namespace_has_no_cluster_secrets() -> None:
    assert kinds_of("team-a") == ("Secret", "ArgoHelmRepoSecret")
    assert kinds_of("") == ("Secret", "ArgoHelmRepoSecret", "ClusterSecret")


# The errors and notes beside the resources of the other two kinds.
BESIDE: dict[str, tuple[dict[str, Answer], list[str], list[str]]] = {
    "no right to ClusterSecrets": (
        {CLUSTERS: FORBIDDEN},
        [],
        ["ClusterSecrets are not listed. You are not allowed to list clustersecrets.ecr.mobb.redhat.com."],
    ),
    "no CRD of ClusterSecrets": ({CLUSTERS: ABSENT}, [], []),
    "another failure of ClusterSecrets": ({CLUSTERS: BROKEN}, ["refused to list clustersecrets"], []),
    "no right to another kind": ({ARGO: FORBIDDEN}, ["not allowed to list argohelmreposecrets"], []),
}


@pytest.mark.parametrize(("answers", "errors", "notes"), BESIDE.values(), ids=BESIDE)
async def test_cluster_secrets_that_can_not_be_listed_beside_other_kinds_are_no_error(
    listed_by: ListedBy, answers: dict[str, Answer], errors: list[str], notes: list[str]
) -> None:
    listing = await listed_by(kinds_of(""), answers)
    assert len(listing.objects) == 2
    for messages, expected in ((listing.errors, errors), (listing.notes, notes)):
        assert len(messages) == len(expected)
        assert all(words in message for words, message in zip(expected, messages, strict=True))


async def test_all_kinds_are_listed(listed_by: ListedBy) -> None:
    listing = await listed_by(kinds_of(""), {})
    assert [kind for kind, _ in listing.objects] == ["Secret", "ArgoHelmRepoSecret", "ClusterSecret"]
    assert (listing.errors, listing.notes) == ([], [])


@pytest.mark.parametrize(
    ("kinds", "answers", "message"),
    [
        (
            ("ClusterSecret",),
            {CLUSTERS: FORBIDDEN},
            "Ask for the ClusterRole ecr-.*-clustersecret-viewer-role.$",
        ),
        (("ClusterSecret",), {CLUSTERS: ABSENT}, "Install the CRDs"),
        (
            kinds_of(""),
            {SECRETS: FORBIDDEN, ARGO: FORBIDDEN, CLUSTERS: FORBIDDEN},
            "or select a namespace with -n.$",
        ),
        (
            kinds_of(""),
            dict.fromkeys((SECRETS, ARGO, CLUSTERS), UNKNOWN),
            "^The API server .* Log in again.$",
        ),
    ],
    ids=["forbidden", "absent", "all kinds", "the same of all kinds"],
)
async def test_where_nothing_can_be_listed_the_error_is_about_what_was_asked_for(
    listed_by: ListedBy, kinds: tuple[str, ...], answers: dict[str, Answer], message: str
) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        await listed_by(kinds, answers)
    assert ("clustersecrets" in str(caught.value)) == (kinds == ("ClusterSecret",))
    assert str(caught.value).count("Log in again") <= 1


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
