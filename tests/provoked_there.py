"""The operator's mistakes that show at the mail server, made for real: each function is named after one of them."""

from __future__ import annotations

import datetime
import socket
import ssl

from tests.behaviours import Script, drop, silence
from tests.certificates import DAY, self_signed
from tests.scenes import HEALTHY, PASSWORD, Checked, Scene, address, login, oauth, settings, token
from tests.servers import OFFERS_STARTTLS, ScriptedServer, dead_port, swallowing_port
from tests.token_server import TokenServer, refused
from tests.xoauth2 import Xoauth2

NAME = "mail.example.org"
SHORT = "0.5"
"""Seconds that an attempt may take where nobody answers."""


def plain(scene: Scene, script: Script, **variables: str) -> Checked:
    """Check against a server without TLS."""
    with ScriptedServer(script) as server:
        return scene.check(server, **variables)


def tls(scene: Scene, context: ssl.SSLContext, **variables: str) -> Checked:
    """Check against a server that offers STARTTLS, and a login inside."""
    with ScriptedServer({"EHLO": HEALTHY.replace("250 AUTH", "250-STARTTLS\n250 AUTH")}, context) as server:
        given = {"SMTP_TRANSPORT": "starttls", "SMTP_CA_FILE": scene.authority.ca_file, **variables}
        return scene.check(server, **given)


def with_login(scene: Scene, reply: str, user: str = "etl@example.org", password: str = PASSWORD) -> Checked:
    """Check against a server that answers the login so."""
    return plain(scene, {"EHLO": HEALTHY, "AUTH": reply}, **login(user, password))


# On the way


def host_unknown(scene: Scene) -> Checked:
    scene.known("mail.exmaple.org", error=_lookup("mail.nowhere.invalid"))
    return scene.check(**settings(SMTP_HOST="mail.exmaple.org"))


