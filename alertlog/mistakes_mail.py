"""The mistakes that show once the mail server listens: login, sender, recipients, sizes; what its answers mean.

Each is a row of the table in the documentation, under the same name; a test provokes each of them.
"""

from __future__ import annotations

from alertlog.advice import Rule
from alertlog.mistakes_way import ADDRESS_BLOCKED

_WANTS_TLS = "STARTTLS|encryption required|secure connection"

_APP_PASSWORD = (
    "this provider lets programs in by an app password only, not by the account's own",
    "make one in the account's security settings and put it into {p}PASSWORD",
)

IN_THE_LOGIN = (
    Rule(
        "token-command-fails",
        "token",
        "the token command fails, or prints no token",
        "run it by hand as the program's user: it has to print the token alone, or JSON with access_token",
        said="^the token command",
    ),
    Rule(
        "token-server-refuses",
        "token",
        "the token server does not know this client, or refuses its secret or its refresh token",
        "check {p}OAUTH_CLIENT_ID, {p}OAUTH_CLIENT_SECRET, {p}OAUTH_SCOPE and {p}OAUTH_REFRESH_TOKEN;"
        " secrets end after some months",
        said="answered with HTTP 4",
    ),
    Rule(
        "token-server-away",
        "token",
        "no token is to be had from the token server",
        "check {p}OAUTH_TOKEN_URL, and that this machine reaches it",
    ),
    Rule(
        "token-refused",
        "auth",
        "the server refuses the token",
        "have one issued for the mailbox that {p}USERNAME names, and for SMTP: scope https://mail.google.com/"
        " or https://outlook.office365.com/.default; at Microsoft, SMTP AUTH has to be allowed for the mailbox",
        marks=("xoauth2",),
        codes=(5,),
    ),
    Rule(
        "basic-login-turned-off",
        "auth",
        "Microsoft 365 takes no user name and password from this account any more",
        "log in by a token: {p}AUTH=xoauth2, with the application permission SMTP.SendAsApp;"
        " or have the administrator allow SMTP AUTH for the mailbox",
        said=r"5\.7\.30|5\.7\.139|basic authentication is (not supported|disabled)|SmtpClientAuthentication",
    ),
    Rule(
        "app-password-needed",
        "auth",
        *_APP_PASSWORD,
        said=r"app(lication)?[- ]?specific password|app password|5\.7\.9\b|5\.7\.14|BadCredentials|AUTH005|MBR1240",
    ),
    Rule(
        "password-with-a-bom",
        "auth",
        "the login is refused, and the password begins with a byte order mark, which counts",
        "save its file as UTF-8 without that mark, as by printf %s",
        marks=("byte order mark",),
        codes=(5,),
    ),
    Rule(
        "password-padded",
        "auth",
        "the login is refused, and the password begins or ends with a space or a line break, which count",
        "write it anew, as by printf %s; only one line break at the end of a file does not count",
        marks=("padded",),
        codes=(5,),
    ),
    Rule(
        "quoted-password",
        "auth",
        "the login is refused, and the password stands in quotation marks, which count",
        "write it without them",
        marks=("quoted",),
        codes=(5,),
    ),
    Rule("tls-wanted", "auth", "the server wants TLS first", "set {p}TRANSPORT=starttls", said=_WANTS_TLS),
    Rule("app-password-needed", "auth", *_APP_PASSWORD, marks=("app passwords",), codes=(535,)),
    Rule(
        "user-without-domain",
        "auth",
        "the login is refused, and {p}USERNAME is not a whole address",
        "most providers want the whole address there; check the password too",
        marks=("short user",),
        codes=(535,),
    ),
    Rule(
        "password-refused",
        "auth",
        "the server refuses this user name with this password",
        "check {p}USERNAME and {p}PASSWORD; after a change of the password, the new one has to be here too",
        codes=(5,),
    ),
    Rule(
        "login-not-offered",
        "auth",
        "the server offers no login at port {port}",
        "use the port for submission, mostly 587; for a relay that needs no login, remove {p}USERNAME and {p}PASSWORD",
        marks=("no login offered",),
    ),
    Rule(
        "token-wanted",
        "auth",
        "the server takes tokens only, by XOAUTH2, and no passwords",
        "set {p}AUTH=xoauth2, and where the token comes from: {p}TOKEN_COMMAND, or {p}OAUTH_TOKEN_URL and what goes"
        " with it",
        said="offers no login",
        marks=("offers xoauth2", "by password"),
    ),
    Rule(
        "login-of-another-kind",
        "auth",
        "the server offers other logins than are set up here: {mechanisms}",
        "ask the server's operator for one by a password, or a token",
        said="offers no login",
    ),
    Rule(
        "login-in-the-clear",
        "login",
        "the password crosses the network without TLS: {p}INSECURE_LOGIN allows it",
        "set {p}TRANSPORT to starttls or ssl",
    ),
    Rule(
        "too-many-logins",
        "auth",
        "the server takes no login at the moment, mostly after too many of them",
        "wait; then correct user name and password if they were refused before",
    ),
)

