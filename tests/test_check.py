"""The check of a deployment: its steps, where it stops, what it tells machines, and how it exits."""

from __future__ import annotations

import datetime
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from alertlog.advice import Advice, Rule, Seen, advise
from alertlog.cli import main
from alertlog.gate import Gate
from alertlog.journal import Journal
from alertlog.network import NETWORK, Network, reached
from alertlog.outbox import Outbox
from alertlog.ownership import Owner
from alertlog.policy import Pace
from alertlog.steps import LONGEST, Step, Stopwatch
from alertlog.testing import MailServer, ManualClock
from alertlog.walk_outbox import File, Room, amount, file_system, mounts, room_step
from alertlog.walk_redis import clock_step
from alertlog.walk_server import STEPS
from alertlog.walk_waiting import Limits, first_unread
from alertlog.wire import Address
from tests.behaviours import drop, silence
from tests.certificates import Authority
from tests.pages import DOCS, code, pages
from tests.provoked_here import HANDLER, run_program
from tests.real_server import RealServer
from tests.redis_server import Impostor, RedisServer, say
from tests.scenes import HEALTHY, PASSWORD, Scene, Server, address, login, settings, token
from tests.servers import HOSTILE, OFFERS_STARTTLS, ScriptedServer, dead_port
from tests.support import TIME, tally
from tests.xoauth2 import Xoauth2

WAY = ["name", "connect", "greeting", "capabilities", "tls", "login", "sender", "recipient", "size"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority) -> Scene:
    return Scene(tmp_path, monkeypatch, authority, authority)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MailServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALERTLOG_OUTBOX", str(tmp_path / "state" / "alerts.sqlite3"))
    with MailServer("starttls", login=("etl@example.org", PASSWORD)) as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# The whole way


def test_each_step_is_a_line_with_its_time_and_nothing_is_sent(server: MailServer) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert [line.split()[1] for line in lines] == [
        "configuration", "settings", "outbox", "waiting", "name", "connect", "greeting", "capabilities", "tls",
        "capabilities", "login", "sender", "recipient", "size", "clock",
    ]  # fmt: skip
    assert all(re.search(r"  \([0-9.]+ (ms|s)\)$", line) for line in lines)
    assert result.stderr == ""
    assert "  STARTTLS: TLSv1.3, " in result.stdout
    assert server.mails == []
    assert PASSWORD not in result.output


