"""`pull`: why an image is not pulled, by the logins that the cluster has for it and the registry's answer.

Nothing is changed and no layer is read. Leaves out what only a node knows: images that it has already, its
own logins, and its way to the registry.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.names import is_name
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.text import LONGEST_NAME, LONGEST_TEXT, mapping_in, mappings_in, text_in
from ecr_operator.cli import argo_sources
from ecr_operator.cli.argo_sources import Repository, Source
from ecr_operator.cli.cluster import Object, connected, list_all, namespace_of, read
from ecr_operator.cli.diagnosis import (
    Attempt,
    Report,
    attempt_results,
    late_link_result,
    no_login_result,
    secret_results,
)
from ecr_operator.cli.keyring import Image, Login, PullSecret, lookup, parse_image, read_pull_secret
from ecr_operator.cli.manifests import Registries
from ecr_operator.cli.origins import Owner, origin_of, owner_of
from ecr_operator.cli.output import (
    CommandError,
    Result,
    Terminal,
    printable,
    rfc3339,
    seconds_left,
    short_name,
)
from ecr_operator.core.ports import Clock
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import sanitize
from ecr_operator.kube.client import KubeClient
from ecr_operator.settings.commands import Pull

_MOST_SECRETS: Final = 50
_MOST_IMAGES: Final = 50
_PULL_FAILURES: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_REPOSITORIES: Final = f"{argo_sources.SECRET_TYPE} in (repository,repo-creds)"


async def run(command: Pull, terminal: Terminal, clock: Clock) -> int:
    """Find out whether an image would be pulled, or those of a pod or an Application.

    Returns:
        0 if all of them would be pulled, else 1.

    Raises:
        CommandError: the API server can't be reached, or there is nothing to check.
    """
    proxies = command.place.settings.proxies
    async with connected(command.place) as client, Registries(proxies) as registries:
        pull = _Pull(client, registries, namespace_of(command.place, client), clock.now())
        match command.subject:
            case "pod":
                reports = await pull.pod(command.name)
            case "application":
                reports = await pull.application(command.name)
            case "image":
                reports = await pull.image(command.name, command.service_account)
    if command.output == "json":
        terminal.write_data([as_data(report, clock.now()) for report in reports], command.output)
    else:
        _write(reports, terminal)
    checked = [report for report in reports if report.checked]
    return 0 if checked and all(report.pulls for report in checked) else 1


def _write(reports: Sequence[Report], terminal: Terminal) -> None:
    for number, report in enumerate(reports):
        if number:
            terminal.write()
        terminal.write_styled((report.subject, "bold"))
        for result in report.results:
            terminal.write_result(result)
        terminal.write(report.conclusion)


@dataclass(slots=True)
class _Pull:
    """Reads one namespace; each object once."""

    client: KubeClient
    registries: Registries
    namespace: str
    now: datetime
    secrets: dict[str, Object] = field(default_factory=dict)
    owners: dict[ResourceKey, Owner] = field(default_factory=dict)

    async def image(self, text: str, account: str) -> list[Report]:
        """Report on an image as a new pod of a service account would pull it."""
        await self._read_owners("Secret", CLUSTER)
        secrets = await self._pull_secrets(await self._linked(account))
        return [await self._report(text, secrets, account, f"service account {account}")]

    async def pod(self, name: str) -> list[Report]:
        """Report on each image of a pod."""
        pod = await self._read("pod", name, paths.pods(self.namespace, name))
        spec = mapping_in(pod, "spec")
        account = text_in(spec, "serviceAccountName", LONGEST_NAME) or "default"
        await self._read_owners("Secret", CLUSTER)
        own, linked = list(names_of(spec)), list[str]()
        # Without it less is said; the pod has its own.
        with suppress(CommandError):
            linked = await self._linked(account)
        secrets = await self._pull_secrets(own)
        late_secrets = await self._pull_secrets([each for each in linked if each not in own])
        failures, reports = failures_of(pod), list[Report]()
        for text in images_of(spec):
            report = await self._report(text, secrets, account, f"pod {name}", late_secrets)
            if text in failures:
                kubelet = Result("optional", "kubelet", failures[text])
                report = replace(report, results=[*report.results, kubelet])
            reports.append(report)
        return reports

    async def application(self, name: str) -> list[Report]:
        """Report on each source of an Application of Argo CD."""
        found = await self._read("Application", name, paths.applications(self.namespace, name))
        await self._read_owners("ArgoHelmRepoSecret")
        repositories = await self._repositories()
        project = text_in(mapping_in(found, "spec"), "project", LONGEST_NAME) or "default"
        sources = argo_sources.sources_of(found)
        return [await self._source_report(source, repositories, project) for source in sources]

    async def _report(
        self,
        text: str,
        secrets: Sequence[PullSecret],
        account: str,
        source: str,
        late: Sequence[PullSecret] = (),
    ) -> Report:
        subject = printable(text)
        try:
            image = parse_image(text)
        except ValueError as error:
            return Report(subject=subject, results=[Result("bad", "image", f"{error}")])
        logins = lookup(secrets, image)
        attempts = await self._attempts(image, logins)
        found = any(attempt.found for attempt in attempts)
        owners = self.owners.values()
        results = secret_results(secrets, source, owners, found=found)
        if late and not found:
            helps = len(lookup([*secrets, *late], image)) > len(logins)
            names = [secret.name for secret in late]
            results.append(late_link_result(account, names, has_own=bool(secrets), helps=helps))
        elif not logins and not found:
            results.append(no_login_result(secrets, image, account, owners))
        results += attempt_results(attempts, image, self.now)
        return Report(subject=subject, attempts=attempts, results=results)

    async def _source_report(
        self, source: Source, repositories: Sequence[Repository], project: str
    ) -> Report:
        subject = source.shown
        image = argo_sources.artifact_of(source)
        if image is None:
            result = argo_sources.not_in_a_registry(source)
            return Report(subject=subject, results=[result], checked=result.verdict == "bad")
        found = argo_sources.find(repositories, source, project)
        if found.repository and found.elsewhere:
            result = argo_sources.elsewhere_result(found.repository, source)
            return Report(subject=subject, results=[result])
        login = found.repository.login if found.repository else None
        attempts = await self._attempts(image, [login] if login else [])
        results = []
        if login is None and not attempts[-1].found:
            results = [argo_sources.no_login_result(repositories, found, source, project)]
        results += attempt_results(attempts, image, self.now)
        return Report(subject=subject, attempts=attempts, results=results)

    async def _attempts(self, image: Image, logins: Sequence[Login]) -> list[Attempt]:
        """Try the logins until one is enough, or none without; not again where there is no answer."""
        attempts = list[Attempt]()
        tried: Sequence[Login | None] = logins or [None]
        for login in tried:
            origin = origin_of(login, self.secrets[login.secret], self.owners) if login else None
            answer = await self.registries.ask(image, login)
            attempts.append(Attempt(login=login, origin=origin, answer=answer))
            if answer.kind in ("found", "unreachable"):
                break
        return attempts

    async def _read_owners(self, *kinds: str) -> None:
        """The resources of some kinds; none where they can't be listed: less is said then."""
        with suppress(CommandError):
            found = await list_all(self.client, self.namespace, kinds)
            owners = [owner_of(kind, raw, self.now) for kind, raw in found.objects]
            self.owners = {owner.key: owner for owner in owners}

    async def _linked(self, account: str) -> list[str]:
        """The pull secrets of a service account."""
        path = paths.service_account(self.namespace, account)
        return list(names_of(await self._read("service account", account, path)))

    async def _read(self, what: str, name: str, path: str) -> Object:
        found = await read(self.client, path, f"{what}s in {self.namespace}")
        if found is None:
            raise CommandError(f"There is no {what} {name} in namespace {self.namespace}.")
        return found

    async def _pull_secrets(self, names: Sequence[str]) -> list[PullSecret]:
        return [await self._pull_secret(name) for name in names]

    async def _pull_secret(self, name: str) -> PullSecret:
        if not is_name(name):
            return PullSecret(name=printable(name), flaw="has no valid name")
        try:
            path = paths.secrets(self.namespace, name)
            secret = await read(self.client, path, f"Secrets in {self.namespace}")
        except CommandError as error:
            return PullSecret(name=name, flaw=f"can't be read: {str(error).rstrip('.')}")
        if secret is None:
            return PullSecret(name=name, flaw="does not exist")
        self.secrets[name] = secret
        return read_pull_secret(name, secret)

    async def _repositories(self) -> list[Repository]:
        found = await read(
            self.client,
            paths.secrets(self.namespace),
            f"Secrets in {self.namespace}",
            (("labelSelector", _REPOSITORIES),),
        )
        self.secrets = {secret["metadata"]["name"]: secret for secret in (found or {}).get("items") or ()}
        return [argo_sources.read_repository(name, secret) for name, secret in self.secrets.items()]


