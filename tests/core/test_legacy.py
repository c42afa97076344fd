"""Which Secrets v0.6.0 wrote, and which only look like it."""

# ruff: noqa: S107 - names of Secrets and made-up tokens

import base64
import json
from typing import Any, Final

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.core.legacy import has_legacy_status, legacy_token
from tests.builders import HOST, NAMESPACE, NOW, TWELVE_HOURS, desired, resource

ARGO: Final = "ArgoHelmRepoSecret"
STATUS: Final = {"phase": "Updated", "lastUpdatedTime": "2026-03-01T12:00:00Z"}
LABELS: Final = {"argocd.argoproj.io/secret-type": "repository"}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def login(password: str = "old", **more: str) -> dict[str, str]:
    return {"username": "AWS", "password": password, "auth": b64(f"AWS:{password}")} | more


def docker(config: object = None, **more: Any) -> dict[str, Any]:
    """Return what v0.6.0 wrote for a Secret, with changes."""
    text = json.dumps(config or {"auths": {HOST: login()}}, separators=(",", ":"))
    usual = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": b64(text)}}
    return {"metadata": {"name": "web-pull", "namespace": NAMESPACE}} | usual | more


def argo(labels: object = None, **values: str) -> dict[str, Any]:
    """Return what v0.6.0 wrote for an ArgoHelmRepoSecret, with changes."""
    usual = {
        "username": "AWS",
        "password": "old",
        "url": HOST,
        "name": "web-pull",
        "type": "helm",
        "enableOCI": "true",
    }
    metadata = {"name": "web-pull", "namespace": NAMESPACE, "labels": LABELS if labels is None else labels}
    return {
        "metadata": metadata,
        "type": "Opaque",
        "data": {key: b64(value) for key, value in (usual | values).items()},
    }


def adopted(secret: dict[str, Any], of: Resource) -> str | None:
    token = legacy_token(of, desired(of), secret)
    return token.password if token else None


@pytest.mark.parametrize(("kind", "secret"), [("Secret", docker()), (ARGO, argo())])
def test_a_secret_of_v0_6_0_gives_its_token_with_twelve_hours(kind: str, secret: dict[str, Any]) -> None:
    of = resource(kind, status=STATUS)
    token = legacy_token(of, desired(of), secret)
    assert token is not None
    assert (token.password, token.issued_at, token.expires_at) == ("old", NOW, NOW + TWELVE_HOURS)


PULL_SECRETS: Final = {
    "another type": docker(type="Opaque"),
    "a login for another host": docker({"auths": {"other.example": login()}}),
    "a second login": docker({"auths": {HOST: login(), "x": login()}}),
    "another user": docker({"auths": {HOST: login(username="me")}}),
    "two tokens that differ": docker({"auths": {HOST: login(auth=b64("AWS:new"))}}),
    "one more field": docker({"auths": {HOST: login(email="a@b")}}),
    "no password": docker({"auths": {HOST: login("")}}),
    "a number for a password": docker({"auths": {HOST: login() | {"password": 7}}}),
    "text for a login": docker({"auths": {HOST: "AWS"}}),
    "a list of logins": docker({"auths": []}),
    "a list for a config": docker([1]),
    "half a config": docker(data={".dockerconfigjson": b64("{")}),
    "not base64": docker(data={".dockerconfigjson": "%"}),
    "null": docker(data={".dockerconfigjson": None}),
    "no data": docker(data=None),
    "one more key": docker(data={**docker()["data"], "more": ""}),
    "a controller": docker(metadata={"ownerReferences": [{"controller": True}]}),
}
ARGO_SECRETS: Final = {
    "no label": argo(labels={}),
    "another label": argo(labels={"argocd.argoproj.io/secret-type": "cluster"}),
    "another user": argo(username="me"),
    "another URL": argo(url="other.example"),
    "one more key": argo(project="p"),
    "another type": argo() | {"type": "custom"},
    "no data": argo() | {"data": {}},
}


