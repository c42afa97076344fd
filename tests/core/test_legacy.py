"""Which Secrets v0.6.0 plainly wrote, and which only look like it."""

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


def taken(secret: dict[str, Any], of: Resource) -> str | None:
    token = legacy_token(of, desired(of), secret)
    return token.password if token else None


@pytest.mark.parametrize(
    ("kind", "secret"), [("Secret", docker()), (ARGO, argo())], ids=["a pull secret", "an Argo secret"]
)
def test_what_v0_6_0_wrote_is_taken_with_its_token_and_twelve_hours(
    kind: str, secret: dict[str, Any]
) -> None:
    of = resource(kind, status=STATUS)
    token = legacy_token(of, desired(of), secret)
    assert token is not None
    assert (token.password, token.issued_at, token.expires_at) == ("old", NOW, NOW + TWELVE_HOURS)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(docker(type="Opaque"), id="another type"),
        pytest.param(docker({"auths": {"other.example": login()}}), id="a login for another host"),
        pytest.param(docker({"auths": {HOST: login(), "x": login()}}), id="a second login"),
        pytest.param(docker({"auths": {HOST: login(username="me")}}), id="another user"),
        pytest.param(docker({"auths": {HOST: login(auth=b64("AWS:new"))}}), id="two tokens that differ"),
        pytest.param(docker({"auths": {HOST: login(email="a@b")}}), id="a field more"),
        pytest.param(docker({"auths": {HOST: login("")}}), id="no password"),
        pytest.param(docker({"auths": {HOST: login() | {"password": 7}}}), id="a number for a password"),
        pytest.param(docker({"auths": {HOST: "AWS"}}), id="text for a login"),
        pytest.param(docker({"auths": []}), id="a list of logins"),
        pytest.param(docker([1]), id="a list for a config"),
        pytest.param(docker(data={".dockerconfigjson": b64("{")}), id="half a config"),
        pytest.param(docker(data={".dockerconfigjson": "%"}), id="no base64"),
        pytest.param(docker(data={".dockerconfigjson": None}), id="a null"),
        pytest.param(docker(data=None), id="no data"),
        pytest.param(docker(data={**docker()["data"], "more": ""}), id="a key more"),
        pytest.param(docker(metadata={"ownerReferences": [{"controller": True}]}), id="a controller"),
    ],
)
def test_what_only_looks_like_a_pull_secret_of_v0_6_0_is_left_alone(secret: dict[str, Any]) -> None:
    assert taken(secret, resource(status=STATUS)) is None


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(argo(labels={}), id="no label"),
        pytest.param(argo(labels={"argocd.argoproj.io/secret-type": "cluster"}), id="another label"),
        pytest.param(argo(username="me"), id="another user"),
        pytest.param(argo(url="other.example"), id="another URL"),
        pytest.param(argo(project="p"), id="a key more"),
        pytest.param(argo() | {"type": "custom"}, id="another type"),
        pytest.param(argo() | {"data": {}}, id="no data"),
    ],
)
def test_what_only_looks_like_an_argo_secret_of_v0_6_0_is_left_alone(secret: dict[str, Any]) -> None:
    assert taken(secret, resource(ARGO, status=STATUS)) is None


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(None, id="none"),
        pytest.param({"phase": "Updated"}, id="no time"),
        pytest.param(STATUS | {"lastUpdatedTime": "today"}, id="a time that is none"),
        pytest.param(STATUS | {"phase": "Failed"}, id="a failure"),
        pytest.param(STATUS | {"observedGeneration": 1}, id="a newer operator's"),
    ],
)
def test_by_such_a_status_nothing_is_of_v0_6_0(status: object) -> None:
    of = resource(status=status)
    assert not has_legacy_status(of)
    assert taken(docker(), of) is None


def entry(time: str = "2026-03-01T12:00:00Z", operation: str = "Update", key: str = "") -> dict[str, Any]:
    """Return an entry of managedFields that owns the login, or another key."""
    fields: dict[str, Any] = {"f:data": {".": {}, f"f:{key or '.dockerconfigjson'}": {}}, "f:type": {}}
    return {"manager": "any", "operation": operation, "time": time, "fieldsV1": fields}


def written(*entries: dict[str, Any], kind: str = "Secret") -> str | None:
    """Return the token that is taken under v0.6.0's CRDs, with these managedFields."""
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
def test_under_old_crds_a_login_that_was_updated_with_the_status_is_taken(
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
def test_under_old_crds_any_other_login_may_be_hand_made_and_is_left(entries: list[dict[str, Any]]) -> None:
    assert written(*entries) is None


def test_under_old_crds_the_password_of_an_argo_secret_counts() -> None:
    assert written(entry(key="password"), kind=ARGO) == "old"
    assert written(entry(key="url"), kind=ARGO) is None


def test_an_owner_that_does_not_control_is_no_owner() -> None:
    secret = docker(metadata={"ownerReferences": [{"kind": "Pod"}]})
    assert taken(secret, resource(status=STATUS)) == "old"


def test_a_time_at_the_end_of_all_time_is_that_of_no_token() -> None:
    assert taken(docker(), resource(status=STATUS | {"lastUpdatedTime": "9999-12-31T23:59:59Z"})) is None
