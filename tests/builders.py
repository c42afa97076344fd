"""Builders of resources, tokens, Secrets and ServiceAccounts; a test names only what it cares about."""

# ruff: noqa: S107 - names of Secrets and made-up tokens

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.kinds import API_VERSION, CLUSTER
from ecr_operator.api.outcome import Outcome, Reason, TokenTimes
from ecr_operator.api.parsing import parse_resource
from ecr_operator.api.text import format_time
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.core.manifest import MANAGER, generated_secret
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.kube.informer import Store

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
TWELVE_HOURS: Final = 12 * HOUR
NAMESPACE: Final = "team"
HOST: Final = "123456789012.dkr.ecr.us-east-2.amazonaws.com"
OHIO: Final = TokenSource(region="us-east-2")
IRELAND: Final = TokenSource(region="eu-west-1")


def cases(names: str, rows: Mapping[str, object]) -> pytest.MarkDecorator:
    """Run a test once for each row: the values of its arguments, by the words that name the case."""
    return pytest.mark.parametrize(names, rows.values(), ids=rows)


def host(region: str = "us-east-2") -> str:
    """A registry host of a region."""
    return f"123456789012.dkr.ecr.{region}.amazonaws.com"


def raw_resource(  # noqa: PLR0913 - a builder
    kind: str = "Secret",
    *,
    name: str = "web",
    namespace: str = NAMESPACE,
    uid: str = "",
    generation: int = 1,
    age: timedelta = HOUR,
    status: object = None,
    spec: object = None,
    annotations: Mapping[str, str] | None = None,
    deleting: bool = False,
    **fields: object,
) -> dict[str, Any]:
    """A custom resource as the API server sends it; further arguments are fields of its spec."""
    target = "url" if kind == "ArgoHelmRepoSecret" else "ecr_registry"
    everywhere: dict[str, Any] = {"namespaces": {"selector": {}}} if kind == CLUSTER else {}
    usual = {"generated_secret_name": f"{name}-pull", target: HOST} | everywhere | fields
    raw = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            **({} if kind == CLUSTER else {"namespace": namespace}),
            "uid": uid or f"uid-of-{name}",
            "generation": generation,
            "creationTimestamp": format_time(NOW - age),
            "resourceVersion": "5",
            "annotations": annotations or {},
            **({"deletionTimestamp": format_time(NOW)} if deleting else {}),
        },
        "spec": {key: value for key, value in usual.items() if value is not None} if spec is None else spec,
    }
    return raw if status is None else raw | {"status": status}


def resource(kind: str = "Secret", **fields: Any) -> Resource:
    return parse_resource(kind, raw_resource(kind, **fields))


def desired(of: Resource) -> Desired:
    assert of.desired is not None
    return replace(of.desired, refresh_requested=of.refresh_requested)


def token(
    password: str = "s3cret", *, issued_at: datetime = NOW, life: timedelta = TWELVE_HOURS
) -> RegistryToken:
    return RegistryToken(password=password, issued_at=issued_at, expires_at=issued_at + life)


def tokens(of: Resource, login: RegistryToken | None = None) -> dict[str, RegistryToken]:
    """The same token for each login of a resource."""
    return {each.key: login or token() for each in desired(of).logins}


def times(*, issued_at: datetime = NOW, life: timedelta = TWELVE_HOURS) -> TokenTimes:
    return TokenTimes(issued_at=issued_at, expires_at=issued_at + life)


def outcome(
    reason: Reason = Reason.REFRESHED, *, fits: bool = True, permanent: bool = False, **fields: Any
) -> Outcome:
    """A success with a young token, or a failure for any other reason."""
    usual: dict[str, Any] = {"message": "What happened.", "times": times()}
    usual["succeeded"] = reason is Reason.REFRESHED
    return Outcome(reason=reason, fits=fits, permanent=permanent, **(usual | fields))


