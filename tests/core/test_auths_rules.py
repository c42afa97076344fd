"""The generated docker config, read by the rules by which clients find the login for an image.

tests/api/test_usable_keys.py holds these rules against the real clients.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.api.usable_keys import containers_serves, kubelet_serves
from ecr_operator.core.manifest import DOCKER_KEY, dockerconfigjson, generated_data
from tests.builders import desired, resource, token

Auths = Mapping[str, Mapping[str, str]]

ACCOUNT: Final = "123456789012"
PLAIN: Final = f"{ACCOUNT}.dkr.ecr.us-east-2.amazonaws.com"
OTHER: Final = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
CHINA: Final = f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn"


def generated(key: str, **spec: Any) -> Auths:
    """The `auths` of the Secret for a registry; the password of each login is its key."""
    of = resource(ecr_registry=key, **spec)
    logins = {login.key: token(login.key) for login in desired(of).logins}
    auths: Auths = json.loads(generated_data(desired(of), logins)[DOCKER_KEY])["auths"]
    return auths


def passwords(auths: Auths, image: str) -> tuple[list[str], str | None]:
    """What the kubelet tries for an image, the longer key first; and what podman uses, the longest key."""
    kubelet = [auths[key]["password"] for key in sorted(auths, reverse=True) if kubelet_serves(key, image)]
    keys = [key for key in auths if containers_serves(key, image)]
    return kubelet, auths[max(keys, key=len)]["password"] if keys else None


@pytest.mark.parametrize(
    "host",
    [
        PLAIN,
        CHINA,
        f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com",
        f"{ACCOUNT}.dkr-ecr-fips.us-west-2.on.aws",
        "vpce-0a1b-2c3d.dkr.ecr.us-east-1.vpce.amazonaws.com",
        "public.ecr.aws",
    ],
)
def test_a_host_serves_all_its_images_and_no_others(host: str) -> None:
    auths = generated(host)
    for image in ("app", "team/app", "a/b/c/d"):
        assert passwords(auths, f"{host}/{image}") == ([host], host)
    for other in (f"{host}:443", f"x.{host}", host.partition(".")[2], f"{host}.evil.example", "quay.io"):
        assert passwords(auths, f"{other}/team/app") == ([], None)


@pytest.mark.parametrize(
    "key", [f"https://{PLAIN}/v2/", f"{PLAIN}:443", f"{PLAIN}/team", f"oci://{PLAIN}", f"{PLAIN}/app:latest"]
)
def test_a_key_is_written_verbatim_whether_or_not_a_client_uses_it(key: str) -> None:
    assert list(generated(key, region="us-east-2")) == [key]


def test_each_of_several_registries_serves_its_own_images_and_the_longer_key_comes_first() -> None:
    auths = generated(PLAIN, additional_registries=[OTHER, CHINA, "public.ecr.aws", f"{PLAIN}/team"])
    for key in (PLAIN, OTHER, CHINA, "public.ecr.aws"):
        assert passwords(auths, f"{key}/app") == ([key], key)
    assert passwords(auths, f"{PLAIN}/team/app") == ([f"{PLAIN}/team", PLAIN], f"{PLAIN}/team")


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=3000))
def test_auth_is_the_same_as_username_and_password_whatever_the_token_is(password: str) -> None:
    (held,) = json.loads(dockerconfigjson({PLAIN: token(password)}))["auths"].values()
    assert (held["username"], held["password"]) == ("AWS", password)
    assert base64.b64decode(held["auth"], validate=True).decode() == f"AWS:{password}"
