"""`pull`: what is asked of a registry, and who gets the login."""

# ruff: noqa: S106 - made-up passwords

import base64
import json
from collections.abc import AsyncIterator

import pytest

from ecr_operator.cli import manifests
from ecr_operator.cli.diagnosis import Answer, AnswerKind
from ecr_operator.cli.keyring import Image, Login, parse_image
from ecr_operator.settings.proxies import Proxies
from tests.cli.registries import Registries, Reply, Seen

HOST, ELSEWHERE = "registry.example.com", "elsewhere.example.org"
HUB, HUB_TOKENS = "registry-1.docker.io", "auth.docker.io"
MANIFEST = "/v2/team/app/manifests/1"
MINE = f"{HOST}{MANIFEST}"
LOGIN = Login(secret="pull", key=HOST, username="AWS", password="pass:word")
BASIC = f"Basic {base64.b64encode(b'AWS:pass:word').decode()}"
WANTS_BASIC = {"WWW-Authenticate": 'Basic realm="https://elsewhere.example.org/",service="x"'}


def wants_token(realm: str) -> dict[str, str]:
    return {"WWW-Authenticate": f'Bearer realm="{realm}",service="s",scope="repository:team/app:pull"'}


def error(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


@pytest.fixture
async def registries() -> AsyncIterator[Registries]:
    async with Registries(HOST, f"{HOST}:8443", ELSEWHERE, HUB, HUB_TOKENS) as running:
        yield running


async def ask(
    registries: Registries,
    login: Login | None = LOGIN,
    image: str = f"{HOST}/team/app:1",
    seconds: float = 20,
) -> Answer:
    client = manifests.Registries(registries.proxies, registries.authorities, seconds)
    async with client as asking:
        return await asking.ask(parse_image(image), login)


async def test_a_registry_that_wants_no_login_gets_none(registries: Registries) -> None:
    registries.replies = {MINE: Reply()}
    assert await ask(registries) == Answer(kind="found", status=200)
    assert registries.seen == [Seen("HEAD", HOST, MANIFEST, None)]


async def test_basic_is_sent_when_it_is_wanted(registries: Registries) -> None:
    registries.replies = {MINE: Reply(auth=BASIC, headers=WANTS_BASIC)}
    assert (await ask(registries)).kind == "found"
    assert (await ask(registries, None)).kind == "unauthorized"
    assert registries.logins() == {(HOST, BASIC)}


@pytest.mark.parametrize("field", ["token", "access_token"])
async def test_the_registrys_own_token_service_gets_the_login_and_the_registry_its_token(
    registries: Registries, field: str
) -> None:
    registries.replies = {
        MINE: Reply(auth="Bearer t", headers=wants_token(f"https://{HOST}/token?a=b")),
        f"{HOST}/token": Reply(auth=BASIC, body=json.dumps({field: "t"}).encode()),
    }
    assert (await ask(registries)).kind == "found"
    asked = next(each.path for each in registries.seen if each.path.startswith("/token"))
    assert asked == "/token?a=b&scope=repository:team/app:pull&service=s"
    assert registries.logins() == {(HOST, BASIC), (HOST, "Bearer t")}


async def test_without_a_login_the_token_is_asked_for_anonymously_wherever_it_is(
    registries: Registries,
) -> None:
    registries.replies = {
        MINE: Reply(auth="Bearer t", headers=wants_token(f"https://{ELSEWHERE}/token")),
        f"{ELSEWHERE}/token": Reply(body=b'{"token": "t"}'),
    }
    assert (await ask(registries, None)).kind == "found"
    assert registries.logins() == {(HOST, "Bearer t")}


@pytest.mark.parametrize("realm", [f"https://{ELSEWHERE}/token", f"https://{HOST}:8443/token"])
async def test_no_other_host_or_port_gets_the_login(registries: Registries, realm: str) -> None:
    registries.replies = {
        MINE: Reply(auth="Bearer t", headers=wants_token(realm)),
        f"{ELSEWHERE}/token": Reply(body=b'{"token": "t"}'),
    }
    answer = await ask(registries)
    assert (answer.kind, answer.message) == ("withheld", realm.removesuffix("/token"))
    assert registries.logins() == set()


async def test_docker_hubs_token_service_is_known_and_is_for_docker_hub_alone(registries: Registries) -> None:
    registries.replies = {
        f"{HUB}{MANIFEST}": Reply(auth="Bearer t", headers=wants_token(f"https://{HUB_TOKENS}/token")),
        f"{HUB_TOKENS}/token": Reply(auth=BASIC, body=b'{"token": "t"}'),
        MINE: Reply(auth="Bearer t", headers=wants_token(f"https://{HUB_TOKENS}/token")),
    }
    assert (await ask(registries, image="team/app:1")).kind == "found"
    assert registries.logins() == {(HUB_TOKENS, BASIC), (HUB, "Bearer t")}
    registries.seen.clear()
    assert (await ask(registries)).kind == "withheld"
    assert registries.logins() == set()


async def test_a_redirect_after_the_login_does_not_carry_it(registries: Registries) -> None:
    registries.replies = {
        MINE: Reply(status=307, auth=BASIC, headers=WANTS_BASIC, then={"Location": f"https://{ELSEWHERE}/m"}),
        f"{ELSEWHERE}/m": Reply(),
    }
    assert (await ask(registries)).kind == "found"
    assert registries.logins() == {(HOST, BASIC)}
    assert registries.seen[-1] == Seen("HEAD", ELSEWHERE, "/m", None)


def redirect(location: str) -> Reply:
    return Reply(status=307, headers={"Location": location})


def asks_token(realm: str) -> Reply:
    return Reply(status=401, headers=wants_token(realm))


UNUSABLE = {
    "a redirect to plain HTTP": (redirect("http://elsewhere.example.org/"), "HTTPS"),
    "a redirect to itself": (redirect(MANIFEST), "redirects too often"),
    "a redirect to no URL": (redirect("https://["), ""),
    "a token service with plain HTTP": (asks_token(f"http://{HOST}/t"), "HTTPS"),
    "a token service with a login": (asks_token(f"https://a:b@{HOST}/t"), "HTTPS"),
    "a token service without a URL": (asks_token("//"), "HTTPS"),
    "no token": (asks_token(f"https://{HOST}/empty"), "without a token"),
    "a token with a line break": (asks_token(f"https://{HOST}/lines"), "without a token"),
    "a token that is not JSON": (asks_token(f"https://{HOST}/html"), "not JSON"),
    "a token without an end": (asks_token(f"https://{HOST}/huge"), "larger"),
}


@pytest.mark.parametrize(("reply", "words"), UNUSABLE.values(), ids=UNUSABLE)
async def test_an_unusable_answer_is_one_short_line(registries: Registries, reply: Reply, words: str) -> None:
    registries.replies = {
        MINE: reply,
        f"{HOST}/empty": Reply(body=b"{}"),
        f"{HOST}/lines": Reply(body=b'{"token": "a\\r\\nb"}'),
        f"{HOST}/html": Reply(body=b"<html>"),
        f"{HOST}/huge": Reply(body=b"x" * 2**20),
    }
    answer = await ask(registries)
    assert answer.kind == "unreachable"
    assert words in answer.message
    assert answer.message.isprintable()
    assert len(answer.message) < 500
    assert all(host == HOST for host, _ in registries.logins())


def failed(status: int, kind: AnswerKind, code: str = "", message: str = "") -> Answer:
    return Answer(kind=kind, status=status, code=code, message=message)


ERRORS = [
    (error("UNAUTHORIZED", "no"), failed(401, "unauthorized", "UNAUTHORIZED", "no")),
    (error("DENIED", "a\nb"), failed(403, "denied", "DENIED", "a b")),
    (error("DENIED", f"login {'QVdT' * 40} is bad"), failed(403, "denied", "DENIED", "login … is bad")),
    (error("NAME_UNKNOWN", ""), failed(404, "missing", "NAME_UNKNOWN")),
    (b"[]", failed(429, "failed")),
    (b'{"errors": [1]}', failed(500, "failed")),
    (b'{"errors": [{"code": 1, "message": {}}]}', failed(500, "failed")),
    (b"x" * 2**21, failed(503, "failed")),
]


@pytest.mark.parametrize(("body", "answer"), ERRORS)
async def test_an_error_is_read_in_bounded_size_and_without_what_may_be_a_token(
    registries: Registries, body: bytes, answer: Answer
) -> None:
    registries.replies = {MINE: Reply(status=answer.status, body=body)}
    assert await ask(registries) == answer
    assert [each.method for each in registries.seen] == ["HEAD", "GET"]


async def test_a_registry_that_hangs_or_has_an_unknown_certificate_is_unreachable(
    registries: Registries,
) -> None:
    registries.replies = {MINE: Reply(hangs=True)}
    assert (await ask(registries, seconds=0.3)).message == "no answer in time"
    unknown = await ask(registries, image="unknown.example.com/team/app:1")
    assert (unknown.kind, "ertificate" in unknown.message) == ("unreachable", True)


@pytest.mark.parametrize(
    ("proxy", "words"),
    [("http://127.0.0.1:1", "the proxy can't be reached"), ("socks5://127.0.0.1:1", "not supported")],
)
async def test_a_proxy_that_is_not_usable_is_named(proxy: str, words: str) -> None:
    async with manifests.Registries(Proxies(https=proxy)) as asking:
        answer = await asking.ask(parse_image(f"{HOST}/team/app:1"), LOGIN)
    assert (answer.kind, words in answer.message) == ("unreachable", True)


async def test_where_any_reference_will_do_the_tags_are_asked_for(registries: Registries) -> None:
    registries.replies = {f"{HOST}/v2/team/app/tags/list": Reply()}
    async with manifests.Registries(registries.proxies, registries.authorities) as asking:
        answer = await asking.ask(Image(host=HOST, path="team/app", reference=""), LOGIN)
    assert answer.kind == "found"
    assert registries.seen[0].path == "/v2/team/app/tags/list?n=1"
