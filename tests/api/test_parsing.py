"""Whatever the API server may hold parses; what is wrong with it is told in words."""

# ruff: noqa: S105, S106 - names of Secrets and made-up tokens

import json
import operator
from collections import UserDict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.api.bounds import LARGEST_STATUS
from ecr_operator.api.desired import ArgoOptions, Problem, Resource
from ecr_operator.api.kinds import KINDS, SPECS, ArgoHelmRepoSecretSpec, SecretSpec
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.parsing import REFRESH_REQUESTED, parse_resource, requested_refresh
from ecr_operator.api.times import format_time, parse_time
from ecr_operator.core import outcomes
from ecr_operator.core.secret import generated_secret
from ecr_operator.core.status import next_status
from tests.api.json_values import json_values, lists_of, objects, texts
from tests.builders import HOST, NOW, OHIO, desired, raw_resource, resource, tokens

ARGO: Final = "ArgoHelmRepoSecret"
# A busy machine is no failure.
UNHURRIED: Final = settings(deadline=None)
LONGEST_NAME: Final = 253
HUGE: Final = 1_300_000

fields = st.sampled_from([*SecretSpec.model_fields, *ArgoHelmRepoSecretSpec.model_fields, "other"])
# Without what makes the rest of no account, so that the other fields are come to.
links = lists_of(objects(name=texts | st.just("builder"), **{"for": lists_of(st.just("pull"))}))
good = st.fixed_dictionaries({"generated_secret_name": st.just("a"), "ecr_registry": st.just(HOST)})


def problem(kind: str = "Secret", **said: Any) -> Problem:
    found = resource(kind, **said).problem
    assert found is not None
    return found


def test_a_resource_carries_its_identity() -> None:
    of = resource(name="web", namespace="team", uid="u1", generation=3, age=timedelta(hours=1))
    assert of.key == ResourceKey(kind="Secret", namespace="team", name="web")
    assert (of.uid, of.generation, of.created_at) == ("u1", 3, NOW - timedelta(hours=1))
    assert str(of.key) == "Secret team/web"


@pytest.mark.parametrize(
    ("kind", "said", "target"),
    [
        pytest.param("Secret", {"ecr_registry": HOST}, HOST, id="a pull secret's registry"),
        pytest.param(
            ARGO, {"url": f"oci://{HOST}/charts"}, f"oci://{HOST}/charts", id="an Argo URL, verbatim"
        ),
    ],
)
def test_a_good_spec_is_checked_and_kept(kind: str, said: dict[str, str], target: str) -> None:
    of = resource(kind, generated_secret_name="a.b-c", region="us-east-2", frequency="90m", **said)
    assert of.problem is None
    assert desired(of).secret_name == "a.b-c"
    assert (desired(of).target, desired(of).sources[0], desired(of).frequency) == (
        target,
        OHIO,
        timedelta(minutes=90),
    )


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        pytest.param(None, timedelta(hours=10), id="absent it is ten hours"),
        pytest.param("0s", timedelta(0), id="zero is Go, and clamped later"),
        pytest.param("-1h", -timedelta(hours=1), id="a negative one is Go, and clamped later"),
        pytest.param("24h", timedelta(hours=24), id="longer than a token lives is Go too"),
    ],
)
def test_a_frequency_that_go_parses_is_no_problem(frequency: str | None, expected: timedelta) -> None:
    of = resource(frequency=frequency)
    assert (of.problem, desired(of).frequency) == (None, expected)


