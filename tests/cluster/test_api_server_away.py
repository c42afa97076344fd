"""An API server that goes away is waited for: no restart, no lost token, no flood of requests or lines."""

import asyncio

from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene

# Watches are tried again every 5 s at the latest.
BACK = 8.0


async def test_all_goes_on_after_a_crash_of_the_server(rough: Scene) -> None:
    await rough.create(ecr_secret("pull"))
    async with rough.operator() as operator:
        (before,) = await rough.ready("pull")
        await asyncio.to_thread(rough.plane.kill_api_server)
        try:
            await wait_for(lambda: "can't watch" in operator.log.read_text(), 10, "a line about it")
        finally:
            await asyncio.to_thread(rough.plane.start_api_server)
        await rough.delete("pull-login")
        await rough.create(ecr_secret("new", region="eu-west-1"))
        await wait_for(lambda: rough.find_secret("pull-login"), BACK, "the Secret made again")
        await rough.ready("new", within=BACK)
        after = await rough.resource("pull")
        assert after["status"] == before["status"]
        assert operator.running
        assert len(operator.log.read_text().splitlines()) < 40
    assert rough.aws.count() == 2


async def test_a_token_that_is_fetched_while_the_server_is_away_is_written_when_it_is_back(
    rough: Scene,
) -> None:
    # Due after 5.7 to 6 s.
    rough.aws.token_life = 9
    await rough.create(ecr_secret("pull"))
    async with rough.operator() as operator:
        await rough.ready("pull")
        rough.aws.token_life = 3600
        # In order, as for an upgrade: this takes it 10 s, as watches are open.
        await asyncio.to_thread(rough.plane.stop_api_server)
        try:
            await wait_for(lambda: rough.aws.count() == 2, 8, "the second token")
        finally:
            await asyncio.to_thread(rough.plane.start_api_server)
        await wait_for(lambda: _serial_is(rough, 2), 15, "the second token in the Secret")
        (resource,) = await rough.ready("pull")
        assert operator.running
    assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
    assert rough.aws.count() == 2


async def _serial_is(scene: Scene, serial: int) -> bool:
    return (await scene.token("pull-login")).serial == serial


async def test_a_server_that_hangs_for_a_while_costs_no_second_token(rough: Scene) -> None:
    await rough.create(ecr_secret("pull"))
    async with rough.operator() as operator:
        await rough.ready("pull")
        rough.plane.pause_api_server()
        try:
            await asyncio.sleep(3)
        finally:
            rough.plane.resume_api_server()
        await rough.delete("pull-login")
        await wait_for(lambda: rough.find_secret("pull-login"), 2, "the Secret made again")
        assert operator.running
    assert rough.aws.count() == 1
