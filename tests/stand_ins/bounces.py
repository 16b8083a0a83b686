"""Notices of mail servers as they write them, and a mailbox of them in memory that passes the contract suite of the real one."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from zegelpost.ports import BounceMailboxError, ReturnedMail


@dataclass(slots=True)
class FakeMailbox:
    """`failure` is raised until it is taken away."""

    mails: dict[int, bytes] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)
    failure: BounceMailboxError | None = None
    _count: int = 0

    def put(self, content: bytes) -> None:
        self._count += 1
        self.mails[self._count] = content

    def contents(self, *, is_read: bool | None = None) -> list[bytes]:
        return [content for uid, content in self.mails.items() if is_read is None or (uid in self.read) == is_read]

    async def unread(self, most: int, *, after: str) -> list[ReturnedMail]:
        if self.failure is not None:
            raise self.failure
        uids = [uid for uid in self.mails if uid not in self.read and uid > int(after or 0)]
        return [ReturnedMail(str(uid), self.mails[uid][: 256 * 1024]) for uid in uids[:most]]

    async def settle(self, *, ours: Sequence[ReturnedMail], others: Sequence[ReturnedMail]) -> None:
        if self.failure is not None:
            raise self.failure
        for mail in ours:
            self.mails.pop(int(mail.position), None)
        self.read |= {int(mail.position) for mail in others if int(mail.position) in self.mails}


def postfix(
    to: str,
    *,
    action: str = "failed",
    status: str = "5.1.1",
    message_id: str = "unknown@example",
    recipient: str = "rosa@zorg.example",
) -> bytes:
    """As Postfix 3.7 writes it, when it returns headers alone."""
    return f"""Return-Path: <>
Received: by mail.zorg.example (Postfix)
\tid 4RzQx1; Mon, 23 Nov 2026 12:00:10 +0100 (CET)
From: MAILER-DAEMON@mail.zorg.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4RzQx1.1795000000/mail.zorg.example"
Content-Transfer-Encoding: 8bit
Message-Id: <20261123110010.4RzQx2@mail.zorg.example>

This is a MIME-encapsulated message.

--4RzQx1.1795000000/mail.zorg.example
Content-Description: Notification
Content-Type: text/plain; charset=utf-8

This is the mail system at host mail.zorg.example.

<{recipient}>: host mx.zorg.example[192.0.2.7] said: 550 5.1.1 User unknown

--4RzQx1.1795000000/mail.zorg.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.zorg.example
X-Postfix-Queue-ID: 4RzQx1
X-Postfix-Sender: rfc822; {to}
Arrival-Date: Mon, 23 Nov 2026 12:00:09 +0100 (CET)

Final-Recipient: rfc822; {recipient}
Original-Recipient: rfc822;{recipient}
Action: {action}
Status: {status}
Remote-MTA: dns; mx.zorg.example
Diagnostic-Code: smtp; 550 5.1.1 <{recipient}>: Recipient address rejected:
    User unknown in virtual mailbox table

--4RzQx1.1795000000/mail.zorg.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers
Content-Transfer-Encoding: 8bit

Return-Path: <{to}>
From: zegelpost@zegelpost.example
To: {recipient}
Subject: Documenten
Message-ID: <{message_id}>

--4RzQx1.1795000000/mail.zorg.example--
""".replace("\n", "\r\n").encode()


def exchange(to: str, *, status: str = "5.1.10", message_id: str = "unknown@example") -> bytes:
    """As Exchange writes a non-delivery report: wrapped, with a long page for people, and the whole mail behind it."""
    page = base64.encodebytes(b"<html><body>Your message to rosa couldn't be delivered." + b"<p>&nbsp;</p>" * 500).decode()
    return f"""Delivered-To: bounces@voorbeeld.example
MIME-Version: 1.0
From: Microsoft Outlook
 <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@zorg.example>
To: <{to}>
Date: Mon, 23 Nov 2026 12:00:10 +0000
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="9B095B5ADSN=_01DC5C0B00000000EXMAIL01.zorg.e"
Content-Language: en-US
Message-ID: <9f2f5a6e-6f8e-4b40-8c7a-6a1f3a7e1c11@EXMAIL01.zorg.example>
In-Reply-To: <{message_id}>
References: <{message_id}>
Subject: Undeliverable: Documenten
X-MS-Exchange-Message-Is-Ndr:

This is a multi-part message in MIME format.

--9B095B5ADSN=_01DC5C0B00000000EXMAIL01.zorg.e
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary="c4c2b5a1-2c11-4a3d-8c7a-000000000000"

--c4c2b5a1-2c11-4a3d-8c7a-000000000000
Content-Type: text/plain; charset="us-ascii"

Delivery has failed to these recipients or groups: rosa@zorg.example

--c4c2b5a1-2c11-4a3d-8c7a-000000000000
Content-Type: text/html; charset="us-ascii"
Content-Transfer-Encoding: base64

{page}
--c4c2b5a1-2c11-4a3d-8c7a-000000000000--

--9B095B5ADSN=_01DC5C0B00000000EXMAIL01.zorg.e
Content-Type: message/delivery-status

Reporting-MTA: dns;EXMAIL01.zorg.example
Received-From-MTA: dns;post.voorbeeld.example
Arrival-Date: Mon, 23 Nov 2026 12:00:09 +0000

Final-Recipient: rfc822;rosa@zorg.example
Action: failed
Status: {status}
Diagnostic-Code: smtp;550 {status} RESOLVER.ADR.RecipientNotFound; Recipient
 not found by SMTP address lookup
X-Display-Name: rosa@zorg.example

--9B095B5ADSN=_01DC5C0B00000000EXMAIL01.zorg.e
Content-Type: message/rfc822

Received: from post.voorbeeld.example (192.0.2.1) by EXMAIL01.zorg.example
From: <zegelpost@zegelpost.example>
To: <rosa@zorg.example>
Subject: Documenten
Message-ID: <{message_id}>
Content-Type: text/plain

https://post.example/o/abc#secret

--9B095B5ADSN=_01DC5C0B00000000EXMAIL01.zorg.e--
""".replace("\n", "\r\n").encode()


def internationalised(to: str, *, message_id: str = "unknown@example", encoding: str = "8bit") -> bytes:
    """RFC 6533: an address in another script, and headers in UTF-8."""
    status = """Reporting-MTA: dns; mx.büro.example

Original-Recipient: utf-8; rösa@büro.example
Final-Recipient: utf-8; rösa@büro.example
Action: failed
Status: 5.1.1
Localized-Diagnostic: nl; de mailbox bestaat niet
""".replace("\n", "\r\n").encode()
    if encoding == "base64":
        status = base64.encodebytes(status)
    return (
        f"""From: Postmaster <postmaster@büro.example>
To: {to}
Content-Type: multipart/report; report-type="delivery-status"; boundary=grens
MIME-Version: 1.0

--grens
Content-Type: text/plain; charset=utf-8

Niet bezorgd.
--grens
Content-Type: message/global-delivery-status
Content-Transfer-Encoding: {encoding}

""".replace("\n", "\r\n").encode()
        + status
        + f"""
--grens
Content-Type: message/global-headers

From: zegelpost@zegelpost.example
To: rösa@büro.example
Message-ID: <{message_id}>

--grens--
""".replace("\n", "\r\n").encode()
    )
