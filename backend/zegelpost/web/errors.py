"""From refusals and outages to answers: one status and one sentence per language for each, and one shape for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from babel.dates import format_timedelta
from babel.numbers import format_decimal
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from zegelpost.model import refusals as r
from zegelpost.ports import BlobSpaceError, OutageError
from zegelpost.sealing.errors import SealBroken
from zegelpost.web.middleware import is_guest_upload
from zegelpost.web.rendering import Templates
from zegelpost.web.translation import Language, Translator, translatable

_LOG: Final = structlog.get_logger()
_GIGABYTE: Final = 1000**3


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    sentence: str


def _a(status: int, sentence: str) -> Answer:
    return Answer(status, sentence)


ANSWERS: Final[Mapping[type[r.Refusal], Answer]] = {
    r.FormRefused: _a(422, translatable("Please correct the marked fields.")),
    r.EmailAddressInvalid: _a(422, translatable("Enter a valid e-mail address, such as name@example.com.")),
    r.PhoneNumberInvalid: _a(422, translatable("This is not a telephone number. Check the digits.")),
    r.PhoneNumberNotMobile: _a(422, translatable("This is not a mobile number. Enter a number that can receive text messages.")),
    r.PhoneNumberNotCallable: _a(422, translatable("We cannot call this number. Enter an ordinary landline or mobile number.")),
    r.PhoneNumberIsLandline: _a(
        422, translatable("This is not a mobile number. Enter one, or choose a code by telephone call for this recipient.")
    ),
    r.PhoneNumberMissing: _a(422, translatable("Enter a telephone number. The recipient gets a code on it.")),
    r.PhoneCountryNotAllowed: _a(422, translatable("We cannot send codes to numbers that start with %(prefix)s.")),
    r.NameMissing: _a(422, translatable("Enter a name.")),
    r.NameTooLong: _a(422, translatable("This name is too long: %(limit)s characters at most.")),
    r.FileNameInvalid: _a(422, translatable("This file has no usable name.")),
    r.SubjectMissing: _a(422, translatable("Enter a subject.")),
    r.SubjectTooLong: _a(422, translatable("The subject is too long: %(limit)s characters at most.")),
    r.ReferenceTooLong: _a(422, translatable("The reference is too long: %(limit)s characters at most.")),
    r.NoteTooLong: _a(422, translatable("The note is too long: %(limit)s characters at most.")),
    r.RecipientsMissing: _a(422, translatable("Add at least one recipient.")),
    r.RecipientDuplicate: _a(422, translatable("This e-mail address is there twice.")),
    r.TooManyRecipients: _a(422, translatable("There are too many recipients: %(limit)s at most.")),
    r.ContentMissing: _a(422, translatable("Add a document or write a note first.")),
    r.ExpiryOutOfRange: _a(422, translatable("Choose a number of days from %(shortest)s to %(longest)s.")),
    r.AccessCodeTooShort: _a(422, translatable("The access code is too short: at least %(limit)s characters.")),
    r.AccessCodeHintTooLong: _a(422, translatable("The hint is too long: %(limit)s characters at most.")),
    r.AccessCodeHintRevealing: _a(422, translatable("The hint gives the access code away. Choose another hint.")),
    r.VerificationMethodNotAllowed: _a(422, translatable("This way of verifying is not possible here.")),
    r.DepartmentNotFound: _a(422, translatable("There is no such department.")),
    r.EmailAddressNotStaff: _a(422, translatable("Use your e-mail address of the organisation. Only colleagues get an account.")),
    r.PasswordTooShort: _a(422, translatable("This password is too short: at least %(limit)s characters.")),
    r.PasswordTooLong: _a(422, translatable("This password is too long: %(limit)s characters at most.")),
    r.PasswordGuessable: _a(422, translatable("This password is easy to guess. Use a few words that do not belong together.")),
    r.InputInvalid: _a(422, translatable("The request is not in the right form.")),
    r.NotFound: _a(404, translatable("This page does not exist, or it is not for you.")),
    r.SignInRequired: _a(401, translatable("Sign in first.")),
    r.SignInIncorrect: _a(401, translatable("The e-mail address or the password is wrong.")),
    r.IdentityRefused: _a(401, translatable("Signing in did not work. Try again, or ask your administrator.")),
    r.IdentityUnknown: _a(403, translatable("Sign in to the portal once with your work account first.")),
    r.IdentityOver: _a(401, translatable("Signing in took too long, or was begun in another window. Try again.")),
    r.IdentityNotStaff: _a(
        403, translatable("Your account has no e-mail address of the organisation that we know. Ask your administrator.")
    ),
    r.IdentityTaken: _a(
        409, translatable("This account is joined to another way of signing in already. Ask your administrator.")
    ),
    r.SignInAtProvider: _a(
        403, translatable("You sign in through your organisation, not with a password. Use the other button.")
    ),
    r.AccountSwitchedOff: _a(403, translatable("This account has been switched off. Ask your administrator.")),
    r.PasswordIncorrect: _a(422, translatable("This password is not right.")),
    r.SecondFactorRequired: _a(401, translatable("Enter the code of your authenticator app, or a recovery code.")),
    r.SecondFactorIncorrect: _a(
        401, translatable("This code is not right, or it has been used before. Wait for the next code in your app.")
    ),
    r.SecondFactorNotSetUp: _a(403, translatable("Sign in to the portal first, to set up a second step.")),
    r.SecondFactorNeeded: _a(409, translatable("You need a second step. Add another one before you remove this one.")),
    r.PasskeyRefused: _a(422, translatable("The passkey did not work. Try again, or choose another way.")),
    r.TooManySecondFactors: _a(409, translatable("You have %(limit)s ways to sign in already. Remove one first.")),
    r.AccountLinkWrong: _a(410, translatable("This link does not work any more. Ask for a new one.")),
    r.TooManyAttempts: _a(429, translatable("There were too many attempts. Try again later.")),
    r.CrossSiteRequest: _a(403, translatable("This request came from another website. Go back and try again.")),
    r.TransferNotDraft: _a(409, translatable("This transfer has been sent already.")),
    r.TransferNotSent: _a(409, translatable("This is not possible with this transfer.")),
    r.TransferRevoked: _a(410, translatable("The sender has withdrawn these documents.")),
    r.TransferExpired: _a(410, translatable("These documents are no longer available. The period has ended.")),
    r.RecipientBlocked: _a(410, translatable("The sender has ended your access to these documents.")),
    r.NothingToRemind: _a(409, translatable("There is nobody to remind: everyone has fetched the documents.")),
    r.RemindedRecently: _a(429, translatable("The recipients got a reminder a short while ago.")),
    r.RecipientNotParked: _a(409, translatable("This recipient has been sent a link already.")),
    r.LinkNotReissuable: _a(409, translatable("No new link can be made: only the recipient's link opens this transfer.")),
    r.RequestClosed: _a(410, translatable("This request has been closed. You do not have to send anything any more.")),
    r.DepartmentClosed: _a(
        409, translatable("This department does not take documents any more. Nothing was lost. Call us, or choose someone else.")
    ),
    r.AddinNeedsTls: _a(
        409, translatable("Outlook takes this add-in only from an address that begins with https://. Set ZEGELPOST_BASE_URL.")
    ),
    r.IntakeClosed: _a(404, translatable("You cannot send documents here without being asked. Call us, or wait for our e-mail.")),
    r.IntakeOver: _a(410, translatable("This took too long, or was finished already. Please start again.")),
    r.TooManyUnfinished: _a(
        429, translatable("You began %(limit)s times and sent nothing yet. Go on with the link in one of our e-mails.")
    ),
    r.AddresseeMissing: _a(422, translatable("Choose for whom it is.")),
    r.AnswerPickedUp: _a(409, translatable("This has been opened already, so you cannot take it back any more.")),
    r.ItemNameTooLong: _a(422, translatable("One of these is too long: %(limit)s characters at most on a line.")),
    r.TooManyItems: _a(422, translatable("These are too many: %(limit)s at most.")),
    r.ReasonMissing: _a(422, translatable("Write what is wrong with it, so that the other knows what to send.")),
    r.ReasonTooLong: _a(422, translatable("This is too long: %(limit)s characters at most.")),
    r.AddressNotRepeated: _a(422, translatable("Type the same e-mail address as above.")),
    r.OwnAccount: _a(409, translatable("This is your own account. Ask another administrator.")),
    r.DatePassed: _a(422, translatable("Enter a day that has not passed.")),
    r.HoldSubjectMissing: _a(422, translatable("Enter what has to be kept.")),
    r.HoldReasonMissing: _a(422, translatable("Enter why it has to be kept.")),
    r.TransferUnknown: _a(422, translatable("There is no transfer with this number. Copy it from the report of the transfer.")),
    r.DateInvalid: _a(422, translatable("Enter a date, such as 31-12-2026.")),
    r.PeriodImpossible: _a(
        422, translatable("Choose a first day that is not after the last one, and %(limit)s days together at most.")
    ),
    r.DueDatePassed: _a(422, translatable("This date has passed. Choose a later one.")),
    r.ColleagueUnknown: _a(422, translatable("There is no colleague with this e-mail address.")),
    r.DepartmentTaken: _a(422, translatable("This is in use already.")),
    r.LastManager: _a(409, translatable("Someone has to manage this department. Make someone else manager first.")),
    r.AlreadyReceived: _a(409, translatable("This colleague or department has it already.")),
    r.OrganisationTooLong: _a(422, translatable("This name is too long: %(limit)s characters at most.")),
    r.ContactExists: _a(422, translatable("This e-mail address is in this address book already.")),
    r.ContactFileMissing: _a(422, translatable("Choose a file first.")),
    r.ContactFileUnreadable: _a(422, translatable("This is not a CSV file or a vCard. Choose another file.")),
    r.ContactColumnsMissing: _a(
        422, translatable("There is no column with e-mail addresses. Name it E-mail address on the first line of the file.")
    ),
    r.TooManyContacts: _a(422, translatable("There are too many contacts: %(limit)s at most.")),
    r.ListInUse: _a(409, translatable("Somebody is handing in a list at this moment. Wait a few minutes.")),
    r.TextMissing: _a(422, translatable("Write a text.")),
    r.PlaceholderUnknown: _a(422, translatable("We cannot fill in {%(placeholder)s}. The hint says what we can.")),
    r.SignatureTooLong: _a(422, translatable("This is too long: %(limit)s characters at most.")),
    r.TooManyTemplates: _a(422, translatable("These are too many: %(limit)s at most.")),
    r.DaysOutOfRange: _a(422, translatable("Enter a number of days from 0 to %(limit)s. With 0 you get no mail.")),
    r.UploadsUnfinished: _a(409, translatable("Not all documents have arrived yet. Finish or remove them first.")),
    r.LinkWrong: _a(404, translatable("This link is not right. Use the link or the code from the e-mail.")),
    r.LinkReplaced: _a(410, translatable("There is a newer link. Look for our latest e-mail.")),
    r.LinkLocked: _a(423, translatable("This link has been locked because a wrong code was entered too often.")),
    r.VerificationRequired: _a(401, translatable("Your time has run out. Open the link from the e-mail again.")),
    r.ReportForged: _a(403, translatable("This report does not come from our provider.")),
    r.CodeNotSent: _a(409, translatable("Ask for a code first.")),
    r.CodeIncomplete: _a(422, translatable("Enter the whole code.")),
    r.CodeIncorrect: _a(422, translatable("This code is not right. You have %(tries_left)s more tries with this code.")),
    r.CodeExpired: _a(410, translatable("This code is too old. Ask for a new one.")),
    r.CodeTriesExhausted: _a(429, translatable("This code was wrong too often. Ask for a new one.")),
    r.CodeAskedTooSoon: _a(429, translatable("A code was sent just now. Wait %(wait)s before you ask for a new one.")),
    r.CodeLimitReached: _a(429, translatable("Too many codes have been sent. Try again later.")),
    r.AccessCodeIncorrect: _a(422, translatable("This access code is not right.")),
    r.DocumentTooLarge: _a(413, translatable("This file is too large: %(limit_bytes)s GB at most.")),
    r.TransferTooLarge: _a(413, translatable("All files together are too large: %(limit_bytes)s GB at most.")),
    r.QuotaExceeded: _a(413, translatable("Your space is full: %(limit_bytes)s GB at most. Withdraw old transfers first.")),
    r.TooManyDocuments: _a(422, translatable("There are too many documents: %(limit)s at most.")),
    r.ExtensionMissing: _a(415, translatable("This file has no type in its name, such as .pdf.")),
    r.ExtensionNotAllowed: _a(415, translatable("Files that end in .%(extension)s are not allowed.")),
    r.ContentMismatch: _a(415, translatable("The content of this file does not fit its name (.%(extension)s).")),
    r.MacroDocument: _a(415, translatable("This document holds macros. Save it without macros first.")),
    r.MalwareFound: _a(422, translatable("This file is not safe: the virus scanner found something in it.")),
    r.DocumentHeld: _a(
        422, translatable("We hold this back: it may be dangerous. You can send it all the same, we look at it first.")
    ),
    r.AlreadyJudged: _a(409, translatable("Somebody let this document through or removed it a moment ago.")),
    r.ReleaseNotAllowed: _a(403, translatable("Only an administrator can let this document through.")),
    r.StorageFull: _a(507, translatable("There is no room left at the moment. What arrived is kept. Try again later.")),
    r.UploadLengthMissing: _a(411, translatable("The upload does not say how long the file is.")),
    r.UploadLengthInvalid: _a(400, translatable("The upload's length is not valid.")),
    r.UploadMetadataInvalid: _a(400, translatable("The upload's metadata is not valid.")),
    r.UploadOffsetMismatch: _a(409, translatable("The upload goes on at another place.")),
    r.UploadOffsetInvalid: _a(400, translatable("The upload's offset is not valid.")),
    r.UploadLengthExceeded: _a(413, translatable("More arrived than was announced.")),
    r.UploadInUse: _a(423, translatable("This file is being uploaded in another place at this moment.")),
    r.UploadTooManyParts: _a(413, translatable("The file arrived in too many small parts.")),
    r.UploadExpired: _a(410, translatable("This upload was left for too long. Start again.")),
    r.UploadContentTypeWrong: _a(415, translatable("The upload is not in the right form.")),
    r.TusVersionUnsupported: _a(412, translatable("This version of the upload protocol is not supported.")),
    r.ChecksumMismatch: _a(460, translatable("A part of the file arrived damaged. It is sent again.")),
    r.ChecksumAlgorithmUnsupported: _a(400, translatable("This kind of checksum is not supported.")),
    r.BodyTooLarge: _a(413, translatable("This is too large.")),
    r.PdfNotAvailable: _a(
        501, translatable("A PDF of this kind cannot be made here: the program for it is not installed. Use the report's page.")
    ),
    r.RangeNotSatisfiable: _a(416, translatable("The document does not have this part.")),
    r.AccountStillOn: _a(409, translatable("Switch this account off first.")),
    r.ReceiverIsOneself: _a(409, translatable("You would get to read it yourself. Ask another administrator to do this.")),
    r.ReceiverUnknown: _a(422, translatable("Nobody with an account has this address, and no department. Check it.")),
    r.NumberOutOfRange: _a(422, translatable("Enter a number from %(shortest)s to %(longest)s.")),
    r.NothingListed: _a(422, translatable("Enter at least one.")),
    r.OptionUnknown: _a(422, translatable("Choose one of the possibilities.")),
    r.TextTooLong: _a(422, translatable("This is too long: %(limit)s at most.")),
    r.ExtensionInvalid: _a(
        422, translatable("This is not a type of file: %(word)s. Enter types such as pdf, with commas between.")
    ),
    r.ExtensionRunsPrograms: _a(422, translatable("Files that end in .%(extension)s run programs. They cannot be allowed.")),
    r.DomainInvalid: _a(422, translatable("This is not a domain: %(word)s. Enter what stands behind the @, such as example.nl.")),
    r.DomainPublic: _a(422, translatable("Anyone can have an address at %(word)s. It cannot be a domain of your organisation.")),
    r.OwnDomainMissing: _a(422, translatable("Your own address is at %(word)s. Keep that domain in the list.")),
    r.CountryInvalid: _a(422, translatable("This is not the prefix of a country: %(word)s. Enter prefixes such as +31.")),
    r.MethodTwice: _a(422, translatable("Choose each way only once.")),
    r.MethodNotConnected: _a(422, translatable("One of these ways is not connected on this server.")),
    r.ScannerNotConnected: _a(422, translatable("No virus scanner is connected on this server.")),
    r.DefaultExpiryTooLong: _a(422, translatable("This cannot be more than the longest period, %(limit)s days.")),
    r.DocumentLargerThanTransfer: _a(422, translatable("One document cannot be larger than all documents together.")),
    r.TransferLargerThanQuota: _a(422, translatable("One transfer cannot be larger than all that one sender may keep.")),
    r.OwnSecondFactorMissing: _a(
        403, translatable("First set up a second step for your own account. You find it under your name.")
    ),
    r.AccentInvalid: _a(422, translatable("Enter a colour such as #0b5a75: # with six digits or letters from a to f.")),
    r.AccentTooLight: _a(
        422,
        translatable(
            "This colour is too light to read: the contrast with white is %(contrast)s, and must be %(shortest)s."
            " Choose a darker one."
        ),
    ),
    r.LogoUnusable: _a(422, translatable("Choose a PNG or JPEG picture, with sides of %(shortest)s to %(longest)s dots.")),
    r.LogoTooLarge: _a(422, translatable("This picture is too large: %(limit)s kB at most.")),
    r.PolicyChangedMeanwhile: _a(
        409, translatable("Somebody else changed this a moment ago. Look at what it is now, and save again.")
    ),
}
OUTAGE: Final = translatable("Something does not work on our side. Nothing was lost. Try again in a few minutes.")
OUTAGE_OF_PROVIDER: Final = translatable(
    "Your organisation's sign-in page cannot be reached at the moment. Try again in a few minutes."
)


def sentence(refusal: r.Refusal, translator: Translator) -> str:
    """What a person reads, in their language."""
    facts: dict[str, Any] = {
        name: format_decimal(fact, locale=translator.language.value) if isinstance(fact, float) else fact
        for name, fact in refusal.facts.items()
    }
    if "limit_bytes" in facts:
        gigabytes = facts["limit_bytes"] / _GIGABYTE
        facts["limit_bytes"] = format_decimal(round(gigabytes, 1), locale=translator.language.value)
    if "retry_after_seconds" in facts:
        wait = timedelta(seconds=facts["retry_after_seconds"])
        facts["wait"] = format_timedelta(wait, locale=translator.language.value)
    return translator.gettext(ANSWERS[type(refusal)].sentence) % facts


def problem(refusal: r.Refusal, translator: Translator, *, instance: str | None = None) -> dict[str, Any]:
    """Problem details (RFC 9457) with a stable `code` and the refusal's facts."""
    answer = ANSWERS[type(refusal)]
    text = sentence(refusal, translator)
    details: dict[str, Any] = {
        "type": "about:blank",
        "title": text,
        "status": answer.status,
        "detail": text,
        "code": refusal.code,
    }
    if instance:
        details["instance"] = instance
    details |= {name: value for name, value in refusal.facts.items() if isinstance(value, (str, int, list))}
    if isinstance(refusal, r.FormRefused):
        details["fields"] = {
            name: {"code": inner.code, "detail": sentence(inner, translator)} for name, inner in refusal.fields.items()
        }
    return details


