"""Times as Kubernetes writes them."""

from datetime import UTC, datetime
from typing import Final

_LONGEST: Final = 40  # characters


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time as UTC, or None if it is none."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def format_time(time: datetime) -> str:
    """UTC, RFC 3339, with seconds."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
