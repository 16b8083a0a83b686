"""The catalogue of refusals: every "no" that a person or a program can get from Zegelpost.

A refusal is the situation of whoever asks, never a failure of ours (those end in `Error`, see `ports`). Each class has a
stable wire code, its name in snake case, and the facts its sentence needs. `web/errors.py` alone gives it a status and a
sentence per language. Facts never hold content, names or secrets.
"""

from __future__ import annotations

import re
from typing import ClassVar


class Refusal(Exception):
    """A "no" with a reason. Facts are keyword arguments and appear in problem details and sentences."""

    code: ClassVar[str] = "refusal"

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, **facts: object) -> None:
        super().__init__(self.code)
        self.facts = facts


class FormRefused(Refusal):
    """Several fields were refused at once; `fields` maps a field's name to its refusal."""

    def __init__(self, fields: dict[str, Refusal]) -> None:
        super().__init__()
        self.fields = fields


# What was typed


class EmailAddressInvalid(Refusal): ...


class PhoneNumberInvalid(Refusal): ...


class PhoneNumberNotCallable(Refusal):
    """A number that costs the caller extra, or that nobody answers."""


class PhoneNumberIsLandline(Refusal):
    """No text message gets there, and the organisation has codes read out on the telephone."""


class PhoneNumberNotMobile(Refusal): ...


class PhoneNumberMissing(Refusal): ...


class PhoneCountryNotAllowed(Refusal):
    """Fact: `prefix`, the country's prefix. Keeps code messages from being used to pump premium routes."""


class NameMissing(Refusal): ...


class NameTooLong(Refusal):
    """Fact: `limit`, characters."""


class FileNameInvalid(Refusal): ...


class SubjectMissing(Refusal): ...


class SubjectTooLong(Refusal):
    """Fact: `limit`, characters."""


class ReferenceTooLong(Refusal):
    """Fact: `limit`, characters."""


class NoteTooLong(Refusal):
    """Fact: `limit`, characters."""


class RecipientsMissing(Refusal): ...


class RecipientDuplicate(Refusal): ...


class TooManyRecipients(Refusal):
    """Fact: `limit`."""


class ContentMissing(Refusal):
    """Neither a document nor a note: there is nothing to send."""


class ExpiryOutOfRange(Refusal):
    """Facts: `shortest` and `longest`, days."""


class AccessCodeTooShort(Refusal):
    """Fact: `limit`, characters."""


class AccessCodeHintTooLong(Refusal):
    """Fact: `limit`, characters."""


class AccessCodeHintRevealing(Refusal):
    """The hint holds the code itself."""


class ListInUse(Refusal):
    """Somebody hands in a list of the organisation at this moment."""


class VerificationMethodNotAllowed(Refusal): ...


class DepartmentNotFound(Refusal): ...


class EmailAddressNotStaff(Refusal):
    """Accounts are for the organisation's own mail domains."""


class PasswordTooShort(Refusal):
    """Fact: `limit`, characters."""


class PasswordTooLong(Refusal):
    """Fact: `limit`, characters."""


class PasswordGuessable(Refusal):
    """A list of common passwords, a pattern, or what others know of the person leads to it."""


class InputInvalid(Refusal):
    """The shape of the input is wrong; fact `problems`, a list of places and kinds."""


# Who asks


class NotFound(Refusal):
    """Absent, or not yours. One answer for both, so that identifiers cannot be tried out."""


class SignInRequired(Refusal): ...


class SignInIncorrect(Refusal): ...


class IdentityRefused(Refusal):
    """What came from the sign-in provider proves nothing: the person stopped, or the answer or token is not right."""


class IdentityUnknown(Refusal):
    """The token proves who it is, and no account is joined to that yet: a page of ours does that first."""


class IdentityOver(Refusal):
    """Whoever comes back from the sign-in provider is not expected (any more) in this browser."""


class IdentityNotStaff(Refusal):
    """The sign-in provider stands for no address of the organisation's own domains."""


class IdentityTaken(Refusal):
    """The account, or the identity at the provider, is joined to another one already."""


class SignInAtProvider(Refusal):
    """The password was right, but this account signs in at the organisation's sign-in provider."""


class AccountSwitchedOff(Refusal):
    """The provider knows who it is, and the account may not be used."""


class PasswordIncorrect(Refusal):
    """The password of someone who is signed in, asked again before something that matters."""


class SecondFactorRequired(Refusal):
    """The password is right; a code of the authenticator app, or a recovery code, has to come with it."""


class SecondFactorIncorrect(Refusal):
    """Not the code of this moment, or one that was used before."""


class SecondFactorNotSetUp(Refusal):
    """The organisation asks for a second factor and this person has none yet; it is set up in the portal."""


class SecondFactorNeeded(Refusal):
    """The last one cannot be removed as long as the organisation asks for one."""


