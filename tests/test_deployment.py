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
        ({}, "has no handler"),
        ([], "not a mapping"),
        ({"handlers": {"a": {"class": "alertlog.AlertHandler", "language": "de"}}}, "handler a: language"),
        ({"handlers": {"a": {"class": "alertlog.AlertHandler", "colour": "red"}}}, "handler a: .*colour"),
        ({"handlers": {"a": {"class": "alertlog.AlertHandler", "formatter": "none"}}}, "handler a"),
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


def test_yaml_without_pyyaml_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"alertlog\[yaml\]"):
        deployment.handlers(write(tmp_path, "logging.yaml", CONFIG), tmp_path)
