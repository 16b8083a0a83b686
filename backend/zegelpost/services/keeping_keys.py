"""Keeping message keys: wrapping them for senders, drafts, links and grants, and sealing what the database holds.

The procedures follow `backend/docs/sealed-format.md`. No key leaves this module except as a `MessageKey`, which is why it is one,
long as it is.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Final, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.address_book import ListedCard
from zegelpost.model.base import BlindIndex
from zegelpost.model.contact import Card
from zegelpost.model.document import Document
from zegelpost.model.file_name import FileName
from zegelpost.model.held_back import HeldBack
from zegelpost.model.identifiers import (
    ContactId,
    DocumentId,
    FactorId,
    FeedId,
    HoldId,
    LinkId,
    OutgoingId,
    RecipientId,
    StaffUserId,
    TemplateId,
    TransferId,
)
from zegelpost.model.intake import Intake, Introduction
from zegelpost.model.legal_hold import HoldWords, LegalHold
from zegelpost.model.link import LinkSecret
from zegelpost.model.recipient import Grant, Link, Person, Recipient
from zegelpost.model.refusals import LinkNotReissuable, LinkWrong, NotFound, TransferExpired, VerificationRequired
from zegelpost.model.return_address import MARK_LENGTH, ReturnMark
from zegelpost.model.second_factor import AuthenticatorApp
from zegelpost.model.secret import SecretToken
from zegelpost.model.template import Template, TemplateText
from zegelpost.model.transfer import DRAFT_LIFETIME, Transfer, TransferState, TransferText, week_of
from zegelpost.ports import KeyDestroyedError, WeekKeys
from zegelpost.sealing.errors import TextAltered, WrapRefused
from zegelpost.sealing.keys import MessageKey, blind_index
from zegelpost.sealing.text import open_bytes, open_text, seal_bytes, seal_text
from zegelpost.sealing.wrapping import WrapPurpose, link_check, unwrap_under_secret, wrap_under_secret

# Drafts and grants are wrapped under a token of 256 random bits; it needs no salt of ours to be a key.
_TOKEN_SALT: Final = b"zegelpost token wrap v1"
_MOST_DESTROYED_WEEKS: Final = 104


class _Keys(Protocol):
    """As much of the key ring as reading keys takes."""

    def week(self, week: str, /) -> WeekKeys: ...

    def installation(self, purpose: str, /) -> bytes: ...

    def installation_keys(self, purpose: str, /) -> tuple[bytes, ...]: ...

    def outbox_day(self, day: date, /) -> bytes: ...

    def first_outbox_day(self) -> date: ...


class _ReadOnce:
    """The keys that one unit of work needs, each read once: a transfer with five recipients read the same files five times."""

    def __init__(self, ring: _Keys) -> None:
        self.week = cache(ring.week)
        self.installation = cache(ring.installation)
        self.installation_keys = cache(ring.installation_keys)
        self.outbox_day = cache(ring.outbox_day)
        self.first_outbox_day = ring.first_outbox_day


class KeepingKeys:
    """`anew` is the key ring itself where `ring` remembers what it read."""

    def __init__(self, ring: _Keys, anew: _Keys | None = None) -> None:
        self._ring = ring
        self._anew = anew or ring

    def within(self, session: AsyncSession) -> KeepingKeys:
        """The same for this unit of work, reading each key once. No longer: a destroyed key must not live on in memory."""
        found: KeepingKeys | None = session.info.get("keeping_keys")
        if found is None:
            found = session.info["keeping_keys"] = KeepingKeys(_ReadOnce(self._ring), self._ring)
        return found

    def seal_outgoing(self, outgoing_id: OutgoingId, day: date, payload: bytes) -> tuple[date, bytes]:
        """What waits in the outbox, under the key of the day on which it is put there; also says of which day it became.

        After a clock that ran ahead for days was put right, the key of today is gone already. Nothing would leave until then.
        """
        try:
            key = self._ring.outbox_day(day)
        except KeyDestroyedError:
            day = self._ring.first_outbox_day()
            key = self._ring.outbox_day(day)
        return day, seal_bytes(key, f"outgoing/{outgoing_id}", payload)

    # Message keys of senders

    def new_message_key(self, transfer: Transfer, token: SecretToken, now: datetime) -> MessageKey:
        """Make the key of a new draft and wrap it under the uploader's token.

        When the policy keeps a sender copy, it is made right away: a draft of many gigabytes must survive a sign-in that
        runs out. Without one, the draft lives and dies with the sign-in.
        """
        key = MessageKey.generate()
        transfer.draft_wrap = self._wrap_draft(key, transfer.id, token)
        if transfer.has_sender_copy:
            self._keep_sender_copy(key, transfer, now + DRAFT_LIFETIME)
        return key

    def new_answer_key(self, transfer: Transfer, key: MessageKey, now: datetime) -> MessageKey:
        """Make the key of what a guest is going to send. `key` is that of what it answers."""
        answer_key = MessageKey.generate()
        transfer.week = self._week_until(now + DRAFT_LIFETIME)
        self.wrap_for_guest(answer_key, transfer, key)
        return answer_key

    def wrap_for_guest(self, answer_key: MessageKey, transfer: Transfer, key: MessageKey) -> None:
        """Wrap an answer's key under that of what it answers, tied to the answer's own week."""
        assert transfer.answers_id is not None
        transfer.carried_salt = None
        transfer.guest_wrap = wrap_under_secret(
            answer_key,
            purpose=WrapPurpose.ANSWER,
            secret=key.answers_key(),
            salt=self._answer_salt(transfer),
            transfer_id=transfer.id,
            holder_id="guest",
            key_id=transfer.answers_id,
        )

    def answer_key(self, transfer: Transfer, key: MessageKey) -> MessageKey:
        """The key of an answer, for whoever can open what it answers. Raises `NotFound`, `TransferExpired`."""
        if transfer.guest_wrap is None or transfer.answers_id is None:
            raise NotFound
        try:
            return unwrap_under_secret(
                transfer.guest_wrap,
                purpose=WrapPurpose.ANSWER,
                secret=key.answers_key(),
                salt=self._answer_salt(transfer),
                transfer_id=transfer.id,
                holder_id="guest",
                key_id=transfer.answers_id,
            )
        except KeyDestroyedError:
            raise TransferExpired from None
        except WrapRefused:
            raise NotFound from None

    def _answer_salt(self, transfer: Transfer) -> bytes:
        assert transfer.week is not None
        link_salt = self._ring.week(transfer.week).link_salt
        if transfer.carried_salt is not None:
            return open_bytes(link_salt, f"answer/{transfer.id}/salt", transfer.carried_salt)
        return blind_index(link_salt, "answer-salt", transfer.id)

    def message_key(self, transfer: Transfer, holds: SecretToken | MessageKey) -> MessageKey:
        """The key, for the sender, by what they hold. Raises `NotFound` when neither that nor a sender copy opens it."""
        if isinstance(holds, MessageKey):
            return self.answer_key(transfer, holds)
        if transfer.state == TransferState.DRAFT and transfer.draft_wrap is not None:
            try:
                return unwrap_under_secret(
                    transfer.draft_wrap,
                    purpose=WrapPurpose.DRAFT,
                    secret=holds.key_material,
                    salt=_TOKEN_SALT,
                    transfer_id=transfer.id,
                    holder_id="sender",
                    key_id="token",
                )
            except WrapRefused:
                # Another sign-in of the same person: only the sender copy helps.
                if transfer.sender_wrap is None:
                    raise NotFound from None
        return self.sender_key(transfer)

    def sender_key(self, transfer: Transfer) -> MessageKey:
        """The key from the sender copy. Raises `LinkNotReissuable` for link-only transfers, `TransferExpired` after the week."""
        if transfer.sender_wrap is None or transfer.week is None:
            raise LinkNotReissuable
        return self._unwrap_sender(transfer.sender_wrap, transfer.id, "sender", transfer.week)

    def seal_for_sending(self, key: MessageKey, transfer: Transfer, expires_at: datetime) -> None:
        """From draft to sent, or to a later expiry: wrap for the week in which the transfer expires, drop the draft's wrap."""
        transfer.week = self._week_until(expires_at)
        transfer.draft_wrap = None
        transfer.sender_wrap = None
        if transfer.has_sender_copy:
            self._keep_sender_copy(key, transfer, expires_at)

    def carry_transfer(self, transfer: Transfer, expires_at: datetime) -> None:
        """Tie a transfer to the week of a later expiry: its sender copy, and its guest's way to what they sent.

        The latter as with links, because only they have what it is wrapped under. Link-only transfers have nothing to wrap anew.
        Raises `TransferExpired` when its week is gone.
        """
        key = self.sender_key(transfer) if transfer.sender_wrap is not None else None
        try:
            salt = self._answer_salt(transfer) if transfer.guest_wrap is not None else None
        except KeyDestroyedError:
            raise TransferExpired from None
        transfer.week = self._week_until(expires_at)
        if key is not None:
            self._keep_sender_copy(key, transfer, expires_at)
        if salt is not None:
            later = self._ring.week(transfer.week).link_salt
            transfer.carried_salt = seal_bytes(later, f"answer/{transfer.id}/salt", salt)

    def wrap_for_colleague(self, key: MessageKey, transfer: Transfer, recipient: Recipient) -> None:
        """Colleagues open with an account instead of a link."""
        assert transfer.week is not None
        recipient.staff_wrap = self._wrap_sender(key, transfer.id, recipient.id, transfer.week)

    def colleague_key(self, transfer: Transfer, recipient: Recipient) -> MessageKey:
        if recipient.staff_wrap is None or transfer.week is None:
            raise NotFound
        return self._unwrap_sender(recipient.staff_wrap, transfer.id, recipient.id, transfer.week)

    # Links and grants

    def wrap_for_link(
        self, key: MessageKey, transfer: Transfer, link_id: LinkId, recipient_id: RecipientId, secret: LinkSecret
    ) -> dict[str, Any]:
        """Columns of a new link: what recognises the secret, and what the secret opens; never the secret."""
        assert transfer.week is not None
        salt = self._new_link_salt(transfer.week, link_id)
        return {
            "week": transfer.week,
            "secret_check": link_check(salt, secret.value, recipient_id),
            "wrap": wrap_under_secret(
                key,
                purpose=WrapPurpose.LINK,
                secret=secret.value,
                salt=salt,
                transfer_id=transfer.id,
                holder_id=recipient_id,
                key_id=link_id,
            ),
        }

    def require_secret(self, link: Link, secret: LinkSecret) -> None:
        """Recognise the secret without opening anything, so that a revoked link can say so. Raises `LinkWrong`."""
        try:
            check = link_check(self._link_salt(link), secret.value, link.recipient_id)
        except KeyDestroyedError:
            raise TransferExpired from None
        if link.secret_check is None or not hmac.compare_digest(check, link.secret_check):
            raise LinkWrong

    def link_key(self, transfer_id: TransferId, link: Link, secret: LinkSecret) -> MessageKey:
        """The key, for whoever has the link's secret. Raises `LinkWrong`; the unwrapping itself is the comparison."""
        if link.wrap is None:
            raise LinkWrong
        try:
            return unwrap_under_secret(
                link.wrap,
                purpose=WrapPurpose.LINK,
                secret=secret.value,
                salt=self._link_salt(link),
                transfer_id=transfer_id,
                holder_id=link.recipient_id,
                key_id=link.id,
            )
        except WrapRefused:
            raise LinkWrong from None
        except KeyDestroyedError:
            raise TransferExpired from None

    def carry_link(self, link: Link, week: str) -> None:
        """Tie the link to a later week. Its wrap cannot be made anew, because only the recipient has the secret.

        Raises `TransferExpired` when its week is gone.
        """
        try:
            salt = self._link_salt(link)
        except KeyDestroyedError:
            raise TransferExpired from None
        link.week = week
        link.carried_salt = seal_bytes(self._ring.week(week).link_salt, f"link/{link.id}/salt", salt)

    def _link_salt(self, link: Link) -> bytes:
        if link.carried_salt is not None:
            return open_bytes(self._ring.week(link.week).link_salt, f"link/{link.id}/salt", link.carried_salt)
        return self._new_link_salt(link.week, link.id)

    def _new_link_salt(self, week: str, link_id: LinkId) -> bytes:
        """The week's secret, narrowed to one link so that it can be carried to a later week without the others."""
        return blind_index(self._ring.week(week).link_salt, "link-salt", link_id)

    # What the sender wrote

    def seal_text(self, key: MessageKey, transfer: Transfer, text: TransferText) -> None:
        metadata = key.metadata_key()
        transfer.sealed_subject = seal_text(metadata, f"transfer/{transfer.id}/subject", text.subject)
        transfer.sealed_reference = seal_text(metadata, f"transfer/{transfer.id}/reference", text.reference)
        transfer.sealed_note = seal_text(metadata, f"transfer/{transfer.id}/note", text.note)
        transfer.reference_index = self.reference_index(text)

    def reference_index(self, text: TransferText) -> BlindIndex | None:
        """By which a transfer is found whose reference this is."""
        return self.index("reference", text.reference.casefold()) if text.reference else None

    def text(self, key: MessageKey, transfer: Transfer) -> TransferText:
        metadata = key.metadata_key()
        return TransferText(
            subject=open_text(metadata, f"transfer/{transfer.id}/subject", transfer.sealed_subject),
            reference=open_text(metadata, f"transfer/{transfer.id}/reference", transfer.sealed_reference),
            note=open_text(metadata, f"transfer/{transfer.id}/note", transfer.sealed_note),
        )

    def seal_line(self, key: MessageKey, place: str, line: str) -> bytes:
        """Something short that belongs to a transfer; `place` binds it to where it stands."""
        return seal_text(key.metadata_key(), place, line)

    def open_line(self, key: MessageKey, place: str, sealed: bytes) -> str:
        return open_text(key.metadata_key(), place, sealed)

    def seal_hint(self, key: MessageKey, recipient_id: RecipientId, hint: str) -> bytes:
        return seal_text(key.metadata_key(), f"recipient/{recipient_id}/hint", hint)

    def hint(self, key: MessageKey, recipient: Recipient) -> str:
        """What helps the recipient to think of the access code; empty when there is nothing."""
        if recipient.sealed_hint is None:
            return ""
        return open_text(key.metadata_key(), f"recipient/{recipient.id}/hint", recipient.sealed_hint)

    def seal_document_name(self, key: MessageKey, document_id: DocumentId, name: FileName) -> bytes:
        return seal_text(key.metadata_key(), f"document/{document_id}/name", str(name))

    def document_name(self, key: MessageKey, document: Document) -> FileName:
        return FileName(open_text(key.metadata_key(), f"document/{document.id}/name", document.sealed_name))

    def held_back_name(self, key: MessageKey, held: HeldBack) -> FileName:
        return FileName(open_text(key.metadata_key(), f"document/{held.document_id}/name", held.sealed_name))

    def wrap_for_grant(self, key: MessageKey, transfer_id: TransferId, recipient_id: RecipientId, cookie: SecretToken) -> bytes:
        return wrap_under_secret(
            key,
            purpose=WrapPurpose.GRANT,
            secret=cookie.key_material,
            salt=_TOKEN_SALT,
            transfer_id=transfer_id,
            holder_id=recipient_id,
            key_id="cookie",
        )

    def grant_key(self, transfer_id: TransferId, grant: Grant, cookie: SecretToken) -> MessageKey:
        try:
            return unwrap_under_secret(
                grant.wrap,
                purpose=WrapPurpose.GRANT,
                secret=cookie.key_material,
                salt=_TOKEN_SALT,
                transfer_id=transfer_id,
                holder_id=grant.recipient_id,
                key_id="cookie",
            )
        except WrapRefused:
            raise VerificationRequired from None

    # What the database holds about people

    def seal_person(self, person: Person, recipient_id: RecipientId) -> bytes:
        return self._seal("people", f"recipient/{recipient_id}", person.to_json())

    def person(self, recipient: Recipient) -> Person:
        return self.persons([(recipient.id, recipient.sealed_person)])[recipient.id]

    def persons(self, sealed: Iterable[tuple[RecipientId, bytes]]) -> dict[RecipientId, Person]:
        """As `person`, of many: the key is fetched once."""
        keys = self._ring.installation_keys("people")
        return {
            recipient_id: Person.from_json(self._open("people", f"recipient/{recipient_id}", person, keys))
            for recipient_id, person in sealed
        }

    def seal_card(self, card: Card, contact_id: ContactId) -> bytes:
        return self._seal("people", f"contact/{contact_id}/card", card.to_json())

    def card(self, contact_id: ContactId, sealed_card: bytes) -> Card:
        return self.cards([(contact_id, sealed_card)])[0]

    def cards(self, sealed: Iterable[tuple[ContactId, bytes]]) -> list[Card]:
        """As `card`, of many: fetching the key once takes half of the time off."""
        keys = self._ring.installation_keys("people")
        return [Card.from_json(self._open("people", f"contact/{contact_id}/card", card, keys)) for contact_id, card in sealed]

    def seal_listed(self, cards: Iterable[tuple[ContactId, ListedCard]]) -> list[bytes]:
        """What a feed lists, of many: the key is fetched once."""
        key = self._ring.installation("people")
        return [seal_text(key, f"listed/{listed_id}/card", card.to_json()) for listed_id, card in cards]

    def listed_cards(self, sealed: Iterable[tuple[ContactId, bytes]]) -> list[ListedCard]:
        keys = self._ring.installation_keys("people")
        return [ListedCard.from_json(self._open("people", f"listed/{listed_id}/card", card, keys)) for listed_id, card in sealed]

    def seal_cursor(self, cursor: str, feed_id: FeedId) -> bytes:
        """Where reading a feed goes on; providers put identifiers of people in it."""
        return self._seal("people", f"feed/{feed_id}/cursor", cursor)

    def cursor(self, sealed: bytes, feed_id: FeedId) -> str:
        return self._open("people", f"feed/{feed_id}/cursor", sealed)

    def seal_template(self, text: TemplateText, template_id: TemplateId) -> bytes:
        return self._seal("people", f"template/{template_id}/text", text.to_json())

    def template_text(self, template: Template) -> TemplateText:
        return TemplateText.from_json(self._open("people", f"template/{template.id}/text", template.sealed_text))

    def seal_introduction(self, digest: bytes, words: str) -> bytes:
        return self._seal("people", f"introduction/{digest.hex()}", words)

    def introduction(self, introduction: Introduction) -> str:
        place = f"introduction/{introduction.digest.hex()}"
        return self._open("people", place, introduction.sealed_words)

    def seal_hold_words(self, words: HoldWords, hold_id: HoldId) -> bytes:
        return self._seal("people", f"hold/{hold_id}/words", words.to_json())

    def hold_words(self, hold: LegalHold) -> HoldWords:
        return HoldWords.from_json(self._open("people", f"hold/{hold.id}/words", hold.sealed_words))

    def seal_intake_colleague(self, email: str, transfer_id: TransferId) -> bytes:
        return self._seal("people", f"intake/{transfer_id}/colleague", email)

    def intake_colleague(self, intake: Intake) -> str:
        assert intake.sealed_colleague is not None
        return self._open("people", f"intake/{intake.transfer_id}/colleague", intake.sealed_colleague)

    def _seal(self, purpose: str, place: str, text: str) -> bytes:
        return seal_text(self._ring.installation(purpose), place, text)

    def _open(self, purpose: str, place: str, sealed: bytes, keys: Sequence[bytes] | None = None) -> str:
        """Under the key of now, or one of before that is still kept. Raises `TextAltered`.

        Where none of those that were read at the start of this unit of work opens it, a rotation may just have begun.
        """
        for key in keys or self._ring.installation_keys(purpose):
            with suppress(TextAltered):
                return open_text(key, place, sealed)
        for key in self._anew.installation_keys(purpose):
            with suppress(TextAltered):
                return open_text(key, place, sealed)
        raise TextAltered

    def return_mark(self, outgoing_id: OutgoingId) -> ReturnMark:
        """What makes the return address of a mail one that nobody can make up, not even whoever read our database or log."""
        return _return_mark(self._ring.installation("codes"), outgoing_id)

    def is_return_mark(self, found: ReturnMark) -> bool:
        """Whether we made it."""
        made = [_return_mark(key, found.outgoing_id) for key in self._ring.installation_keys("codes")]
        return any(hmac.compare_digest(found.mark, each.mark) for each in made)

    def proof_secrets(self) -> list[bytes]:
        """What signs the puzzles of the public page, so that none is made easier or older than it is; new ones by the first."""
        return [blind_index(key, "proof", "intake") for key in self._ring.installation_keys("codes")]

    def index(self, kind: str, value: str) -> BlindIndex:
        """Keyed hash for exact search and counting (`email`, `number`, `reference`)."""
        return self.indexes([(kind, value)])[0]

    def indexes(self, pairs: Iterable[tuple[str, str]]) -> list[BlindIndex]:
        """As `index`, of many pairs of kind and value: the keys are fetched once."""
        keys = self._ring.installation_keys("index")
        return [BlindIndex.under([blind_index(key, kind, value) for key in keys]) for kind, value in pairs]

    def feed_digests(self, pairs: Iterable[tuple[str, str]]) -> list[bytes]:
        """By what a feed recognises its own entries; under a key that stays, because what is hashed is not kept."""
        key = self._ring.installation("feeds")
        return [blind_index(key, kind, value) for kind, value in pairs]

    def code_hash(self, challenge_id: str, code: str) -> bytes:
        """Keyed hash of a verification code. The pepper is not in the database, so the million codes cannot be tried there."""
        return blind_index(self._ring.installation("codes"), f"code/{challenge_id}", code)

    def is_code(self, challenge_id: str, code: str, kept: bytes) -> bool:
        """Whether this is the code whose hash was kept."""
        hashes = [blind_index(key, f"code/{challenge_id}", code) for key in self._ring.installation_keys("codes")]
        return any(hmac.compare_digest(each, kept) for each in hashes)

    # Second factors of staff

    def seal_app_secret(self, secret: str, user_id: StaffUserId, app_id: FactorId) -> bytes:
        """Bound to the person and the app, so that one person's secret cannot be put in another's place."""
        return self._seal("factors", f"staff/{user_id}/app/{app_id}", secret)

    def open_app_secret(self, sealed: bytes, user_id: StaffUserId, app_id: FactorId) -> str:
        return self._open("factors", f"staff/{user_id}/app/{app_id}", sealed)

    def app_secret(self, app: AuthenticatorApp) -> str:
        return self.open_app_secret(app.sealed_secret, app.user_id, app.id)

    def recovery_code_digest(self, user_id: StaffUserId, code: str) -> BlindIndex:
        """Keyed, as codes by SMS are: whoever has the database alone has nothing to compare guesses with."""
        keys = self._ring.installation_keys("codes")
        return BlindIndex.under([blind_index(key, f"recovery/{user_id}", code) for key in keys])

    def _wrap_draft(self, key: MessageKey, transfer_id: TransferId, token: SecretToken) -> bytes:
        return wrap_under_secret(
            key,
            purpose=WrapPurpose.DRAFT,
            secret=token.key_material,
            salt=_TOKEN_SALT,
            transfer_id=transfer_id,
            holder_id="sender",
            key_id="token",
        )

    def _week_until(self, moment: datetime) -> str:
        """The week in which this is, or the first one after it whose keys were not destroyed.

        They were if a clock that ran ahead for days was put right. Nothing could be sent until those weeks were over.
        """
        for number in range(_MOST_DESTROYED_WEEKS):
            week = week_of(moment + timedelta(weeks=number))
            with suppress(KeyDestroyedError):
                return self._ring.week(week).week
        raise KeyDestroyedError("the keys of two years to come were destroyed: was the clock that far ahead?", is_permanent=True)

    def _keep_sender_copy(self, key: MessageKey, transfer: Transfer, until: datetime) -> None:
        transfer.week = self._week_until(until)
        transfer.sender_wrap = self._wrap_sender(key, transfer.id, "sender", transfer.week)

    def _wrap_sender(self, key: MessageKey, transfer_id: TransferId, holder_id: str, week: str) -> bytes:
        return wrap_under_secret(
            key,
            purpose=WrapPurpose.SENDER,
            secret=self._ring.week(week).sender_key,
            salt=b"",
            transfer_id=transfer_id,
            holder_id=holder_id,
            key_id=week,
        )

    def _unwrap_sender(self, wrap: bytes, transfer_id: TransferId, holder_id: str, week: str) -> MessageKey:
        """As `_open`, of what is wrapped."""
        try:
            for ring in (self._ring, self._anew):
                keys = ring.week(week)
                for secret in (keys.sender_key, *keys.earlier_sender_keys):
                    with suppress(WrapRefused):
                        return unwrap_under_secret(
                            wrap,
                            purpose=WrapPurpose.SENDER,
                            secret=secret,
                            salt=b"",
                            transfer_id=transfer_id,
                            holder_id=holder_id,
                            key_id=week,
                        )
        except KeyDestroyedError:
            raise TransferExpired from None
        raise NotFound


def _return_mark(key: bytes, outgoing_id: OutgoingId) -> ReturnMark:
    digest = blind_index(key, "return", outgoing_id)
    return ReturnMark(outgoing_id, base64.b32encode(digest).decode().lower()[:MARK_LENGTH])