_RELAYING_DENIED = (
    "the server takes mail to {recipient} from its own users only",
    "log in: {p}USERNAME and {p}PASSWORD; or use your own provider's server",
)

IN_THE_ENVELOPE = (
    Rule("tls-wanted", "mail", "the server wants TLS first", "set {p}TRANSPORT=starttls", said=_WANTS_TLS),
    Rule(
        "login-wanted",
        "mail",
        "the server wants a login before it takes mail",
        "set {p}USERNAME and {p}PASSWORD",
        marks=("no login",),
        said=r"\b530\b|\bauth|log ?in|not authenticated",
    ),
    Rule(
        "size-limit",
        "mail",
        "the server takes mails of {limit} bytes at most, and one of alertlog's has up to {size}",
        "have the limit raised; until then larger ones are sent shorter",
        codes=(552,),
    ),
    Rule(
        "size-limit",
        "size",
        "the server takes mails of {limit} bytes at most, and one of alertlog's has up to {size}",
        "have the limit raised; until then larger ones are sent shorter",
    ),
    Rule(
        "sender-not-ascii",
        "mail",
        "{sender} is not ASCII, which this server can't send",
        "set {p}FROM to an address in ASCII letters",
        said="SMTPUTF8",
    ),
    Rule(
        "sender-domain-unknown",
        "mail",
        "the server finds no domain for the sender {sender}",
        "set {p}FROM to an address of a domain that there is",
        said=r"5\.1\.8|4\.1\.8|domain (not found|does not|of sender)|unresolv|no MX",
    ),
    Rule(
        "sender-not-allowed",
        "mail",
        "this account may not send as {sender}",
        "set {p}FROM to the account's own address, or have the server allow this one",
        codes=(5,),
    ),
    Rule(
        "sender-put-off",
        "mail",
        "the server does not take mail from {sender} at the moment",
        "nothing, unless it stays so: alerts are kept and tried again",
    ),
    Rule(
        "recipient-not-ascii",
        "rcpt",
        "{recipient} is not ASCII, which this server can't send to",
        "give an address in ASCII letters in {p}TO",
        said="SMTPUTF8",
    ),
    Rule("address-blocked", "rcpt", *ADDRESS_BLOCKED, said=r"blocked|block ?list|black ?list|spamhaus|\bRBL\b"),
    Rule("relaying-denied", "rcpt", *_RELAYING_DENIED, said=r"relay|\bauthenticat|\blog ?in\b"),
    Rule(
        "relaying-denied",
        "rcpt",
        *_RELAYING_DENIED,
        said="access denied|host rejected|not permitted",
        marks=("no login",),
    ),
    Rule(
        "mailbox-full",
        "rcpt",
        "the mailbox of {recipient} is full",
        "have it cleared, or give another address in {p}TO",
        said=r"[45]\.2\.2|mailbox (is )?full|quota",
    ),
    Rule(
        "recipient-unknown",
        "rcpt",
        "the server does not take mail for {recipient}",
        "correct it in {p}TO; the others still get their mail",
        marks=("others",),
        codes=(5,),
    ),
    Rule(
        "recipient-unknown",
        "rcpt",
        "the server does not take mail for {recipient}",
        "correct it in {p}TO",
        codes=(5,),
    ),
    Rule(
        "recipient-put-off",
        "rcpt",
        "the server does not take mail for {recipient} at the moment: greylisting, mostly",
        "nothing, unless it stays so: that recipient is tried again",
    ),
)
