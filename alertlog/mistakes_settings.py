"""The mistakes that are made in the configuration and in the environment.

Each is a row of the table in the documentation, under the same name; a test provokes each of them.
"""

from __future__ import annotations

from alertlog.advice import Rule

OF_THE_CONFIGURATION = (
    Rule(
        "no-configuration",
        "configuration",
        "there is no {default} in {folder}: the environment alone counts, and its outbox, {outbox}",
        "run the command in the program's folder, or name its configuration by --config",
        marks=("none",),
    ),
    Rule(
        "no-handler",
        "configuration",
        "the configuration that was read has no alertlog.AlertHandler",
        "add one to its handlers, or name the right configuration by --config",
        said="has no handler of the class",
    ),
    Rule(
        "yaml-not-installed",
        "configuration",
        "a YAML file is read by PyYAML, which is not installed beside alertlog",
        "pip install 'alertlog[yaml]', in the same environment",
        said="takes PyYAML",
    ),
    Rule(
        "secret-in-configuration",
        "configuration",
        "a secret stands in the configuration, where alertlog takes none",
        "remove it there, and set it in the environment",
        said="secrets come from the environment only",
    ),
    Rule(
        "configuration-wrong",
        "configuration",
        "the configuration can't be read, or something in it is wrong",
        "correct what the line above names",
    ),
)

OF_THE_TEMPLATES = (
    Rule(
        "no-templates",
        "templates",
        "the folder {folder} is not there, or holds neither letter.txt nor letter.html; mails have alertlog's layout",
        "bring the folder to where the program runs, or correct the handler's argument templates",
        said="holds neither",
    ),
    Rule(
        "template-fails",
        "templates",
        "a template in {folder} fails, and mails have alertlog's own in its place: {problem}",
        "repair it: alertlog preview shows what it makes",
    ),
)

OF_THE_SETTINGS = (
    Rule(
        "not-set",
        "settings",
        "{variable} is not set where this command runs",
        "set it for the program and for this command, by env_file or environment in Compose;"
        " cron has no environment but its own",
        said="^is required",
    ),
    Rule(
        "value-and-file",
        "settings",
        "{variable} and {variable}_FILE are both set",
        "remove one of them",
        said="_FILE is set too",
    ),
    Rule(
        "secret-not-mounted",
        "settings",
        "the file that {variable}_FILE names is not there",
        "mount it (in Compose by secrets), or correct the path",
        said="_FILE names a file that can't be read: no such file",
    ),
    Rule(
        "secret-not-readable",
        "settings",
        "user {user} may not read the file that {variable}_FILE names",
        "give the file to the user that the program runs as: chown {user}, mode 0400",
        said="_FILE names a file that can't be read: permission denied",
    ),
    Rule(
        "quoted-value",
        "settings",
        "{variable} stands in quotation marks, which count: docker run --env-file leaves them where they are",
        "write the value without them",
        marks=("quoted",),
    ),
    Rule(
        "host-is-a-url",
        "settings",
        "{variable} is a URL",
        "give the server's name alone, such as mail.example.org",
        said="has a scheme",
    ),
    Rule(
        "host-with-port",
        "settings",
        "{variable} has a port in it",
        "give the name alone, and the port as {p}PORT",
        said="has a port",
    ),
    Rule(
        "transport-unknown",
        "settings",
        "{variable} is none of the transports",
        "set it to starttls (port 587) or ssl (port 465)",
        said="has to be starttls, ssl or none",
    ),
    Rule(
        "half-a-login",
        "settings",
        "what logs in is not whole: {variable} {problem}",
        "set it: a password goes with {p}USERNAME and {p}PASSWORD, a token with {p}AUTH=xoauth2, {p}USERNAME"
        " and where it comes from",
        said="they go together|AUTH is|one of them is needed",
        marks=("empty",),
    ),
    Rule(
        "two-logins",
        "settings",
        "there are settings of two ways to log in: {variable} {problem}",
        "keep those of one: a password, or with {p}AUTH=xoauth2 a token from one place",
        said="is set too: one of them|AUTH is",
    ),
    Rule(
        "oauth-not-installed",
        "settings",
        "a token server is asked by a library that is not installed beside alertlog",
        "pip install 'alertlog[oauth]', in the same environment",
        said="needs the extra",
    ),
    Rule(
        "login-in-the-clear",
        "settings",
        "without TLS anybody on the way could read the password",
        "set {p}TRANSPORT to starttls or ssl",
        said="would show",
    ),
    Rule(
        "semicolons",
        "settings",
        "the addresses in {variable} are separated by semicolons",
        "separate them by commas",
        marks=("semicolon",),
    ),
    Rule(
        "address-wrong",
        "settings",
        "{variable} holds what is no mail address",
        "write user@domain or Name <user@domain>, several of them separated by commas",
        marks=("address",),
    ),
    Rule(
        "ca-file-missing",
        "settings",
        "the file that {variable} names can't be read",
        "mount it, or correct the path; for a server with a public certificate remove the variable",
        marks=("CA_FILE",),
    ),
    Rule(
        "value-wrong",
        "settings",
        "{variable} {problem}",
        "correct it",
    ),
    Rule(
        "password-with-a-bom",
        "password",
        "the password begins with a byte order mark, and that counts",
        "save its file as UTF-8 without that mark, as by printf %s",
        marks=("byte order mark",),
    ),
    Rule(
        "password-padded",
        "password",
        "the password begins or ends with a space or a line break, and these count",
        "write it anew, as by printf %s; only one line break at the end of a file does not count",
        marks=("padded",),
    ),
    Rule(
        "quoted-password",
        "password",
        "the password stands in quotation marks, and these count",
        "write it without them",
        marks=("quoted",),
    ),
    Rule(
        "starttls-at-a-tls-port",
        "port",
        "port {port} mostly wants TLS from the first byte, and {p}TRANSPORT is {transport}",
        "set {p}TRANSPORT=ssl, or {p}PORT=587",
        marks=("465", "not ssl"),
    ),
    Rule(
        "tls-at-a-starttls-port",
        "port",
        "port {port} mostly wants STARTTLS, and {p}TRANSPORT is ssl",
        "set {p}TRANSPORT=starttls, or {p}PORT=465",
        marks=("587", "ssl"),
    ),
)
