"""`pull`: whose login one in a Secret is."""

from datetime import timedelta
from typing import Any

from ecr_operator.api.outcome import ResourceKey
from ecr_operator.cli.origins import Origin, origin_of, owner_of
from ecr_operator.core.manifest import EXPIRES_AT, FINGERPRINT, ISSUED_AT, TOKENS, fingerprint
from tests.cli.builders import HOST, NOW, READY, REFRESHED, at, cluster, condition, login, owner, status

WEST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY = ResourceKey(kind="Secret", namespace="team-a", name="pull")


def generated(**annotations: str) -> dict[str, Any]:
    """A Secret that the resource generates."""
    reference = {
        "apiVersion": "ecr.mobb.redhat.com/v1alpha1",
        "kind": "Secret",
        "name": "pull",
        "uid": "u",
        "controller": True,
    }
    metadata = {
        "namespace": "team-a",
        "name": "pull-login",
        "uid": "s",
        "resourceVersion": "1",
        "annotations": {ISSUED_AT: at(-1), EXPIRES_AT: at(11), **annotations},
        "ownerReferences": [reference],
    }
    return {"metadata": metadata}


def test_the_secrets_metadata_tell_whose_login_it_is() -> None:
    expires_at = NOW + timedelta(hours=11)
    known = {KEY: owner()}
    assert origin_of(login(), generated(), known) == Origin(key=KEY, owner=known[KEY], expires_at=expires_at)
    assert origin_of(login(), generated(), {}) == Origin(key=KEY, expires_at=expires_at)
    other = origin_of(login(key="quay.io"), generated(), known)
    assert other == Origin(key=KEY, owner=known[KEY], included=True)
    no_times = origin_of(login(), generated(**{EXPIRES_AT: "x"}), {})
    assert no_times == Origin(key=KEY)
    theirs = {"metadata": {**generated()["metadata"], "ownerReferences": []}}
    assert origin_of(login(), theirs, known) is None


def test_each_of_several_logins_has_its_own_time() -> None:
    both = owner(additional_registries=[WEST])
    assert both.desired is not None
    annotations = {FINGERPRINT: fingerprint(both.desired), TOKENS: f"0:{at(-1)},1:{at(-0.5)}"}
    found = [origin_of(login(key=key), generated(**annotations), {KEY: both}) for key in (HOST, WEST)]
    assert [each.expires_at - NOW for each in found if each and each.expires_at] == [
        timedelta(hours=11),
        timedelta(hours=11.5),
    ]


def test_a_resource_that_is_not_ready_says_why_and_one_that_is_says_nothing() -> None:
    assert owner().trouble == ""
    failing = owner(condition("Ready", "False", "AccessDenied", "AWS denies it."))
    assert failing.trouble == "AccessDenied: AWS denies it."
    assert owner(generated_secret_name=1).desired is None


def test_what_a_cluster_secret_generates_is_of_the_resource_without_a_namespace() -> None:
    secret = generated()
    secret["metadata"]["ownerReferences"][0]["kind"] = "ClusterSecret"
    raw = cluster(status(READY, REFRESHED), name="pull", ecr_registry=HOST, namespaces={"names": ["*"]})
    whole = owner_of("ClusterSecret", raw, NOW)
    found = origin_of(login(), secret, {whole.key: whole})
    assert found == Origin(key=whole.key, owner=whole, expires_at=NOW + timedelta(hours=11))
