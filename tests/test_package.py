"""What is shipped: light to import, typed, and with its parts declared."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path

import pytest

import alertlog

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# What the courier imports when there is something to send, and a program that logs nothing never needs.
HEAVY = (
    "aiosmtpd",
    "click",
    "environs",
    "jinja2",
    "marshmallow",
    "oauthlib",
    "platformdirs",
    "pythonjsonlogger",
    "sqlite3",
    "trustme",
    "yaml",
)


def test_the_version_is_the_one_that_is_installed() -> None:
    assert alertlog.__version__ == version("alertlog") == PROJECT["version"]


def test_importing_the_package_imports_nothing_heavy() -> None:
    # What was there before, such as a coverage tool's, is not the package's doing.
    code = "import sys; before = {*sys.modules}; import alertlog; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(HEAVY).isdisjoint(done.stdout.split())


def test_the_public_names_are_these_and_each_of_them_is_there() -> None:
    assert "AlertHandler" in alertlog.__all__
    for name in alertlog.__all__:
        assert getattr(alertlog, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        alertlog.no_such_name  # noqa: B018 - the access is the test


def test_the_package_says_that_it_is_typed() -> None:
    assert files("alertlog").joinpath("py.typed").is_file()


def test_the_command_is_the_group_that_cli_defines() -> None:
    (script,) = entry_points(group="console_scripts", name="alertlog")
    assert script.value == "alertlog.cli:main"
    assert callable(script.load())


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "alertlog", "--help"], capture_output=True, text=True, check=True)
    for command in ("demo", "test", "outbox"):
        assert command in done.stdout


def test_each_python_that_is_supported_is_a_classifier() -> None:
    assert PROJECT["requires-python"] == ">=3.11"
    listed = {text.rsplit(" ", 1)[1] for text in PROJECT["classifiers"] if "Python :: 3." in text}
    assert {"3.11", "3.12", "3.13"} <= listed


def test_the_extra_for_the_tests_brings_what_the_demo_and_the_test_kit_need() -> None:
    extras = PROJECT["optional-dependencies"]
    assert set(extras["demo"]) <= set(extras["test"])
    assert set(extras["testing"]) <= set(extras["test"])
    assert set(extras["yaml"]) <= set(extras["demo"])
