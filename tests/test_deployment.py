"""A deployment's configuration, as the commands read it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from alertlog import deployment
from alertlog.errors import ConfigError
from alertlog.handler import AlertHandler


class Mine(AlertHandler):
    """A deployment's own handler."""


class Leaving(AlertHandler):
    """One that gives up the whole program."""

    def __init__(self) -> None:
        sys.exit(3)


def only_some(record: logging.LogRecord) -> bool:
    """A filter."""
    return bool(record.args)


def live() -> dict[str, Any]:
    return {
        "version": 1,
        "formatters": {"short": {"()": logging.Formatter, "fmt": "%(message)s"}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "stream": sys.__stdout__},
            "alerts": {"()": AlertHandler, "formatter": "short", "filters": [only_some]},
        },
    }


LIVE = live()
LIVE_AS_IT_WAS = live()

CONFIG: dict[str, Any] = {
    "version": 1,
    "formatters": {"short": {"format": "short %(message)s"}, "unused": {"class": "does.not.Exist"}},
    "filters": {"named": {"name": "etl"}},
    "handlers": {
        "file": {"class": "logging.FileHandler", "filename": "live.log", "mode": "w"},
        "missing": {"class": "somebody.elses.Handler"},
        "alerts": {
            "class": "alertlog.AlertHandler",
            "level": "ERROR",
            "formatter": "short",
            "filters": ["named"],
            "service": "etl",
        },
        "mine": {"()": "tests.test_deployment.Mine", "service": "other"},
    },
    "root": {"handlers": ["file", "alerts"]},
}


def write(folder: Path, name: str, config: object) -> str:
    (folder / name).write_text(json.dumps(config))  # JSON is YAML
    return name


def test_only_the_alert_handlers_are_built_with_what_belongs_to_them(tmp_path: Path) -> None:
    live = tmp_path / "live.log"
    live.write_text("a line of the program that runs\n")
    config = {
        **CONFIG,
        "handlers": {**CONFIG["handlers"], "file": {**CONFIG["handlers"]["file"], "filename": str(live)}},
    }
    alerts, mine = deployment.handlers(write(tmp_path, "logging.yaml", config), tmp_path)
    assert live.read_text() == "a line of the program that runs\n"
    assert (alerts.name, alerts.level, alerts.works.owner.service) == ("alerts", logging.ERROR, "etl")
    assert alerts.formatter is not None
    assert alerts.formatter._fmt == "short %(message)s"
    assert len(alerts.filters) == 1
    assert (type(mine), mine.name) == (Mine, "mine")
    assert not logging.getLogger().handlers or alerts not in logging.getLogger().handlers


@pytest.mark.parametrize("source", ["conf.yml", "conf.json", "tests.test_deployment:CONFIG"])
def test_a_configuration_is_a_yaml_file_a_json_file_or_a_dict_in_a_module(tmp_path: Path, source: str) -> None:
    if ":" not in source:
        write(tmp_path, source, CONFIG)
    assert len(deployment.handlers(source, tmp_path)) == 2


