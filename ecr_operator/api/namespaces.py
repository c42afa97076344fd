"""Which namespaces a ClusterSecret serves.

Pure: from the spec's `namespaces` to a selection, which answers for one namespace at a time.
"""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ecr_operator.api.kinds import NamespaceLabels, NamespaceRequirement, Namespaces
from ecr_operator.api.names import check_label, check_label_key
from ecr_operator.api.text import excerpt, is_within

_FIELD: Final = "spec.namespaces"
_GLOB: Final = re.compile(r"[a-z0-9*?]([-a-z0-9*?]{0,61}[a-z0-9*?])?")
_LARGEST_IN_STATUS: Final = 8 * 1024  # bytes
_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One requirement on a namespace's labels.

    Attributes:
        operator: In, NotIn, Exists or DoesNotExist, as Kubernetes has them.
        values: for In and NotIn.
    """

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it; without the label, NotIn does."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
        return self.key not in labels


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSelection:
    """Namespaces by label or name, less some by name.

    Attributes:
        requirements: all must be met; None where no labels select.
        names: matches the names that are served too; None for none.
        exclude: matches the names that are not served; None for none.
        given: as the user wrote it, for the status; empty where that is too large for one.
    """

    requirements: tuple[Requirement, ...] | None
    names: re.Pattern[str] | None
    exclude: re.Pattern[str] | None
    given: Mapping[str, Any] = field(default_factory=dict)

    def serves(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a namespace is served."""
        if self.exclude and self.exclude.fullmatch(name):
            return False
        if self.requirements is not None and all(each.accepts(labels) for each in self.requirements):
            return True
        return self.names is not None and self.names.fullmatch(name) is not None


def parse_namespaces(given: Namespaces) -> NamespaceSelection:
    """Check `namespaces`.

    Raises:
        ValueError: in words for the author of the spec.
    """
    if given.selector is None and not given.names:
        raise ValueError(
            f"{_FIELD} selects no namespace; set selector or names. An empty selector is every namespace."
        )
    as_given = given.model_dump(exclude_none=True)
    return NamespaceSelection(
        requirements=None if given.selector is None else _requirements(given.selector),
        names=_pattern("names", given.names or ()),
        exclude=_pattern("exclude", given.exclude or ()),
        given=as_given if is_within(as_given, _LARGEST_IN_STATUS) else {},
    )


def observed_namespaces(status: Mapping[str, Any]) -> NamespaceSelection | None:
    """The selection that a status has from the last valid spec; None where it has none."""
    try:
        return parse_namespaces(Namespaces.model_validate(status.get("observedNamespaces")))
    except ValueError:
        return None


def _requirements(labels: NamespaceLabels) -> tuple[Requirement, ...]:
    """As apimachinery reads a LabelSelector."""
    equal = (labels.matchLabels or {}).items()
    for key, value in equal:
        check_label(f"{_FIELD}.selector.matchLabels", key, value)
    return (
        *(Requirement(key=key, operator="In", values=frozenset((value,))) for key, value in equal),
        *(_requirement(each) for each in labels.matchExpressions or ()),
    )


def _requirement(given: NamespaceRequirement) -> Requirement:
    field, values = f"{_FIELD}.selector.matchExpressions", given.values or ()
    check_label_key(field, given.key)
    if given.operator not in _OPERATORS:
        raise ValueError(
            f"{field}: operator {excerpt(given.operator)} is not valid; expected In, NotIn, Exists or "
            "DoesNotExist."
        )
    if bool(values) is not (given.operator in ("In", "NotIn")):
        raise ValueError(f"{field}: In and NotIn require values, Exists and DoesNotExist have none.")
    for value in values:
        check_label(field, given.key, value)
    return Requirement(key=given.key, operator=given.operator, values=frozenset(values))


def _pattern(field: str, globs: Sequence[str]) -> re.Pattern[str] | None:
    """One pattern for all globs; only `*` and `?` are special."""
    for place, glob in enumerate(globs):
        if not _GLOB.fullmatch(glob):
            raise ValueError(
                f"{_FIELD}.{field}[{place}] {excerpt(glob)} can't match the name of a namespace; expected at "
                "most 63 lower case letters, digits and '-', with * and ? as wildcards."
            )
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs)) if globs else None
