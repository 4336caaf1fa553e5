"""AlertHandler at the caller: what it accepts, what it keeps out, and that nothing of it ever raises."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import logging
import logging.config
import logging.handlers
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import alertlog
from alertlog import AlertHandler
from alertlog.shaping import digits
from alertlog.testing import MailServer
from tests.programs import fingerprints, told
from tests.sessions import eventually
from tests.test_courier import NO_STACK

Log = Callable[..., logging.Logger]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer("starttls", login=("etl", "correct horse")) as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Log]:
    """Makes a logger with an AlertHandler of its own; all are closed at the end."""
    made: list[tuple[logging.Logger, AlertHandler]] = []

    def make(handler: AlertHandler | None = None, **arguments: Any) -> logging.Logger:
        arguments.setdefault("outbox", tmp_path / "alerts.sqlite3")
        handler = handler or AlertHandler(**arguments)
        logger = logging.getLogger(f"{request.node.name}.{len(made)}")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(handler)
        made.append((logger, handler))
        return logger

    yield make
    for logger, handler in made:
        logger.removeHandler(handler)
        handler.close()


def handler_of(logger: logging.Logger) -> AlertHandler:
    (handler,) = logger.handlers
    assert isinstance(handler, AlertHandler)
    return handler


Events = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def events(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Events:
    """Returns the events so far, whichever way they went: through `logging`, or to stderr while somebody closes."""
    caplog.set_level(logging.INFO, "alertlog")
    printed: list[dict[str, Any]] = []

    def so_far(name: str = "") -> list[dict[str, Any]]:
        printed.extend(json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith('{"event"'))
        logged = [
            {**record.__dict__, "message": record.getMessage()}
            for record in caplog.records
            if record.name == "alertlog"
        ]
        return [event for event in printed + logged if name in ("", event["event"])]

    return so_far


def subjects(server: MailServer) -> list[str]:
    return [str(mail.message["Subject"]) for mail in server.mails]


# What is mailed


def test_a_critical_record_becomes_one_mail_with_its_text(server: MailServer, log: Log) -> None:
    log(service="etl").critical("Quota used: %d of %d", 100, 100)
    (mail,) = server.wait_for(1)
    assert mail.message["Subject"] == "[etl] CRITICAL: Quota used: 100 of 100"
    assert mail.login == "etl"
    assert "Quota used: 100 of 100" in mail.text


def test_a_record_below_the_alert_level_is_not_mailed(server: MailServer, log: Log) -> None:
    logger = log()
    logger.error("not yet")
    logger.critical("now")
    handler_of(logger).flush()
    assert len(server.mails) == 1


def test_a_mail_is_written_as_the_arguments_say(server: MailServer, log: Log, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("{{ view.leads[0] }}\n{{ view.footer | join('|') }}")
    logger = log(service="etl", environment="staging", reply_to=["Ops <ops@example.org>"], templates=tmp_path)
    logger.critical("Quota used")
    (mail,) = server.wait_for(1)
    assert mail.message["Reply-To"] == "Ops <ops@example.org>"
    host = socket.gethostname()
    assert mail.text.startswith(f"etl (staging) on {host}\n")
    assert f"|Sent by alertlog for etl (staging) on {host}, handler alerts|" in mail.text


def test_the_environment_of_the_deployment_is_named_by_a_variable(
    server: MailServer, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERTLOG_ENVIRONMENT", "production")
    log(service="etl").critical("Quota used")
    assert "etl (production) on " in server.wait_for(1)[0].text


@pytest.mark.parametrize(
    ("level", "alert_level", "mailed"),
    [
        (logging.INFO, None, ["C"]),
        (logging.ERROR, None, ["E", "C"]),
        (logging.WARNING, None, ["W", "E", "C"]),
        (logging.NOTSET, "ERROR", ["E", "C"]),
        (logging.NOTSET, 30, ["W", "E", "C"]),
    ],
)
def test_what_is_mailed_follows_from_alert_level_or_else_from_the_handlers_own_level(
    log: Log, level: int, alert_level: Any, mailed: list[str]
) -> None:
    logger = log(alert_level=alert_level)
    handler_of(logger).setLevel(level)
    accepted: list[str] = []
    handler_of(logger).works.intake.add = lambda alert: accepted.append(alert.message)  # type: ignore[method-assign]
    for number, name in ((logging.INFO, "I"), (logging.WARNING, "W"), (logging.ERROR, "E"), (logging.CRITICAL, "C")):
        logger.log(number, name)
    assert accepted == mailed


def test_a_level_that_is_assigned_counts_like_one_that_is_set(log: Log) -> None:
    logger = log()
    logger.info("The first record sets all up")
    accepted: list[str] = []
    handler_of(logger).works.intake.add = lambda alert: accepted.append(alert.message)  # type: ignore[method-assign]
    logger.error("Not yet")
    handler_of(logger).level = logging.ERROR
    logger.error("An error")
    assert accepted == ["An error"]


def test_a_record_with_a_kind_is_mailed_at_any_level_under_its_own_subject(server: MailServer, log: Log) -> None:
    logger = log(subjects={"quota": "[ETL] API quota alert"})
    logger.info("nearly used up", extra={"alert": "quota", "provider": "marketstack"})
    (mail,) = server.wait_for(1)
    assert mail.message["Subject"] == "[ETL] API quota alert"
    assert mail.message["X-Alertlog-Kind"] == "quota"
    assert "marketstack" in mail.text


def test_alert_true_mails_a_record_without_a_kind(server: MailServer, log: Log) -> None:
    log().info("look at this", extra={"alert": True})
    (mail,) = server.wait_for(1)
    assert not mail.message["X-Alertlog-Kind"]


def test_alert_false_keeps_one_record_out(server: MailServer, log: Log) -> None:
    logger = log()
    logger.critical("not this one", extra={"alert": False})
    logger.critical("this one")
    handler_of(logger).flush()
    (subject,) = subjects(server)
    assert "this one" in subject
    assert "not" not in subject


def test_repeats_are_counted_and_told_by_one_closing_mail(server: MailServer, log: Log) -> None:
    logger = log()
    logger.critical("disk %s is full", "sda")
    server.wait_for(1)
    for _ in range(41):
        logger.critical("disk %s is full", "sda")
    handler_of(logger).close()
    assert [mail.message["X-Alertlog-Count"] for mail in server.mails] == ["1", "41"]
    assert server.mails[1].message["X-Alertlog-Total"] == "42"
    assert server.mails[1].message["In-Reply-To"] == server.mails[0].message["Message-ID"]


def test_resolved_ends_an_incident_with_a_mail_that_counts_what_was_before_it(server: MailServer, log: Log) -> None:
    logger = log()
    for _ in range(3):
        logger.error("no price", extra={"alert": "missing_price"})
    logger.info("prices are back", extra={"alert": "missing_price", "resolved": True})
    handler_of(logger).close()
    assert sum(int(mail.message["X-Alertlog-Count"]) for mail in server.mails) == 3


# Moving over from SMTPHandler


def test_it_is_an_smtp_handler_and_knows_its_arguments_in_their_order() -> None:
    handler = AlertHandler(("mail.example.org", 2525), "a@example.org", ["b@example.org"], "Trouble", None, (), 7.0)
    assert isinstance(handler, logging.handlers.SMTPHandler)
    assert (handler.mailhost, handler.mailport, handler.fromaddr) == ("mail.example.org", 2525, "a@example.org")
    assert (handler.toaddrs, handler.subject) == (["b@example.org"], "Trouble")


def test_what_smtp_handlers_users_look_at_is_there_but_for_the_password(server: MailServer, log: Log) -> None:
    handler = handler_of(log(timeout=7.0))
    assert (handler.timeout, handler.secure, handler.username, handler.password) == (7.0, (), "etl", None)
    assert server.environ()["SMTP_TRANSPORT"] == "starttls"


def test_without_an_environment_the_arguments_are_what_is_seen(log: Log) -> None:
    handler = handler_of(log(timeout=7.0, secure=()))
    assert (handler.timeout, handler.secure, handler.username) == (7.0, (), None)


def test_without_tls_secure_is_none(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with MailServer("none") as plain:
        for name, value in plain.environ().items():
            monkeypatch.setenv(name, value)
        assert handler_of(log()).secure is None


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("toaddrs", "SMTP_TO"),
        ("password", "SMTP_PASSWORD"),
        ("subject", "argument"),
        ("timeout", "SMTP_TIMEOUT_SECONDS"),
    ],
)
def test_a_setting_that_is_assigned_is_refused_with_its_place(log: Log, name: str, where: str) -> None:
    with pytest.raises(AttributeError, match=where):
        setattr(handler_of(log()), name, "x")


def test_the_environment_overrides_the_arguments(server: MailServer, log: Log) -> None:
    handler = handler_of(log(mailhost="mail.invalid", fromaddr="a@invalid.example", toaddrs="b@invalid.example"))
    assert (handler.mailhost, handler.mailport) == ("127.0.0.1", server.port)
    assert (handler.fromaddr, handler.toaddrs) == ("alerts@example.org", ["oncall@example.org"])


def test_a_configuration_written_for_smtp_handler_mails_to_a_loopback_server_in_plain(log: Log) -> None:
    with MailServer("none") as plain:
        log(
            mailhost=("127.0.0.1", plain.port), fromaddr="a@example.org", toaddrs="b@example.org", subject="Trouble"
        ).critical("x")
        (mail,) = plain.wait_for(1)
    assert mail.message["Subject"] == "Trouble"
    assert not mail.tls


def test_credentials_are_refused_by_an_error_that_names_the_variables_and_not_the_password() -> None:
    with pytest.raises(ValueError, match="MAIL_USERNAME and MAIL_PASSWORD") as caught:
        AlertHandler(credentials=("etl", "correct horse"), env_prefix="MAIL_")
    assert "horse" not in str(caught.value)


def test_an_overridden_get_subject_and_format_shape_the_mail(server: MailServer, log: Log, tmp_path: Path) -> None:
    class Mine(AlertHandler):
        def getSubject(self, record: logging.LogRecord) -> str:
            return f"mine: {super().getSubject(record)}"

        def format(self, record: logging.LogRecord) -> str:
            return f"<<{record.getMessage()}>>"

    log(Mine(outbox=tmp_path / "alerts.sqlite3", service="etl")).critical("Quota %s", "used")
    (mail,) = server.wait_for(1)
    assert mail.message["Subject"] == "mine: [etl] CRITICAL: Quota used"
    assert "<<Quota used>>" in mail.text


def test_a_formatter_stands_for_message_and_traceback_and_leaves_the_record_alone(server: MailServer, log: Log) -> None:
    logger = log()
    handler_of(logger).setFormatter(logging.Formatter("FORMATTED %(message)s"))
    seen: list[logging.LogRecord] = []

    def look(record: logging.LogRecord) -> bool:
        seen.append(record)
        return True

    logger.addFilter(look)
    logger.critical("Quota %s", "used")
    (mail,) = server.wait_for(1)
    assert "FORMATTED Quota used" in mail.text
    assert not hasattr(seen[0], "message")


@pytest.mark.parametrize("method", ["format", "getSubject"])
def test_a_method_of_the_users_that_raises_is_replaced_by_ours_with_an_event(
    server: MailServer, log: Log, tmp_path: Path, events: Events, method: str
) -> None:
    def broken(_self: AlertHandler, _record: logging.LogRecord) -> str:
        raise RuntimeError("mine is broken")

    mine = type("Mine", (AlertHandler,), {method: broken})
    broken.__name__ = method
    log(mine(outbox=tmp_path / "alerts.sqlite3")).critical("Quota used")
    (mail,) = server.wait_for(1)
    assert "Quota used" in mail.text
    assert f"{method}() raised RuntimeError" in events("alert_capture_failed")[0]["message"]


def test_a_formatter_that_raises_system_exit_does_not_end_the_program(
    server: MailServer, log: Log, events: Events
) -> None:
    class Leaving(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:  # noqa: ARG002 -- as Formatter has it
            raise SystemExit(3)

    logger = log()
    handler_of(logger).setFormatter(Leaving())
    logger.critical("Quota %s", "used")
    (mail,) = server.wait_for(1)
    assert "Quota used" in mail.text
    assert "format() raised SystemExit" in events("alert_capture_failed")[0]["message"]


class Alarm(BaseException):
    """What a program raises by a timer, to get out of whatever takes too long."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Alarm, TimeoutError])
