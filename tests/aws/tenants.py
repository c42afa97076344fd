"""What tenants have, in memory; records what is read."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ecr_operator.control.ports import NamespaceFacts
from ecr_operator.model.errors import PermanentError
from ecr_operator.model.outcome import Reason
from tests.aws.conftest import OTHER_KEY, OTHER_SECRET

T = TypeVar("T")


def web_token(subject: str) -> str:
    """Make a token that the local AWS can read; nobody checks its signature."""
    claims = json.dumps({"sub": subject, "aud": ["sts.amazonaws.com"]}).encode()
    return f"header.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.signature"


@dataclass
class Tenants:
    """Fulfils `control.ports.TenantReader`.

    Attributes:
        annotations: of namespaces, by name.
        roles: the annotation of ServiceAccounts, by `namespace/name`; one that is not here does not exist.
        secrets: data of Secrets, by `namespace/name`.
        read: what was asked, in order.
    """

    annotations: dict[str, dict[str, str]] = field(default_factory=dict)
    roles: dict[str, str | None] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(
        default_factory=lambda: {
            "team/keys": {"aws_access_key_id": OTHER_KEY, "aws_secret_access_key": OTHER_SECRET}
        }
    )
    read: list[str] = field(default_factory=list)

    async def iam_keys(self, namespace: str, name: str) -> Mapping[str, str]:
        """A Secret's data."""
        return self._find(self.secrets, "Secret", f"{namespace}/{name}")

    async def iam_keys_version(self, namespace: str, name: str) -> str | None:
        """Something that changes with a Secret's data."""
        found = self.secrets.get(f"{namespace}/{name}")
        return None if found is None else str(hash(tuple(found.items())))

    async def service_account_role(self, namespace: str, name: str) -> str | None:
        """A ServiceAccount's annotation."""
        return self._find(self.roles, "ServiceAccount", f"{namespace}/{name}")

    async def service_account_token(self, namespace: str, name: str) -> str:
        """A ServiceAccount's token."""
        self.read.append(f"token {namespace}/{name}")
        return web_token(f"system:serviceaccount:{namespace}:{name}")

    async def namespace(self, name: str) -> NamespaceFacts:
        """A namespace's annotations."""
        self.read.append(f"namespace {name}")
        return NamespaceFacts(labels={}, annotations=self.annotations.get(name, {}))

    def _find(self, among: dict[str, T], kind: str, name: str) -> T:
        self.read.append(f"{kind} {name}")
        if name not in among:
            raise PermanentError(Reason.CREDENTIALS_MISSING, f"{kind} {name} does not exist.")
        return among[name]
