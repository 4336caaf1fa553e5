"""The mistakes that show on the way to the mail server: name, connection, greeting, TLS.

Each is a row of the table in the documentation, under the same name; a test provokes each of them.
"""

from __future__ import annotations

from alertlog.advice import Rule

_CONNECTION_LOST = (
    "the connection did not come about, or broke",
    "try again; if it stays so, check {p}HOST, {p}PORT and what is on the way",
)

ON_THE_WAY = (
    Rule(
        "host-unknown",
        "name",
        "there is no host of the name {host}",
        "correct {p}HOST; in Compose, a service is known by its own name within its network only",
        marks=("no such name",),
    ),
    Rule(
        "name-server-away",
        "name",
        "no name server answers",
        "check the network of this machine or container, and its DNS servers",
    ),
    Rule(
        "nobody-listens-here",
        "connect",
        "nothing listens at port {port} of {host}, this machine; in a container, that is the container itself",
        "check that the server runs here, and {p}PORT; in a container, set {p}HOST to the mail server's name:"
        " in Compose its service's, for the host host.docker.internal",
        marks=("refused", "loopback"),
    ),
    Rule(
        "nobody-listens",
        "connect",
        "nothing listens at port {port} of {host}",
        "check {p}PORT: mostly 587 for starttls, 465 for ssl; and that the server runs",
        marks=("refused",),
    ),
    Rule(
        "port-filtered",
        "connect",
        "nothing comes back from port {port} of {host}: a firewall drops it; many providers close port 25",
        "use port 587 or 465, or have the port opened",
        marks=("timeout",),
    ),
    Rule(
        "no-network",
        "connect",
        "there is no way from here to {host}",
        "give this machine or container a network that leads there; network_mode: none has none",
        marks=("unreachable",),
    ),
    Rule("connection-lost", "connect", *_CONNECTION_LOST),
    Rule(
        "server-slow",
        "session",
        "the server greeted, and then was not done within {timeout} s",
        "raise {p}TIMEOUT_SECONDS; if it stays so, ask the server's operator",
        marks=("timeout",),
    ),
    Rule("connection-lost", "session", *_CONNECTION_LOST),
)

ADDRESS_BLOCKED = (
    "the server takes nothing from this machine's address",
    "send through your provider's server with a login, at port 587;"
    " or have the address taken off the list that it names",
)
"""Cause and change; many servers say so at the recipients only."""

IN_THE_GREETING = (
    Rule(
        "starttls-at-a-tls-port",
        "greeting",
        "port {port} wants TLS from the first byte, and {p}TRANSPORT is {transport}",
        "set {p}TRANSPORT=ssl, or {p}PORT to the server's port for STARTTLS, mostly 587",
        marks=("tls at once",),
    ),
    Rule(
        "no-mail-server",
        "greeting",
        "what listens at port {port} is no mail server",
        "check {p}HOST and {p}PORT",
        said="not an SMTP reply",
    ),
    Rule(
        "no-greeting",
        "greeting",
        "the server took the connection, and did not greet within {timeout} s",
        "raise {p}TIMEOUT_SECONDS if it is slow; if it never greets, something between filters the port",
        marks=("timeout",),
    ),
    Rule("address-blocked", "greeting", *ADDRESS_BLOCKED, codes=(5,)),
    Rule(
        "server-busy",
        "greeting",
        "the server does not take anything at the moment",
        "nothing, unless it stays so: alerts are kept and tried again",
    ),
    Rule(
        "ehlo-refused",
        "ehlo",
        "the server did not let this machine introduce itself",
        "check that this machine's host name is one that its own address has",
    ),
)

