"""Recognizes a Secret that v0.6.0 wrote, and not one that only looks like it.

v0.6.0 set no ownerReference and no label. Its Secrets are known by the exact data that its code writes for
this very host or URL, and by a status that only it leaves. Under v0.6.0's CRDs our own status looks the same;
there the login must also have been written at the same time as the status, as v0.6.0 did.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from ecr_operator.api.desired import DOCKER, ArgoOptions, Desired, Resource
from ecr_operator.api.text import base64_in, mapping_in, mappings_in, parse_time
from ecr_operator.api.token import RegistryToken
from ecr_operator.core.manifest import (
    ARGO_LABEL,
    ARGO_TYPE,
    DOCKER_KEY,
    DOCKER_TYPE,
    generated_data,
)

_LIFE: Final = timedelta(hours=12)
_TOGETHER: Final = timedelta(seconds=60)


def has_legacy_status(resource: Resource) -> bool:
    """Whether the status is as only v0.6.0 leaves it: Updated, with a time, and nothing newer."""
    status = resource.status
    return (
        status.get("phase") == "Updated"
        and parse_time(status.get("lastUpdatedTime")) is not None
        and "observedGeneration" not in status
    )


def legacy_token(
    resource: Resource, desired: Desired, secret: Mapping[str, Any], *, old_crds: bool = False
) -> RegistryToken | None:
    """The token in a Secret that v0.6.0 wrote for this resource; None for any other Secret.

    Args:
        resource: its status gives the token's age.
        desired: the resource's spec.
        secret: the whole core Secret, with its managedFields.
        old_crds: the status may be our own, so managedFields must show an update of the login at its time.
            Not required otherwise, since a Secret restored from a backup has the time of the restore.
    """
    issued_at = parse_time(resource.status.get("lastUpdatedTime"))
    if issued_at is None or not has_legacy_status(resource):
        return None
    if any(owner.get("controller") for owner in mappings_in(secret["metadata"], "ownerReferences")):
        return None
    if old_crds and not _is_written_at(issued_at, desired, secret):
        return None
    data = {key: base64_in(value) for key, value in mapping_in(secret, "data").items()}
    password = _password(desired, data)
    if password is None:
        return None
    try:
        token = RegistryToken(password=password, issued_at=issued_at, expires_at=issued_at + _LIFE)
    except OverflowError:  # a time near the year 9999, which no token has
        return None
    # v0.6.0 knew neither other forms nor options for Argo CD.
    then = replace(desired, secret_format=DOCKER, argo=ArgoOptions() if desired.argo else None)
    if data != generated_data(then, {desired.target: token}) or not _has_form(desired, secret):
        return None
    return token


def _is_written_at(time: datetime, desired: Desired, secret: Mapping[str, Any]) -> bool:
    """Whether the login was last changed by an update around that time; the manager's name proves nothing."""
    field = f"f:{'password' if desired.argo else DOCKER_KEY}"
    writers = [
        entry
        for entry in mappings_in(secret["metadata"], "managedFields")
        if field in mapping_in(mapping_in(entry, "fieldsV1"), "f:data")
    ]
    return bool(writers) and all(
        entry.get("operation") == "Update"
        and (written := parse_time(entry.get("time"))) is not None
        and abs(written - time) <= _TOGETHER
        for entry in writers
    )


def _has_form(desired: Desired, secret: Mapping[str, Any]) -> bool:
    if desired.argo is None:
        return bool(secret.get("type") == DOCKER_TYPE)
    label = mapping_in(secret["metadata"], "labels").get(ARGO_LABEL)
    return secret.get("type") == ARGO_TYPE and bool(label == "repository")


def _password(desired: Desired, data: Mapping[str, str | None]) -> str | None:
    """What stands in the place of the password; the caller compares all of the data."""
    password: object = data.get("password")
    if not desired.argo:
        try:
            password = json.loads(data.get(DOCKER_KEY) or "")["auths"][desired.target]["password"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
    # A token is ASCII; half a surrogate could not even be compared.
    return password if isinstance(password, str) and password and password.isascii() else None
