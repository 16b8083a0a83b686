"""What every way into people's mailboxes does: sends without saving, keeps a copy once, and says when it may not."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.stand_ins.gateways import FakeMailboxes, MailboxMail
from tests.stand_ins.graph_api import SECRET, GraphApi, Misbehaviour, graph_api
from tests.stand_ins.tls import trusted

from zegelpost.adapters.mailboxes_graph import GraphMailboxes
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.house_style import HouseStyle
from zegelpost.model.identifiers import OutgoingId
from zegelpost.model.outgoing import Purpose
from zegelpost.model.policy import Policy
from zegelpost.ports import MailError, SenderMailboxes
from zegelpost.services.composing import Composing, Organisation
from zegelpost.services.governing import Governing

ANNA, ROSA = "anna@zegelpost.example", "rosa@zorg.example"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET_LINK = "https://post.example/o/" + "a" * 26 + "#" + "b" * 32


def mail(purpose: Purpose = Purpose.INVITATION, number: str = "a") -> bytes:
    """As the outbox has it."""
    governing = Governing(Policy(), HouseStyle(name="Gemeente Súdwest"))
    composing = Composing(Organisation(governing, "https://post.example", EmailAddress.parse("post@example.nl")))
    way_in = {
        "page": "https://post.example/o/",
        "printed_code": "abcd",
        "needs_mobile": True,
        "is_called": False,
        "last_digits": "78",
    }
    facts: dict[str, Any] = {"name": "Rosa", "sender_name": "Anna", "sender_email": ANNA, "email": ROSA, "expires_at": NOW}
    link = SECRET_LINK if purpose == Purpose.INVITATION else "https://post.example/transfers/x"
    return composing.mail(
        purpose, "nl", EmailAddress.parse(ROSA), OutgoingId(number * 26), NOW, **facts, **way_in, sent_at=NOW, link=link
    )


@dataclass
class Stage:
    mailboxes: SenderMailboxes
    fake: FakeMailboxes | None
    api: GraphApi | None

    def left(self) -> list[MailboxMail]:
        if self.api is None:
            assert self.fake is not None
            return self.fake.sent
        return [_seen(box, body["message"]) for box, each in self.api.mailboxes.items() for body in each.sent]

    def kept(self) -> list[MailboxMail]:
        if self.api is None:
            assert self.fake is not None
            return self.fake.kept
        return [_seen(box, message) for box, each in self.api.mailboxes.items() for message in each.sent_items]


def _seen(mailbox: str, message: dict[str, Any]) -> MailboxMail:
    [to] = message["toRecipients"]
    return MailboxMail(
        mailbox, to["emailAddress"]["address"], message["subject"], message["body"]["content"], message["internetMessageId"]
    )


@pytest.fixture
def api(tmp_path: Path) -> Iterator[GraphApi]:
    with trusted(tmp_path) as context, graph_api(context) as running:
        running.mailbox(ANNA)
        yield running


@pytest.fixture(params=["graph", "fake"])
def stage(request: pytest.FixtureRequest) -> Stage:
    if request.param == "fake":
        fake = FakeMailboxes(known={ANNA})
        return Stage(fake, fake, None)
    api: GraphApi = request.getfixturevalue("api")
    return Stage(GraphMailboxes(api.mailboxes_url, timeout_seconds=2), None, api)


async def test_a_mail_leaves_as_it_was_written_and_is_not_saved(stage: Stage) -> None:
    await stage.mailboxes.deliver(mailbox=ANNA, recipient=ROSA, message=mail())
    await stage.mailboxes.deliver(mailbox=ANNA, recipient=ROSA, message=mail())

    first, second = stage.left()
    assert first == second
    assert (first.mailbox, first.recipient, first.message_id) == (ANNA, ROSA, f"<{'a' * 26}@post.example>")
    assert SECRET_LINK in first.html
    assert "Gemeente Súdwest" in first.subject
    assert stage.kept() == []


async def test_a_copy_is_kept_once_and_nobody_gets_it(stage: Stage) -> None:
    for _ in range(2):
        await stage.mailboxes.keep(mailbox=ANNA, message=mail(Purpose.SENT_COPY))
    await stage.mailboxes.keep(mailbox=ANNA, message=mail(Purpose.SENT_COPY, "b"))

    assert [each.message_id[1] for each in stage.kept()] == ["a", "b"]
    assert stage.kept()[0].recipient == ROSA
    assert stage.left() == []


async def test_a_mailbox_that_is_not_there_refuses_for_good(stage: Stage) -> None:
    for call in (
        stage.mailboxes.deliver(mailbox="nobody@zegelpost.example", recipient=ROSA, message=mail()),
        stage.mailboxes.keep(mailbox="nobody@zegelpost.example", message=mail(Purpose.SENT_COPY)),
    ):
        with pytest.raises(MailError) as caught:
            await call
        assert caught.value.is_permanent


async def failure(mailboxes: GraphMailboxes) -> MailError:
    with pytest.raises(MailError) as caught:
        await mailboxes.deliver(mailbox=ANNA, recipient=ROSA, message=mail())
    said = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    for secret in (SECRET, "rosa", "anna", "#bbbb"):
        assert secret not in said
    assert "ZEGELPOST_MAILBOXES_URL" in caught.value.reason
    return caught.value


async def test_the_copy_is_no_draft_and_has_its_date(api: GraphApi) -> None:
    await GraphMailboxes(api.mailboxes_url).keep(mailbox=ANNA, message=mail(Purpose.SENT_COPY))

    [kept] = api.mailboxes[ANNA].sent_items
    properties = {each["id"]: each["value"] for each in kept["singleValueExtendedProperties"]}
    assert properties == {"Integer 0x0E07": "1", "SystemTime 0x0039": "2026-11-23T12:00:00Z"}
    assert kept["isRead"] is True
    assert kept["from"]["emailAddress"]["address"] == ANNA


@pytest.mark.parametrize(
    ("how", "is_permanent", "pause"),
    [
        (Misbehaviour(429, headers={"Retry-After": "17"}), False, 17),
        (Misbehaviour(503), False, None),
        (Misbehaviour(500), False, None),
        (Misbehaviour(None), False, None),
        (Misbehaviour(None, is_half=True), False, None),
        (Misbehaviour(200, body=b"<html>please sign in</html>"), False, None),
        (Misbehaviour(302, headers={"Location": "https://elders.example/"}), False, None),
        (Misbehaviour(400, code="ErrorInvalidRecipients"), True, None),
        (Misbehaviour(404, code="MailboxNotEnabledForRESTAPI"), True, None),
    ],
)
async def test_when_it_goes_wrong_it_is_known_whether_trying_again_helps(
    api: GraphApi, how: Misbehaviour, *, is_permanent: bool, pause: float | None
) -> None:
    api.misbehave(how)
    error = await failure(GraphMailboxes(api.mailboxes_url, timeout_seconds=2))

    assert (error.is_permanent, error.retry_after_seconds) == (is_permanent, pause)


async def test_a_right_that_is_missing_and_a_secret_that_ran_out_refuse_for_good(api: GraphApi) -> None:
    api.may_send = False
    assert (await failure(GraphMailboxes(api.mailboxes_url))).is_permanent
    mailboxes = GraphMailboxes(api.mailboxes_url)
    await mailboxes.probe()
    api.revoke_secret()
    assert (await failure(mailboxes)).is_permanent
    with pytest.raises(MailError):
        await GraphMailboxes(api.mailboxes_url).probe()


async def test_a_certificate_that_nobody_vouches_for_gets_nothing(api: GraphApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    error = await failure(GraphMailboxes(api.mailboxes_url))

    assert "TLS" in error.reason
    assert not error.is_permanent
    assert api.requests == []


async def test_a_service_that_hangs_holds_nobody_up_for_long(api: GraphApi) -> None:
    mailboxes = GraphMailboxes(api.mailboxes_url, timeout_seconds=10, longest_seconds=2)
    await mailboxes.probe()
    api.misbehave(Misbehaviour(delay_seconds=5))
    first, second = await asyncio.gather(failure(mailboxes), failure(mailboxes))

    assert {first.is_permanent, second.is_permanent} == {False}
    assert sorted(error.reason.rpartition(": ")[2] for error in (first, second)) == [
        "Graph did not answer in time",
        "too many mails wait for Graph",
    ]
    # What hung has its turn until it is through; whoever had no turn never left.
    async with asyncio.timeout(30):
        async with mailboxes._turn:
            pass
    await mailboxes.deliver(mailbox=ANNA, recipient=ROSA, message=mail(number="c"))
    assert [sent["message"]["internetMessageId"][1] for sent in api.mailboxes[ANNA].sent] == ["a", "c"]


async def test_an_answer_that_got_lost_makes_the_same_mail_again(api: GraphApi) -> None:
    mailboxes = GraphMailboxes(api.mailboxes_url, timeout_seconds=2)
    api.misbehave(Misbehaviour(500, is_accepted=True))
    await failure(mailboxes)
    await mailboxes.deliver(mailbox=ANNA, recipient=ROSA, message=mail())

    first, second = api.mailboxes[ANNA].sent
    assert first == second
