"""Which images and charts the clients use a key for, against recorded answers of the real clients.

registry_keys.json is written by tools/registry_keys.py, and tests/programs asks the real clients again.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_operator.api.usable_registry_keys import (
    argo_hint,
    argo_problem,
    containers_serves,
    docker_problem,
    kubelet_serves,
)

RECORDED: Final[dict[str, Any]] = json.loads(
    Path(__file__).with_name("registry_keys.json").read_text(encoding="utf-8")
)
IMAGES: Final[list[str]] = RECORDED["images"]
ANSWERS: Final[dict[str, dict[str, list[str]]]] = RECORDED["keys"]
ZONE: Final = "dkr.ecr.us-east-2.amazonaws.com"
HOST: Final = f"123456789012.{ZONE}"
LONGEST_MESSAGE: Final = 500


# Clients would use these, but ECR has no registry of such a name.
NOT_ECR: Final = {
    f"account_id.{ZONE}",
    f"12345*.{ZONE}",
    f"**.{ZONE}",
    "api.ecr.us-east-2.amazonaws.com",
}


@pytest.mark.parametrize("key", ANSWERS, ids=ascii)
def test_the_rules_give_the_answers_of_the_real_clients(key: str) -> None:
    kubelet = [image for image in IMAGES if kubelet_serves(key, image)]
    containers = [image for image in IMAGES if containers_serves(key, image)]
    assert (kubelet, containers) == (ANSWERS[key]["kubelet"], ANSWERS[key]["containers"])
    assert (docker_problem(key) is None) == (bool(kubelet or containers) and key not in NOT_ECR)


PROBLEMS: Final = [
    (f"oci://{HOST}", "begins with oci://", f"write {HOST}."),
    (f"HTTPS://{HOST}", "begins with HTTPS://", f"write {HOST}."),
    (f"{HOST}/my-app:latest", "contains a tag or a digest", f"write {HOST}."),
    (f"{HOST}@sha256:{'a' * 64}", "contains a tag or a digest", f"write {HOST}."),
    (f"{HOST},{HOST}", "contains a comma", "the others in additional_registries"),
    (f"ACCOUNT_ID.{ZONE}", "does not begin with an AWS account", "12 digits"),
    (f"12345678901.{ZONE}", "an AWS account", "write its 12 digits, not 11"),
    (f"1234567890123.{ZONE}", "an AWS account", "12 digits, not 13"),
    ("my.account.dkr-ecr-fips.us-west-2.on.aws", "an AWS account", "12 digits"),
    (ZONE, "an AWS account", "12 digits"),
    ("api.ecr.us-east-2.amazonaws.com", "ECR's API", f"for example {HOST}"),
    ("api.ecr-fips.us-east-1.amazonaws.com", "ECR's API", HOST),
    ("ecr.us-east-2.api.aws", "ECR's API", HOST),
    ("ecr.us-east-2.amazonaws.com", "ECR's API", HOST),
    ("api.ecr-public.us-east-1.amazonaws.com", "ECR's API", HOST),
    ("vpce-0a-1b.api.ecr.us-east-1.vpce.amazonaws.com", "ECR's API", HOST),
    ("registry", "has neither a dot nor a port", "write for example"),
    (f"{HOST}:https", "has a port that is not a number", f"write {HOST}."),
    (f"{HOST}.", "ends with a dot", f"write {HOST}."),
    (f"{HOST}/Team", "has capital letters in its path", f"write {HOST}."),
    (f"{HOST}//team", "has two slashes in a row", f"write {HOST}."),
    (f"{HOST}/te*", "has a path that no repository name can begin with", f"write {HOST}."),
    (f"{HOST}/%25zz", "has a path that no repository name can begin with", f"write {HOST}."),
    ("/team", "The registry contains no host", "write for example"),
    (f"{'a' * 250}.example.com", "is not a host name", "write"),
    (f"{HOST};{HOST}", "is not a host name", "write for example"),
]


@pytest.mark.parametrize(("key", "says", "instead"), PROBLEMS, ids=[key[:60] for key, _, _ in PROBLEMS])
def test_a_problem_says_what_is_wrong_and_what_to_write(key: str, says: str, instead: str) -> None:
    problem = docker_problem(key)
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
        pytest.param("[::1]:5000", id="an IPv6 address, for the kubelet alone"),
        pytest.param(f"http://https://{HOST}", id="two schemes, for containers/image alone"),
        pytest.param(f"https://{HOST}:443/v2/", id="a URL"),
        pytest.param(f"*.{ZONE}", id="every account"),
        pytest.param(f"vpce-0a1b-2c3d.{ZONE}", id="a VPC endpoint"),
    ],
)
def test_a_key_that_some_client_uses_is_no_problem(key: str) -> None:
    assert docker_problem(key) is None


PATH: Final = "does not use the login for OCI artifacts"
SLASH: Final = "also ends with a slash"
BEHIND: Final = "continue after the slash"
PORT: Final = "With a port"
OCI: Final = "only for OCI sources"
HELM: Final = "only for Helm sources"


@pytest.mark.parametrize(
    ("url", "source", "hints"),
    [
        (HOST, "repository helm", []),
        (f"{HOST}/charts", "repository helm", []),
        (f"{HOST}:443", "repository helm", []),
        (f"{HOST}/charts/", "repository helm", [SLASH]),
        (f"oci://{HOST}/charts/app", "repository helm", [OCI]),
        (f"OCI://{HOST}/charts/app", "repository helm", [OCI]),
        (f"oci://{HOST}", "repository helm", [PATH]),
        (f"oci://{HOST}/", "repository helm", [PATH]),
        (f"oci://{HOST}/charts/app", "repository oci", []),
        (f"oci://{HOST}/charts/app/", "repository oci", [SLASH]),
        (f"oci://{HOST}:443/charts/app", "repository oci", []),
        (f"oci://{HOST}", "repository oci", [PATH]),
        (HOST, "repository oci", [HELM]),
        (f"{HOST}/charts/", "repository oci", [SLASH, HELM]),
        (HOST, "repo-creds helm", []),
        (f"{HOST}/", "repo-creds helm", [BEHIND]),
        (f"{HOST}:443", "repo-creds helm", [PORT]),
        (f"{HOST}:443/charts", "repo-creds oci", [PORT, HELM]),
        # Go's url.Parse reads what begins with a letter as a scheme, and so it matches itself.
        ("ecr.example.com:8443", "repo-creds helm", []),
        (f"oci://{HOST}", "repo-creds helm", [OCI]),
        (f"oci://{HOST}", "repo-creds oci", []),
        (f"oci://{HOST}:443", "repo-creds oci", []),
        ("public.ecr.aws/alias/charts", "repository helm", []),
    ],
)
def test_argo_cd_hints_tell_which_sources_find_the_login(url: str, source: str, hints: list[str]) -> None:
    scope, repo_type = source.split()
    hint = argo_hint(url, scope=scope, repo_type=repo_type)
    assert argo_problem(url) is None
    assert [words for words in (PATH, SLASH, BEHIND, PORT, OCI, HELM) if words in hint] == hints
    assert bool(hint) == bool(hints)


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
        pytest.param(f"oci://AWS:password@{HOST}/app", "contains a login", id="a login"),
        pytest.param("/charts", "is not a host name", id="no host"),
    ],
)
def test_a_url_that_no_source_of_argo_cd_finds_is_a_problem(url: str, says: str) -> None:
    problem = argo_problem(url)
    assert problem is not None
    assert says in problem
    assert "write" in problem


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
    assert "s3cr3t" not in f"{docker_problem(key)} {argo_problem(key)}"


TEXTS: Final = (
    f"{HOST} * . / // : @ 443 https:// oci:// ? # % %41 %zz [ ] ::1 - _ x X \u212a , .. /v2/".split(" ")
)
PIECES: Final = st.lists(st.sampled_from([*TEXTS, " "]), max_size=12).map("".join)


@given(st.text() | PIECES)
def test_any_text_gets_an_answer_in_short_printable_words(key: str) -> None:
    hint = argo_hint(key, scope="repo-creds", repo_type="oci")
    for words in (docker_problem(key) or "", argo_problem(key) or "", hint):
        assert len(words) < LONGEST_MESSAGE
        assert words.isprintable()
