"""Explaining failures: why something did not arrive, in words for its sender, in mails and on pages alike."""

from __future__ import annotations

from typing import Final

from zegelpost.model.outgoing import MailFault
from zegelpost.ports import SmsErrorKind

MAIL_REASONS: Final = {
    "nl": {
        MailFault.ADDRESS: "Controleer het e-mailadres en stuur een nieuwe link.",
        MailFault.FULL: "De mailbox van de ontvanger is vol. Bel de ontvanger, en stuur daarna een nieuwe link.",
        MailFault.REFUSED: "De mailserver van de ontvanger weigert onze e-mail. Controleer het e-mailadres of vraag uw beheerder"
        " om hulp.",
        MailFault.UNREACHABLE: "De mailserver van de ontvanger is niet te bereiken. Controleer het e-mailadres.",
    },
    "en": {
        MailFault.ADDRESS: "Please check the e-mail address and send a new link.",
        MailFault.FULL: "The recipient's mailbox is full. Call the recipient, and then send a new link.",
        MailFault.REFUSED: "The recipient's mail server refuses our e-mail. Check the e-mail address or ask your administrator.",
        MailFault.UNREACHABLE: "The recipient's mail server cannot be reached. Please check the e-mail address.",
    },
}
SMS_REASONS: Final = {
    "nl": {
        SmsErrorKind.NUMBER_WRONG: "Het nummer klopt niet. Controleer het nummer.",
        SmsErrorKind.NOT_MOBILE: "Dit is geen mobiel nummer. Gebruik een ander nummer.",
        SmsErrorKind.OPTED_OUT: "De ontvanger heeft zich afgemeld voor sms-berichten. Gebruik een toegangscode.",
        SmsErrorKind.UNREACHABLE: "Dit nummer is nu niet te bereiken.",
        SmsErrorKind.OUR_SETUP: "De sms-dienst is niet goed ingesteld. Vraag uw beheerder om hulp.",
        SmsErrorKind.BUSY: "De sms-dienst is te druk. Probeer het later opnieuw.",
        SmsErrorKind.SUSPICIOUS: "De sms-dienst vertrouwt dit nummer niet. Vraag uw beheerder om hulp.",
        SmsErrorKind.OTHER: "De sms-dienst kon het bericht niet afleveren.",
    },
    "en": {
        SmsErrorKind.NUMBER_WRONG: "The number is wrong. Please check it.",
        SmsErrorKind.NOT_MOBILE: "This is not a mobile number. Use another number.",
        SmsErrorKind.OPTED_OUT: "The recipient opted out of text messages. Use an access code.",
        SmsErrorKind.UNREACHABLE: "This number cannot be reached now.",
        SmsErrorKind.OUR_SETUP: "The SMS service is not set up properly. Ask your administrator.",
        SmsErrorKind.BUSY: "The SMS service is too busy. Please try again later.",
        SmsErrorKind.SUSPICIOUS: "The SMS service does not trust this number. Ask your administrator.",
        SmsErrorKind.OTHER: "The SMS service could not deliver the message.",
    },
}


CALL_REASONS: Final = {
    "nl": {
        SmsErrorKind.NUMBER_WRONG: "Het nummer klopt niet. Controleer het nummer.",
        SmsErrorKind.UNREACHABLE: "Dit nummer is nu niet te bereiken.",
        SmsErrorKind.LINE_BUSY: "Het nummer was in gesprek.",
        SmsErrorKind.NO_ANSWER: "Er werd niet opgenomen.",
        SmsErrorKind.NO_KEY: "Er werd opgenomen, maar niemand drukte op de 1. Misschien was het een antwoordapparaat.",
        SmsErrorKind.OUR_SETUP: "De telefoondienst is niet goed ingesteld. Vraag uw beheerder om hulp.",
        SmsErrorKind.BUSY: "De telefoondienst is te druk. Probeer het later opnieuw.",
        SmsErrorKind.SUSPICIOUS: "De telefoondienst vertrouwt dit nummer niet. Vraag uw beheerder om hulp.",
        SmsErrorKind.OTHER: "De telefoondienst kon niet bellen.",
    },
    "en": {
        SmsErrorKind.NUMBER_WRONG: "The number is wrong. Please check it.",
        SmsErrorKind.UNREACHABLE: "This number cannot be reached now.",
        SmsErrorKind.LINE_BUSY: "The line was busy.",
        SmsErrorKind.NO_ANSWER: "Nobody answered.",
        SmsErrorKind.NO_KEY: "Somebody answered, but nobody pressed 1. It may have been an answering machine.",
        SmsErrorKind.OUR_SETUP: "The telephone service is not set up properly. Ask your administrator.",
        SmsErrorKind.BUSY: "The telephone service is too busy. Please try again later.",
        SmsErrorKind.SUSPICIOUS: "The telephone service does not trust this number. Ask your administrator.",
        SmsErrorKind.OTHER: "The telephone service could not call.",
    },
}


def mail_reason(language: str, failure: str) -> str:
    """`failure` is what we kept of the server's answer."""
    return MAIL_REASONS[language][MailFault.of(failure)]


def sms_reason(language: str, failure: str) -> str:
    """`failure` is a class of `SmsErrorKind`; what is none counts as other."""
    kind = SmsErrorKind(failure) if failure in set(SmsErrorKind) else SmsErrorKind.OTHER
    return SMS_REASONS[language].get(kind) or SMS_REASONS[language][SmsErrorKind.OTHER]


def call_reason(language: str, failure: str) -> str:
    """The same, of a call in which a code should have been read out."""
    kind = SmsErrorKind(failure) if failure in set(SmsErrorKind) else SmsErrorKind.OTHER
    return CALL_REASONS[language].get(kind) or CALL_REASONS[language][SmsErrorKind.OTHER]
