"""Log lines: one event is one line, and no secret is in it."""

import json
import logging
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from keystead.kernel.secrets import Secret
from keystead.kernel.telemetry import configure_logging, redact

CANARY = "canary-77e1"

HOSTILE = [
    "two\r\nlines",
    "\x1b[2J cleared",
    "line\u2028separator",
    "right\u202eto left",
    'quote"}\n{"event": "forged"',
    "x" * 1_000_000,
    "\x00null",
]


@pytest.fixture
def lines(capfdbinary):
    before = structlog.get_config()
    yield lambda: capfdbinary.readouterr().err.splitlines()
    structlog.configure(**before)
    logging.getLogger().handlers.clear()


@pytest.mark.parametrize("level", ["trace", "debug", "info", "warning", "error"])
def test_every_level_that_can_be_set_shows_itself_and_what_is_graver(lines, level):
    configure_logging(level=level, form="json")
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)(name)
    names = ["debug", "info", "warning", "error"]
    shown = [json.loads(line)["event"] for line in lines()]
    assert shown == names[max(0, ["trace", *names].index(level) - 1) :]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_asvs_v5_16_4_1_hostile_text_stays_in_its_own_line(lines, form, text):
    configure_logging(level="info", form=form)
    structlog.get_logger().info("event", agent=text)
    logging.getLogger("elsewhere").warning("said %s", text)
    written = lines()
    assert len(written) == 2
    assert not any(byte < 0x20 for line in written for byte in line)
    if form == "json":
        assert json.loads(written[0])["agent"] == text


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_hidden_by_type_and_by_name(lines, form):
    configure_logging(level="info", form=form)
    structlog.get_logger().info(
        "event",
        value=Secret(CANARY),
        raw=CANARY.encode(),
        password=CANARY,
        access_token=CANARY,
        nested={"Authorization": CANARY, "list": [{"cookie": CANARY}, Secret(CANARY)]},
    )
    (line,) = lines()
    assert CANARY.encode() not in line
    assert line.count(b"***") == 7


def test_what_is_no_secret_is_left_alone():
    event = {"event": "request", "status": 200, "ms": 1.5, "roles": ["user"]}
    assert redact(None, "info", dict(event)) == event


def test_events_below_the_level_are_not_written(lines):
    configure_logging(level="warning", form="json")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [json.loads(line)["event"] for line in lines()] == ["loud"]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/St_Johns"])
def test_asvs_v5_16_2_2_times_are_in_utc_wherever_the_machine_stands(lines, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        configure_logging(level="info", form="json")
        structlog.get_logger("room").info("event")
        (line,) = lines()
    finally:
        monkeypatch.undo()
        time.tzset()
    written = json.loads(line)
    at = datetime.fromisoformat(written["timestamp"])
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
    assert {"timestamp", "level", "logger", "event"} <= set(written)


def test_an_exception_is_one_json_line_with_its_trace(lines):
    configure_logging(level="info", form="json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger().exception("broke")
    (line,) = lines()
    assert "ValueError" in json.loads(line)["exception"]


def test_a_reader_that_went_away_does_not_stop_the_writer():
    script = (
        "import structlog, sys\n"
        "from keystead.kernel.telemetry import configure_logging\n"
        "configure_logging(level='info', form='json')\n"
        "for _ in range(100): structlog.get_logger().info('event', fill='x' * 10000)\n"
        "print('done')"
    )
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stderr
    assert writer.stdout
    writer.stderr.close()
    assert writer.stdout.read() == b"done\n"
    writer.stdout.close()
    assert writer.wait(20) == 0
