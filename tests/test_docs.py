"""The pages say the same in both languages, and what the tables say is what the code does."""

from __future__ import annotations

import ast
import inspect
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest
import yaml
from click import Group, UsageError

from alertlog import AlertHandler
from alertlog.cli import main
from alertlog.console import EXIT_CODES
from alertlog.events import EVENTS, FIELDS
from alertlog.reasons import Why
from alertlog.settings import read_smtp
from alertlog.specimens import OCCASIONS
from alertlog.testing import MailServer
from alertlog.variables import PORTS, SETTINGS
from alertlog.view import Entry, Section, View
from alertlog.ways import read_ways
from tests import letters
from tests.pages import ROOT, Page, code, pages
from tests.programs import Site

ENGLISH, FRENCH = pages("en"), pages("fr")
ALL = [*ENGLISH.values(), *FRENCH.values()]
LANGUAGES = pytest.mark.parametrize("language", [ENGLISH, FRENCH], ids=["en", "fr"])
EVERY_PAGE = pytest.mark.parametrize("page", ALL, ids=[str(page.path.relative_to(ROOT)) for page in ALL])
BOTH = pytest.mark.parametrize("name", sorted(ENGLISH))

README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
DEMO = "python3 -m venv .venv && .venv/bin/pip install --quiet '.[demo]' && .venv/bin/alertlog demo"
TEST = "python3 -m venv .venv && .venv/bin/pip install --quiet -e '.[test]' && .venv/bin/python -m pytest"

WELL_FORMED: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "python": ast.parse,
    "yaml": yaml.safe_load,
}


def test_each_page_is_there_in_both_languages() -> None:
    assert list(ENGLISH) == list(FRENCH)


@BOTH
def test_the_code_blocks_are_the_same_in_both_languages(name: str) -> None:
    assert ENGLISH[name].blocks == FRENCH[name].blocks


@BOTH
def test_the_headings_have_the_same_anchors_in_both_languages(name: str) -> None:
    assert ENGLISH[name].headings == FRENCH[name].headings


@BOTH
def test_the_tables_have_the_same_rows_in_both_languages(name: str) -> None:
    def shape(page: Page) -> list[list[tuple[int, list[str]]]]:
        return [[(len(row), code(row[0])) for row in table] for table in page.tables()]

    assert shape(ENGLISH[name]) == shape(FRENCH[name])


@BOTH
def test_the_links_lead_to_the_same_places_in_both_languages(name: str) -> None:
    assert ENGLISH[name].links == FRENCH[name].links


@EVERY_PAGE
def test_each_heading_has_an_anchor(page: Page) -> None:
    assert "" not in page.anchors


@LANGUAGES
def test_no_anchor_is_there_twice(language: dict[str, Page]) -> None:
    anchors = Counter(anchor for page in language.values() for anchor, _ in page.headings)
    assert [anchor for anchor, count in anchors.items() if count > 1] == []


@EVERY_PAGE
def test_each_link_leads_to_a_page_and_an_anchor_that_are_there(page: Page) -> None:
    language = FRENCH if page in FRENCH.values() else ENGLISH
    targets = {other.path: other for other in language.values()}
    for link in page.links:
        file, _, anchor = link.partition("#")
        target = targets[(page.path.parent / file).resolve() if file else page.path]
        assert not anchor or anchor in target.anchors, link


@EVERY_PAGE
def test_each_picture_is_there(page: Page) -> None:
    assert [picture for picture in page.pictures if not picture.is_file()] == []


@BOTH
def test_the_pictures_are_as_many_in_both_languages(name: str) -> None:
    assert len(ENGLISH[name].pictures) == len(FRENCH[name].pictures)


@EVERY_PAGE
def test_each_code_block_is_well_formed(page: Page) -> None:
    for language, text in page.blocks:
        WELL_FORMED.get(language, str)(text)


@LANGUAGES
def test_the_variables_and_their_defaults_are_those_that_are_read(language: dict[str, Page]) -> None:
    rows = {code(row[0])[0]: row for row in language["configuration.md"].table("variables")}
    names = [f"SMTP_{setting.suffix}" for setting in SETTINGS]
    assert list(rows) == [
        *names,
        "ALERTLOG_OUTBOX",
        "ALERTLOG_SERVICE",
        "ALERTLOG_ENVIRONMENT",
        "ALERTLOG_REDIS_URL",
    ]
    for setting, name in zip(SETTINGS, names, strict=True):
        default = rows[name][2]
        assert (default in ("required", "obligatoire")) == setting.required
        assert set(re.findall(r"\d+", setting.default)) == set(re.findall(r"\d+", default))
    assert rows["SMTP_TRANSPORT"][2] == "`starttls`"


