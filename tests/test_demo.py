"""`alertlog demo`, the shipped logging.yaml, and that no mail trouble changes the pipeline's result."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from email import message_from_bytes, policy
from pathlib import Path

import pytest
import yaml

from alertlog.demo import show, timed_etl
from alertlog.demo.price_api import PriceApi
from alertlog.demo.screen import Screen
from alertlog.testing import MailServer
from tests.servers import HOSTILE, Script, ScriptedServer

ROOT = Path(__file__).parents[1]


class TestShippedLogging:
    def test_the_demo_runs_the_very_file_that_is_shipped(self) -> None:
        assert show.LOGGING.read_bytes() == (ROOT / "logging.yaml").read_bytes()

    def test_the_subjects_are_those_that_filters_at_the_receiving_end_know(self) -> None:
        handler = yaml.safe_load(show.LOGGING.read_text())["handlers"]["alerts"]
        assert handler["class"] == "alertlog.AlertHandler"
        assert handler["subjects"] == {
            "quota": "[ETL] API quota alert",
            "missing_price": "[ETL] Missing price alert",
        }

    def test_it_works_as_it_is_and_the_events_are_json_with_the_documented_names(self) -> None:
        program = """
import logging, logging.config, logging.handlers, pathlib, sys, yaml
logging.config.dictConfig(yaml.safe_load(pathlib.Path(sys.argv[1]).read_text()))
assert isinstance(logging.getLogger().handlers[1], logging.handlers.SMTPHandler)
logging.getLogger("alertlog").info("sent", extra={"event": "smtp_send_succeeded"})
logging.getLogger("portfolio_etl").info("done")
"""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, str(ROOT / "logging.yaml")],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            check=False,
        )
        event, line = done.stderr.splitlines()
        assert line.endswith("INFO portfolio_etl: done")
        fields = json.loads(event)
        assert fields.pop("timestamp")
        assert fields == {
            "level": "INFO",
            "logger": "alertlog",
            "message": "sent",
            "event": "smtp_send_succeeded",
        }


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "kept"


@pytest.fixture(scope="module")
def output(kept: Path) -> str:
    """What the demo printed; it is run once for all tests."""
    out = io.StringIO()
    assert show.run_demo(kept, out) == 0
    return out.getvalue()


class TestShow:
    def test_it_fits_a_terminal_and_has_no_control_characters(self, output: str) -> None:
        assert max(map(len, output.splitlines())) <= 80
        assert output.replace("\n", "").isprintable()

    def test_the_quota_goes_from_normal_by_conserve_to_halt_and_back(self, output: str) -> None:
        modes = [line.split("mode ")[1].split(",")[0] for line in output.splitlines() if " mode " in line]
        assert modes == ["normal", "conserve", "conserve", "halt", "normal"]

    def test_both_alerts_arrive_under_their_own_subjects(self, output: str) -> None:
        assert output.count("\nSubject: [ETL] API quota alert\n") >= 1
        assert output.count("\nSubject: [ETL] Missing price alert\n") >= 1
        assert "Price API quota used up: 40 of 40 calls" in output
        assert "BRK.B, TECK-B.TO" in output

    def test_the_mails_came_over_tls_with_the_login(self, output: str) -> None:
        assert output.count("TLS, logged in as portfolio-etl)") == output.count("\n-- Mail ")

    def test_the_counts_of_the_mails_add_up_to_the_alerts(self, output: str) -> None:
        summary = next(line for line in output.splitlines() if "alerts were raised" in line)
        raised, mails, told = (int(word) for word in summary.rstrip(".").split() if word.isdigit())
        assert raised == told == 6
        assert mails == output.count("\n-- Mail ")

    def test_the_events_are_shown(self, output: str) -> None:
        assert "\n  smtp_send_succeeded " in output

    def test_the_password_is_nowhere(self, output: str, kept: Path) -> None:
        assert show.LOGIN[1] not in output
        assert not any(show.LOGIN[1].encode() in path.read_bytes() for path in kept.iterdir())

    def test_keep_writes_each_mail_and_its_html(self, output: str, kept: Path) -> None:
        mails = output.count("\n-- Mail ")
        names = [f"{number:02}.{kind}" for number in range(1, mails + 1) for kind in ("eml", "html")]
        assert sorted(path.name for path in kept.iterdir()) == names
        parsed = message_from_bytes((kept / "01.eml").read_bytes(), policy=policy.default)
        assert parsed["Subject"] == "[ETL] Missing price alert"
        assert (kept / "01.html").read_text(encoding="utf-8").lstrip().startswith("<")

    @pytest.mark.parametrize("missing", ["aiosmtpd", "trustme", "yaml"])
    def test_without_its_extra_it_says_so_in_a_line(
        self, missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, missing, None)
        out = io.StringIO()
        assert show.run_demo(None, out) == 78
        assert out.getvalue() == ""
        assert capsys.readouterr().err == f"The demo needs {missing}: pip install 'alertlog[demo]'\n"

    def test_without_a_folder_to_keep_them_in_no_mail_is_written(self, tmp_path: Path) -> None:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        program = "import sys; from alertlog.demo.show import run_demo; sys.exit(run_demo(None, sys.stdout))"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
            env=environ,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert list(tmp_path.iterdir()) == []


class TestFailedDay:
    def test_its_log_is_shown_and_the_demo_fails(self, tmp_path: Path) -> None:
        with PriceApi() as api:
            day = show.run_day("no day", api, {**os.environ, "PYTHONPATH": str(ROOT)}, tmp_path)
        out = io.StringIO()
        show.show_day(Screen(out), "no day", day)
        assert "exit code 2:" in out.getvalue()
        assert "error: argument --day" in out.getvalue()
        assert show.exit_code([day], []) == 1

    def test_a_demo_without_mails_has_failed(self) -> None:
        assert show.exit_code([show.Day(code=0, timings=[], events=[], log=[])], []) == 1


class TestScreen:
    def test_what_the_terminal_cannot_show_becomes_a_question_mark(self) -> None:
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding="ascii")
        Screen(out).line("prix indisponible: café")
        out.flush()
        assert raw.getvalue() == b"prix indisponible: caf?\n"

    def test_a_long_line_is_folded_behind_its_own_indentation(self) -> None:
        out = io.StringIO()
        Screen(out).line("  " + "word " * 20, indent="> ")
        first, second = out.getvalue().splitlines()
        assert first.startswith(">   word")
        assert second.startswith(">       word")

    def test_events_show_the_fields_that_apply(self) -> None:
        out = io.StringIO()
        Screen(out).events([{"event": "smtp_send_failed", "smtp_code": 451, "kind": "", "attempt": 1}])
        assert out.getvalue() == "  smtp_send_failed smtp_code=451 attempt=1\n"


def test_the_stopwatch_leaves_records_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    """File, line and function are the caller's, the extras are there, and each call is timed."""
    logger = timed_etl.TimedLogger("timed")
    logger.addHandler(caplog.handler)
    for call in (logger.info, logger.warning, logger.error):
        call("%d of %d", 1, 2)
    logger.critical("quota", extra={"alert": "quota"}, exc_info=ValueError("no"))
    assert [timing["level"] for timing in logger.timings] == ["INFO", "WARNING", "ERROR", "CRITICAL"]
    assert [timing["message"] for timing in logger.timings] == ["1 of 2"] * 3 + ["quota"]
    assert [timing["alert"] for timing in logger.timings] == [None, None, None, "quota"]
    assert {record.filename for record in caplog.records} == {"test_demo.py"}
    assert {record.funcName for record in caplog.records} == {"test_the_stopwatch_leaves_records_as_they_were"}
    assert caplog.records[-1].alert == "quota"  # type: ignore[attr-defined]
    assert caplog.records[-1].exc_info


