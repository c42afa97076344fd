"""The generated docker config, held against the rules by which images find their login in it.

test_clients.py has the rules for each form of a key.
"""

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.core.secret import DOCKER_KEY, dockerconfigjson, generated_data
from tests.builders import desired, resource, token
from tests.core.auths import Auths, containers_login, decode_login, kubelet_logins

ACCOUNT: Final = "123456789012"
PLAIN: Final = f"{ACCOUNT}.dkr.ecr.us-east-2.amazonaws.com"
OTHER: Final = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"


def generated(key: str, **spec: Any) -> Auths:
    """The `auths` of the Secret for a registry; each login's password is its key."""
    of = resource(ecr_registry=key, **spec)
    logins = {login.key: token(login.key) for login in desired(of).logins}
    auths: Auths = json.loads(generated_data(desired(of), logins)[DOCKER_KEY])["auths"]
    return auths


def served(key: str, image: str, **spec: Any) -> tuple[bool, bool]:
    """Whether the kubelet, and podman and its kin, find the login for the image."""
    auths, login = generated(key, **spec), ("AWS", key)
    return kubelet_logins(auths, image) == [login], containers_login(auths, image) == login


HOSTS: Final = {
    "private": PLAIN,
    "FIPS": f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com",
    "GovCloud": f"{ACCOUNT}.dkr.ecr.us-gov-west-1.amazonaws.com",
    "China": f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn",
    "Europe": f"{ACCOUNT}.dkr.ecr.eusc-de-east-1.amazonaws.eu",
    "dual stack": f"{ACCOUNT}.dkr-ecr.us-west-2.on.aws",
    "dual stack with FIPS": f"{ACCOUNT}.dkr-ecr-fips.us-west-2.on.aws",
    "a VPC endpoint": "vpce-0a1b-2c3d.dkr.ecr.us-east-1.vpce.amazonaws.com",
    "public": "public.ecr.aws",
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_host_serves_all_its_images_and_no_others(host: str) -> None:
    for image in ("app", "team/app", "a/b/c/d"):
        assert served(host, f"{host}/{image}") == (True, True)
    for other in (f"{host}:443", f"x.{host}", host.partition(".")[2], f"{host}.evil.example", "quay.io"):
        assert served(host, f"{other}/team/app") == (False, False)


@pytest.mark.parametrize(
    "key", [f"https://{PLAIN}/v2/", f"{PLAIN}:443", f"{PLAIN}/team", f"oci://{PLAIN}", f"{PLAIN}/app:latest"]
)
def test_a_key_is_written_verbatim_whether_or_not_a_client_uses_it(key: str) -> None:
    assert list(generated(key, region="us-east-2")) == [key]


def test_each_of_several_registries_serves_its_own_images() -> None:
    more = [OTHER, HOSTS["China"], HOSTS["public"], f"{PLAIN}/team"]
    auths = generated(PLAIN, additional_registries=more)
    for key in [PLAIN, *more[:-1]]:
        assert kubelet_logins(auths, f"{key}/app") == [("AWS", key)]
        assert containers_login(auths, f"{key}/app") == ("AWS", key)


def test_of_two_keys_that_fit_the_longer_comes_first() -> None:
    auths = generated(PLAIN, additional_registries=[f"{PLAIN}/team"])
    image = f"{PLAIN}/team/app"
    assert kubelet_logins(auths, image) == [("AWS", f"{PLAIN}/team"), ("AWS", PLAIN)]
    assert containers_login(auths, image) == ("AWS", f"{PLAIN}/team")


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=3000))
def test_auth_says_the_same_as_username_and_password_whatever_the_token_is(password: str) -> None:
    (held,) = json.loads(dockerconfigjson({PLAIN: token(password)}))["auths"].values()
    assert decode_login(held) == (held["username"], held["password"]) == ("AWS", password)


def test_a_reader_that_takes_auth_alone_is_served() -> None:
    (held,) = generated(PLAIN).values()
    assert decode_login({"auth": held["auth"]}) == ("AWS", PLAIN)


@pytest.mark.parametrize("auth", ["QVdT", "not base64"], ids=["no colon", "no base64"])
def test_the_rules_refuse_an_auth_that_no_reader_takes(auth: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_login({"username": "AWS", "password": "x", "auth": auth})
