"""From a manifest in a file to the Secret that would be written for it. Pure.

Leaves out: the tokens, of which there are placeholders here or real ones from AWS.
"""

import base64
import difflib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.kinds import SPECS
from ecr_operator.api.names import is_name
from ecr_operator.api.parsing import REFRESH_REQUESTED, parse_resource
from ecr_operator.api.tenancy import TenancyPolicy, refuse_prefix
from ecr_operator.api.text import excerpt
from ecr_operator.api.token import RegistryToken
from ecr_operator.cli.errors import CommandError
from ecr_operator.cli.rows import printable
from ecr_operator.core import outcomes
from ecr_operator.core.last_good import FIELDS
from ecr_operator.settings.values import is_namespace

PLACEHOLDER: Final = "TOKEN-NOT-SHOWN"
_LIFE: Final = timedelta(hours=12)
# The API server gives the real one.
_UID: Final = "00000000-0000-0000-0000-000000000000"


def resource_of(document: Mapping[str, Any], namespace: str) -> Resource:
    """Read a manifest as the operator would, once the API server has it.

    Args:
        document: of one of our kinds, and whatever a user may write beside that.
        namespace: for a manifest that names none.

    Raises:
        CommandError: it has no name, or one that the API server would not take.
    """
    kind, metadata = document["kind"], document.get("metadata")
    given = metadata if isinstance(metadata, Mapping) else {}
    name, place = given.get("name"), given.get("namespace") or namespace
    if not isinstance(name, str) or not is_name(name):
        raise CommandError(f"A {kind} has no metadata.name that Kubernetes would take.")
    if not isinstance(place, str) or not is_namespace(place):
        raise CommandError(f"{kind} {name}: {excerpt(str(place))} is no name of a namespace.")
    annotations = given.get("annotations")
    requested = annotations.get(REFRESH_REQUESTED) if isinstance(annotations, Mapping) else None
    known = {
        "name": name,
        "namespace": place,
        "uid": given["uid"] if isinstance(given.get("uid"), str) else _UID,
        "generation": 1,
        "annotations": {REFRESH_REQUESTED: requested} if isinstance(requested, str) else {},
    }
    return parse_resource(kind, {"metadata": known, "spec": document.get("spec")})


def refusal(resource: Resource) -> str:
    """Why there would be no Secret, beside what is wrong with the spec; empty where there would be one."""
    desired = resource.desired
    if desired is None:
        return ""
    if error := refuse_prefix(TenancyPolicy(), desired):
        return f"{error.reason}: {error.message}"
    if desired.may_create or desired.suspended:
        return ""
    return "No Secret is created until that is corrected. One that exists keeps its settings and is renewed."


def notes(resource: Resource, others: Iterable[Resource]) -> list[str]:
    """What to know of a Secret that would be written; see `outcomes.hint`.

    Args:
        resource: whose Secret it is.
        others: the resources that stand beside it.
    """
    desired = resource.desired
    if desired is None:
        return []
    found = []
    if fields := ", ".join(f"spec.{field}" for field in sorted(desired.kept & FIELDS)):
        found.append(f"A Secret that exists keeps what it has of {fields}; the one below is a new one.")
    login = resource.argo_login
    twins = (each.key for each in others if login and each.argo_login == login and each.key != resource.key)
    if desired.unusable is None and (hint := outcomes.hint(desired, next(twins, None))):
        found.append(hint)
    return found


def placeholders(desired: Desired, now: datetime) -> dict[str, RegistryToken]:
    """Something in the place of each token, by registry key."""
    token = RegistryToken(password=PLACEHOLDER, issued_at=now, expires_at=now + _LIFE)
    return {login.key: token for login in desired.logins}


def unknown_fields(document: Mapping[str, Any]) -> list[str]:
    """What to say of fields of the spec that the API server would drop."""
    spec = document.get("spec")
    fields = list(SPECS[document["kind"]].model_fields)
    unknown = [str(name) for name in spec if name not in fields] if isinstance(spec, Mapping) else []
    return [f"spec.{printable(name)} is no field{_near(name, fields)}" for name in unknown]


def decoded(manifest: Mapping[str, Any]) -> list[str]:
    """The Secret's data in clear, a line for each key."""
    return [
        f"{key}: {printable(base64.b64decode(value).decode())}" for key, value in manifest["data"].items()
    ]


def _near(name: str, fields: list[str]) -> str:
    near = difflib.get_close_matches(name, fields, n=1)
    return f", did you mean {near[0]}?" if near else "."
