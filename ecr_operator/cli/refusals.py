"""What the API server's refusals mean to somebody who runs a command, and what helps."""

from http import HTTPStatus

from ecr_operator.api.kinds import GROUP, PLURALS
from ecr_operator.cli.errors import CommandError
from ecr_operator.kube.api_error import ApiError

INSTALL_CRDS = "kubectl apply -k config/crd"


def is_unknown_kind(failure: ApiError) -> bool:
    """Whether a 404 is about the kind, not about one object of it."""
    return failure.code == HTTPStatus.NOT_FOUND and "could not find the requested resource" in failure.message


def explain(failure: ApiError, verb: str, kind: str, namespace: str) -> CommandError:
    """Put a failed request into words.

    Args:
        failure: what came back.
        verb: what was tried, as RBAC calls it.
        kind: of ours, to which it was tried.
        namespace: where; empty for all.
    """
    resource = f"{PLURALS[kind]}.{GROUP}"
    match failure.code:
        case HTTPStatus.FORBIDDEN:
            where = f"in namespace {namespace}" if namespace else "in all namespaces"
            narrower = "" if namespace else ", or name a namespace with -n"
            return CommandError(
                f"You may not {verb} {resource} {where}. "
                f"Ask for the ClusterRole {_role(verb, kind)}{narrower}."
            )
        case HTTPStatus.NOT_FOUND:
            return CommandError(
                f"This cluster does not know {resource}. Install the CRDs with `{INSTALL_CRDS}`."
            )
        case HTTPStatus.UNAUTHORIZED:
            return CommandError("The API server does not accept the kubeconfig's credentials. Log in again.")
        case 0:
            return CommandError(
                f"The API server can't be reached: {failure.message}. Check the kubeconfig and its context."
            )
    return CommandError(f"The API server refused to {verb} {resource}: {failure.message}.")


def _role(verb: str, kind: str) -> str:
    side = "viewer" if verb in ("get", "list", "watch") else "editor"
    return f"ecr-secret-operator-{kind.lower()}-{side}-role"