@pytest.mark.parametrize("frequency", ["abc", "10", "1 h", "10H", "1d"])
def test_a_frequency_that_go_refuses_is_told_and_leaves_the_rest_wanted(frequency: str) -> None:
    of = resource(frequency=frequency)
    assert desired(of).frequency is None
    assert problem(frequency=frequency).reason is Reason.INVALID_SPEC
    assert problem(frequency=frequency).message.startswith("spec.frequency: ")
    assert "10h" in problem(frequency=frequency).message


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        pytest.param({"ecr_registry": ""}, Reason.INVALID_REGISTRY, "is empty", id="an empty registry"),
        pytest.param({"ecr_registry": "a b"}, Reason.INVALID_REGISTRY, "space", id="a registry with a space"),
        pytest.param(
            {"region": "eu-west-1"}, Reason.REGION_MISMATCH, "us-east-2", id="a host of another region"
        ),
        pytest.param(
            {"ecr_registry": "proxy.example.com"},
            Reason.INVALID_SPEC,
            "Set spec.region",
            id="a proxy without a region",
        ),
        pytest.param(
            {"region": "Ohio"}, Reason.INVALID_SPEC, "is not a valid AWS region", id="a region that is none"
        ),
        pytest.param(
            {"generated_secret_name": "Web"},
            Reason.INVALID_SPEC,
            '"Web" is not a valid Secret name',
            id="capitals in a name",
        ),
        pytest.param(
            {"generated_secret_name": ""}, Reason.INVALID_SPEC, "is not a valid", id="an empty name"
        ),
        pytest.param(
            {"generated_secret_name": "a..b"}, Reason.INVALID_SPEC, "is not a valid", id="two dots in a name"
        ),
        pytest.param(
            {"generated_secret_name": "../x"}, Reason.INVALID_SPEC, "is not a valid", id="a path for a name"
        ),
        pytest.param(
            {"generated_secret_name": "-a"}, Reason.INVALID_SPEC, "is not a valid", id="a dash in front"
        ),
        pytest.param(
            {"generated_secret_name": "a\n"},
            Reason.INVALID_SPEC,
            "is not a valid",
            id="a line break at the end",
        ),
        pytest.param(
            {"generated_secret_name": "a" * 254}, Reason.INVALID_SPEC, "at most 253", id="a name too long"
        ),
        pytest.param(
            {"generated_secret_name": None},
            Reason.INVALID_SPEC,
            "spec.generated_secret_name is missing",
            id="no name",
        ),
        pytest.param(
            {"ecr_registry": None}, Reason.INVALID_SPEC, "spec.ecr_registry is missing", id="no registry"
        ),
        pytest.param(
            {"generated_secret_name": 7},
            Reason.INVALID_SPEC,
            "spec.generated_secret_name must be a string",
            id="a number for a name",
        ),
        pytest.param(
            {"ecr_registry": [HOST]},
            Reason.INVALID_SPEC,
            "spec.ecr_registry must be a string",
            id="a list of registries",
        ),
        pytest.param(
            {"region": True}, Reason.INVALID_SPEC, "spec.region must be a string", id="a truth for a region"
        ),
        pytest.param(
            {"frequency": 10},
            Reason.INVALID_SPEC,
            "spec.frequency must be a string; put quotes",
            id="a number for a frequency",
        ),
        pytest.param(
            {"frequency": {"hours": 1}},
            Reason.INVALID_SPEC,
            "spec.frequency must be a string",
            id="an object for a frequency",
        ),
        pytest.param({"spec": []}, Reason.INVALID_SPEC, "spec must be an object", id="a list for a spec"),
        pytest.param({"spec": "x"}, Reason.INVALID_SPEC, "spec must be an object", id="text for a spec"),
        pytest.param({"spec": 7}, Reason.INVALID_SPEC, "spec must be an object", id="a number for a spec"),
        pytest.param(
            {"spec": {}},
            Reason.INVALID_SPEC,
            "is missing; spec.ecr_registry is missing",
            id="an empty spec tells of every field",
        ),
    ],
)
def test_a_bad_spec_is_told(said: dict[str, Any], reason: Reason, words: str) -> None:
    found = problem(**said)
    assert found.reason is reason
    assert words in found.message
    assert resource(**said).desired is None or "frequency" in said


@pytest.mark.parametrize("field", ["region", "frequency"])
def test_null_for_an_optional_field_is_as_if_it_were_absent(field: str) -> None:
    raw = raw_resource()
    raw["spec"][field] = None
    assert parse_resource("Secret", raw).problem is None


@pytest.mark.parametrize("field", ["spec", "status"])
def test_a_part_that_is_absent_or_null_is_no_crash(field: str) -> None:
    raw = raw_resource()
    for changed in (raw | {field: None}, {key: raw[key] for key in raw if key != field}):
        of = parse_resource("Secret", changed)
        assert (of.problem is not None) is (field == "spec")
        assert of.status == {}


