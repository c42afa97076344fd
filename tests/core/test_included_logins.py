"""Logins of other Secrets: copied, kept where their Secret fails, and never a danger to the others."""

# ruff: noqa: S105, S106 - made-up passwords

import base64
import json
from typing import Any, Final

import pytest

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.core.manifest import encode
from tests.builders import HOST, cases, foreign_metadata, transient
from tests.core.world import World
from tests.fakes import settle

HUB: Final = "https://index.docker.io/v1/"
LOGIN: Final = {"username": "me", "password": "pw", "auth": encode("me:pw")}
INCLUDES: Final = [{"name": "hub"}]


def put(
    world: World,
    auths: object,
    name: str = "hub",
    *,
    version: str = "1",
    **metadata: Any,
) -> None:
    """Have a pull secret in the namespace, in another version each time."""
    metadata = foreign_metadata(name, version=version, **metadata)
    world.secrets.put(metadata)
    text = auths if isinstance(auths, str) else json.dumps({"auths": auths})
    data = {".dockerconfigjson": encode(text)}
    world.secrets.data[name] = {"type": "kubernetes.io/dockerconfigjson", "data": data}
    world.named.store("iam_secret", "").changed({"metadata": metadata})


def copied(world: World) -> dict[str, Any]:
    """The logins in the generated Secret but the ECR's."""
    auths = world.auths()
    assert auths.pop(HOST)["username"] == "AWS"
    return auths


def reported(world: World, of: Any) -> str:
    """The message of Refreshed, where logins are missing; Ready goes on."""
    assert world.condition(of) == ("True", "Refreshed")
    assert world.condition(of, "Refreshed") == ("False", "PartlyRefreshed")
    return world.message(of)


async def copying(world: World) -> Resource:
    """A resource that copies a login."""
    put(world, {HUB: LOGIN})
    return await world.apply(include_logins_from=INCLUDES)


async def test_a_change_is_copied_with_the_token_that_there_is(world: World) -> None:
    of = await copying(world)
    assert copied(world) == {HUB: LOGIN}
    assert world.condition(of, "Refreshed") == ("True", "Refreshed")
    await world.clock.advance(10)
    put(world, {"quay.io": LOGIN}, version="2")
    await world.clock.advance(1)
    assert copied(world) == {"quay.io": LOGIN}
    assert len(world.aws.asked) == 1
    # A version with the same logins, and many changes in a second, cost no write.
    writes = world.secrets.calls.count("apply team/web-pull")
    put(world, {"quay.io": LOGIN}, version="3")
    await world.clock.advance(30)
    assert world.secrets.calls.count("apply team/web-pull") == writes
    reads = world.secrets.calls.count("read team/hub")
    for version in range(4, 24):
        put(world, {"quay.io": LOGIN}, version=str(version))
        await world.clock.advance(0.5)
    assert world.secrets.calls.count("read team/hub") - reads <= 4


async def test_a_restart_compares_and_writes_nothing(idle: World) -> None:
    put(idle, {HUB: LOGIN})
    async with idle.working():
        of = await idle.apply(include_logins_from=INCLUDES)
    status, calls = idle.status(of), list(idle.secrets.calls)
    idle.restart()
    idle.show_secret()
    put(idle, {HUB: LOGIN})
    idle.see(status=status, include_logins_from=INCLUDES)
    async with idle.working():
        await settle()
        assert [call for call in idle.secrets.calls[len(calls) :] if not call.startswith("read")] == []
        assert len(idle.aws.asked) == 1
        assert idle.status(of) == status


async def test_what_was_copied_stays_while_a_secret_fails_also_with_the_next_token(world: World) -> None:
    put(world, {HUB: LOGIN})
    put(world, {"quay.io": LOGIN}, "quay")
    of = await world.apply(include_logins_from=[*INCLUDES, {"name": "quay"}])
    await world.clock.advance(10)
    del world.secrets.metadata["team", "hub"]
    world.named.store("iam_secret", "").deleted({"metadata": {"namespace": "team", "name": "hub"}})
    await world.clock.advance(1)
    assert "Secret hub: it does not exist" in reported(world, of)
    await world.clock.advance(10 * 60)
    assert len(world.aws.asked) == 2
    assert copied(world) == {HUB: LOGIN, "quay.io": LOGIN}
    assert "Secret hub" in reported(world, of)
    put(world, {HUB: LOGIN | {"password": "new"}}, version="2")
    await world.clock.advance(6)
    assert copied(world)[HUB]["password"] == "new"
    assert world.condition(of, "Refreshed") == ("True", "Refreshed")


async def test_a_secret_that_cannot_be_read_is_tried_again(world: World) -> None:
    put(world, {HUB: LOGIN})
    world.secrets.unreadable = transient()
    of = await world.apply(include_logins_from=INCLUDES)
    assert copied(world) == {}
    assert "can't be read" in reported(world, of)
    world.secrets.unreadable = None
    await world.clock.advance(31)
    assert copied(world) == {HUB: LOGIN}


