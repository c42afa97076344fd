"""The last valid values of fields, from the Secret that was made of them."""

from typing import Any

import pytest

from ecr_operator.api.desired import ArgoOptions, Desired
from ecr_operator.core.invalid_fields import with_last_good
from ecr_operator.core.manifest import encode, fingerprint, generated_secret
from ecr_operator.core.secret_view import view_secret
from tests.builders import desired, resource, secret_metadata, tokens

ARGO = "ArgoHelmRepoSecret"
LABELS = {"team": "shop", "app.kubernetes.io/part-of": "web"}
NOTES = {"example.com/note": "mine"}
ALL = {
    "secret_labels": {"a": "b c"},
    "secret_annotations": {"kubernetes.io/x": "y"},
    "deletion_policy": "x",
}
ALL_ARGO = ALL | {"credential_scope": "x", "repo_type": "x", "project": "a b"}


def secret(kind: str, **good: Any) -> dict[str, Any]:
    """Return the Secret that was applied for a spec, as the API server holds it."""
    of = resource(kind, **good)
    made = generated_secret(desired(of), tokens(of))
    return {"metadata": secret_metadata(of), "data": made["data"]}


def kept(kind: str, present: dict[str, Any], **slips: Any) -> Desired:
    """Return a spec with slips, completed from a Secret."""
    return with_last_good(desired(resource(kind, **slips)), view_secret(present["metadata"]), present)


@pytest.mark.parametrize(
    ("kind", "good", "slips"),
    [
        pytest.param("Secret", {}, ALL, id="nothing set"),
        pytest.param("Secret", {"secret_labels": LABELS, "secret_annotations": NOTES}, ALL, id="labels"),
        pytest.param("Secret", {"deletion_policy": "Orphan"}, ALL, id="Orphan"),
        pytest.param(ARGO, {}, ALL_ARGO, id="Argo CD's defaults"),
        pytest.param(ARGO, {"credential_scope": "repo-creds"}, ALL_ARGO, id="repo-creds"),
        pytest.param(ARGO, {"repo_type": "oci", "project": "team-a"}, ALL_ARGO, id="oci and a project"),
        pytest.param(
            ARGO,
            {"deletion_policy": "Orphan", "secret_labels": LABELS, "project": "a"},
            ALL_ARGO,
            id="all of it",
        ),
    ],
)
def test_the_secret_has_the_last_valid_value_of_every_field(
    kind: str, good: dict[str, Any], slips: dict[str, Any]
) -> None:
    found, before = kept(kind, secret(kind, **good), **slips), desired(resource(kind, **good))
    for part in ("labels", "annotations", "orphan", "argo"):
        assert getattr(found, part) == getattr(before, part)
    assert fingerprint(found) == fingerprint(before), "nothing is written"


@pytest.mark.parametrize("field", sorted(ALL_ARGO))
def test_only_fields_that_are_not_valid_are_read_from_the_secret(field: str) -> None:
    old = {"secret_labels": {"old": "x"}, "secret_annotations": {"old": "x"}, "project": "old"}
    present = secret(ARGO, deletion_policy="Orphan", repo_type="oci", **old)
    new: dict[str, Any] = {
        "secret_labels": {"new": "x"},
        "secret_annotations": {"new": "x"},
        "project": "new",
    }
    found = kept(ARGO, present, **(new | {field: ALL_ARGO[field]}))
    assert found.labels == ({"old": "x"} if field == "secret_labels" else {"new": "x"})
    assert found.annotations == ({"old": "x"} if field == "secret_annotations" else {"new": "x"})
    assert found.orphan == (field == "deletion_policy")
    assert found.argo == ArgoOptions(
        repo_type="oci" if field == "repo_type" else "helm",
        project="old" if field == "project" else "new",
    )


def test_labels_and_annotations_of_others_are_not_taken_over() -> None:
    present = secret("Secret", secret_labels=LABELS)
    present["metadata"]["labels"]["theirs"] = "x"
    present["metadata"]["annotations"]["theirs"] = "x"
    found = kept("Secret", present, **ALL)
    assert (found.labels, found.annotations) == (LABELS, {})


def edited(present: dict[str, Any], **data: str | None) -> dict[str, Any]:
    """Change the data of a Secret as another writer; None removes a key."""
    for key, value in data.items():
        present["metadata"]["managedFields"][0]["fieldsV1"]["f:data"].pop(f"f:{key}", None)
        present["data"].pop(key, None)
        if value is not None:
            present["data"][key] = encode(value)
    return present


@pytest.mark.parametrize(
    ("good", "data", "expected"),
    [
        pytest.param({"repo_type": "oci"}, {"type": "helm"}, ArgoOptions(repo_type="oci"), id="another type"),
        pytest.param({}, {"type": "oci"}, ArgoOptions(), id="another type than helm"),
        pytest.param({}, {"enableOCI": None}, ArgoOptions(), id="no enableOCI"),
        pytest.param({}, {"project": "theirs"}, ArgoOptions(), id="a project of others"),
        pytest.param({"project": "a"}, {"project": "theirs"}, ArgoOptions(), id="another project"),
    ],
)
def test_data_of_others_is_not_read_as_the_spec_s(
    good: dict[str, Any], data: dict[str, str | None], expected: ArgoOptions
) -> None:
    assert kept(ARGO, edited(secret(ARGO, **good), **data), **ALL_ARGO).argo == expected


def test_a_label_of_others_does_not_widen_the_scope_of_the_login() -> None:
    present, label = secret(ARGO), "argocd.argoproj.io/secret-type"
    present["metadata"]["labels"][label] = "repo-creds"
    del present["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"][f"f:{label}"]
    assert kept(ARGO, present, **ALL_ARGO).argo == ArgoOptions()


def test_without_managed_fields_the_options_for_argo_cd_are_read_as_they_are() -> None:
    present = secret(ARGO, repo_type="oci", project="team-a", secret_labels=LABELS)
    del present["metadata"]["managedFields"]
    found = kept(ARGO, present, **ALL_ARGO)
    assert found.argo == ArgoOptions(repo_type="oci", project="team-a")
    # Labels that the operator does not own stay by themselves.
    assert (found.labels, found.annotations) == ({}, {})


@pytest.mark.parametrize("value", ["%%%", "//8=", None, 7, ["a"]], ids=repr)
def test_data_of_any_form_gives_options(value: object) -> None:
    present = secret(ARGO, project="team-a")
    present["data"] = {"project": value, "type": value}
    assert kept(ARGO, present, **ALL_ARGO).argo is not None
    assert kept(ARGO, {"metadata": present["metadata"]}, **ALL_ARGO).argo is not None
