"""Lines as programs log them: with a secret in them, between « and », and with what only resembles one.

All are made up. `python -m tests.corpus` says how many of the secrets are found and how many of the others are hit.
"""

from __future__ import annotations

import re

from alertlog.redact import Redactor

SECRETS = """
2026-11-25 03:12:07 ERROR db: connection to postgresql://etl:«S3cure-Pass.Phrase»@db.internal:5432/holdings failed
redis.exceptions.ConnectionError: Error 111 connecting to redis://:«jf83hf-2k1»@cache:6379/0
sqlalchemy.exc.OperationalError: (pymysql) mysql+pymysql://root:«r00t!pw»@127.0.0.1/app?charset=utf8mb4
amqp://guest:«guest-of-the-queue»@rabbit:5672/%2F refused
mongodb+srv://svc:«p%40ss-w0rd»@cluster0.example.net/?retryWrites=true
https://jane:«hunter2hunter2»@example.org/private/report.csv
GET https://api.example.com/v1/eod?access_key=«0123456789abcdef0123456789abcdef»&symbols=AAPL
GET https://maps.example.com/api?address=Paris&api_key=«AIzaSyD-fake-fake-fake-fake-fake-1234»
POST /oauth/token?client_id=etl&client_secret=«Zm9vYmFyYmF6cXV4» 401
GET /callback?code=4711&refresh_token=«1//0gabcdefghijklmnop» HTTP/1.1
"GET /login?user=jane&password=«letmein123» HTTP/1.1" 200 512
requests.exceptions.HTTPError: 403 for url: https://api.example.com/?token=«ghp_16C7e42F292c6912E7710c838347Ae178B4a»
git clone https://«ghp0123456789abcdefghijklmnopqrstuvwxyz12»@git.example.com/etl.git
git clone https://«glpat0123456789abcdefghij:x-oauth-basic»@git.example.com/etl.git
dsn: https://«0123456789abcdef0123456789abcdef»@o1.ingest.example.io/42
Authorization: Bearer «eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U»
authorization: Basic «ZXRsOmNvcnJlY3QgaG9yc2U=»
Proxy-Authorization: «Digest username="etl", realm="x", nonce="abc", response="6629fae49393a05397450978507c4ef1"»
curl -H 'Authorization: Bearer «sk-proj-abcdef0123456789»' https://api.example.com
headers={'Authorization': '«Token 9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b»', 'Accept': '*/*'}
the proxy forwarded bearer «mF_9.B5f-4.1JqM» to the backend
Set-Cookie: «sessionid=38afes7a8; HttpOnly; Path=/»
Cookie: «csrftoken=abc123; sessionid=38afes7a8»
X-Api-Key: «b7c1e6f0-8d1e-4a57-9f3f-0d3f6f5e7c11»
x-auth-token=«f0e1d2c3b4a5»
{"username": "etl", "password": "«correct horse battery staple»", "host": "db"}
{'api_key': '«k-live-998877»', 'symbols': ['AAPL', 'MSFT']}
{"config": {"apiKey": "«AbCdEf123456»", "retries": 3}}
{\\"client_secret\\": \\"«GOCSPX-abcdef»\\", \\"grant_type\\": \\"password\\"}
connect(host='db', user='etl', password="«pa55'word»", dbname='x')
psycopg2.OperationalError: connection failed: host=db user=etl password=«tr0ub4dor&3» dbname=holdings
Server=db;Database=etl;User Id=sa;Password=«Str0ng!Passw0rd»;Encrypt=yes
UID=sa;PWD=«abc!def»;DATABASE=x
Driver={SQL Server};Uid=etl;Pwd=«{p;w}»;
SMTP_PASSWORD=«smtp-secret-1» is used for smtp.example.org
export AWS_SECRET_ACCESS_KEY=«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»
aws_access_key_id = «AKIAIOSFODNN7EXAMPLE»
aws_session_token: «FwoGZXIvYXdzEBYaDK»
secret_key: «s3cr3t-django-key-with-$ymbols»
DJANGO_SECRET=«zq!x-9»
passphrase="«open sesame please»"
passwd: «qwerty12»
MYSQL_PWD=«abcdef» mysqldump etl
GITHUB_TOKEN=«ghs_abcdefghij0123456789»
TELEGRAM_BOT_TOKEN: «110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw»
SLACK_WEBHOOK_SECRET = «shhh-8f742231b10e»
Invalid API key: «Q1W2E3R4T5»
private key = «MC4CAQAwBQYDK2VwBCIEIJ»
encryption_key=«0x1f2e3d4c5b6a»
signing-key: «hs256-abc»
auth_key=>«ruby-hash-1»
pgpassword := «go-style-1»
credentials=«etl:abcdef»
db.password=«spring-boot-1»
spring.datasource.hikari.password: «yaml-style»
password = «abc» # from vault
-----BEGIN RSA PRIVATE KEY-----\\nMIIEpAIBAAKCAQEA7bq«9fX»\\n-----END RSA PRIVATE KEY-----
-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE«bm9uZQ» -----END OPENSSH PRIVATE KEY-----
-----BEGIN EC PRIVATE KEY----- MHcCAQEEIK«ZG9n»
card «4111 1111 1111 1111» was declined
payment with «5500000000000004» failed: insufficient funds
pan=«378282246310005» exp=12/27
{"card": "«6011-0000-0000-0004»", "amount": 12.5}
charge «4000056655665556» for order 4711
AMEX «3782 822463 10005», holder Ada Lovelace
Diners «3056 930902 5904»
login(user='etl', token='«a.b.c»')
session_token=«1f2e3d», user=ada
Login with password «hunter2» failed
the password is «hunter2»
using key «sk_live_abcdefghijklmnop0123»
ghp_«16C7e42F292c6912E7710c838347Ae178B4a» was rejected
jwt «eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl» has expired
AKIA«IOSFODNN7EXAMPLE» is not authorized
ssh: Enter passphrase for key '/home/etl/.ssh/id_rsa': «abc123»
token «abc123def456» has expired
secret «s3cr3t» was found in the log
pin: «4711»
""".strip().splitlines()