@pytest.mark.parametrize(
    "said",
    [
        {"generated_secret_name": "a\nlevel=error fake line"},
        {"frequency": "1h\nlevel=error fake line"},
        {"region": "a\nlevel=error fake line"},
        {"ecr_registry": "a\nlevel=error fake line"},
    ],
    ids=lambda said: next(iter(said)),
)
def test_what_a_user_wrote_can_not_break_a_message_into_lines(said: dict[str, str]) -> None:
    assert problem(**said).message.isprintable()


@pytest.mark.parametrize(
    "said", [{"frequency": "abc"}, {"region": 7}, {"spec": {}}, {"ecr_registry": ""}], ids=str
)
def test_a_message_is_a_sentence_since_another_may_follow(said: dict[str, Any]) -> None:
    assert problem(**said).message.endswith(".")


def test_a_message_never_holds_the_value_of_a_field_of_the_wrong_type() -> None:
    assert "hunter2" not in problem(ecr_registry=["hunter2"], region={"hunter2": "hunter2"}).message


def test_the_longest_name_is_taken() -> None:
    assert resource(generated_secret_name="a" * LONGEST_NAME).problem is None


def test_a_field_that_we_do_not_know_yet_is_ignored() -> None:
    assert resource(suspend=True).problem is None


@pytest.mark.parametrize("status", [[], "Updated", 7, True], ids=["a list", "text", "a number", "a truth"])
def test_a_status_that_is_no_object_counts_as_none(status: object) -> None:
    assert resource(status=status).status == {}


def test_metadata_without_generation_or_time_is_old() -> None:
    raw = raw_resource()
    del raw["metadata"]["generation"], raw["metadata"]["creationTimestamp"]
    of = parse_resource("Secret", raw)
    assert (of.generation, of.created_at) == (0, datetime.fromtimestamp(0, UTC))


