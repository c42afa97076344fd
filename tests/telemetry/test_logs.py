"""Logs: the form and bounds of a line, which lines are dropped, and that no library logs tokens."""

import io
import json
import logging
import tracemalloc
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from ecr_operator.settings import LogOptions
from ecr_operator.telemetry import logs
from tests.builders import cases

LARGEST = 4096
LIBRARY = logging.getLogger("some.library")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Return true."""
        return True


FORMS = [pytest.param(None, io.StringIO, id="JSON"), pytest.param("console", Terminal, id="a terminal")]
in_each_form = pytest.mark.parametrize(("encoder", "stream_type"), FORMS)
Encoder = Literal["json", "console"]


@pytest.fixture(autouse=True)
def undo() -> Iterator[None]:
    """Restore the configuration of logging."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in list(logging.Logger.manager.loggerDict)}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in logging.Logger.manager.loggerDict:
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))
    structlog.reset_defaults()


def configured(
    stream: io.StringIO | None = None, *, encoder: Encoder | None = None, level: int = logging.INFO
) -> tuple[io.StringIO, Any]:
    """Configure logging to a stream; return the stream and a logger."""
    stream = stream or io.StringIO()
    logs.configure(LogOptions(encoder=encoder, level=level), stream)
    return stream, structlog.get_logger("x")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_a_line_is_json_with_time_level_and_message() -> None:
    stream, log = configured()
    log.warning("it failed", reason="AccessDenied", expires=None)
    log.debug("below the level")
    LIBRARY.debug("below the level")
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"message": "it failed", "level": "warning", "reason": "AccessDenied", "expires": None}


@pytest.mark.filterwarnings("default")
def test_lines_of_libraries_and_python_warnings_have_the_same_form() -> None:
    stream, _ = configured()
    LIBRARY.warning("about %s", "something")
    warnings.warn("this will change", DeprecationWarning, stacklevel=1)
    library, warning = lines(stream)
    assert (library["message"], library["level"]) == ("about something", "warning")
    assert (warning["level"], "this will change" in warning["message"]) == ("warning", True)


class Full(io.StringIO):
    """A stream that takes nothing more, such as a full disk."""

    def write(self, _: str) -> int:
        """Fail."""
        raise OSError


def test_line_that_can_not_be_written_ends_nothing() -> None:
    _, log = configured(Full())
    log.info("lost")
    log.error("lost too")


def test_libraries_that_print_tokens_are_silent_at_debug() -> None:
    stream, log = configured(level=logging.DEBUG)
    for name in ("kubernetes_asyncio.client.rest", "botocore.parsers", "aiobotocore", "aiohttp.client"):
        logging.getLogger(name).debug("response body: s3cret")
    for name in ("urllib3", "asyncio"):
        logging.getLogger(name).info("of no use to a user")
    log.debug("shown")
    assert [line["message"] for line in lines(stream)] == ["shown"]


@in_each_form
def test_a_traceback_has_no_values_of_variables(
    encoder: Encoder | None, stream_type: type[io.StringIO]
) -> None:
    stream, log = configured(stream_type(), encoder=encoder)
    password = "hunter" + "2"
    try:
        _ = dict[int, str]()[len(password)]
    except KeyError:
        log.exception("unexpected error")
    assert "KeyError" in stream.getvalue()
    assert password not in stream.getvalue()


ENCODERS = {
    "off a terminal": (io.StringIO, None, True, False),
    "text off a terminal": (io.StringIO, "console", False, False),
    "on a terminal": (Terminal, None, False, True),
    "JSON on a terminal": (Terminal, "json", True, False),
}


@cases("stream_type, encoder, is_json, coloured", ENCODERS)
def test_the_encoder_decides_the_form_and_the_terminal_the_colours(
    stream_type: type[io.StringIO], encoder: Encoder | None, *, is_json: bool, coloured: bool
) -> None:
    stream, log = configured(stream_type(), encoder=encoder)
    log.info("all is well")
    written = stream.getvalue()
    assert "all is well" in written
    assert (written.startswith("{"), "\x1b[" in written) == (is_json, coloured)


LONG: dict[str, dict[str, Any]] = {
    "a message": {"event": "x" * 1_000_000},
    "characters of many bytes": {"event": "\U0001f511" * 5000, "error": "\x1b" * 5000},
    "many values": {"event": "a", **{f"key{n}": "ü" * 900 for n in range(60)}},
    "too many values": {"event": "a", **{f"key{n}": "ü" * 900 for n in range(900)}},
    "a name": {"event": "a", "x" * 100_000: 1},
    "a list": {"event": "a", "error": ["x" * 1000] * 1000},
}


@in_each_form
@pytest.mark.parametrize("values", LONG.values(), ids=LONG)
def test_no_line_is_longer_than_4_kib(
    encoder: Encoder | None, stream_type: type[io.StringIO], values: dict[str, Any]
) -> None:
    stream, log = configured(stream_type(), encoder=encoder)
    log.warning(**values)
    LIBRARY.warning(values["event"])
    written = stream.getvalue().encode().splitlines(keepends=True)
    assert len(written) == 2
    assert max(map(len, written)) <= LARGEST


