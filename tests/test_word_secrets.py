"""A command line in a mail: what is a secret in it, and what only looks like one."""

from __future__ import annotations

import pytest

from alertlog.known import MARK
from alertlog.word_secrets import without_secrets


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["tool", "--password", "s3cret"], ["tool", "--password", MARK]),
        (["tool", "--api-key", "s3cret", "x"], ["tool", "--api-key", MARK, "x"]),
        (["tool", "--password=a b s3cret c"], ["tool", f"--password={MARK}"]),
        (["env", "PGPASSWORD=s3cret", "psql"], ["env", f"PGPASSWORD={MARK}", "psql"]),
        (["curl", "-u", "admin:s3cret"], ["curl", "-u", f"admin:{MARK}"]),
        (["curl", "--user", "admin:s3\ncret"], ["curl", "--user", f"admin:{MARK}"]),
        (["ldapwhoami", "-u", "cn=admin:s3cret"], ["ldapwhoami", "-u", f"cn=admin:{MARK}"]),
        (["curl", "--user=admin:s3 cret"], ["curl", f"--user=admin:{MARK}"]),
    ],
)
def test_what_an_option_or_a_variable_says_is_secret_is_taken_out_whole(words: list[str], shown: list[str]) -> None:
    assert without_secrets(words) == shown


@pytest.mark.parametrize(
    "words",
    [
        ["nc", "-p", "80"],
        ["sudo", "-u", "alice", "backup"],
        ["tool", "--user", "alice"],
        ["tool", "--user=alice"],
        ["tool", "--users=alice:bob"],
        ["tool", "--token-file", "/run/secrets/token"],
        ["tool", "--password", "--verbose"],
        ["tool", "--name=etl"],
        ["tool", "--password="],
        [],
    ],
)
def test_what_is_about_a_secret_or_names_a_user_stays(words: list[str]) -> None:
    assert without_secrets(words) == words