def test_logging_yaml_in_the_folder_is_the_default_and_else_the_environment_alone(tmp_path: Path) -> None:
    (bare,) = deployment.handlers(None, tmp_path)
    assert bare.name is None
    write(tmp_path, "logging.yaml", CONFIG)
    assert len(deployment.handlers(None, tmp_path)) == 2


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"handlers": {}}, "has no handler"),
        ({"handlers": None}, "^logging.yaml: handlers is not a mapping$"),
        ({"handlers": ["a"]}, "^logging.yaml: handlers is not a mapping$"),
        ({"handlers": {"a": None}}, "^logging.yaml, handler a: is not a mapping$"),
        ({"handlers": {"a": {"level": "INFO"}}}, "has no handler .*; the class of handler a is not known: KeyError"),
        ({"handlers": {"a": {"class": "nobodys.Handler"}}}, "has no handler .*; the class of handler a .*nobodys"),
        ({"handlers": {"a": {"class": "tests.test_deployment.Nobodys"}}}, "has no handler .*; the class .*Nobodys"),
        ({}, "has no handler"),
        ([], "not a mapping"),
        ({"handlers": {"a": {"class": "alertlog.AlertHandler", "language": "de"}}}, "handler a: language"),
        ({"handlers": {"a": {"class": "alertlog.AlertHandler", "colour": "red"}}}, "handler a: .*colour"),
        (
            {"handlers": {"a": {"class": "alertlog.AlertHandler", "formatter": "short"}}},
            "^logging.yaml, handler a: its formatter short is not among the formatters of logging.yaml$",
        ),
        (
            {
                "formatters": {"short": None},
                "handlers": {"a": {"class": "alertlog.AlertHandler", "formatter": "short"}},
            },
            "^logging.yaml, handler a: its formatter short is not a mapping$",
        ),
        (
            {"formatters": [], "handlers": {"a": {"class": "alertlog.AlertHandler", "formatter": "short"}}},
            "^logging.yaml, handler a: logging.yaml: formatters is not a mapping$",
        ),
        (
            {
                "formatters": {"short": {"style": "x"}},
                "handlers": {"a": {"class": "alertlog.AlertHandler", "formatter": "short"}},
            },
            "^logging.yaml, handler a: its formatter short can't be made: ValueError: ",
        ),
        (
            {"handlers": {"a": {"class": "alertlog.AlertHandler", "filters": ["named"]}}},
            "^logging.yaml, handler a: its filter named is not among the filters of logging.yaml$",
        ),
        (
            {"handlers": {"a": {"class": "alertlog.AlertHandler", "filters": "named"}}},
            "^logging.yaml, handler a: filters is not a list$",
        ),
        ({"handlers": {"a": {"class": "alertlog.AlertHandler", "level": "LOUD"}}}, "handler a: .*LOUD"),
        ({"handlers": {"a": {"class": "tests.test_deployment.Leaving"}}}, "handler a: SystemExit: 3"),
        ({"handlers": {"a": {"class": "alertlog.AlertHandler", "credentials": ["u", "hunter2"]}}}, "SMTP_PASSWORD"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said(tmp_path: Path, config: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        deployment.handlers(write(tmp_path, "logging.yaml", config), tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("source", ["nowhere.yaml", "no_such_module:CONFIG", "tests.test_deployment:NOTHING"])
def test_a_configuration_that_is_not_there_is_named(tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        deployment.handlers(source, tmp_path)


def test_what_a_parser_says_in_several_lines_is_said_in_one(tmp_path: Path) -> None:
    (tmp_path / "logging.yaml").write_text("handlers: {a: [}\n")
    with pytest.raises(ConfigError) as caught:
        deployment.handlers(None, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_dict_in_a_module_may_hold_open_streams_and_filters_and_stays_as_it_is(tmp_path: Path) -> None:
    (alerts,) = deployment.handlers("tests.test_deployment:LIVE", tmp_path)
    assert alerts.filters == [only_some]
    assert alerts.formatter is not None
    assert LIVE == LIVE_AS_IT_WAS


def test_two_handlers_may_share_a_formatter(tmp_path: Path) -> None:
    handler = {"class": "alertlog.AlertHandler", "formatter": "short"}
    config = {**CONFIG, "handlers": {"one": handler, "two": handler}}
    one, two = deployment.handlers(write(tmp_path, "logging.yaml", config), tmp_path)
    assert one.formatter is two.formatter


def test_what_a_module_prints_when_it_is_imported_is_no_data_of_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chatty_settings.py").write_text(
        "import logging\nprint('loading')\nlogging.warning('loaded')\n"
        "LOGGING = {'handlers': {'a': {'class': 'alertlog.AlertHandler'}}}\n"
    )
    monkeypatch.setattr(logging.root, "handlers", [])
    before = list(sys.path)
    assert len(deployment.handlers("chatty_settings:LOGGING", tmp_path)) == 1
    del sys.modules["chatty_settings"]
    assert sys.path == before
    out, err = capsys.readouterr()
    assert out == ""
    assert "loading" in err


def test_a_handler_of_somebody_elses_whose_module_exits_is_none_of_the_commands_business(tmp_path: Path) -> None:
    (tmp_path / "leaving_module.py").write_text("raise SystemExit(3)")
    config = {"handlers": {"a": {"class": "alertlog.AlertHandler"}, "b": {"class": "leaving_module.Handler"}}}
    assert len(deployment.handlers(write(tmp_path, "logging.yaml", config), tmp_path)) == 1


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import sys; sys.exit('no settings')", "1 / 0"])
def test_a_module_that_exits_or_fails_when_it_is_imported_is_an_error_of_the_configuration(
    tmp_path: Path, code: str
) -> None:
    (tmp_path / "broken_settings.py").write_text(code)
    with pytest.raises(ConfigError, match=r"broken_settings:LOGGING: can't be read: \w+: "):
        deployment.handlers("broken_settings:LOGGING", tmp_path)


def test_yaml_without_pyyaml_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"alertlog\[yaml\]"):
        deployment.handlers(write(tmp_path, "logging.yaml", CONFIG), tmp_path)