def test_a_long_line_is_still_json_and_each_value_is_shortened() -> None:
    stream, log = configured()
    log.warning("ü" * 5000, error="x" * 5000, name="web", expires=None, ready=True)
    (line,) = lines(stream)
    assert (line["message"], line["error"]) == ("ü" * 250 + "…", "x" * 250 + "…")
    assert (line["name"], line["expires"], line["ready"], line["level"]) == ("web", None, True, "warning")


def test_a_long_traceback_keeps_its_end() -> None:
    stream, log = configured()
    error = ValueError("x\n" * 50_000 + "the end\x1b[2J")
    log.error("unexpected error", exc_info=error)
    (line,) = lines(stream)
    assert line["exception"].endswith("the end?[2J")
    assert len(stream.getvalue()) <= LARGEST


@in_each_form
def test_no_value_can_fake_a_line_or_move_the_cursor(
    encoder: Encoder | None, stream_type: type[io.StringIO]
) -> None:
    stream, log = configured(stream_type(), encoder=encoder)
    evil = "a\r\nfake\x1b[2J\u202e\ud800\x9b"
    log.warning(evil, error=evil, **{evil: evil})
    LIBRARY.warning(evil)
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b[2J" not in stream.getvalue()
    assert not {"\r", "\u202e", "\ud800", "\x9b"} & set(stream.getvalue())


def test_first_outcomes_are_written_beyond_the_share_of_their_namespace() -> None:
    stream, log = configured()
    for number in range(50):
        log.info("first", namespace="team", name=f"r{number}", first=True)
        log.info("changed", namespace="team", name=f"r{number}")
    written = lines(stream)
    assert not any("first" in line for line in written)
    assert sum(line["message"] == "first" for line in written) == 50
    assert 10 <= sum(line["message"] == "changed" for line in written) <= 20


class Limited:
    """A LineLimiter whose clock is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._limiter = logs.LineLimiter(lambda: self.now)

    def write(self, event: str, **fields: object) -> dict[str, object] | None:
        """Pass one line and return what is written of it."""
        try:
            return dict(self._limiter(None, "info", {"event": event, **fields}))
        except structlog.DropEvent:
            return None

    def count(self, times: int, **fields: object) -> int:
        """Return how many of so many equal lines are written."""
        return sum(self.write("again", **fields) is not None for _ in range(times))


@pytest.fixture
def limited() -> Limited:
    return Limited()


def test_limiter_writes_five_equal_lines_a_minute_and_counts_the_others(limited: Limited) -> None:
    assert limited.count(12) == 5
    limited.now = 59.9
    assert limited.count(100) == 0
    limited.now = 60.0
    assert limited.write("again") == {"event": "again", "repeated": 107}
    assert limited.write("again") == {"event": "again"}
    assert limited.count(100) == 3


def test_limiter_writes_a_line_that_differs_in_more_than_its_duration(limited: Limited) -> None:
    assert sum(limited.write("again", name="web", duration=each) is not None for each in range(10)) == 5
    for other in ({"name": "db"}, {}, {"name": "web", "reason": "Throttled"}):
        assert limited.write("again", **other) == {"event": "again", **other}
    assert limited.write("other", name="web")


def test_limiter_writes_ten_lines_of_a_namespace_in_any_second_and_counts_the_others(
    limited: Limited,
) -> None:
    first = [limited.write(str(number), namespace="team") for number in range(25)]
    assert [line is not None for line in first] == [True] * 10 + [False] * 15
    assert limited.write("more", namespace="other") == {"event": "more", "namespace": "other"}
    assert all(limited.write(f"without a namespace {number}") for number in range(100))
    limited.now = 1.0
    line = {"event": "a", "namespace": "team"}
    assert limited.write("a", namespace="team") == {**line, "left_out": 15}
    assert limited.write("b", namespace="team") == {"event": "b", "namespace": "team"}
    times = []
    for tick in range(400):
        limited.now = 10 + tick / 64
        if limited.write(str(tick), namespace="team"):
            times.append(limited.now)
    assert all(later - earlier >= 1 for earlier, later in zip(times, times[10:], strict=False))
    assert len(times) >= 60


def test_limiter_does_not_count_a_line_dropped_for_its_namespace_as_repeated(limited: Limited) -> None:
    for number in range(10):
        limited.write(str(number), namespace="team")
    limited.count(20, namespace="team")
    limited.now = 2.0
    assert limited.write("again", namespace="team") == {"event": "again", "namespace": "team", "left_out": 20}


def test_limiter_memory_is_bounded_and_drops_the_least_recently_used_lines(limited: Limited) -> None:
    limited.count(5)
    tracemalloc.start()
    for number in range(3000):
        limited.write(str(number) + "x" * 10_000, namespace=str(number) + "x" * 10_000)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 6_000_000
    assert limited.count(10) == 5
    assert limited.write("\ud800") == {"event": "\ud800"}
