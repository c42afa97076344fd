"""What stands in the objects of the API, read for a checker. Pure."""

import base64
import json
import re
from datetime import datetime

from lab.api import Json
from lab.aws import IssuedToken, decode_token

ISSUED_AT = "ecr.mobb.redhat.com/token-issued-at"
EXPIRES_AT = "ecr.mobb.redhat.com/token-expires-at"
MANAGER = "ecr-secret-operator"

_IN_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def decoded(secret: Json) -> dict[str, str]:
    """Return a Secret's data in clear."""
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def password(secret: Json) -> str:
    """Return the password in a generated Secret of either kind."""
    data = decoded(secret)
    if ".dockerconfigjson" not in data:
        return data["password"]
    (login,) = json.loads(data[".dockerconfigjson"])["auths"].values()
    return str(login["password"])


def token(secret: Json) -> IssuedToken:
    """Return the token in a generated Secret. Raises ValueError when the local AWS didn't make it."""
    return decode_token(password(secret))


def essence(secret: Json) -> Json:
    """Return what the operator promises of a Secret, without what the API server adds."""
    metadata = secret["metadata"]
    desired = {name: metadata.get(name) for name in ("labels", "annotations", "ownerReferences")}
    return {**desired, "type": secret["type"], "data": secret.get("data")}


def condition(resource: Json, name: str) -> Json:
    """Return one condition of a resource, empty where there is none."""
    conditions: list[Json] = _status(resource).get("conditions", [])
    return next((each for each in conditions if each["type"] == name), {})


def verdict(resource: Json, name: str) -> tuple[str | None, str | None]:
    """Return a condition's status and reason."""
    found = condition(resource, name)
    return found.get("status"), found.get("reason")


def is_current(resource: Json) -> bool:
    """Tell whether the status speaks of the present spec."""
    return bool(_status(resource).get("observedGeneration") == resource["metadata"]["generation"])


def _status(resource: Json) -> Json:
    """Return the status; one of another type, from before a schema, counts as none."""
    status = resource.get("status")
    return status if isinstance(status, dict) else {}


def epoch(text: str) -> float:
    """Return a time of a status as epoch seconds. Fails for any form but UTC with seconds."""
    assert _IN_SECONDS.fullmatch(text), text
    return datetime.fromisoformat(text).timestamp()


def exact_epoch(text: str) -> float:
    """Return a time of an annotation as epoch seconds."""
    assert text.endswith("Z"), text
    return datetime.fromisoformat(text).timestamp()
