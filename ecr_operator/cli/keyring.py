"""Which logins the kubelet offers for an image, by its own rules. Pure.

It makes one keyring of all pull secrets of a pod, and tries every login whose key serves the image, the most
specific key first, whichever Secret holds it. Invariant: no password is in any repr or message.
Leaves out: which keys serve an image (api.usable_registry_keys), and the logins that a node has of its own.

Sources: k8s.io/kubernetes/pkg/credentialprovider/keyring.go, config.go and secrets/secrets.go;
github.com/distribution/reference/normalize.go for the name of an image.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ecr_operator.api.text import LONGEST_TEXT, base64_in, excerpt, mapping_in, printable
from ecr_operator.api.usable_registry_keys import is_repository, kubelet_place, kubelet_serves
from ecr_operator.cli.output import without_login

DOCKER_HUB: Final = "docker.io"
_KEYS: Final = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,128}")
_IDENTIFIER: Final = re.compile("[a-f0-9]{64}")
_LONGEST_SHOWN: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image, or another artifact, in a registry.

    Attributes:
        host: of the registry, with its port; `docker.io` for Docker Hub.
        path: of the repository.
        reference: its digest, else its tag; empty where any will do.
    """

    host: str
    path: str
    reference: str

    @property
    def repository(self) -> str:
        """Host and path."""
        return f"{self.host}/{self.path}"


def parse_image(text: str) -> Image:
    """Read the name of an image as the kubelet does.

    Raises:
        ValueError: it is not valid; the message is a sentence without its full stop.
    """
    message = f"{excerpt(text, _LONGEST_SHOWN)} is not a valid image; expected HOST/REPOSITORY:TAG"
    if len(text) > LONGEST_TEXT:
        raise ValueError(message)
    rest, has_digest, digest = text.partition("@")
    before, slash, last = rest.rpartition("/")
    last, has_tag, tag = last.partition(":")
    name = f"{before}{slash}{last}"
    image = image_of(name, digest or tag or "latest")
    if (
        image is None
        or _IDENTIFIER.fullmatch(name)
        or (has_tag and not TAG.fullmatch(tag))
        or (has_digest and not _DIGEST.fullmatch(digest))
    ):
        raise ValueError(message)
    return image


def image_of(name: str, reference: str) -> Image | None:
    """The image of a name without tag and digest; None where the name is not valid."""
    host, slash, path = name.partition("/")
    if not slash or not ({".", ":"} & set(host) or host == "localhost" or host != host.lower()):
        host, path = DOCKER_HUB, name
    if host in (DOCKER_HUB, f"index.{DOCKER_HUB}"):
        host, path = DOCKER_HUB, path if "/" in path else f"library/{path}"
    return Image(host=host, path=path, reference=reference) if is_repository(f"{host}/{path}") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login in a Secret.

    Attributes:
        secret: name of the Secret.
        key: registry key of a docker config, or URL of an Argo CD repository.
    """

    secret: str
    key: str
    username: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def shown_key(self) -> str:
        """The key for a message."""
        return shown_key(self.key)


def shown_key(key: str) -> str:
    """A registry key or URL for a message: without a login or query, which it may hold, and short."""
    return printable(without_login(key).partition("?")[0], _LONGEST_SHOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSecret:
    """What the kubelet reads in a pull secret.

    Attributes:
        flaw: why it holds nothing for the kubelet; empty where it does.
        stops: because of the flaw the kubelet pulls nothing at all for the pod.
    """

    name: str
    logins: tuple[Login, ...] = ()
    flaw: str = ""
    stops: bool = False


def read_pull_secret(name: str, secret: Mapping[str, Any]) -> PullSecret:
    """Read a pull secret as the kubelet does."""
    kind = secret.get("type")
    key = _KEYS.get(kind) if isinstance(kind, str) else None
    if key is None:
        shown = printable(str(kind), _LONGEST_SHOWN)
        return PullSecret(name=name, flaw=f"is of type {shown}, which the kubelet does not read")
    value = mapping_in(secret, "data").get(key)
    if not value:
        return PullSecret(name=name, flaw=f"has no {key}")
    try:
        config = json.loads(base64_in(value) or "")
        entries = _field(config, "auths") if key == ".dockerconfigjson" else config
        logins = [_login(name, each, entry) for each, entry in _object(entries).items()]
    except (ValueError, RecursionError):
        return PullSecret(name=name, flaw=f"has a {key} that the kubelet can't parse", stops=True)
    return PullSecret(name=name, logins=tuple(logins))


def lookup(secrets: Iterable[PullSecret], image: Image) -> Sequence[Login]:
    """The logins that the kubelet tries for an image, in its order."""
    placed = [
        (kubelet_place(login.key), login)
        for secret in secrets
        for login in secret.logins
        if kubelet_serves(login.key, image.repository)
    ]
    # Stable: of equal keys the one of the Secret that is named first.
    placed.sort(key=lambda each: each[0], reverse=True)
    return [login for place, login in placed if place[0] == placed[0][0][0]]


def _login(secret: str, key: str, entry: object) -> Login:
    """Read one entry; raises ValueError for what Go's decoder refuses, and with it the whole file."""
    fields = ("username", "password", "auth", "email")
    username, password, auth, _ = (_text(_field(entry, name)) for name in fields)
    if auth:
        username, password = _decoded(auth)
    return Login(secret=secret, key=key, username=username, password=password)


def _decoded(auth: str) -> tuple[str, str]:
    bare = auth.replace("\r", "").replace("\n", "")
    # Go reads what doesn't end with = as base64 without padding.
    padding = "" if auth.strip().endswith("=") else "=" * (-len(bare) % 4)
    decoded = b64decode(bare + padding, validate=True).decode(errors="replace")
    username, colon, password = decoded.partition(":")
    if not colon:
        raise ValueError
    return username, password


def _field(value: object, name: str) -> object:
    """A field by its name in any case, as Go's decoder finds it; of several the last."""
    found = [inner for key, inner in _object(value).items() if key.lower() == name]
    return found[-1] if found else None


def _object(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - data that is not valid, not a caller's mistake
    return value


def _text(value: object) -> str:
    if not isinstance(value, str | None):
        raise ValueError  # noqa: TRY004 - the same
    return value or ""
