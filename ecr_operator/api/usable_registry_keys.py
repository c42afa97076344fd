"""Which images and charts clients use a registry key or URL for, by the clients' own rules.

The clients are the kubelet, containers/image (podman, buildah, skopeo, CRI-O, OpenShift builds) and Argo CD.
Docker's fallback to whatever precedes the first `/` doesn't count. Invariant: any text gets an answer, and no
message holds the login or the query of a key. Leaves out whether the host exists.

Sources: k8s.io/kubernetes/pkg/credentialprovider/keyring.go; go.podman.io/image/pkg/docker/config;
github.com/distribution/reference for what is an image; of github.com/argoproj/argo-cd util/git/git.go,
util/db/repository_secrets.go and reposerver/repository/repository.go, with what a real 3.1.16 did.
"""

import fnmatch
import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from ecr_operator.api.registry import EXAMPLE_HOST, host_in, split_scheme
from ecr_operator.api.text import excerpt

_MOST_SHOWN: Final = 100
_LONGEST_PART: Final = 255  # characters of a host, and of a repository's path

_PART: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_COMPONENT: Final = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST: Final = re.compile(rf"{_PART}(?:\.{_PART})*(?::[0-9]+)?")
# Without a dot, a port or a capital letter the first part of a name is an owner at Docker Hub, not a host.
# A host in lower case may have underscores, since it then passes as the beginning of a path.
_REPOSITORY: Final = re.compile(
    rf"(?=[^/]*[.:A-Z]|localhost/)(?:{_HOST.pattern}|\[[0-9A-Fa-f:]+\](?::[0-9]+)?|{_COMPONENT})"
    rf"(?:/{_COMPONENT})+"
)
_IMAGE_HOST: Final = re.compile(r"(\[.+\]|[^:]+)(?::([0-9]+))?")
_DOCKER_HUB: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

_HTTP: Final = re.compile("https?://")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_USER: Final = re.compile(r"(?:[A-Za-z0-9\-._:~!$&'()*+,;=@]|%[0-9A-Fa-f]{2})*")
_AUTHORITY: Final = re.compile(r"(?P<host>[A-Za-z0-9.*_-]+)(?::(?P<port>[0-9]*))?")
_DIGEST: Final = re.compile("@sha[0-9]+:")
_ADDRESS: Final = re.compile(r"\[(?P<host>[0-9A-Fa-f:]+)\]:(?P<port>[0-9]+)")

# ECR's name for a registry, with whatever stands for the account, and the names of its API.
_ECR: Final = re.compile(r"(?:(?P<account>.+?)\.)?dkr[.-]ecr(?:-fips)?(?:\.|$)")
_ACCOUNT: Final = re.compile(r"[0-9]{12}|\*|vpce-[a-z0-9-]+")
_API: Final = re.compile(
    r"(?:vpce-[a-z0-9-]+\.)?api\.ecr(?:-public)?(?:-fips)?\."
    r"|ecr(?:-public)?(?:-fips)?\.[a-z0-9-]+\.(?:api\.|amazonaws\.)"
)


# --- docker config -----------------------------------------------------------------------------------------


def docker_problem(key: str) -> str | None:
    """Why no reader of a docker config can use a key, and what to write instead; None where one can."""
    if problem := _ecr_problem(host_in(key)):
        return problem
    pattern, prefix = _pattern(key), _hub(_compared_host(key))
    if pattern and kubelet_serves(key, pattern.example):
        return None
    return None if containers_serves(key, f"{prefix}/app/app") else _dead_key(key)


def kubelet_serves(key: str, repository: str) -> bool:
    """Whether the kubelet uses a key for the images of a repository, given as host and path."""
    pattern = _pattern(key)
    return pattern is not None and is_repository(repository) and pattern.serves(repository)


def kubelet_place(key: str) -> tuple[bool, str]:
    """The place of a key that the kubelet uses: it tries the greatest first.

    Those of Docker Hub, the ones that begin with False, it tries only where no other serves the image.
    """
    pattern = _pattern(key)
    if pattern is None:
        return (False, "")
    host = f"[{pattern.host}]" if ":" in pattern.host else pattern.host
    return (not pattern.is_docker_hub, f"{host}{':' if pattern.port else ''}{pattern.port}{pattern.path}")


