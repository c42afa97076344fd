"""Drift: whether a Secret is up to date, and whether its login is usable at least."""

from typing import Any, Final

from ecr_operator.core.drift import is_up_to_date, times_by_login, times_if_whole
from ecr_operator.core.secret_view import view_secret
from tests.builders import HOUR, NOW, cases, desired, resource, secret_metadata, times, view

OURS: Final = resource(secret_labels={"team": "blue"})
ARGO: Final = resource("ArgoHelmRepoSecret", url="oci://123456789012.dkr.ecr.us-east-2.amazonaws.com/c")
LABEL: Final = "app.kubernetes.io/managed-by"
GROUP: Final = "ecr.mobb.redhat.com"


@cases(
    "of, path, usable",
    {
        "the data": (OURS, ["f:data"], False),
        "the type": (OURS, ["f:type"], False),
        "its expiry": (OURS, ["f:metadata", "f:annotations", f"f:{GROUP}/token-expires-at"], False),
        "its owner": (OURS, ["f:metadata", "f:annotations", f"f:{GROUP}/owner"], True),
        "our label": (OURS, ["f:metadata", "f:labels", f"f:{LABEL}"], True),
        "the user's label": (OURS, ["f:metadata", "f:labels", "f:team"], True),
        "the ownerReference": (OURS, ["f:metadata", "f:ownerReferences"], True),
        "Argo CD's label": (ARGO, ["f:metadata", "f:labels", "f:argocd.argoproj.io/secret-type"], False),
    },
)
def test_a_secret_has_drifted_when_another_client_edits(of: Any, path: list[str], *, usable: bool) -> None:
    metadata = secret_metadata(of)
    fields = metadata["managedFields"][0]["fieldsV1"]
    for part in path[:-1]:
        fields = fields[part]
    del fields[path[-1]]
    seen = view_secret(metadata)
    assert not is_up_to_date(seen, desired(of), None)
    assert times_if_whole(seen, desired(of)) == (times() if usable else None)


def test_a_secret_of_an_earlier_spec_or_of_another_resource_is_not_usable() -> None:
    later = resource(secret_labels={"team": "blue"}, ecr_registry="other.example.com", region="us-east-2")
    again = resource(uid="u2", secret_labels={"team": "blue"})
    assert [times_if_whole(view(OURS), desired(of)) for of in (OURS, later, again)] == [times(), None, None]
    assert times_if_whole(None, desired(OURS)) is None


def test_an_apply_in_our_name_at_another_time_is_drift() -> None:
    ours, theirs = view(OURS), view(OURS, applied_at=NOW + HOUR)
    found = [is_up_to_date(seen, desired(OURS), ours.entry) for seen in (ours, theirs)]
    assert (found, is_up_to_date(theirs, desired(OURS), None)) == ([True, False], True)


def test_an_overwritten_label_is_not_drift() -> None:
    metadata = secret_metadata(OURS)
    metadata["labels"][LABEL] = "Helm"
    assert is_up_to_date(view_secret(metadata), desired(OURS), None)


def test_the_time_of_a_login_near_the_year_9999_is_ignored() -> None:
    pair = resource(additional_registries=["210987654321.dkr.ecr.us-east-2.amazonaws.com"])
    metadata = secret_metadata(pair)
    metadata["annotations"][f"{GROUP}/tokens"] = "0:9999-12-31T23:59:59Z,1:2026-03-01T12:00:00Z"
    held = times_by_login(view_secret(metadata), desired(pair))
    assert list(held) == ["210987654321.dkr.ecr.us-east-2.amazonaws.com"]