NEAR_MISSES = """
2026-11-25 03:12:07,980 CRITICAL portfolio_etl.pipeline: Quota used: 980 of 1000 calls (98 %)
No price for 2 tickers: SHOP.TO, ZZZ.TO
KeyError: 'AAPL'
KeyError: 'password'
ValueError: password must be longer than 8 characters
SMTP_PASSWORD: is required, and not set
the password has expired; it was changed 91 days ago
Password reset mail sent to jane@example.org
password authentication failed for user "etl"
FATAL: password authentication failed
access token expired, refreshing
token bucket: 5 of 30 tokens left
InvalidTokenError: Signature has expired
tokenizer: loaded 50257 tokens in 0.3 s
max_tokens=512 temperature=0.2 total_tokens: 1234
completion_tokens=99, prompt_tokens=12
unexpected token: ';' at line 3
SyntaxError: Unexpected token } in JSON at position 42
primary key: 5 violates constraint "holdings_pkey"
duplicate key value violates unique constraint "prices_ticker_key"
DETAIL: Key (ticker, day)=(AAPL, 2026-11-25) already exists.
foreign key (ticker) references tickers
cache key=prices:AAPL:2026-11-25 missed
sort key: price, partition key: ticker
press any key: continue
keyboard layout: fr
monkey patching: on
secretary: Jane Doe
author: Ada Lovelace
authors=3, authority: high
authorized: yes
authentication: kerberos
the cookie banner was shown
cookies: 3
cookie_policy=strict
compass: north, trespass: no
bypass=1, passthrough: on
passed: 12, failed: 3
pass: 12
passengers: 240
PWD=/home/etl OLDPWD=/tmp
passwordless: yes
PASSWORD_FILE=/run/secrets/smtp_password
SMTP_PASSWORD_FILE: /run/secrets/smtp_password
token_url=https://login.example.org/oauth/token
secret_name=prod/etl/db
secret-path: kv/data/etl
api_key_header: X-Api-Key
password_policy=strict, password_min: 12
def connect(host: str, password: str | None = None) -> Connection:
def login(user, password=None, token=None):
    password=None,
    password: str = field(repr=False)
    token = next(tokens)
    token = self._read_token()
    secret = os.environ["SHOP_SECRET"]
    password = getpass.getpass()
    api_key = settings.api_key
    headers = {"Authorization": f"Bearer {token}"}
if not password: raise ConfigError
Token::parse failed
the bearer of bad news
bearer authentication is not supported here
dsn=5.7.1, status=bounced (550 5.7.1 spam)
to=<ops@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.3, dsn=2.0.0, status=sent
http://localhost:8080/a@b.org
see https://jane@example.org/~jane/ for more
ssh://git@github.example:22/etl.git
git@github.example:etl/etl.git
https://example.org:8443/prices?symbol=AAPL&day=2026-11-25
https://john.smith.accounting@example.org/
file:///var/lib/etl/prices.csv
postgresql://db.internal:5432/holdings
postgresql://etl@db.internal/holdings
redis://cache:6379/0
mail from etl@example.org to ops@example.org
-----BEGIN CERTIFICATE-----\\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBg\\n-----END CERTIFICATE-----
-----BEGIN PUBLIC KEY----- MFkwEwYHKoZIzj0CAQYI -----END PUBLIC KEY-----
sha256:4bf92f3577b34da6a3ce929d0e0e47364bf92f3577b34da6a3ce929d0e0e4736
commit 8a21e8a4bf92f3577b34da6a3ce929d0e0e4736a
trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7
request id 6f1f0d9e-6f0a-4a0e-9d39-0f6a7c1f2b3c took 1234.5678 ms
etag: "33a64df551425fcc55e4d42a148795d9f25f89d4"
uuid 41111111-1111-4111-8111-111111111111
order 4711 of 1234567890123
timestamp 1764040327123 ms, 1764040327123456 us, 1764040327123456789 ns
ISBN 978-3-16-148410-0
IBAN DE89 3704 0044 0532 0130 00
IBAN FR76 3000 6000 0112 3456 7890 189
IBAN GB29NWBK60161331926819
phone +33 6 12 34 56 78, +4915112345678
coordinates 48.8566969 2.3514616
3.141592653589793 2.718281828459045
total 4111111111111112 units
serial 4111 1111 1111 1112
tweet 1234567890123456789
discord 397264519348817920
memory 0x7f90fc5adb50, 16777216 bytes
version 3.11.7.20260101
192.168.100.200 192.168.100.201 192.168.100.202
MAC 00:1A:2B:3C:4D:5E
2026-11-25 2026-11-26 2026-11-27 2026-11-28
1234 5678 9012 3456
6011 users, 4111 sessions, 1111 errors
balance: 1,234,567,890,123.45
rows 5105105105105101
order 5105105105105100 was paid
invoice 6304000000000000 was sent
secret: none
token: true
credential=null
the secret: patience
key: 5
API key: missing
secrets: 3 found
token: expired
password: rejected
""".strip().splitlines()

