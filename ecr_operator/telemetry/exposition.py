"""The text of a scrape, made so that neither many resources nor many scrapes hold up the event loop."""

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_PIECE: Final = 250  # samples; about a millisecond
_LASTS: Final = 1.0  # seconds


class Page:
    """The text of a registry, made once a second at the most, whoever asks.

    Args:
        registry: what is shown.
        monotonic: seconds that never step.
    """

    def __init__(self, registry: CollectorRegistry, monotonic: Callable[[], float]) -> None:
        self._registry = registry
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._text = b""
        self._made_at = -math.inf

    async def text(self) -> bytes:
        """The text, one second old at the most."""
        async with self._lock:
            if self._monotonic() - self._made_at >= _LASTS:
                self._text = await render(self._registry)
                self._made_at = self._monotonic()
            return self._text


async def render(registry: CollectorRegistry) -> bytes:
    """The text of all metrics, made piece by piece; others get their turn in between."""
    text = bytearray()
    for family in registry.collect():
        for number, piece in enumerate(_pieces(family)):
            told = generate_latest(_Only(piece))
            # A family has one HELP and one TYPE, whatever the number of its pieces.
            text += told.split(b"\n", 2)[2] if number else told
            await asyncio.sleep(0)
    return bytes(text)


def _pieces(family: Metric) -> Iterator[Metric]:
    for start in range(0, max(len(family.samples), 1), _PIECE):
        piece = Metric(family.name, family.documentation, family.type)
        piece.samples = family.samples[start : start + _PIECE]
        yield piece


class _Only(Collector):
    """One metric, in the form of a registry."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)
