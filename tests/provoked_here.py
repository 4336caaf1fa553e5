"""The operator's mistakes on this side of the network, made for real: each function is named after one of them."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from alertlog import AlertHandler
from alertlog.journal import Journal
from alertlog.ownership import Owner
from alertlog.steps import Stopwatch
from alertlog.testing import ManualClock
from alertlog.walk_outbox import Room, room_step
from alertlog.walk_waiting import Limits
from tests.needs import lacking
from tests.redis_server import Impostor, say
from tests.scenes import NOBODY, PASSWORD, Checked, Scene, as_nobody, login, oauth, open_folder, settings
from tests.servers import ScriptedServer, dead_port
from tests.support import fill, small_disk, tally

HANDLER = "handlers: {alerts: {class: alertlog.AlertHandler, service: etl%s}}\n"


# The configuration


def no_configuration(scene: Scene) -> Checked:
    return scene.check_offline(**settings())


def no_handler(scene: Scene) -> Checked:
    scene.configure("handlers: {console: {class: logging.StreamHandler}}\n")
    return scene.check()


def yaml_not_installed(scene: Scene) -> Checked:
    scene.configure(HANDLER % "")
    scene.patch.setitem(sys.modules, "yaml", None)
    return scene.check()


def secret_in_configuration(scene: Scene) -> Checked:
    scene.configure(HANDLER % f", credentials: [etl, {PASSWORD}]")
    return scene.check()


def configuration_wrong(scene: Scene) -> Checked:
    scene.configure(HANDLER % ", quiet_after: soon")
    return scene.check()


# The settings


def not_set(scene: Scene) -> Checked:
    return scene.check(SMTP_FROM="etl@example.org", SMTP_TO="oncall@example.org")


def value_and_file(scene: Scene) -> Checked:
    (scene.folder / "secret").write_text(PASSWORD)
    return scene.check(**settings(**login(), SMTP_PASSWORD_FILE=str(scene.folder / "secret")))


def secret_not_mounted(scene: Scene) -> Checked:
    missing = str(scene.folder / "secrets" / "smtp_password")
    return scene.check(**settings(SMTP_USERNAME="etl@example.org", SMTP_PASSWORD_FILE=missing))


def secret_not_readable(scene: Scene) -> Checked:
    with open_folder() as folder:
        secret = folder / "smtp_password"
        secret.write_text(PASSWORD)
        secret.chmod(0o400 if os.geteuid() == 0 else 0)
        scene.patch.chdir(folder)
        with as_nobody():
            return scene.check(**settings(SMTP_USERNAME="etl@example.org", SMTP_PASSWORD_FILE=str(secret)))


def quoted_value(scene: Scene) -> Checked:
    return scene.check(**settings(SMTP_HOST='"mail.example.org"'))


def host_is_a_url(scene: Scene) -> Checked:
    return scene.check(**settings(SMTP_HOST="smtps://mail.example.org"))


def host_with_port(scene: Scene) -> Checked:
    return scene.check(**settings(SMTP_HOST="mail.example.org:587"))


def transport_unknown(scene: Scene) -> Checked:
    return scene.check(**settings(SMTP_TRANSPORT="tls"))


def half_a_login(scene: Scene) -> Checked:
    return scene.check(**settings(SMTP_USERNAME="etl@example.org"))


def two_logins(scene: Scene) -> Checked:
    return scene.check(**settings(**login(), SMTP_TOKEN="ya29.token"))


def oauth_not_installed(scene: Scene) -> Checked:
    scene.patch.setitem(sys.modules, "oauthlib", None)
    return scene.check(**settings(**oauth("https://login.example.org/token")))


def login_in_the_clear(scene: Scene) -> Checked:
    return scene.check(**settings(**login(), SMTP_TRANSPORT="none"))


def semicolons(scene: Scene) -> Checked:
    return scene.check(**settings(SMTP_TO="oncall@example.org; second@example.org"))


def address_wrong(scene: Scene) -> Checked:
    return scene.check(**settings(SMTP_FROM="Portfolio ETL"))


def ca_file_missing(scene: Scene) -> Checked:
    return scene.check(**settings(SMTP_CA_FILE=str(scene.folder / "ca.pem")))


def value_wrong(scene: Scene) -> Checked:
    return scene.check(**settings(SMTP_PORT="0"))


# The templates


def no_templates(scene: Scene) -> Checked:
    scene.configure(HANDLER % f", templates: {scene.folder / 'mail'}")
    return scene.check_offline(**settings())


def template_fails(scene: Scene) -> Checked:
    scene.template("letter.txt", "{{ view.no_such_name }}")
    return scene.check_offline(**settings())


# The outbox


def outbox_relative(scene: Scene) -> Checked:
    return scene.check_offline(**settings(ALERTLOG_OUTBOX="alerts.sqlite3"))


def no_home(scene: Scene) -> Checked:
    if os.geteuid() != 0:
        lacking("root", "only root can become a user whom nobody knows")
    scene.patch.delenv("HOME")
    scene.patch.delenv("XDG_STATE_HOME")
    os.setresuid(54_321, 0, 0)
    try:
        return scene.check_offline(**settings(ALERTLOG_OUTBOX=""))
    finally:
        os.setresuid(0, 0, 0)


def outbox_read_only(scene: Scene) -> Checked:
    with small_disk(scene.folder, 1_000) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        return scene.check_offline(**settings(ALERTLOG_OUTBOX=str(disk / "alerts.sqlite3")))


def outbox_folder_forbidden(scene: Scene) -> Checked:
    with open_folder() as folder:
        scene.patch.chdir(folder)
        folder.chmod(0o755 if os.geteuid() == 0 else 0o500)
        with as_nobody():
            return scene.check_offline(**settings(ALERTLOG_OUTBOX=str(folder / "alerts.sqlite3")))


def outbox_files_forbidden(scene: Scene) -> Checked:
    with open_folder() as folder:
        place = folder / "alerts.sqlite3"
        place.touch(0o400 if os.geteuid() else 0o600)
        scene.patch.chdir(folder)
        with as_nobody():
            return scene.check_offline(**settings(ALERTLOG_OUTBOX=str(place)))


def disk_full(scene: Scene) -> Checked:
    with small_disk(scene.folder, 500) as disk:
        fill(disk)
        return scene.check_offline(**settings(ALERTLOG_OUTBOX=str(disk / "alerts.sqlite3")))


def outbox_damaged(scene: Scene) -> Checked:
    scene.outbox.parent.mkdir(0o700)
    scene.outbox.touch(0o600)
    scene.outbox.write_bytes(b"not a database " * 100)
    return scene.check_offline(**settings())


def outbox_of_another_version(scene: Scene) -> Checked:
    scene.outbox.parent.mkdir(0o700)
    with closing(sqlite3.connect(scene.outbox)) as newer:
        newer.execute("PRAGMA user_version = 99")
    scene.outbox.chmod(0o600)
    return scene.check_offline(**settings())


def outbox_unusable(scene: Scene) -> Checked:
    (scene.folder / "state").write_text("a file where a folder has to be")
    return scene.check_offline(**settings())


def disk_almost_full(scene: Scene) -> Checked:
    with small_disk(scene.folder, 20_000) as disk:
        return scene.check_offline(**settings(ALERTLOG_OUTBOX=str(disk / "alerts.sqlite3")))


def outbox_in_the_container(scene: Scene) -> Checked:
    with small_disk(scene.folder, 200_000) as disk:
        layers = [disk / name for name in ("lower", "upper", "work", "merged")]
        for layer in layers:
            layer.mkdir()
        lower, upper, work, merged = map(str, layers)
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mounted = subprocess.run(
            ["mount", "-t", "overlay", "-o", options, "overlay", merged], capture_output=True, text=True, check=False
        )
        if mounted.returncode:
            lacking("overlay", mounted.stderr.strip())
        try:
            return scene.check_offline(**settings(ALERTLOG_OUTBOX=f"{merged}/alerts.sqlite3"))
        finally:
            subprocess.run(["umount", merged], check=True)


def outbox_in_memory(scene: Scene) -> Checked:
    with small_disk(scene.folder, 200_000) as disk:
        return scene.check_offline(**settings(ALERTLOG_OUTBOX=str(disk / "alerts.sqlite3")))


def outbox_on_the_network(scene: Scene) -> Checked:
    room = replace(Room.at(scene.folder / "alerts.sqlite3"), file_system="nfs4")
    return Checked((room_step(room, Stopwatch(ManualClock())),))


def outbox_open_to_others(scene: Scene) -> Checked:
    scene.outbox.parent.mkdir()
    scene.outbox.touch(0o644)
    return scene.check_offline(**settings())


def checked_as_root(scene: Scene) -> Checked:
    if os.geteuid() != 0:
        lacking("root", "only root can give a folder to another user")
    scene.outbox.parent.mkdir()
    os.chown(scene.outbox.parent, NOBODY, NOBODY)
    return scene.check_offline(**settings())


# What waits


def run_program(outbox: Path, server: ScriptedServer | None = None) -> None:
    """A program that raises one alert and ends."""
    handler = AlertHandler(service="etl", outbox=outbox)
    handler.name = "alerts"
    logger = logging.Logger("etl")
    logger.addHandler(handler)
    logger.critical("Disk full")
    handler.close()
    if server is not None:
        server.wait_for("dot")


def mails_fail(scene: Scene) -> Checked:
    with dead_port() as port:
        variables = settings(SMTP_HOST="127.0.0.1", SMTP_PORT=str(port), SMTP_TRANSPORT="none")
        scene.environ(**variables)
        run_program(scene.outbox)
        scene.limits = Limits(waiting=0)
        return scene.check_offline()


def nobody_sends(scene: Scene) -> Checked:
    journal = Journal.create(scene.outbox, Owner("etl", "alerts"))
    journal.append(tally().to_json())
    del journal  # as its process was killed
    scene.limits = Limits(age=600)
    return scene.check_offline(**settings())


def mails_set_aside(scene: Scene) -> Checked:
    with ScriptedServer({"dot": "554 5.6.0 not that"}) as server:
        scene.environ(SMTP_HOST=server.host, SMTP_PORT=str(server.port), SMTP_TRANSPORT="none")
        scene.environ(SMTP_FROM="etl@example.org", SMTP_TO="oncall@example.org")
        run_program(scene.outbox, server)
        return scene.check_offline()


# Redis and the clock


def redis_not_installed(scene: Scene) -> Checked:
    scene.patch.setitem(sys.modules, "redis", None)
    with ScriptedServer() as server:
        return scene.check(server, ALERTLOG_REDIS_URL="redis://redis:6379/0")


def redis_url_wrong(scene: Scene) -> Checked:
    with ScriptedServer() as server:
        return scene.check(server, ALERTLOG_REDIS_URL="redis.example.org:6379")


def redis_password(scene: Scene) -> Checked:
    with ScriptedServer() as server, Impostor(say(b"-NOAUTH Authentication required.\r\n")) as impostor:
        return scene.check(server, ALERTLOG_REDIS_URL=impostor.url)


def redis_away(scene: Scene) -> Checked:
    with ScriptedServer() as server, dead_port() as port:
        return scene.check(server, ALERTLOG_REDIS_URL=f"redis://127.0.0.1:{port}/0")


def clock_wrong(scene: Scene) -> Checked:
    greeting = "220 scripted.example ESMTP ready at Thu, 1 Jan 2026 00:00:00 +0000"
    with ScriptedServer({"greeting": greeting}) as server:
        return scene.check(server)
