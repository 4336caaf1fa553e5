"""The examples for frameworks and platforms, run for real: killed, reloaded and stopped, with the mail counted."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

import pytest
import yaml

from alertlog.settings import read_smtp
from alertlog.stats import Stats
from alertlog.testing import MailServer
from tests.needs import lacking
from tests.pages import DOCS, ROOT, code, pages
from tests.programs import PATIENCE, Site, told, wait_until_told
from tests.redis_server import RedisServer

EXAMPLES = DOCS / "examples"


def needs(*modules: str) -> None:
    """Skip, and say so, where one of these is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            lacking("integrations", f"{module} is not installed")


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: MailServer) -> Site:
    site = Site(tmp_path, server, PYTHONPATH=f"{ROOT}{os.pathsep}{EXAMPLES}").unmeasured()
    del site.environ["ALERTLOG_SERVICE"]
    return site


def example(site: Site, name: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=site.folder,
        env=site.environ | environ,
        timeout=PATIENCE,
    )


@dataclass(frozen=True, slots=True)
class Service:
    """A server that runs until it is stopped, and what it says meanwhile."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str) -> str:
        """Ask until a worker answers: one may just have been killed."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}{path}", timeout=PATIENCE) as reply:
                    return str(reply.read().decode())
            except urllib.error.HTTPError as error:
                with error:
                    return str(error.code)
            except OSError:
                if time.monotonic() > end:
                    raise
                threading.Event().wait(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def service(site: Site, *command: str, says: str, **environ: str) -> Iterator[Service]:
    """Start a server; `says` is a pattern of what it says once it runs, with its address as a group if it has one."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=site.folder,
        env=site.environ | environ,
    )
    with process:
        try:
            assert process.stdout is not None
            yield Service(process, said(process.stdout, says))
        finally:
            process.kill()


def said(stream: IO[str], pattern: str) -> str:
    """Read until something is said, and let the rest be read by nobody's leave."""
    lines = []
    for line in stream:
        lines.append(line)
        if found := re.search(pattern, line):
            threading.Thread(target=stream.read, daemon=True).start()
            return found[1] if found.groups() else ""
    raise AssertionError("".join(lines))


# Web

GUNICORN = ("gunicorn", "--bind", "127.0.0.1:0", "--workers", "1")


@pytest.mark.parametrize(
    ("module", "application", "options"),
    [("django", "django_project:application", ()), ("flask", "flask_app:app", ("--preload",))],
)
def test_workers_of_gunicorn_lose_nothing_when_killed_reloaded_and_stopped(
    site: Site, server: MailServer, module: str, application: str, options: tuple[str, ...]
) -> None:
    needs("gunicorn", module)
    command = (*GUNICORN, *options, application)
    with service(site, *command, says="Listening at: (http://[0-9.:]+)", DJANGO_SECRET_KEY="for this test") as web:
        worker = int(web.get("/alert?key=a"))
        wait_until_told(server, 1)
        web.get("/alert?key=b")
        os.kill(worker, signal.SIGKILL)
        assert int(web.get("/")) != worker
        wait_until_told(server, 2)
        web.process.send_signal(signal.SIGHUP)
        web.get("/alert?key=c")
        wait_until_told(server, 3)
        for order in ("1", "2"):
            assert web.get(f"/fail?order={order}") == "500"
        assert web.stop() == 0
    assert told(server.mails) == 5
    failure = server.mails[-1]
    assert "LookupError" in failure.text
    assert "in fail" in failure.text


def test_uvicorn_ended_by_sigterm_sends_what_was_raised_right_before(site: Site, server: MailServer) -> None:
    needs("uvicorn", "fastapi")
    command = ("uvicorn", "--port", "0", "fastapi_app:app")
    with service(site, *command, says="running on (http://[0-9.:]+)") as web:
        assert int(web.get("/")) == web.process.pid
        assert web.get("/fail?order=1") == "500"
        web.get("/alert?key=a")
        assert web.stop() in (0, -signal.SIGTERM)
    assert told(server.mails) == 2
    with service(site, *command, says="running on (http://[0-9.:]+)") as web:
        web.get("/alert?key=b")
        web.process.kill()
        web.process.wait(PATIENCE)
    with service(site, *command, says="running on (http://[0-9.:]+)") as web:
        web.get("/")
        wait_until_told(server, 3)


# Tasks and processes


@pytest.mark.parametrize(
    ("tasks", "count"),
    [("a.fail.delay('1'); a.alert.delay('a'); a.alert.delay('a')", 3), ("a.die.delay('b')", 1)],
    ids=["ends", "killed"],
)
def test_what_a_process_of_celerys_pool_raised_is_mailed_when_that_ends_or_is_killed(
    site: Site, server: MailServer, redis_server: RedisServer, tasks: str, count: int
) -> None:
    needs("celery")
    redis_server.empty()
    site.environ["CELERY_BROKER_URL"] = redis_server.url
    subprocess.run([sys.executable, "-c", f"import celery_app as a; {tasks}"], env=site.environ, check=True)
    command = ["celery", "--app", "celery_app", "worker", "--without-mingle", "--without-gossip"]
    # A process of the pool ends after three tasks; celery looks whether one is there every five seconds.
    with service(site, *command, "--concurrency", "1", "--max-tasks-per-child", "3", says="ready") as worker:
        server.wait_for(1)
        if count > 1:
            assert worker.stop() == 0
    assert told(server.mails) == count


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_a_pool_mail_what_each_raised(site: Site, server: MailServer, method: str) -> None:
    example(site, "processes.py", method)
    assert told(server.mails) == 3
    keys = re.findall(r"No price for (\S+)", "".join(mail.text for mail in server.mails))
    assert set(keys) == {"SHOP.TO", "ZZZ.TO", "AAPL"}


# Other loggers


@pytest.mark.parametrize("library", ["structlog", "loguru"])
def test_what_another_logger_says_is_mailed_with_its_fields(site: Site, server: MailServer, library: str) -> None:
    needs(library)
    example(site, f"{library}_app.py")
    quota, price = sorted(server.mails, key=lambda mail: "No price" in mail.subject)
    assert quota.message["X-Alertlog-Kind"] == "quota"
    assert "marketstack" in quota.text
    assert "Quota used up" in quota.text
    assert quota.subject == "[ETL] marketstack: quota used up"
    assert "KeyError: 'ZZZ.TO'" in price.text
    assert "Fetching" in price.text


# Platforms


TASK = """
import os, sys, types, airflow_alerts
task = types.SimpleNamespace(dag_id="prices", task_id="import", try_number=2)
getattr(airflow_alerts, sys.argv[1])({"task_instance": task, "exception": KeyError("ZZZ.TO")})
os._exit(0)
"""
"""Calls a callback as Airflow does, in a process that ends as those of its tasks do."""


def test_a_task_of_airflow_is_mailed_when_it_fails_and_resolved_when_it_succeeds(
    site: Site, server: MailServer
) -> None:
    for callback in ("succeeded", "failed", "succeeded"):
        subprocess.run([sys.executable, "-c", TASK, callback], cwd=site.folder, env=site.environ, check=True)
    failed, resolved = server.mails
    assert "Task prices.import failed" in failed.subject
    assert "KeyError: 'ZZZ.TO'" in failed.text
    assert resolved.message["In-Reply-To"] == failed.message["Message-ID"]


RUNTIME = """
import os, signal, lambda_function
for event in {}, {"prices": [1, 2]}:
    try:
        print(lambda_function.handler(event, None), flush=True)
    except KeyError:
        print("failed", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
"""Freezes itself after each answer."""


def test_a_function_that_is_frozen_after_its_answer_has_sent_its_mail_by_then(site: Site, server: MailServer) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUNTIME], stdout=subprocess.PIPE, text=True, cwd=site.folder, env=site.environ
    )
    with process:
        try:
            assert os.waitpid(process.pid, os.WUNTRACED)[1] == stopped(signal.SIGSTOP)
            (mail,) = server.mails
            process.send_signal(signal.SIGCONT)
            assert os.waitpid(process.pid, os.WUNTRACED)[1] == stopped(signal.SIGSTOP)
        finally:
            process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == "failed\n{'prices': 2}\n"
    assert "KeyError: 'prices'" in mail.text
    assert len(server.mails) == 1


def stopped(number: int) -> int:
    """The status of a process that a signal has stopped."""
    return number << 8 | 0x7F


def test_a_pod_with_a_read_only_root_mails_with_secrets_from_files(site: Site, tmp_path: Path) -> None:
    """What the manifest promises the program: nothing but the outbox's folder can be written to."""
    pod = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text("utf-8"))["spec"]["template"]["spec"]
    (app,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in app["volumeMounts"]}
    environ = {variable["name"]: variable["value"] for variable in app["env"]}
    assert app["securityContext"]["readOnlyRootFilesystem"]
    assert {volume["name"] for volume in pod["volumes"]} == set(mounts)
    assert Path(environ["ALERTLOG_OUTBOX"]).parent == Path(mounts["outbox"])
    for name in ("username", "password"):
        assert environ[f"SMTP_{name.upper()}_FILE"] == f"{mounts['smtp']}/{name}"
        (tmp_path / name).write_text("etl\n")
        environ[f"SMTP_{name.upper()}_FILE"] = str(tmp_path / name)
    settings = read_smtp(environ)
    assert (settings.username, settings.password) == ("etl", "etl")
    assert pod["terminationGracePeriodSeconds"] > settings.timeout
    with MailServer("starttls", login=("etl", "etl")) as server:
        environ |= server.environ() | {"SMTP_USERNAME": "", "SMTP_PASSWORD": ""}
        outcome = in_a_pod(site, tmp_path / "outbox", environ)
        assert "smtp_send_succeeded" in outcome.stderr
        assert "outbox_unavailable" not in outcome.stderr
        assert told(server.mails) == 1


