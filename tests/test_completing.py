"""Shell completion, in the shells themselves where they are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from alertlog.cli import main
from alertlog.completing import SHELLS
from alertlog.testing import MailServer
from tests.deployments import CONFIG, deployed, pipeline, served
from tests.deployments import run_command as run
from tests.needs import lacking

Complete = Callable[[str], list[str]]

BASH = """
eval "$(alertlog completion bash)"
complete -p alertlog >/dev/null || exit 3
read -r -a COMP_WORDS <<<"$1"
case "$1" in *' ') COMP_WORDS+=("") ;; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_alertlog_completion alertlog
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'alertlog completion fish | source; complete -C "$argv[1]"'


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with served(monkeypatch) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The outbox of a deployment whose folder is the current one; `alertlog` is on the path, as if installed."""
    place = deployed(tmp_path, monkeypatch)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "alertlog").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m alertlog "$@"\n')
    (tools / "alertlog").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    return place


def shell(name: str) -> str:
    """The path of a shell, which the test can't do without."""
    found = shutil.which(name)
    if found is None:
        lacking(name, "it is not installed")
    return found


def lines(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def bash(line: str) -> list[str]:
    return lines(shell("bash"), "--norc", "-c", BASH, "bash", line)


def fish(line: str) -> list[str]:
    return [found.partition("\t")[0] for found in lines(shell("fish"), "--no-config", "-c", FISH, "--", line)]


@pytest.mark.parametrize("complete", [bash, fish])
def test_a_shell_completes_commands_options_and_letters(complete: Complete, server: MailServer, place: Path) -> None:
    server.stop()
    pipeline(place, "one", "two")
    assert complete("alertlog outbox re") == ["retry"]
    assert complete("alertlog outbox flush --d") == ["--due"]
    assert sorted(complete("alertlog outbox show ")) == ["1", "2"]
    assert complete("alertlog test qu") == ["quota"]


def test_zsh_completes_at_the_prompt(place: Path) -> None:
    zsh = Terminal(shell("zsh"), "-f", "-i")
    zsh.type(
        "PS1='ready> '; autoload -Uz compinit && compinit -u -D && eval \"$(alertlog completion zsh)\"; echo se''t\n"
    )
    zsh.wait_for("set\r\n")
    zsh.type("echo alertlog; alertlog outbox re\t")
    zsh.wait_for("alertlog outbox retry")
    zsh.end()


class Terminal:
    """A program that believes that somebody sits before it."""

    def __init__(self, *command: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self._shown = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + 30
        while text not in self._shown:
            readable, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
            assert readable, f"{text!r} is not in {self._shown!r}"
            self._shown += os.read(self._ours, 4096).decode(errors="replace")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


# What is completed


def completed(*words: str) -> list[tuple[str, str | None]]:
    """The values for the last word, and what is said beside each."""
    asked = ShellComplete(main, {}, "alertlog", "_ALERTLOG_COMPLETE")
    return [(str(item.value), item.help) for item in asked.get_completions(list(words[:-1]), words[-1])]


def test_kinds_are_those_of_the_configuration_and_those_that_can_be_simulated(place: Path) -> None:
    assert completed("test", "") == [("missing_price", None), ("quota", None)]
    Path("logging.yaml").rename("other.yaml")
    Path("other.yaml").write_text((CONFIG % place).replace("quota:", "disk:"))
    assert completed("test", "--config", "other.yaml", "d") == [("disk", None)]


def test_letters_incidents_and_mutes_are_those_of_the_outbox(server: MailServer, place: Path) -> None:
    pipeline(place, "told \x1b[2J\nwhole")
    fingerprint = str(server.mails[0].message["X-Alertlog-Fingerprint"])
    server.stop()
    pipeline(place, "one")
    run("mute", "quota", "--for", "1h", "--reason", "planned work")
    assert completed("outbox", "show", "") == completed("outbox", "purge", "") == [("2", "one")]
    assert completed("outbox", "retry", "") == [("2", "one"), (fingerprint, "told \\x1b[2J")]
    assert completed("mute", fingerprint[:4]) == [(fingerprint, "told \\x1b[2J")]
    assert completed("unmute", "") == [("quota", "planned work")]


@pytest.mark.parametrize("words", [("test", ""), ("outbox", "retry", ""), ("unmute", ""), ("mute", "")])
def test_where_the_configuration_or_the_outbox_is_broken_nothing_is_completed_and_nothing_said(
    place: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    place.parent.mkdir()
    place.write_bytes(b"not a database" * 100)
    kinds = [("missing_price", None), ("quota", None)]
    assert completed(*words) == (kinds if words[0] in ("test", "mute") else [])
    Path("logging.yaml").write_text("handlers: [")
    assert completed(*words) == []
    assert capsys.readouterr() == ("", "")


def test_a_configuration_is_completed_by_the_shell_which_knows_files() -> None:
    asked = ShellComplete(main, {}, "alertlog", "_ALERTLOG_COMPLETE")
    (item,) = asked.get_completions(["outbox", "list", "--config"], "log")
    assert (item.type, item.value) == ("file", "log")


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_of_each_shell_needs_no_shell_to_be_printed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    result = run("completion", name)
    assert result.exit_code == 0
    assert f"_ALERTLOG_COMPLETE={name}_complete" in result.stdout


def test_the_variable_of_click_prints_the_same(place: Path) -> None:
    shell("bash")
    done = subprocess.run(
        ["alertlog"],
        env={**os.environ, "_ALERTLOG_COMPLETE": "bash_source"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == run("completion", "bash").stdout.strip()


def test_of_another_shell_there_is_no_script() -> None:
    assert run("completion", "csh").exit_code == 2
