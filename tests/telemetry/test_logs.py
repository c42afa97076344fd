"""The form of lines, their bounds, which are dropped, and that no library prints tokens."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import io
import json
import logging
import traceback
import tracemalloc
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import structlog

from ecr_operator.settings import LogOptions
from ecr_operator.telemetry import logs

TALKATIVE = (
    "kubernetes_asyncio.client.rest",
    "botocore.parsers",
    "aiobotocore",
    "aiohttp.client",
    "urllib3",
    "asyncio",
)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Return true."""
        return True


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


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_a_line_is_json_with_time_level_and_message() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    structlog.get_logger("x").warning("it failed", reason="AccessDenied", expires=None)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"message": "it failed", "level": "warning", "reason": "AccessDenied", "expires": None}


def test_libraries_write_to_the_same_stream_in_the_same_format() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    logging.getLogger("some.library").warning("about %s", "something")
    (line,) = lines(stream)
    assert (line["message"], line["level"]) == ("about something", "warning")


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    structlog.get_logger("x").debug("hidden")
    logging.getLogger("some.library").debug("hidden")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", TALKATIVE)
def test_a_library_that_prints_tokens_is_silent_at_debug(name: str) -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(level=logging.DEBUG), stream)
    logging.getLogger(name).debug("response body: s3cret")
    structlog.get_logger("x").debug("shown")
    assert [line["message"] for line in lines(stream)] == ["shown"]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["JSON", "a terminal"])
def test_a_traceback_has_no_values_of_variables(stream: io.StringIO) -> None:
    logs.configure(LogOptions(), stream)
    password = "hunter" + "2"
    try:
        _ = dict[int, str]()[len(password)]
    except KeyError:
        structlog.get_logger("x").exception("unexpected error")
    assert "KeyError" in stream.getvalue()
    assert password not in stream.getvalue()
    assert password not in traceback.format_stack()[0]


def test_on_a_terminal_a_line_is_text_in_colours() -> None:
    stream = Terminal()
    logs.configure(LogOptions(), stream)
    structlog.get_logger("x").info("all is well", secret="web-pull")
    assert "all is well" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_on_a_terminal_the_json_encoder_writes_json() -> None:
    stream = Terminal()
    logs.configure(LogOptions(encoder="json"), stream)
    structlog.get_logger("x").info("all is well")
    assert lines(stream)[0]["message"] == "all is well"


def test_off_a_terminal_the_console_encoder_uses_no_colours() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(encoder="console"), stream)
    structlog.get_logger("x").info("all is well")
    assert "all is well" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.filterwarnings("default")
def test_a_python_warning_is_a_line_of_the_same_stream() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    warnings.warn("this will change", DeprecationWarning, stacklevel=1)
    (line,) = lines(stream)
    assert (line["level"], "this will change" in line["message"]) == ("warning", True)


FORMS = [pytest.param("json", io.StringIO, id="JSON"), pytest.param("console", Terminal, id="a terminal")]
LARGEST = 4096


@pytest.mark.parametrize(("encoder", "stream_type"), FORMS)
@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"event": "x" * 1_000_000}, id="a long message"),
        pytest.param({"event": "a", "error": "x" * 1_000_000}, id="a long value"),
        pytest.param({"event": "\U0001f511" * 5000, "error": "\x1b" * 5000}, id="what takes many bytes"),
        pytest.param({"event": "a", **{f"key{n}": "ü" * 900 for n in range(60)}}, id="many values"),
        pytest.param({"event": "a", **{f"key{n}": "ü" * 900 for n in range(900)}}, id="too many values"),
        pytest.param({"event": "a", "x" * 100_000: 1}, id="a long name"),
        pytest.param({"event": "a", "error": ["x" * 1000] * 1000}, id="a long list"),
    ],
)
def test_no_line_is_longer_than_4_kib(
    encoder: Literal["json", "console"], stream_type: type[io.StringIO], values: dict[str, Any]
) -> None:
    stream = stream_type()
    logs.configure(LogOptions(encoder=encoder), stream)
    structlog.get_logger("x").warning(**values)
    logging.getLogger("some.library").warning(values["event"])
    written = stream.getvalue().encode().splitlines(keepends=True)
    assert len(written) == 2
    assert max(map(len, written)) <= LARGEST


def test_a_long_line_is_still_json_and_each_value_is_shortened() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    structlog.get_logger("x").warning("ü" * 5000, error="x" * 5000, name="web", expires=None, ready=True)
    (line,) = lines(stream)
    assert (line["message"], line["error"]) == ("ü" * 250 + "…", "x" * 250 + "…")
    assert (line["name"], line["expires"], line["ready"], line["level"]) == ("web", None, True, "warning")


def fail(message: str) -> None:
    raise ValueError(message)


def test_a_long_traceback_keeps_its_end() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    try:
        fail("x\n" * 50_000 + "the end\x1b[2J")
    except ValueError:
        structlog.get_logger("x").exception("unexpected error")
    (line,) = lines(stream)
    assert line["exception"].endswith("the end?[2J")
    assert len(stream.getvalue()) <= LARGEST


