"""Secrets do not leave, what only looks like one does, and no text takes long."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alertlog.known import LATEST
from alertlog.redact import MARK, REMEMBERED, REMEMBERED_LENGTH, Redactor, is_secret_name

PASSWORD = 'p@ss "w0rd"/é+x'
PIECES = [
    "password=", "token:", "api key", "secret", "authorization: ", "cookie=", "Basic ", "bearer ",
    "a1b2c3d4e5", "://", "=>", "None", "is", MARK, "***",
    "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
    *"'\"\\ ,;&@/<>()[]\n\r._-=x",
]  # fmt: skip
PLAIN = Redactor()
KNOWING = Redactor.of({"SMTP_PASSWORD": PASSWORD})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=hunter2 was tried", f"password={MARK} was tried"),
        ("password = hunter2", f"password = {MARK}"),
        ("Password: hunter2", f"Password: {MARK}"),
        ("DB_PASSWORD='two words' host=x", f"DB_PASSWORD='{MARK}' host=x"),
        ("password=ab,cd;ef", f"password={MARK};ef"),
        ("(password=abc).", f"(password={MARK})."),
        ("f(password=a)b) and", f"f(password={MARK}) and"),
        ("password=it's me", f"password={MARK} me"),
        ("password=b'abc'", f"password=b'{MARK}'"),
        ("password=SecretStr('abc')", f"password=SecretStr('{MARK}')"),
        ('{"password": "x\\"y", "user": "b"}', f'{{"password": "{MARK}", "user": "b"}}'),
        ('{\\"password\\": \\"x y\\", \\"a\\": 1}', f'{{\\"password\\": \\"{MARK}\\", \\"a\\": 1}}'),
        ("{'api_key': 'abc', 'n': 1}", f"{{'api_key': '{MARK}', 'n': 1}}"),
        ("{password: abc, user: b}", f"{{password: {MARK}, user: b}}"),
        ("userPassword=>abc", f"userPassword=>{MARK}"),
        ("pgpassword := abc", f"pgpassword := {MARK}"),
        ("spring.mail.password=abc", f"spring.mail.password={MARK}"),
        ("UID=sa;PWD=abc;Server=x", f"UID=sa;PWD={MARK};Server=x"),
        ("SMTP_PASS=abc", f"SMTP_PASS={MARK}"),
        ("api key: abcd", f"api key: {MARK}"),
        ("Invalid API key: abcd", f"Invalid API key: {MARK}"),
        ("private key=abcd", f"private key={MARK}"),
        ("X-Auth-Token: abc", f"X-Auth-Token: {MARK}"),
        ("GET /v1?access_key=abc&symbols=A,B", f"GET /v1?access_key={MARK}&symbols=A,B"),
        ("?token=a,b=c", f"?token={MARK},b=c"),
        ("<a password=abc</a>", f"<a password={MARK}</a>"),
        ("client_secret=abc\nnext", f"client_secret={MARK}\nnext"),
        ("aws_secret_access_key = a/b+c=", f"aws_secret_access_key = {MARK}"),
        ("Authorization: Bearer abc.def was refused", f"Authorization: Bearer {MARK} was refused"),
        ("authorization: Basic dXNlcjpw,", f"authorization: Basic {MARK},"),
        ('Authorization: Digest username="x", response="y"\nHost: z', f"Authorization: {MARK}\nHost: z"),
        ("{'Authorization': 'Bearer abc'}", f"{{'Authorization': '{MARK}'}}"),
        ("Cookie: a=b; c=d\r\nHost: x", f"Cookie: {MARK}\r\nHost: x"),
        ("Set-Cookie: a=b; Path=/\\r\\nHost: x", f"Set-Cookie: {MARK}\\r\\nHost: x"),
        ("sent as bearer abc123def456", f"sent as bearer {MARK}"),
        ("curl -H 'X: Bearer eyJhbGciOi.x_y-z1'", f"curl -H 'X: Bearer {MARK}'"),
        ("postgres://me:s3cret@db:5/x", "postgres://me:***@db:5/x"),
        ("redis://:s3cret@cache", "redis://:***@cache"),
        (
            "can't connect to postgresql://app:s3cr#et-Value@db:5432/etl",
            "can't connect to postgresql://app:***@db:5432/etl",
        ),
        ("mysql://app:a/b?c@db/x", "mysql://app:***@db/x"),
        ("at http://me:a@b@c:d@host/p and", "at http://me:***@host/p and"),
        ("İ password=abc", f"İ password={MARK}"),
        ("password=[redacted]more", f"password={MARK}more"),
    ],
)
def test_what_looks_like_a_secret_is_redacted(text: str, expected: str) -> None:
    assert PLAIN.text(text) == expected
    assert PLAIN.text(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "token bucket",
        "token bucket: empty",
        "TokenBucket: empty",
        "InvalidTokenError: it has expired",
        "password reset mail sent to jane: ok",
        "password_reset=true",
        "passwordless: yes",
        "PASSWORD_FILE=/run/secrets/smtp",
        "token_url=https://login.example.org/token",
        "password=None",
        "SMTP_PASSWORD: is required, and not set",
        "Password: must be longer",
        "def login(user, password: str) -> None:",
        "author: x",
        "secretary: Jane",
        "max_tokens=512, tokens: 9",
        "Token::parse",
        "KeyError: 'AAPL'",
        "primary key: 5",
        "key=AAPL",
        "monkey: 3",
        "compass: north",
        "bypass=1",
        "pass: 12, fail: 3",
        "the bearer of bad news",
        "bearer authentication is off",
        "dsn=5.7.1, status=bounced",
        "http://localhost:8080/a@b.org",
        "http://localhost:8080, jane@x.org",
        "https://jane@x.org/",
        "see ssh://git@github.com:22",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "password=",
        "password: ",
        'password=""',
        "password:\nnext line",
        "cookie",
        "Cookie:\nHost: x",
        "",
        "\ud800 password",
    ],
)
def test_what_only_resembles_a_secret_stays(text: str) -> None:
    assert PLAIN.text(text) == text


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "PGP "])
def test_a_private_key_is_cut_out_whole_even_if_its_end_is_not_there(kind: str) -> None:
    block = " BLOCK" if kind == "PGP " else ""
    begin, end = (f"-----{word} {kind}PRIVATE KEY{block}-----" for word in ("BEGIN", "END"))
    assert PLAIN.text(f"a {begin}\nMIIB\n{end} b") == f"a {MARK} b"
    assert PLAIN.text(f"a {begin}\\nMIIB\\n") == f"a {MARK}"


@pytest.mark.parametrize(
    "form",
    [
        PASSWORD,
        repr(PASSWORD),
        json.dumps(PASSWORD),
        json.dumps(PASSWORD, ensure_ascii=False),
        urllib.parse.quote(PASSWORD),
        urllib.parse.quote(PASSWORD, safe=""),
        urllib.parse.quote_plus(PASSWORD),
        base64.b64encode(PASSWORD.encode()).decode(),
        base64.urlsafe_b64encode(PASSWORD.encode()).decode(),
    ],
)
def test_a_known_secret_is_redacted_in_each_of_its_forms(form: str) -> None:
    told = KNOWING.text(f"the server said: 535 {form} is wrong, {form}!")
    assert told.count(MARK) == 2
    assert form.strip("\"'") not in told
    assert told.startswith("the server said: 535 ")


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "\0user\0", "user:"])
def test_a_known_secret_is_found_in_base64_whatever_stands_around_it(before: str) -> None:
    login = base64.b64encode(f"{before}{PASSWORD}{before}".encode()).decode()
    assert KNOWING.text(f"AUTH PLAIN {login} refused, {login}") == f"AUTH PLAIN {MARK} refused, {MARK}"


def test_secrets_come_from_the_variables_that_are_called_so(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file\n")
    environ = {
        "API_TOKEN": "from-a-token ",
        "DATABASE_URL": "postgres://me:from%2Da-url@db/x",
        "SENTRY_DSN": "https://public@sentry.example.org/1",
        "DB_PASSWORD_FILE": str(tmp_path / "secret"),
        "OTHER_PASSWORD_FILE": "/nowhere",
        "SHORT_PASSWORD": "12345",
        "PWD": "/home/jane",
        "OLDPWD": "/home/jane/etl",
        "GREETING": "hello world",
        "TOKEN_URL": "https://login.example.org",
        "HOME_FILE": str(tmp_path / "secret"),
    }
    redactor = Redactor.of(environ, ["given-besides", "tiny"])
    for secret in ("from-a-token", "from-a-file", "from-a-url", "from%2Da-url", "given-besides"):
        assert redactor.text(f"[{secret}]") == f"[{MARK}]"
    assert redactor.text("https://public@sentry.example.org/1") == MARK
    stays = f"12345 tiny /home/jane/etl hello world https://login.example.org /nowhere {tmp_path / 'secret'}"
    assert redactor.text(stays) == stays


def test_of_secrets_that_overlap_the_longer_goes_first() -> None:
    assert Redactor.of({}, ["secret", "secret-and-more"]).text("secret-and-more") == MARK


@pytest.mark.parametrize(
    "name",
    [
        "password", "SMTP_PASSWORD", "dbPasswd", "pgpassword", "passphrase", "pwd", "MYSQL_PWD", "SMTP_PASS",
        "secret", "clientSecret", "VAULT_SECRET_ID", "token", "access_token", "API_KEY", "api-key", "apiKey",
        "APIKey", "apikey", "X-Api-Key", "PRIVATE_KEY", "aws_secret_access_key", "credentials", "credential",
        "Authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "SENTRY_DSN", "password_reset_token",
        "TOKEN_GITHUB", "PASSWORD1",
    ],
)  # fmt: skip
def test_a_name_tells_a_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "provider", "author", "monkey", "key", "primary_key", "tokens", "max_tokens", "tokenizer",
        "pass", "passed", "bypass", "compass", "secretary", "passwordless", "password_reset", "token_count",
        "SMTP_AUTH", "TOKEN_URL", "PASSWORD_FILE", "secret_name", "キー", "key_", "dsnx",
    ],
)  # fmt: skip
def test_another_name_does_not(name: str) -> None:
    assert not is_secret_name(name)


def test_an_extra_is_redacted_by_its_name_or_by_its_text() -> None:
    assert KNOWING.extra("api_key", "abc") == MARK
    assert KNOWING.extra("detail", f"tried {PASSWORD}") == f"tried {MARK}"
    assert KNOWING.extra("provider", "marketstack") == "marketstack"
    assert KNOWING.extra("password", "") == ""
    assert KNOWING.extra("password", "None") == "None"
    assert KNOWING.extra("password", "expired") == KNOWING.extra("password", "not") == MARK


def test_it_does_not_show_what_it_knows() -> None:
    assert PASSWORD not in repr(KNOWING) + repr(KNOWING._known)


@given(before=st.text(), secret=st.text(min_size=6, max_size=40), after=st.text())
def test_a_known_secret_is_in_no_text_whatever_stands_around_it(before: str, secret: str, after: str) -> None:
    assume(secret not in f"={MARK}***@" and not set(secret) <= set("[]redacted*"))
    assert secret not in Redactor.of({}, [secret]).text(f"{before}{secret}{after}")


@given(st.lists(st.one_of(st.text(max_size=3), st.sampled_from(PIECES)), max_size=14).map("".join))
def test_any_text_is_redacted_once_for_all(text: str) -> None:
    once = PLAIN.text(text)
    assert PLAIN.text(once) == once


@pytest.mark.parametrize(
    "piece",
    [
        "a", "\n", "pass", "password=", "password=,", "password=a,b", "password=)", 'password="',
        'password="\\', "password='", 'password=\\"', "password=<", "password=a&b", "password=x(",
        "password=====",
        "api key:", "key ", " key:", "authorization: ", "authorization: basic ", "cookie:a", "tok_",
        "İpassword=", "bearer ", "bearer a", "token:bearer a", "://", "://a:", "://a:@", "://:a", "p@ss ",
        "eyJ", "eyJ.", "eyJaaaaaaaa.", "4", "4111 ", "://a1", "password = a(", "token=a.", "secret=a[",
        "cEBzc", "=", "-", "-----BEGIN PRIVATE KEY-----", f"-----BEGIN {'A' * 30}", "x" * 40 + "_token:",
    ],
)  # fmt: skip
def test_a_megabyte_of_anything_is_linear_work(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    started = time.monotonic()
    KNOWING.text(text)
    assert time.monotonic() - started < 20  # quadratic work would take hours


# In one search over many texts


@given(st.lists(st.one_of(st.text(max_size=6), st.sampled_from([*PIECES, PASSWORD, "pass", "dsn", "İ"])), max_size=8))
def test_what_is_harmless_together_is_left_as_it_is_alone(texts: list[str]) -> None:
    if KNOWING.harmless("\n\0\n".join(texts)):
        assert [KNOWING.text(text) for text in texts] == texts
        assert [KNOWING.extra(text, "x1y2z3") for text in texts] == ["x1y2z3"] * len(texts)


@pytest.mark.parametrize(
    "text", [PASSWORD, "password", "TOKEN", "dsn", "bearer", "a://b", "-----BEGIN PRIVATE KEY-----", "\u0130"]
)
def test_what_may_hold_a_secret_is_not_harmless(text: str) -> None:
    assert not KNOWING.harmless(f"before {text} after")
    assert KNOWING.harmless("before and after, 5 of 100")


def test_a_name_is_only_cleaned_of_what_is_known() -> None:
    assert KNOWING.known("token:expired") == "token:expired"
    assert KNOWING.known(f"quota {PASSWORD}") == f"quota {MARK}"


# Secrets that come later


def test_a_secret_whose_file_changes_is_known_beside_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("the-first-one\n")
    environ = {"SMTP_PASSWORD_FILE": str(file)}
    redactor = Redactor.of(environ)
    file.write_text("the-second-one\n")
    assert redactor.text("the-second-one") == "the-second-one"
    redactor.learn(environ)
    assert redactor.text("the-first-one, the-second-one") == f"{MARK}, {MARK}"


def test_a_longer_secret_that_comes_later_goes_first_all_the_same() -> None:
    redactor = Redactor.of({}, ["secret"])
    redactor.learn({}, ["secret-and-more"])
    assert redactor.text("secret-and-more, secret") == f"{MARK}, {MARK}"


def test_of_secrets_that_are_changed_again_and_again_the_latest_are_known() -> None:
    redactor = Redactor.of({}, ["steady-one"])
    for number in range(3 * LATEST):
        redactor.learn({}, [f"changing-{number:04}", "steady-one"])
    assert len(redactor._known.secrets) <= LATEST + 2
    for secret in (f"changing-{3 * LATEST - 1:04}", f"changing-{2 * LATEST + 1:04}", "steady-one"):
        assert redactor.text(secret) == MARK
    assert redactor.text("changing-0000") == "changing-0000"


def test_what_is_not_new_is_not_learnt_again() -> None:
    redactor = Redactor.of({}, ["secret"])
    known = redactor._known
    redactor.learn({}, ["secret", "tiny", ""])
    assert redactor._known is known


def test_texts_that_come_again_are_searched_once_until_there_is_a_new_secret() -> None:
    asked: list[tuple[str, ...]] = []
    redactor = Redactor()

    def clean(texts: tuple[str, ...]) -> tuple[str, ...]:
        asked.append(texts)
        return tuple(map(redactor.text, texts))

    for _ in range(3):
        assert redactor.remember(("shop", "a thread of ada"), clean) == ("shop", "a thread of ada")
    assert len(asked) == 1
    redactor.learn({}, ["thread of ada"])
    assert redactor.remember(("shop", "a thread of ada"), clean) == ("shop", f"a {MARK}")


def test_what_is_remembered_is_bounded() -> None:
    redactor = Redactor()
    for number in range(3 * REMEMBERED):
        redactor.remember((f"thread-{number}",), lambda texts: texts)
    redactor.remember(("x" * (REMEMBERED_LENGTH + 1),), lambda texts: texts)
    assert 0 < len(redactor._remembered) <= REMEMBERED
    assert max(len(text) for texts in redactor._remembered for text in texts) < 20


# Card numbers


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111", "4222222222222", "4000000000000000006", "5500000000000004", "2223003122003222",
        "340000000000009", "378282246310005", "30000000000004", "36000000000008", "6011000000000004",
        "6200000000000005", "3530111333300000", "3088000000000009", "6759649826438453", "6304000000000000",
        "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "3000 000000 0004",
        "4000 0000 0000 0000 006",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "around", ["{}", "card {}.", "card={}, 12/27", "({})", '"pan": "{}"', "{} 12/27", "retry 3 of {}"]
)
def test_a_card_number_is_redacted(number: str, around: str) -> None:
    if around.startswith("retry") and not number.isdecimal():
        around = "of {}"  # what follows on a group of digits is a part of something longer, such as an IBAN
    text = around.format(number)
    assert not PLAIN.harmless(text)
    assert PLAIN.text(text) == around.format(MARK)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112", "4111 1111 1111 1112", "4111 111111111111", "4111  1111 1111 1111", "41111111111111",
        "1764040327000", "1764040327000000000", "2000000000000008", "9111111111111110", "0004111111111111111",
        "0.4111111111111111", "4111111111111111.5", "x4111111111111111", "4111111111111111x", "_4111111111111111",
        "+4222222222222", "12-4111111111111111", "12345678-4111-1111-1111-111111111111",
        "FR76 3000 6000 0112 3456 7890 189", "4bf92f3577b34da6a3ce929d0e0e4736", "41111111111111111111",
        "at 2026-11-25 03:12:07, 980 of 1000 calls", "4 111 111 111 111 111", "4111\n1111 1111 1111",
    ],
)  # fmt: skip
def test_what_only_resembles_a_card_number_stays(text: str) -> None:
    assert PLAIN.text(text) == text


@given(st.from_regex(r"[3-6][0-9]{11,18}", fullmatch=True))
def test_of_numbers_that_differ_in_the_last_digit_at_most_one_is_a_card_number(digits: str) -> None:
    redacted = [last for last in "0123456789" if PLAIN.text(digits[:-1] + last) == MARK]
    assert len(redacted) <= 1


# Tokens in URLs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://ghp0123456789abcdefghijklmnopqrst@git.example/x", "https://***@git.example/x"),
        ("https://ghp0123456789abcdefghijklmnopqrst:x-oauth-basic@git.example/x", "https://***:***@git.example/x"),
        ("https://0123456789abcdef0123456789abcdef@o1.ingest.example/2", "https://***@o1.ingest.example/2"),
        (
            "https://jane.doe.of.the.accounting.1985@example.org/",
            "https://jane.doe.of.the.accounting.1985@example.org/",
        ),
        ("https://continuous-integration@git.example/", "https://continuous-integration@git.example/"),
        ("https://jane1985@git.example/", "https://jane1985@git.example/"),
    ],
)
def test_a_token_in_the_place_of_a_urls_user_is_redacted_and_a_user_is_not(text: str, expected: str) -> None:
    assert PLAIN.text(text) == expected
    assert PLAIN.text(expected) == expected


# Lines of code, as a traceback shows them


@pytest.mark.parametrize(
    "line",
    [
        "token = next(tokens)", "    password = getpass.getpass()", 'secret = os.environ["SHOP_SECRET"]',
        "login(token=self.api_token, user=user)", "password=settings.smtp.password)",
        'headers = {"Authorization": f"Bearer {token}"}',
        "if not password: raise ConfigError", "def login(user, password=None, token=None):", "password=f'{password}'",
        "unexpected token: ';'", "password={password}",
    ],
)  # fmt: skip
def test_where_code_gets_a_secret_from_is_none(line: str) -> None:
    assert PLAIN.text(line) == line


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("password = abc(def", f"password = {MARK}"),
        ("password=next(tokens)", f"password={MARK})"),
        ("password=self.name", f"password={MARK}"),
        ('password="self.password"', f'password="{MARK}"'),
        ('secret=abc["def"]x', f'secret={MARK}"]x'),
        ("token=f'{a}-{b}'", f"token=f'{MARK}'"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl.", f"jwt {MARK}."),
    ],
)
def test_what_only_resembles_code_is_redacted(line: str, expected: str) -> None:
    assert PLAIN.text(line) == expected
