"""Which images and charts the clients use a key for, against recorded answers of the real clients.

registry_keys.json is written by tools/registry_keys.py, and tests/programs asks the real clients again.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.api.client_rules import argo_reach, containers_serves, docker_reach, kubelet_serves

RECORDED: Final[dict[str, Any]] = json.loads(
    Path(__file__).with_name("registry_keys.json").read_text(encoding="utf-8")
)
IMAGES: Final[list[str]] = RECORDED["images"]
ANSWERS: Final[dict[str, dict[str, list[str]]]] = RECORDED["keys"]
ZONE: Final = "dkr.ecr.us-east-2.amazonaws.com"
HOST: Final = f"123456789012.{ZONE}"
# A busy machine is no failure.
UNHURRIED: Final = settings(deadline=None)
LONGEST_MESSAGE: Final = 500
ENOUGH: Final = 40


def test_the_record_is_large_and_has_both_kinds() -> None:
    dead = [key for key, answer in ANSWERS.items() if not answer["kubelet"] and not answer["containers"]]
    assert len(dead) >= ENOUGH
    assert len(ANSWERS) - len(dead) >= ENOUGH


@pytest.mark.parametrize("key", ANSWERS, ids=ascii)
def test_the_rules_give_the_answers_of_the_real_clients(key: str) -> None:
    assert [image for image in IMAGES if kubelet_serves(key, image)] == ANSWERS[key]["kubelet"]
    assert [image for image in IMAGES if containers_serves(key, image)] == ANSWERS[key]["containers"]


@pytest.mark.parametrize("key", ANSWERS, ids=ascii)
def test_a_client_is_reached_exactly_where_it_uses_the_key_for_some_image(key: str) -> None:
    reach = docker_reach(key)
    assert (reach.kubelet is not None) == bool(ANSWERS[key]["kubelet"])
    assert (reach.containers is not None) == bool(ANSWERS[key]["containers"])


# Clients would use these, but no registry of ECR has such a name.
NOT_ECR: Final = {
    f"account_id.{ZONE}",
    f"12345*.{ZONE}",
    f"**.{ZONE}",
    "api.ecr.us-east-2.amazonaws.com",
}


@pytest.mark.parametrize("key", ANSWERS, ids=ascii)
def test_a_key_is_a_problem_exactly_where_no_client_uses_it_or_ecr_has_no_such_registry(key: str) -> None:
    used = ANSWERS[key]["kubelet"] or ANSWERS[key]["containers"]
    assert (docker_reach(key).problem is None) == (bool(used) and key not in NOT_ECR)


@pytest.mark.parametrize(
    ("key", "kubelet", "containers"),
    [
        pytest.param(HOST, f"every image of {HOST}", f"every image of {HOST}", id="a host"),
        pytest.param(
            f"{HOST}/team",
            f"images of {HOST} whose path begins with team",
            f"{HOST}/team and all images under it",
            id="a path",
        ),
        pytest.param(
            f"https://{HOST}:443/v2/", f"every image of {HOST}:443", f"every image of {HOST}:443", id="a URL"
        ),
        pytest.param(f"*.{ZONE}", f"every image of *.{ZONE}", None, id="every account"),
        pytest.param("[::1]:5000", "every image of [::1]:5000", None, id="an IPv6 address"),
        pytest.param(f"http://https://{HOST}", None, f"every image of {HOST}", id="podman alone"),
    ],
)
def test_what_is_reached_is_in_words(key: str, kubelet: str | None, containers: str | None) -> None:
    reach = docker_reach(key)
    assert (reach.kubelet, reach.containers, reach.problem) == (kubelet, containers, None)


@pytest.mark.parametrize(
    ("key", "says", "instead"),
    [
        pytest.param(f"oci://{HOST}", "begins with oci://", f"write {HOST}.", id="another scheme"),
        pytest.param(f"HTTPS://{HOST}", "begins with HTTPS://", f"write {HOST}.", id="a scheme in capitals"),
        pytest.param(f"{HOST}/my-app:latest", "holds a tag or a digest", f"write {HOST}.", id="a tag"),
        pytest.param(f"{HOST}@sha256:{'a' * 64}", "holds a tag or a digest", f"write {HOST}.", id="a digest"),
        pytest.param(
            f"{HOST},{HOST}", "holds a comma", "the others in additional_registries", id="two hosts"
        ),
        pytest.param(f"ACCOUNT_ID.{ZONE}", "does not begin with an AWS account", "12 digits", id="a sample"),
        pytest.param(f"12345678901.{ZONE}", "an AWS account", "write its 12 digits, not 11", id="11 digits"),
        pytest.param(f"1234567890123.{ZONE}", "an AWS account", "12 digits, not 13", id="13 digits"),
        pytest.param(
            "my.account.dkr-ecr-fips.us-west-2.on.aws", "an AWS account", "12 digits", id="a name, dual stack"
        ),
        pytest.param(ZONE, "an AWS account", "12 digits", id="no account"),
        pytest.param("api.ecr.us-east-2.amazonaws.com", "ECR's API", f"for example {HOST}", id="the API"),
        pytest.param("api.ecr-fips.us-east-1.amazonaws.com", "ECR's API", HOST, id="the API, FIPS"),
        pytest.param("ecr.us-east-2.api.aws", "ECR's API", HOST, id="the API, dual stack"),
        pytest.param("ecr.us-east-2.amazonaws.com", "ECR's API", HOST, id="the API's older name"),
        pytest.param("api.ecr-public.us-east-1.amazonaws.com", "ECR's API", HOST, id="the API of ECR Public"),
        pytest.param("vpce-0a-1b.api.ecr.us-east-1.vpce.amazonaws.com", "ECR's API", HOST, id="its endpoint"),
        pytest.param("registry", "has neither a dot nor a port", "write for example", id="one label"),
        pytest.param(f"{HOST}:https", "has a port that is not a number", f"write {HOST}.", id="a port"),
        pytest.param(f"{HOST}.", "ends with a dot", f"write {HOST}.", id="a dot"),
        pytest.param(f"{HOST}/Team", "has capital letters in its path", f"write {HOST}.", id="capitals"),
        pytest.param(f"{HOST}//team", "has two slashes in a row", f"write {HOST}.", id="two slashes"),
        pytest.param(
            f"{HOST}/te*", "has a path that no repository", f"write {HOST}.", id="a glob in the path"
        ),
        pytest.param("/team", "The registry names no host", "write for example", id="no host"),
        pytest.param(f"{'a' * 250}.example.com", "is not a host name", "write", id="longer than any host"),
        pytest.param(f"{HOST};{HOST}", "is not a host name", "write for example", id="no host name"),
    ],
)
def test_a_problem_says_what_is_wrong_and_what_to_write(key: str, says: str, instead: str) -> None:
    problem = docker_reach(key).problem
    assert problem is not None
    assert says in problem
    assert instead in problem


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("ecr.example.com", id="a CNAME"),
        pytest.param("ecr.us-east-2.example.com", id="a proxy with a name like the API's"),
        pytest.param("api.example.com", id="a proxy with a name like an API's"),
        pytest.param(f"proxy.example.com/{HOST}", id="ECR's host in the path"),
        pytest.param(f"{HOST}.example.com", id="an account's host as part of another"),
        pytest.param("dkr-mirror.example.com", id="a mirror"),
        pytest.param("mirror:5000", id="a name within the cluster, with its port"),
        pytest.param(f"*.{ZONE}", id="every account"),
        pytest.param(f"vpce-0a1b-2c3d.{ZONE}", id="a VPC endpoint"),
    ],
)
def test_what_works_is_no_problem(key: str) -> None:
    assert docker_reach(key).problem is None


PATH: Final = "for no OCI artifact"
SLASH: Final = "also ends with a slash"
BEHIND: Final = "behind the slash"
PORT: Final = "With a port"
OCI: Final = "only for OCI sources"
HELM: Final = "only for Helm sources"


@pytest.mark.parametrize(
    ("url", "scope", "repo_type", "hints"),
    [
        (HOST, "repository", "helm", []),
        (f"{HOST}/charts", "repository", "helm", []),
        (f"{HOST}:443", "repository", "helm", []),
        (f"{HOST}/charts/", "repository", "helm", [SLASH]),
        (f"oci://{HOST}/charts/app", "repository", "helm", [OCI]),
        (f"OCI://{HOST}/charts/app", "repository", "helm", [OCI]),
        (f"oci://{HOST}", "repository", "helm", [PATH]),
        (f"oci://{HOST}/", "repository", "helm", [PATH]),
        (f"oci://{HOST}/charts/app", "repository", "oci", []),
        (f"oci://{HOST}/charts/app/", "repository", "oci", [SLASH]),
        (f"oci://{HOST}:443/charts/app", "repository", "oci", []),
        (f"oci://{HOST}", "repository", "oci", [PATH]),
        (HOST, "repository", "oci", [HELM]),
        (f"{HOST}/charts/", "repository", "oci", [SLASH, HELM]),
        (HOST, "repo-creds", "helm", []),
        (f"{HOST}/", "repo-creds", "helm", [BEHIND]),
        (f"{HOST}:443", "repo-creds", "helm", [PORT]),
        (f"{HOST}:443/charts", "repo-creds", "oci", [PORT, HELM]),
        # Go's url.Parse takes what begins with a letter for a scheme, and so it matches itself.
        ("ecr.example.com:8443", "repo-creds", "helm", []),
        (f"oci://{HOST}", "repo-creds", "helm", [OCI]),
        (f"oci://{HOST}", "repo-creds", "oci", []),
        (f"oci://{HOST}:443", "repo-creds", "oci", []),
        ("public.ecr.aws/alias/charts", "repository", "helm", []),
    ],
)
def test_argo_cd_hints_tell_which_sources_find_the_login(
    url: str, scope: str, repo_type: str, hints: list[str]
) -> None:
    reach = argo_reach(url, scope=scope, repo_type=repo_type)
    assert reach.problem is None
    found = [hint for hint in (PATH, SLASH, BEHIND, PORT, OCI, HELM) if hint in (reach.hint or "")]
    assert found == hints
    assert bool(reach.hint) == bool(hints)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param(f"https://{HOST}/charts", "begins with https://", id="https"),
        pytest.param(f"http://{HOST}", "begins with http://", id="http"),
        pytest.param(f"HTTPS://{HOST}", "begins with HTTPS://", id="https in capitals"),
        pytest.param(f"docker://{HOST}", "begins with docker://", id="another scheme"),
        pytest.param(f"ACCOUNT_ID.{ZONE}", "12 digits", id="a sample"),
        pytest.param(f"oci://12345678901.{ZONE}/app", "12 digits, not 11", id="11 digits"),
        pytest.param("oci://api.ecr.us-east-2.amazonaws.com", "ECR's API", id="the API"),
        pytest.param(f"*.{ZONE}", "is not a host name", id="every account, which the kubelet alone knows"),
        pytest.param(f"{HOST},{HOST}", "is not a host name", id="two hosts"),
        pytest.param(f"oci://AWS:password@{HOST}/app", "holds a login", id="a login"),
        pytest.param("/charts", "is not a host name", id="no host"),
    ],
)
@pytest.mark.parametrize("scope", ["repository", "repo-creds"])
@pytest.mark.parametrize("repo_type", ["helm", "oci"])
def test_a_url_that_no_source_finds_is_a_problem(url: str, says: str, scope: str, repo_type: str) -> None:
    reach = argo_reach(url, scope=scope, repo_type=repo_type)
    assert reach.problem is not None
    assert says in reach.problem
    assert "write" in reach.problem
    assert reach.hint is None


@pytest.mark.parametrize(
    "key",
    [
        "https://AWS:s3cr3t@registry",
        f"https://AWS:s3cr3t/x@{HOST}/v2/",
        f"oci://AWS:s3cr3t@{HOST}/v2/",
        f"oci://{HOST}/?token=s3cr3t",
        f"AWS:s3cr3t@12345.{ZONE}",
        f"s3cr3t@{HOST}//x",
        f"AWS:s3cr3t@{HOST},{HOST}",
        f"AWS:s3cr3t@{HOST}/team",
    ],
)
def test_a_login_inside_a_key_never_shows(key: str) -> None:
    assert "s3cr3t" not in f"{docker_reach(key)} {argo_reach(key)}"


PIECES: Final = st.lists(
    st.sampled_from(
        [
            *f"{HOST} * . / // : @ 443 https:// oci:// ? # % %41 %zz [ ] ::1 - _ x X \u212a , .. /v2/".split(
                " "
            ),
            " ",
        ]
    ),
    max_size=12,
).map("".join)


@UNHURRIED
@given(st.text() | PIECES)
def test_any_text_gets_an_answer_in_short_printable_words(key: str) -> None:
    docker, argo = docker_reach(key), argo_reach(key, scope="repo-creds", repo_type="oci")
    for words in (docker.kubelet, docker.containers, docker.problem, argo.problem, argo.hint):
        assert len(words or "") < LONGEST_MESSAGE
        assert (words or "").isprintable()
