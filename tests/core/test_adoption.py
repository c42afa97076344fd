"""What a foreign Secret would lose by being adopted."""

# ruff: noqa: S106 - a form of Secrets

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ecr_operator.core.adoption import losses
from tests.builders import HOST, cases, desired, resource

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


def old_form(host: str) -> dict[str, Any]:
    return secret("kubernetes.io/dockercfg", {".dockercfg": json.dumps({host: LOGIN})})


def opaque(**data: str | bytes) -> dict[str, Any]:
    return secret("Opaque", data)


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
    "its own host, in the old form": old_form(HOST),
    "its own host, in another type": secret("Opaque", {".dockerconfigjson": config(HOST)}),
    "its own host, immutable": docker(HOST) | {"immutable": True},
}


@cases("of", LOSSLESS)
def test_nothing_is_lost(of: Mapping[str, Any]) -> None:
    assert dropped(of) == ""


HELPER: Final = secret(DOCKER, {".dockerconfigjson": config(credHelpers={"gcr.io": "gcloud"})})
MIXED: Final = secret("Opaque", {".dockerconfigjson": config(HOST, "quay.io"), "ca.crt": "c"})
CERTIFICATE: Final = secret("kubernetes.io/tls", {"tls.crt": "c", "tls.key": "k"})
QUAY: Final = 'login for "quay.io"'
INDEX: Final = "https://index.docker.io/v1/"
LOSSES: Final[dict[str, tuple[dict[str, Any], list[str]]]] = {
    "logins for other registries": (docker(HOST, INDEX, "quay.io"), [f'login for "{INDEX}"', QUAY]),
    "another account": (docker(OTHER), [f'login for "{OTHER}"']),
    "another port": (docker(f"{HOST}:8443"), [f'login for "{HOST}:8443"']),
    "a helper": (HELPER, ['login for "gcr.io"']),
    "never the login in a key": (docker("u:secret@quay.io"), [QUAY]),
    "the old form": (old_form("quay.io"), [QUAY]),
    "all of another type": (MIXED, [QUAY, 'data key "ca.crt"']),
    "all that is immutable": (docker(HOST, extra="value") | {"immutable": True}, ['data key "extra"']),
    "a certificate": (CERTIFICATE, ['data key "tls.crt"', 'data key "tls.key"']),
    **{
        name: (
            secret(DOCKER, {".dockerconfigjson": text}),
            ['data key ".dockerconfigjson", which can\'t be read'],
        )
        for name, text in UNREADABLE.items()
    },
}


@cases("of, named", LOSSES)
def test_each_loss_is_named(of: Mapping[str, Any], named: list[str]) -> None:
    found = dropped(of)
    assert [words for words in named if words not in found] == []
    assert found.count(", the ") + found.count(", data key") == len(named) - 1
    assert "secret@" not in found


@cases("hosts, lost", {"own": ((HOST,), ""), "others": ((HOST, "quay.io"), 'the login for "quay.io"')})
def test_a_config_json_loses_the_logins_of_others(hosts: Sequence[str], lost: str) -> None:
    of = secret("Opaque", {"config.json": config(*hosts), "other": "stays"})
    assert dropped(of, secret_format="config.json") == lost


def test_at_most_five_losses_are_named() -> None:
    found = dropped(docker(*(f"{'x' * 300}-{number}.example.com" for number in range(500))))
    assert found.endswith(", and more")
    assert found.count("the login for") == 5
    assert len(found) < 500


def test_each_registry_of_the_resource_keeps_its_login_but_a_path_not_that_of_its_host() -> None:
    assert dropped(docker(HOST, OTHER), additional_registries=[OTHER]) == ""
    assert dropped(docker(HOST), ecr_registry=f"{HOST}/team") == f'the login for "{HOST}"'


REPOSITORY: Final = {"url": URL, "username": "AWS", "password": "p", "name": "charts", "type": "helm"}


GIT: Final = REPOSITORY | {"url": "https://u:t@git.example.com/x"}
ARGO_LOSSES: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "the same repository": (opaque(**REPOSITORY), ""),
    "a data key that stays": (opaque(**(REPOSITORY | {"url": f"{URL}/", "sshPrivateKey": "k"})), ""),
    "another repository": (opaque(**GIT), 'the login for "git.example.com/x"'),
    "a url that can't be read": (opaque(url=b"\xff"), "data key url, which can't be read"),
    "a database": (
        opaque(**LOGIN, host="db"),
        'data key "password", data key "username"',
    ),
    "a cluster of Argo CD": (opaque(name="in-cluster", server="https://c", config="{}"), 'data key "name"'),
    "a pull secret": (docker("quay.io"), f"the {QUAY}"),
    "a pull secret for the same host": (docker(HOST), f'the login for "{HOST}"'),
    "another type": (secret("kubernetes.io/basic-auth", {"username": "u"}), 'data key "username"'),
}


@cases("of, lost", ARGO_LOSSES)
def test_an_argo_secret_keeps_its_repository(of: Mapping[str, Any], lost: str) -> None:
    assert losses(desired(resource("ArgoHelmRepoSecret", url=URL)), of) == lost