IN_TLS = (
    Rule(
        "starttls-garbled",
        "starttls",
        "something between here and the server takes STARTTLS out of what it offers",
        "turn off the firewall's inspection of SMTP, or use {p}TRANSPORT=ssl at port 465",
        marks=("garbled",),
    ),
    Rule(
        "relay-without-tls",
        "starttls",
        "the relay on this machine offers no STARTTLS",
        "set {p}TRANSPORT=none: to this very machine mail may go without",
        said="does not offer STARTTLS",
        marks=("loopback", "no login"),
    ),
    Rule(
        "starttls-not-offered",
        "starttls",
        "the server offers no STARTTLS at port {port}",
        "set {p}TRANSPORT=ssl with port 465, or {p}PORT to the one for STARTTLS, mostly 587",
    ),
    Rule(
        "tls-at-a-starttls-port",
        "tls",
        "port {port} begins without TLS, and {p}TRANSPORT is ssl",
        "set {p}TRANSPORT=starttls, or {p}PORT to the server's port for TLS, mostly 465",
        said="wrong version number|packet length|record layer|http request",
        marks=("ssl",),
    ),
    Rule(
        "ca-file-empty",
        "tls",
        "a file of certificates holds none, or a key does not fit",
        "write the authority's certificate into {p}CA_FILE, in PEM: it begins with -----BEGIN CERTIFICATE-----",
        said="certificates cannot be loaded",
    ),
    Rule(
        "no-ca-certificates",
        "tls",
        "this system has no certificates of authorities: a slim image mostly has none",
        "install ca-certificates (apt-get or apk), or set {p}CA_FILE",
        said="certificate is not trusted",
        marks=("no CAs",),
    ),
    Rule(
        "certificate-expired",
        "tls",
        "the server's certificate ended on {ends}, and this machine's clock says {now}",
        "have the server's certificate renewed; if the clock is wrong, set it",
        said="has expired",
    ),
    Rule(
        "certificate-not-yet-valid",
        "tls",
        "the server's certificate begins on {begins}, and this machine's clock says {now}",
        "set this machine's clock, and have it kept by NTP",
        said="not yet valid",
    ),
    Rule(
        "host-is-an-address",
        "tls",
        "the certificate is for {names}, and {p}HOST is the address {host}",
        "set {p}HOST to one of these names",
        said="mismatch",
        marks=("address",),
    ),
    Rule(
        "certificate-of-a-shared-host",
        "tls",
        "the certificate is for {names}, not for {host}",
        "set {p}HOST to the name of the provider's server that is in the certificate",
        said="mismatch",
    ),
    Rule(
        "certificate-self-signed",
        "tls",
        "nobody vouches for the server but itself: its certificate is self-signed",
        "give the server one of an authority, or save this one in a file and name that by {p}CA_FILE",
        said="certificate is not trusted",
        marks=("self-signed",),
    ),
    Rule(
        "ca-file-of-another",
        "tls",
        "{issuer} vouches for the server, and {p}CA_FILE is of somebody else",
        "put the certificate of {issuer} into {p}CA_FILE",
        said="certificate is not trusted",
        marks=("CA file",),
    ),
    Rule(
        "own-authority",
        "tls",
        "{issuer} vouches for the server, whom this system does not know:"
        " an authority of one's own, or a device on the way that opens TLS",
        "save the authority's certificate in a file and name that by {p}CA_FILE",
        said="certificate is not trusted",
    ),
    Rule(
        "tls-too-old",
        "tls",
        "the server speaks no TLS as new as 1.2",
        "have the server brought up to date; alertlog speaks nothing older",
        said="no TLS with .*(unsupported protocol|protocol version|no protocols|no shared cipher|version too low)",
    ),
    Rule(
        "client-certificate-wanted",
        "tls",
        "the server wants to see a certificate of this machine's",
        "name its key and certificate by the handler's argument secure",
        said="no TLS with .*(certificate required|handshake failure)",
    ),
    Rule(
        "tls-failed",
        "tls",
        "TLS did not come about",
        "try again; if it stays so, something on the way breaks it",
    ),
    Rule(
        "certificate-ends-soon",
        "certificate",
        "the server's certificate ends in {left}, on {ends}",
        "have it renewed before that",
    ),
    Rule(
        "mail-in-the-clear",
        "plain",
        "anybody on the way to {address} can read the mail: {p}TRANSPORT is none",
        "set {p}TRANSPORT to starttls or ssl",
    ),
)