@UNHURRIED
@given(
    kind=st.sampled_from(KINDS),
    spec=json_values
    | st.builds(operator.or_, good, st.dictionaries(fields, texts | json_values | links, max_size=3)),
    status=json_values,
    annotations=json_values | st.dictionaries(st.just(REFRESH_REQUESTED), json_values),
)
def test_garbage_of_any_depth_parses_with_a_problem_or_a_wanted_spec(
    kind: str, spec: object, status: object, annotations: object
) -> None:
    raw = raw_resource(kind) | {"spec": spec, "status": status}
    raw["metadata"]["annotations"] = annotations
    of = parse_resource(kind, raw)
    assert of.desired is not None or of.problem is not None
    if of.problem:
        assert of.problem.message
        assert of.problem.message.isprintable()
    if of.desired:
        manifest = generated_secret(of.desired, tokens(of))
        json.dumps(manifest, ensure_ascii=False).encode()
    told = next_status(of, outcomes.invalid(of, None), NOW, None)
    assert len(json.dumps(told, ensure_ascii=False).encode()) < LARGEST_STATUS


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"frequency": "1h" * HUGE}, id="a frequency"),
        pytest.param({"project": "x" * HUGE}, id="a project"),
        pytest.param({"secret_labels": {"a": "x" * HUGE}}, id="a label"),
        pytest.param({"secret_labels": {"x" * HUGE: "a"}}, id="a label's key"),
        pytest.param({"additional_registries": [HOST] * HUGE}, id="a list"),
        pytest.param({"ecr_registry": "x" * HUGE}, id="a registry"),
        pytest.param({"region": "x" * HUGE}, id="a region"),
        pytest.param({"other": [[[["x" * HUGE]]]]}, id="a field that we do not know"),
        pytest.param({"x\n" * HUGE: 1}, id="a field's name"),
        pytest.param({f"f{number}": 1 for number in range(HUGE // 100)}, id="fields"),
    ],
)
def test_a_spec_beyond_64_kib_is_told_and_not_kept(said: dict[str, Any]) -> None:
    of = resource(**said)
    assert (of.desired, problem(**said).reason) == (None, Reason.INVALID_SPEC)
    assert "makes the spec larger than 64 KiB" in problem(**said).message
    assert problem(**said).message.isprintable()
    assert len(repr(of)) < 1000


def test_of_a_spec_beyond_64_kib_no_more_is_looked_at() -> None:
    class Counted(UserDict[str, Any]):
        taken = 0

        def __getitem__(self, key: str) -> Any:
            Counted.taken += 1
            return super().__getitem__(key)

    many = Counted({f"f{number}": {} for number in range(HUGE)})
    assert resource(spec=many).desired is None
    assert Counted.taken < 64 * 1024 // 4


@pytest.mark.parametrize(
    ("kind", "said", "words"),
    [
        pytest.param(ARGO, {"project": "x" * 254}, "spec.project is longer than 253", id="a name"),
        pytest.param(
            "Secret", {"role_arn": "x" * 2049}, "spec.role_arn is longer than 2048 characters.", id="a text"
        ),
        pytest.param(
            "Secret",
            {"service_account": {"name": "x" * 254}},
            "spec.service_account.name is longer than 253 characters.",
            id="a reference",
        ),
        pytest.param(
            "Secret",
            {"secret_annotations": {"a b\n" + "c" * 90: "x" * 2049}},
            f'spec.secret_annotations."a b?{"c" * 36}…" is longer than 2048 characters.',
            id="an annotation, by the beginning of its key",
        ),
        pytest.param(
            "Secret",
            {"secret_labels": {f"a{number}": "b" for number in range(101)}},
            "spec.secret_labels has more than 100 entries.",
            id="a map",
        ),
        pytest.param(
            "Secret",
            {"additional_registries": [HOST] * 101},
            "spec.additional_registries: only the first 100 entries",
            id="a list",
        ),
        pytest.param(
            "Secret",
            {"secret_labels": {f"a{number}": 7 for number in range(20)}},
            "; ".join(
                f"spec.secret_labels.a{number} must be a string; put quotes around it" for number in range(5)
            )
            + "; and 15 more.",
            id="mistakes, of which five are named",
        ),
        pytest.param(
            "Secret", {"ecr_registry": "x" * 2049}, "is longer than 2048 characters", id="a registry"
        ),
        pytest.param("Secret", {"region": "x" * 64}, "is not a valid AWS region", id="a region"),
        pytest.param("Secret", {"other": "\ud800"}, "not valid Unicode", id="half a character"),
    ],
)
def test_each_field_has_a_limit(kind: str, said: dict[str, Any], words: str) -> None:
    of = resource(kind, **said)
    assert words in problem(kind, **said).message
    assert of.desired is None or len(repr(of)) < 20_000, "nothing of it is kept"


# --- each field by itself ----------------------------------------------------------------------------------

SLIPS: Final[dict[str, tuple[str, dict[str, Any], set[str]]]] = {
    "a reserved annotation": (
        "Secret",
        {"secret_annotations": {"kubernetes.io/x": "y"}},
        {"secret_annotations"},
    ),
    "a bad label value": ("Secret", {"secret_labels": {"a": "b c"}}, {"secret_labels"}),
    "a label that is a number": ("Secret", {"secret_labels": {"a": 7}}, {"secret_labels"}),
    "101 labels": ("Secret", {"secret_labels": {f"a{n}": "" for n in range(101)}}, {"secret_labels"}),
    "a policy with a typo": ("Secret", {"deletion_policy": "orphan"}, {"deletion_policy"}),
    "a frequency with a typo": ("Secret", {"frequency": "10 hours"}, {"frequency"}),
    "a link without a use": ("Secret", {"link_service_accounts": [{"name": "a"}]}, {"link_service_accounts"}),
    "an unknown use": (
        "Secret",
        {"link_service_accounts": [{"name": "a", "for": ["push"]}]},
        {"link_service_accounts"},
    ),
    "a dead extra registry": ("Secret", {"additional_registries": ["oci://x.example"]}, set()),
    "an extra registry of no region": ("Secret", {"additional_registries": ["proxy.example.com"]}, set()),
    "an extra registry with a space": ("Secret", {"additional_registries": ["a b"]}, set()),
    "an extra registry that is a number": ("Secret", {"additional_registries": [7]}, set()),
    "a scope with a typo": (ARGO, {"credential_scope": "repo_creds"}, {"credential_scope"}),
    "a type with a typo": (ARGO, {"repo_type": "OCI"}, {"repo_type"}),
    "a project of spaces": (ARGO, {"project": "team a"}, {"project"}),
    "a project with repo-creds": (
        ARGO,
        {"project": "a", "credential_scope": "repo-creds"},
        {"project", "credential_scope"},
    ),
    "two slips": (
        "Secret",
        {"secret_labels": {"a": "b c"}, "frequency": "x"},
        {"secret_labels", "frequency"},
    ),
    "suspend as text": ("Secret", {"suspend": "no"}, {"suspend"}),
}


@pytest.mark.parametrize(("kind", "said", "kept"), SLIPS.values(), ids=SLIPS)
def test_a_slip_leaves_the_login_wanted(kind: str, said: dict[str, Any], kept: set[str]) -> None:
    of = resource(kind, **said)
    assert desired(of).logins == desired(resource(kind)).logins
    assert desired(of).kept == kept
    assert problem(kind, **said).reason in {Reason.INVALID_SPEC, Reason.INVALID_REGISTRY}


@pytest.mark.parametrize(
    "said",
    [
        {"generated_secret_name": "A"},
        {"region": "nowhere"},
        {"role_arn": "x"},
        {"aws_iam_secret": {}},
        {"service_account": {"name": "a/b"}},
        {"ecr_registry": ""},
        {"ecr_registry": "a b"},
        {"ecr_registry": "x" * 2049},
        {"ecr_registry": "ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com"},
    ],
    ids=str,
)
def test_without_a_login_nothing_is_wanted(said: dict[str, Any]) -> None:
    assert resource(**said).desired is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_string_means_absent(kind: str) -> None:
    optional = {
        name: ""
        for name in SPECS[kind].model_fields
        if name
        in {"region", "frequency", "role_arn", "deletion_policy", "credential_scope", "repo_type", "project"}
    }
    of = resource(kind, **optional)
    assert (of.problem, of.desired) == (None, resource(kind).desired)


@pytest.mark.parametrize("name", ["service_account", "aws_iam_secret"])
def test_an_empty_string_for_an_identity_is_not_the_operator_s(name: str) -> None:
    assert resource(**{name: ""}).desired is None


@pytest.mark.parametrize("name", ["secret_labels", "secret_annotations", "link_service_accounts"])
def test_an_empty_string_for_what_is_no_string_is_a_slip(name: str) -> None:
    assert name in desired(resource(**{name: ""})).kept


def test_a_project_that_is_not_valid_is_never_among_the_options() -> None:
    for said in ({"project": "team a"}, {"project": "a", "credential_scope": "repo-creds"}):
        of = desired(resource(ARGO, repo_type="oci", **said))
        assert of.argo == ArgoOptions(repo_type="oci")
        assert not of.may_create


def test_a_message_about_an_extra_registry_shows_its_place_and_no_login() -> None:
    of = problem(
        additional_registries=[HOST, "https://me:hidden@proxy.example/v2", "oci://me:hidden@x.example"]
    )
    assert "hidden" not in of.message
    assert "spec.additional_registries[1] is not used: " in of.message
    assert "spec.additional_registries[2] is not used: " in of.message


@pytest.mark.parametrize(
    ("url", "reason", "words"),
    [
        ("oci://charts.example.com/app", Reason.INVALID_SPEC, "Set spec.region"),
        ("https://charts.example.com/app", Reason.INVALID_REGISTRY, "Argo CD"),
        ("oci://ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com", Reason.INVALID_REGISTRY, "12 digits"),
    ],
)
def test_a_url_without_a_region_is_judged_as_argo_cd_does(url: str, reason: Reason, words: str) -> None:
    found = problem(ARGO, url=url)
    assert (found.reason, words in found.message) == (reason, True)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Secret", {"ecr_registry": f"oci://{HOST}"}),
        ("Secret", {"ecr_registry": f"{HOST}/my-app:latest"}),
        ("Secret", {"ecr_registry": f"{HOST},{HOST}", "region": "us-east-2"}),
        ("Secret", {"ecr_registry": "ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com", "region": "us-east-2"}),
        ("Secret", {"ecr_registry": "12345678901.dkr.ecr.us-east-2.amazonaws.com", "region": "us-east-2"}),
        (ARGO, {"url": f"https://{HOST}"}),
    ],
    ids=str,
)
def test_a_key_that_no_client_can_use_is_written_all_the_same(kind: str, said: dict[str, Any]) -> None:
    of = resource(kind, **said)
    assert desired(of).unusable
    assert problem(kind, **said).reason is Reason.INVALID_REGISTRY


