"""`pull`: which logins the kubelet tries for an image."""

import base64
from typing import Any

import pytest

from ecr_operator.cli.keyring import Login, lookup, parse_image, read_pull_secret
from tests.cli.kubelet_cases import CASES, HOST, Secrets


def secret(kind: str, text: str) -> dict[str, Any]:
    data = base64.b64encode(text.encode()).decode()
    return {"type": kind, "data": {".dockerconfigjson": data, ".dockercfg": data}}


def tried(secrets: Secrets, image: str) -> list[str] | None:
    try:
        parsed = parse_image(image)
    except ValueError:
        return None
    read = [read_pull_secret(f"s{number}", secret(*each)) for number, each in enumerate(secrets)]
    if any(each.stops for each in read):
        return None
    return [login.username for login in lookup(read, parsed)]


@pytest.mark.parametrize(("secrets", "image", "names"), CASES.values(), ids=CASES)
def test_logins_are_tried_in_the_kubelets_order(
    secrets: Secrets, image: str, names: list[str] | None
) -> None:
    assert tried(secrets, image) == names


@pytest.mark.parametrize(
    ("text", "host", "path", "reference"),
    [
        ("app", "docker.io", "library/app", "latest"),
        ("index.docker.io/app:1", "docker.io", "library/app", "1"),
        ("team/app:1", "docker.io", "team/app", "1"),
        (f"{HOST}/a/b:v1.2_3-4", HOST, "a/b", "v1.2_3-4"),
        (f"{HOST}/a:1@sha256:{'a' * 64}", HOST, "a", f"sha256:{'a' * 64}"),
        ("localhost:5000/app", "localhost:5000", "app", "latest"),
        ("localhost:5000", "docker.io", "library/localhost", "5000"),
    ],
)
def test_an_image_has_a_host_a_path_and_a_reference(text: str, host: str, path: str, reference: str) -> None:
    image = parse_image(text)
    assert (image.host, image.path, image.reference) == (host, path, reference)


@pytest.mark.parametrize(
    "text",
    [
        *["", "/", "app:", "app@", "app@sha256:1", "app:a b", f"app:{'a' * 129}", f"{HOST}/../x"],
        *["https://host.io/app", f"{HOST}/app?x", "x" * 3000, "\x1b[31m"],
    ],
)
def test_an_image_that_is_not_valid_is_refused_in_a_short_printable_line(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid image") as caught:
        parse_image(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_no_password_and_no_login_in_a_key_is_shown() -> None:
    key = f"https://AWS:hidden@{HOST}/v2/?token=hidden"
    login = Login(secret="pull", key=key, username="AWS", password="hidden")  # noqa: S106 - made up
    assert login.shown_key == f"https://{HOST}/v2/"
    assert "password" not in repr(login)
