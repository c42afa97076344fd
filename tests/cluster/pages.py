"""What an operator's process serves over HTTP."""

from lab.operator import OperatorProcess
from lab.waiting import LONG, wait_for
from tests.telemetry.reading import Scrape
from tests.telemetry.web import Heard, ask


async def page(operator: OperatorProcess, path: str) -> Heard:
    """Get a page from an operator."""
    return await ask(await operator.port(path), path)


async def scrape(operator: OperatorProcess) -> Scrape:
    """Scrape its metrics; they are up to a second old."""
    heard = await page(operator, "/metrics")
    assert heard.status == 200, heard
    return Scrape(heard.body)


async def shows(
    operator: OperatorProcess, value: float, name: str, within: float = LONG, **labels: str
) -> Scrape:
    """Wait until the samples of a name have this sum, and return the scrape that says so."""

    async def look() -> Scrape | None:
        seen = await scrape(operator)
        return seen if seen.value(name, **labels) == value else None

    return await wait_for(look, within, f"{name}{labels} {value}")
