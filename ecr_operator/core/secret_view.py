"""What the operator keeps of a core Secret, and whose it is by its metadata.

Invariant: a view holds no data of the Secret, and no more than the operator may have written itself,
whatever others write. Leaves out: what a resource may do with a Secret that is not its own (ownership).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from ecr_operator.api.kinds import GROUP, KINDS
from ecr_operator.api.names import is_name
from ecr_operator.api.outcome import ResourceKey, TokenTimes
from ecr_operator.api.parsing import requested_refresh
from ecr_operator.api.text import (
    LONGEST_NAME,
    excerpt_unless_word,
    intern_text,
    mapping_in,
    mappings_in,
    text_in,
)
from ecr_operator.core.manifest import (
    CONTROLLER_FIELD,
    FINGERPRINT,
    KEY_HASH,
    MANAGED_BY,
    MANAGER,
    OWNER,
    OWNER_UID,
    TOKENS,
    owner_field,
    token_times,
)

ADOPT: Final = f"{GROUP}/adopt"
ADOPT_KEEPING: Final = "true"
ADOPT_DROPPING: Final = "replace"
_ADOPTIONS: Final = (ADOPT_KEEPING, ADOPT_DROPPING)
_LONGEST_FINGERPRINT: Final = 64
_LONGEST_TOKENS: Final = 4096
_LONGEST_UID: Final = 64
_LONGEST_KEY_HASH: Final = 64
_LONGEST_KIND: Final = 63
_LONGEST_TIME: Final = 40
_LONGEST_SHOWN: Final = 60
_MOST_WRITERS: Final = 5
_MOST_MANAGERS: Final = 200
_LABEL: Final = f"f:metadata/f:labels/f:{MANAGED_BY}"
# Of our own entry; the largest spec, with its labels and annotations as paths, is well within.
_MOST_FIELDS: Final = 500
_DEEPEST_FIELD: Final = 8
_LONGEST_FIELD: Final = 512
_LONGEST_FIELDS: Final = 128 * 1024
# Sets of fields that Secrets share: one for each form of spec, none of a size that only others write.
_MOST_SHARED: Final = 64
_LARGEST_SHARED: Final = 8192  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The owner of a Secret, by its controller ownerReference, or by our annotations where it has none.

    Attributes:
        uid: empty where the reference can't be to one of our resources.
        kind: short, and in quotes if it is not a plain word.
        name: the same.
        of_ours: it is one of our custom resources.
        controller: by ownerReference.
    """

    uid: str
    kind: str
    name: str
    of_ours: bool
    controller: bool

    def key(self, namespace: str) -> ResourceKey:
        """The owner as one of our resources."""
        return ResourceKey(kind=self.kind, namespace=namespace, name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedEntry:
    """Our entry in a Secret's managedFields: what we applied and still own.

    Attributes:
        time: of the last apply that changed something. An apply by somebody else under our manager's name
            shows only here.
        fields: paths, with `manifest.CONTROLLER_FIELD` for that of the controller's ownerReference.
    """

    time: str
    fields: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretView:
    """What the operator keeps of a core Secret; the last six from its annotations.

    Attributes:
        resource_version: as last seen; every later write carries it.
        owner: None where there is none.
        labelled: it bears our label, so that the watch shows it.
        managed: the operator wrote it: it has our managedFields entry and our label. Another value of the
            label counts while our entry has the label: only an admission webhook or policy can set that.
        entry: our own entry in managedFields.
        writers: the other field managers that own some of its data.
        times: of the token in it.
        fingerprint: of the spec that it was made from.
        tokens: which login has a token from when, where it has several.
        refresh_requested: the last request for a fresh token that was fulfilled.
        adopt: how it may be adopted, `ADOPT_KEEPING` or `ADOPT_DROPPING`; None where it may not.
        key_hash: of the long-lived access key id that fetched its token.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner: Owner | None
    labelled: bool
    managed: bool
    entry: AppliedEntry | None
    writers: tuple[str, ...]
    times: TokenTimes | None
    fingerprint: str | None
    tokens: str | None
    refresh_requested: str | None
    adopt: str | None
    key_hash: str | None = None

    def is_owned_by(self, uid: str) -> bool:
        """Whether its owner is the resource with that uid."""
        return self.owner is not None and self.owner.uid == uid

    @property
    def owner_in_words(self) -> str:
        """The owner, or who wrote its data, for a message."""
        if self.owner:
            return f"{self.owner.kind} {self.owner.name}"
        return f"field manager {', '.join(self.writers)}" if self.writers else "no owner"


def view_secret(metadata: Mapping[str, Any]) -> SecretView:
    """Make a view of a Secret's `metadata`, of which only namespace, name, uid and version are trusted."""
    annotations = mapping_in(metadata, "annotations")
    controller = _controller(mappings_in(metadata, "ownerReferences"))
    entry = _our_entry(mappings_in(metadata, "managedFields"), controller)
    label = mapping_in(metadata, "labels").get(MANAGED_BY)
    managed = entry is not None and (label == MANAGER or (label is not None and _LABEL in entry.fields))
    return SecretView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner=controller or (_annotated(annotations) if managed else None),
        labelled=label == MANAGER,
        managed=managed,
        entry=entry,
        writers=_other_writers(mappings_in(metadata, "managedFields")),
        times=token_times(annotations),
        fingerprint=text_in(annotations, FINGERPRINT, _LONGEST_FINGERPRINT),
        tokens=text_in(annotations, TOKENS, _LONGEST_TOKENS),
        refresh_requested=requested_refresh(metadata),
        adopt=next((word for word in _ADOPTIONS if annotations.get(ADOPT) == word), None),
        key_hash=intern_text(text_in(annotations, KEY_HASH, _LONGEST_KEY_HASH) or "") or None,
    )


