"""A program's own test of its alerts, with the mail server of alertlog.testing."""

import logging
from pathlib import Path

import pytest

from alertlog import AlertHandler
from alertlog.testing import MailServer


def test_a_used_up_quota_is_mailed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with MailServer() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        handler = AlertHandler(service="portfolio-etl", outbox=tmp_path / "alerts.sqlite3")
        logger = logging.Logger("portfolio_etl")
        logger.addHandler(handler)

        logger.critical("Quota used: %d of %d", 100, 100, extra={"alert": "quota"})

        (mail,) = server.wait_for(1)
        handler.close()
    assert "Quota used: 100 of 100" in mail.text
    assert mail.message["X-Alertlog-Kind"] == "quota"