POD = """
mount --bind "$0" "$0"
cut -d ' ' -f 5 /proc/self/mountinfo | sort -u | while read -r place; do
    test "$place" = "$0" || mount -o remount,bind,ro "$place"
done 2>/dev/null
touch "$1/written" 2>/dev/null && exit 9
exec "$2" -c "$3"
"""
PROGRAM = """
import logging
from alertlog import AlertHandler
logging.getLogger().addHandler(AlertHandler())
logging.critical("Disk full")
"""


def in_a_pod(site: Site, outbox: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program that logs, with every file system read-only but that of the outbox, and without a home."""
    outbox.mkdir()
    environ |= {"ALERTLOG_OUTBOX": str(outbox / "alerts.sqlite3"), "HOME": "/", "XDG_STATE_HOME": ""}
    outcome = subprocess.run(
        ["unshare", "--mount", "sh", "-c", POD, str(outbox), str(site.folder), sys.executable, PROGRAM],
        capture_output=True,
        text=True,
        cwd="/",
        env=site.environ | environ,
        check=False,
        timeout=PATIENCE,
    )
    if "unshare" in outcome.stderr:
        lacking("unshare", outcome.stderr.strip())
    assert outcome.returncode == 0, outcome.stderr
    return outcome


# Moving over


@pytest.mark.parametrize(
    ("anchor", "place"),
    [
        ("migrating-mailinglogger", "mailinglogger.MailingLogger"),
        ("migrating-mailinglogger", "mailinglogger.SummarisingLogger"),
        ("migrating-logbook", "logbook.MailHandler"),
        ("migrating-django", "django.utils.log.AdminEmailHandler"),
    ],
)
def test_each_option_of_another_handler_is_in_the_table(anchor: str, place: str) -> None:
    module, _, _name = place.rpartition(".")
    needs(module.partition(".")[0])
    program = f"import inspect, {module}; print(*inspect.signature({place}.__init__).parameters)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    listed = {option for row in pages("en")["migrating.md"].table(anchor) for option in code(row[0])}
    assert set(done.stdout.split()) - {"self"} <= listed


# Being watched


def test_what_the_page_lists_is_what_stats_has() -> None:
    listed = [code(row[0])[0] for row in pages("en")["monitoring.md"].table("monitoring-stats")]
    assert listed == [field.name for field in fields(Stats)]


def test_prometheus_is_told_what_a_handler_does(site: Site, server: MailServer) -> None:
    needs("prometheus_client")
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "metrics_prometheus.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=site.folder,
        env=site.environ,
    )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        server.wait_for(1)
        with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
            text = reply.read().decode()
        process.communicate(timeout=PATIENCE)
    assert "alertlog_attempts_failed_total 0.0" in text
    assert "# TYPE alertlog_alerts_waiting gauge" in text
    assert re.search(r"^alertlog_mails_sent_total [01]\.0$", text, re.MULTILINE)
    assert process.returncode == 0


def test_opentelemetry_is_told_what_a_handler_does(site: Site, server: MailServer) -> None:
    needs("opentelemetry", "opentelemetry.sdk")
    output = example(site, "metrics_opentelemetry.py").stdout
    first, _end = json.JSONDecoder().raw_decode(output)
    (resource,) = first["resource_metrics"]
    (scope,) = resource["scope_metrics"]
    values = {metric["name"]: metric["data"]["data_points"][0]["value"] for metric in scope["metrics"]}
    assert values.pop("alertlog.last_success") > 1_767_225_600
    assert values == {
        "alertlog.mails.sent": 1,
        "alertlog.attempts.failed": 0,
        "alertlog.secrets.redacted": 0,
        "alertlog.alerts.waiting": 0,
        "alertlog.alerts.folded": 0,
    }
