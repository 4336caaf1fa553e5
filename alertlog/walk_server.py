"""The steps of a check from the mail server's name to its answer for each recipient, on the very way of a letter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from alertlog.advice import Seen
from alertlog.certificate import read_certificate
from alertlog.diagnosis import LARGEST, Diagnosis, words_of
from alertlog.errors import Category, DeliveryError
from alertlog.listing import number
from alertlog.network import NETWORK, Network, reached
from alertlog.receipts import Refusal
from alertlog.smtp import Session, connect
from alertlog.steps import Step, Stopwatch, Tell
from alertlog.walk_settings import token_of
from alertlog.wire import Address, BoundedSocket, Deadline, is_address, is_loopback

if TYPE_CHECKING:
    from alertlog.clock import Clock
    from alertlog.opening import Peer
    from alertlog.settings import SmtpSettings

TYPICAL = 50_000
"""Bytes of the letter that the server is asked about."""
SOON = 21
"""Days before its end from which a certificate is warned of."""
DAY = 86_400

STEPS = {
    "ehlo": "capabilities",
    "starttls": "tls",
    "auth": "login",
    "mail": "sender",
    "rcpt": "recipient",
    "rset": "recipient",
}
"""The step of a check by the stage of a session, where it has another name."""

_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}")


class ServerWalk:
    """One walk to one server. Used once.

    Attributes:
        skew: seconds by which this machine's clock is ahead of the server's; None where that does not say.
    """

    def __init__(self, settings: SmtpSettings, clock: Clock, tell: Tell, network: Network = NETWORK) -> None:
        self.skew: float | None = None
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._network = network
        self._watch = Stopwatch(clock)
        self._diagnosis = Diagnosis(settings, clock, self._dial_again)
        self._addresses: Sequence[Address] = ()
        self._raw: OSError | None = None
        self._peer: Peer | None = None
        self._told: set[str] = set()

    def walk(self) -> bool:
        """Go all the way; return whether nothing stopped a mail, for one recipient at least."""
        self._watch.lap()
        try:
            with connect(self._settings, self._clock, dial=self._dial, watch=self._reached) as session:
                self._inside(session.peer)
                return self._rehearse(session)
        except DeliveryError as error:
            self._fail(error)
            return False

    def _say(self, name: str, text: str, category: Category | None = None, **more: Any) -> None:
        self._told.add(name)
        self._met(Step(name, text, category, seconds=self._watch.lap(), **more))

    def _met(self, step: Step) -> None:
        self._tell(replace(step, server=self._settings.server))

    def _fail(self, error: DeliveryError) -> None:
        at = error.stage
        if at == "connect" and not self._addresses:
            at = "name"
        elif str(error).startswith("no TLS with"):  # a server's refusal of the handshake can come after its end
            at = "tls"
        text = f"{self._settings.host}: {self._raw.strerror or self._raw}" if at == "name" and self._raw else str(error)
        advice = self._diagnosis.of(error, at, self._raw, self._peer)
        facts = {"stage": error.stage, "code": error.code}
        self._say(STEPS.get(at, at), text, error.category, advice=advice, facts=facts)

    # Name and connection

    def _dial(self, host: str, port: int, deadline: Deadline) -> BoundedSocket:
        try:
            self._addresses = self._network.addresses(host, port, deadline.left())
            found = list(dict.fromkeys(str(entry[4][0]) for entry in self._addresses))
            text = f"{host} is an address" if is_address(host) else f"{host}: {', '.join(found)}"
            self._say("name", text, facts={"host": host, "addresses": found})
            sock = self._network.reach(self._addresses, deadline)
        except OSError as error:
            self._raw = error
            raise
        address = reached(sock)
        silent = found[: found.index(address)] if address in found else []
        others = f"; {', '.join(silent)} did not answer" if silent else ""
        facts = {"address": address, "port": port, "silent": silent}
        self._say("connect", f"{address} port {port}{others}", facts=facts)
        return sock

    def _dial_again(self, _host: str, _port: int, deadline: Deadline) -> BoundedSocket:
        return self._network.reach(self._addresses, deadline)

    # Greeting, capabilities, TLS, login

    def _reached(self, stage: str, peer: Peer) -> None:
        if stage == "token":
            self._say_token()
            return
        self._peer = peer
        if stage == "greeting":
            self.skew = _skew(peer.greeting, self._clock.wall())
            self._say("greeting", peer.greeting or "an empty one", facts={"greeting": peer.greeting})
        elif stage == "ehlo":
            offers = ", ".join(peer.capabilities) or "none"
            facts = {"capabilities": list(peer.capabilities), "tls": peer.tls}
            self._say("capabilities", offers + (", inside TLS" if peer.tls else ""), facts=facts)
        elif stage == "tls":
            self._say_tls(peer)
        else:
            self._say_login(peer)

    def _say_token(self) -> None:
        source = self._settings.token_source
        assert source is not None  # that is what was asked
        self._say("token", f"{token_of(source)}: had", facts={"from": type(source).__name__})

    def _say_tls(self, peer: Peer) -> None:
        certificate = read_certificate(peer.certificate)
        words = words_of(certificate)
        days = int((certificate.ends - self._clock.wall()) // DAY) if certificate else None
        soon = days is not None and days < SOON
        ends = Seen("certificate", words={**words, "left": number(days or 0, "day")})
        left = "" if days is None else f", {number(days, 'day')} left, until {words['ends']}"
        how = "STARTTLS:" if peer.transport == "starttls" else "from the first byte:"
        self._say(
            "tls",
            f"{how} {peer.tls}, {peer.cipher}, certificate for {words['names']} by {words['issuer']}{left}",
            advice=self._diagnosis.advice(ends) if soon else (),
            facts={
                "version": peer.tls,
                "cipher": peer.cipher,
                "names": list(certificate.names) if certificate else [],
                "issuer": words["issuer"],
                "ends": certificate.ends if certificate else None,
                "days_left": days,
            },
        )

    def _say_plain(self, peer: Peer) -> None:
        near = is_loopback(peer.address)
        advice = () if near else self._diagnosis.advice(Seen("plain", words={"address": peer.address}))
        self._say("tls", "none" + (": the mail stays on this machine" if near else ""), advice=advice)

    def _say_login(self, peer: Peer) -> None:
        if not peer.tls:
            self._say_plain(peer)
        clear = not (peer.tls or is_loopback(peer.address))
        advice = self._diagnosis.advice(Seen("login")) if clear else ()
        user = self._settings.username
        facts = {"username": user, "method": peer.login}
        self._say("login", f"as {user} by {peer.login}", advice=advice, facts=facts)

    def _inside(self, peer: Peer) -> None:
        """Say what was left out on the way: TLS, the login."""
        if "tls" not in self._told:
            self._say_plain(peer)
        if "login" not in self._told:
            self._say(
                "login", f"none: {self._settings.prefix}USERNAME is not set", facts={"username": "", "method": ""}
            )

    # The envelope

    def _rehearse(self, session: Session) -> bool:
        sender = self._settings.sender.address
        recipients = [recipient.address for recipient in self._settings.recipients]
        answers: list[tuple[str, Refusal | None, float]] = []

        def answered(address: str, refusal: Refusal | None) -> None:
            if "sender" not in self._told:
                self._say("sender", f"{address}: accepted", facts={"address": address})
            else:
                answers.append((address, refusal, self._watch.lap()))

        try:
            session.rehearse(sender, recipients, TYPICAL, answered)
        finally:
            nobody = all(refusal for _address, refusal, _seconds in answers)
            for answer in answers:
                self._say_recipient(*answer, nobody=nobody)
        self._say_size(session.peer)
        return not nobody

    def _say_recipient(self, address: str, refusal: Refusal | None, seconds: float, *, nobody: bool) -> None:
        facts = {"address": address, "code": refusal.code if refusal else 250}
        if refusal is None:
            step = Step("recipient", f"{address}: accepted", seconds=seconds, facts=facts)
        else:
            others = frozenset[str]() if nobody else frozenset({"others"})
            seen = Seen("rcpt", refusal.text, refusal.code, others, {"recipient": address})
            advice = self._diagnosis.advice(seen)
            for_good: Category = "refused" if nobody else "permanent"
            category = "temporary" if refusal.temporary else for_good
            text = f"{address}: {refusal.code} {refusal.text}"
            step = Step("recipient", text, category, advice, seconds, facts)
        self._met(step)

    def _say_size(self, peer: Peer) -> None:
        limit = peer.size_limit
        advice = self._diagnosis.advice(Seen("size", words={"limit": f"{limit:,}"})) if 0 < limit < LARGEST else ()
        text = f"mails of {limit:,} bytes are taken" if limit else "the server names no limit"
        self._say("size", text, advice=advice, facts={"limit": limit})


def _skew(greeting: str, now: float) -> float | None:
    """Return by how much this machine's clock is ahead of the date in a greeting, in seconds, if there is one."""
    found = _DATE.search(greeting)
    with suppress(ValueError, TypeError):
        return now - parsedate_to_datetime(found[0]).timestamp() if found else None
    return None
