"""`render`: the Secrets that would be written; no cluster, and no AWS unless tokens are to be shown."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import yaml

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.errors import OperatorError
from ecr_operator.api.identity import IdentityPolicy
from ecr_operator.api.token import RegistryToken
from ecr_operator.cli import renderings
from ecr_operator.cli.documents import documents, is_ours, read, what_else
from ecr_operator.cli.terminal import Terminal
from ecr_operator.core.ports import Clock, TokenIssuer
from ecr_operator.core.secret import generated_secret
from ecr_operator.settings.commands import Render

_NAMESPACE: Final = "default"


async def run(command: Render, terminal: Terminal, clock: Clock) -> int:
    """Show what the files come to.

    Returns:
        0 if each resource in them is whole, else 1.

    Raises:
        CommandError: a file can't be read, or a token needs the cluster and there is no way to it.
    """
    rendering = _Rendering(command, terminal, clock)
    async with AsyncExitStack() as stack:
        found = list(rendering.resources())
        issuer = await _issuer(command, found, clock, stack) if command.show_token else None
        manifests = [await rendering.manifest(resource, issuer, found) for resource in found]
    rendering.show([manifest for manifest in manifests if manifest])
    return 0 if found and not rendering.flawed else 1


class _Rendering:
    def __init__(self, command: Render, terminal: Terminal, clock: Clock) -> None:
        self._command = command
        self._terminal = terminal
        self._clock = clock
        self.flawed = False

    def resources(self) -> Iterator[Resource]:
        """Read the resources in all files, with a remark for what is wrong with them."""
        none = True
        for file in self._command.files:
            for document in documents(read(file), file):
                if not is_ours(document):
                    self._terminal.complain(f"{what_else(document)}.")
                    continue
                none = False
                resource = renderings.resource_of(document, self._command.place.namespace or _NAMESPACE)
                for remark in renderings.unknown_fields(document):
                    self._complain(resource, remark)
                if resource.problem:
                    self._complain(resource, f"{resource.problem.reason}: {resource.problem.message}")
                yield resource
        if none:
            self._terminal.complain("There is no resource of this operator in it.")

    async def manifest(
        self, resource: Resource, issuer: TokenIssuer | None, others: list[Resource]
    ) -> dict[str, Any] | None:
        """The Secret for a resource; None where there would be none."""
        desired = resource.desired
        if desired is None:
            return None
        if refusal := renderings.refusal(resource):
            self._complain(resource, refusal)
            return None
        for note in renderings.notes(resource, others):
            self._terminal.complain(f"{resource.key}: {note}")
        if desired.suspended:
            self._terminal.complain(f"{resource.key}: spec.suspend is true, so nothing would be written.")
        try:
            tokens = await self._tokens(desired, issuer)
        except OperatorError as error:
            self._complain(resource, f"{error.reason}: {error.message}")
            return None
        return generated_secret(desired, tokens)

    async def _tokens(self, desired: Desired, issuer: TokenIssuer | None) -> Mapping[str, RegistryToken]:
        if issuer is None:
            return renderings.placeholders(desired, self._clock.now())
        issued = {source: await issuer.issue(source) for source in desired.sources}
        return {login.key: issued[login.source] for login in desired.logins}

    def show(self, manifests: list[dict[str, Any]]) -> None:
        """Print them, in YAML with the data in clear below each."""
        if self._command.output == "json":
            whole = {"apiVersion": "v1", "kind": "List", "items": manifests}
            self._terminal.say(json.dumps(manifests[0] if len(manifests) == 1 else whole, indent=2))
            return
        for number, manifest in enumerate(manifests):
            if number:
                self._terminal.say("---")
            self._terminal.say(yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True).rstrip())
            self._terminal.say("# The data in clear:")
            for line in renderings.decoded(manifest):
                self._terminal.say(f"#   {line}")

    def _complain(self, resource: Resource, words: str) -> None:
        self.flawed = True
        self._terminal.complain(f"{resource.key}: {words}")


async def _issuer(command: Render, found: list[Resource], clock: Clock, stack: AsyncExitStack) -> TokenIssuer:
    """Asks AWS; by way of the cluster where a resource names something there."""
    from ecr_operator.aws.ecr import EcrTokenIssuer  # noqa: PLC0415 - only where it is asked for

    sources = [source for each in found if each.desired for source in each.desired.sources]
    tenants = None
    if any(source.identity.source != "operator" for source in sources):
        from ecr_operator.cli.reading import connected  # noqa: PLC0415 - the same
        from ecr_operator.kube.tenants import KubeTenants  # noqa: PLC0415 - the same

        tenants = KubeTenants(await stack.enter_async_context(connected(command.place)))
    # Whoever runs this asks with keys of their own: the guards of the operator's identity are not for them.
    policy = IdentityPolicy(permitted_roles=("*",))
    issuer = EcrTokenIssuer(clock, tenants, policy, regions=lambda: [source.region for source in sources])
    return await stack.enter_async_context(issuer)