def names_of(holder: Mapping[str, Any]) -> Iterator[str]:
    """The pull secrets that a pod's spec or a service account names; the kubelet skips empty names."""
    for each in islice(mappings_in(holder, "imagePullSecrets"), _MOST_SECRETS):
        if name := text_in(each, "name", LONGEST_NAME):
            yield name


def images_of(spec: Mapping[str, Any]) -> list[str]:
    """The images of a pod, each once: of its containers, and those that are mounted."""
    containers = [each.get("image") for part in _CONTAINERS for each in mappings_in(spec, part)]
    mounted = [mapping_in(each, "image").get("reference") for each in mappings_in(spec, "volumes")]
    found = dict.fromkeys(text for text in (*containers, *mounted) if isinstance(text, str))
    return list(islice(found, _MOST_IMAGES))


def failures_of(pod: Mapping[str, Any]) -> dict[str, str]:
    """Why the kubelet does not pull, as it reports it, by image."""
    spec, status = mapping_in(pod, "spec"), mapping_in(pod, "status")
    containers = [each for part in _CONTAINERS for each in mappings_in(spec, part)]
    images = {
        text_in(each, "name", LONGEST_NAME): text_in(each, "image", LONGEST_TEXT) or "" for each in containers
    }
    found = {}
    for each in (each for part in _CONTAINERS for each in mappings_in(status, f"{part[:-1]}Statuses")):
        waiting = mapping_in(mapping_in(each, "state"), "waiting")
        reason = text_in(waiting, "reason", LONGEST_NAME)
        if reason in _PULL_FAILURES:
            message = sanitize(f"{reason}: {waiting.get('message') or ''}")
            found[images.get(text_in(each, "name", LONGEST_NAME), "")] = message.rstrip(": ")
    return found


def as_data(report: Report, now: datetime) -> dict[str, Any]:
    """A report for programs: the fields that docs/commands.md promises."""
    return {
        "image": report.subject,
        "checked": report.checked,
        "pulls": report.pulls,
        "attempts": [attempt_as_data(attempt, now) for attempt in report.attempts],
        "results": [asdict(result) for result in report.results],
    }


def attempt_as_data(attempt: Attempt, now: datetime) -> dict[str, Any]:
    """The same for one attempt."""
    login, origin, answer = attempt.login, attempt.origin, attempt.answer
    expires_at = origin.expires_at if origin else None
    return {
        "secret": login.secret if login else None,
        "key": login.shown_key if login else None,
        "resource": short_name(origin.key) if origin else None,
        "expirationTime": rfc3339(expires_at),
        "secondsLeft": seconds_left(expires_at, now),
        "answer": answer.kind,
        "status": answer.status,
        "message": answer.message,
    }
