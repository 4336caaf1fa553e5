"""How many mails a second go over one connection, beside plain smtplib with the same mails and server."""

from __future__ import annotations

import smtplib
import ssl
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import trustme

from tests.benchmarks.sink import sink
from tests.benchmarks.tables import print_table

MAILS = 500
CONTENT = b"Subject: [ETL] API quota alert\r\nMIME-Version: 1.0\r\n\r\n" + b"Quota used: 100 of 100\r\n" * 150
SENDER, RECIPIENT = "etl@pipeline.example", "operator@alerts.example"


def main(runs: int) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _certify(Path(folder))
        for transport in ("none", "starttls"):
            certificate = f"{folder}/server.pem" if transport == "starttls" else ""
            with sink("healthy", certificate) as port:
                rates = _rates(partial(_smtplib, port, folder), partial(_alertlog, port, folder), transport, runs)
            rows.append((transport, f"{rates[1]:.0f}", f"{rates[0]:.0f}", f"{rates[1] / rates[0]:.2f}"))
    headings = ("transport", "alertlog", "smtplib", "ratio")
    print_table(f"Mails a second over one connection ({MAILS} mails of {len(CONTENT)} bytes)", headings, rows)


def _certify(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))


def _rates(plain: Callable[[str], None], ours: Callable[[str], None], transport: str, runs: int) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for send, seconds in zip((plain, ours), times, strict=True):
            begin = time.perf_counter()
            send(transport)
            seconds.append(time.perf_counter() - begin)
    return MAILS / median(times[0]), MAILS / median(times[1])


def _smtplib(port: int, folder: str, transport: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as server:
        if transport == "starttls":
            server.starttls(context=ssl.create_default_context(cafile=f"{folder}/ca.pem"))
        for _ in range(MAILS):
            server.sendmail(SENDER, [RECIPIENT], CONTENT)


def _alertlog(port: int, folder: str, transport: str) -> None:
    from alertlog.clock import SystemClock
    from alertlog.letter import Letter
    from alertlog.settings import read_smtp
    from alertlog.smtp import connect

    settings = read_smtp(
        {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(port),
            "SMTP_TRANSPORT": transport,
            "SMTP_CA_FILE": f"{folder}/ca.pem" if transport == "starttls" else "",
            "SMTP_FROM": SENDER,
            "SMTP_TO": RECIPIENT,
        }
    )
    letter = Letter("<bench@pipeline.example>", SENDER, CONTENT)
    with connect(settings, SystemClock()) as session:
        for _ in range(MAILS):
            session.send(letter, [RECIPIENT])