@contextmanager
def dead() -> Iterator[Mapping[str, str]]:
    """Connections are refused."""
    with MailServer(login=show.LOGIN) as server:
        server.stop()
        yield server.environ()


@contextmanager
def impostor() -> Iterator[Mapping[str, str]]:
    """Another CA has issued its certificate."""
    with MailServer(login=show.LOGIN) as server, MailServer(login=show.LOGIN) as other:
        yield {**server.environ(), "SMTP_PORT": str(other.port)}


@contextmanager
def unconfigured() -> Iterator[Mapping[str, str]]:
    yield {}


def hostile(script: Script) -> Callable[[], AbstractContextManager[Mapping[str, str]]]:
    @contextmanager
    def serve() -> Iterator[Mapping[str, str]]:
        with ScriptedServer(script) as server:
            yield {**MailServer("none").environ(), "SMTP_PORT": str(server.port)}

    return serve


TROUBLE = {
    "is dead": dead,
    "is an impostor": impostor,
    "is not configured": unconfigured,
    **{name: hostile(script) for name, script in HOSTILE.items()},
}


def run_two_days(
    folder: Path, mail: Mapping[str, str], after_each: Callable[[show.Day], None], timeout: int = 30
) -> list[str]:
    """Run a normal day and one with the quota used up, and return the database as SQL."""
    environ = {
        **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        **mail,
        "SMTP_TIMEOUT_SECONDS": str(timeout),
        "ALERTLOG_OUTBOX": str(folder / "alerts.sqlite3"),
        "PYTHONPATH": str(ROOT),
    }
    with PriceApi(limit=29, lacks=show.LACKS) as api:
        for day in ("2026-03-30", "2026-03-31"):
            after_each(show.run_day(day, api, environ, folder))
    with closing(sqlite3.connect(folder / "portfolio.sqlite3")) as db:
        return list(db.iterdump())


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The database that comes of it when the mail server is healthy."""
    days: list[show.Day] = []
    with MailServer(login=show.LOGIN) as server:
        database = run_two_days(tmp_path_factory.mktemp("sound"), server.environ(), days.append)
        assert {mail.subject for mail in server.mails} == {
            "[ETL] API quota alert",
            "[ETL] Missing price alert",
        }
    assert [day.code for day in days] == [0, 0]
    return database


def test_when_a_run_is_over_its_mails_have_told_all_that_it_raised(tmp_path: Path) -> None:
    """The second day repeats one alert of the first: too soon for another mail, were it not the end."""
    raised, told = [0], [0]
    with MailServer(login=show.LOGIN) as server:

        def count(day: show.Day) -> None:
            raised.append(raised[-1] + day.alerts)
            told.append(sum(int(mail.message["X-Alertlog-Count"]) for mail in server.mails))

        run_two_days(tmp_path, server.environ(), count)
    assert told == raised == [0, 1, 3]


@pytest.mark.parametrize("trouble", TROUBLE)
def test_no_mail_trouble_changes_what_the_pipeline_computes(sound: list[str], trouble: str, tmp_path: Path) -> None:
    days: list[show.Day] = []
    with TROUBLE[trouble]() as mail:
        database = run_two_days(tmp_path, mail, days.append, timeout=1)
    assert database == sound
    assert len(database) > 100
    assert [(day.code, day.alerts) for day in days] == [(0, 1), (0, 2)]
    events = {event["event"] for day in days for event in day.events}
    assert events
    assert "smtp_send_succeeded" not in events