@LANGUAGES
def test_the_transports_and_their_ports_are_those_that_are_spoken(language: dict[str, Page]) -> None:
    table = language["configuration.md"].table("transports")
    assert {code(row[0])[0]: int(row[2]) for row in table} == PORTS


@LANGUAGES
def test_the_events_and_their_levels_are_those_that_are_reported(language: dict[str, Page]) -> None:
    table = language["events.md"].table("event-names")
    documented = {code(row[0])[0]: row[1] for row in table}
    reported = {name: logging.getLevelName(event.level) for name, event in EVENTS.items()}
    assert documented == reported


@LANGUAGES
def test_the_fields_of_events_are_those_that_are_reported(language: dict[str, Page]) -> None:
    documented = [name for row in language["events.md"].table("event-fields") for name in code(row[0])]
    assert sorted(documented) == sorted(FIELDS)


def test_the_event_that_is_shown_has_no_other_fields() -> None:
    always = {"event", "timestamp", "level", "logger", "message"}
    (example,) = (json.loads(text) for language, text in ENGLISH["events.md"].blocks if language == "json")
    assert always <= set(example) <= {*always, *FIELDS}
    assert example["event"] in EVENTS


def test_the_event_that_is_shown_is_what_is_printed(tmp_path: Path) -> None:
    (text,) = (text for language, text in ENGLISH["events.md"].blocks if language == "json")
    with MailServer("none") as server:
        site = Site(tmp_path, server)
    program = """
        def load_prices():
            logging.getLogger("portfolio_etl").critical("Quota used: %d of %d", 100, 100, extra={"alert": "quota"})

        logging.getLogger().addHandler(AlertHandler())
        load_prices()
    """
    line = next(line for line in site.run(program).stderr.splitlines() if "smtp_send_failed" in line)
    printed, example = json.loads(line), json.loads(text)
    message = printed["message"].replace(f"{server.host}:{server.port}", f"{example['host']}:{example['port']}")
    assert message == example["message"]
    assert list(printed) == list(example)
    assert list(printed["alert"]) == list(example["alert"])
    varies = {"timestamp", "message", "fingerprint", "message_id", "retry_in_s", "host", "port", "transport", "alert"}
    assert {name: printed[name] for name in printed if name not in varies} == {
        name: example[name] for name in example if name not in varies
    }


@LANGUAGES
def test_the_exit_codes_are_those_that_the_commands_give(language: dict[str, Page]) -> None:
    documented = {int(row[0]) for row in language["operations.md"].table("exit-codes")}
    assert documented == {*EXIT_CODES.values(), UsageError.exit_code}


@LANGUAGES
def test_the_commands_are_those_that_there_are(language: dict[str, Page]) -> None:
    documented = {re.sub(" [A-Z]+$", "", code(row[0])[0]) for row in language["operations.md"].table("commands")}
    assert documented == set(_paths(main, "alertlog"))


@LANGUAGES
def test_the_words_for_what_waits_are_those_that_are_listed(language: dict[str, Page]) -> None:
    documented = [code(row[0])[0] for row in language["operations.md"].table("outbox-waits")]
    assert sorted(documented) == sorted(get_args(Why))


@LANGUAGES
def test_the_options_of_a_test_are_those_that_there_are(language: dict[str, Page]) -> None:
    _none, *documented = (code(row[0]) for row in language["operations.md"].table("command-test"))
    names = [option.split()[0] for (option,) in documented]
    there = [name for option in main.commands["test"].params for name in option.opts if name.startswith("--")]
    assert sorted([*names, "--config", "--json"]) == sorted(there)


