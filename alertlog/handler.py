"""AlertHandler: what a program configures, and what its arguments mean."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Never

from alertlog import checks
from alertlog.arguments import (
    Arguments,
    language_of,
    level_of,
    path_of,
    prefixes_of,
    recipients_of,
    refuse_credentials,
    refuse_unknown,
    reply_to_of,
    secure_of,
    server_of,
)
from alertlog.rules import rules_of
from alertlog.taking import Taking


class AlertHandler(Taking):
    """Turns alert-level records into mail, through a durable outbox.

    All arguments are optional; SMTP settings come from the environment. The arguments of
    `logging.handlers.SMTPHandler` are accepted in its order, as defaults which the environment overrides.

    Args:
        mailhost: the server, or (server, port); without a port it is 25, as in SMTPHandler.
        fromaddr: the sender.
        toaddrs: one recipient or several.
        subject: template of the Subject header; `{name}` stands for an extra or one of the record's own values.
        credentials: refused with ValueError: secrets come from the environment only.
        secure: () for STARTTLS, (key file, certificate file) to show a client certificate as well, or (file of both,).
        timeout: seconds of wall time for one whole delivery attempt; 300 at most.
        alert_level: records at this level and above are mailed; by default the handler's own level if that is WARNING
            or above, else CRITICAL. A record with `extra={"alert": kind}` is mailed at any level.
        service: who writes; by default ALERTLOG_SERVICE, else the main program's name.
        subjects: templates of the Subject header by kind.
        context_lines: how many records that the same task logged before an alert are shown with it, of those that the
            handler's own level lets through; 0 for none.
        repeat_after: seconds from an incident's first mail to its first follow-up; then doubling, up to 4 h.
        quiet_after: seconds without a repeat after which an incident closes.
        mails_per_hour: above it, what is due is merged into one digest.
        shutdown_timeout: seconds that `close()` may wait for one attempt; by default SMTP_TIMEOUT_SECONDS.
        outbox: absolute path of the outbox; by default ALERTLOG_OUTBOX, else a file in the user's state folder.
        env_prefix: what the names of the SMTP variables begin with; a list of several for servers that stand in for the
            first, in order.
        language: `en` or `fr`, for the labels of the mail.
        environment: which deployment of the service this is; by default ALERTLOG_ENVIRONMENT, else none is named.
        reply_to: one mailbox or several, for those who answer a mail.
        templates: absolute path of a folder with a letter.html, a letter.txt or both, which replace alertlog's.
        outbox_incidents: how many incidents the handler's part of the outbox may hold; beyond it, those that are told
            and quiet close, then further trouble is counted together, one incident a kind.
        outbox_bytes: size of the outbox's file beyond which the same happens.
        fingerprint: a callable, or the dotted name of one, that replaces alertlog's own grouping: records for which it
            returns the same text are one incident. If it raises, the alert is mailed all the same.
        redact: `names` of extras and variables, and `patterns` of texts, that are secrets as well.
        capture_uncaught: whether what no code catches, in any thread or asyncio task, is an alert too.

    Raises:
        ValueError: an argument is wrong; nothing else ever raises.
    """

    alertlog_handler = True  # by this mark the events module knows that events would reach nobody here

    def __init__(
        self,
        mailhost: str | Sequence[Any] | None = None,
        fromaddr: str | None = None,
        toaddrs: str | Sequence[str] | None = None,
        subject: str | None = None,
        credentials: object = None,
        secure: Sequence[str] | None = None,
        timeout: float | None = None,
        *,
        alert_level: int | str | None = None,
        service: str | None = None,
        subjects: Mapping[str, str] | None = None,
        context_lines: int = 50,
        repeat_after: float = 300.0,
        quiet_after: float = 3600.0,
        mails_per_hour: float = 30.0,
        shutdown_timeout: float | None = None,
        outbox: str | os.PathLike[str] | None = None,
        env_prefix: str | Sequence[str] = "SMTP_",
        language: str = "en",
        environment: str | None = None,
        reply_to: str | Sequence[str] | None = None,
        templates: str | os.PathLike[str] | None = None,
        outbox_incidents: int = 1_000,
        outbox_bytes: int = 64 * 1024 * 1024,
        fingerprint: Callable[[logging.LogRecord], str] | str | None = None,
        redact: Mapping[str, Sequence[str]] | None = None,
        capture_uncaught: bool = False,
        **unknown: Never,
    ) -> None:
        prefix, backups = prefixes_of(env_prefix)
        refuse_credentials(credentials, prefix)
        refuse_unknown(unknown, prefix)
        host, port = server_of(mailhost)
        arguments = Arguments(
            host=host,
            port=port,
            sender=checks.text("fromaddr", fromaddr) or "",
            recipients=recipients_of(toaddrs),
            secure=secure_of(secure),
            timeout=timeout,
            subject=checks.text("subject", subject) or "",
            subjects=checks.table("subjects", subjects),
            alert_level=level_of(alert_level),
            service=checks.text("service", service),
            context_lines=context_lines,
            repeat_after=repeat_after,
            quiet_after=quiet_after,
            mails_per_hour=mails_per_hour,
            shutdown_timeout=shutdown_timeout,
            outbox=path_of("outbox", outbox),
            env_prefix=prefix,
            backups=backups,
            language=language_of(language),
            environment=checks.text("environment", environment),
            reply_to=reply_to_of(reply_to),
            templates=path_of("templates", templates),
            outbox_incidents=outbox_incidents,
            outbox_bytes=outbox_bytes,
            fingerprint=checks.function("fingerprint", fingerprint),
            redact=rules_of(redact),
            capture_uncaught=checks.truth("capture_uncaught", capture_uncaught),
        )
        super().__init__(arguments)
