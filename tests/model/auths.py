"""How the readers of a docker config find the login for an image, by their documents. Pure.

The kubelet: https://kubernetes.io/docs/concepts/containers/images/#config-json
Podman, buildah, skopeo, and OpenShift's builds: containers-auth.json(5). What that page does not say is how a
key with a scheme is taken: as all of its host, as docker does.
"""

import base64
import fnmatch
from collections.abc import Mapping
from urllib.parse import urlsplit

Auths = Mapping[str, Mapping[str, str]]
Login = tuple[str, str]

_SCHEMES = ("https://", "http://")


def kubelet_logins(auths: Auths, image: str) -> list[Login]:
    """Every login that the kubelet tries for an image, in its order: the longer key first.

    Args:
        auths: of the docker config.
        image: without tag or digest, with its host.
    """
    keys = sorted(((_kubelet_key(key), key) for key in auths), reverse=True)
    return [decode_login(auths[key]) for pattern, key in keys if _kubelet_matches(pattern, image)]


def containers_login(auths: Auths, image: str) -> Login | None:
    """The login that podman and its kin take for an image: the most specific key, or none.

    Args:
        auths: of the docker config.
        image: without tag or digest, with its host.
    """
    parts = image.split("/")
    for length in range(len(parts), 0, -1):
        if held := auths.get("/".join(parts[:length])):
            return decode_login(held)
    urls = [key for key in auths if key.startswith(_SCHEMES) and urlsplit(key).netloc == parts[0]]
    return decode_login(auths[urls[0]]) if urls else None


def decode_login(held: Mapping[str, str]) -> Login:
    """User and password of an entry: those in `auth` count where it is there.

    Raises:
        ValueError: `auth` is not the base64 of user, colon, password.
    """
    if not (auth := held.get("auth")):
        return held["username"], held["password"]
    user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    if not colon:
        raise ValueError("no colon in auth")
    return user, password


def _kubelet_key(key: str) -> str:
    """Without scheme; `/v1/` and `/v2/` stand for the host alone."""
    parts = urlsplit(key if key.startswith(_SCHEMES) else f"https://{key}")
    path = parts.path[3:] if parts.path.startswith(("/v1/", "/v2/")) else parts.path
    return parts.netloc.rpartition("@")[2] + ("" if path == "/" else path)


def _kubelet_matches(pattern: str, image: str) -> bool:
    """Same port, as many labels of which each matches its glob, and a path that begins with the pattern's."""
    (glob, glob_port, glob_path), (host, port, path) = _split(pattern), _split(image)
    globs, labels = glob.split("."), host.split(".")
    return (
        glob_port == port
        and len(globs) == len(labels)
        and path.startswith(glob_path)
        and all(fnmatch.fnmatchcase(label, each) for label, each in zip(labels, globs, strict=True))
    )


def _split(reference: str) -> tuple[str, str, str]:
    host, slash, path = reference.partition("/")
    name, _, port = host.partition(":")
    return name, port, slash + path