@pytest.mark.parametrize(
    "said",
    [
        {"url": HOST, "repo_type": "oci"},
        {"url": f"oci://{HOST}"},
        {"url": f"{HOST}/"},
        {"url": f"oci://{HOST}/charts/app"},
    ],
    ids=str,
)
def test_a_url_that_argo_cd_finds_from_other_sources_has_a_hint(said: dict[str, Any]) -> None:
    of = resource(ARGO, **said)
    assert (of.problem, desired(of).unusable) == (None, None)
    assert "Argo CD" in desired(of).hint


def test_a_frequency_beyond_its_limit_leaves_the_rest_wanted() -> None:
    assert desired(resource(frequency="1h" * 33)).frequency is None
    assert "is longer than 64 characters" in problem(frequency="1h" * 33).message


def test_links_beyond_their_number_leave_the_rest_wanted() -> None:
    links = [{"name": f"a{number}", "for": ["pull"]} for number in range(101)]
    assert desired(resource(link_service_accounts=links)).links is None
    assert "more than 100 entries" in problem(link_service_accounts=links).message


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"conditions": [{"type": "Ready", "message": "x" * HUGE}]}, id="text"),
        pytest.param({f"f{number}": {} for number in range(HUGE // 10)}, id="fields"),
        pytest.param({"phase": "\ud800"}, id="half a character"),
    ],
)
def test_a_status_larger_than_any_of_ours_counts_as_none(status: object) -> None:
    assert resource(status=status).status == {}


@pytest.mark.parametrize(
    ("annotations", "request_"),
    [
        ({REFRESH_REQUESTED: "x" * HUGE}, "x" * 64),
        ({REFRESH_REQUESTED: ""}, None),
        ({REFRESH_REQUESTED: 7}, None),
        ([], None),
        (None, None),
    ],
    ids=["long", "empty", "a number", "a list for annotations", "none"],
)
def test_a_request_for_a_fresh_token_is_short_or_none(annotations: object, request_: str | None) -> None:
    assert requested_refresh({"annotations": annotations}) == request_


def test_the_status_shows_in_no_repr() -> None:
    assert "hunter2" not in repr(resource(status={"phase": "hunter2"}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-03-01T12:00:00Z", NOW, id="UTC"),
        pytest.param("2026-03-01T14:00:00+02:00", NOW, id="another zone"),
        pytest.param("2026-03-01T12:00:00.5Z", NOW + timedelta(milliseconds=500), id="a fraction"),
        pytest.param("2026-03-01T12:00:00", None, id="without a zone it is none"),
        pytest.param("yesterday", None, id="a word is none"),
        pytest.param(7, None, id="a number is none"),
        pytest.param(None, None, id="nothing is none"),
        pytest.param("0001-01-01T00:00:00+14:00", None, id="a moment before all calendars is none"),
    ],
)
def test_a_time_is_read(text: object, expected: datetime | None) -> None:
    assert parse_time(text) == expected


@UNHURRIED
@given(st.text() | st.datetimes(timezones=st.timezones()).map(datetime.isoformat))
def test_reading_a_time_never_raises(text: str) -> None:
    parsed = parse_time(text)
    assert parsed is None or parsed.tzinfo is UTC


def test_a_time_is_written_in_utc_with_seconds() -> None:
    assert format_time(NOW + timedelta(microseconds=999_999)) == "2026-03-01T12:00:00Z"


def test_of_a_large_spec_the_long_parts_are_not_kept_but_known_apart() -> None:
    def large(value: str) -> Resource:
        return resource(secret_annotations={f"note-{number}": value * 100 for number in range(50)})

    kept = large("x").abridged()
    assert len(repr(kept)) < 2000
    assert kept == large("x").abridged() == kept.abridged()
    assert kept != large("y").abridged()
    small = resource(secret_annotations={"note": "x"})
    assert small.abridged() is small