def _paths(group: Group, prefix: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield from _paths(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}"


@LANGUAGES
def test_the_arguments_of_the_handler_and_their_defaults_are_those_that_it_takes(
    language: dict[str, Page],
) -> None:
    documented = {code(row[0])[0]: row[2] for row in language["configuration.md"].table("handler-arguments")}
    parameters = inspect.signature(AlertHandler.__init__).parameters
    own = {name: parameter for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}
    assert sorted(documented) == sorted([*own, "subject"])
    for name, parameter in own.items():
        if isinstance(parameter.default, bool):
            assert documented[name] == f"`{str(parameter.default).lower()}`"
        elif isinstance(parameter.default, str):
            assert documented[name] == f"`{parameter.default}`"
        elif parameter.default is not None:
            assert documented[name] == f"{parameter.default:.12g}"


@LANGUAGES
def test_the_arguments_that_smtphandler_had_are_those_that_are_taken_over(language: dict[str, Page]) -> None:
    documented = [code(row[0])[0] for row in language["migrating.md"].table("migrating-arguments")]
    expected = list(inspect.signature(logging.handlers.SMTPHandler.__init__).parameters)[1:]
    assert documented == expected == list(inspect.signature(AlertHandler.__init__).parameters)[1 : 1 + len(expected)]


@LANGUAGES
def test_the_headers_are_those_that_a_mail_has(language: dict[str, Page]) -> None:
    documented = [name for row in language["mails.md"].table("mail-headers") for name in code(row[0])]
    wording = replace(letters.ENGLISH, reply_to=(letters.SENDER,))
    mail = letters.read(letters.letter(letters.draft("follow-up", letters.repeated()), wording))
    assert sorted(documented) == sorted(mail.keys())


@LANGUAGES
def test_what_a_template_can_use_is_what_a_view_holds(language: dict[str, Page]) -> None:
    documented = [name for row in language["mails.md"].table("mail-templates") for name in code(row[0])]
    held = {"view": View, "section": Section, "entry": Entry}
    assert sorted(documented) == sorted(f"{name}.{field.name}" for name, kind in held.items() for field in fields(kind))


@LANGUAGES
def test_the_templates_that_are_shown_work(language: dict[str, Page], tmp_path: Path) -> None:
    texts = [text for kind, text in language["mails.md"].blocks if kind == "text"]
    for text in texts:
        (tmp_path / "letter.txt").write_text(text, encoding="utf-8")
        made = letters.letter(letters.samples()["opening"], replace(letters.ENGLISH, templates=str(tmp_path)))
        assert made.problems == {}
        assert "no price for SHOP.TO" in letters.text_of(letters.read(made))
    assert len(texts) == 2


@LANGUAGES
def test_the_reasons_of_a_preview_are_those_that_it_takes(language: dict[str, Page]) -> None:
    assert tuple(code(row[0])[0] for row in language["mails.md"].table("mail-preview")) == OCCASIONS


@EVERY_PAGE
def test_each_command_that_is_shown_is_one_that_there_is(page: Page) -> None:
    for name, following in re.findall(r"\balertlog ([a-z]+)(?: ([a-z]+))?", _commands(page)):
        assert name in main.commands
        group = getattr(main.commands[name], "commands", {following})
        assert following in group, name


def _commands(page: Page) -> str:
    """The lines of shell code, and the code within the prose."""
    shell = [text for language, text in page.blocks if language == "sh"]
    return "\n".join([*shell, *(text for text in code(page.prose) if text.startswith("alertlog "))])


def test_readme_and_quickstart_and_ci_run_the_same_commands() -> None:
    patterns = re.findall(r"readme_command '(.*)'", CI)
    assert len(patterns) == 2
    for pattern, command in zip(patterns, (DEMO, TEST), strict=True):
        found = re.findall(rf"^python3 -m venv .*{pattern}$", README, re.MULTILINE)
        assert found == [command]
    assert ("sh", f"{DEMO}\n") in ENGLISH["quickstart.md"].blocks


def test_each_environment_that_is_shown_for_a_provider_is_complete(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a-secret\n")
    shown = [text for language, text in ENGLISH["providers.md"].blocks if language == "sh"]
    assert len(shown) == 6
    for text in shown:
        environ = dict(line.split("=", 1) for line in text.splitlines())
        files = {name: str(secret) for name in environ if name.endswith("_FILE")}
        settings = read_smtp(environ | files)
        assert settings.auth == environ.get("SMTP_AUTH", "auto")


def test_the_environment_that_is_shown_for_a_second_way_out_is_complete(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a-secret\n")
    (shown,) = [text for language, text in ENGLISH["configuration.md"].blocks if "SMTP_BACKUP_HOST" in text]
    environ = dict(line.split("=", 1) for line in shown.splitlines())
    files = {name: str(tmp_path / "secret") for name in environ if name.endswith("_FILE")}
    settings = read_ways(environ | files, ("SMTP_", "SMTP_BACKUP_"))
    assert (len(settings.ways), settings.problems) == (2, {})


def test_readme_lists_the_variables_that_are_read() -> None:
    for setting in SETTINGS:
        assert f"`SMTP_{setting.suffix}`" in README


def test_the_links_of_readme_lead_to_files_that_are_there() -> None:
    links = [link.partition("#")[0] for link in Page("README.md", ROOT / "README.md", README).links]
    assert [link for link in links if not (ROOT / link).exists()] == []


@LANGUAGES
def test_the_table_of_modules_names_each_of_them_once(language: dict[str, Page]) -> None:
    rows = language["reference/architecture.md"].table("architecture-modules")
    named = [name for row in rows for name in code(row[1])]
    modules = {path.stem for path in (ROOT / "alertlog").glob("*.py")} - {"__init__"}
    assert Counter(named) == Counter(modules)
