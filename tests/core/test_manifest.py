"""The manifest byte for byte, and its fields as a real API server (1.36.3) recorded them.

What Argo CD reads: https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#repositories.
"""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import base64
import itertools
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import TokenTimes
from ecr_operator.core.manifest import (
    DOCKER_KEY,
    EXPIRES_AT,
    FINGERPRINT,
    ISSUED_AT,
    KEY_HASH,
    dockerconfigjson,
    fingerprint,
    generated_secret,
    owned_fields,
    token_times,
)
from ecr_operator.core.secret_view import view_secret
from tests.builders import HOST, NOW, cases, desired, host, resource, secret_metadata, times, token, tokens

ARGO: Final = "ArgoHelmRepoSecret"
GROUP: Final = "ecr.mobb.redhat.com"


def manifest(of: Resource) -> dict[str, Any]:
    return generated_secret(desired(of), tokens(of))


def data(of: Resource) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in manifest(of)["data"].items()}


def test_dockerconfigjson_is_v0_6_0s_byte_for_byte() -> None:
    assert data(resource())[".dockerconfigjson"] == (
        '{"auths":{"123456789012.dkr.ecr.us-east-2.amazonaws.com":'
        '{"username":"AWS","password":"s3cret","auth":"QVdTOnMzY3JldA=="}}}'
    )


def test_the_manifest_of_a_pull_secret() -> None:
    of = resource()
    owner = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Secret", "name": "web", "uid": "uid-of-web"}
    assert manifest(of) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "web-pull",
            "namespace": "team",
            "labels": {"app.kubernetes.io/managed-by": "ecr-secret-operator"},
            "annotations": {
                f"{GROUP}/token-issued-at": "2026-03-01T12:00:00.000000Z",
                f"{GROUP}/token-expires-at": "2026-03-02T00:00:00.000000Z",
                f"{GROUP}/spec-fingerprint": fingerprint(desired(of)),
                f"{GROUP}/owner": "Secret/web",
                f"{GROUP}/owner-uid": "uid-of-web",
            },
            # Without blockOwnerDeletion.
            "ownerReferences": [owner | {"controller": True}],
        },
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(dockerconfigjson({HOST: token()}).encode()).decode()},
    }


def test_the_secret_for_argo_cd_has_v0_6_0s_keys_and_values() -> None:
    of = resource(ARGO, name="charts", url="oci://example.com/charts", region="us-east-2")
    login = {"username": "AWS", "password": "s3cret", "url": "oci://example.com/charts"}
    assert data(of) == login | {"name": "charts-pull", "type": "helm", "enableOCI": "true"}
    assert manifest(of)["type"] == "Opaque"


# A project is not read beside repo-creds.
OPTIONS: Final = [
    (scope, repo_type, project)
    for scope, repo_type in itertools.product((None, "repository", "repo-creds"), (None, "helm", "oci"))
    for project in (None, "a")
    if scope != "repo-creds" or not project
]


@pytest.mark.parametrize(("scope", "repo_type", "project"), OPTIONS)
def test_label_and_keys_for_argo_cd_are_those_that_it_documents(
    scope: str | None, repo_type: str | None, project: str | None
) -> None:
    of = resource(ARGO, credential_scope=scope, repo_type=repo_type, project=project)
    assert manifest(of)["metadata"]["labels"]["argocd.argoproj.io/secret-type"] == (scope or "repository")
    kind = {"type": "oci"} if repo_type == "oci" else {"type": "helm", "enableOCI": "true"}
    held = {key: value for key, value in data(of).items() if key not in ("username", "password")}
    assert held == {"url": HOST, "name": "web-pull"} | kind | ({"project": project} if project else {})


@pytest.mark.parametrize(
    "mark", ["argocd.argoproj.io/tracking-id", "app.kubernetes.io/instance", "argocd.argoproj.io/instance"]
)
def test_a_tracking_mark_of_argo_cd_which_would_prune_the_secret_is_never_on_it(mark: str) -> None:
    for field in ("secret_labels", "secret_annotations"):
        of = resource(ARGO, **{field: {mark: "app"}})
        assert (desired(of).labels, desired(of).annotations) == ({}, {})
        assert mark in str(of.problem)
    metadata = manifest(resource(ARGO, annotations={mark: "app:ArgoHelmRepoSecret:argocd/web"}))["metadata"]
    assert mark not in {**metadata["labels"], **metadata["annotations"]}


def test_the_options_of_argo_cd_for_an_object_are_written() -> None:
    notes = dict.fromkeys(("argocd.argoproj.io/sync-options", "argocd.argoproj.io/compare-options"), "x=y")
    assert (
        notes.items() <= manifest(resource(ARGO, secret_annotations=notes))["metadata"]["annotations"].items()
    )


URLS: Final = [HOST, f"{HOST}/charts/", f"https://{HOST}", f"oci://{HOST}/a", f"OCI://{HOST.upper()}/Charts"]
URLS.append("charts.example.com:8443/ecr")
KEYS: Final = [f"https://{HOST}/v2/", f"{HOST}:443", f"{HOST}/team", f"oci://{HOST}", f"{HOST}/app:latest"]
KEYS.extend(["https://proxy.example.com/v2/", "proxy.example.com:8443", 'odd"host\\', "bücher.example"])


