"""`pull`: why an image is not pulled, by the logins that the cluster has for it and the registry's answer.

Nothing is changed and no layer is read. Leaves out what only a node knows: images that it has already, its
own logins, and its way to the registry.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.names import is_name
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.text import LONGEST_NAME, LONGEST_TEXT, format_time, mapping_in, mappings_in, text_in
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
from ecr_operator.cli.origins import Owner, origin_of, owner_of, shown_key
from ecr_operator.cli.output import CommandError, Result, Terminal, printable
from ecr_operator.core.ports import Clock
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import sanitize
from ecr_operator.kube.client import KubeClient
from ecr_operator.settings.commands import Pull
from ecr_operator.settings.proxies import Proxies

_MOST_SECRETS: Final = 50
_MOST_IMAGES: Final = 50
_PULL_FAILURES: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_REPOSITORIES: Final = f"{argo_sources.SECRET_TYPE} in (repository,repo-creds)"


async def run(command: Pull, terminal: Terminal, clock: Clock) -> int:
    """Find out whether an image would be pulled, or those of a pod or an Application.

    Returns:
        0 if all of them would be pulled, else 1.

    Raises:
        CommandError: the API server can't be reached, or there is nothing to check.
    """
    async with connected(command.place) as client, Registries(Proxies.of(os.environ)) as registries:
        pull = _Pull(client, registries, namespace_of(command.place, client), clock.now())
        match command.subject:
            case "pod":
                reports = await pull.pod(command.name)
            case "application":
                reports = await pull.application(command.name)
            case "image":
                reports = await pull.image(command.name, command.service_account)
    if command.output == "json":
        terminal.write(json.dumps([as_data(report, clock.now()) for report in reports], indent=2))
    else:
        _write(reports, terminal)
    checked = [report for report in reports if report.checked]
    return 0 if checked and all(report.pulls for report in checked) else 1


def _write(reports: Sequence[Report], terminal: Terminal) -> None:
    for number, report in enumerate(reports):
        if number:
            terminal.write()
        terminal.write_styled([(report.subject, "bold")])
        for result in report.results:
            terminal.write_result(result)
        terminal.write(report.conclusion)


class _Pull:
    """Reads one namespace; each object once."""

    def __init__(self, client: KubeClient, registries: Registries, namespace: str, now: datetime) -> None:
        self._client = client
        self._registries = registries
        self._namespace = namespace
        self._now = now
        self._secrets = dict[str, Object]()
        self._owners = dict[ResourceKey, Owner]()

    async def image(self, text: str, account: str) -> list[Report]:
        """Report on an image as a new pod of a service account would pull it."""
        await self._read_owners("Secret", CLUSTER)
        linked = await self._linked(account)
        if linked is None:
            raise CommandError(f"There is no service account {account} in namespace {self._namespace}.")
        secrets = await self._pull_secrets(linked)
        return [await self._report(text, secrets, account, f"service account {account}")]

    async def pod(self, name: str) -> list[Report]:
        """Report on each image of a pod."""
        pod = await read(self._client, paths.pods(self._namespace, name), f"pods in {self._namespace}")
        if pod is None:
            raise CommandError(f"There is no pod {name} in namespace {self._namespace}.")
        spec = mapping_in(pod, "spec")
        account = text_in(spec, "serviceAccountName", LONGEST_NAME) or "default"
        await self._read_owners("Secret", CLUSTER)
        own = list(names_of(spec))
        late = [each for each in await self._linked_now(account) if each not in own]
        secrets, late_secrets = await self._pull_secrets(own), await self._pull_secrets(late)
        failures, reports = failures_of(pod), list[Report]()
        for text in images_of(spec):
            report = await self._report(text, secrets, account, f"pod {name}", late_secrets)
            extra = [Result("optional", "kubelet", failures[text])] if text in failures else []
            reports.append(replace(report, results=[*report.results, *extra]))
        return reports

    async def application(self, name: str) -> list[Report]:
        """Report on each source of an Application of Argo CD."""
        what = f"Applications in {self._namespace}"
        found = await read(self._client, paths.applications(self._namespace, name), what)
        if found is None:
            raise CommandError(f"There is no Application {name} in namespace {self._namespace}.")
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
        owners = self._owners.values()
        results = secret_results(secrets, source, owners, found=found)
        if late and not found:
            helps = len(lookup([*secrets, *late], image)) > len(logins)
            names = [secret.name for secret in late]
            results.append(late_link_result(account, names, has_own=bool(secrets), helps=helps))
        elif not logins and not found:
            results.append(no_login_result(secrets, image, account, owners))
        results += attempt_results(attempts, image, self._now)
        return Report(subject=subject, attempts=attempts, results=results)

    async def _source_report(
        self, source: Source, repositories: Sequence[Repository], project: str
    ) -> Report:
        subject = source.shown
        image = argo_sources.artifact_of(source)
        if image is None:
            result, checked = argo_sources.not_in_a_registry(source)
            return Report(subject=subject, results=[result], checked=checked)
        found = argo_sources.find(repositories, source, project)
        if found.elsewhere:
            result = argo_sources.elsewhere_result(found, source)
            return Report(subject=subject, results=[result])
        login = found.repository.login if found.repository else None
        attempts = await self._attempts(image, [login] if login else [])
        results = []
        if login is None and not attempts[-1].found:
            results = [argo_sources.no_login_result(repositories, found, source, project)]
        results += attempt_results(attempts, image, self._now)
        return Report(subject=subject, attempts=attempts, results=results)

    async def _attempts(self, image: Image, logins: Sequence[Login]) -> list[Attempt]:
        """Try the logins until one is enough, or none without; not again where there is no answer."""
        attempts = list[Attempt]()
        tried: Sequence[Login | None] = logins or [None]
        for login in tried:
            origin = origin_of(login, self._secrets[login.secret], self._owners) if login else None
            answer = await self._registries.ask(image, login)
            attempts.append(Attempt(login=login, origin=origin, answer=answer))
            if answer.kind in ("found", "unreachable"):
                break
        return attempts

    async def _read_owners(self, *kinds: str) -> None:
        """The resources of some kinds; none where they can't be listed: less is said then."""
        with suppress(CommandError):
            found = await list_all(self._client, self._namespace, kinds)
            owners = [owner_of(kind, raw, self._now) for kind, raw in found.objects]
            self._owners = {owner.key: owner for owner in owners}

    async def _linked(self, account: str) -> list[str] | None:
        """The pull secrets of a service account; None where it does not exist."""
        path = paths.service_account(self._namespace, account)
        found = await read(self._client, path, f"service accounts in {self._namespace}")
        return None if found is None else list(names_of(found))

    async def _linked_now(self, account: str) -> list[str]:
        """The same; none where it can't be read: a pod has its own, and less is said then."""
        with suppress(CommandError):
            return await self._linked(account) or []
        return []

    async def _pull_secrets(self, names: Iterable[str]) -> list[PullSecret]:
        return [await self._pull_secret(name) for name in names]

    async def _pull_secret(self, name: str) -> PullSecret:
        if not is_name(name):
            return PullSecret(name=printable(name), flaw="has no valid name")
        try:
            path = paths.secrets(self._namespace, name)
            secret = await read(self._client, path, f"Secrets in {self._namespace}")
        except CommandError as error:
            return PullSecret(name=name, flaw=f"can't be read: {str(error).rstrip('.')}")
        if secret is None:
            return PullSecret(name=name, flaw="does not exist")
        self._secrets[name] = secret
        return read_pull_secret(name, secret)

    async def _repositories(self) -> list[Repository]:
        found = await read(
            self._client,
            paths.secrets(self._namespace),
            f"Secrets in {self._namespace}",
            (("labelSelector", _REPOSITORIES),),
        )
        self._secrets = {secret["metadata"]["name"]: secret for secret in (found or {}).get("items") or ()}
        return [argo_sources.read_repository(name, secret) for name, secret in self._secrets.items()]


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
    images = {
        text_in(each, "name", LONGEST_NAME): text_in(each, "image", LONGEST_TEXT) or ""
        for part in _CONTAINERS
        for each in mappings_in(spec, part)
    }
    found = {}
    for each in (each for part in _STATUSES for each in mappings_in(status, part)):
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
        "results": [
            {"verdict": each.verdict, "topic": each.topic, "text": each.text, "advice": each.advice}
            for each in report.results
        ],
    }


def attempt_as_data(attempt: Attempt, now: datetime) -> dict[str, Any]:
    """The same for one attempt."""
    login, origin, answer = attempt.login, attempt.origin, attempt.answer
    expires_at = origin.expires_at if origin else None
    return {
        "secret": login.secret if login else None,
        "key": login.shown_key if login else None,
        "resource": shown_key(origin.key) if origin else None,
        "expirationTime": format_time(expires_at) if expires_at else None,
        "secondsLeft": max(int((expires_at - now).total_seconds()), 0) if expires_at else None,
        "answer": answer.kind,
        "status": answer.status,
        "message": answer.message,
    }