MISSED = (
    "Driver={SQL Server};Uid=etl;Pwd=«{p;w}»;",
    "Login with password «hunter2» failed",
    "the password is «hunter2»",
    "using key «sk_live_abcdefghijklmnop0123»",
    "ghp_«16C7e42F292c6912E7710c838347Ae178B4a» was rejected",
    "AKIA«IOSFODNN7EXAMPLE» is not authorized",
    "ssh: Enter passphrase for key '/home/etl/.ssh/id_rsa': «abc123»",
    "token «abc123def456» has expired",
    "secret «s3cr3t» was found in the log",
    "pin: «4711»",
)
"""Secrets that are not found where nothing else knows them: no name stands right before them."""
HIT = (
    "PWD=/home/etl OLDPWD=/tmp",
    "order 5105105105105100 was paid",
    "invoice 6304000000000000 was sent",
    "the secret: patience",
)
"""What is no secret, and is taken for one: by its name, or by a number that is a card's in all but its meaning."""

SECRET = re.compile("«(.*?)»")


def plain(line: str) -> str:
    """Return a line as it was logged."""
    return line.replace("«", "").replace("»", "")


def missed(redactor: Redactor) -> list[str]:
    """Return the lines in which some of the secret is left, or in which what stands before it is gone."""
    return [line for line in SECRETS if not _is_found(line, redactor.text(plain(line)))]


def _is_found(line: str, told: str) -> bool:
    (secret,) = SECRET.findall(line)
    before, _, after = line.partition("«")
    begins = "" if "-----BEGIN" in before else plain(before)
    ends = "" if "-----BEGIN" in before else after.partition("»")[2]
    whole = told.startswith(begins) and told.endswith(ends)
    return whole and secret not in told and secret[-4:] not in told[len(begins) :]


def hit(redactor: Redactor) -> list[str]:
    """Return the lines without a secret that are not left as they are."""
    return [line for line in NEAR_MISSES if redactor.text(line) != line]


def main() -> None:
    redactor = Redactor()
    print(f"{len(SECRETS)} secrets, not found: {len(missed(redactor))}")
    print("".join(f"  {line}\n" for line in missed(redactor)), end="")
    print(f"{len(NEAR_MISSES)} others, taken for a secret: {len(hit(redactor))}")
    print("".join(f"  {line}\n    {redactor.text(line)}\n" for line in hit(redactor)), end="")


if __name__ == "__main__":
    main()
