"""What tenants have, in memory; records what is read."""

import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TypeVar

from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.identity import PERMITTED_ROLES
from ecr_operator.api.outcome import Reason
from ecr_operator.core.ports import KeySecret, NamespaceFacts, ServiceAccountFacts
from tests.aws.conftest import OTHER_KEY, OTHER_SECRET

T = TypeVar("T")


def web_token(subject: str) -> str:
    """Make a token that the local AWS can read; nobody checks its signature."""
    claims = json.dumps({"sub": subject, "aud": ["sts.amazonaws.com"]}).encode()
    return f"header.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.signature"


@dataclass
class Tenants:
    """Implements `core.ports.IdentityObjects`.

    Attributes:
        annotations: of namespaces, by name.
        remade: how often the thing of this name was made anew, by `kind name`; makes another uid.
        roles: the annotation of ServiceAccounts, by `namespace/name`; one that is not here does not exist.
        secrets: data of Secrets, by `namespace/name`.
        read: what was asked, in order.
        away: raised in place of any answer about a Secret or ServiceAccount.
    """

    annotations: dict[str, dict[str, str]] = field(default_factory=dict)
    roles: dict[str, str | None] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(
        default_factory=lambda: {
            "team/keys": {"aws_access_key_id": OTHER_KEY, "aws_secret_access_key": OTHER_SECRET}
        }
    )
    remade: Counter[str] = field(default_factory=Counter)
    read: list[str] = field(default_factory=list)
    away: OperatorError | None = None

    async def iam_keys(self, namespace: str, name: str) -> KeySecret:
        """A Secret's data."""
        data = self._find(self.secrets, "Secret", f"{namespace}/{name}")
        return KeySecret(uid=self._uid(f"Secret {namespace}/{name}"), data=data)

    async def service_account(self, namespace: str, name: str) -> ServiceAccountFacts:
        """A ServiceAccount's annotation."""
        role = self._find(self.roles, "ServiceAccount", f"{namespace}/{name}")
        return ServiceAccountFacts(uid=self._uid(f"ServiceAccount {namespace}/{name}"), role=role)

    async def service_account_token(self, namespace: str, name: str) -> str:
        """A ServiceAccount's token."""
        self.read.append(f"token {namespace}/{name}")
        return web_token(f"system:serviceaccount:{namespace}:{name}")

    async def namespace(self, name: str) -> NamespaceFacts:
        """A namespace's permission."""
        self.read.append(f"namespace {name}")
        permitted = self.annotations.get(name, {}).get(PERMITTED_ROLES, "")
        return NamespaceFacts(uid=self._uid(f"namespace {name}"), labels={}, permitted_roles=permitted)

    def _uid(self, what: str) -> str:
        return f"{what} {self.remade[what]}"

    def _find(self, among: dict[str, T], kind: str, name: str) -> T:
        self.read.append(f"{kind} {name}")
        if self.away:
            raise self.away
        if name not in among:
            raise PermanentError(Reason.CREDENTIALS_MISSING, f"{kind} {name} does not exist.")
        return among[name]