def transient(reason: Reason = Reason.AWS_UNAVAILABLE, *, retry_after: float | None = None) -> TransientError:
    return TransientError(reason, "It did not work this time.", retry_after=retry_after)


def permanent(reason: Reason = Reason.ACCESS_DENIED) -> PermanentError:
    return PermanentError(reason, "You may not.")


def secret_metadata(  # noqa: PLR0913 - a builder
    of: Resource,
    login: RegistryToken | None = None,
    *,
    version: str = "10",
    uid: str = "",
    name: str = "",
    applied_at: datetime = NOW,
) -> dict[str, Any]:
    """The metadata of the Secret that was applied for a resource, as the API server notes it."""
    manifest = generated_secret(desired(of), tokens(of, login))
    manifest["metadata"]["name"] = name or manifest["metadata"]["name"]
    return stored_metadata(manifest, version=version, uid=uid, applied_at=applied_at)


def stored_metadata(
    manifest: Mapping[str, Any], *, version: str = "10", uid: str = "", applied_at: datetime = NOW
) -> dict[str, Any]:
    """The metadata that the API server keeps of an applied Secret."""
    metadata = manifest["metadata"]
    return {
        **{key: value for key, value in metadata.items() if key not in {"uid", "resourceVersion"}},
        "uid": uid or f"uid-of-{metadata['name']}",
        "resourceVersion": version,
        "managedFields": [
            {"manager": MANAGER, "operation": "Apply", "time": format_time(applied_at)}
            | {"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": _fields(manifest)}
        ],
    }


def without(metadata: dict[str, Any], field: str) -> dict[str, Any]:
    """Metadata without a field in our entry, as after a write by another client."""
    del metadata["managedFields"][0]["fieldsV1"][field]
    return metadata


def _fields(manifest: Mapping[str, Any]) -> dict[str, Any]:
    metadata = manifest["metadata"]
    owners = [owner["uid"] for owner in metadata.get("ownerReferences", ())]
    noted: dict[str, Any] = {
        f"f:{part}": {f"f:{key}": {} for key in metadata[part]} for part in ("annotations", "labels")
    }
    return {
        "f:data": {f"f:{key}": {} for key in manifest["data"]},
        "f:metadata": noted | {"f:ownerReferences": {f'k:{{"uid":"{uid}"}}': {} for uid in owners}},
        "f:type": {},
    }


def view(of: Resource, login: RegistryToken | None = None, **fields: Any) -> SecretView:
    """The view of the Secret that was applied for a resource."""
    return view_secret(secret_metadata(of, login, **fields))


def owner_reference(
    kind: str = "Secret", name: str = "web", uid: str = "uid-of-web", *, api_version: str = API_VERSION
) -> dict[str, Any]:
    """A controller's ownerReference."""
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True}


def foreign_metadata(name: str = "web-pull", *, version: str = "7", **more: Any) -> dict[str, Any]:
    """The metadata of a Secret that somebody else created with kubectl."""
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-of-{name}-of-others",
        "resourceVersion": version,
        "managedFields": [{"manager": "kubectl-create", "operation": "Update", "fieldsV1": {"f:data": {}}}],
    } | more


def service_account(
    name: str = "builder",
    *,
    version: str = "7",
    pull: Sequence[str] | None = None,
    mount: Sequence[str] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    """A ServiceAccount with links to Secrets of these names; further arguments are metadata."""
    usual = {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}", "resourceVersion": version}
    raw: dict[str, Any] = {"kind": "ServiceAccount", "metadata": usual | metadata}
    for field, secrets in (("imagePullSecrets", pull), ("secrets", mount)):
        if secrets is not None:
            raw[field] = [{"name": secret} for secret in secrets]
    return raw


def merge(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a JSON merge patch (RFC 7386), as the API server does."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = merge(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


def relist(store: Store[Any], raws: Iterable[Mapping[str, Any]]) -> None:
    """Put a list into a store, as its informer does."""
    store.replaced([store.read(raw) for raw in raws])
