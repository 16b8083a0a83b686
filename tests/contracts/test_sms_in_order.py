"""Two gateways: the second steps in when the first certainly sent nothing, and never after doubt."""

from __future__ import annotations

import pytest
from tests.contracts.test_sms import REPORT_TO, ROSA, TEXT
from tests.stand_ins.gateways import FakeSms
from tests.stand_ins.messagebird_api import SIGNING_KEY, BirdMessage, messagebird_api, signed
from tests.stand_ins.twilio_api import TOKEN, signature_of, twilio_api

from zegelpost.adapters.messagebird_account import MessageBirdAccount
from zegelpost.adapters.messagebird_reports import MessageBirdReports
from zegelpost.adapters.sms_in_order import NamedGateway, SmsGatewaysInOrder, SmsReportsOfAll
from zegelpost.adapters.sms_messagebird import MessageBirdSmsGateway
from zegelpost.adapters.sms_twilio import TwilioSmsGateway
from zegelpost.adapters.twilio_account import TwilioAccount
from zegelpost.adapters.twilio_reports import TwilioSignatures, TwilioSmsReports
from zegelpost.model.outgoing import CarrierState
from zegelpost.model.refusals import ReportForged
from zegelpost.ports import SmsAcceptance, SmsError, SmsErrorKind


def failing(kind: SmsErrorKind, *, is_permanent: bool = True, is_doubt: bool = False) -> FakeSms:
    gateway = FakeSms()
    gateway.failures.append(SmsError("no", kind=kind, is_permanent=is_permanent, may_have_been_sent=is_doubt))
    return gateway


async def deliver(*gateways: FakeSms) -> SmsAcceptance:
    named = [NamedGateway(f"g{number}", gateway) for number, gateway in enumerate(gateways)]
    return await SmsGatewaysInOrder(named).deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)


async def test_the_first_takes_it_and_the_second_hears_nothing() -> None:
    first, second = FakeSms(), FakeSms()

    acceptance = await deliver(first, second)

    assert (len(first.delivered), len(second.delivered), acceptance.passed_over) == (1, 0, None)


@pytest.mark.parametrize("kind", [SmsErrorKind.OUR_SETUP, SmsErrorKind.BUSY, SmsErrorKind.UNREACHABLE, SmsErrorKind.OTHER])
async def test_what_is_the_providers_trouble_is_the_seconds_chance(kind: SmsErrorKind) -> None:
    first, second = failing(kind), FakeSms()

    acceptance = await deliver(first, second)

    assert (len(first.delivered), len(second.delivered), acceptance.passed_over) == (0, 1, kind)


@pytest.mark.parametrize(
    "kind", [SmsErrorKind.NUMBER_WRONG, SmsErrorKind.NOT_MOBILE, SmsErrorKind.OPTED_OUT, SmsErrorKind.SUSPICIOUS]
)
async def test_what_is_the_persons_situation_is_not_tried_elsewhere(kind: SmsErrorKind) -> None:
    second = FakeSms()
    with pytest.raises(SmsError) as caught:
        await deliver(failing(kind), second)

    assert (caught.value.kind, second.delivered) == (kind, [])


@pytest.mark.parametrize("kind", list(SmsErrorKind))
async def test_after_doubt_nothing_else_leaves(kind: SmsErrorKind) -> None:
    first, second = failing(kind, is_permanent=False, is_doubt=True), FakeSms()
    with pytest.raises(SmsError) as caught:
        await deliver(first, second)

    assert caught.value.may_have_been_sent
    assert (len(first.delivered), len(second.delivered)) == (1, 0)


async def test_when_none_takes_it_the_one_that_may_in_a_moment_counts() -> None:
    busy, broken = failing(SmsErrorKind.BUSY, is_permanent=False), failing(SmsErrorKind.OUR_SETUP)
    with pytest.raises(SmsError) as caught:
        await deliver(broken, busy)

    assert (caught.value.kind, caught.value.is_permanent) == (SmsErrorKind.BUSY, False)


async def test_real_clients_one_after_the_other() -> None:
    """A revoked secret at the first: every message leaves by the second, once."""
    with twilio_api() as twilio, messagebird_api() as bird:
        gateway = SmsGatewaysInOrder(
            [
                NamedGateway(
                    "twilio", TwilioSmsGateway(TwilioAccount(twilio.sms_url().replace("s3cr", "gone"), api_url=twilio.url))
                ),
                NamedGateway("messagebird", MessageBirdSmsGateway(MessageBirdAccount(bird.sms_url()))),
            ]
        )
        acceptance = await gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

        assert (twilio.messages, [message.body for message in bird.messages]) == ([], [TEXT])
        assert (acceptance.provider_reference, acceptance.passed_over) == (bird.messages[0].id, SmsErrorKind.OUR_SETUP)


def test_each_reports_in_its_own_way_and_nobody_else() -> None:
    readers = SmsReportsOfAll([TwilioSmsReports(TwilioSignatures(TOKEN)), MessageBirdReports(SIGNING_KEY)])
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    twilio = readers.read(
        address=REPORT_TO, fields=list(fields.items()), headers={"x-twilio-signature": signature_of(REPORT_TO, fields)}
    )
    address = BirdMessage("b1", "31612345678", "", "Z", 600, "plain", "a", REPORT_TO).report("sent")
    bird = readers.read(
        address=address, fields=[("id", "b1"), ("status", "sent")], headers={"messagebird-signature-jwt": signed(address)}
    )

    assert (twilio.state, bird.state) == (CarrierState.DELIVERED, CarrierState.SENT)
    with pytest.raises(ReportForged):
        readers.read(address=REPORT_TO, fields=list(fields.items()), headers={})