class PasskeyRefused(Refusal):
    """What the browser sent is not signed by the right passkey, or not for this question."""


class TooManySecondFactors(Refusal):
    """Fact: `limit`."""


class AccountLinkWrong(Refusal):
    """Never made, used before, or too old. One answer for all three."""


class TooManyAttempts(Refusal):
    """Fact: `retry_after_seconds`."""


class CrossSiteRequest(Refusal):
    """Another site made the browser ask (RFC 6454 origin or Fetch Metadata says so)."""


# The state of a transfer


class TransferNotDraft(Refusal): ...


class TransferNotSent(Refusal): ...


class TransferRevoked(Refusal): ...


class TransferExpired(Refusal): ...


class RecipientBlocked(Refusal): ...


class NothingToRemind(Refusal):
    """Everyone has fetched it already, or may not any more."""


class RemindedRecently(Refusal):
    """Fact: `retry_after_seconds`."""


class RecipientNotParked(Refusal):
    """The recipient waits for no number: they have been sent their link."""


class LinkNotReissuable(Refusal):
    """The transfer was sent link-only: without the link nobody can open it, so no new one can be made."""


class RequestClosed(Refusal):
    """Staff closed the file request: nothing can be added."""


class AnswerPickedUp(Refusal):
    """Someone of ours has opened it, so it cannot be taken back any more."""


class DepartmentClosed(Refusal):
    """Nobody reads what is sent to it any more."""


class AddinNeedsTls(Refusal):
    """Outlook takes no add-in from an address without TLS, and a manifest with one would mislead whoever deploys it."""


class IntakeClosed(Refusal):
    """Outsiders cannot start unasked here: the policy says so."""


class IntakeOver(Refusal):
    """The introduction is gone: too old, or used already."""


class TooManyUnfinished(Refusal):
    """Fact: `limit`, intakes of one mailbox in which nothing was sent yet."""


class AddresseeMissing(Refusal): ...


class ItemNameTooLong(Refusal):
    """Fact: `limit`, characters."""


class TooManyItems(Refusal):
    """Fact: `limit`."""


class ReasonMissing(Refusal): ...


class ReasonTooLong(Refusal):
    """Fact: `limit`, characters."""


class OwnAccount(Refusal): ...


class AddressNotRepeated(Refusal):
    """What cannot be undone is asked for with the address typed twice."""


class DateInvalid(Refusal): ...


class DatePassed(Refusal): ...


class HoldSubjectMissing(Refusal):
    """A legal hold that does not say what it goes by."""


class HoldReasonMissing(Refusal): ...


class TransferUnknown(Refusal):
    """An administrator named a transfer that is not there, or of which there are two."""


class PeriodImpossible(Refusal):
    """Fact: `limit`, days."""


class DueDatePassed(Refusal): ...


class ColleagueUnknown(Refusal):
    """No account that is switched on has this address. Told to colleagues only, who may know."""


class DepartmentTaken(Refusal):
    """Another department, or a person, has this name or address."""


class LastManager(Refusal): ...


class AlreadyReceived(Refusal): ...


class OrganisationTooLong(Refusal):
    """Fact: `limit`, characters."""


class ContactExists(Refusal):
    """The book has this e-mail address already."""


class ContactFileMissing(Refusal):
    """No file was chosen, or an empty one."""


class ContactFileUnreadable(Refusal):
    """Neither CSV nor vCard."""


class ContactColumnsMissing(Refusal):
    """A CSV file in which no column is called anything like e-mail address."""


class TooManyContacts(Refusal):
    """Fact: `limit`, of one book or of one file."""


class TextMissing(Refusal): ...


class PlaceholderUnknown(Refusal):
    """Fact: `placeholder`, the word between braces."""


class SignatureTooLong(Refusal):
    """Fact: `limit`, characters."""


class TooManyTemplates(Refusal):
    """Fact: `limit`."""


class DaysOutOfRange(Refusal):
    """Fact: `limit`."""


class UploadsUnfinished(Refusal):
    """Fact: `count`, documents that have not fully arrived."""


# Opening


class LinkWrong(Refusal): ...


class LinkReplaced(Refusal):
    """The sender made a newer link; that one works."""


class LinkLocked(Refusal):
    """Fifteen wrong codes in the link's life."""


class VerificationRequired(Refusal):
    """No grant, or it has run out: the code has to be entered again."""


class ReportForged(Refusal):
    """A status report that our provider did not sign."""


class CodeNotSent(Refusal):
    """No code is waiting: none was asked for, it has been used, or it has been replaced."""


class CodeIncomplete(Refusal):
    """What was typed cannot be a code: nothing, or too few or too many digits. It costs no try."""


class CodeIncorrect(Refusal):
    """Fact: `tries_left`, on this code."""


class CodeExpired(Refusal): ...


class CodeTriesExhausted(Refusal): ...


