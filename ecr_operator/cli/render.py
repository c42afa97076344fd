"""`render`: prints the Secrets that would be written; no cluster and, unless tokens are shown, no AWS."""

import base64
import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.errors import OperatorError
from ecr_operator.api.identity import IdentityPolicy
from ecr_operator.api.kinds import API_VERSION, CLUSTER, KINDS, SPECS, NamespaceLabels, Namespaces
from ecr_operator.api.names import is_name
from ecr_operator.api.namespaces import NamespaceSelection
from ecr_operator.api.parsing import parse_resource
from ecr_operator.api.tenancy import TenancyPolicy, refuse_prefix
from ecr_operator.api.text import LONGEST_NAME, excerpt, mapping_in, text_in
from ecr_operator.api.token import RegistryToken
from ecr_operator.cli.output import CommandError, Terminal, printable
from ecr_operator.core import outcomes
from ecr_operator.core.kept_fields import KEPT_FIELDS
from ecr_operator.core.manifest import generated_secret
from ecr_operator.core.ports import Clock, TokenIssuer
from ecr_operator.settings.commands import Render
from ecr_operator.settings.values import is_namespace

_STANDARD_INPUT: Final = "-"
_NAMESPACE: Final = "default"
_PLACEHOLDER: Final = "TOKEN-NOT-SHOWN"
_LIFE: Final = timedelta(hours=12)
_MOST_NAMED: Final = 10  # namespaces in a note
_FORMS: Final = {"In": "{} in ({})", "NotIn": "{} notin ({})", "Exists": "{}", "DoesNotExist": "!{}"}
# The API server assigns the real one.
_UID: Final = "00000000-0000-0000-0000-000000000000"

Manifest = Mapping[str, Any]


async def run(command: Render, terminal: Terminal, clock: Clock) -> int:
    """Print the Secrets for the resources in the files.

    Returns:
        0 if there are resources and none has a mistake, else 1.

    Raises:
        CommandError: a file can't be read, or a token needs the cluster and it can't be reached.
    """
    rendering = _Rendering(command, terminal, clock)
    async with AsyncExitStack() as stack:
        resources = list(rendering.resources())
        issuer = await _issuer(command, resources, clock, stack) if command.show_token else None
        secrets = [await rendering.secret(resource, issuer, resources) for resource in resources]
    rendering.write([secret for secret in secrets if secret])
    return 0 if resources and not rendering.failed else 1


@dataclass(slots=True)
class _Rendering:
    command: Render
    terminal: Terminal
    clock: Clock
    failed: bool = False

    def resources(self) -> Iterator[Resource]:
        """The resources in all files; reports other manifests and mistakes."""
        given, count = self.command.place.namespace or "", 0
        for file in self.command.files:
            for manifest in manifests(read(file), file):
                if other := not_ours(manifest):
                    self.terminal.note(f"Skipped {other}.")
                    continue
                count += 1
                resource = resource_of(manifest, given or _NAMESPACE)
                for field in unknown_fields(manifest):
                    self._fail(resource, field)
                if resource.problem:
                    self._fail(resource, f"{resource.problem.reason}: {resource.problem.message}")
                if resource.desired and (served := resource.desired.namespaces):
                    namespaces = Namespaces.model_validate(manifest["spec"]["namespaces"])
                    namespace = given or example(namespaces, served)
                    resource = resource.part(replace(resource.key, namespace=namespace), {})
                    self._note(resource, coverage(namespaces, resource.key.namespace))
                yield resource
        if not count:
            self.terminal.note("The input has no resource of this operator.")

    async def secret(
        self, resource: Resource, issuer: TokenIssuer | None, others: Sequence[Resource]
    ) -> dict[str, Any] | None:
        """The Secret for a resource; None, with a report, where none would be created."""
        desired = resource.desired
        if desired is None:
            return None
        if reason := refusal(resource):
            self._fail(resource, reason)
            return None
        for note in notes(resource, desired, others):
            self._note(resource, note)
        try:
            tokens = await self._tokens(desired, issuer)
        except OperatorError as error:
            self._fail(resource, f"{error.reason}: {error.message}")
            return None
        return generated_secret(desired, tokens)

    async def _tokens(self, desired: Desired, issuer: TokenIssuer | None) -> dict[str, RegistryToken]:
        if issuer is None:
            now = self.clock.now()
            token = RegistryToken(password=_PLACEHOLDER, issued_at=now, expires_at=now + _LIFE)
            return {login.key: token for login in desired.logins}
        issued = {source: await issuer.issue(source) for source in desired.sources}
        return {login.key: issued[login.source] for login in desired.logins}

    def write(self, secrets: Sequence[dict[str, Any]]) -> None:
        """Print the Secrets as JSON, or as YAML with the decoded data below each."""
        output = self.command.output
        if output == "json":
            whole = {"apiVersion": "v1", "kind": "List", "items": secrets}
            self.terminal.write_data(secrets[0] if len(secrets) == 1 else whole, output)
            return
        for number, secret in enumerate(secrets):
            if number:
                self.terminal.write("---")
            self.terminal.write_data(secret, output)
            self.terminal.write("# Decoded data:")
            for key, value in secret["data"].items():
                self.terminal.write(f"#   {key}: {printable(base64.b64decode(value).decode())}")

    def _fail(self, resource: Resource, message: str) -> None:
        self.failed = True
        self._note(resource, message)

    def _note(self, resource: Resource, message: str) -> None:
        key = resource.key
        self.terminal.note(f"{key.cluster if key.is_part else key}: {message}")