def test_what_a_signal_handler_raises_amid_a_formatter_goes_on_and_the_alert_is_kept(
    server: MailServer, log: Log, error: type[BaseException]
) -> None:
    class Interrupted(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            signal.raise_signal(signal.SIGALRM)
            return super().format(record)

    def interrupt(*_: object) -> None:
        raise error

    logger = log()
    handler_of(logger).setFormatter(Interrupted())
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(error):
            logger.critical("Quota %s", "used")
    finally:
        signal.signal(signal.SIGALRM, before)
    handler_of(logger).setFormatter(None)
    logger.critical("Afterwards")
    handler_of(logger).close()
    assert sum(int(mail.message["X-Alertlog-Count"]) for mail in server.mails) == 2


def test_an_overridden_get_subject_finds_the_programs_own_fingerprint_in_what_it_overrides(
    server: MailServer, log: Log, tmp_path: Path
) -> None:
    class Mine(AlertHandler):
        def getSubject(self, record: logging.LogRecord) -> str:
            return f"mine: {super().getSubject(record)}"

    arguments: dict[str, Any] = {"fingerprint": lambda _record: "0123456789abcdef", "subject": "{fingerprint}"}
    log(Mine(outbox=tmp_path / "alerts.sqlite3", **arguments)).critical("Quota used")
    server.wait_for(1)
    assert subjects(server) == ["mine: 0123456789abcdef"]


# The program's own grouping


def by_function(record: logging.LogRecord) -> str:
    return record.funcName or ""


def test_records_with_the_same_fingerprint_of_the_programs_own_are_one_incident(server: MailServer, log: Log) -> None:
    logger = log(fingerprint=by_function)
    for message in ("Quota used up", "Disk full", "No price"):
        logger.critical(message)
    handler_of(logger).close()
    assert told(server.mails) == 3
    assert set(fingerprints(server.mails)) == {digits(sys._getframe().f_code.co_name)}


def test_the_programs_own_grouping_is_asked_once_for_each_alert_on_the_thread_that_logs(log: Log) -> None:
    asked: list[tuple[str, int]] = []

    def rule(record: logging.LogRecord) -> str:
        asked.append((record.getMessage(), threading.get_ident()))
        return "one"

    logger = log(fingerprint=rule)
    logger.error("No alert")
    for message in ("Quota used up", "Disk full"):
        logger.critical(message)
    assert asked == [(message, threading.get_ident()) for message in ("Quota used up", "Disk full")]


@pytest.mark.parametrize(
    ("broken", "failure"),
    [
        (lambda record: record.nothing, "raised AttributeError"),
        (lambda _record: sys.exit(3), "raised SystemExit"),
        (lambda _record: None, "returned NoneType, not str"),
    ],
)
def test_where_the_programs_own_grouping_fails_each_alert_is_grouped_by_ours_and_one_event_says_so(
    server: MailServer, log: Log, events: Events, broken: Callable[[logging.LogRecord], Any], failure: str
) -> None:
    logger = log(fingerprint=broken)
    for _ in range(5):
        logger.critical("Quota used up")
        logger.critical("Disk full")
    handler_of(logger).close()
    assert told(server.mails) == 10
    assert len(set(fingerprints(server.mails))) == 2
    (event,) = events("alert_capture_failed")
    assert f"fingerprint {failure}" in event["message"]
    assert event["alert"]["message"] == "Quota used up"


def test_alerts_that_the_programs_own_grouping_and_format_log_are_heard_and_end(
    server: MailServer, log: Log, tmp_path: Path
) -> None:
    def rule(record: logging.LogRecord) -> str:
        for number in range(2):
            logger.critical("The rule says %d", number)
        return record.getMessage()

    class Mine(AlertHandler):
        def format(self, record: logging.LogRecord) -> str:
            logger.critical("The format says so")
            return super().format(record)

    logger = log(Mine(outbox=tmp_path / "alerts.sqlite3", fingerprint=rule))
    for _ in range(100):
        logger.critical("Quota used up")
    handler_of(logger).close()
    assert told(server.mails) == 100 + 2 * 100 + 1


def test_asking_what_would_be_mailed_does_not_ask_the_grouping_about_what_it_logs_meanwhile(log: Log) -> None:
    def rule(record: logging.LogRecord) -> str:
        logger.critical("From within")
        return record.getMessage()

    logger = log(fingerprint=rule)
    record = logger.makeRecord(logger.name, logging.INFO, "file", 1, "Quota used", (), None)
    assert handler_of(logger).alert_of(record).fingerprint == digits("Quota used")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Alarm, TimeoutError])