@cases(
    "auths, words",
    {
        "not a docker config": ("[]", "can't be read"),
        "not JSON": ('{"auths":{"a.example":{"auth":NaN}}}', "can't be read"),
        "too large": ("[" * 100_000, "larger than 64 KiB"),
        "an auth that is not base64": ({"a.example": {"auth": "no base64"}}, "1 of its logins"),
        "an auth without a colon": ({"a.example": {"auth": "YQ=="}}, "1 of its logins"),
        "a name that is a number": ({"a.example": {"username": 7}}, "1 of its logins"),
        "an entry that is text, and no host": ({"a.example": "x", "": LOGIN}, "2 of its logins"),
    },
)
async def test_what_no_client_could_read_is_left_out_and_reported(
    world: World, auths: object, words: str
) -> None:
    put(world, auths)
    of = await world.apply(include_logins_from=INCLUDES)
    assert copied(world) == {}
    assert words in reported(world, of)
    assert "no base64" not in json.dumps(world.status(of))


async def test_only_what_clients_read_is_copied_and_never_for_a_registry_of_the_resource(
    world: World,
) -> None:
    put(
        world,
        {
            f"https://{HOST}/v2/": LOGIN,
            "b.example": LOGIN | {"extra": "x" * 100, "email": ""},
            "c.example": {"username": "\ud800", "password": "p"},
        },
    )
    await world.apply(include_logins_from=INCLUDES)
    assert copied(world) == {"b.example": LOGIN, "c.example": {"username": "\ud800", "password": "p"}}


async def test_the_first_of_two_secrets_wins_and_a_generated_one_is_not_valid(world: World) -> None:
    put(world, {HUB: LOGIN})
    put(world, {HUB: LOGIN | {"password": "other"}, "quay.io": LOGIN}, "quay")
    ours = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
    put(world, {"c.example": LOGIN}, "ours", labels=ours)
    names = [{"name": name} for name in ("hub", "quay", "ours")]
    of = await world.apply(include_logins_from=names)
    assert copied(world) == {HUB: LOGIN, "quay.io": LOGIN}
    assert world.condition(of) == ("True", "Refreshed")
    assert world.condition(of, "Stalled") == ("True", "InvalidSpec")


async def test_a_list_that_is_not_valid_keeps_what_was_copied(world: World) -> None:
    of = await copying(world)
    of = await world.apply(generation=2, status=world.status(of), include_logins_from="hub")
    assert copied(world) == {HUB: LOGIN}
    assert world.condition(of, "Refreshed") == ("False", "InvalidSpec")
    await world.clock.advance(10 * 60)
    assert copied(world) == {HUB: LOGIN}
    of = await world.apply(generation=3, status=world.status(of))
    assert copied(world) == {}
    assert len(world.aws.asked) == 2


async def test_a_forbidden_secret_is_reported(world: World) -> None:
    put(world, {HUB: LOGIN})
    world.secrets.unreadable = PermanentError(Reason.KUBERNETES_FORBIDDEN, "Forbidden.")
    of = await world.apply(include_logins_from=INCLUDES)
    assert "Secret hub: it can't be read: Forbidden." in reported(world, of)
    # Though the operator can't read its own Secret either, to keep what it has copied.
    for _ in range(3):
        await world.clock.advance(10 * 60)
        assert world.condition(of)[0] == "True"
        assert world.expiry() > world.clock.now()


def many(prefix: str, number: int, **login: str) -> dict[str, Any]:
    """Logins for many hosts."""
    return {f"{prefix}{each}.example": login or {"auth": "Og=="} for each in range(number)}


async def test_what_is_copied_never_makes_the_secret_too_large_for_the_api_server(world: World) -> None:
    # Characters that UTF-8 and JSON write longer; short values, of which the rest of the JSON is most.
    for each in range(40):
        put(world, many(f"a{each}-", 700, auth="Og==", email="\u20ac" * 5), f"s{each}")
    await world.apply(include_logins_from=[{"name": f"s{each}"} for each in range(40)])
    data = world.secrets.manifests["web-pull"]["data"][".dockerconfigjson"]
    assert 400_000 < len(base64.b64decode(data)) < 600_000


async def test_what_stays_of_a_missing_secret_is_bounded_and_readable(world: World) -> None:
    names = [*INCLUDES, {"name": "gone"}]
    put(world, {HUB: LOGIN})
    await world.apply(include_logins_from=names)
    for version in range(2, 13):
        await world.clock.advance(6)
        put(world, many(f"v{version}-", 60, auth=LOGIN["auth"], email="x" * 900), version=str(version))
        await world.clock.advance(1)
    assert 300_000 < len(json.dumps(world.auths())) < 600_000
    assert "v12-0.example" in copied(world)
    # Somebody has edited the Secret: a login that no client can read is not kept.
    bad = json.dumps({"auths": {"bad.example": {"auth": "%"}, HUB: LOGIN}})
    world.secrets.data["web-pull"] = {"data": {".dockerconfigjson": encode(bad)}}
    world.change_secret()
    await settle()
    assert "bad.example" not in copied(world)
    assert HUB in copied(world)


