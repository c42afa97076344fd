"""Secret: the manifest byte for byte, and its fields as a real API server (1.36.3) recorded them."""

# ruff: noqa: S106, S107 - names of Secrets and made-up tokens

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import TokenTimes
from ecr_operator.core.manifest import (
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
from ecr_operator.core.secret_view import applied_fields, view_secret
from tests.builders import HOST, NOW, desired, resource, secret_metadata, times, token, tokens

ARGO: Final = "ArgoHelmRepoSecret"


def manifest(of: Resource, password: str = "s3cret") -> dict[str, Any]:
    return generated_secret(desired(of), tokens(of, token(password)))


def data(of: Resource) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in manifest(of)["data"].items()}


def test_dockerconfigjson_is_v0_6_0s_byte_for_byte() -> None:
    assert data(resource())[".dockerconfigjson"] == (
        '{"auths":{"123456789012.dkr.ecr.us-east-2.amazonaws.com":'
        '{"username":"AWS","password":"s3cret","auth":"QVdTOnMzY3JldA=="}}}'
    )


def test_the_manifest_of_a_pull_secret() -> None:
    of = resource()
    assert manifest(of) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "web-pull",
            "namespace": "team",
            "labels": {"app.kubernetes.io/managed-by": "ecr-secret-operator"},
            "annotations": {
                "ecr.mobb.redhat.com/token-issued-at": "2026-03-01T12:00:00.000000Z",
                "ecr.mobb.redhat.com/token-expires-at": "2026-03-02T00:00:00.000000Z",
                "ecr.mobb.redhat.com/spec-fingerprint": fingerprint(desired(of)),
                "ecr.mobb.redhat.com/owner": "Secret/web",
                "ecr.mobb.redhat.com/owner-uid": "uid-of-web",
            },
            "ownerReferences": [
                {
                    "apiVersion": "ecr.mobb.redhat.com/v1alpha1",
                    "kind": "Secret",
                    "name": "web",
                    "uid": "uid-of-web",
                    "controller": True,
                }
            ],
        },
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(dockerconfigjson({HOST: token()}).encode()).decode()},
    }


def test_the_secret_for_argo_cd_has_v0_6_0s_keys_and_values() -> None:
    of = resource(ARGO, name="charts", url="oci://example.com/charts", region="us-east-2")
    assert data(of) == {
        "username": "AWS",
        "password": "s3cret",
        "url": "oci://example.com/charts",
        "name": "charts-pull",
        "type": "helm",
        "enableOCI": "true",
    }
    assert manifest(of)["type"] == "Opaque"
    assert manifest(of)["metadata"]["labels"]["argocd.argoproj.io/secret-type"] == "repository"


@pytest.mark.parametrize(
    "target",
    ["https://proxy.example.com/v2/", "proxy.example.com:8443", 'odd"host\\', "bücher.example"],
    ids=["a scheme and a path", "a port", "characters that JSON escapes", "letters beyond ASCII"],
)
def test_the_registry_key_is_written_verbatim(target: str) -> None:
    text = data(resource(ecr_registry=target, region="us-east-2"))[".dockerconfigjson"]
    assert list(json.loads(text)["auths"]) == [target]
    assert "\\u" not in text


def test_the_manifest_has_no_string_data_and_does_not_block_the_deletion_of_its_owner() -> None:
    assert "stringData" not in manifest(resource())
    assert "blockOwnerDeletion" not in manifest(resource())["metadata"]["ownerReferences"][0]


RECORDED: Final[dict[str, dict[str, Any]]] = {
    "Secret": {
        "f:data": {"f:.dockerconfigjson": {}},
        "f:metadata": {
            "f:annotations": {
                "f:ecr.mobb.redhat.com/owner": {},
                "f:ecr.mobb.redhat.com/owner-uid": {},
                "f:ecr.mobb.redhat.com/spec-fingerprint": {},
                "f:ecr.mobb.redhat.com/token-expires-at": {},
                "f:ecr.mobb.redhat.com/token-issued-at": {},
            },
            "f:labels": {"f:app.kubernetes.io/managed-by": {}},
            "f:ownerReferences": {'k:{"uid":"026df86a-1b41-4106-91ea-dafe2ae258f9"}': {}},
        },
        "f:type": {},
    },
    ARGO: {
        "f:data": {
            "f:enableOCI": {},
            "f:name": {},
            "f:password": {},
            "f:type": {},
            "f:url": {},
            "f:username": {},
        },
        "f:metadata": {
            "f:annotations": {
                "f:ecr.mobb.redhat.com/owner": {},
                "f:ecr.mobb.redhat.com/owner-uid": {},
                "f:ecr.mobb.redhat.com/spec-fingerprint": {},
                "f:ecr.mobb.redhat.com/token-expires-at": {},
                "f:ecr.mobb.redhat.com/token-issued-at": {},
            },
            "f:labels": {
                "f:app.kubernetes.io/managed-by": {},
                "f:argocd.argoproj.io/secret-type": {},
            },
            "f:ownerReferences": {'k:{"uid":"026df86a-1b41-4106-91ea-dafe2ae258f9"}': {}},
        },
        "f:type": {},
    },
}