@pytest.mark.parametrize("where", ["fingerprint", "filter", "text"])
def test_what_a_signal_handler_raises_amid_a_method_of_the_programs_goes_on_and_the_alert_is_kept(
    server: MailServer, log: Log, error: type[BaseException], where: str
) -> None:
    def interrupt(*_: object) -> None:
        raise error

    signals = [signal.SIGALRM]

    def interrupted(*_: object) -> str:
        while signals:
            signal.raise_signal(signals.pop())
        return "used"

    logger = log(fingerprint=interrupted if where == "fingerprint" else None)
    if where == "filter":
        handler_of(logger).addFilter(interrupted)  # type: ignore[arg-type]
    text = type("Text", (), {"__str__": interrupted})() if where == "text" else "used"
    before = signal.signal(signal.SIGALRM, functools.partial(interrupt))
    try:
        with pytest.raises(error):
            logger.critical("Quota %s", text)
    finally:
        signal.signal(signal.SIGALRM, before)
    handler_of(logger).close()
    assert told(server.mails) == 1


# Nothing raises


class Leaving:
    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class Cancelling(Leaving):
    def __str__(self) -> str:
        raise asyncio.CancelledError

    __repr__ = __str__


@pytest.mark.parametrize(
    ("message", "arguments", "extra"),
    [
        (Leaving(), (), {}),
        ("with %s", (Leaving(),), {}),
        ("extra", (), {"thing": Leaving()}),
        ("extras", (), {"things": [Leaving()]}),
        ("kind", (), {"alert": Leaving()}),
        (Cancelling(), (), {}),
        ("with %s", (Cancelling(),), {}),
        ("extra", (), {"thing": Cancelling()}),
    ],
)
def test_a_record_whose_text_raises_what_is_no_error_is_mailed_and_the_program_goes_on(
    server: MailServer, log: Log, message: Any, arguments: tuple[Any, ...], extra: dict[str, Any]
) -> None:
    log().critical(message, *arguments, extra=extra)
    (mail,) = server.wait_for(1)
    assert "SystemExit" in mail.text or "CancelledError" in mail.text


