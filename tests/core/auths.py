"""How the readers of a docker config find the login for an image. Pure.

Which keys serve an image is the product's own rule, which test_clients.py holds against the real clients.
"""

import base64
from collections.abc import Mapping

from ecr_operator.api.client_rules import containers_serves, kubelet_serves

Auths = Mapping[str, Mapping[str, str]]
Login = tuple[str, str]


def kubelet_logins(auths: Auths, image: str) -> list[Login]:
    """Every login that the kubelet tries for an image, in its order: the longer key first.

    Args:
        auths: of the docker config; keys without a scheme.
        image: without tag or digest, with its host.
    """
    return [decode_login(auths[key]) for key in sorted(auths, reverse=True) if kubelet_serves(key, image)]


def containers_login(auths: Auths, image: str) -> Login | None:
    """The login that podman and its kin use for an image: that of the longest key, or none.

    Args:
        auths: of the docker config; keys without a scheme.
        image: without tag or digest, with its host.
    """
    keys = [key for key in auths if containers_serves(key, image)]
    return decode_login(auths[max(keys, key=len)]) if keys else None


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
