"""Of lines as programs log them, the secrets that are missed and the others that are hit are known, one by one."""

from __future__ import annotations

import pytest

from alertlog.redact import Redactor
from tests import corpus


def test_no_other_secrets_are_missed_than_those_that_nothing_tells(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(corpus.missed(Redactor())) == corpus.MISSED
    corpus.main()
    assert f"{len(corpus.SECRETS)} secrets, not found: {len(corpus.MISSED)}" in capsys.readouterr().out


def test_no_other_lines_are_hit_than_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(corpus.hit(Redactor())) == corpus.HIT
    corpus.main()
    assert f"{len(corpus.NEAR_MISSES)} others, taken for a secret: {len(corpus.HIT)}" in capsys.readouterr().out


@pytest.mark.parametrize("line", corpus.SECRETS)
def test_each_secret_is_found_where_it_is_known(line: str) -> None:
    (secret,) = corpus.SECRET.findall(line)
    if len(secret) >= 6:
        assert secret not in Redactor.of({"SHOP_PASSWORD": secret}).text(corpus.plain(line))


def test_what_is_redacted_once_stays_so() -> None:
    redactor = Redactor()
    for line in (*map(corpus.plain, corpus.SECRETS), *corpus.NEAR_MISSES):
        told = redactor.text(line)
        assert redactor.text(told) == told