@pytest.mark.parametrize("secret", PULL_SECRETS.values(), ids=PULL_SECRETS)
def test_a_pull_secret_that_only_looks_like_v0_6_0_s_is_foreign(secret: dict[str, Any]) -> None:
    assert adopted(secret, resource(status=STATUS)) is None


@pytest.mark.parametrize("secret", ARGO_SECRETS.values(), ids=ARGO_SECRETS)
def test_an_argo_secret_that_only_looks_like_v0_6_0_s_is_foreign(secret: dict[str, Any]) -> None:
    assert adopted(secret, resource(ARGO, status=STATUS)) is None


@pytest.mark.parametrize(
    "status",
    [
        None,
        {"phase": "Updated"},
        STATUS | {"lastUpdatedTime": "today"},
        STATUS | {"phase": "Failed"},
        STATUS | {"observedGeneration": 1},
    ],
)
def test_a_status_that_v0_6_0_did_not_write_makes_every_secret_foreign(status: object) -> None:
    of = resource(status=status)
    assert not has_legacy_status(of)
    assert adopted(docker(), of) is None


def entry(time: str = "2026-03-01T12:00:00Z", operation: str = "Update", key: str = "") -> dict[str, Any]:
    """Return an entry of managedFields that owns the login, or another key."""
    fields: dict[str, Any] = {"f:data": {".": {}, f"f:{key or '.dockerconfigjson'}": {}}, "f:type": {}}
    return {"manager": "any", "operation": operation, "time": time, "fieldsV1": fields}


def written(*entries: dict[str, Any], kind: str = "Secret") -> str | None:
    """The token that is adopted under v0.6.0's CRDs, with these managedFields."""
    of = resource(kind, status=STATUS)
    secret = docker() if kind == "Secret" else argo()
    secret["metadata"]["managedFields"] = list(entries)
    token = legacy_token(of, desired(of), secret, old_crds=True)
    return token.password if token else None


LABELLED: Final = {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {}}}}


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([entry()], id="at the very time"),
        pytest.param([entry("2026-03-01T11:59:00Z")], id="a minute before"),
        pytest.param([entry("2026-03-01T12:01:00Z")], id="a minute after"),
        pytest.param([LABELLED | {"time": "2026-03-02T12:00:00Z"}, entry()], id="and labelled later"),
    ],
)
def test_under_old_crds_a_login_updated_together_with_the_status_is_v0_6_0_s(
    entries: list[dict[str, Any]],
) -> None:
    assert written(*entries) == "old"


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([], id="nobody's"),
        pytest.param([entry("2026-03-01T11:58:59Z")], id="written before"),
        pytest.param([entry("2026-03-01T12:01:01Z")], id="written later"),
        pytest.param([entry(operation="Apply")], id="applied"),
        pytest.param([entry(), entry(operation="Apply")], id="applied too"),
        pytest.param([entry(key="more")], id="another key"),
        pytest.param([entry("today")], id="no time"),
        pytest.param([entry() | {"time": None}], id="a null for a time"),
        pytest.param([entry() | {"fieldsV1": None}], id="no fields"),
    ],
)
def test_under_old_crds_any_other_login_is_foreign(entries: list[dict[str, Any]]) -> None:
    assert written(*entries) is None


def test_under_old_crds_the_time_of_an_argo_secret_s_password_counts() -> None:
    assert written(entry(key="password"), kind=ARGO) == "old"
    assert written(entry(key="url"), kind=ARGO) is None


def test_an_owner_that_is_not_the_controller_is_ignored() -> None:
    secret = docker(metadata={"ownerReferences": [{"kind": "Pod"}]})
    assert adopted(secret, resource(status=STATUS)) == "old"


def test_a_time_that_overflows_is_that_of_no_token() -> None:
    assert adopted(docker(), resource(status=STATUS | {"lastUpdatedTime": "9999-12-31T23:59:59Z"})) is None