class ProblemResponse(JSONResponse):
    media_type = "application/problem+json"


def _headers(refusal: r.Refusal) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if isinstance(refusal, (r.SignInRequired, r.SignInIncorrect, r.SecondFactorRequired, r.SecondFactorIncorrect)):
        headers["WWW-Authenticate"] = "Bearer"
    if "retry_after_seconds" in refusal.facts:
        headers["Retry-After"] = str(refusal.facts["retry_after_seconds"])
    if isinstance(refusal, r.UploadOffsetMismatch):
        headers["Upload-Offset"] = str(refusal.facts["offset_bytes"])
    if isinstance(refusal, r.RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{refusal.facts['length_bytes']}"
    if isinstance(refusal, r.TusVersionUnsupported):
        headers["Tus-Version"] = "1.0.0"
    return headers


def wants_problem(request: Request) -> bool:
    """Whether a program asked: the API and the upload protocol get problem details, people get a page."""
    path = request.scope["path"]
    return (
        path.startswith(("/api/", "/uploads"))
        or is_guest_upload(path)
        or "application/problem+json" in request.headers.get("accept", "")
    )


class ErrorPages:
    """Turns what was raised into an answer. The application's map of exceptions points here."""

    def __init__(self, templates: Templates, translators: Mapping[Language, Translator]) -> None:
        self._templates = templates
        self._translators = translators

    async def refusal(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, r.Refusal)
        translator = self._translators[request.state.language]
        if wants_problem(request):
            return ProblemResponse(problem(error, translator), ANSWERS[type(error)].status, headers=_headers(error))
        if isinstance(error, r.SignInRequired):
            return RedirectResponse("/sign-in", 303)
        page = self._page(request, sentence(error, translator))
        headers = _headers(error)
        headers.pop("WWW-Authenticate", None)  # would make browsers ask for a password of their own
        return Response(page, ANSWERS[type(error)].status, headers=headers, media_type="text/html")

    async def outage(self, request: Request, error: Exception) -> Response:
        if isinstance(error, BlobSpaceError):
            return await self.refusal(request, r.StorageFull())
        assert isinstance(error, OutageError)
        _LOG.error("outage", kind=type(error).__name__, reason=error.reason)
        return self._failure(request, 503, {"Retry-After": "30"})

    async def broken_seal(self, request: Request, error: Exception) -> Response:
        # Someone changed what is stored, or the disk did. Either way somebody has to look at it.
        _LOG.critical("seal_broken", kind=type(error).__name__)
        assert isinstance(error, SealBroken)
        return self._failure(request, 500, {})

    async def unexpected(self, request: Request, error: Exception) -> Response:
        _LOG.error("unexpected", kind=type(error).__name__, exc_info=error)
        return self._failure(request, 500, {})

    async def http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 404:  # noqa: PLR2004 - not found
            return await self.refusal(request, r.NotFound())
        if wants_problem(request):
            details = {"type": "about:blank", "title": error.detail, "status": error.status_code, "code": "http_error"}
            return ProblemResponse(details, error.status_code, headers=headers)
        return Response(self._page(request, error.detail), error.status_code, headers=headers, media_type="text/html")

    def _failure(self, request: Request, status: int, headers: dict[str, str]) -> Response:
        language = getattr(request.state, "language", Language.NL)
        text = self._translators[language].gettext(OUTAGE)
        if wants_problem(request):
            details = {"type": "about:blank", "title": text, "status": status, "detail": text, "code": "outage"}
            return ProblemResponse(details, status, headers=headers)
        return Response(self._page(request, text), status, headers=headers, media_type="text/html")

    def _page(self, request: Request, text: str) -> str:
        language = getattr(request.state, "language", Language.NL)
        return self._templates.render("error.html", language, sentence=text, language_href="/")
