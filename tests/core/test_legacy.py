"""Which Secrets v0.6.0 wrote, and which only look like it."""

# ruff: noqa: S107 - names of Secrets and made-up tokens

import json
from typing import Any, Final

from ecr_operator.api.desired import Resource
from ecr_operator.core.legacy import has_legacy_status, legacy_token
from ecr_operator.core.manifest import encode
from tests.builders import HOST, NAMESPACE, NOW, TWELVE_HOURS, cases, desired, resource

ARGO: Final = "ArgoHelmRepoSecret"
STATUS: Final = {"phase": "Updated", "lastUpdatedTime": "2026-03-01T12:00:00Z"}
LABELS: Final = {"argocd.argoproj.io/secret-type": "repository"}


def login(password: str = "old", **more: str) -> dict[str, str]:
    return {"username": "AWS", "password": password, "auth": encode(f"AWS:{password}")} | more


def docker(config: object = None, **more: Any) -> dict[str, Any]:
    """What v0.6.0 wrote for a Secret, with changes."""
    text = json.dumps(config or {"auths": {HOST: login()}}, separators=(",", ":"))
    usual = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encode(text)}}
    return {"metadata": {"name": "web-pull", "namespace": NAMESPACE}} | usual | more


def argo(labels: object = None, **values: str) -> dict[str, Any]:
    """What v0.6.0 wrote for an ArgoHelmRepoSecret, with changes."""
    usual = {"username": "AWS", "password": "old", "url": HOST, "name": "web-pull", "type": "helm"}
    data = {key: encode(value) for key, value in (usual | {"enableOCI": "true"} | values).items()}
    metadata = {"name": "web-pull", "namespace": NAMESPACE, "labels": LABELS if labels is None else labels}
    return {"metadata": metadata, "type": "Opaque", "data": data}


def adopted(secret: dict[str, Any], of: Resource) -> str | None:
    token = legacy_token(of, desired(of), secret)
    return token.password if token else None


@cases("kind, secret", {"Secret": ("Secret", docker()), "Argo CD": (ARGO, argo())})
def test_a_secret_of_v0_6_0_gives_its_token_with_twelve_hours(kind: str, secret: dict[str, Any]) -> None:
    of = resource(kind, status=STATUS)
    token = legacy_token(of, desired(of), secret)
    assert token is not None
    assert (token.password, token.issued_at, token.expires_at) == ("old", NOW, NOW + TWELVE_HOURS)


HALF_A_SURROGATE: Final = f'{{"auths":{{"{HOST}":{{"username":"x","password":"\\ud800","auth":""}}}}}}'
NOT_LEGACY: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "another type": ("Secret", docker(type="Opaque")),
    "a login for another host": ("Secret", docker({"auths": {"other.example": login()}})),
    "a second login": ("Secret", docker({"auths": {HOST: login(), "x": login()}})),
    "another user": ("Secret", docker({"auths": {HOST: login(username="me")}})),
    "two tokens that differ": ("Secret", docker({"auths": {HOST: login(auth=encode("AWS:new"))}})),
    "one more field": ("Secret", docker({"auths": {HOST: login(email="a@b")}})),
    "no password": ("Secret", docker({"auths": {HOST: login("")}})),
    "a number for a password": ("Secret", docker({"auths": {HOST: login() | {"password": 7}}})),
    "text for a login": ("Secret", docker({"auths": {HOST: "AWS"}})),
    "a list of logins": ("Secret", docker({"auths": []})),
    "a list for a config": ("Secret", docker([1])),
    "half a config": ("Secret", docker(data={".dockerconfigjson": encode("{")})),
    "nested without end": ("Secret", docker(data={".dockerconfigjson": encode("[" * 100_000)})),
    "half a surrogate": ("Secret", docker(data={".dockerconfigjson": encode(HALF_A_SURROGATE)})),
    "not base64": ("Secret", docker(data={".dockerconfigjson": "%"})),
    "null": ("Secret", docker(data={".dockerconfigjson": None})),
    "no data": ("Secret", docker(data=None)),
    "one more key": ("Secret", docker(data={**docker()["data"], "more": ""})),
    "a controller": ("Secret", docker(metadata={"ownerReferences": [{"controller": True}]})),
    "Argo CD: no label": (ARGO, argo(labels={})),
    "Argo CD: another label": (ARGO, argo(labels={"argocd.argoproj.io/secret-type": "cluster"})),
    "Argo CD: another user": (ARGO, argo(username="me")),
    "Argo CD: another URL": (ARGO, argo(url="other.example")),
    "Argo CD: one more key": (ARGO, argo(project="p")),
    "Argo CD: another type": (ARGO, argo() | {"type": "custom"}),
    "Argo CD: no password": (ARGO, argo(password="")),
    "Argo CD: no data": (ARGO, argo() | {"data": {}}),
}


@cases("kind, secret", NOT_LEGACY)
def test_a_secret_that_only_looks_like_v0_6_0_s_is_foreign(kind: str, secret: dict[str, Any]) -> None:
    assert adopted(secret, resource(kind, status=STATUS)) is None


@cases(
    "status",
    {
        "none": None,
        "no time": {"phase": "Updated"},
        "not a time": STATUS | {"lastUpdatedTime": "today"},
        "another phase": STATUS | {"phase": "Failed"},
        "a newer one": STATUS | {"observedGeneration": 1},
    },
)
def test_a_status_that_v0_6_0_did_not_write_makes_every_secret_foreign(status: object) -> None:
    of = resource(status=status)
    assert not has_legacy_status(of)
    assert adopted(docker(), of) is None


def entry(time: str = "2026-03-01T12:00:00Z", operation: str = "Update", key: str = "") -> dict[str, Any]:
    """An entry of managedFields that owns the login, or another key."""
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


@cases(
    "entries, token",
    {
        "at the very time": ([entry()], "old"),
        "a minute before": ([entry("2026-03-01T11:59:00Z")], "old"),
        "a minute after": ([entry("2026-03-01T12:01:00Z")], "old"),
        "and labelled later": ([LABELLED | {"time": "2026-03-02T12:00:00Z"}, entry()], "old"),
        "not nobody's": ([], None),
        "not written before": ([entry("2026-03-01T11:58:59Z")], None),
        "not written later": ([entry("2026-03-01T12:01:01Z")], None),
        "not applied": ([entry(operation="Apply")], None),
        "not applied too": ([entry(), entry(operation="Apply")], None),
        "not another key": ([entry(key="more")], None),
        "not without a time": ([entry("today")], None),
        "not with a null for a time": ([entry() | {"time": None}], None),
        "not without fields": ([entry() | {"fieldsV1": None}], None),
    },
)
def test_under_old_crds_a_login_updated_together_with_the_status_is_v0_6_0_s(
    entries: list[dict[str, Any]], token: str | None
) -> None:
    assert written(*entries) == token


def test_under_old_crds_the_time_of_an_argo_secret_s_password_counts() -> None:
    assert written(entry(key="password"), kind=ARGO) == "old"
    assert written(entry(key="url"), kind=ARGO) is None


def test_an_owner_that_is_not_the_controller_is_ignored() -> None:
    secret = docker(metadata={"ownerReferences": [{"kind": "Pod"}]})
    assert adopted(secret, resource(status=STATUS)) == "old"


def test_a_time_that_overflows_is_that_of_no_token() -> None:
    assert adopted(docker(), resource(status=STATUS | {"lastUpdatedTime": "9999-12-31T23:59:59Z"})) is None
