"""One line an outcome, JSON off the terminal, and no library that prints tokens."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import io
import json
import logging
import traceback
import warnings
from collections.abc import Iterator
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
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        """Say that it is a terminal."""
        return True


@pytest.fixture(autouse=True)
def undo() -> Iterator[None]:
    """Leave logging as it was."""
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


def test_libraries_write_into_the_same_stream_in_the_same_form() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    logging.getLogger("some.library").warning("about %s", "something")
    (line,) = lines(stream)
    assert (line["message"], line["level"]) == ("about something", "warning")


def test_a_message_of_many_lines_is_one_line() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    structlog.get_logger("x").error("a\nb", more="c\nd")
    assert len(stream.getvalue().splitlines()) == 1


def test_what_is_below_the_level_is_not_shown() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    structlog.get_logger("x").debug("hidden")
    logging.getLogger("some.library").debug("hidden")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", TALKATIVE)
def test_a_library_that_prints_tokens_stays_silent_whatever_the_level(name: str) -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(level=logging.DEBUG), stream)
    logging.getLogger(name).debug("response body: s3cret")
    structlog.get_logger("x").debug("shown")
    assert [line["message"] for line in lines(stream)] == ["shown"]


def test_a_level_above_info_holds_for_libraries_too() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(level=logging.ERROR), stream)
    logging.getLogger("aiohttp.client").warning("hidden")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["JSON", "a terminal"])
def test_an_exception_is_shown_without_the_values_of_its_variables(stream: io.StringIO) -> None:
    logs.configure(LogOptions(), stream)
    password = "hunter" + "2"
    try:
        _ = dict[int, str]()[len(password)]
    except KeyError:
        structlog.get_logger("x").exception("unforeseen")
    assert "KeyError" in stream.getvalue()
    assert password not in stream.getvalue()
    assert password not in traceback.format_stack()[0]


def test_on_a_terminal_a_line_is_for_people() -> None:
    stream = Terminal()
    logs.configure(LogOptions(), stream)
    structlog.get_logger("x").info("all is well", secret="web-pull")
    assert "all is well" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_on_a_terminal_it_is_json_where_json_is_asked_for() -> None:
    stream = Terminal()
    logs.configure(LogOptions(encoder="json"), stream)
    structlog.get_logger("x").info("all is well")
    assert lines(stream)[0]["message"] == "all is well"


def test_off_a_terminal_the_console_form_has_no_colours() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(encoder="console"), stream)
    structlog.get_logger("x").info("all is well")
    assert "all is well" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.filterwarnings("default")
def test_a_librarys_warning_is_a_line_of_the_same_stream() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    warnings.warn("this will change", DeprecationWarning, stacklevel=1)
    (line,) = lines(stream)
    assert (line["level"], "this will change" in line["message"]) == ("warning", True)


def test_a_line_that_repeats_itself_is_left_out_after_a_while() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    for _ in range(50):
        structlog.get_logger("x").warning("again", name="web")
    structlog.get_logger("x").warning("again", name="another")
    said = [line["name"] for line in lines(stream)]
    assert said == [*["web"] * 5, "another"]


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
    said = stream.getvalue().encode().splitlines(keepends=True)
    assert len(said) == 2
    assert max(map(len, said)) <= LARGEST


def test_a_long_line_is_json_still_and_each_value_is_cut() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    structlog.get_logger("x").warning("ü" * 5000, error="x" * 5000, name="web", expires=None, ready=True)
    (line,) = lines(stream)
    assert (line["message"], line["error"]) == ("ü" * 250 + "…", "x" * 250 + "…")
    assert (line["name"], line["expires"], line["ready"], line["level"]) == ("web", None, True, "warning")


def fail(message: str) -> None:
    raise ValueError(message)


def test_of_a_long_traceback_the_end_is_shown() -> None:
    stream = io.StringIO()
    logs.configure(LogOptions(), stream)
    try:
        fail("x\n" * 50_000 + "the end\x1b[2J")
    except ValueError:
        structlog.get_logger("x").exception("unforeseen")
    (line,) = lines(stream)
    assert line["exception"].endswith("the end?[2J")
    assert len(stream.getvalue()) <= LARGEST


@pytest.mark.parametrize(("encoder", "stream_type"), FORMS)
def test_nothing_in_a_value_can_fake_a_line_or_move_the_cursor(
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
    said = lines(stream)
    assert not any("first" in line for line in said)
    assert sum(line["message"] == "first" for line in said) == 50
    assert 10 <= sum(line["message"] == "changed" and line["namespace"] == "team" for line in said) <= 20
    assert said[-1]["namespace"] == "other"
