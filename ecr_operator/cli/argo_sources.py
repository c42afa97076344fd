"""Which login Argo CD uses for the sources of an Application, by its own rules. Pure.

A `repository` Secret is for one URL and perhaps one project; without one that has a login, the `repo-creds`
Secret with the longest prefix of the URL counts. Invariant: the login of one host is for no other host,
though Argo CD would send it there. Leaves out sources in Git, charts of classic Helm repositories, and the
dependencies of charts.

Source: github.com/argoproj/argo-cd 3.1.16: util/db/repository_secrets.go, util/db/repository.go,
util/git/git.go, util/helm/client.go, util/oci/client.go.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ecr_operator.api.text import LONGEST_TEXT, base64_in, mapping_in, mappings_in, printable, text_in
from ecr_operator.cli.keyring import TAG, Image, Login, image_of, shown_key
from ecr_operator.cli.output import Result

SECRET_TYPE: Final = "argocd.argoproj.io/secret-type"  # noqa: S105 - the name of a label
_OCI: Final = "oci://"
_MOST_SOURCES: Final = 20
_MOST_NAMED: Final = 3
_LONGEST_SHOWN: Final = 100
# What semver.NewVersion accepts: such a revision is a tag, another one may select from all tags.
_VERSION: Final = re.compile(r"v?[0-9]+(\.[0-9]+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_DIGEST: Final = re.compile("[a-z0-9]+:[0-9a-f]{32,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source of an Application.

    Attributes:
        chart: empty where the source is not a chart.
        revision: `targetRevision`.
    """

    url: str
    chart: str
    revision: str

    @property
    def shown(self) -> str:
        """Its URL and chart for a message."""
        url = printable(self.url, _LONGEST_SHOWN)
        return f"{url} chart {printable(self.chart, _LONGEST_SHOWN)}" if self.chart else url


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository Secret of Argo CD.

    Attributes:
        is_prefix: it is for all URLs that begin with its own.
        project: the only one that may use it; empty for all.
        login: None where it holds none.
    """

    secret: str
    url: str
    is_prefix: bool
    project: str
    login: Login | None

    @property
    def shown(self) -> str:
        """Its name and URL for a message."""
        return f"Secret {self.secret}, url {shown_key(self.url)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The Secrets that Argo CD uses for a source.

    Attributes:
        repository: the one that has the login, or else the one of this very URL.
        others: those of this URL that are for another project.
        elsewhere: its login is for another host, so it must not be sent.
    """

    repository: Repository | None = None
    others: Sequence[Repository] = ()
    elsewhere: bool = False


def sources_of(application: Mapping[str, Any]) -> list[Source]:
    """The sources of an Application; Argo CD ignores `source` where there are `sources`."""
    spec = mapping_in(application, "spec")
    several = list(mappings_in(spec, "sources"))[:_MOST_SOURCES]
    return [
        Source(
            url=text_in(each, "repoURL", LONGEST_TEXT) or "",
            chart=text_in(each, "chart", LONGEST_TEXT) or "",
            revision=text_in(each, "targetRevision", LONGEST_TEXT) or "",
        )
        for each in several or [mapping_in(spec, "source")]
    ]


def artifact_of(source: Source) -> Image | None:
    """What Argo CD pulls from an OCI registry; None for a source that is not in one, or not valid."""
    is_oci = source.url.lower().startswith(_OCI)
    if is_oci == bool(source.chart) or (not is_oci and "://" in source.url):
        return None
    name = source.url[len(_OCI) :] if is_oci else f"{source.url.rstrip('/')}/{source.chart}"
    is_exact = _DIGEST.fullmatch(source.revision) or _VERSION.fullmatch(source.revision)
    # Of OCI artifacts the revision may be any tag.
    is_tag = is_oci and TAG.fullmatch(source.revision)
    reference = source.revision.replace("+", "_") if is_exact or is_tag else ""
    return image_of(name, reference)


