"""What a foreign Secret would lose by being adopted."""

# ruff: noqa: S106 - a form of Secrets

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest

from ecr_operator.core.adoption import losses
from tests.builders import HOST, desired, resource

DOCKER: Final = "kubernetes.io/dockerconfigjson"
LOGIN: Final = {"username": "u", "password": "p"}
OTHER: Final = "210987654321.dkr.ecr.eu-west-1.amazonaws.com"
UNREADABLE: Final[Mapping[str, str | bytes]] = {
    "no JSON": "{",
    "empty": "",
    "no text": b"\xff\xfe",
    "a list": "[]",
    "a list of logins": '{"auths":["quay.io"]}',
    "a text": '"auths"',
    "helpers as a list": '{"credHelpers":["gcr.io"]}',
    "nested without end": "[" * 100_000,
}
URL: Final = f"oci://{HOST}/charts"


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def secret(kind: str, data: Mapping[str, str | bytes], **more: Any) -> dict[str, Any]:
    """Make a core Secret of a type, with data in clear."""
    return {"type": kind, "data": {key: encoded(value) for key, value in data.items()}, **more}


def config(*hosts: str, **more: object) -> str:
    """Write a docker config with a login for each host."""
    return json.dumps({"auths": dict.fromkeys(hosts, LOGIN), **more})


def docker(*hosts: str, **data: str) -> dict[str, Any]:
    return secret(DOCKER, {".dockerconfigjson": config(*hosts), **data})


def dropped(of: Mapping[str, Any], **spec: Any) -> str:
    return losses(desired(resource(**spec)), of)


LOSSLESS: Final = {
    "no data": {"type": DOCKER},
    "no data, another type": {"type": "Opaque"},
    "no logins": docker(),
    "an empty config": secret(DOCKER, {".dockerconfigjson": "{}"}),
    "its own host": docker(HOST),
    "its own host, as docker login writes it": docker(f"https://{HOST}"),
    "its own host, with the API's path": docker(f"https://{HOST}/v2/"),
    "its own host, in capital letters": docker(HOST.upper()),
    "a path of its own host": docker(f"{HOST}/team"),
    "a data key that stays": docker(HOST, extra="value"),
    "a host without a login": secret(DOCKER, {".dockerconfigjson": '{"auths":{"quay.io":{}}}'}),
    "its own host, in the old form": secret(
        "kubernetes.io/dockercfg", {".dockercfg": json.dumps({HOST: LOGIN})}
    ),
    "its own host, in another type": secret("Opaque", {".dockerconfigjson": config(HOST)}),
    "its own host, immutable": docker(HOST) | {"immutable": True},
}


@pytest.mark.parametrize("of", LOSSLESS.values(), ids=LOSSLESS)
def test_nothing_is_lost(of: Mapping[str, Any]) -> None:
    assert dropped(of) == ""


LOSSES: Final[dict[str, tuple[dict[str, Any], list[str]]]] = {
    "logins for other registries": (
        docker(HOST, "https://index.docker.io/v1/", "quay.io"),
        ['login for "https://index.docker.io/v1/"', 'login for "quay.io"'],
    ),
    "another account": (docker(OTHER), [f'login for "{OTHER}"']),
    "another port": (docker(f"{HOST}:8443"), [f'login for "{HOST}:8443"']),
    "a helper": (
        secret(DOCKER, {".dockerconfigjson": config(credHelpers={"gcr.io": "gcloud"})}),
        ['login for "gcr.io"'],
    ),
    "never the login in a key": (docker("u:secret@quay.io"), ['login for "quay.io"']),
    "the old form": (
        secret("kubernetes.io/dockercfg", {".dockercfg": json.dumps({"quay.io": LOGIN})}),
        ['login for "quay.io"'],
    ),
    "all of another type": (
        secret("Opaque", {".dockerconfigjson": config(HOST, "quay.io"), "ca.crt": "c"}),
        ['login for "quay.io"', 'data key "ca.crt"'],
    ),
    "all that is immutable": (docker(HOST, extra="value") | {"immutable": True}, ['data key "extra"']),
    "a certificate": (
        secret("kubernetes.io/tls", {"tls.crt": "c", "tls.key": "k"}),
        ['data key "tls.crt"', 'data key "tls.key"'],
    ),
    **{
        name: (
            secret(DOCKER, {".dockerconfigjson": unreadable}),
            ['data key ".dockerconfigjson", which can\'t be read'],
        )
        for name, unreadable in UNREADABLE.items()
    },
}


@pytest.mark.parametrize(("of", "named"), LOSSES.values(), ids=LOSSES)
def test_each_loss_is_named(of: Mapping[str, Any], named: list[str]) -> None:
    found = dropped(of)
    assert [words for words in named if words not in found] == []
    assert found.count(", the ") + found.count(", data key") == len(named) - 1
    assert "secret@" not in found


@pytest.mark.parametrize(
    ("hosts", "lost"), [((HOST,), ""), ((HOST, "quay.io"), 'the login for "quay.io"')], ids=["own", "others"]
)
def test_a_config_json_loses_the_logins_of_others(hosts: Sequence[str], lost: str) -> None:
    of = secret("Opaque", {"config.json": config(*hosts), "other": "stays"})
    assert dropped(of, secret_format="config.json") == lost


def test_at_most_five_losses_are_named() -> None:
    found = dropped(docker(*(f"{'x' * 300}-{number}.example.com" for number in range(500))))
    assert found.endswith(", and more")
    assert found.count("the login for") == 5
    assert len(found) < 500


def test_each_registry_of_the_resource_keeps_its_login() -> None:
    assert dropped(docker(HOST, OTHER), additional_registries=[OTHER]) == ""


def test_a_login_for_a_path_does_not_replace_that_for_the_host() -> None:
    assert dropped(docker(HOST), ecr_registry=f"{HOST}/team") == f'the login for "{HOST}"'


REPOSITORY: Final = {"url": URL, "username": "AWS", "password": "p", "name": "charts", "type": "helm"}


ARGO_LOSSES: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "the same repository": (secret("Opaque", REPOSITORY), ""),
    "a data key that stays": (secret("Opaque", REPOSITORY | {"url": f"{URL}/", "sshPrivateKey": "k"}), ""),
    "another repository": (
        secret("Opaque", REPOSITORY | {"url": "https://u:t@git.example.com/x"}),
        'the login for "git.example.com/x"',
    ),
    "a url that can't be read": (secret("Opaque", {"url": b"\xff"}), "data key url, which can't be read"),
    "a database": (
        secret("Opaque", {"username": "u", "password": "p", "host": "db"}),
        'data key "password", data key "username"',
    ),
    "a cluster of Argo CD": (
        secret("Opaque", {"name": "in-cluster", "server": "https://c", "config": "{}"}),
        'data key "name"',
    ),
    "a pull secret": (docker("quay.io"), 'the login for "quay.io"'),
    "a pull secret for the same host": (docker(HOST), f'the login for "{HOST}"'),
    "another type": (secret("kubernetes.io/basic-auth", {"username": "u"}), 'data key "username"'),
}


@pytest.mark.parametrize(("of", "lost"), ARGO_LOSSES.values(), ids=ARGO_LOSSES)
def test_an_argo_secret_keeps_its_repository(of: Mapping[str, Any], lost: str) -> None:
    assert losses(desired(resource("ArgoHelmRepoSecret", url=URL)), of) == lost