def containers_serves(key: str, repository: str) -> bool:
    """Whether containers/image uses a key for the images of a repository, given as host and path."""
    host = repository.partition("/")[0]
    # It knows no IPv6 addresses, and capital letters alone don't make a host.
    if not is_repository(repository) or not _HOST.fullmatch(host) or not re.search("[.:]|^localhost$", host):
        return False
    is_above = repository == key or repository.startswith(f"{key}/")
    return len(repository) <= _LONGEST_PART and (is_above or _hub(_compared_host(key)) == _hub(host))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """What the kubelet reads in a key: globs for the labels of a host, a port, the beginning of a path."""

    host: str
    port: str
    path: str
    is_docker_hub: bool

    @property
    def example(self) -> str:
        """An image that it would match, if any does."""
        port = f":{self.port}" if self.port else ""
        # Without a dot and a port only capital letters make it a host.
        host = self.host.replace("*", "0" if port or "." in self.host else "A")
        host = f"[{host}]" if ":" in host else host
        # Behind a letter or digit a path is sure to go on only with a new component.
        slash = "/" if not self.path or self.path[-1].isalnum() else ""
        return f"{'docker.io' if self.is_docker_hub else host}{port}{self.path}{slash}app/app"

    def serves(self, repository: str) -> bool:
        """Whether it matches the repository of an image."""
        authority, _, path = repository.partition("/")
        if self.is_docker_hub and (authority == "docker.io" or not {".", ":"} & set(authority)):
            return True
        found = _IMAGE_HOST.fullmatch(authority)
        if found is None or (found[2] or "") != self.port or not f"/{path}".startswith(self.path):
            return False
        host = found[1].strip("[]") if self.port else found[1]
        globs, labels = self.host.split("."), host.split(".")
        return len(globs) == len(labels) and all(map(fnmatch.fnmatchcase, labels, globs))


def _pattern(key: str) -> _Pattern | None:
    """Read a key as the kubelet does: twice as a URL, in between without a leading `/v1` or `/v2`."""
    if (first := _go_url(key if _HTTP.match(key) else f"https://{key}")) is None:
        return None
    authority, path = first
    path = path[3:] if path.startswith(("/v1/", "/v2/")) else path
    if (second := _go_url(f"https://{authority}{'' if path == '/' else path}")) is None:
        return None
    authority, path = second
    found = _ADDRESS.fullmatch(authority) or _AUTHORITY.fullmatch(authority)
    if (
        found is None
        or len(authority) > _LONGEST_PART
        or (authority[0] == "[" and not _is_ipv6(found["host"]))
    ):
        return None
    is_docker_hub = authority + path == "index.docker.io"
    return _Pattern(host=found["host"], port=found["port"] or "", path=path, is_docker_hub=is_docker_hub)


def _go_url(url: str) -> tuple[str, str] | None:
    """Host with port, and the decoded path, as Go's net/url reads them; None where it refuses the URL."""
    rest, _, fragment = url.partition("#")
    authority, slash, path = rest.partition("?")[0].partition("://")[2].partition("/")
    user, _, host = authority.rpartition("@")
    if _CONTROL.search(rest) or _BAD_ESCAPE.search(path + fragment) or not _USER.fullmatch(user):
        return None
    return host, unquote(slash + path)


def _compared_host(key: str) -> str:
    """What containers/image compares with the host of an image: of a URL, what precedes the first slash."""
    bare = key.removeprefix("http://").removeprefix("https://")
    return key if bare == key else bare.partition("/")[0]


def _hub(host: str) -> str:
    return "docker.io" if host in _DOCKER_HUB else host


def is_repository(name: str) -> bool:
    """Whether it is the full name of a repository; at Docker Hub docker.io, owner and name."""
    host, _, path = name.partition("/")
    is_short = host == "index.docker.io" or (host == "docker.io" and "/" not in path)
    return len(path) <= _LONGEST_PART and not is_short and _REPOSITORY.fullmatch(name) is not None


def _is_ipv6(text: str) -> bool:
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _dead_key(key: str) -> str:
    """Why neither the kubelet nor containers/image can use a key, and what to write."""
    host = host_in(_DIGEST.split(key)[0])
    instead = _shown(host) if _HOST.fullmatch(host) and "." in host else f"for example {EXAMPLE_HOST}"
    if "," in key:
        instead = "one registry in ecr_registry and the others in additional_registries"
    subject = f"The registry {_shown(host)}" if host else "The registry"
    effect = "so that neither the kubelet nor podman finds its login for any image"
    return f"{subject} {_flaw(key, host)}, {effect}: write {instead}."


