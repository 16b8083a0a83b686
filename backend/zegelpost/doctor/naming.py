"""What the DNS says about mail that leaves in our name: MX, SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489)."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.resolver
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from zegelpost.doctor.findings import Examination, Finding, fine, note, wrong

_MOST_LOOKUPS: Final = 10  # RFC 7208, section 4.6.4
_SHORT_KEY_BITS: Final = 1024
_GOOD_KEY_BITS: Final = 2048
_ED25519_BYTES: Final = 32
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class _NoAnswer(Exception):
    """The name servers do not answer, which says nothing about the record."""


async def mail_domain(examination: Examination) -> AsyncIterator[Finding]:
    """The records of the sender's domain, one line each."""
    settings = examination.settings
    domain = settings.mail_from.rpartition("@")[2]
    if settings.is_demo:
        yield note(f"{domain} is not looked up in a demonstration")
        return
    names = _Names(examination.resolver)
    # What receivers check SPF of (RFC 7208, section 2.4), and where notices go.
    envelope = (settings.bounce_address or settings.mail_from).rpartition("@")[2]
    relay = urlsplit(settings.smtp_url or "").hostname or ""
    for look in (
        _bounces(names, envelope),
        _spf(names, envelope, relay),
        _dmarc(names, domain, envelope),
        _dkim(names, domain, settings.dkim_selectors),
    ):
        try:
            async for finding in look:
                yield finding
        except _NoAnswer as error:
            yield note(f"{error} could not be looked up", "let this machine reach its name servers, and look again")