class CodeAskedTooSoon(Refusal):
    """Fact: `retry_after_seconds`; sentences name it as `wait`, in words."""


class CodeLimitReached(Refusal):
    """Fact: `retry_after_seconds`. Too many codes for this link or number."""


class AccessCodeIncorrect(Refusal):
    """Fact: `tries_left`, in the link's life."""


# Documents and uploads


class DocumentTooLarge(Refusal):
    """Fact: `limit_bytes`."""


class TransferTooLarge(Refusal):
    """Fact: `limit_bytes`, all documents of one transfer together."""


class QuotaExceeded(Refusal):
    """Fact: `limit_bytes`, of one sender's transfers that are still kept."""


class TooManyDocuments(Refusal):
    """Fact: `limit`."""


class ExtensionMissing(Refusal):
    """A name that does not say what the document is."""


class ExtensionNotAllowed(Refusal):
    """Fact: `extension`."""


class ContentMismatch(Refusal):
    """The bytes are of another type than the name says. Fact: `extension`."""


class MacroDocument(Refusal):
    """An Office document with macros under a name that promises none."""


class MalwareFound(Refusal): ...


class DocumentHeld(Refusal):
    """A guest's document arrived and is held back until someone of ours judges it. Fact: `reason`, a `HoldReason`."""


class AlreadyJudged(Refusal):
    """Somebody let it through or removed it a moment ago."""


class ReleaseNotAllowed(Refusal):
    """Only an administrator lets through what the scanner objects to."""


class StorageFull(Refusal):
    """What arrived so far is kept; the upload can go on when there is room."""


class UploadLengthMissing(Refusal): ...


class UploadLengthInvalid(Refusal): ...


class UploadMetadataInvalid(Refusal): ...


class UploadOffsetMismatch(Refusal):
    """Fact: `offset_bytes`, where to go on."""


class UploadOffsetInvalid(Refusal): ...


class UploadLengthExceeded(Refusal):
    """More bytes than the declared length."""


class UploadInUse(Refusal):
    """Another PATCH is writing to this upload."""


class UploadTooManyParts(Refusal):
    """Fact: `limit`."""


class UploadExpired(Refusal): ...


class UploadContentTypeWrong(Refusal): ...


class TusVersionUnsupported(Refusal): ...


class ChecksumMismatch(Refusal): ...


class ChecksumAlgorithmUnsupported(Refusal): ...


class BodyTooLarge(Refusal):
    """Fact: `limit_bytes`."""


class RangeNotSatisfiable(Refusal):
    """Fact: `length_bytes`."""


class PdfNotAvailable(Refusal): ...


# What administrators choose


class AccountStillOn(Refusal):
    """Only of who is switched off can what they have be handed over, or erased."""


class ReceiverIsOneself(Refusal):
    """Whoever hands over someone's post would get to read it."""


class ReceiverUnknown(Refusal):
    """Nobody here who could take over has this address."""


class NumberOutOfRange(Refusal):
    """Facts: `shortest` and `longest`, the limits."""


class NothingListed(Refusal): ...


class OptionUnknown(Refusal): ...


class TextTooLong(Refusal):
    """Fact: `limit`, characters, or words of a list."""


class ExtensionInvalid(Refusal):
    """Fact: `word`, as it was typed."""


class ExtensionRunsPrograms(Refusal):
    """Fact: `extension`. Opening such a file runs a program."""


class DomainInvalid(Refusal):
    """Fact: `word`, as it was typed."""


class DomainPublic(Refusal):
    """Fact: `word`, a mail domain where anyone can have an address."""


class OwnDomainMissing(Refusal):
    """Fact: `word`, the domain of the administrator who would shut themselves out."""


class CountryInvalid(Refusal):
    """Fact: `word`, as it was typed."""


class MethodTwice(Refusal): ...


class MethodNotConnected(Refusal): ...


class ScannerNotConnected(Refusal): ...


class DefaultExpiryTooLong(Refusal):
    """Fact: `limit`, the longest expiry in days."""


class DocumentLargerThanTransfer(Refusal): ...


class TransferLargerThanQuota(Refusal): ...


class OwnSecondFactorMissing(Refusal):
    """Who decides for everyone has a second step themselves."""


class AccentInvalid(Refusal): ...


class AccentTooLight(Refusal):
    """Facts: `contrast` with white, and `shortest`, what it has to be."""


class LogoUnusable(Refusal):
    """Facts: `shortest` and `longest`, dots of a side."""


class LogoTooLarge(Refusal):
    """Fact: `limit`, kilobytes."""


class PolicyChangedMeanwhile(Refusal):
    """Another administrator was first."""


def all_refusals() -> list[type[Refusal]]:
    """Every class of the catalogue, for the map of statuses and sentences and the test that walks it."""
    return list(Refusal.__subclasses__())
