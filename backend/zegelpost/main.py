"""Wiring: from settings to an application. The application is data: routes, middleware and error map are lists to read."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware

from zegelpost import connecting
from zegelpost.adapters.address_book_csv import UploadedAddressBook
from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.adapters.outbox_demo import DemoOutbox
from zegelpost.connecting import Printers
from zegelpost.database import Database
from zegelpost.model.clock import Clock, OnClock, system_clock, system_on_clock
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.house_style import HouseStyle
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.refusals import Refusal
from zegelpost.model.return_address import ReturnAddress
from zegelpost.ports import BounceMailbox, IdentityProvider, OutageError, Seal
from zegelpost.sealing.errors import SealBroken
from zegelpost.services.adding_second_factor import AddingSecondFactor
from zegelpost.services.answering import Answering
from zegelpost.services.carrying_codes import CarryingCodes
from zegelpost.services.changing_password import ChangingPassword
from zegelpost.services.changing_policy import ChangingPolicy
from zegelpost.services.checkpointing import Checkpointing
from zegelpost.services.choosing_logo import ChoosingLogo
from zegelpost.services.clearing_uploads import ClearingUploads
from zegelpost.services.composing import Composing, Organisation
from zegelpost.services.conversing import Conversing
from zegelpost.services.counting import Counting
from zegelpost.services.dispatching import Dispatching, Gateways
from zegelpost.services.downloading import Downloading
from zegelpost.services.erasing import Erasing
from zegelpost.services.erasing_events import ErasingEvents
from zegelpost.services.erasing_person import ErasingPerson
from zegelpost.services.exporting_audit import ExportingAudit
from zegelpost.services.finding_contacts import FindingContacts
from zegelpost.services.following_up import FollowingUp
from zegelpost.services.governing import Governing
from zegelpost.services.handing_over_sign_in import HandingOverSignIn
from zegelpost.services.handling import Handling
from zegelpost.services.holding import Holding
from zegelpost.services.identifying import Identifying
from zegelpost.services.importing_contacts import ImportingContacts
from zegelpost.services.introducing import Introducing
from zegelpost.services.judging_held import JudgingHeld
from zegelpost.services.keeping_contacts import KeepingContacts
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.keeping_templates import KeepingTemplates
from zegelpost.services.knowing_person import KnowingPerson
from zegelpost.services.listing_contacts import ListingContacts
from zegelpost.services.mailing import Mailing
from zegelpost.services.measuring import Measuring
from zegelpost.services.noticing import Noticing
from zegelpost.services.notifying import Notifying
from zegelpost.services.observing_time import ObservingTime
from zegelpost.services.overseeing import Overseeing
from zegelpost.services.overseeing_address_books import OverseeingAddressBooks
from zegelpost.services.presenting import Presenting
from zegelpost.services.proving_second_factor import ProvingSecondFactor, RelyingParty
from zegelpost.services.proving_work import ProvingWork
from zegelpost.services.reassigning import Reassigning
from zegelpost.services.receiving import Receiving
from zegelpost.services.recognising_restore import RecognisingRestore
from zegelpost.services.registering import Registering
from zegelpost.services.rekeying_indexes import RekeyingIndexes
from zegelpost.services.remembering import Remembering
from zegelpost.services.reporting import Reporting
from zegelpost.services.requesting import Requesting
from zegelpost.services.rotating_keys import RotatingKeys
from zegelpost.services.running_accounts import RunningAccounts
from zegelpost.services.running_departments import RunningDepartments
from zegelpost.services.searching_audit import SearchingAudit
from zegelpost.services.seeing_outlooks import SeeingOutlooks
from zegelpost.services.sending import Sending
from zegelpost.services.sequencing import Sequencing
from zegelpost.services.signing_in import SigningIn
from zegelpost.services.speaking_codes import SpeakingCodes
from zegelpost.services.summing import Summing
from zegelpost.services.syncing import AddressBooks, Syncing
from zegelpost.services.taking_bounces import TakingBounces
from zegelpost.services.tracking_codes import TrackingCodes
from zegelpost.services.uploading import Uploading
from zegelpost.services.uploading_lists import UploadingLists
from zegelpost.services.verifying import Verifying
from zegelpost.services.verifying_audit import VerifyingAudit
from zegelpost.services.writing_back import WritingBack
from zegelpost.settings import NO_ORGANISATION, Settings
from zegelpost.web.errors import ErrorPages
from zegelpost.web.handbook import Handbook
from zegelpost.web.handbook_facts import facts_of_policy
from zegelpost.web.metrics import Metered, Meters
from zegelpost.web.middleware import BodyLimit, ChosenLanguage, OurHost, PresentPolicy, SameSite, SecurityHeaders
from zegelpost.web.network import TrustedProxies
from zegelpost.web.rendering import LANGUAGE_NAMES, Templates, create_templates
from zegelpost.web.routes import all_routes
from zegelpost.web.translation import Language, Translator, load_translators
from zegelpost.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a handler may call; `request.app.state.services`."""

    settings: Settings
    governing: Governing
    changing_policy: ChangingPolicy
    choosing_logo: ChoosingLogo
    clock: Clock
    database: Database
    signing_in: SigningIn
    seeing_outlooks: SeeingOutlooks
    identifying: Identifying | None
    handing_over_sign_in: HandingOverSignIn
    registering: Registering
    changing_password: ChangingPassword
    adding_second_factor: AddingSecondFactor
    sending: Sending
    answering: Answering
    conversing: Conversing
    requesting: Requesting
    introducing: Introducing
    proving_work: ProvingWork
    following_up: FollowingUp
    handling: Handling
    judging_held: JudgingHeld
    noticing: Noticing
    overseeing: Overseeing
    reporting: Reporting
    keeping_contacts: KeepingContacts
    finding_contacts: FindingContacts
    importing_contacts: ImportingContacts
    syncing: Syncing
    overseeing_address_books: OverseeingAddressBooks
    uploading_lists: UploadingLists
    keeping_templates: KeepingTemplates
    running_departments: RunningDepartments
    running_accounts: RunningAccounts
    reassigning: Reassigning
    printers: Printers
    seal: Seal
    receiving: Receiving
    verifying: Verifying
    remembering: Remembering
    uploading: Uploading
    clearing_uploads: ClearingUploads
    downloading: Downloading
    keeping_keys: KeepingKeys
    notifying: Notifying
    dispatching: Dispatching
    taking_bounces: TakingBounces
    erasing: Erasing
    measuring: Measuring
    counting: Counting
    sequencing: Sequencing
    checkpointing: Checkpointing
    erasing_events: ErasingEvents
    summing: Summing
    verifying_audit: VerifyingAudit
    exporting_audit: ExportingAudit
    searching_audit: SearchingAudit
    holding: Holding
    knowing_person: KnowingPerson
    erasing_person: ErasingPerson
    rotating_keys: RotatingKeys
    observing_time: ObservingTime
    recognising_restore: RecognisingRestore
    tracking_codes: TrackingCodes
    speaking_codes: SpeakingCodes
    templates: Templates
    translators: dict[Language, Translator]
    handbook: Handbook
    demo_outbox: DemoOutbox | None

    @property
    def policy(self) -> Policy:
        """The present policy. Not to be kept: ask again."""
        return self.governing.policy


