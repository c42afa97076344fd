"""What a Secret of somebody else would lose by being adopted."""

import base64
import json
from collections.abc import Mapping
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


def dropped_by_argo(of: Mapping[str, Any]) -> str:
    return losses(desired(resource("ArgoHelmRepoSecret", url=URL)), of)


@pytest.mark.parametrize(
    "of",
    [
        pytest.param({"type": DOCKER}, id="no data at all"),
        pytest.param({"type": "Opaque"}, id="no data of another type"),
        pytest.param(docker(), id="no logins"),
        pytest.param(secret(DOCKER, {".dockerconfigjson": "{}"}), id="not even a list of them"),
        pytest.param(docker(HOST), id="its own host"),
        pytest.param(docker(f"https://{HOST}"), id="as docker login writes it"),
        pytest.param(docker(f"https://{HOST}/v2/"), id="with the API's path"),
        pytest.param(docker(HOST.upper()), id="in capital letters"),
        pytest.param(docker(f"{HOST}/team"), id="a part of it"),
        pytest.param(docker(HOST, extra="value"), id="a data key that stays"),
        pytest.param(
            secret(DOCKER, {".dockerconfigjson": '{"auths":{"quay.io":{}}}'}), id="a host without a login"
        ),
        pytest.param(
            secret("kubernetes.io/dockercfg", {".dockercfg": json.dumps({HOST: LOGIN})}),
            id="its own host in the old form",
        ),
        pytest.param(
            secret("Opaque", {".dockerconfigjson": config(HOST)}), id="its own host in another type"
        ),
        pytest.param(docker(HOST) | {"immutable": True}, id="immutable, with its own host alone"),
    ],
)
def test_nothing_is_lost(of: Mapping[str, Any]) -> None:
    assert dropped(of) == ""


@pytest.mark.parametrize(
    ("of", "named"),
    [
        pytest.param(
            docker(HOST, "https://index.docker.io/v1/", "quay.io"),
            ['login for "https://index.docker.io/v1/"', 'login for "quay.io"'],
            id="the logins of other registries",
        ),
        pytest.param(docker(OTHER), [f'login for "{OTHER}"'], id="that of another account"),
        pytest.param(docker(f"{HOST}:8443"), [f'login for "{HOST}:8443"'], id="that of another port"),
        pytest.param(
            secret(DOCKER, {".dockerconfigjson": config(credHelpers={"gcr.io": "gcloud"})}),
            ['login for "gcr.io"'],
            id="a login by a helper",
        ),
        pytest.param(docker("u:secret@quay.io"), ['login for "quay.io"'], id="never the login in a key"),
        pytest.param(
            secret("kubernetes.io/dockercfg", {".dockercfg": json.dumps({"quay.io": LOGIN})}),
            ['login for "quay.io"'],
            id="the old form",
        ),
        pytest.param(
            secret("Opaque", {".dockerconfigjson": config(HOST, "quay.io"), "ca.crt": "c"}),
            ['login for "quay.io"', 'data key "ca.crt"'],
            id="all of another type",
        ),
        pytest.param(
            docker(HOST, extra="value") | {"immutable": True},
            ['data key "extra"'],
            id="all that is immutable",
        ),
        pytest.param(
            secret("kubernetes.io/tls", {"tls.crt": "c", "tls.key": "k"}),
            ['data key "tls.crt"', 'data key "tls.key"'],
            id="a certificate",
        ),
        *(
            pytest.param(
                secret(DOCKER, {".dockerconfigjson": unreadable}),
                ['data key ".dockerconfigjson", which can\'t be read'],
                id=name,
            )
            for name, unreadable in UNREADABLE.items()
        ),
    ],
)
def test_what_is_lost_is_named(of: Mapping[str, Any], named: list[str]) -> None:
    said = dropped(of)
    assert [words for words in named if words not in said] == []
    assert said.count(", the ") + said.count(", data key") == len(named) - 1
    assert "secret@" not in said


def test_of_many_a_few_are_named() -> None:
    said = dropped(docker(*(f"{'x' * 300}-{number}.example.com" for number in range(500))))
    assert said.endswith(", and more")
    assert said.count("the login for") == 5
    assert len(said) < 500


def test_each_registry_of_the_resource_keeps_its_login() -> None:
    assert dropped(docker(HOST, OTHER), additional_registries=[OTHER]) == ""


def test_a_login_for_part_of_a_host_does_not_stand_for_the_host() -> None:
    assert dropped(docker(HOST), ecr_registry=f"{HOST}/team") == f'the login for "{HOST}"'


REPOSITORY: Final = {"url": URL, "username": "AWS", "password": "p", "name": "charts", "type": "helm"}


@pytest.mark.parametrize(
    ("of", "said"),
    [
        pytest.param(secret("Opaque", REPOSITORY), "", id="the same repository"),
        pytest.param(
            secret("Opaque", REPOSITORY | {"url": f"{URL}/", "sshPrivateKey": "k"}), "", id="and what stays"
        ),
        pytest.param(
            secret("Opaque", REPOSITORY | {"url": "https://u:t@git.example.com/x"}),
            'the login for "git.example.com/x"',
            id="another one",
        ),
        pytest.param(
            secret("Opaque", {"url": b"\xff"}),
            "data key url, which can't be read",
            id="one that can't be read",
        ),
        pytest.param(
            secret("Opaque", {"username": "u", "password": "p", "host": "db"}),
            'data key "password", data key "username"',
            id="somebody's database",
        ),
        pytest.param(
            secret("Opaque", {"name": "in-cluster", "server": "https://c", "config": "{}"}),
            'data key "name"',
            id="a cluster of Argo CD",
        ),
        pytest.param(docker("quay.io"), 'the login for "quay.io"', id="a pull secret"),
        pytest.param(docker(HOST), f'the login for "{HOST}"', id="of the same host too"),
        pytest.param(
            secret("kubernetes.io/basic-auth", {"username": "u"}), 'data key "username"', id="another type"
        ),
    ],
)
def test_an_argo_secret_keeps_its_repository(of: Mapping[str, Any], said: str) -> None:
    assert dropped_by_argo(of) == said
