"""RBAC rules, taken apart into single rights, and the rights that an audit log shows in use."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from tests.lab.api import Json


class Right(NamedTuple):
    """One verb on one resource, of one name where the rule names it."""

    group: str
    resource: str
    verb: str
    name: str = ""


def rights_in(role: Json) -> set[Right]:
    """Return all that a role allows on resources."""
    return {
        Right(*parts)
        for rule in role["rules"]
        for parts in product(
            rule.get("apiGroups", ()), rule.get("resources", ()), rule["verbs"], rule.get("resourceNames", [""])
        )
    }


def roles_of(objects: Iterable[Json], account: str) -> list[Json]:
    """Return the roles that a set of manifests binds to a ServiceAccount."""
    objects = list(objects)
    bound = {
        (each["roleRef"]["kind"], each["roleRef"]["name"])
        for each in objects
        if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        and any(subject["name"] == account for subject in each["subjects"])
    }
    return [each for each in objects if (each["kind"], each["metadata"]["name"]) in bound]


def used(entries: Iterable[Json]) -> set[Right]:
    """Return the rights that requests made use of, each with and without the object's name."""
    return {right for entry in entries if entry.get("objectRef") for right in _of(entry)}


def _of(entry: Json) -> Iterator[Right]:
    target = entry["objectRef"]
    resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
    verbs = [entry["verb"]]
    # An apply that creates is asked for both; the log names the one.
    if entry["verb"] == "patch" and entry["responseStatus"]["code"] == 201:
        verbs.append("create")
    for verb in verbs:
        yield Right(target.get("apiGroup", ""), resource, verb)
        yield Right(target.get("apiGroup", ""), resource, verb, target.get("name", ""))
