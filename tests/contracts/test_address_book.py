"""What every address book does: tells everything once, then what changes, and after any outage goes on where it was.

With `ZEGELPOST_TEST_ADDRESS_BOOK_URL` and `ZEGELPOST_TEST_MAILBOX` the same is read from the real service.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contracts.address_book_stages import (
    ANNA,
    OUTAGES,
    STAGES,
    CsvStage,
    EwsStage,
    GraphStage,
    Mirror,
    Person,
    ServiceStage,
    Stage,
    crowd,
    rows_of,
    stage_of,
    told,
)
from tests.stand_ins.ews_server import Card as EwsCard
from tests.stand_ins.ews_server import EwsTrouble
from tests.stand_ins.graph_api import Misbehaviour, graph_api
from tests.stand_ins.tls import trusted

from zegelpost.adapters.address_book_csv import CsvAddressBook
from zegelpost.adapters.address_book_ews import EwsAddressBook
from zegelpost.adapters.address_book_graph import GraphAddressBook
from zegelpost.model.address_book import FeedTrouble
from zegelpost.model.contact import Card
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.ports import AddressBookError, CursorRefusedError

ROSA = Person("rosa", "Rosa Visser", "rosa@zorg.example", "06-12 34 56 78", "020-123 45 67")
SAM = Person("sam", "Sam Advocaat", "sam@advocaat.example", "+31 (0)6 87654321")
MAILBOXES = [kind for kind in STAGES if kind.endswith("mailbox")]
SERVICES = [kind for kind in STAGES if kind != "csv"]


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with stage_of(request.param, tmp_path) as found:
        yield found


def of(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stage", kinds, indirect=True)


def said(error: BaseException) -> str:
    """Everything that a log could get hold of."""
    return "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.args)


@of(*STAGES)
async def test_everything_comes_over_several_pages(stage: Stage) -> None:
    people = [ROSA, SAM, *crowd(20)] if not isinstance(stage, CsvStage) else [ROSA, SAM, *crowd(1200)]
    if isinstance(stage, CsvStage):
        stage.people = {each.key: each for each in people}
    for person in people[-1:] if isinstance(stage, CsvStage) else people:
        stage.put(person)
    mirror = Mirror()

    await mirror.read(stage)

    # Of a file the reader already chose which number to take.
    expected = [replace(each, phone="") for each in people] if isinstance(stage, CsvStage) else people
    assert mirror.people() == told(*expected)
    assert mirror.page_count > 2


@of(*STAGES)
async def test_an_empty_book_comes_to_an_end(stage: Stage) -> None:
    mirror = Mirror()
    await mirror.read(stage)
    assert mirror.known == {}
    await mirror.read(stage)
    assert mirror.known == {}


@of(*SERVICES)
async def test_afterwards_only_what_changed_comes(stage: ServiceStage) -> None:
    people = crowd(30)
    for person in people:
        stage.put(person)
    mirror = Mirror()
    await mirror.read(stage)

    await mirror.read(stage)
    assert mirror.told_count == 0

    stage.put(replace(people[3], name="Persoon Anders", mobile="06-99999999"))
    stage.remove("k5")
    stage.put(SAM)
    await mirror.read(stage)

    assert mirror.told_count == 3
    expected = [each for each in people if each.key not in {"k3", "k5"}]
    assert mirror.people() == told(*expected, SAM, replace(people[3], name="Persoon Anders", mobile="06-99999999"))


@of("csv")
async def test_a_file_is_read_again_when_it_changed(stage: Stage) -> None:
    stage.put(SAM)
    stage.put(replace(ROSA, phone=""))
    mirror = Mirror()
    await mirror.read(stage)
    await mirror.read(stage)
    assert mirror.told_count == 0

    stage.remove("sam")
    await mirror.read(stage)
    assert mirror.people() == told(replace(ROSA, phone=""))


@of(*STAGES)
async def test_a_page_may_be_asked_for_again(stage: Stage) -> None:
    for person in crowd(20):
        stage.put(person)
    mirror = Mirror()
    while True:
        first = await stage.book.read(stage.mailbox, mirror.cursor)
        again = await stage.book.read(stage.mailbox, mirror.cursor)
        assert (again.entries, again.removed, again.is_last, again.starts_over) == (
            first.entries,
            first.removed,
            first.is_last,
            first.starts_over,
        )
        mirror.take(again)
        if again.is_last:
            break
    assert mirror.people() == told(*crowd(20))


@of(*SERVICES)
async def test_told_twice_and_in_disorder_it_is_the_same(stage: ServiceStage) -> None:
    stage.tell_twice()
    for person in crowd(20):
        stage.put(person)
    mirror = Mirror()
    await mirror.read(stage)
    stage.put(replace(crowd(1)[0], name="Anders"))
    stage.remove("k7")
    await mirror.read(stage)

    expected = [each for each in crowd(20) if each.key not in {"k0", "k7"}]
    assert mirror.people() == told(*expected, replace(crowd(1)[0], name="Anders"))


@of(*MAILBOXES)
async def test_folders_come_and_go_and_people_move_between_them(stage: ServiceStage) -> None:
    stage.put(ROSA)
    stage.put(SAM, "zaken")
    for person in crowd(9):
        stage.put(person, "oud")
    mirror = Mirror()
    await mirror.read(stage)
    assert mirror.people() == told(ROSA, SAM, *crowd(9))

    stage.remove("sam", "zaken")
    stage.put(SAM, "contacts")
    stage.remove_folder("oud")
    stage.put(crowd(1, start=50)[0], "nieuw")
    await mirror.read(stage)

    assert mirror.people() == told(ROSA, SAM, *crowd(1, start=50))


@of(*MAILBOXES)
async def test_a_folder_that_goes_while_it_is_about_to_be_read(stage: ServiceStage) -> None:
    stage.put(ROSA)
    stage.put(SAM, "zaken")
    mirror = Mirror()
    first = await stage.book.read(stage.mailbox, None)
    mirror.take(first)
    stage.remove_folder("zaken")
    await mirror.read(stage)
    assert mirror.people() == told(ROSA)


@of(*SERVICES)
async def test_a_lost_cursor_is_told_and_then_everything_comes_anew(stage: ServiceStage) -> None:
    for person in (ROSA, SAM):
        stage.put(person)
    mirror = Mirror()
    await mirror.read(stage)
    stage.remove("sam")
    stage.lose_cursors()

    with pytest.raises(CursorRefusedError):
        await mirror.read(stage)
    mirror.cursor = None
    await mirror.read(stage)

    assert mirror.people() == told(ROSA)


@pytest.mark.parametrize("outage", OUTAGES)
@of(*SERVICES)
async def test_after_an_outage_nobody_is_lost_or_doubled(
    stage: ServiceStage, outage: str, caplog: pytest.LogCaptureFixture
) -> None:
    people = [ROSA, *crowd(30)]
    for person in people:
        stage.put(person)
    mirror = Mirror()
    troubles: list[AddressBookError] = []
    caplog.set_level(logging.INFO)
    for _ in range(40):
        if not mirror.page_count % 2 and len(troubles) < 3:
            stage.fail(outage)
        try:
            page = await stage.book.read(stage.mailbox, mirror.cursor)
        except AddressBookError as error:
            troubles.append(error)
            mirror.page_count += 1
            continue
        mirror.take(page)
        if page.is_last and len(troubles) > 1:
            break

    assert troubles
    assert mirror.people() == told(*people)
    for trouble in troubles:
        assert not trouble.is_permanent
        assert not any(secret in said(trouble) for secret in ("rosa", "zorg.example", "s3cr"))
    assert "rosa" not in caplog.text
    if outage == "busy":
        assert {each.retry_after_seconds for each in troubles} == {17}
        assert {each.trouble for each in troubles} == {FeedTrouble.BUSY}


@of(*SERVICES)
async def test_a_service_that_is_not_there(stage: ServiceStage) -> None:
    url = stage.api.address_book_url if isinstance(stage, GraphStage) else stage.server.address_book_url  # type: ignore[attr-defined]
    port = url.partition("127.0.0.1:")[2].partition("/")[0].partition("&")[0]
    closed = url.replace(port, "9")
    book = (
        GraphAddressBook(closed, timeout_seconds=1) if closed.startswith("graph:") else EwsAddressBook(closed, timeout_seconds=1)
    )

    with pytest.raises(AddressBookError) as caught:
        await book.read(stage.mailbox, None)

    assert caught.value.trouble == FeedTrouble.UNREACHABLE
    assert "s3cr" not in said(caught.value)


@of(*SERVICES)
async def test_a_revoked_secret_is_told_as_such_and_a_new_one_works(stage: ServiceStage) -> None:
    stage.put(ROSA)
    mirror = Mirror()
    await mirror.read(stage)
    if isinstance(stage, GraphStage):
        secrets = set(stage.api.secrets)
        stage.api.revoke_secret()
    else:
        assert isinstance(stage, EwsStage)
        stage.server.password = "another"

    with pytest.raises(AddressBookError) as caught:
        await mirror.read(stage)
    assert (caught.value.trouble, caught.value.is_permanent) == (FeedTrouble.CREDENTIALS, True)
    assert "s3cr" not in said(caught.value)

    if isinstance(stage, GraphStage):
        stage.api.secrets |= secrets
    else:
        stage.server.password = "s3cr:t/with@signs"
    stage.put(SAM)
    await mirror.read(stage)
    assert mirror.people() == told(ROSA, SAM)


@of(*MAILBOXES)
async def test_someone_without_a_mailbox(stage: ServiceStage) -> None:
    with pytest.raises(AddressBookError) as caught:
        await stage.book.read(EmailAddress.parse("nobody@zegelpost.example"), None)
    assert caught.value.trouble == FeedTrouble.MAILBOX_MISSING


@of(*SERVICES)
async def test_not_being_allowed_is_told_as_such(stage: ServiceStage) -> None:
    if isinstance(stage, GraphStage):
        stage.api.misbehave(Misbehaviour(403, "Authorization_RequestDenied"))
    else:
        assert isinstance(stage, EwsStage)
        stage.server.may_impersonate = False
    with pytest.raises(AddressBookError) as caught:
        await stage.book.read(stage.mailbox, None)
    assert (caught.value.trouble, caught.value.is_permanent) == (FeedTrouble.PERMISSION, True)


NEW = Card("Nina Nieuw", "Zorggroep Noord", EmailAddress.parse("nina@zorg.example"), PhoneNumber("+31612345678"))


@of(*MAILBOXES)
async def test_who_is_added_comes_back_with_the_next_reading(stage: ServiceStage) -> None:
    mirror = Mirror()
    await mirror.read(stage)

    await stage.book.add(ANNA, NEW)
    await mirror.read(stage)

    assert mirror.people() == [("Nina Nieuw", "nina@zorg.example", ("+31612345678",))]


@of(*MAILBOXES)
async def test_who_was_added_by_a_try_without_an_answer_is_there_once(stage: ServiceStage) -> None:
    mirror = Mirror()
    await mirror.read(stage)
    if isinstance(stage, GraphStage):
        # The mailbox is asked for first.
        stage.api.misbehave(Misbehaviour(is_accepted=True, skip=1))
    else:
        assert isinstance(stage, EwsStage)
        stage.server.misbehave(EwsTrouble(is_accepted=True, skip=2))
    with pytest.raises(AddressBookError):
        await stage.book.add(ANNA, NEW)
    await mirror.read(stage)
    assert mirror.people() == [("Nina Nieuw", "nina@zorg.example", ("+31612345678",))]


@of(*MAILBOXES)
async def test_reading_without_being_allowed_to_write(stage: ServiceStage) -> None:
    (stage.api if isinstance(stage, GraphStage) else stage.server).may_write = False  # type: ignore[attr-defined]
    with pytest.raises(AddressBookError) as caught:
        await stage.book.add(ANNA, NEW)
    assert caught.value.trouble == FeedTrouble.PERMISSION


@of(*STAGES)
async def test_looking_up_never_asks_where_the_list_is_read(stage: Stage) -> None:
    found = await stage.book.look_up("nobody")
    assert found == []
    assert stage.book.has_directory != (stage.book.kind == "ews")


# Of Graph alone


@of("graph-directory")
async def test_organisation_contacts_follow_the_users(stage: Stage) -> None:
    assert isinstance(stage, GraphStage)
    stage.put(ROSA)
    phones = [{"type": "business", "number": "020-1234567"}, {"type": "mobile", "number": "06-87654321"}]
    stage.api.organisation_contacts.put("c1", displayName="Sam", mail="sam@advocaat.example", companyName="Adv", phones=phones)
    mirror = Mirror()
    await mirror.read(stage)
    assert mirror.people() == sorted([*told(ROSA), ("Sam", "sam@advocaat.example", ("06-87654321", "020-1234567"))])

    stage.api.organisation_contacts.remove("c1", "changed")
    await mirror.read(stage)
    assert mirror.people() == told(ROSA)


@of("graph-directory")
async def test_of_whom_only_the_change_is_told_nothing_else_is_lost(stage: Stage) -> None:
    assert isinstance(stage, GraphStage)
    stage.api.tells_only_changes = True
    people = crowd(40)
    for person in people:
        stage.put(person)
    mirror = Mirror()
    await mirror.read(stage)

    for person in people:
        stage.api.users.put(person.key, mobilePhone="06-99999999")
    await mirror.read(stage)

    assert mirror.people() == told(*(replace(each, mobile="06-99999999") for each in people))
    assert max(len(path) for path in stage.api.requested("$filter")) < 2000


@of("graph-directory")
async def test_accounts_that_are_switched_off_are_not_listed(stage: Stage) -> None:
    assert isinstance(stage, GraphStage)
    stage.put(ROSA)
    stage.put(SAM)
    mirror = Mirror()
    await mirror.read(stage)
    stage.api.users.put("sam", accountEnabled=False)
    await mirror.read(stage)
    assert mirror.people() == told(ROSA)


@of("graph-directory")
async def test_whether_people_may_sign_in_is_told_with_whatever_changes(stage: Stage) -> None:
    assert isinstance(stage, GraphStage)
    stage.api.tells_only_changes = True
    for person in crowd(20):
        stage.put(person)
    stage.api.users.put("k3", accountEnabled=False)
    stage.api.organisation_contacts.put("c1", displayName="Sam", mail="sam@advocaat.example")
    accounts: dict[str, bool] = {}
    cursor: str | None = None

    async def read() -> set[str]:
        nonlocal cursor
        named: set[str] = set()
        while True:
            page = await stage.book.read(None, cursor)
            cursor = page.cursor
            for each in page.accounts:
                accounts[each.subject] = each.is_enabled
                named.add(each.subject)
            if page.is_last:
                return named

    # What signs in is named; contacts do not.
    assert await read() == {f"k{number}" for number in range(20)}
    assert [subject for subject, is_enabled in accounts.items() if not is_enabled] == ["k3"]
    assert await read() == set()
    stage.api.users.put("k3", accountEnabled=True)
    stage.api.users.put("k4", accountEnabled=False)
    stage.api.users.put("k5", mobilePhone="06-99999999")
    stage.api.users.remove("k6", "changed")  # to the bin
    stage.api.users.remove("k7")
    assert await read() == {"k3", "k4", "k5", "k6", "k7"}
    assert {subject for subject, is_enabled in accounts.items() if not is_enabled} == {"k4", "k6", "k7"}
    stage.put(crowd(1, start=6)[0])
    await read()
    assert accounts["k6"]


@of("graph-directory")
async def test_after_people_one_can_ask_by_name(stage: Stage) -> None:
    assert isinstance(stage, GraphStage)
    for person in crowd(40):
        stage.put(person)
    stage.api.users.put("k3", accountEnabled=False)
    stage.api.users.put("k4", accountEnabled=None)
    everyone = [*(f"k{number}" for number in range(40)), "gone", "o'brien"]

    async def off() -> tuple[int, list[str]]:
        told = await stage.book.ask_after(everyone)
        return len(told), [each.subject for each in told if not each.is_enabled]

    # Of k4 it does not say.
    assert await off() == (41, ["k3", "gone", "o'brien"])
    assert await stage.book.ask_after([]) == []
    # A list that is short makes nobody go, nor does something between us and Graph that knows nothing.
    stage.api.lists_nobody = True
    assert await off() == (41, ["k3", "gone", "o'brien"])
    stage.api.is_behind_something = True
    assert await off() == (0, [])


@pytest.mark.parametrize("outage", OUTAGES)
@of("graph-directory")
async def test_an_outage_says_nothing_of_anyone(stage: Stage, outage: str) -> None:
    assert isinstance(stage, GraphStage)
    stage.fail(outage)
    with pytest.raises(AddressBookError):
        await stage.book.ask_after(["k1"])


@of("ews-mailbox", "csv")
async def test_where_there_are_no_accounts_nothing_is_said_of_them(stage: Stage) -> None:
    stage.put(ROSA)
    page = await stage.book.read(stage.mailbox, None)
    assert (list(page.accounts), list(await stage.book.ask_after(["rosa"]))) == ([], [])


@of("graph-mailbox")
async def test_who_signs_in_by_another_name_than_the_address_is_found(stage: Stage) -> None:
    assert isinstance(stage, GraphStage)
    stage.put(ROSA)
    mailbox = stage.api.mailboxes.pop(str(ANNA))
    stage.api.mailboxes["a.devries@example.onmicrosoft.com"] = mailbox
    stage.api.users.put(mailbox.user_id, mail=str(ANNA))
    mirror = Mirror()
    await mirror.read(stage)
    assert mirror.people() == told(ROSA)


@pytest.mark.parametrize(
    "link",
    [
        "https://169.254.169.254/v1.0/users/delta?$token=1",
        "http://127.0.0.1/v1.0/users/delta",
        "https://graph.microsoft.com@evil.example/",
        "file:///etc/passwd",
        "https://[::1",
        "",
        None,
        7,
    ],
)
@of("graph-directory")
async def test_a_link_elsewhere_is_not_followed(stage: Stage, link: object) -> None:
    import json

    assert isinstance(stage, GraphStage)
    stage.api.misbehave(Misbehaviour(200, body=json.dumps({"value": [], "@odata.nextLink": link}).encode()))
    with pytest.raises(AddressBookError) as caught:
        await stage.book.read(None, None)
    assert caught.value.trouble == FeedTrouble.UNREADABLE


@of("graph-directory")
async def test_a_cursor_that_leads_elsewhere_takes_no_token_along(stage: Stage) -> None:
    assert isinstance(stage, GraphStage)
    mirror = Mirror()
    await mirror.read(stage)
    assert mirror.cursor is not None
    count = len(stage.api.requests)
    with pytest.raises(AddressBookError) as caught:
        await stage.book.read(None, mirror.cursor.replace("https://127.0.0.1", "https://127.0.0.2"))
    assert caught.value.trouble == FeedTrouble.UNREADABLE
    assert len(stage.api.requests) == count


@pytest.mark.parametrize(
    "body",
    [b"[]", b'{"value": 1}', b'{"value": [1]}', b'{"value": [{}], "@odata.deltaLink": "x"}', b"{", b"\xff", b'{"value": []}'],
)
@of("graph-directory", "graph-mailbox")
async def test_answers_that_make_no_sense(stage: Stage, body: bytes) -> None:
    assert isinstance(stage, GraphStage)
    stage.api.misbehave(Misbehaviour(200, body=body))
    with pytest.raises(AddressBookError) as caught:
        await stage.book.read(stage.mailbox, None)
    assert caught.value.trouble == FeedTrouble.UNREADABLE


@of("graph-directory")
async def test_an_endless_answer_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(stage, GraphStage)
    monkeypatch.setattr("zegelpost.adapters.address_book_graph_calls._LARGEST_ANSWER_BYTES", 10_000)
    stage.api.misbehave(Misbehaviour(200, body=b" " * 100_000))
    with pytest.raises(AddressBookError, match="too large"):
        await stage.book.read(None, None)


async def test_exchange_of_our_own_without_a_trusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with trusted(tmp_path) as context, graph_api(context) as other:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        host = other.url.removeprefix("https://")
        book = EwsAddressBook(f"ews://user:s3cret-word@{host}/EWS/Exchange.asmx?auth=basic", timeout_seconds=2)
        with pytest.raises(AddressBookError) as caught:
            await book.read(ANNA, None)
    assert caught.value.trouble == FeedTrouble.CERTIFICATE
    assert "s3cret" not in said(caught.value)
    assert other.requests == []


@of("graph-directory")
async def test_a_certificate_that_nobody_vouches_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(stage, GraphStage)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(AddressBookError) as caught:
        await stage.book.read(None, None)
    assert caught.value.trouble == FeedTrouble.CERTIFICATE


@pytest.mark.parametrize(("written", "seconds"), [("3", 3), ("0", 1), ("999999999", 6 * 3600), ("soon", None), ("", None)])
@of("graph-directory")
async def test_how_long_a_busy_service_asks_to_wait(stage: Stage, written: str, seconds: float | None) -> None:
    assert isinstance(stage, GraphStage)
    stage.api.misbehave(Misbehaviour(429, "x", {"Retry-After": written}))
    with pytest.raises(AddressBookError) as caught:
        await stage.book.read(None, None)
    assert caught.value.retry_after_seconds == seconds


@of("graph-directory")
async def test_a_time_to_wait_until(stage: Stage) -> None:
    from email.utils import formatdate

    assert isinstance(stage, GraphStage)
    stage.api.misbehave(Misbehaviour(503, "x", {"Retry-After": formatdate(time.time() + 90, usegmt=True)}))
    with pytest.raises(AddressBookError) as caught:
        await stage.book.read(None, None)
    assert caught.value.retry_after_seconds == pytest.approx(90, abs=30)


@of("graph-directory")
async def test_one_token_does_for_many_pages(stage: Stage) -> None:
    assert isinstance(stage, GraphStage)
    for person in crowd(30):
        stage.put(person)
    await Mirror().read(stage)
    assert len(stage.api.requested("/token")) == 1
    stage.api.token += 1  # no longer taken
    await Mirror().read(stage)
    assert len(stage.api.requested("/token")) == 2


@pytest.mark.parametrize("code", ["syncStateNotFound", "SyncStateInvalid", "resyncRequired"])
@of("graph-directory")
async def test_a_lost_state_by_its_name(stage: Stage, code: str) -> None:
    assert isinstance(stage, GraphStage)
    stage.api.misbehave(Misbehaviour(400, code))
    with pytest.raises(CursorRefusedError):
        await stage.book.read(None, None)


# Of Exchange on-premises alone


@of("ews-mailbox")
async def test_names_are_looked_up_in_the_address_list_as_the_service_account(stage: Stage) -> None:
    assert isinstance(stage, EwsStage)
    stage.server.directory += [EwsCard("Bram Jansen", ["bram@zegelpost.example"], {"mobile": "06-11112222"})]
    stage.server.directory += [EwsCard(f"Bas {n}", [f"bas{n}@zegelpost.example"]) for n in range(120)]

    found = await stage.book.look_up("bram")
    assert [(each.name, each.emails, each.numbers) for each in found] == [
        ("Bram Jansen", ["bram@zegelpost.example"], ["06-11112222"])
    ]
    assert len(await stage.book.look_up("bas")) == 100
    assert await stage.book.look_up(" ") == []
    assert {who for name, who in stage.server.requests if name == "ResolveNames"} == {""}


@pytest.mark.parametrize(
    "body",
    [
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>',
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
        b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><x/>',
    ],
    ids=["bomb", "file", "fetch"],
)
@of("ews-mailbox")
async def test_a_hostile_server_gets_nothing_by_its_xml(stage: Stage, body: bytes) -> None:
    assert isinstance(stage, EwsStage)
    stage.server.misbehave(EwsTrouble(body=body))
    with pytest.raises(AddressBookError) as caught:
        await stage.book.read(ANNA, None)
    assert caught.value.trouble == FeedTrouble.UNREADABLE
    assert "root:" not in said(caught.value)


@pytest.mark.parametrize("code", ["ErrorInvalidSyncStateData", "ErrorSyncFolderNotFound"])
@of("ews-mailbox")
async def test_a_state_that_exchange_lost(stage: Stage, code: str) -> None:
    assert isinstance(stage, EwsStage)
    stage.server.misbehave(EwsTrouble(code))
    with pytest.raises(CursorRefusedError):
        await stage.book.read(ANNA, None)


@pytest.mark.parametrize("host", ["outlook.office365.com", "outlook.office.com", "eur01.outlook.com", "outlook.office365.us"])
def test_exchange_online_is_refused_with_the_reason(host: str) -> None:
    with pytest.raises(ValueError, match="2027-04-01"):
        EwsAddressBook(f"ews://user:geheim@{host}/EWS/Exchange.asmx")


@pytest.mark.parametrize("url", ["graph://a@b", "graph://a:b@", "graph://a:b@c?api=http://x", "graph://a:b@c?x=1", "ews://a:b@c"])
def test_an_incomplete_graph_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="ADDRESS_BOOK_URL") as caught:
        GraphAddressBook(url)
    assert "a:b" not in str(caught.value)


# Of files alone


async def test_a_file_that_is_not_there_and_then_is(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    book = CsvAddressBook(path, rows_of)
    with pytest.raises(AddressBookError) as caught:
        await book.read(None, None)
    assert caught.value.trouble == FeedTrouble.FILE_MISSING

    path.write_text("Naam;E-mailadres\nRosa;rosa@zorg.example\n")
    assert [entry.name for entry in (await book.read(None, None)).entries] == ["Rosa"]


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"Kolom;Nog een\na;b\n"])
async def test_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "contacts.csv"
    path.write_bytes(content)
    with pytest.raises(AddressBookError) as caught:
        await CsvAddressBook(path, rows_of).read(None, None)
    assert caught.value.trouble == FeedTrouble.FILE_UNREADABLE


async def test_a_file_that_is_replaced_half_way_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"

    def write(count: int) -> None:
        path.write_text("Naam;E-mailadres\n" + "".join(f"P{n};p{n}@zorg.example\n" for n in range(count)))

    write(1200)
    book = CsvAddressBook(path, rows_of)
    first = await book.read(None, None)
    write(700)
    second = await book.read(None, first.cursor)
    assert second.starts_over
    third = await CsvAddressBook(path, rows_of).read(None, second.cursor)
    assert (third.starts_over, third.is_last, len(second.entries) + len(third.entries)) == (False, True, 700)


async def test_two_people_at_one_address_are_two(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    path.write_text("Naam;E-mailadres\nRosa;balie@zorg.example\nSam;balie@zorg.example\n")
    page = await CsvAddressBook(path, rows_of).read(None, None)
    assert len({entry.key for entry in page.entries}) == 2


# The real thing

REAL_URL, REAL_MAILBOX = os.environ.get("ZEGELPOST_TEST_ADDRESS_BOOK_URL"), os.environ.get("ZEGELPOST_TEST_MAILBOX")


@pytest.mark.skipif(not (REAL_URL and REAL_MAILBOX), reason="needs a real Exchange and credentials for it")
async def test_the_real_service_tells_everything_and_then_nothing() -> None:
    assert REAL_URL
    book = GraphAddressBook(REAL_URL) if REAL_URL.startswith("graph:") else EwsAddressBook(REAL_URL)
    mailboxes: list[EmailAddress | None] = [EmailAddress.parse(REAL_MAILBOX or "")]
    for mailbox in mailboxes + ([None] if book.has_directory else []):
        mirror, counts = Mirror(), []
        for _ in range(2):
            mirror.told_count = 0
            while True:
                page = await book.read(mailbox, mirror.cursor)
                mirror.take(page)
                if page.is_last:
                    break
            counts.append(mirror.told_count)
        assert counts[1] <= counts[0]
        assert counts[0] >= len(mirror.known)