def build_services(
    settings: Settings,
    *,
    gateways: Gateways | None = None,
    bounce_mailbox: BounceMailbox | None = None,
    printers: Printers | None = None,
    address_books: AddressBooks | None = None,
    provider: IdentityProvider | None = None,
    policy: Policy | None = None,
    clock: Clock = system_clock,
    on_clock: OnClock = system_on_clock,
) -> Services:
    """Wire the use cases to the outside world that the settings name; what is given here replaces what they would give."""
    outbox = DemoOutbox() if settings.is_demo else None
    governing = Governing(
        policy or policy_by_settings(settings), HouseStyle(name=settings.organisation, help_phone=settings.help_phone)
    )
    organisation = Organisation(
        governing,
        settings.base_url,
        EmailAddress.parse(settings.mail_from),
        ReturnAddress(EmailAddress.parse(settings.bounce_address)) if settings.bounce_address else None,
    )
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.database_url)
    database.begin_work_with(governing.notice)
    changing_policy = ChangingPolicy(database, governing, clock)
    ring = DirectoryKeyRing(settings.keys_dir)
    blobs = connecting.blobs(settings)
    scanner = connecting.scanner(settings)
    keeping_keys = KeepingKeys(ring)
    composing = Composing(organisation)
    presenting = Presenting(keeping_keys, organisation)
    gateways = gateways or connecting.gateways(settings, outbox)
    mailing = Mailing(composing, keeping_keys, gateways.mail, gateways.mailboxes)
    carrying = CarryingCodes(composing, gateways.sms, gateways.telephone)
    notifying = Notifying(keeping_keys, ring, presenting, mailing, carrying, settings.base_url, clock)
    conversing = Conversing(database, keeping_keys, presenting)
    sending = Sending(database, keeping_keys, notifying, presenting, governing, settings.base_url, clock)
    remembering = Remembering(database, keeping_keys, notifying, governing, settings.base_url, clock)
    following_up = FollowingUp(database, keeping_keys, notifying, presenting, sending, governing, clock)
    noticing = Noticing(database, notifying, presenting, settings.base_url, clock)
    party = RelyingParty(urlsplit(settings.base_url).hostname or "", settings.base_url, settings.organisation)
    proving = ProvingSecondFactor(keeping_keys, party)
    signing_in = SigningIn(database, proving, governing, clock)
    provider = provider or connecting.identity_provider(settings)
    identifying = Identifying(database, provider, signing_in, notifying, governing, organisation, clock) if provider else None
    proving_work = ProvingWork(keeping_keys, clock)
    keeping_contacts = KeepingContacts(database, keeping_keys, governing, clock)
    books, listing = address_books or connecting.address_books(settings), ListingContacts(keeping_keys, governing)
    syncing = Syncing(database, keeping_keys, listing, WritingBack(database, keeping_keys, clock), books, clock)
    measuring = Measuring(database, clock)
    counting = Counting(database, measuring, settings.prices, clock)
    sequencing = Sequencing(database, ring, f"{settings.host}/audit")
    observing = ObservingTime(database, notifying, clock, on_clock)
    holding = Holding(database, keeping_keys, clock)
    translators = dict(load_translators())
    return Services(
        settings=settings,
        governing=governing,
        changing_policy=changing_policy,
        choosing_logo=ChoosingLogo(database, changing_policy),
        clock=clock,
        database=database,
        signing_in=signing_in,
        seeing_outlooks=SeeingOutlooks(database, clock),
        identifying=identifying,
        handing_over_sign_in=HandingOverSignIn(database, clock),
        registering=Registering(database, notifying, signing_in, governing, organisation, clock),
        changing_password=ChangingPassword(database, notifying, signing_in, governing, organisation, clock),
        adding_second_factor=AddingSecondFactor(
            database, keeping_keys, notifying, signing_in, governing, organisation, party, clock
        ),
        sending=sending,
        answering=Answering(database, keeping_keys, notifying, presenting, conversing, governing, settings.base_url, clock),
        conversing=conversing,
        requesting=Requesting(database, keeping_keys, presenting, sending, following_up, governing, clock),
        introducing=Introducing(database, keeping_keys, notifying, presenting, sending, proving_work, governing, clock),
        proving_work=proving_work,
        following_up=following_up,
        noticing=noticing,
        handling=Handling(database, keeping_keys, presenting, sending, governing, clock),
        judging_held=JudgingHeld(database, keeping_keys, notifying, presenting, settings.base_url, clock),
        overseeing=Overseeing(database, keeping_keys, presenting, clock),
        reporting=Reporting(database, keeping_keys, presenting, sequencing, f"Zegelpost {version('zegelpost')}", clock),
        printers=printers or connecting.printers(),
        seal=connecting.seal(settings),
        keeping_contacts=keeping_contacts,
        importing_contacts=ImportingContacts(database, keeping_keys, keeping_contacts, governing, clock),
        finding_contacts=FindingContacts(database, keeping_keys, listing, books, governing, clock),
        syncing=syncing,
        overseeing_address_books=OverseeingAddressBooks(database, syncing, listing, books, clock),
        uploading_lists=UploadingLists(database, keeping_keys, syncing, UploadedAddressBook, governing, clock),
        keeping_templates=KeepingTemplates(database, keeping_keys, clock),
        running_departments=RunningDepartments(database, governing, clock),
        running_accounts=RunningAccounts(database, governing, clock),
        reassigning=Reassigning(database, keeping_keys, clock),
        receiving=Receiving(database, keeping_keys, presenting, noticing, clock),
        verifying=Verifying(database, keeping_keys, notifying, presenting, remembering, governing, clock),
        remembering=remembering,
        uploading=Uploading(database, keeping_keys, blobs, scanner, governing, clock),
        clearing_uploads=ClearingUploads(database, blobs, observing),
        downloading=Downloading(database, keeping_keys, blobs),
        keeping_keys=keeping_keys,
        notifying=notifying,
        dispatching=Dispatching(database, ring, notifying, mailing, carrying, observing, clock),
        taking_bounces=TakingBounces(
            database, keeping_keys, notifying, organisation, bounce_mailbox or connecting.bounce_mailbox(settings), clock
        ),
        tracking_codes=TrackingCodes(database, notifying, gateways.sms_reports, settings.base_url, clock),
        speaking_codes=SpeakingCodes(database, notifying, composing, gateways.telephone, clock),
        erasing=Erasing(database, ring, keeping_keys, observing, holding, clock),
        measuring=measuring,
        counting=counting,
        sequencing=sequencing,
        checkpointing=Checkpointing(database, sequencing, notifying, settings.audit_mail, clock),
        erasing_events=ErasingEvents(database, observing, clock),
        summing=Summing(database, counting, clock),
        verifying_audit=VerifyingAudit(database, sequencing, clock),
        exporting_audit=ExportingAudit(database, keeping_keys, sequencing),
        searching_audit=SearchingAudit(database, keeping_keys, sequencing, clock),
        observing_time=observing,
        recognising_restore=RecognisingRestore(database, ring, keeping_keys, sequencing, clock),
        holding=holding,
        knowing_person=KnowingPerson(database, keeping_keys, clock),
        erasing_person=ErasingPerson(database, keeping_keys, sequencing, clock),
        rotating_keys=RotatingKeys(database, ring, RekeyingIndexes(database, keeping_keys, listing), observing, clock),
        templates=create_templates(
            translators=translators,
            site=lambda: {
                **_names(settings, governing.house_style),
                "is_demo": settings.is_demo,
                "has_intake": governing.policy.has_intake,
                "has_provider": provider is not None,
            },
        ),
        translators=translators,
        handbook=Handbook(
            translators,
            lambda language: {**_names(settings, governing.house_style), **facts_of_policy(governing.policy, language)},
            lambda: governing.version,
        ),
        demo_outbox=outbox,
    )


