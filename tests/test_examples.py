"""The examples in docs/examples: shown by the pages as they are, in agreement with each other, and working."""

from __future__ import annotations

import logging.config
import logging.handlers
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from alertlog import AlertHandler
from alertlog.settings import read_smtp
from alertlog.testing import MailServer
from tests.pages import DOCS, ROOT, pages

EXAMPLES = DOCS / "examples"
PAGES = pages("en")
CHAPTER = PAGES["features/chapter3.md"]
COMPOSE = yaml.safe_load((EXAMPLES / "compose.yaml").read_text(encoding="utf-8"))
APP = COMPOSE["services"]["app"]
DOCKERFILE = (EXAMPLES / "Dockerfile").read_text(encoding="utf-8")
OUTBOX = Path(APP["environment"]["ALERTLOG_OUTBOX"])


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir() if path.is_file()))
def test_each_example_is_shown_whole_by_a_page(name: str) -> None:
    shown = {text for page in PAGES.values() for _, text in page.blocks}
    assert (EXAMPLES / name).read_text(encoding="utf-8") in shown


def test_the_dict_and_the_yaml_files_are_the_same_configuration() -> None:
    shipped = yaml.safe_load((ROOT / "logging.yaml").read_text(encoding="utf-8"))
    of_the_demo = yaml.safe_load((ROOT / "alertlog" / "demo" / "logging.yaml").read_text(encoding="utf-8"))
    assert runpy.run_path(str(EXAMPLES / "logging_config.py"))["LOGGING"] == shipped == of_the_demo


def test_the_env_file_with_the_password_of_compose_is_a_whole_configuration(tmp_path: Path) -> None:
    lines = (EXAMPLES / "alerts.env.example").read_text(encoding="utf-8").splitlines()
    environ = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    password = tmp_path / "smtp_password"
    password.write_text("a secret\n")
    (name,) = (name for name, value in APP["environment"].items() if value.startswith("/run/secrets/"))
    settings = read_smtp(environ | {name: str(password)})
    assert settings.password == "a secret"
    assert [recipient.address for recipient in settings.recipients] == ["operator@example.org", "second@example.org"]


def test_the_env_file_that_compose_reads_is_the_one_of_the_example() -> None:
    assert (EXAMPLES / f"{APP['env_file']}.example").is_file()


def test_the_secret_that_compose_mounts_is_the_one_that_is_read_and_written() -> None:
    (secret,) = APP["secrets"]
    assert APP["environment"]["SMTP_PASSWORD_FILE"] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"][secret]["file"] == f"./secrets/{secret}"
    assert f"/dev/stdin secrets/{secret}\n" in CHAPTER.text


def test_the_outbox_is_in_the_volume_and_its_folder_belongs_to_the_user() -> None:
    (mount,) = APP["volumes"]
    volume, _, folder = mount.partition(":")
    assert volume in COMPOSE["volumes"]
    assert OUTBOX.parent == Path(folder)
    assert f"-m 0700 {folder}\n" in DOCKERFILE
    (uid,) = re.findall(r"--uid (\d+)", DOCKERFILE)
    assert f"-o {uid} /dev/stdin" in CHAPTER.text


def test_compose_waits_longer_than_a_handler_may() -> None:
    settings = read_smtp({"SMTP_HOST": "h.example", "SMTP_FROM": "a@b.example", "SMTP_TO": "c@d.example"})
    assert int(APP["stop_grace_period"].removesuffix("s")) > settings.timeout


def test_each_line_of_the_crontab_has_five_fields_a_user_and_a_command() -> None:
    lines = (EXAMPLES / "crontab").read_text(encoding="utf-8").splitlines()
    jobs = [line for line in lines if not re.match(r"#|[A-Z]+=", line)]
    assert len(jobs) == 2
    for job in jobs:
        assert re.fullmatch(r"([-*/0-9]+ +){5}[a-z]+ +cd /srv/\S+ && docker compose exec -T app .+", job)
        assert "%" not in job, "cron makes a newline of it"


def test_the_pipeline_of_the_quickstart_mails_with_the_configuration_beside_it(tmp_path: Path) -> None:
    (config,) = (text for language, text in PAGES["quickstart.md"].blocks if language == "yaml")
    (tmp_path / "logging.yaml").write_text(config)
    with MailServer(login=("etl", "a secret")) as server:
        environ = os.environ | server.environ() | {"ALERTLOG_OUTBOX": str(tmp_path / "alerts.sqlite3")}
        command = [sys.executable, str(EXAMPLES / "portfolio_etl.py")]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
        (mail,) = server.wait_for(1)
    assert mail.subject == "[ETL] API quota alert"
    assert "marketstack" in mail.text
    assert "smtp_send_succeeded" in done.stderr


def test_the_example_of_a_test_passes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command += [str(EXAMPLES / "test_alerts.py")]
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("anchor", ["testing-faults", "testing-clock"])
def test_the_snippets_about_the_test_kit_run(anchor: str) -> None:
    _, _, below = PAGES["testing.md"].text.partition(f"({anchor})=\n")
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", below, re.MULTILINE | re.DOTALL)[:1]
    exec(compile(snippet, anchor, "exec"), {})


@pytest.mark.parametrize("page", ["configuration.md", "migrating.md"])
def test_the_handlers_that_are_shown_can_be_made(page: str) -> None:
    block = next(text for language, text in PAGES[page].blocks if language == "yaml")
    for handler in yaml.safe_load(block)["handlers"].values():
        made = logging.config.DictConfigurator({"version": 1}).configure_handler(handler)
        assert isinstance(made, AlertHandler)
        made.close()


def test_the_records_that_are_shown_can_be_logged() -> None:
    block = next(text for _, text in PAGES["configuration.md"].blocks if text.startswith("logger."))
    logger = logging.Logger("shown")
    handler = logging.handlers.BufferingHandler(capacity=100)
    logger.addHandler(handler)
    exec(block, {"logger": logger})
    assert [record.getMessage() for record in handler.buffer] == ["Disk full", "Quota used: 100 of 100"]