def _flaw(key: str, host: str) -> str:
    scheme, rest = split_scheme(key)
    authority, _, path = rest.partition("/")
    flaws = (
        (not host, "contains no host"),
        (scheme and not _HTTP.match(key), f"begins with {_shown(scheme)}"),
        ("," in rest, "contains a comma"),
        (_DIGEST.search(rest) or re.search("(?:^|/)[^/@]*:", path), "contains a tag or a digest"),
        (authority.endswith("."), "ends with a dot"),
        (len(host) > _LONGEST_PART or not _HOST.fullmatch(host.replace("*", "A")), "is not a host name"),
        (re.search(":(?![0-9]+$)", authority), "has a port that is not a number"),
        ("." not in host and ":" not in authority, "has neither a dot nor a port"),
        (re.search("[A-Z]", path), "has capital letters in its path"),
        ("//" in rest, "has two slashes in a row"),
    )
    return next(
        (flaw for applies, flaw in flaws if applies), "has a path that no repository name can begin with"
    )


# --- Argo CD ------------------------------------------------------------------------------------------------

_NO_PATH: Final = (
    "Without a repository in the url Argo CD does not use the login for OCI artifacts. Use "
    "oci://HOST/PATH, HOST for Helm charts, or credential_scope: repo-creds for the whole host."
)
_SLASH: Final = (
    "Argo CD uses the login only for sources and chart dependencies whose URL also ends with a slash: remove "
    "it from the url."
)
_SLASH_PREFIX: Final = (
    "Argo CD uses the login only for URLs that continue after the slash at the end, not for the url without "
    "it."
)
_PORT: Final = (
    "With a port and credential_scope: repo-creds Argo CD uses the login only for chart dependencies, not "
    "for the repoURL of an Application: remove the port, or use credential_scope: repository."
)
_OCI_ONLY: Final = (
    "Argo CD uses the login only for OCI sources (repoURL with oci://); for Helm sources (repoURL and chart) "
    "and chart dependencies remove oci:// from the url."
)
_HELM_ONLY: Final = (
    "Argo CD uses the login only for Helm sources (repoURL and chart) and chart dependencies; for OCI "
    "sources add oci:// to the url."
)


def argo_problem(url: str) -> str | None:
    """Why Argo CD never uses the login of a repository Secret with this URL, and what to write instead."""
    host = host_in(url)
    if problem := _ecr_problem(host):
        return problem
    scheme, rest = split_scheme(url)
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        return f"Argo CD can't use a url that contains a login: write {_shown(host)}, without the login."
    if scheme and scheme.lower() != "oci://":
        return (
            f"Argo CD uses no login for OCI registries if the url begins with {_shown(scheme)}: write "
            f"{_shown(host)} for Helm charts, oci://{_shown(host)} for OCI artifacts."
        )
    if _HOST.fullmatch(authority):
        return None
    return (
        f"Argo CD finds no chart under this url, since {_shown(authority)} is not a host name: write for "
        f"example {EXAMPLE_HOST}."
    )


def argo_hint(url: str, *, scope: str, repo_type: str) -> str:
    """Which sources find the login, where they are not those that the spec suggests; else empty.

    Args:
        url: `spec.url`, without an `argo_problem`.
        scope: `repository` for this very URL, `repo-creds` for all that begin with it.
        repo_type: `helm` or `oci`.
    """
    is_oci, is_prefix = url.lower().startswith("oci://"), scope == "repo-creds"
    bare = url[len("oci://") :] if is_oci else url
    if is_oci and not is_prefix and "/" not in bare.strip("/"):
        return _NO_PATH
    hints = (
        (url.endswith("/"), _SLASH_PREFIX if is_prefix else _SLASH),
        # Go's url.Parse refuses a colon in what begins with a digit and has no scheme.
        (is_prefix and re.match("[0-9][^/]*:", url), _PORT),
        (is_oci and repo_type == "helm", _OCI_ONLY),
        (not is_oci and repo_type == "oci", _HELM_ONLY),
    )
    return " ".join(text for applies, text in hints if applies)


# --- both ---------------------------------------------------------------------------------------------------


def _ecr_problem(host: str) -> str | None:
    """Why a host of ECR is not a registry."""
    if _API.match(host):
        return f"{_shown(host)} is a host of ECR's API, not a registry: write for example {EXAMPLE_HOST}."
    ecr = _ECR.match(host)
    if ecr is None or _ACCOUNT.fullmatch(account := ecr["account"] or ""):
        return None
    counted = f", not {len(account)}" if account.isdigit() else ""
    return (
        f"The registry host {_shown(host)} does not begin with an AWS account: write its 12 digits{counted}, "
        f"for example {EXAMPLE_HOST}."
    )


def _shown(text: str) -> str:
    """Part of a key in a message: unquoted if it is plain and short."""
    is_plain = len(text) <= _MOST_SHOWN and re.fullmatch(r"[A-Za-z0-9.*:/_\[\]-]+", text)
    return text if is_plain else excerpt(text, _MOST_SHOWN)