def policy_by_settings(settings: Settings) -> Policy:
    """What counts until an administrator chooses something else on screen."""
    plain, provider = Policy(), settings.sign_in_provider
    return Policy(
        staff_domains=settings.staff_domains,
        has_intake=settings.has_intake,
        remembers_devices=settings.remembers_devices,
        is_scanning=settings.clamd_url is not None,
        requires_second_factor=not settings.is_demo,
        country_prefixes=settings.sms_countries or plain.country_prefixes,
        codes_per_day=settings.sms_per_day or plain.codes_per_day,
        has_sign_in_provider=provider is not None,
        administrator_roles=provider.administrators if provider else (),
        auditor_roles=provider.auditors if provider else (),
        methods=(*plain.methods, VerificationMethod.SPOKEN) if settings.has_spoken_codes else plain.methods,
    )


def _names(settings: Settings, house_style: HouseStyle) -> dict[str, object]:
    """How this installation and its people are called on pages; `organisation_name` is empty where nobody named it."""
    return {
        "organisation": house_style.name,
        "organisation_name": "" if house_style.name == NO_ORGANISATION else house_style.name,
        "help_phone": house_style.help_phone,
        "house_style": house_style,
        "languages": {tag: LANGUAGE_NAMES[Language(tag)] for tag in house_style.languages},
        "host": settings.host,
        "mail_from": settings.mail_from,
        "security_contact": settings.security_contact,
    }


