"""Numbers as a dashboard shows them: rounded, with their unit, and on an axis. Pure."""

import math

_SMALL = ((1e-3, 1e-6, "µs"), (1.0, 1e-3, "ms"))
_LARGE = ((60.0, 1.0, "s"), (3600.0, 60.0, "min"), (172_800.0, 3600.0, "h"), (math.inf, 86_400.0, "d"))
_THOUSAND = 1000.0


def shown(value: float, unit: str) -> str:
    """Write a value with its unit: `short`, `s` or `reqps`."""
    if unit == "s":
        return _time(value)
    text = f"{_round(value / _THOUSAND)}k" if abs(value) >= _THOUSAND else _round(value)
    return f"{text}/s" if unit == "reqps" else text


def ticks(top: float, unit: str = "short", most: int = 4) -> list[float]:
    """Return round values from 0 to at least `top`, in equal steps, `most` of them beside 0.

    Long times are round in minutes, hours or days.
    """
    if not top > 0:
        return [0.0, 1.0]
    factor = 1.0
    if unit == "s":
        factor = next(each for limit, each, _ in _LARGE if top < limit * 2)
    least = top / factor / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= least * (1 - 1e-9))
    return [step * number * factor for number in range(math.ceil(top / factor / step - 1e-9) + 1)]


def _time(seconds: float) -> str:
    size = abs(seconds)
    if size == 0:
        return "0 s"
    for limit, factor, name in (*_SMALL, *_LARGE):
        if size < limit:
            return f"{_round(seconds / factor)} {name}"
    raise ValueError(seconds)


def _round(value: float) -> str:
    """Write three digits at the most, and no zeros after the point."""
    return f"{float(f'{value:.3g}'):g}"