async def _issuer(
    command: Render, resources: Sequence[Resource], clock: Clock, stack: AsyncExitStack
) -> TokenIssuer:
    """Asks AWS, by way of the cluster where a resource refers to an identity there."""
    from ecr_operator.aws.ecr import EcrTokenIssuer  # noqa: PLC0415 - takes time to load

    sources = [source for each in resources if each.desired for source in each.desired.sources]
    tenants = None
    if any(source.identity.source != "operator" for source in sources):
        from ecr_operator.cli.cluster import connected  # noqa: PLC0415 - the same
        from ecr_operator.kube.identity_objects import KubeIdentityObjects  # noqa: PLC0415 - the same

        tenants = KubeIdentityObjects(await stack.enter_async_context(connected(command.place)))
    # The user's own identity: the operator's limits on roles don't apply to it.
    policy = IdentityPolicy(permitted_roles=("*",))
    issuer = EcrTokenIssuer(clock, tenants, policy, regions=lambda: [source.region for source in sources])
    return await stack.enter_async_context(issuer)


def read(file: str) -> str:
    """Read a file, or standard input for `-`.

    Raises:
        CommandError: it can't be read.
    """
    try:
        data = sys.stdin.buffer.read() if file == _STANDARD_INPUT else Path(file).read_bytes()
        return data.decode()
    except OSError as error:
        raise CommandError(f"Can't read {printable(file)}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{printable(file)} is not a UTF-8 text file.") from None


def manifests(text: str, file: str) -> Iterator[Manifest]:
    """The manifests in YAML or JSON, also those of several documents and of lists as kubectl prints them.

    Raises:
        CommandError: the text is not YAML, or holds something else than objects.
    """
    name = printable(file)
    try:
        for document in yaml.safe_load_all(text):
            if document is not None:
                yield from _items(document, name)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CommandError(f"{name}{line}: {printable(error.problem or 'not valid YAML')}.") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise CommandError(f"{name} is not valid YAML.") from None


def _items(document: object, file: str) -> Iterator[Manifest]:
    if not isinstance(document, Mapping):
        raise CommandError(f"{file} contains something other than Kubernetes manifests.")
    items = document.get("items")
    if isinstance(items, list) and str(document.get("kind", "")).endswith("List"):
        for item in items:
            yield from _items(item, file)
    else:
        yield document


def not_ours(manifest: Manifest) -> str:
    """Describe a manifest that is not a resource of this operator; empty for one that is."""
    kind, version = manifest.get("kind"), manifest.get("apiVersion")
    if kind in KINDS and version == API_VERSION:
        return ""
    expected = f"expected apiVersion {API_VERSION}" if kind in KINDS else "not a kind of this operator"
    return f"{excerpt(str(kind))} of {excerpt(str(version))}: {expected}"