def build_worker(services: Services) -> Worker:
    return Worker(
        services.dispatching,
        services.noticing,
        services.judging_held,
        services.erasing,
        services.clearing_uploads,
        services.signing_in,
        services.changing_password,
        services.introducing,
        services.handing_over_sign_in,
        services.syncing,
        services.remembering,
        services.taking_bounces,
        services.sequencing,
        services.checkpointing,
        services.erasing_events,
        services.rotating_keys,
        services.recognising_restore,
        services.summing,
        services.identifying,
    )


def build_app(services: Services, *, has_worker: bool = True) -> Starlette:
    """The application over wired services. With `has_worker`, its lifespan also delivers mail and SMS and sweeps."""
    settings = services.settings
    pages = ErrorPages(services.templates, services.translators)
    answers: dict[Any, Any] = {
        Refusal: pages.refusal,
        OutageError: pages.outage,
        SealBroken: pages.broken_seal,
        HTTPException: pages.http,
        Exception: pages.unexpected,
    }

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(build_worker(services).run(stop)) if has_worker else None
        yield
        stop.set()
        if task is not None:
            await task
        await services.database.close()

    meters = Meters()
    app = Starlette(
        routes=all_routes(bounce_token=settings.bounce_token, is_demo=settings.is_demo),
        middleware=[
            Middleware(SecurityHeaders, has_tls=settings.has_tls),
            Middleware(TrustedProxies, networks=[ipaddress.ip_network(n) for n in settings.trusted_proxies]),
            Middleware(OurHost, host=settings.host),
            Middleware(PresentPolicy, look=partial(services.governing.look, services.database)),
            Middleware(ChosenLanguage, has_tls=settings.has_tls, governing=services.governing),
            # Here, and not only around the routes, so that what the next two refuse and what fails gets a page and its headers.
            Middleware(ExceptionMiddleware, handlers=answers),
            Middleware(SameSite, origin=settings.base_url),
            Middleware(BodyLimit),
            Middleware(Metered, meters=meters),
        ],
        exception_handlers=answers,
        lifespan=lifespan,
    )
    app.state.services, app.state.meters = services, meters
    return app