def _lookup(host: str) -> OSError:
    """What the system says of a name that cannot be (RFC 6761 section 6.4), or would with a name server in reach."""
    try:
        socket.getaddrinfo(host, 25)
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            return error
    return socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def name_server_away(scene: Scene) -> Checked:
    scene.known(NAME, error=socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    return scene.check(**settings())


def nobody_listens_here(scene: Scene) -> Checked:
    with dead_port() as port:
        return scene.check(**settings(SMTP_HOST="localhost", SMTP_PORT=str(port)))


def nobody_listens(scene: Scene) -> Checked:
    with dead_port() as port:
        scene.leads_to(address("127.0.0.1", port))
        return scene.check(**settings())


def port_filtered(scene: Scene) -> Checked:
    with swallowing_port() as port:
        scene.leads_to(address("127.0.0.1", port))
        return scene.check(**settings(SMTP_TIMEOUT_SECONDS=SHORT))


def no_network(scene: Scene) -> Checked:
    scene.leads_to(address("127.255.255.255"))  # a broadcast address, to which TCP has no route
    return scene.check(**settings())


def connection_lost(scene: Scene) -> Checked:
    scene.leads_to(address("fe80::1"))  # without an interface, an address of one link can't be meant
    return scene.check(**settings())


def server_slow(scene: Scene) -> Checked:
    return plain(scene, {"MAIL": silence}, SMTP_TIMEOUT_SECONDS=SHORT)


# The greeting


def starttls_at_a_tls_port(scene: Scene) -> Checked:
    with ScriptedServer(None, scene.authority.server(), implicit=True) as server:
        return scene.check(server, SMTP_TRANSPORT="starttls", SMTP_TIMEOUT_SECONDS="1")


def no_mail_server(scene: Scene) -> Checked:
    return plain(scene, {"greeting": "HTTP/1.1 400 Bad Request"})


def no_greeting(scene: Scene) -> Checked:
    return plain(scene, {"greeting": silence}, SMTP_TIMEOUT_SECONDS=SHORT)


def address_blocked(scene: Scene) -> Checked:
    return plain(scene, {"greeting": "554 5.7.1 Service unavailable; client host is on a blocklist"})


def server_busy(scene: Scene) -> Checked:
    return plain(scene, {"greeting": "421 4.7.0 Too many connections"})


def ehlo_refused(scene: Scene) -> Checked:
    return plain(scene, {"EHLO": "550 5.7.1 Access denied - Invalid HELO name"})


# TLS


def starttls_garbled(scene: Scene) -> Checked:
    return plain(scene, {"EHLO": "250-scripted.example\n250 XXXXXXXA"}, SMTP_TRANSPORT="starttls")


def relay_without_tls(scene: Scene) -> Checked:
    return plain(scene, {}, SMTP_TRANSPORT="starttls")


def starttls_not_offered(scene: Scene) -> Checked:
    return plain(scene, {"EHLO": HEALTHY}, SMTP_TRANSPORT="starttls", **login())


def tls_at_a_starttls_port(scene: Scene) -> Checked:
    return plain(scene, {}, SMTP_TRANSPORT="ssl")


def ca_file_empty(scene: Scene) -> Checked:
    path = scene.folder / "ca.pem"
    path.write_text("not a certificate")
    return tls(scene, scene.authority.server(), SMTP_CA_FILE=str(path))


def no_ca_certificates(scene: Scene) -> Checked:
    (scene.folder / "certs").mkdir()
    scene.environ(SSL_CERT_FILE=str(scene.folder / "cert.pem"), SSL_CERT_DIR=str(scene.folder / "certs"))
    return tls(scene, scene.authority.server(), SMTP_CA_FILE="")


def certificate_expired(scene: Scene) -> Checked:
    return tls(scene, scene.authority.expired())


def certificate_not_yet_valid(scene: Scene) -> Checked:
    now = datetime.datetime.now(datetime.UTC)
    return tls(scene, scene.authority.between(now + DAY, now + 90 * DAY))


def host_is_an_address(scene: Scene) -> Checked:
    return tls(scene, scene.authority.server(NAME))


def certificate_of_a_shared_host(scene: Scene) -> Checked:
    with ScriptedServer({"EHLO": OFFERS_STARTTLS}, scene.authority.server("host7.provider.example")) as server:
        scene.known(NAME, server)
        given = {"SMTP_TRANSPORT": "starttls", "SMTP_CA_FILE": scene.authority.ca_file, "SMTP_HOST": NAME}
        return scene.check(server, **given)


def certificate_self_signed(scene: Scene) -> Checked:
    return tls(scene, self_signed(scene.folder))


def ca_file_of_another(scene: Scene) -> Checked:
    return tls(scene, scene.authority.server(), SMTP_CA_FILE=scene.stranger.ca_file)


def own_authority(scene: Scene) -> Checked:
    return tls(scene, scene.authority.server(), SMTP_CA_FILE="")


def tls_too_old(scene: Scene) -> Checked:
    return tls(scene, scene.authority.outdated_protocol())


def client_certificate_wanted(scene: Scene) -> Checked:
    return tls(scene, scene.authority.wants_client_certificate())


def tls_failed(scene: Scene) -> Checked:
    with ScriptedServer({"EHLO": OFFERS_STARTTLS, "tls": drop}) as server:
        return scene.check(server, SMTP_TRANSPORT="starttls")


def certificate_ends_soon(scene: Scene) -> Checked:
    now = datetime.datetime.now(datetime.UTC)
    return tls(scene, scene.authority.between(now - DAY, now + 5 * DAY))


def mail_in_the_clear(scene: Scene) -> Checked:
    scene.distant()
    return plain(scene, {})


# The login


def token_command_fails(scene: Scene) -> Checked:
    given = {"SMTP_AUTH": "xoauth2", "SMTP_USERNAME": "etl@example.org", "SMTP_TOKEN_COMMAND": "false"}
    return scene.check(**settings(**given))


def token_server_refuses(scene: Scene) -> Checked:
    with TokenServer(refused("invalid_client")) as server:
        return scene.check(**settings(**oauth(server.url)))


def token_server_away(scene: Scene) -> Checked:
    with dead_port() as port:
        return scene.check(**settings(**oauth(f"http://127.0.0.1:{port}/token")))


def token_refused(scene: Scene) -> Checked:
    return plain(scene, Xoauth2("another.token").script, **token("ya29.token"))


def token_wanted(scene: Scene) -> Checked:
    return plain(scene, {"EHLO": "250-scripted.example\n250 AUTH XOAUTH2"}, **login())


def basic_login_turned_off(scene: Scene) -> Checked:
    return with_login(scene, "550 5.7.30 Basic authentication is not supported for Client Submission.")


def app_password_needed(scene: Scene) -> Checked:
    return with_login(scene, "534 5.7.9 Application-specific password required.")


def password_with_a_bom(scene: Scene) -> Checked:
    (scene.folder / "smtp_password").write_text(PASSWORD, encoding="utf-8-sig")
    given = {"SMTP_USERNAME": "etl", "SMTP_PASSWORD_FILE": str(scene.folder / "smtp_password")}
    return plain(scene, {"EHLO": HEALTHY, "AUTH": "535 5.7.8 no"}, **given)


def password_padded(scene: Scene) -> Checked:
    return with_login(scene, "535 5.7.8 no", password=f"{PASSWORD}\n")


def quoted_password(scene: Scene) -> Checked:
    return with_login(scene, "535 5.7.8 no", password=f"'{PASSWORD}'")


def tls_wanted(scene: Scene) -> Checked:
    return plain(scene, {"MAIL": "530 5.7.0 Must issue a STARTTLS command first"})


def user_without_domain(scene: Scene) -> Checked:
    return with_login(scene, "535 5.7.8 no", user="etl")


def password_refused(scene: Scene) -> Checked:
    return with_login(scene, f"535 5.7.8 no, not with {PASSWORD}")


def login_not_offered(scene: Scene) -> Checked:
    return plain(scene, {}, **login())


def login_of_another_kind(scene: Scene) -> Checked:
    return plain(scene, {"EHLO": "250-scripted.example\n250 AUTH GSSAPI NTLM"}, **login())


def too_many_logins(scene: Scene) -> Checked:
    return with_login(scene, "454 4.7.0 Too many login attempts, please try again later")


# The envelope


def login_wanted(scene: Scene) -> Checked:
    return plain(scene, {"MAIL": "530 5.7.0 Authentication required"})


def size_limit(scene: Scene) -> Checked:
    return plain(scene, {"EHLO": "250-scripted.example\n250 SIZE 10000"})


def sender_not_ascii(scene: Scene) -> Checked:
    return plain(scene, {}, SMTP_FROM="zoë@example.org")


def sender_domain_unknown(scene: Scene) -> Checked:
    return plain(scene, {"MAIL": "450 4.1.8 <etl@example.org>: Sender address rejected: Domain not found"})


def sender_not_allowed(scene: Scene) -> Checked:
    return plain(scene, {"MAIL": "553 5.7.1 Sender address rejected: not owned by user"})


def sender_put_off(scene: Scene) -> Checked:
    return plain(scene, {"MAIL": "451 4.3.0 try later"})


def recipient_not_ascii(scene: Scene) -> Checked:
    return plain(scene, {}, SMTP_TO="zoë@example.org")


def relaying_denied(scene: Scene) -> Checked:
    return plain(scene, {"RCPT": "554 5.7.1 <oncall@example.org>: Relay access denied"})


def mailbox_full(scene: Scene) -> Checked:
    return plain(scene, {"RCPT": "452 4.2.2 The recipient's inbox is out of storage space"})


def recipient_unknown(scene: Scene) -> Checked:
    answers = ["550 5.1.1 User unknown", "250 ok"]
    return plain(scene, {"RCPT": answers}, SMTP_TO="gone@example.org, oncall@example.org")


def recipient_put_off(scene: Scene) -> Checked:
    return plain(scene, {"RCPT": "450 4.7.1 Greylisted, try again in 5 minutes"})
