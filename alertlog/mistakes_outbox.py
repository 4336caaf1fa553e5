"""The mistakes that are made with the place of the outbox, with what waits in it, with Redis and with the clock.

Each is a row of the table in the documentation, under the same name; a test provokes each of them.
"""

from __future__ import annotations

from alertlog.advice import Rule

OF_THE_OUTBOX = (
    Rule(
        "outbox-relative",
        "outbox",
        "the outbox's place is not an absolute path, so each program would have its own",
        "write it from the root on, as /var/lib/portfolio-etl/alerts.sqlite3",
        said="not an absolute path",
    ),
    Rule(
        "no-home",
        "outbox",
        "this user has no home folder, so there is no default place for the outbox",
        "set ALERTLOG_OUTBOX to a file on a volume",
        said="without a home folder",
    ),
    Rule(
        "outbox-read-only",
        "outbox",
        "{folder} is on a file system that is read-only",
        "mount a volume that can be written, and name a file on it by ALERTLOG_OUTBOX",
        said="read-only file system",
    ),
    Rule(
        "outbox-folder-forbidden",
        "outbox",
        "user {user} may not write in {folder}",
        "give that folder to the user that the program runs as: chown {user};"
        " a named volume takes over the owner of the folder it is first mounted on",
        marks=("folder",),
        said="permission denied",
    ),
    Rule(
        "outbox-files-forbidden",
        "outbox",
        "files of the outbox are another user's, and user {user} may not write them: {files}",
        "give them to the user that the program runs as: chown {user}; run commands as that user, not as root",
        marks=("files",),
    ),
    Rule(
        "disk-full",
        "outbox",
        "the disk is full: {free} free",
        "make room, or name a file on another disk by ALERTLOG_OUTBOX",
        marks=("full",),
    ),
    Rule(
        "outbox-damaged",
        "outbox",
        "the outbox's file is damaged",
        "nothing: the program puts it aside under another name when it next starts, and begins a new one;"
        " what waited only in the damaged file is not sent",
        marks=("damaged",),
    ),
    Rule(
        "outbox-of-another-version",
        "outbox",
        "the outbox was written by another version of alertlog",
        "install the same version for the program and for this command, or name another file by ALERTLOG_OUTBOX",
        said="newer alertlog|no such (table|column)",
    ),
    Rule(
        "outbox-unusable",
        "outbox",
        "the outbox can't be used where it is",
        "name a file in a folder of the program's own by ALERTLOG_OUTBOX",
    ),
    Rule(
        "disk-almost-full",
        "disk",
        "little room is left on the disk: {free} free; the outbox can want 100 MiB",
        "make room",
        marks=("little",),
    ),
    Rule(
        "outbox-in-the-container",
        "file-system",
        "the outbox is in the container's own layer, and goes with the container",
        "mount a volume, and name a file on it by ALERTLOG_OUTBOX",
        marks=("overlay",),
    ),
    Rule(
        "outbox-in-memory",
        "file-system",
        "the outbox is on a file system in memory, and goes with it",
        "name a file on a disk by ALERTLOG_OUTBOX",
        marks=("memory",),
    ),
    Rule(
        "outbox-on-the-network",
        "file-system",
        "the outbox is on a network file system, where its locks do not hold",
        "name a file on a local disk by ALERTLOG_OUTBOX",
        marks=("network",),
    ),
    Rule(
        "outbox-open-to-others",
        "mode",
        "other users may read or write the outbox: its mode is {mode}",
        "chmod 600 for the files; 700 for their folder",
    ),
    Rule(
        "checked-as-root",
        "user",
        "this command runs as root, who may do what user {owner}, whose outbox it is, may not",
        "run it as the program's user: docker compose exec --user {owner}",
    ),
)

OF_WHAT_WAITS = (
    Rule(
        "mails-fail",
        "waiting",
        "the attempts to send fail: {error}",
        "repair what fails {where}, if anything does; then run alertlog outbox flush",
        marks=("failing",),
    ),
    Rule(
        "nobody-sends",
        "waiting",
        "no attempt has failed: no program is there that sends",
        "start the program, or have cron run alertlog outbox flush --due",
    ),
    Rule(
        "mails-set-aside",
        "aside",
        "{aside} refused for good",
        "see alertlog outbox list and show; then alertlog outbox retry, or alertlog outbox purge for what nobody needs",
    ),
)

OF_REDIS = (
    Rule(
        "redis-not-installed",
        "redis",
        "hosts share their incidents by a client for Redis, which is not installed beside alertlog",
        "pip install 'alertlog[redis]', in the same environment; or remove {variable}",
        said="needs the extra",
    ),
    Rule(
        "redis-url-wrong",
        "redis",
        "{variable} is not the URL of a Redis server, or can't be read",
        "write redis://:password@host:6379/0, or rediss:// for TLS",
        marks=("misconfigured",),
    ),
    Rule(
        "redis-password",
        "redis",
        "Redis refuses the login, or wants one",
        "write user name and password into the URL: redis://user:password@host:6379/0",
        said="noauth|wrongpass|authentication required|invalid username-password|invalid password|noperm",
    ),
    Rule(
        "redis-away",
        "redis",
        "Redis is out of reach; each host mails by itself meanwhile",
        "check host and port in {variable}, and that the server runs",
    ),
)

OF_THE_CLOCK = (
    Rule(
        "clock-wrong",
        "clock",
        "this machine's clock is {skew} {direction} that of {whose}",
        "set it, and have it kept by NTP",
    ),
)