def test_what_is_seen_is_there_for_machines(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_TO", "oncall@example.org, second@example.org")
    found = objects(run("--json"))
    facts = {step["step"]: step["facts"] for step in found}
    assert facts["settings"]["variables"]["SMTP_PASSWORD"] == "********"
    assert facts["name"]["addresses"] == ["127.0.0.1"]
    assert facts["connect"]["port"] == server.port
    assert facts["tls"]["version"] == "TLSv1.3"
    assert facts["tls"]["names"] == ["127.0.0.1", "localhost"]
    assert facts["tls"]["days_left"] > 21
    assert facts["login"] == {"username": "etl@example.org", "method": "PLAIN"}
    assert facts["size"]["limit"] > 1_000_000
    assert [step["facts"]["address"] for step in found if step["step"] == "recipient"] == [
        "oncall@example.org",
        "second@example.org",
    ]
    assert all(step["seconds"] >= 0 and step["category"] is None for step in found)
    assert {(step["handler"], step["server"]) for step in found if step["step"] in WAY} == {
        ("alerts", f"127.0.0.1:{server.port}")
    }


def test_the_steps_are_those_that_the_documentation_lists(scene: Scene) -> None:
    documented = [code(row[0])[0] for row in pages("en")["checking.md"].table("checking-steps")]
    scene.template("letter.txt", "{{ view.title }}")
    with ScriptedServer(Xoauth2("ya29.token").script) as server, Impostor(say(b"$10\r\n1767225600\r\n")) as redis:
        checked = scene.check(server, ALERTLOG_REDIS_URL=redis.url, **token("ya29.token"))
    assert checked.failed == []
    assert checked.step("token").text == "a token: had"
    assert checked.step("login").facts["method"] == "XOAUTH2"
    assert list(dict.fromkeys(checked.names)) == documented
    assert set(STEPS.values()) <= set(documented)


def test_the_example_of_the_documentation_is_what_a_check_prints() -> None:
    (example,) = (text for language, text in pages("en")["checking.md"].blocks if language == "text")
    *lines, cause, change = example.splitlines()
    rows = pages("en")["checking.md"].table("checking-mistakes")
    (row,) = (row for row in rows if code(row[0]) == ["certificate-of-a-shared-host"])
    shown = [line.split()[:2] for line in lines]
    assert shown == [
        *(["ok", name] for name in ("configuration", "settings", "outbox", "waiting", *WAY[:4])),
        ["failed", "tls"],
    ]
    assert all(re.search(r"  \([0-9]+ ms\)$", line) for line in lines)
    assert cause.split()[0] == "cause:"
    assert change.partition("change:")[2].strip() == row[2].replace("`", "")


def test_the_options_are_those_that_the_documentation_lists() -> None:
    documented = {code(row[0])[0].split()[0] for row in pages("en")["checking.md"].table("checking-probe")}
    options = {name for option in main.commands["check"].params for name in option.opts}
    assert documented == options


@pytest.mark.parametrize(
    ("step", "script"),
    [
        ("greeting", {"greeting": "554 5.7.1 go away"}),
        ("capabilities", {"EHLO": "550 5.7.1 no"}),
        ("login", {"AUTH": "535 5.7.8 no"}),
        ("sender", {"MAIL": "550 5.7.1 not you"}),
        ("recipient", {"RCPT": drop}),
        ("recipient", {"RSET": "500 5.5.1 what"}),
    ],
)
def test_it_stops_at_the_first_thing_that_stops_a_mail(scene: Scene, step: str, script: dict[str, Any]) -> None:
    with ScriptedServer({"EHLO": HEALTHY, **script}) as server:
        checked = scene.check(server, **login())
    assert checked.failed == [step] == [checked.names[-1]]


@pytest.mark.parametrize(
    ("reply", "mistake"),
    [
        ("554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.example", "address-blocked"),
        ("554 5.7.1 <unknown[192.0.2.7]>: Client host rejected: Access denied", "relaying-denied"),
        ("550 relay not permitted", "relaying-denied"),
        ("550 5.7.1 you may not write to this group", "recipient-unknown"),
    ],
)
def test_a_refusal_for_the_senders_sake_is_told_from_one_for_the_recipients(
    scene: Scene, reply: str, mistake: str
) -> None:
    with ScriptedServer({"RCPT": reply}) as server:
        assert scene.check(server).mistakes[-1] == mistake


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_server_does_the_check_ends_and_says_what_to_change(scene: Scene, name: str) -> None:
    with ScriptedServer(HOSTILE[name]) as server:
        checked = scene.check(server, SMTP_TIMEOUT_SECONDS="0.4")
    in_the_way = not {"DATA", "dot"} & set(HOSTILE[name])
    assert bool(checked.failed) == in_the_way, checked.lines
    assert all(step.advice for step in checked.steps if step.outcome == "failed"), checked.lines


@pytest.mark.parametrize("step", ["EHLO", "AUTH", "MAIL", "RCPT"])
def test_a_connection_that_breaks_is_no_refusal_of_what_was_asked_for(scene: Scene, step: str) -> None:
    with ScriptedServer({"EHLO": HEALTHY, step: drop}) as server:
        assert scene.check(server, **login()).mistakes[-1] == "connection-lost"


def test_a_refused_recipient_does_not_keep_the_others_from_being_asked(scene: Scene) -> None:
    with ScriptedServer({"RCPT": ["550 5.1.1 no such user", "450 4.2.0 later", "250 ok"]}) as server:
        checked = scene.check(server, SMTP_TO="a@example.org, b@example.org, c@example.org")
    asked = [step for step in checked.steps if step.name == "recipient"]
    assert [step.category for step in asked] == ["permanent", "temporary", None]
    assert checked.names[-1] == "clock"


def test_a_server_that_takes_no_recipient_stops_the_mail(scene: Scene) -> None:
    with ScriptedServer({"RCPT": "550 5.1.1 no such user"}) as server:
        checked = scene.check(server)
    assert checked.step("recipient").category == "refused"
    assert checked.names[-1] == "size"


@pytest.mark.parametrize("recipients", ["a@example.org", "a@example.org, b@example.org"])
def test_where_no_recipient_is_taken_no_others_are_spoken_of(scene: Scene, recipients: str) -> None:
    with ScriptedServer({"RCPT": "550 5.1.1 no such user"}) as server:
        checked = scene.check(server, SMTP_TO=recipients)
    changes = {advice.change for step in checked.steps if step.name == "recipient" for advice in step.advice}
    assert changes == {"correct it in SMTP_TO"}


def test_a_mark_at_the_beginning_of_a_password_is_warned_of_before_anything_is_tried(scene: Scene) -> None:
    (scene.folder / "smtp_password").write_text(f"{PASSWORD}\n", encoding="utf-8-sig")
    given = {"SMTP_USERNAME": "etl@example.org", "SMTP_PASSWORD_FILE": str(scene.folder / "smtp_password")}
    step = scene.check_offline(**settings(**given)).step("settings")
    assert [advice.mistake for advice in step.advice] == ["password-with-a-bom"]


def test_templates_of_the_deployers_own_that_work_are_all_right(scene: Scene) -> None:
    scene.template("letter.html", "<p>{{ view.title }}</p>")
    assert scene.check_offline(**settings()).step("templates").outcome == "ok"


def test_templates_of_the_deployers_own_are_tried_for_each_occasion(scene: Scene) -> None:
    scene.template("letter.html", "<p>{% if view.sections | length > 1 %}{{ view.nothing }}{% endif %}x</p>")
    scene.template("letter.txt", "{% broken")
    step = scene.check_offline(**settings()).step("templates")
    assert step.outcome == "warning", "mails go, with alertlog's own"
    assert {advice.mistake for advice in step.advice} == {"template-fails"}
    assert {problem.split(":")[0] for problem in step.facts["problems"]} == {"letter.txt", "letter.html"}


def test_without_templates_of_the_deployers_own_there_is_no_step_for_them(scene: Scene) -> None:
    assert "templates" not in scene.check_offline(**settings()).names


def test_all_problems_of_the_settings_are_told_at_once_and_no_value(scene: Scene) -> None:
    checked = scene.check(**settings(SMTP_PORT="0", SMTP_TRANSPORT="tls", SMTP_USERNAME="", SMTP_PASSWORD=PASSWORD))
    assert checked.failed == ["settings"]
    assert checked.names[-1] == "settings"
    assert {"transport-unknown", "value-wrong", "half-a-login"} <= set(checked.mistakes)


def test_a_port_of_the_other_transport_is_warned_of_before_anything_is_tried(scene: Scene) -> None:
    assert "starttls-at-a-tls-port" in scene.check_offline(**settings(SMTP_PORT="465")).mistakes
    assert "tls-at-a-starttls-port" in scene.check_offline(**settings(SMTP_PORT="587", SMTP_TRANSPORT="ssl")).mistakes
    assert "tls-at-a-starttls-port" not in scene.check_offline(**settings(SMTP_TRANSPORT="starttls")).mistakes


def test_a_login_that_may_cross_the_network_readable_is_warned_of(scene: Scene) -> None:
    scene.distant()
    with ScriptedServer({"EHLO": HEALTHY}) as server:
        checked = scene.check(server, SMTP_HOST="127.0.0.1", SMTP_INSECURE_LOGIN="allow", **login())
    assert checked.failed == []
    assert {"login-in-the-clear", "mail-in-the-clear"} <= set(checked.mistakes)


@pytest.mark.parametrize(
    ("host", "reply", "mistake"),
    [
        ("smtp.fastmail.com", "535 5.7.0 Incorrect username or password", "app-password-needed"),
        ("smtp.provider.example", "535 5.7.0 Incorrect username or password", "password-refused"),
        ("smtp.gmail.com", "535 5.7.8 Not accepted. See support?p=BadCredentials", "app-password-needed"),
        ("smtp.office365.com", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
         "basic-login-turned-off"),
        ("smtp.office365.com", "535 5.7.3 Authentication unsuccessful", "password-refused"),
    ],
)  # fmt: skip
def test_what_a_provider_says_of_a_login_is_understood(scene: Scene, host: str, reply: str, mistake: str) -> None:
    with ScriptedServer({"EHLO": HEALTHY.replace("250 AUTH", "250-STARTTLS\n250 AUTH"), "AUTH": reply},
                        scene.authority.server(host)) as server:  # fmt: skip
        scene.known(host, server)
        tls = {"SMTP_TRANSPORT": "starttls", "SMTP_CA_FILE": scene.authority.ca_file}
        assert scene.check(server, SMTP_HOST=host, **tls, **login()).mistakes[-1] == mistake


def test_a_server_that_takes_small_mails_only_is_warned_of(scene: Scene) -> None:
    with ScriptedServer({"EHLO": "250-scripted.example\n250 SIZE 100000"}) as server:
        checked = scene.check(server)
    assert checked.step("size").outcome == "warning"
    assert "size-limit" in checked.mistakes
    with ScriptedServer({"EHLO": "250 scripted.example"}) as server:
        assert scene.check(server).step("size").text == "the server names no limit"


def test_a_certificate_that_never_ends_is_told_wherever_the_machine_is(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, end = (datetime.datetime(year, 12, 31, 23, 59, 59, tzinfo=datetime.UTC) for year in (2020, 9999))
    context = scene.authority.between(begin, end)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with ScriptedServer({"EHLO": OFFERS_STARTTLS}, context) as server:
            checked = scene.check(server, SMTP_TRANSPORT="starttls", SMTP_CA_FILE=scene.authority.ca_file)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert checked.step("tls").text.endswith("until 9999-12-31 23:59:59 UTC")


def test_a_certificate_is_told_under_implicit_tls_too(scene: Scene) -> None:
    with ScriptedServer({"EHLO": HEALTHY}, scene.authority.server("127.0.0.1"), implicit=True) as server:
        checked = scene.check(server, SMTP_TRANSPORT="ssl", SMTP_CA_FILE=scene.authority.ca_file)
    assert checked.names[4:8] == ["name", "connect", "tls", "greeting"]
    assert checked.step("tls").text.startswith("from the first byte: TLSv1.3, ")
    assert f"CAs of {scene.authority.ca_file} too" in checked.step("settings").text
    assert checked.step("tls").facts["names"] == ["127.0.0.1"]
    assert checked.failed == []


def test_the_second_look_at_a_server_says_nothing_inside_tls(scene: Scene) -> None:
    with ScriptedServer({"EHLO": OFFERS_STARTTLS}, scene.authority.expired()) as server:
        scene.check(server, SMTP_TRANSPORT="starttls", SMTP_CA_FILE=scene.authority.ca_file, **login())
        server.wait_for("end", 2)
    assert server.steps.count("tls") == 2
    assert server.steps.count("EHLO") == 2
    assert "AUTH" not in server.steps


def test_a_certificate_that_is_not_shown_a_second_time_stays_unknown(scene: Scene) -> None:
    with ScriptedServer({"EHLO": [OFFERS_STARTTLS, HEALTHY]}, scene.authority.server()) as server:
        checked = scene.check(server, SMTP_TRANSPORT="starttls")
    assert checked.step("tls").advice[0].cause.startswith("somebody vouches for the server")


def test_of_a_certificate_with_many_names_some_are_told(scene: Scene) -> None:
    names = ["127.0.0.1", *(f"host{number}.example.org" for number in range(9))]
    with ScriptedServer({"EHLO": OFFERS_STARTTLS}, scene.authority.server(*names)) as server:
        checked = scene.check(server, SMTP_TRANSPORT="starttls", SMTP_CA_FILE=scene.authority.ca_file)
    assert " and 5 more by " in checked.step("tls").text
    assert len(checked.step("tls").facts["names"]) == 10


def test_a_silent_server_is_left_after_the_time_of_one_attempt_and_a_second_look(scene: Scene) -> None:
    with ScriptedServer({"greeting": silence}) as server:
        checked = scene.check(server, SMTP_TRANSPORT="starttls", SMTP_TIMEOUT_SECONDS="0.2")
    assert checked.step("greeting").category == "temporary"
    assert server.connections == 2


def test_an_address_that_does_not_answer_is_named_beside_the_one_that_does(scene: Scene) -> None:
    with ScriptedServer() as server, dead_port() as port:
        scene.leads_to(address("127.0.0.2", port), address(server.host, server.port))
        checked = scene.check(server)
    assert checked.step("name").facts["addresses"] == ["127.0.0.2", "127.0.0.1"]
    assert checked.step("connect").facts["silent"] == ["127.0.0.2"]
    assert "127.0.0.2 did not answer" in checked.step("connect").text


# The network


def test_a_resolver_that_does_not_answer_is_waited_for_no_longer_than_an_attempt(scene: Scene) -> None:
    answer = threading.Event()

    def resolve(_host: str, _port: int) -> Sequence[Address]:
        answer.wait(20)
        return ()

    scene.network = Network(resolve)
    checked = scene.check(**settings(SMTP_TIMEOUT_SECONDS="0.1"))
    answer.set()
    assert checked.step("name").text == "mail.example.org: no name server answered within 0.1 s"
    assert checked.mistakes[-1] == "name-server-away"


def test_a_connection_that_is_gone_has_no_address() -> None:
    with socket.socket() as sock:
        assert reached(sock) == ""
    assert NETWORK.addresses("127.0.0.1", 25, 5.0)[0][4][0] == "127.0.0.1"


# Real servers


@pytest.mark.parametrize("program", ["postfix", "exim"])
def test_a_real_server_lets_the_check_in_and_delivers_nothing(
    scene: Scene, program: str, request: pytest.FixtureRequest
) -> None:
    server: RealServer = request.getfixturevalue(program)
    before = server.mails("operator")
    given = {"SMTP_TRANSPORT": "starttls", "SMTP_CA_FILE": server.ca_file, "SMTP_TO": server.address("operator")}
    checked = scene.check(server, **given, **login(server.username, server.password))
    assert checked.failed == [], checked.lines
    assert list(dict.fromkeys(checked.names[4:])) == [*WAY, "clock"]
    assert checked.step("tls").facts["version"].startswith("TLSv1.")
    refused = scene.check(server, **given, **login(server.username, "wrong password"))
    assert refused.mistakes[-1] == ("password-refused" if "@" in server.username else "user-without-domain")
    stranger = scene.check(
        server, SMTP_TRANSPORT="starttls", SMTP_TO="a@elsewhere.example", SMTP_USERNAME="", SMTP_PASSWORD=""
    )
    assert stranger.mistakes[-1] == "relaying-denied", stranger.lines
    assert server.mails("operator") == before


def test_a_real_redis_answers_with_the_same_time(scene: Scene, redis_server: RedisServer) -> None:
    with ScriptedServer() as server:
        checked = scene.check(server, ALERTLOG_REDIS_URL=redis_server.url)
    assert (checked.step("redis").outcome, checked.step("clock").text) == ("ok", "within 60 s of Redis")


# The configuration


def test_the_configuration_that_counts_is_named(scene: Scene) -> None:
    scene.configure(HANDLER % "")
    checked = scene.check_offline(**settings())
    assert checked.step("configuration").outcome == "ok"
    assert checked.step("configuration").facts["source"] == "logging.yaml"
    assert checked.step("configuration").text == "logging.yaml: handler alerts"


def test_without_a_place_for_the_default_outbox_that_is_said(scene: Scene) -> None:
    scene.patch.chdir(scene.folder)
    checked = scene.check_offline(**settings(ALERTLOG_OUTBOX="relative"))
    assert "which has no place" in checked.step("configuration").advice[0].cause


TWO = """
handlers:
  alerts: {class: alertlog.AlertHandler, service: etl}
  pager: {class: alertlog.AlertHandler, service: etl, env_prefix: PAGER_}
"""


def test_each_handler_has_its_own_steps_and_a_shared_outbox_is_looked_at_once(scene: Scene) -> None:
    scene.configure(TWO)
    with ScriptedServer() as server, ScriptedServer({"MAIL": "550 5.7.1 not you"}) as other:
        checked = scene.check(
            server,
            PAGER_HOST=other.host,
            PAGER_PORT=str(other.port),
            PAGER_TRANSPORT="none",
            PAGER_FROM="etl@example.org",
            PAGER_TO="pager@example.org",
        )
    assert checked.names.count("outbox") == 1
    assert [(step.handler, step.outcome) for step in checked.steps if step.name == "sender"] == [
        ("alerts", "ok"),
        ("pager", "failed"),
    ]
    assert checked.step("sender").advice[0].change.startswith("set PAGER_FROM")
    assert checked.names[-1] == "sender", "what would stop a mail is the last thing that is said"


SECOND = """
handlers:
  alerts: {class: alertlog.AlertHandler, service: etl, env_prefix: [SMTP_, SPARE_]}
"""


def spare(server: Server) -> dict[str, str]:
    """A second way out, whose sender and recipients are the first's."""
    return {"SPARE_HOST": server.host, "SPARE_PORT": str(server.port), "SPARE_TRANSPORT": "none"}


def test_each_server_of_a_handler_is_walked_to_and_one_is_enough_for_a_mail(scene: Scene) -> None:
    scene.configure(SECOND)
    with ScriptedServer({"MAIL": "550 5.7.1 not you"}) as server, ScriptedServer() as other:
        checked = scene.check(server, **spare(other))
    told = [(step.server, step.outcome) for step in checked.steps if step.name == "sender"]
    assert told == [(f"127.0.0.1:{server.port}", "failed"), (f"127.0.0.1:{other.port}", "ok")]
    assert checked.names.count("settings") == 2
    assert checked.names[-1] == "clock", "a mail would go the other way"
    assert checked.failed == ["sender"], "and the first is to be repaired nevertheless"


def test_the_advice_for_a_second_server_names_its_own_variables(scene: Scene) -> None:
    scene.configure(SECOND)
    with ScriptedServer() as server, ScriptedServer({"MAIL": "550 5.7.1 not you"}) as other:
        checked = scene.check(server, **spare(other))
    assert checked.step("sender").advice[0].change.startswith("set SPARE_FROM")


def test_a_server_that_is_left_out_for_its_settings_is_told_and_the_others_are_walked_to(scene: Scene) -> None:
    scene.configure(SECOND)
    with ScriptedServer() as server:
        checked = scene.check(server, SPARE_HOST="mail.example.org:25")
    assert checked.failed == ["settings"]
    assert checked.step("settings").advice[0].change == "give the name alone, and the port as SPARE_PORT"
    assert checked.names[-1] == "clock"


def test_an_outbox_that_has_no_place_is_no_other_handlers_fault(scene: Scene) -> None:
    scene.configure(TWO.replace("service: etl}", f"service: etl, outbox: {scene.outbox}}}"))
    variables = {name.replace("SMTP_", "PAGER_"): value for name, value in settings().items()}
    checked = scene.check_offline(**settings(ALERTLOG_OUTBOX="relative"), **variables)
    outcomes = [(step.handler, step.outcome) for step in checked.steps if step.name == "outbox"]
    assert outcomes[1] == ("pager", "failed")
    assert outcomes[0][0] == "alerts"
    assert outcomes[0][1] != "failed"


# The outbox


def test_an_outbox_that_is_there_is_measured_and_left_as_it_is(scene: Scene) -> None:
    with ScriptedServer() as server:
        scene.check(server)
        run_program(scene.outbox, server)
        before = sorted(path.name for path in scene.outbox.parent.iterdir())
        checked = scene.check(server)
    facts = checked.step("outbox").facts
    assert facts["exists"] is True
    assert facts["bytes"] > 10_000
    assert facts["mode"] == "0600"
    assert facts["owner"] == os.geteuid()
    assert sorted(path.name for path in scene.outbox.parent.iterdir()) == before
    assert server.steps.count("DATA") == 1


def test_a_look_makes_no_folder(scene: Scene) -> None:
    checked = scene.check_offline(**settings())
    assert "not there yet, and can be made" in checked.step("outbox").text
    assert not scene.outbox.parent.exists()


def test_a_name_that_glob_would_understand_is_taken_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "al[e]rt*.sqlite3"
    place.touch(0o600)
    (tmp_path / "alert1.sqlite3").touch()
    assert [file.name for file in Room.at(place).files] == [place.name]


def test_a_journal_that_a_courier_removes_meanwhile_is_no_file(tmp_path: Path) -> None:
    assert File.at(tmp_path / "alerts.sqlite3.0.1.journal") is None


def test_a_disk_that_is_nearly_full_is_told_by_what_is_left(scene: Scene) -> None:
    room = Room.at(scene.outbox)
    assert room_step(replace(room, free=1000), Stopwatch(ManualClock())).advice[0].mistake == "disk-full"


MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 22 0:26 / /srv rw,nosuid shared:3 - tmpfs tmpfs rw
32 22 0:27 / /srv/a\040b rw - nfs4 host:/export rw
33 22 0:28 / /srv rw - xfs /dev/vdb rw
no mount
"""


@pytest.mark.parametrize(
    ("folder", "expected"), [("/", "ext4"), ("/var/lib", "ext4"), ("/srv", "xfs"), ("/srv/a b/c", "nfs4")]
)
def test_the_file_system_is_that_of_the_last_and_longest_mount(folder: str, expected: str) -> None:
    assert file_system(MOUNTS, Path(folder)) == expected
    assert file_system("", Path(folder)) == ""


def test_a_system_without_a_table_of_mounts_has_none(tmp_path: Path) -> None:
    assert mounts(tmp_path / "mountinfo") == ""


def test_amounts_are_for_people() -> None:
    assert [amount(count) for count in (12, 2048, 3 * 1024**2, 5 * 1024**3)] == [
        "12 bytes", "2.0 KiB", "3.0 MiB", "5.0 GiB",
    ]  # fmt: skip


# What waits


def killed(place: Path, *payloads: bytes) -> None:
    """A program that was killed before its courier looked."""
    journal = Journal.create(place, Owner("etl", "alerts"))
    for payload in payloads:
        journal.append(payload)
    del journal


def test_what_waits_is_counted_with_its_age(scene: Scene) -> None:
    killed(scene.outbox, b"damaged", tally("Disk full", 3).to_json(), tally("Quota", 2, TIME + 60).to_json())
    step = scene.check_offline(**settings()).step("waiting")
    assert step.outcome == "ok"
    assert step.facts["unread"] == step.facts["waiting"] == 5
    assert step.facts["oldest_seconds"] > 60
    assert re.fullmatch("5 unread alerts, the oldest for [0-9,]+ h", step.text)


def test_an_age_that_no_journal_tells_is_none(scene: Scene) -> None:
    killed(scene.outbox, b"damaged")
    step = scene.check_offline(**settings()).step("waiting")
    assert (step.text, step.facts["oldest_seconds"]) == ("nothing waits", 0.0)


def test_of_several_journals_the_oldest_alert_counts_and_one_that_is_gone_has_none(scene: Scene) -> None:
    killed(scene.outbox, b"damaged")
    killed(scene.outbox, tally(at=TIME + 60).to_json())
    killed(scene.outbox, tally(at=TIME).to_json())
    paths = [*scene.outbox.parent.glob("*.journal"), scene.outbox.with_name("gone.journal")]
    assert len(paths) == 4
    assert first_unread(paths, {}) == TIME
    assert first_unread(paths[-1:], {}) is None


def test_more_than_may_wait_fails_and_as_much_does_not(scene: Scene) -> None:
    killed(scene.outbox, tally(count=3).to_json())
    scene.limits = Limits(3)
    assert scene.check_offline(**settings()).failed == []
    scene.limits = Limits(2, 600.0)
    checked = scene.check_offline(**settings())
    assert checked.failed == ["waiting"]
    assert checked.step("waiting").category == "temporary"
    assert checked.step("waiting").text.endswith(": too much, as 2 may wait and 10 min are allowed")


def test_a_journal_of_this_very_process_is_counted_and_keeps_its_lock(scene: Scene) -> None:
    journal = Journal.create(scene.outbox, Owner("etl", "alerts"))
    journal.append(tally(count=2).to_json())
    assert scene.check_offline(**settings()).step("waiting").facts["unread"] == 2
    journal.append(tally(count=2).to_json())
    assert scene.check_offline(**settings()).step("waiting").facts["unread"] == 4


def test_what_could_not_be_sent_waits_with_the_reason(scene: Scene) -> None:
    with dead_port() as port:
        scene.environ(**settings(SMTP_HOST="127.0.0.1", SMTP_PORT=str(port), SMTP_TRANSPORT="none"))
        run_program(scene.outbox)
        step = scene.check_offline().step("waiting")
    assert (step.facts["mails"], step.facts["aside"], step.outcome) == (1, 0, "ok")
    assert "Connection refused" in step.facts["last_error"]
    assert re.fullmatch(r"1 mail, the oldest for \d+ s; the last attempt failed: .*refused", step.text)


def test_what_is_in_the_way_is_told_of_all_servers_together(scene: Scene) -> None:
    scene.outbox.parent.mkdir()
    with Outbox(Owner("etl", "alerts"), Pace(), scene.outbox) as outbox:
        outbox.set_gate(Gate(way=0, failures=2, due=TIME, category="temporary", error="the first refused"))
        outbox.set_gate(Gate(way=1))
        step = scene.check_offline(**settings()).step("waiting")
        assert (step.text, step.facts["last_error"]) == ("nothing waits", "")
        outbox.set_gate(Gate(way=1, failures=1, due=TIME, category="temporary", error="the second hung up"))
        step = scene.check_offline(**settings()).step("waiting")
    assert step.facts["last_error"] == "the first refused; the second hung up"


def test_what_is_told_or_muted_does_not_wait(scene: Scene) -> None:
    with ScriptedServer() as server:
        scene.check(server)
        run_program(scene.outbox, server)
        assert scene.check_offline().step("waiting").text == "nothing waits"
        CliRunner().invoke(main, ["mute", "quota", "--for", "1h"])
        killed(scene.outbox, tally(kind="quota").to_json())
        CliRunner().invoke(main, ["outbox", "flush", "--timeout", "0"])
        said = scene.check_offline().step("waiting").text
        assert re.fullmatch("nothing waits; muted: quota until [0-9-]+ [0-9:]+ [^ ]+, 1 alert held back", said)


def test_each_mute_in_force_is_named_with_the_number_of_alerts_that_it_holds_back(scene: Scene) -> None:
    scene.environ(**settings(SMTP_HOST=""))
    for target in ("quota", "prices"):
        CliRunner().invoke(main, ["mute", target, "--for", "1h"])
    killed(scene.outbox, tally("Quota", 3, kind="quota").to_json(), tally("Disk full").to_json())
    CliRunner().invoke(main, ["outbox", "flush", "--timeout", "0"])
    step = scene.check_offline(**settings()).step("waiting")
    assert {mute["target"]: mute["held_back"] for mute in step.facts["mutes"]} == {"quota": 3, "prices": 0}
    assert step.outcome == "ok", "an operator wants it so"
    said = re.findall(r"; muted: (\w+) until [0-9-]+ [0-9:]+ [^ ]+, (\d) alerts held back", step.text)
    assert dict(said) == {"quota": "3", "prices": "0"}


def test_mail_that_waits_since_an_attempt_failed_is_to_be_flushed_once_nothing_fails_any_more(scene: Scene) -> None:
    with dead_port() as port:
        scene.environ(**settings(SMTP_HOST="127.0.0.1", SMTP_PORT=str(port), SMTP_TRANSPORT="none"))
        run_program(scene.outbox)
    with ScriptedServer() as server:
        checked = scene.check(server)
    assert checked.failed == []
    (advice,) = checked.step("waiting").advice
    assert advice.change == "repair what fails below, if anything does; then run alertlog outbox flush"


def test_offline_where_nothing_follows_the_advice_names_the_check_that_goes_all_the_way(scene: Scene) -> None:
    with dead_port() as port:
        scene.environ(**settings(SMTP_HOST="127.0.0.1", SMTP_PORT=str(port), SMTP_TRANSPORT="none"))
        run_program(scene.outbox)
        scene.limits = Limits(waiting=0)
        (advice,) = scene.check_offline().step("waiting").advice
    assert "below" not in advice.change
    assert "in alertlog check without --offline" in advice.change


def test_an_incident_that_no_mail_tells_of_yet_waits(scene: Scene) -> None:
    killed(scene.outbox, tally().to_json())
    scene.environ(SMTP_HOST="")
    CliRunner().invoke(main, ["outbox", "flush", "--timeout", "0"])
    step = scene.check_offline(**settings()).step("waiting")
    assert (step.facts["incidents"], step.facts["unread"]) == (1, 0)
    assert step.facts["oldest_seconds"] > 60


def test_another_services_alerts_are_not_this_ones_backlog(scene: Scene) -> None:
    journal = Journal.create(scene.outbox, Owner("other", "alerts"))
    journal.append(tally().to_json())
    del journal
    assert scene.check_offline(**settings()).step("waiting").text == "nothing waits"


# Redis and clocks


def test_redis_answers_and_its_clock_is_compared(scene: Scene) -> None:
    with ScriptedServer() as server, Impostor(say(b"$10\r\n1767225600\r\n")) as redis:
        checked = scene.check(server, ALERTLOG_REDIS_URL=redis.url)
    assert checked.failed == []
    assert checked.step("redis").facts == {"place": f"127.0.0.1:{redis.port}"}
    assert checked.step("clock").outcome == "warning"
    assert "Redis" in checked.step("clock").text


def test_a_redis_that_does_not_say_the_time_is_no_clock(scene: Scene) -> None:
    with ScriptedServer() as server, Impostor(say(b"*1\r\n$3\r\nnow\r\n")) as redis:
        checked = scene.check(server, ALERTLOG_REDIS_URL=redis.url)
    assert (checked.step("redis").outcome, checked.step("clock").outcome) == ("ok", "ok")


def test_a_redis_that_is_away_stops_no_mail(scene: Scene) -> None:
    with ScriptedServer() as server, dead_port() as port:
        checked = scene.check(server, ALERTLOG_REDIS_URL=f"redis://127.0.0.1:{port}/0")
    assert checked.failed == ["redis"]
    assert checked.step("redis").category == "temporary"
    assert checked.names[-1] == "clock"


def test_a_file_for_redis_that_can_not_be_read_is_told(scene: Scene) -> None:
    with ScriptedServer() as server:
        checked = scene.check(server, ALERTLOG_REDIS_URL_FILE=str(scene.folder / "missing"))
    assert checked.step("redis").advice[0].mistake == "redis-url-wrong"


@pytest.mark.parametrize(
    ("skews", "text"),
    [
        ({}, "nobody said what time it is"),
        ({"mail.example.org": 3.0, "Redis": -59.0}, "within 60 s of mail.example.org, Redis"),
        ({"mail.example.org": 3.0, "Redis": -3600.0}, "3,600 s behind Redis"),
        ({"mail.example.org": 61.4}, "61 s ahead of mail.example.org"),
    ],
)
def test_the_clock_that_differs_most_is_told(skews: dict[str, float], text: str) -> None:
    step = clock_step(skews, Stopwatch(ManualClock()))
    assert step.text == text
    assert (step.outcome == "warning") == ("behind" in text or "ahead" in text)


def test_a_date_in_a_greeting_that_is_none_is_passed_over(scene: Scene) -> None:
    greeting = "220 scripted.example ESMTP Abc, 99 Xyz 2026 99:00:00 +0000"
    with ScriptedServer({"greeting": greeting}) as server:
        assert scene.check(server).step("clock").text == "nobody said what time it is"


def test_a_greeting_with_the_right_time_is_all_right(scene: Scene) -> None:
    from email.utils import formatdate

    with ScriptedServer({"greeting": f"220 scripted.example ESMTP {formatdate()}"}) as server:
        assert scene.check(server).step("clock").text == "within 60 s of 127.0.0.1"


# Commands


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({}, 0),
        ({"SMTP_PASSWORD": "wrong horse"}, 78),
        ({"SMTP_PORT": "0"}, 78),
        ({"SMTP_TO": "gone@example.org, oncall@example.org"}, 1),
        ({"SMTP_TO": "gone@example.org"}, 78),
    ],
)
def test_the_exit_code_is_that_of_the_worst_step(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], code: int
) -> None:
    server.refusals = {"gone@example.org": "550 5.1.1 no such user"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run().exit_code == code


def test_a_server_that_is_away_exits_75_and_offline_it_is_not_missed(server: MailServer) -> None:
    server.stop()
    assert run().exit_code == 75
    offline = run("--offline", "--json")
    assert offline.exit_code == 0
    assert [step["step"] for step in objects(offline)] == ["configuration", "settings", "outbox", "waiting"]


def test_a_damaged_outbox_exits_1_and_the_walk_goes_on(server: MailServer, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "alerts.sqlite3").write_bytes(b"not a database " * 100)
    result = run("--json")
    assert result.exit_code == 1
    assert objects(result)[-1]["step"] == "clock"


@pytest.mark.parametrize(
    "words", [["--max-waiting", "-1"], ["--max-age", "10"], ["--max-age", "0m"], ["--max-age", "8d"]]
)
def test_a_limit_that_is_none_is_wrong_usage(words: list[str]) -> None:
    assert run(*words).exit_code == 2


def test_a_probe_in_a_real_process_fails_on_what_a_killed_program_left(server: MailServer, tmp_path: Path) -> None:
    killed(tmp_path / "state" / "alerts.sqlite3", tally().to_json())
    command = [sys.executable, "-m", "alertlog", "check", "--offline", "--json"]

    def probe(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=60)

    healthy, sick = probe("--max-waiting", "20"), probe("--max-waiting", "20", "--max-age", "10m")
    assert (healthy.returncode, sick.returncode) == (0, 75)
    assert json.loads(sick.stdout.splitlines()[-1])["advice"][0]["mistake"] == "nobody-sends"
    assert healthy.stderr == sick.stderr == ""


def test_the_health_check_of_the_example_is_a_command_that_there_is(server: MailServer) -> None:
    example = yaml.safe_load((DOCS / "examples" / "compose.yaml").read_text(encoding="utf-8"))
    kind, line = example["services"]["app"]["healthcheck"]["test"]
    command, otherwise = line.split(" || ")
    assert (kind, otherwise) == ("CMD-SHELL", "exit 1")
    words = command.split()
    assert words[:2] == ["alertlog", "check"]
    assert run(*words[2:]).exit_code == 0
    (page,) = (text for language, text in pages("en")["checking.md"].blocks if language == "yaml")
    assert yaml.safe_load(page)["healthcheck"] == example["services"]["app"]["healthcheck"]


# Steps and tables


def test_a_step_is_what_its_parts_make_it() -> None:
    advice = (Advice("a-mistake", "the cause", "the change"),)
    assert Step("tls", "fine").outcome == "ok"
    assert Step("tls", "fine", advice=advice).outcome == "warning"
    assert Step("tls", "not", "refused", advice).outcome == "failed"
    shown = Step("tls", "not\x1b[2J " + "x" * 9_000, "refused", advice, 1.25).lines()
    assert shown[0].startswith("failed   tls            not")
    assert shown[0].endswith("  (1.2 s)")
    assert len(shown[0]) < LONGEST + 100
    assert "\x1b" not in shown[0]
    assert shown[1:] == ["         cause:         the cause", "         change:        the change"]


def test_no_text_of_a_step_keeps_what_is_to_be_cleaned_out_of_it() -> None:
    facts = {"list": ["secret"], "dict": {"name": "secret"}, "number": 7, "nothing": None}
    step = Step("login", "secret", advice=(Advice("m", "secret", "secret"),), facts=facts)
    cleaned = step.without(lambda text: text.replace("secret", "***"))
    assert "secret" not in f"{cleaned.lines()} {cleaned.to_dict()}"
    assert cleaned.facts["number"] == 7


def test_the_first_rule_that_fits_counts() -> None:
    table = (
        Rule("said", "auth", "{word}", "change", said="no way"),
        Rule("marked", "auth", "cause", "change", marks=("a", "b")),
        Rule("coded", "auth", "cause", "change", codes=(5, 421)),
        Rule("any", "auth", "cause", "change"),
    )

    def first(**seen: Any) -> str:
        (advice,) = advise(Seen("auth", words={"word": "{it}"}, **seen), table)
        return advice.mistake

    assert first(text="NO WAY", code=535) == "said"
    assert first(marks=frozenset("abc"), code=535) == "marked"
    assert [first(marks=frozenset("a"), code=code) for code in (535, 421, 454, None)] == [
        "coded", "coded", "any", "any",
    ]  # fmt: skip
    assert advise(Seen("rcpt"), table) == ()