@pytest.mark.parametrize("key", KEYS)
def test_a_registry_key_is_written_verbatim_whether_or_not_a_client_uses_it(key: str) -> None:
    text = data(resource(ecr_registry=key, region="us-east-2"))[DOCKER_KEY]
    assert list(json.loads(text)["auths"]) == [key]
    assert "\\u" not in text


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_written_verbatim(url: str) -> None:
    assert data(resource(ARGO, url=url, region="us-east-2"))["url"] == url


FIELDS: Final[dict[str, tuple[list[str], list[str]]]] = {
    "Secret": ([".dockerconfigjson"], []),
    ARGO: (["enableOCI", "name", "password", "type", "url", "username"], ["argocd.argoproj.io/secret-type"]),
}
MARKS: Final = ("owner", "owner-uid", "spec-fingerprint", "token-expires-at", "token-issued-at")


@pytest.mark.parametrize("kind", FIELDS)
def test_owned_fields_are_those_that_a_real_server_records(kind: str) -> None:
    keys, labels = FIELDS[kind]
    recorded = {
        "f:data": {f"f:{key}": {} for key in keys},
        "f:metadata": {
            "f:annotations": {f"f:{GROUP}/{mark}": {} for mark in MARKS},
            "f:labels": {f"f:{label}": {} for label in ["app.kubernetes.io/managed-by", *labels]},
            "f:ownerReferences": {'k:{"uid":"026df86a-1b41-4106-91ea-dafe2ae258f9"}': {}},
        },
        "f:type": {},
    }
    of = resource(kind, uid="026df86a-1b41-4106-91ea-dafe2ae258f9")
    # The builder of other tests makes what the server makes.
    assert secret_metadata(of)["managedFields"][0]["fieldsV1"] == recorded
    entry = view_secret(secret_metadata(of)).entry
    assert entry
    assert entry.fields == owned_fields(desired(of))


@cases(
    "other",
    {
        "the name": resource(generated_secret_name="other"),
        "the host's letters": resource(ecr_registry=HOST.upper()),
        "the region": resource(ecr_registry=host("us-east-1")),
        "the kind": resource(ARGO),
    },
)
def test_the_fingerprint_changes_with(other: Resource) -> None:
    assert fingerprint(desired(other)) != fingerprint(desired(resource()))


def test_the_fingerprint_is_stable_and_does_not_cover_the_frequency() -> None:
    assert fingerprint(desired(resource(frequency="1h"))) == "fa2082dc568a1609"


def test_token_times_are_kept_to_the_microsecond() -> None:
    exact = NOW + timedelta(microseconds=123_456)
    found = view_secret(secret_metadata(resource(), token(issued_at=exact))).times
    assert found == times(issued_at=exact)


NOON: Final = "2026-03-01T12:00:00Z"
ONE: Final = "2026-03-01T13:00:00Z"
MIDNIGHT: Final = times().expires_at


@cases(
    "issued, expires, expected",
    {
        "another time zone": (
            "2026-03-01T14:00:00+02:00",
            "2026-03-02T00:00:00Z",
            TokenTimes(issued_at=NOW, expires_at=MIDNIGHT),
        ),
        "nothing": (None, None, None),
        "no expiry": (NOON, None, None),
        "no time of issue": (None, NOON, None),
        "a word": ("yesterday", NOON, None),
        "beyond the year 9999": (NOON, "9999-12-31T23:59:59-14:00", None),
        "times without a zone": ("2026-03-01T12:00:00", "2026-03-01T13:00:00", None),
        "no time between": (NOON, NOON, None),
        "the wrong order": (ONE, NOON, None),
    },
)
def test_token_times_of(issued: str | None, expires: str | None, expected: TokenTimes | None) -> None:
    said = {ISSUED_AT: issued, EXPIRES_AT: expires, FINGERPRINT: "x"}
    assert token_times({key: value for key, value in said.items() if value is not None}) == expected


def test_the_key_hash_is_that_of_the_oldest_token_and_not_in_the_fingerprint() -> None:
    of = resource(additional_registries=["210987654321.dkr.ecr.eu-west-1.amazonaws.com"])
    first, second = (login.key for login in desired(of).logins)
    old = replace(token(issued_at=NOW), key_hash="old")
    new = replace(token(issued_at=NOW + timedelta(hours=1)), key_hash="new")
    made = generated_secret(desired(of), {first: new, second: old})["metadata"]["annotations"]
    plain = secret_metadata(of)["annotations"]
    assert (made[KEY_HASH], plain.get(KEY_HASH)) == ("old", None)
    assert plain[FINGERPRINT] == made[FINGERPRINT]
    assert f"f:metadata/f:annotations/f:{KEY_HASH}" not in owned_fields(desired(of))


@pytest.mark.parametrize("password", ["a:b", 'quo"te\\', "ü\u20ac\U0001f600", "\x00\n", "x" * 3000], ids=repr)
def test_auth_is_the_same_as_username_and_password_whatever_the_token_is(password: str) -> None:
    (held,) = json.loads(dockerconfigjson({HOST: token(password)}))["auths"].values()
    assert (held["username"], held["password"]) == ("AWS", password)
    assert base64.b64decode(held["auth"], validate=True).decode() == f"AWS:{password}"