def test_an_exception_whose_text_raises_system_exit_is_mailed_and_the_program_goes_on(
    server: MailServer, log: Log
) -> None:
    logger = log()
    try:
        raise type("Strange", (Leaving, ValueError), {})
    except ValueError:
        logger.critical("Quota used", exc_info=True)
    (mail,) = server.wait_for(1)
    assert "Strange: <str() raised SystemExit>" in mail.text


class Broken:
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


def recursive() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    ("message", "arguments", "extra", "shown"),
    [
        ("only %d", ("text",), {}, "only %d"),
        ("%s %s", ("one",), {}, "could not be formatted"),
        (Broken(), (), {}, "str() raised ValueError"),
        ("with %s", (Broken(),), {}, "could not be formatted"),
        ("extra", (), {"thing": Broken()}, "str() raised ValueError"),
        ("extra", (), {"thing": recursive()}, "thing"),
        ("extra", (), {"thing": threading.Lock()}, "lock"),
        ("\ud800 and \r\nBcc: eve@example.org", (), {"kind\r\nX-Evil": "1"}, "Bcc"),
    ],
)
def test_a_broken_record_is_mailed_with_its_raw_parts_and_the_failure_named(
    server: MailServer, log: Log, message: Any, arguments: tuple[Any, ...], extra: dict[str, Any], shown: str
) -> None:
    log().critical(message, *arguments, extra=extra)
    (mail,) = server.wait_for(1)
    assert shown in mail.text
    assert mail.message["Bcc"] is None


