"""Drift: whether a Secret is up to date, and whether its login is usable at least."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from ecr_operator.core.drift import is_up_to_date, times_by_login, times_if_whole
from ecr_operator.core.secret_view import view_secret
from tests.builders import desired, resource, secret_metadata, times

OURS: Final = resource(secret_labels={"team": "blue"})
ARGO: Final = resource("ArgoHelmRepoSecret", url="oci://123456789012.dkr.ecr.us-east-2.amazonaws.com/c")
LABEL: Final = "app.kubernetes.io/managed-by"
GROUP: Final = "ecr.mobb.redhat.com"


def changed(*path: str, of: Any = OURS) -> dict[str, Any]:
    """A Secret's metadata after another client has written or deleted a field of ours."""
    metadata = secret_metadata(of)
    fields = metadata["managedFields"][0]["fieldsV1"]
    for part in path[:-1]:
        fields = fields[part]
    del fields[path[-1]]
    return metadata


@pytest.mark.parametrize(
    ("metadata", "usable"),
    [
        pytest.param(changed("f:data"), False, id="the data"),
        pytest.param(changed("f:type"), False, id="the type"),
        pytest.param(
            changed("f:metadata", "f:annotations", f"f:{GROUP}/token-expires-at"), False, id="its expiry"
        ),
        pytest.param(changed("f:metadata", "f:annotations", f"f:{GROUP}/owner"), True, id="its owner"),
        pytest.param(changed("f:metadata", "f:labels", f"f:{LABEL}"), True, id="our label"),
        pytest.param(changed("f:metadata", "f:labels", "f:team"), True, id="the user's label"),
        pytest.param(changed("f:metadata", "f:ownerReferences"), True, id="the ownerReference"),
    ],
)
def test_an_edited_secret_has_drifted_and_its_login_is_usable_unless_edited(
    metadata: Mapping[str, Any], *, usable: bool
) -> None:
    seen = view_secret(metadata)
    assert not is_up_to_date(seen, desired(OURS), None)
    assert times_if_whole(seen, desired(OURS)) == (times() if usable else None)


def test_a_login_without_argo_cds_label_is_not_usable() -> None:
    seen = view_secret(changed("f:metadata", "f:labels", "f:argocd.argoproj.io/secret-type", of=ARGO))
    assert times_if_whole(seen, desired(ARGO)) is None


def test_a_secret_of_an_earlier_spec_or_of_another_resource_is_not_usable() -> None:
    later = resource(secret_labels={"team": "blue"}, ecr_registry="other.example.com", region="us-east-2")
    assert times_if_whole(view_secret(secret_metadata(OURS)), desired(later)) is None
    again = resource(uid="u2", secret_labels={"team": "blue"})
    assert times_if_whole(view_secret(secret_metadata(OURS)), desired(again)) is None
    assert times_if_whole(None, desired(OURS)) is None


def test_an_overwritten_label_is_not_drift() -> None:
    metadata = secret_metadata(OURS)
    metadata["labels"][LABEL] = "Helm"
    assert is_up_to_date(view_secret(metadata), desired(OURS), None)


def test_held_times_ignores_a_time_near_the_year_9999() -> None:
    pair = resource(additional_registries=["210987654321.dkr.ecr.us-east-2.amazonaws.com"])
    metadata = secret_metadata(pair)
    metadata["annotations"][f"{GROUP}/tokens"] = "0:9999-12-31T23:59:59Z,1:2026-03-01T12:00:00Z"
    held = times_by_login(view_secret(metadata), desired(pair))
    assert list(held) == ["210987654321.dkr.ecr.us-east-2.amazonaws.com"]