@pytest.mark.parametrize(
    "change", [{"secret_format": "config.json"}, {"generated_secret_name": "other"}], ids=["format", "name"]
)
async def test_what_was_copied_from_a_missing_secret_stays_in_another_form_or_name(
    world: World, change: dict[str, str]
) -> None:
    of = await copying(world)
    del world.secrets.metadata["team", "hub"]
    await world.apply(generation=2, status=world.status(of), include_logins_from=INCLUDES, **change)
    assert world.auths(change.get("generated_secret_name", "web-pull"))[HUB] == LOGIN


async def test_beside_a_kept_basic_auth_nothing_is_read(world: World) -> None:
    put(world, {HUB: LOGIN})
    of = await world.apply(secret_format="basic-auth")
    calls = list(world.secrets.calls)
    both: dict[str, Any] = {"secret_format": "basic-auth", "include_logins_from": INCLUDES}
    of = await world.apply(generation=2, status=world.status(of), **both)
    await world.clock.advance(60)
    assert world.condition(of, "Refreshed") == ("False", "InvalidSpec")
    assert [call for call in world.secrets.calls[len(calls) :] if call != "read team/web-pull"] == []
    assert len(world.aws.asked) == 1


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (INCLUDES, "hub", {HUB}),
        ([], "hub", set()),
        (INCLUDES, [*INCLUDES, {"name": "quay"}], {HUB, "quay.io"}),
    ],
)
async def test_another_list_needs_no_token_from_aws(
    idle: World, before: object, after: object, expected: set[str]
) -> None:
    put(idle, {HUB: LOGIN})
    put(idle, {"quay.io": LOGIN}, "quay")
    async with idle.working():
        of = await idle.apply(include_logins_from=before)
    status = idle.status(of)
    idle.restart()
    idle.show_secret()
    idle.aws.failing["us-east-2"] = transient()
    of = idle.see(generation=2, status=status, include_logins_from=after)
    async with idle.working():
        await settle()
        assert idle.condition(of) == ("True", "Refreshed")
        assert copied(idle).keys() == expected
        assert len(idle.aws.asked) == 1


async def test_a_change_is_copied_while_aws_refuses(world: World) -> None:
    await copying(world)
    world.aws.failing["us-east-2"] = PermanentError(Reason.ACCESS_DENIED, "Denied.")
    await world.clock.advance(8 * 60)
    put(world, {"quay.io": LOGIN}, version="2")
    await world.clock.advance(1)
    put(world, {"c.example": LOGIN}, version="3")
    await world.clock.advance(10)
    assert copied(world) == {"c.example": LOGIN}


async def test_a_write_that_fails_is_retried_as_the_api_server_asks(world: World) -> None:
    await copying(world)
    await world.clock.advance(10)
    busy = transient(Reason.KUBERNETES_UNAVAILABLE)
    busy.retry_after = 20.0
    world.secrets.failures = [busy] * 9
    put(world, {"quay.io": LOGIN}, version="2")
    await world.clock.advance(19)
    assert len(world.secrets.failures) == 8


async def test_a_list_that_began_before_a_secret_was_named_causes_no_polling(world: World) -> None:
    put(world, {HUB: LOGIN})
    store = world.named.store("iam_secret", "")
    seen = store.read({"metadata": world.secrets.metadata["team", "hub"]})
    await world.apply(include_logins_from=INCLUDES)
    store.replaced([seen])
    await world.clock.advance(10)
    reads = world.secrets.calls.count("read team/hub")
    await world.clock.advance(60)
    assert world.secrets.calls.count("read team/hub") == reads
    put(world, {"quay.io": LOGIN}, version="2")
    await world.clock.advance(1)
    assert copied(world) == {"quay.io": LOGIN}


async def test_a_change_is_copied_where_the_cache_keeps_a_part_of_the_spec_only(world: World) -> None:
    names = [{"name": f"hub-{number}-{'x' * 60}"} for number in range(20)]
    large = {f"example.com/{number}": "x" * 2000 for number in range(4)}
    put(world, {HUB: LOGIN}, names[7]["name"])
    raw = world.show(include_logins_from=names, secret_annotations=large)
    of = world.cache.resources()[0]
    world.resources.uids[of.key], world.resources.stored[of.key] = of.uid, raw
    await settle()
    assert copied(world) == {HUB: LOGIN}
    await world.clock.advance(10)
    put(world, {"quay.io": LOGIN}, names[7]["name"], version="2")
    await world.clock.advance(30)
    assert "quay.io" in copied(world)


@pytest.mark.parametrize(("more", "words"), [(0, ""), (1, "larger than 64 KiB")])
async def test_eight_secrets_of_64_kib_are_copied(world: World, more: int, words: str) -> None:
    names = [{"name": f"s{number}"} for number in range(8)]
    for number in range(8):
        entry = {f"{number}.example": {"auth": "Og==", "email": ""}}
        frame = len(json.dumps({"auths": entry}, separators=(",", ":")))
        entry[f"{number}.example"]["email"] = "x" * (64 * 1024 - frame + (more if number == 7 else 0))
        put(world, json.dumps({"auths": entry}, separators=(",", ":")), names[number]["name"])
    of = await world.apply(include_logins_from=names)
    assert len(copied(world)) == 8 - more
    assert words in (reported(world, of) if more else "")