def resource_of(manifest: Manifest, namespace: str) -> Resource:
    """Parse a manifest as the operator parses the resource that the API server makes of it.

    Args:
        manifest: of one of our kinds; its metadata may hold anything.
        namespace: of a manifest without one; a ClusterSecret has none, as the API server ignores it.

    Raises:
        CommandError: it has no valid name or namespace.
    """
    kind, given = manifest["kind"], mapping_in(manifest, "metadata")
    name, uid = (text_in(given, key, LONGEST_NAME) for key in ("name", "uid"))
    place = "" if kind == CLUSTER else given.get("namespace") or namespace
    if not name or not is_name(name):
        raise CommandError(f"A {kind} has no valid metadata.name.")
    if kind != CLUSTER and (not isinstance(place, str) or not is_namespace(place)):
        raise CommandError(f"{kind} {name}: {excerpt(str(place))} is not a valid namespace name.")
    metadata = {
        "name": name,
        "namespace": place,
        "uid": uid or _UID,
        "generation": 1,
        "annotations": given.get("annotations"),
    }
    return parse_resource(kind, {"metadata": metadata, "spec": manifest.get("spec")})


def example(namespaces: Namespaces, served: NamespaceSelection) -> str:
    """The namespace for which the Secret of a ClusterSecret is shown: the first one that it names itself."""
    named = (name for name in namespaces.names or () if is_namespace(name) and served.serves(name, {}))
    return next(named, _NAMESPACE)


def coverage(namespaces: Namespaces, shown: str) -> str:
    """In which namespaces a ClusterSecret would write; only the cluster knows which ones these are."""
    labels = _selector(namespaces.selector) if namespaces.selector else None
    ways = [f"with the labels {labels}"] if labels else []
    if namespaces.names:
        ways.append(f"named {_some(namespaces.names)}")
    where = "all namespaces" if labels == "" else f"each namespace {' or '.join(ways)}"
    excluded = f", except {_some(namespaces.exclude)}" if namespaces.exclude else ""
    return f"The Secret is shown for namespace {shown}. There would be one in {where}{excluded}."


def _selector(labels: NamespaceLabels) -> str:
    """As kubectl's `-l` has it; empty for every namespace."""
    equal = [f"{key}={value}" for key, value in (labels.matchLabels or {}).items()]
    others = [
        _FORMS[each.operator].format(each.key, ",".join(each.values or ()))
        for each in labels.matchExpressions or ()
    ]
    return ",".join(equal + others)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def unknown_fields(manifest: Manifest) -> list[str]:
    """Report the fields of the spec that the API server would drop."""
    kind, spec = manifest["kind"], manifest.get("spec")
    namespaces = mapping_in(spec, "namespaces") if kind == CLUSTER else {}
    levels: list[tuple[str, object, type[BaseModel]]] = [
        ("spec", spec, SPECS[kind]),
        ("spec.namespaces", namespaces, Namespaces),
        ("spec.namespaces.selector", mapping_in(namespaces, "selector"), NamespaceLabels),
    ]
    return [message for level in levels for message in _unknown(kind, *level)]


def _unknown(kind: str, path: str, given: object, model: type[BaseModel]) -> Iterator[str]:
    known = model.model_fields
    for name in [each for each in given if each not in known] if isinstance(given, Mapping) else ():
        others = [other for other in KINDS if path == "spec" and name in SPECS[other].model_fields]
        if others:
            yield f"spec.{name} is not a field of {kind}, but of {' and '.join(others)}."
            continue
        near = difflib.get_close_matches(str(name), known, n=1)
        advice = f"; did you mean {near[0]}?" if near else "."
        yield f"{path}.{printable(str(name))} is not a known field{advice}"


def refusal(resource: Resource) -> str:
    """Why no Secret would be created, beyond the mistakes in the spec; empty if one would be."""
    desired = resource.desired
    if desired is None:
        return ""
    if resource.key.is_cluster:
        return "No Secret is created until spec.namespaces is corrected. Existing ones stay."
    if error := refuse_prefix(TenancyPolicy(), desired):
        return f"{error.reason}: {error.message}"
    if desired.may_use_defaults or desired.suspended:
        return ""
    return "No Secret is created until this is corrected. An existing one keeps its settings and is renewed."


def notes(resource: Resource, desired: Desired, others: Sequence[Resource]) -> Iterator[str]:
    """What to know about the Secret of a resource, given the others beside it."""
    if fields := ", ".join(f"spec.{field}" for field in sorted(desired.invalid_fields & KEPT_FIELDS)):
        yield f"An existing Secret keeps what it has for {fields}; the one shown is new."
    login = resource.argo_login
    twins = (each.key for each in others if login and each.argo_login == login and each.key != resource.key)
    if desired.unusable is None and (hint := outcomes.hint(desired, next(twins, None))):
        yield hint
    if desired.suspended:
        yield "spec.suspend is true, so nothing would be written."