def test_a_record_that_defeats_capturing_altogether_is_mailed_as_far_as_it_goes(
    server: MailServer, log: Log, events: Events
) -> None:
    logger = log()
    record = logger.makeRecord(logger.name, logging.CRITICAL, "file", 1, "still here", (), None)
    del record.pathname
    logger.handle(record)
    (mail,) = server.wait_for(1)
    assert "still here" in mail.text
    assert events("alert_capture_failed")


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, Alarm])
def test_a_filter_that_raises_lets_the_record_through_with_an_event(
    server: MailServer, log: Log, events: Events, error: type[BaseException]
) -> None:
    def broken(_record: logging.LogRecord) -> bool:
        raise error

    logger = log()
    handler_of(logger).addFilter(broken)
    logger.critical("through")
    assert server.wait_for(1)
    assert f"filter raised {error.__name__}" in events("alert_capture_failed")[0]["message"]


def test_a_filter_decides_and_may_replace_the_record(server: MailServer, log: Log) -> None:
    logger = log()
    handler_of(logger).addFilter(lambda record: "secret" not in str(record.msg))
    logger.critical("a secret matter")
    handler_of(logger).filter = lambda record: logging.makeLogRecord(  # type: ignore[method-assign,assignment,return-value]
        {**record.__dict__, "msg": "replaced"}
    )
    logger.critical("to be replaced")
    handler_of(logger).flush()
    (subject,) = subjects(server)
    assert "replaced" in subject


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SMTP_HOST": "smtp://x:y@host", "SMTP_PORT": "0", "SMTP_TRANSPORT": "tls", "SMTP_TIMEOUT_SECONDS": "NaN"},
        {"ALERTLOG_OUTBOX": "relative", "ALERTLOG_SERVICE_FILE": "/no/service", "ALERTLOG_ENVIRONMENT_FILE": "/no"},
    ],
)
def test_a_bad_environment_never_raises_and_is_reported_once(
    log: Log, monkeypatch: pytest.MonkeyPatch, events: Events, environ: dict[str, str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    logger = log(outbox=None) if "ALERTLOG_OUTBOX" in environ else log()
    logger.critical("first")
    handler_of(logger).flush()
    logger.critical("second")
    handler_of(logger).flush()
    said = events()
    assert (
        len([event for event in said if event["event"].startswith("smtp_config") and "SMTP_HOST" in event["problems"]])
        == 1
    )
    assert "second" in json.dumps(said, default=str)  # the alert itself, in whichever event


# Feedback, interruption, ends


def test_no_event_of_alertlog_feeds_the_handler_with_root_at_debug(server: MailServer, tmp_path: Path) -> None:
    root, handler = logging.getLogger(), AlertHandler(outbox=tmp_path / "alerts.sqlite3", alert_level=logging.DEBUG)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        logging.getLogger("portfolio_etl").critical("only this", extra={"alert": "quota"})
        logging.getLogger("alertlog").critical("never this")
        server.wait_for(1)
        handler.flush()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
    fed = [mail for mail in server.mails if mail.message["X-Alertlog-Kind"] != "quota" and "mail.log" not in mail.text]
    assert not fed


def test_a_record_from_the_thread_that_writes_counts_is_never_an_alert(log: Log) -> None:
    logger = log()
    logger.info("The first record sets all up")
    intake = handler_of(logger).works.intake
    accepted: list[str] = []
    intake.add = lambda alert: accepted.append(alert.message)  # type: ignore[method-assign]
    intake.writer = threading.get_ident()
    logger.critical("While it writes")
    intake.writer = 0
    logger.critical("Afterwards")
    assert accepted == ["Afterwards"]


def test_a_record_that_interrupts_emit_is_taken_when_emit_is_done(server: MailServer, log: Log) -> None:
    logger = log()

    class Noisy:
        def __str__(self) -> str:
            logger.critical("from within")
            return "noisy"

    logger.critical("outer %s", Noisy())
    handler_of(logger).flush()
    assert sum(int(mail.message["X-Alertlog-Count"]) for mail in server.mails) == 2


def test_signals_and_finalizers_that_log_while_emit_runs_neither_deadlock_nor_get_lost(
    server: MailServer, log: Log
) -> None:
    logger = log()
    raised = died = 0

    class Dying:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal died
            died += threading.current_thread() is threading.main_thread()  # the courier's own records are no alerts
            logger.critical("from a finalizer")

    def interrupt(*_: object) -> None:
        nonlocal raised
        raised += 1
        logger.critical("from a signal")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    made = 0
    try:
        while raised < 200:
            logger.critical("from the program")
            Dying()
            made += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    gc.collect()
    handler_of(logger).close()
    assert died > made / 2
    assert told(server.mails) == raised + made + died


def test_a_text_that_flushes_while_it_is_asked_for_hangs_nobody(server: MailServer, log: Log) -> None:
    logger = log()

    class Flushing:
        def __str__(self) -> str:
            logger.critical("from within")
            handler_of(logger).flush()
            return "flushing"

    logger.critical("first")
    logger.critical("outer %s", Flushing())
    handler_of(logger).close()
    assert told(server.mails) == 3


def test_where_no_thread_is_to_be_had_the_alert_is_in_an_event_and_sent_when_there_is_one(
    server: MailServer, log: Log, events: Events
) -> None:
    logger = log()
    before = threading.stack_size(NO_STACK)
    try:
        logger.critical("Quota used")
    finally:
        threading.stack_size(before)
    (event,) = events("smtp_send_failed")
    assert "no thread to send from" in event["message"]
    assert event["alert"]["message"] == "Quota used"
    handler_of(logger).flush()
    assert told(server.mails) == 1


def test_a_machine_that_cannot_tell_its_name_stops_no_program_and_once_it_can_alerts_are_mailed(
    server: MailServer, log: Log, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown() -> str:
        raise OSError("no name")

    def broken(_record: logging.LogRecord) -> bool:
        raise RuntimeError

    logger = log()
    with monkeypatch.context() as nameless:
        nameless.setattr(socket, "gethostname", unknown)
        logger.critical("Lost %d", 1)
        handler_of(logger).addFilter(broken)
        logger.critical("Lost %d", 2)
        handler_of(logger).removeFilter(broken)
    assert capsys.readouterr().err.count("OSError: no name") == 3  # the second record tells of the filter as well
    logger.critical("Kept")
    server.wait_for(1)
    assert ["Kept" in subject for subject in subjects(server)] == [True]


def test_a_record_at_the_very_end_of_the_stack_is_taken_later(server: MailServer, log: Log) -> None:
    logger = log()

    def deeper() -> None:
        try:
            deeper()
        except RecursionError:
            handler_of(logger).handle(deep)
            raise

    deep = logger.makeRecord(logger.name, logging.CRITICAL, "file", 1, "from the deep", (), None)
    with pytest.raises(RecursionError):
        deeper()
    logger.info("from further up")
    handler_of(logger).close()
    assert "from the deep" in subjects(server)[0]


class Unreadable(str):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = str.__hash__


@pytest.mark.parametrize("name", [None, Unreadable("etl")])
def test_a_record_without_a_name_that_can_be_read_is_mailed(server: MailServer, log: Log, name: str | None) -> None:
    logger = log()
    record = logger.makeRecord("etl", logging.CRITICAL, "file", 1, "out of the common", (), None)
    if name is None:
        del record.name
    else:
        record.name = name
    handler_of(logger).emit(record)
    handler_of(logger).close()
    assert told(server.mails) == 1


def test_what_an_alarm_raises_amid_a_filter_is_not_reported_as_the_filters(
    server: MailServer, log: Log, events: Events
) -> None:
    logger = log()
    handler_of(logger).addFilter(lambda _record: signal.raise_signal(signal.SIGALRM))  # type: ignore[arg-type,return-value]

    def alarm(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, alarm)
    try:
        with pytest.raises(TimeoutError):
            logger.critical("Quota used")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert server.wait_for(1)
    assert not events("alert_capture_failed")


def test_a_failure_of_the_handlers_own_costs_no_alert_and_counts_none_twice(
    server: MailServer, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = log()
    handler = handler_of(logger)
    works = handler.works
    with monkeypatch.context() as patched:
        patched.setattr(handler, "_fingerprint", lambda _record: 1 / 0)
        logger.critical("not to be grouped")
        patched.setattr(works, "accept_broken", lambda _record, _error: 1 / 0)
        logger.critical("not to be accepted either")
    with monkeypatch.context() as patched:
        logger.critical("asked about")
        patched.setattr(works.intake, "differs", lambda _known, _record: 1 / 0)
        logger.critical("asked about")
    logger.info("later")
    handler.close()
    assert told(server.mails) == 4


def test_emit_after_close_opens_everything_again(server: MailServer, log: Log) -> None:
    logger = log()
    logger.critical("before")
    handler_of(logger).close()
    logger.critical("after")
    server.wait_for(2)
    handler_of(logger).close()
    assert len(server.mails) == 2


def test_a_handler_that_had_no_record_has_nothing_to_close_and_makes_no_file(tmp_path: Path) -> None:
    handler = AlertHandler(outbox=tmp_path / "sub" / "alerts.sqlite3")
    handler.flush()
    handler.close()
    assert not list(tmp_path.iterdir())


def test_a_program_without_alerts_makes_no_file(tmp_path: Path, log: Log) -> None:
    logger = log(outbox=tmp_path / "sub" / "alerts.sqlite3")
    logger.info("all is well")
    handler_of(logger).close()
    assert not list(tmp_path.iterdir())


def test_close_waits_no_longer_than_shutdown_timeout_for_a_flush_that_was_in_vain(log: Log) -> None:
    handler = handler_of(log(shutdown_timeout=0))
    logging.getLogger("x").addHandler(handler)
    handler.handle(logging.makeLogRecord({"levelno": 50, "msg": "x"}))
    handler.flush()
    handler.close()
    logging.getLogger("x").removeHandler(handler)


@pytest.mark.parametrize(
    ("value", "argument", "seconds"),
    [("", None, 10.0), ("3", None, 3.0), ("NaN", None, 10.0), ("text", 4.0, 4.0), ("900", None, 10.0)],
)
def test_shutdown_timeout_defaults_to_the_smtp_timeout(
    monkeypatch: pytest.MonkeyPatch, log: Log, value: str, argument: float | None, seconds: float
) -> None:
    monkeypatch.setenv("SMTP_TIMEOUT_SECONDS", value)
    assert handler_of(log(timeout=argument)).works.shutdown_timeout == seconds


# dictConfig


def test_a_second_dict_config_loses_nothing_and_disabled_loggers_still_report(
    server: MailServer, tmp_path: Path, events: Events
) -> None:
    config = {
        "version": 1,
        "disable_existing_loggers": True,
        "handlers": {"alerts": {"class": "alertlog.AlertHandler", "outbox": str(tmp_path / "alerts.sqlite3")}},
        "loggers": {"reconfigured": {"handlers": ["alerts"]}},
    }
    logging.config.dictConfig(config)
    logging.getLogger("reconfigured").critical("under the first")
    logging.config.dictConfig(config)
    logging.getLogger("reconfigured").critical("under the second")
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    server.wait_for(2)
    assert eventually(lambda: len(events("smtp_send_succeeded")) >= 2)
    logging.getLogger("alertlog").disabled = False
    logging.getLogger("reconfigured").handlers.clear()


def test_two_handlers_send_each_their_own(server: MailServer, tmp_path: Path) -> None:
    logger = logging.getLogger("two")
    handlers = [AlertHandler(outbox=tmp_path / "alerts.sqlite3", subject=subject) for subject in ("one", "other")]
    for handler, name in zip(handlers, ("first", "second"), strict=True):
        handler.name = name
        logger.addHandler(handler)
    logger.critical("both")
    server.wait_for(2)
    for handler in handlers:
        logger.removeHandler(handler)
        handler.close()
    assert sorted(subjects(server)) == ["one", "other"]


def test_the_public_names_are_these() -> None:
    assert alertlog.__all__ == ["AlertHandler"]
    assert alertlog.__version__
    with pytest.raises(AttributeError):
        _ = alertlog.nothing