@pytest.mark.parametrize(("encoder", "stream_type"), FORMS)
def test_no_value_can_fake_a_line_or_move_the_cursor(
    encoder: Literal["json", "console"], stream_type: type[io.StringIO]
) -> None:
    stream = stream_type()
    logs.configure(LogOptions(encoder=encoder), stream)
    evil = "a\r\nfake\x1b[2J\u202e\ud800\x9b"
    structlog.get_logger("x").warning(evil, error=evil, **{evil: evil})
    logging.getLogger("some.library").warning(evil)
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b[2J" not in stream.getvalue()
    assert not {"\r", "\u202e", "\ud800", "\x9b"} & set(stream.getvalue())


def test_one_namespace_writes_ten_lines_a_second_beyond_its_first_outcomes() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    log = structlog.get_logger("x")
    for number in range(50):
        log.info("first", namespace="team", name=f"r{number}", first=True)
        log.info("changed", namespace="team", name=f"r{number}")
    log.info("changed", namespace="other", name="web")
    written = lines(stream)
    assert not any("first" in line for line in written)
    assert sum(line["message"] == "first" for line in written) == 50
    assert 10 <= sum(line["message"] == "changed" and line["namespace"] == "team" for line in written) <= 20
    assert written[-1]["namespace"] == "other"


@dataclass(slots=True)
class Time:
    """A clock that is set by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def written(limiter: logs.LineLimiter, **line: object) -> dict[str, object] | None:
    """Pass one line to the limiter and return what it writes."""
    try:
        return dict(limiter(None, "info", dict(line)))
    except structlog.DropEvent:
        return None


def count(limiter: logs.LineLimiter, times: int, **line: object) -> int:
    return sum(written(limiter, **line) is not None for _ in range(times))


def test_limiter_of_equal_lines_five_a_minute_are_written_and_the_rest_is_counted() -> None:
    time = Time()
    limiter = logs.LineLimiter(time)
    assert count(limiter, 12, event="again") == 5
    time.now = 59.9
    assert count(limiter, 100, event="again") == 0
    time.now = 60.0
    assert written(limiter, event="again") == {"event": "again", "repeated": 107}
    assert written(limiter, event="again") == {"event": "again"}
    assert count(limiter, 100, event="again") == 3


@pytest.mark.parametrize(
    "other",
    [
        {"event": "other", "name": "web"},
        {"event": "again", "name": "db"},
        {"event": "again"},
        {"event": "again", "name": "web", "reason": "Throttled"},
    ],
    ids=["another message", "another value", "a field less", "a field more"],
)
def test_limiter_a_different_line_is_written(other: dict[str, object]) -> None:
    limiter = logs.LineLimiter(Time())
    count(limiter, 10, event="again", name="web")
    assert written(limiter, **other) == other


def test_limiter_lines_that_differ_in_their_duration_only_are_equal() -> None:
    limiter = logs.LineLimiter(Time())
    assert sum(written(limiter, event="again", duration=each) is not None for each in range(10)) == 5


def test_limiter_of_a_namespace_ten_lines_a_second_are_written_and_the_rest_is_counted() -> None:
    time = Time()
    limiter = logs.LineLimiter(time)
    first = [written(limiter, event=str(number), namespace="team") for number in range(25)]
    assert [line is not None for line in first] == [True] * 10 + [False] * 15
    time.now = 0.99
    assert written(limiter, event="more", namespace="team") is None
    assert written(limiter, event="more", namespace="other") == {"event": "more", "namespace": "other"}
    time.now = 1.0
    line = {"event": "a", "namespace": "team"}
    assert written(limiter, **line) == {**line, "left_out": 16}
    assert written(limiter, event="b", namespace="team") == {"event": "b", "namespace": "team"}


def test_limiter_no_second_has_more_than_ten_lines_of_a_namespace() -> None:
    time = Time()
    limiter = logs.LineLimiter(time)
    times = []
    for tick in range(400):
        time.now = tick / 64
        if written(limiter, event=str(tick), namespace="team"):
            times.append(time.now)
    assert all(later - earlier >= 1 for earlier, later in zip(times, times[10:], strict=False))
    assert len(times) >= 60


def test_limiter_lines_without_a_namespace_have_no_share() -> None:
    limiter = logs.LineLimiter(Time())
    assert sum(written(limiter, event=str(number)) is not None for number in range(100)) == 100


def test_limiter_a_line_dropped_for_its_namespace_is_not_a_repeat() -> None:
    time = Time()
    limiter = logs.LineLimiter(time)
    for number in range(10):
        written(limiter, event=str(number), namespace="team")
    count(limiter, 20, event="again", namespace="team")
    time.now = 2.0
    line = {"event": "again", "namespace": "team"}
    assert written(limiter, **line) == {**line, "left_out": 20}


def test_limiter_memory_is_bounded_whatever_the_lines_hold() -> None:
    limiter = logs.LineLimiter(Time())
    count(limiter, 5, event="first")
    tracemalloc.start()
    for number in range(3000):
        written(limiter, event=str(number) + "x" * 10_000, namespace=str(number) + "x" * 10_000)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 6_000_000
    assert count(limiter, 10, event="first") == 5, "the least recently used lines are dropped from memory"
    assert written(limiter, event="\ud800") == {"event": "\ud800"}
