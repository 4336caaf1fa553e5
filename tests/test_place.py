"""A variable or its file, where the outbox is, and whose alerts they are."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType

import pytest

from alertlog.errors import ConfigError
from alertlog.place import FILE_LIMIT, environment_name, handler_name, outbox_path, service_name, variable

SECRET = "correct horse battery staple"


@pytest.mark.parametrize("environ", [{}, {"X": ""}, {"X_FILE": ""}, {"X": "", "X_FILE": " "}])
def test_a_variable_that_is_empty_is_not_set(environ: dict[str, str]) -> None:
    assert variable("X", environ) == ""


def test_a_value_is_taken_as_it_stands() -> None:
    assert variable("X", {"X": " ${HOME} $$ \n"}) == " ${HOME} $$ \n"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"value", "value"),
        (b"value\n", "value"),
        (b"value\r\n", "value"),
        (b"value\n\n", "value\n"),
        (b"value\r", "value\r"),
        (b"value\r\r\n", "value\r"),
        (b" value \t\n", " value \t"),
        (b"\n", ""),
        (b"", ""),
        ("élève\n".encode(), "élève"),
        (b"x" * FILE_LIMIT, "x" * FILE_LIMIT),
    ],
)
def test_of_a_file_exactly_one_newline_is_stripped(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert variable("X", {"X": "", "X_FILE": f" {tmp_path / 'secret'} "}) == value


def _problem(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        variable("X", environ)
    error = caught.value
    assert list(error.problems) == ["X"]
    assert error.__cause__ is None
    assert error.__context__ is None
    assert SECRET not in "".join(traceback.format_exception(error))
    return error.problems["X"]


def test_a_variable_and_its_file_can_not_both_be_set(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    assert "one of them" in _problem({"X": SECRET, "X_FILE": str(tmp_path / "secret")})


def test_a_file_that_is_not_there_is_a_problem_that_does_not_repeat_the_path() -> None:
    assert "No such file" in _problem({"X_FILE": SECRET})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "Is a directory" in _problem({"X_FILE": str(tmp_path)})


def test_a_path_with_a_nul_is_none() -> None:
    assert "not a path" in _problem({"X_FILE": "a\0b"})


def test_a_file_that_is_not_utf8_is_a_problem_that_does_not_carry_its_content(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET.encode() + b"\xff")
    assert "UTF-8" in _problem({"X_FILE": str(tmp_path / "secret")})


def test_a_file_too_long_to_be_a_setting_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET * FILE_LIMIT)
    assert "more than 65,536 bytes" in _problem({"X_FILE": str(tmp_path / "secret")})


def test_a_fifo_does_not_hold_the_caller(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "no regular file" in _problem({"X_FILE": str(tmp_path / "fifo")})


def test_an_endless_device_is_not_read() -> None:
    assert "no regular file" in _problem({"X_FILE": "/dev/zero"})


# The outbox


@pytest.mark.parametrize("argument", ["/var/lib/etl/alerts.sqlite3", Path("/var/lib/etl/alerts.sqlite3")])
def test_the_argument_says_where_the_outbox_is_before_the_variable(argument: str | Path) -> None:
    assert outbox_path(argument, {"ALERTLOG_OUTBOX": "/other"}) == Path("/var/lib/etl/alerts.sqlite3")


def test_the_variable_says_where_the_outbox_is() -> None:
    assert outbox_path(None, {"ALERTLOG_OUTBOX": " /data/alerts.sqlite3 "}) == Path("/data/alerts.sqlite3")


def test_by_default_the_outbox_is_in_the_users_state_folder(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert outbox_path("", {}) == tmp_path / "alertlog" / "alerts.sqlite3"
    assert not (tmp_path / "alertlog").exists()


def test_one_outbox_has_one_path_however_it_is_spelt(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to("state")
    (tmp_path / "state" / "alias.sqlite3").symlink_to("alerts.sqlite3")
    (tmp_path / "loop").symlink_to("loop")
    for spelling in ("state/alerts.sqlite3", "link/alerts.sqlite3", "state/../link/./alias.sqlite3"):
        assert outbox_path(f"{tmp_path}/{spelling}", {}) == tmp_path / "state" / "alerts.sqlite3"
    assert outbox_path(None, {"ALERTLOG_OUTBOX": f"{tmp_path}/link/new"}) == tmp_path / "state" / "new"
    assert outbox_path(f"{tmp_path}/loop/alerts.sqlite3", {}) == tmp_path / "loop" / "alerts.sqlite3"


@pytest.mark.parametrize("text", ["alerts.sqlite3", "~/alerts.sqlite3", "./x", "/a\0b"])
def test_an_outbox_that_is_not_absolute_is_a_problem_of_whoever_said_so(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        outbox_path(text, {})
    assert caught.value.problems == {"outbox": "is not an absolute path"}
    with pytest.raises(ConfigError) as caught:
        outbox_path(None, {"ALERTLOG_OUTBOX": text})
    assert caught.value.problems == {"ALERTLOG_OUTBOX": "is not an absolute path"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user whom nobody knows")
def test_a_user_without_a_home_has_no_default_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    os.setresuid(54_321, 0, 0)
    try:
        with pytest.raises(ConfigError) as caught:
            outbox_path(None, {})
    finally:
        os.setresuid(0, 0, 0)
    assert list(caught.value.problems) == ["ALERTLOG_OUTBOX"]
    assert "home folder" in str(caught.value)


# The service


def test_the_argument_names_the_service_before_the_variable() -> None:
    assert service_name(" etl ", {"ALERTLOG_SERVICE": "other"}) == "etl"


@pytest.mark.parametrize("argument", [None, "", "  "])
def test_the_variable_names_the_service(argument: str | None) -> None:
    assert service_name(argument, {"ALERTLOG_SERVICE": " etl\n"}) == "etl"


def test_the_argument_names_the_environment_before_the_variable_and_neither_need_be_there() -> None:
    assert environment_name(" production ", {"ALERTLOG_ENVIRONMENT": "staging"}) == "production"
    assert environment_name("", {"ALERTLOG_ENVIRONMENT": " staging\n"}) == "staging"
    assert environment_name(None, {}) == ""
    with pytest.raises(ConfigError, match="ALERTLOG_ENVIRONMENT_FILE"):
        environment_name(None, {"ALERTLOG_ENVIRONMENT_FILE": "/nowhere"})


def test_a_file_can_name_the_service_and_has_to_be_there() -> None:
    with pytest.raises(ConfigError, match="ALERTLOG_SERVICE_FILE"):
        service_name(None, {"ALERTLOG_SERVICE_FILE": "/nowhere"})


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["/srv/etl/nightly.py"], "nightly"),
        (["/usr/bin/gunicorn"], "gunicorn"),
        (["/srv/etl/__main__.py"], "etl"),
        (["-c"], "python"),
        (["-"], "python"),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_by_default_the_service_is_the_program_that_runs(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], name: str
) -> None:
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    monkeypatch.setattr(sys, "argv", arguments)
    assert service_name(None, {}) == name


def test_a_program_without_a_main_module_has_a_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "__main__")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/worker"])
    assert service_name(None, {}) == "worker"


TELL = "import os; from alertlog.place import service_name; print(service_name(None, os.environ))"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["-m", "etl"], "etl"),
        (["-m", "etl.nightly"], "etl.nightly"),
        (["etl/nightly.py"], "nightly"),
        (["etl"], "etl"),
        (["-c", TELL], "python"),
    ],
)
def test_the_service_is_called_as_the_program_was_started(
    tmp_path: Path,
    command: list[str],
    name: str,
) -> None:
    (tmp_path / "etl").mkdir()
    for file in ("__init__.py", "__main__.py", "nightly.py"):
        (tmp_path / "etl" / file).write_text("" if file == "__init__.py" else TELL)
    root = str(Path(__file__).parent.parent)
    run = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout == f"{name}\n"


def test_it_is_light_enough_for_the_thread_that_logs() -> None:
    heavy = "{'environs', 'marshmallow', 'platformdirs', 'email'}"
    script = f"import sys, alertlog.place; print({heavy} & set(sys.modules))"
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "set()\n"


def test_a_handler_without_a_name_is_called_as_in_the_shipped_configuration_or_after_its_variables() -> None:
    assert handler_name("pager", "SMTP_") == "pager"
    assert handler_name(None, "SMTP_") == "alerts"
    assert handler_name(None, "BACKUP_") == "alerts BACKUP_"