def applied_fields(fields: Mapping[str, Any], controller: Owner | None = None) -> frozenset[str] | None:
    """The leaves of a managedFields entry as in `AppliedEntry`; None for more than we ever apply."""
    found: set[str] = set()
    reference = owner_field(controller.uid) if controller else None
    left = _LONGEST_FIELDS
    for path in _leaves("", fields, 1):
        left -= len(path)
        if len(found) >= _MOST_FIELDS or left < 0 or path == _BEYOND:
            return None
        found.add(CONTROLLER_FIELD if path == reference else intern_text(path))
    return frozenset(found)


_BEYOND: Final = ""


def _leaves(prefix: str, fields: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Paths one by one, so that no more are made than are read; `_BEYOND` for one too long or deep."""
    for key, inner in fields.items():
        if len(key) > _LONGEST_FIELD or depth > _DEEPEST_FIELD:
            yield _BEYOND
            return
        path = f"{prefix}/{key}" if prefix else key
        if inner and isinstance(inner, dict):
            yield from _leaves(path, inner, depth + 1)
        else:
            yield path


def _is_ours(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply"


def _our_entry(managed: Iterable[Mapping[str, Any]], controller: Owner | None) -> AppliedEntry | None:
    ours = next(filter(_is_ours, managed), None)
    if ours is None or (fields := applied_fields(mapping_in(ours, "fieldsV1"), controller)) is None:
        return None
    if sum(map(len, fields)) <= _LARGEST_SHARED:
        fields = _shared(fields)
    return AppliedEntry(time=text_in(ours, "time", _LONGEST_TIME) or "", fields=fields)


@lru_cache(maxsize=_MOST_SHARED)
def _shared(fields: frozenset[str]) -> frozenset[str]:
    """The same object for equal sets: one has as many bytes as the rest of a view."""
    return fields


def _other_writers(managed: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    names = (
        _shown(entry, "manager", _LONGEST_SHOWN)
        for entry in islice(managed, _MOST_MANAGERS)
        if "f:data" in mapping_in(entry, "fieldsV1") and not _is_ours(entry)
    )
    return tuple(islice(dict.fromkeys(names), _MOST_WRITERS))


def _controller(references: Iterable[Mapping[str, Any]]) -> Owner | None:
    reference = next((each for each in references if each.get("controller")), None)
    if reference is None:
        return None
    uid, kind = text_in(reference, "uid", _LONGEST_UID), text_in(reference, "kind", _LONGEST_KIND)
    name = text_in(reference, "name", LONGEST_NAME)
    valid = bool(uid and kind and name and is_name(name))
    group = (text_in(reference, "apiVersion", 2 * LONGEST_NAME) or "").partition("/")[0]
    return Owner(
        uid=uid if uid and valid else "",
        kind=_shown(reference, "kind", _LONGEST_KIND),
        name=name if name and valid else _shown(reference, "name", _LONGEST_SHOWN),
        of_ours=valid and group == GROUP and kind in KINDS,
        controller=True,
    )


def _shown(mapping: Mapping[str, Any], key: str, longest: int) -> str:
    """A text that others wrote, for a message."""
    text = mapping.get(key)
    return excerpt_unless_word(text if isinstance(text, str) else "", longest)


def _annotated(annotations: Mapping[str, Any]) -> Owner | None:
    kind, _, name = (text_in(annotations, OWNER, _LONGEST_KIND + LONGEST_NAME) or "").partition("/")
    uid = text_in(annotations, OWNER_UID, _LONGEST_UID)
    if not uid or kind not in KINDS or not is_name(name):
        return None
    return Owner(uid=uid, kind=kind, name=name, of_ours=True, controller=False)