@pytest.mark.parametrize("kind", RECORDED)
def test_owned_fields_are_those_that_a_real_server_records(kind: str) -> None:
    of = resource(kind, uid="026df86a-1b41-4106-91ea-dafe2ae258f9")
    assert owned_fields(desired(of)) == applied_fields(RECORDED[kind])
    # So the builder of other tests makes what the server makes.
    assert secret_metadata(of)["managedFields"][0]["fieldsV1"] == RECORDED[kind]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(resource(generated_secret_name="other"), id="the name"),
        pytest.param(resource(ecr_registry=HOST.upper()), id="the host's letters"),
        pytest.param(resource(ecr_registry=HOST.replace("us-east-2", "us-east-1")), id="the region"),
        pytest.param(resource(ARGO), id="the kind"),
    ],
)
def test_the_fingerprint_changes_with(other: Resource) -> None:
    assert fingerprint(desired(other)) != fingerprint(desired(resource()))


def test_the_fingerprint_is_stable_and_does_not_cover_the_frequency() -> None:
    assert fingerprint(desired(resource(frequency="1h"))) == "fa2082dc568a1609"


def test_token_times_are_kept_to_the_microsecond() -> None:
    exact = times(issued_at=NOW + timedelta(microseconds=123_456))
    of = resource()
    login = token(issued_at=exact.issued_at)
    assert view_secret(secret_metadata(of, login)).times == exact


@pytest.mark.parametrize(
    ("issued", "expires"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param("2026-03-01T12:00:00Z", None, id="no expiry"),
        pytest.param(None, "2026-03-01T12:00:00Z", id="no time of issue"),
        pytest.param("yesterday", "2026-03-01T12:00:00Z", id="a word"),
        pytest.param("2026-03-01T12:00:00", "2026-03-01T13:00:00", id="times without a zone"),
        pytest.param("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", id="no time between"),
        pytest.param("2026-03-01T13:00:00Z", "2026-03-01T12:00:00Z", id="the wrong order"),
    ],
)
def test_token_times_are_none_for(issued: str | None, expires: str | None) -> None:
    said = {ISSUED_AT: issued, EXPIRES_AT: expires, FINGERPRINT: "x"}
    assert token_times({key: value for key, value in said.items() if value is not None}) is None


def test_token_times_may_be_of_another_time_zone() -> None:
    said = {ISSUED_AT: "2026-03-01T14:00:00+02:00", EXPIRES_AT: "2026-03-02T00:00:00Z"}
    assert token_times(said) == TokenTimes(issued_at=NOW, expires_at=times().expires_at)


def test_the_key_hash_is_that_of_the_oldest_token_and_not_in_the_fingerprint() -> None:
    of = resource(additional_registries=["210987654321.dkr.ecr.eu-west-1.amazonaws.com"])
    first, second = (login.key for login in desired(of).logins)
    old = replace(token(issued_at=NOW), key_hash="old")
    new = replace(token(issued_at=NOW + timedelta(hours=1)), key_hash="new")
    made = generated_secret(desired(of), {first: new, second: old})
    assert made["metadata"]["annotations"][KEY_HASH] == "old"
    assert view_secret(secret_metadata(of, new)).key_hash == "new"
    plain = secret_metadata(of)
    assert KEY_HASH not in plain["annotations"]
    assert view_secret(plain).key_hash is None
    assert plain["annotations"][FINGERPRINT] == made["metadata"]["annotations"][FINGERPRINT]
    assert f"f:metadata/f:annotations/f:{KEY_HASH}" not in owned_fields(desired(of))


@pytest.mark.parametrize("value", ["x" * 65, 5, None])
def test_a_key_hash_of_another_form_is_ignored(value: object) -> None:
    metadata = secret_metadata(resource())
    metadata["annotations"][KEY_HASH] = value
    assert view_secret(metadata).key_hash is None