@dataclass(slots=True)
class _Names:
    resolver: dns.asyncresolver.Resolver

    async def texts(self, name: str) -> list[str]:
        return [b"".join(each.strings).decode("utf-8", "replace") for each in await self._ask(name, "TXT")]

    async def addresses(self, name: str) -> list[_Address]:
        found = [*await self._ask(name, "A"), *await self._ask(name, "AAAA")]
        return [ipaddress.ip_address(each.address) for each in found]

    async def mail_hosts(self, name: str) -> list[str]:
        return [str(each.exchange).rstrip(".") for each in await self._ask(name, "MX")]

    async def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            return list(await self.resolver.resolve(name, kind, raise_on_no_answer=False))
        except (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            return []
        except dns.exception.DNSException:
            raise _NoAnswer(f"{kind} of {name}") from None


async def _bounces(names: _Names, domain: str) -> AsyncIterator[Finding]:
    hosts = await names.mail_hosts(domain)
    if not any(hosts):
        yield wrong(f"{domain} takes no mail (no MX): notices of mail that did not arrive get lost", "publish an MX record")
    else:
        yield fine(f"MX of {domain}: {', '.join(hosts)}")


async def _spf(names: _Names, domain: str, relay: str) -> AsyncIterator[Finding]:
    records = [each for each in await names.texts(domain) if each.lower().split(" ")[0] == "v=spf1"]
    if len(records) != 1:
        yield wrong(
            f"SPF: {domain} has {len(records) or 'no'} record{'s' if records else ''}",
            "publish exactly one TXT record `v=spf1 … -all` that holds what the relay sends from",
        )
        return
    try:
        outside = [each for each in await names.addresses(relay) if each.is_global]
    except _NoAnswer:
        outside = []
    walk = _SpfWalk(names, outside)
    end = await walk.follow(domain, records[0])
    if walk.faults:
        yield wrong(f"SPF: {walk.faults[0]}", "correct the record: receivers ignore it, or count it as a failure")
    elif walk.lookup_count > _MOST_LOOKUPS:
        yield wrong(f"SPF: {walk.lookup_count} lookups, and receivers stop at {_MOST_LOOKUPS}", "leave out what is not used")
    elif end == "+":
        yield wrong("SPF: allows everyone to send as you", "end the record in `-all`")
    elif end not in {"-", "~"}:
        yield note("SPF: does not say what to do with mail from elsewhere", "end the record in `-all`")
    elif outside and not walk.is_covered:
        yield note(
            f"SPF: does not hold the addresses of {relay}", "add them, unless the relay sends from others, which cannot be seen"
        )
    else:
        yield fine(f"SPF: one record, ends in {end}all" + (f", holds {relay}" if outside else ""))


@dataclass(slots=True)
class _SpfWalk:
    """Follows a record through what it includes. Macros (section 7) depend on the mail; what holds one covers nothing here."""

    names: _Names
    outside: list[_Address]
    lookup_count: int = 0
    is_covered: bool = False
    faults: list[str] = field(default_factory=list)

    async def follow(self, domain: str, record: str) -> str:
        """The qualifier of `all`, also of a record that it redirects to; empty where there is none."""
        redirect = ""
        for term in record.split()[1:]:
            name, separator, value = term.partition("=")
            if separator and ":" not in name and "/" not in name:
                redirect = value if name.lower() == "redirect" else redirect
                continue
            qualifier = term[0] if term[0] in "+-~?" else "+"
            mechanism, _, value = term.lstrip("+-~?").partition(":")
            mechanism, _, length = mechanism.lower().partition("/")
            if mechanism == "all":
                return qualifier
            await self._mechanism(domain, mechanism, value or (f"/{length}" if length else ""), is_pass=qualifier == "+")
            if self.lookup_count > _MOST_LOOKUPS or self.faults:
                return ""
        if not redirect:
            return ""
        self.lookup_count += 1
        return await self._into(redirect)

    async def _mechanism(self, domain: str, mechanism: str, value: str, *, is_pass: bool) -> None:
        if mechanism in {"ip4", "ip6"}:
            try:
                network = ipaddress.ip_network(value, strict=False)
            except ValueError:
                self.faults.append(f"{mechanism}:{value} is no address")
                return
            self._cover([each for each in self.outside if each in network], is_pass=is_pass)
            return
        if mechanism not in {"include", "a", "mx", "ptr", "exists"}:
            self.faults.append(f"{mechanism!r} means nothing")
            return
        self.lookup_count += 1
        target, _, length = value.partition("/")
        if "%" in target:
            return
        if mechanism == "include":
            await self._into(target)
        elif mechanism in {"a", "mx"}:
            hosts = await self.names.mail_hosts(target or domain) if mechanism == "mx" else [target or domain]
            for host in hosts:
                for address in await self.names.addresses(host):
                    prefix = f"/{length.partition('/')[0]}" if length and address.version == 4 else ""  # noqa: PLR2004
                    network = ipaddress.ip_network(f"{address}{prefix}", strict=False)
                    self._cover([each for each in self.outside if each in network], is_pass=is_pass)

    async def _into(self, domain: str) -> str:
        if self.lookup_count > _MOST_LOOKUPS:
            return ""
        records = [each for each in await self.names.texts(domain) if each.lower().split(" ")[0] == "v=spf1"]
        if len(records) != 1:
            self.faults.append(f"{domain}, which it points to, has no record of its own")
            return ""
        return await self.follow(domain, records[0])

    def _cover(self, found: list[_Address], *, is_pass: bool) -> None:
        self.is_covered |= bool(found) and is_pass


async def _dmarc(names: _Names, domain: str, envelope: str) -> AsyncIterator[Finding]:
    where, tags = await _dmarc_record(names, domain)
    if tags is None:
        yield wrong(f"DMARC: {domain} has no record", f"publish TXT _dmarc.{domain}, `v=DMARC1; p=reject`")
        return
    policy = (tags.get("sp") if where != domain else None) or tags.get("p", "")
    if policy not in {"none", "quarantine", "reject"}:
        yield wrong(f"DMARC: the record at {where} has no policy", "give it `p=quarantine` or `p=reject`")
    elif policy == "none":
        yield note(f"DMARC: the policy of {where} is none: others may send as you", "make it `p=quarantine` or `p=reject`")
    elif _is_aligned(envelope, domain, where, is_strict=tags.get("aspf") == "s"):
        yield fine(f"DMARC: {policy}, by {where}; SPF is aligned")
    else:
        yield note(
            f"DMARC: {policy}, by {where}; SPF of {envelope} is not aligned with {domain}, so DKIM alone counts",
            "take an address of the same domain for ZEGELPOST_BOUNCE_ADDRESS",
        )


def _is_aligned(other: str, domain: str, where: str, *, is_strict: bool) -> bool:
    """Whether what SPF or DKIM says of another domain counts for ours (RFC 7489, section 3.1)."""
    return other == domain or (not is_strict and (other == where or other.endswith(f".{where}")))


async def _dmarc_record(names: _Names, domain: str) -> tuple[str, dict[str, str] | None]:
    """The record that counts for a domain, its own or that of a domain above it."""
    labels = domain.split(".")
    for above in range(max(1, len(labels) - 1)):
        where = ".".join(labels[above:])
        for text in await names.texts(f"_dmarc.{where}"):
            tags = _tags(text)
            if tags.get("v", "").upper() == "DMARC1":
                return where, {name: value.lower() for name, value in tags.items()}
    return domain, None


async def _dkim(names: _Names, domain: str, selectors: tuple[str, ...]) -> AsyncIterator[Finding]:
    if not selectors:
        yield note(
            "DKIM: not looked up, as selectors cannot be listed",
            "set ZEGELPOST_DKIM_SELECTORS to those that your relay signs with",
        )
    where, tags = await _dmarc_record(names, domain)
    for each in selectors:
        selector, _, other = each.partition("@")
        signer = other or domain
        key = next(iter(await names.texts(f"{selector}._domainkey.{signer}")), None)
        if key is None:
            yield wrong(f"DKIM: {signer} has no key {selector}", "publish it, or correct ZEGELPOST_DKIM_SELECTORS")
            continue
        yield _key(selector, signer, _tags(key))
        is_strict = (tags or {}).get("adkim") == "s"
        if not _is_aligned(signer, domain, where, is_strict=is_strict):
            yield wrong(
                f"DKIM: {signer} is not aligned with {domain}",
                f"let the relay sign as {domain}, or DMARC does not count its signature",
            )


def _key(selector: str, signer: str, tags: dict[str, str]) -> Finding:
    said = f"DKIM: {selector} of {signer}"
    try:
        key = base64.b64decode("".join(tags.get("p", "").split()), validate=True)
        if not key:
            return wrong(f"{said} was withdrawn", "publish the key that the relay signs with")
        if tags.get("k") == "ed25519":
            return fine(f"{said}, Ed25519") if len(key) == _ED25519_BYTES else wrong(f"{said} is damaged", "publish it anew")
        loaded = load_der_public_key(key)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return wrong(f"{said} is damaged", "publish it anew")
    bits = loaded.key_size if isinstance(loaded, RSAPublicKey) else 0
    if bits < _SHORT_KEY_BITS:
        return wrong(f"{said} has {bits} bits: receivers ignore it", "publish one of 2048 bits")
    return fine(f"{said}, RSA {bits}") if bits >= _GOOD_KEY_BITS else note(f"{said}, RSA {bits}", "publish one of 2048 bits")


def _tags(record: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in record.split(";") if "=" in part)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
