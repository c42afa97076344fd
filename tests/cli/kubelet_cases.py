"""Pull secrets and images, and what the kubelet makes of them; the real one is asked in tests/programs."""

import base64
import json
from typing import Final

from tools.registry_keys import docker_config

HOST: Final = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
GLOB: Final = "*.dkr.ecr.us-east-1.amazonaws.com"
HUB: Final = "https://index.docker.io/v1/"
CONFIG: Final = "kubernetes.io/dockerconfigjson"
OLD: Final = "kubernetes.io/dockercfg"

Secrets = list[tuple[str, str]]


def entry(value: object, key: str = HOST, kind: str = CONFIG) -> Secrets:
    """One pull secret with one entry, of any form."""
    return [(kind, json.dumps({"auths": {key: value}} if kind == CONFIG else {key: value}))]


def encoded(login: str) -> str:
    """The field `auth`."""
    return base64.b64encode(login.encode()).decode()


def keys(*secrets: str) -> Secrets:
    """A pull secret for each text of keys; the user of a login is its key, or `hub`."""
    return [docker_config({key: "hub" if key == HUB else key for key in each.split()}) for each in secrets]


# Secrets, image, and the names of the users that the kubelet tries; None where it pulls nothing.
CASES: Final[dict[str, tuple[Secrets, str, list[str] | None]]] = {
    "no secret": ([], f"{HOST}/app", []),
    "no key serves it": (keys(f"{HOST}/team *.example.com"), f"{HOST}/app", []),
    "the longest path first, whichever secret has it": (
        keys(HOST, f"{HOST}/team {GLOB}", f"{HOST}/team/app"),
        f"{HOST}/team/app:1",
        [f"{HOST}/team/app", f"{HOST}/team", HOST, GLOB],
    ),
    "of equal keys the first secret": (
        [docker_config({HOST: "first"}), docker_config({HOST: "second"})],
        f"{HOST}/app@sha256:{'0' * 64}",
        ["first", "second"],
    ),
    "equal keys in other words": (
        [docker_config({HOST: "first"}), docker_config({f"https://{HOST}/v2/": "second"})],
        f"{HOST}/app",
        ["first", "second"],
    ),
    "Docker Hub by its old name": (keys(HUB), "app", ["hub"]),
    "Docker Hub's own name excludes the old one": (keys(HUB, "docker.io"), "team/app:1", ["docker.io"]),
    "Docker Hub's library": (keys("docker.io/library"), "app", ["docker.io/library"]),
    "a host without a dot counts as Docker Hub": (keys(HUB), "localhost/app", ["hub"]),
    "a host with a dot does not": (keys(HUB), "quay.io/app", []),
    "an image with capital letters": (keys(HOST), f"{HOST}/App", None),
    "an image that is an identifier": (keys(HUB), "a" * 64, None),
    "dockercfg": (entry({"username": "old", "password": "x"}, kind=OLD), f"{HOST}/app", ["old"]),
    "another type": ([("Opaque", "not JSON")], f"{HOST}/app", []),
    "an empty file": ([(CONFIG, "")], f"{HOST}/app", []),
    "a file that is not JSON": ([*keys(HOST), (CONFIG, "{")], f"{HOST}/app", None),
    "a file that is a list": ([(CONFIG, "[]")], f"{HOST}/app", None),
    "null for auths": ([(CONFIG, '{"auths": null}')], f"{HOST}/app", []),
    "a list for auths": ([(CONFIG, '{"auths": []}')], f"{HOST}/app", None),
    "fields in capitals": (
        [(CONFIG, json.dumps({"Auths": {HOST: {"UserName": "big"}}}))],
        f"{HOST}/app",
        ["big"],
    ),
    "null for a login": (entry(None), f"{HOST}/app", [""]),
    "a text for a login": (entry("x"), f"{HOST}/app", None),
    "a number for a name": (entry({"username": 1}), f"{HOST}/app", None),
    "auth wins": (entry({"username": "a", "auth": encoded("b:x")}), f"{HOST}/app", ["b"]),
    "auth without padding": (entry({"auth": encoded("ab:x").rstrip("=")}), f"{HOST}/app", ["ab"]),
    "auth in two lines": (
        entry({"auth": f"{encoded('b:xyz')[:4]}\n{encoded('b:xyz')[4:]}"}),
        f"{HOST}/app",
        ["b"],
    ),
    "auth with a space": (entry({"auth": f"{encoded('b:xyz')} "}), f"{HOST}/app", None),
    "auth without a colon": (entry({"auth": encoded("b")}), f"{HOST}/app", None),
    "auth that is not base64": (entry({"auth": "!"}), f"{HOST}/app", None),
    "a login with a token only": (entry({"identitytoken": "x"}), f"{HOST}/app", [""]),
}
