"""The API server's refusals, in words for who runs a command."""

import pytest

from ecr_operator.cli.refusals import explain, is_unknown_kind
from ecr_operator.kube.api_error import ApiError


def refusal(code: int, message: str = "said") -> ApiError:
    return ApiError(code, "Reason", message)


@pytest.mark.parametrize(
    ("code", "verb", "kind", "namespace", "words"),
    [
        pytest.param(
            403,
            "list",
            "Secret",
            "",
            "You may not list secrets.ecr.mobb.redhat.com in all namespaces. Ask for the ClusterRole "
            "ecr-secret-operator-secret-viewer-role, or name a namespace with -n.",
            id="reading everywhere",
        ),
        pytest.param(
            403,
            "patch",
            "ArgoHelmRepoSecret",
            "argocd",
            "You may not patch argohelmreposecrets.ecr.mobb.redhat.com in namespace argocd. Ask for the "
            "ClusterRole ecr-secret-operator-argohelmreposecret-editor-role.",
            id="writing in a namespace",
        ),
        pytest.param(
            404,
            "list",
            "Secret",
            "",
            "This cluster does not know secrets.ecr.mobb.redhat.com. Install the CRDs with "
            "`kubectl apply -k config/crd`.",
            id="no CRDs",
        ),
        pytest.param(
            401,
            "list",
            "Secret",
            "",
            "The API server does not accept the kubeconfig's credentials. Log in again.",
            id="a stranger",
        ),
        pytest.param(
            0,
            "list",
            "Secret",
            "",
            "The API server can't be reached: said. Check the kubeconfig and its context.",
            id="no answer",
        ),
        pytest.param(
            500,
            "list",
            "Secret",
            "",
            "The API server refused to list secrets.ecr.mobb.redhat.com: said.",
            id="anything else",
        ),
    ],
)
def test_a_refusal_says_what_helps(code: int, verb: str, kind: str, namespace: str, words: str) -> None:
    assert str(explain(refusal(code), verb, kind, namespace)) == words


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (404, "the server could not find the requested resource", True),
        (404, 'secrets.ecr.mobb.redhat.com "x" not found', False),
        (403, "the server could not find the requested resource", False),
    ],
    ids=["the kind", "the object", "no 404"],
)
def test_a_kind_that_is_not_known_is_told_from_an_object_that_is_not_there(
    code: int, message: str, *, expected: bool
) -> None:
    assert is_unknown_kind(refusal(code, message)) is expected