def read_repository(name: str, secret: Mapping[str, Any]) -> Repository:
    """Read a repository Secret."""
    data = mapping_in(secret, "data")
    url, project, username, password = (
        base64_in(data.get(key)) or "" for key in ("url", "project", "username", "password")
    )
    login = Login(secret=name, key=url, username=username, password=password)
    return Repository(
        secret=name,
        url=url,
        is_prefix=mapping_in(mapping_in(secret, "metadata"), "labels").get(SECRET_TYPE) == "repo-creds",
        project=project,
        login=login if username or password else None,
    )


def find(repositories: Sequence[Repository], source: Source, project: str) -> Found:
    """The Secrets that Argo CD uses for a source of an Application of a project."""
    same = [each for each in repositories if not each.is_prefix and _is_same(each.url, source.url)]
    own = [each for each in same if each.project in (project, "")]
    # The project's own one first.
    used = min(own, key=lambda each: not each.project, default=None)
    if used is None or used.login is None:
        used = _longest(repositories, source.url) or used
    elsewhere = used is not None and _authority(used.url) != _authority(source.url)
    others = [each for each in same if each not in own]
    return Found(repository=used, others=others, elsewhere=elsewhere)


def not_in_a_registry(source: Source) -> Result:
    """The result for a source without an artifact: bad for a mistake, not for Git."""
    is_oci = source.url.lower().startswith(_OCI)
    if source.chart and is_oci:
        text = "Argo CD does not find a chart in a repoURL with oci://"
        return Result("bad", "source", text, "remove oci:// from repoURL and from the url of the Secret")
    if not source.chart and not is_oci:
        return Result("optional", "source", "not in an OCI registry")
    if "://" in source.url and not is_oci:
        return Result("optional", "source", "a classic Helm repository, not an OCI registry")
    return Result("bad", "source", "is not a valid name of an artifact", "correct repoURL or chart")


def elsewhere_result(used: Repository, source: Source) -> Result:
    """A login that Argo CD would send to a host that it is not for."""
    text = f"{used.shown}, is for another host; Argo CD would send its login to {source.shown}"
    return Result("bad", "login", text, "limit sourceRepos of the projects; the login was not sent")


def no_login_result(repositories: Sequence[Repository], found: Found, source: Source, project: str) -> Result:
    """Why Argo CD uses no login for a source."""
    if found.repository:
        return Result("bad", "login", f"{found.repository.shown}, holds no login", "add one to it")
    if found.others:
        other = found.others[0]
        text = f"{other.shown}, is for project {printable(other.project, _LONGEST_SHOWN)} only"
        advice = f"remove its project, or use that for the Application ({project})"
        return Result("bad", "login", text, advice)
    same_host = [each for each in repositories if _authority(each.url) == _authority(source.url)]
    if same_host:
        urls = ", ".join(each.shown for each in same_host[:_MOST_NAMED])
        advice = "make url and repoURL equal, with or without oci://, or use credential_scope: repo-creds"
        return Result("bad", "login", f"no repository Secret has this URL; there is {urls}", advice)
    advice = "create an ArgoHelmRepoSecret with this url in Argo CD's own namespace"
    return Result("bad", "login", "no repository Secret has this URL", advice)


def _longest(repositories: Sequence[Repository], url: str) -> Repository | None:
    """The `repo-creds` Secret with the longest URL that begins this one."""
    prefixes = [each for each in repositories if each.is_prefix and _normal(each.url)]
    begun = [each for each in prefixes if _normal(url).startswith(_normal(each.url))]
    return max(begun, key=lambda each: len(_normal(each.url)), default=None)


def _authority(url: str) -> str:
    """Host and port."""
    return url.strip().lower().removeprefix(_OCI).partition("/")[0]


def _is_same(left: str, right: str) -> bool:
    return bool(left) and (_normal(left) or left) == (_normal(right) or right)


def _normal(url: str) -> str:
    """The URL as Argo CD compares it; empty where Go can't parse it."""
    # Go refuses a colon in what begins with a digit and has no scheme.
    return "" if re.match("[0-9][^/]*:", url.strip()) else url.strip().lower().removesuffix(".git")
