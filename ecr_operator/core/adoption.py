"""What a foreign Secret would lose by being adopted.

Invariant: what can't be read counts as a loss; a message contains no value, and few keys.
Leaves out: data keys that stay, since a server-side apply changes only those that it names. None stays where
the Secret must be deleted and created again, because its type differs or it is immutable.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from ecr_operator.api.desired import CONFIG_JSON, Desired
from ecr_operator.api.text import base64_in, excerpt
from ecr_operator.core.manifest import DOCKER_KEY, data_keys, secret_type

_OLD_DOCKER_KEY: Final = ".dockercfg"
_URL: Final = "url"
_MOST_NAMED: Final = 5
_LONGEST_NAMED: Final = 60


def losses(desired: Desired, secret: Mapping[str, Any]) -> str:
    """The data keys and logins that adoption would drop, in words; empty if there are none.

    Args:
        desired: the spec of the resource that adopts it.
        secret: the whole core Secret.
    """
    found = list(islice(_losses(desired, secret), _MOST_NAMED + 1))
    if len(found) > _MOST_NAMED:
        found[_MOST_NAMED:] = ["and more"]
    return ", ".join(found)


def _losses(desired: Desired, secret: Mapping[str, Any]) -> Iterator[str]:
    data = secret.get("data") or {}
    is_recreated = secret.get("type") != secret_type(desired) or bool(secret.get("immutable"))
    dropped = data.keys() if is_recreated else data.keys() & set(data_keys(desired))
    for key in sorted(dropped):
        if key in (DOCKER_KEY, _OLD_DOCKER_KEY, CONFIG_JSON):
            yield from _lost_logins(desired, key, data[key])
        elif key == _URL and desired.argo:
            yield from _lost_url(desired, data[key])
        elif not (desired.argo and _URL in data and key in data_keys(desired)):
            # Beside a url, the other keys of a repository belong to that url.
            yield f"data key {_named(key)}"


def _lost_logins(desired: Desired, key: str, value: object) -> Iterator[str]:
    try:
        config = json.loads(base64_in(value) or "")
        auths = config if key == _OLD_DOCKER_KEY else (config.get("auths") or {})
        helpers = {} if key == _OLD_DOCKER_KEY else (config.get("credHelpers") or {})
        hosts = [host for host, login in auths.items() if login] + list(helpers.keys())
    except (ValueError, TypeError, AttributeError, RecursionError):
        yield f"data key {_named(key)}, which can't be read"
        return
    kept = set() if desired.argo else {_place(login.key) for login in desired.logins}
    for host in sorted(hosts):
        # A login for a host serves all of its paths.
        if not kept & {_place(host), (_place(host)[0], "")}:
            yield f"the login for {_named(host)}"


def _lost_url(desired: Desired, value: object) -> Iterator[str]:
    url = base64_in(value)
    if url is None:
        yield f"data key {_URL}, which can't be read"
    elif url.rstrip("/") != desired.target.rstrip("/"):
        yield f"the login for {_named(url)}"


def _place(key: str) -> tuple[str, str]:
    """Host and path of a key of a docker config; `https://` and `/v2/` around a host make no difference."""
    host, _, path = key.removeprefix("https://").removeprefix("http://").partition("/")
    path = path.strip("/")
    return host.lower(), "" if path in ("v1", "v2") else path


def _named(text: str) -> str:
    # A host may have a login before it.
    return excerpt(text[text.rfind("@") + 1 :], _LONGEST_NAMED)
