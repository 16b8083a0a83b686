"""Settings: complete and safe, or one line that says which is not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from zegelpost.settings import PREFIX, SECRETS, Settings, SettingsError

GOOD = {
    "BASE_URL": "https://post.example.nl",
    "DATA_DIR": "/var/lib/zegelpost",
    "MAIL_FROM": "post@example.nl",
    "SMTP_URL": "smtps://user:pass@mail.example.nl",
    "SMS_URL": "twilio://SK1:secret@AC1?from=Gemeente",
    "STAFF_DOMAINS": "example.nl, Zorg.Example.nl",
    "OIDC_AUTHORITY": "https://login.example.nl/realms/post",
    "OIDC_CLIENT_ID": "zegelpost",
    "OIDC_CLIENT_SECRET": "s",
}
NO_PROVIDER = dict.fromkeys(["OIDC_AUTHORITY", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"], "")
TENANT, OTHER_TENANT = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
ENTRA = f"https://login.microsoftonline.com/{TENANT}/v2.0"
DEMO = {"DEMO": "1", "BASE_URL": "http://127.0.0.1:8000", "DATA_DIR": "demo"}


def read(values: dict[str, str]) -> Settings:
    return Settings.from_environment({PREFIX + name: value for name, value in values.items()} | {"HOME": "/", "PATH": "/bin"})


def test_good_settings_are_complete() -> None:
    settings = read(GOOD)

    assert settings.has_tls
    assert settings.host == "post.example.nl"
    assert settings.database_url == "sqlite+aiosqlite:////var/lib/zegelpost/database.sqlite3"
    assert settings.blobs_url == "file:///var/lib/zegelpost/blobs"
    assert settings.keys_dir == Path("/var/lib/zegelpost/keys")
    assert settings.staff_domains == ("example.nl", "zorg.example.nl")
    assert not settings.is_demo


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"BASE_URL": ""}, "BASE_URL"),
        ({"BASE_URL": "http://post.example.nl"}, "BASE_URL"),
        ({"BASE_URL": "https://post.example.nl/zegelpost"}, "BASE_URL"),
        ({"BASE_URL": "https://post.example.nl?x=1"}, "BASE_URL"),
        ({"BASE_URL": "https://post.example.nl#x"}, "BASE_URL"),
        ({"BASE_URL": "post.example.nl"}, "BASE_URL"),
        ({"BASE_URL": "ftp://post.example.nl"}, "BASE_URL"),
        ({"BASE_URL": "https://"}, "BASE_URL"),
        ({"BASE_URL": "https://user:pass@post.example.nl"}, "BASE_URL"),
        ({"BASE_URL": "https://post.example.nl:x"}, "BASE_URL"),
        ({"BASE_URL": "https://[::1"}, "BASE_URL"),
        ({"DATA_DIR": ""}, "DATA_DIR"),
        ({"MAIL_FROM": ""}, "MAIL_FROM"),
        ({"MAIL_FROM": "Gemeente <post@example.nl>"}, "MAIL_FROM"),
        ({"SMTP_URL": ""}, "SMTP_URL"),
        ({"SMTP_URL": "smtp://mail.example.nl:25"}, "SMTP_URL"),
        ({"SMTP_URL": "mail.example.nl"}, "SMTP_URL"),
        ({"SMTP_URL": "smtps://"}, "SMTP_URL"),
        ({"SMS_COUNTRIES": "31"}, "SMS_COUNTRIES"),
        ({"SMS_COUNTRIES": "+31, NL"}, "SMS_COUNTRIES"),
        ({"SMS_PER_DAY": "many"}, "SMS_PER_DAY"),
        ({"SMS_PER_DAY": "0"}, "SMS_PER_DAY"),
        ({"SMS_PRICE": "0,08"}, "SMS_PRICE"),
        ({"CALL_PRICE": "-1"}, "CALL_PRICE"),
        ({"SPOKEN_CODES": "yes"}, "SPOKEN_CODES"),
        ({"SPOKEN_CODES": "on"}, "SPOKEN_CODES"),
        ({"SPOKEN_CODES": "on", "TWILIO_AUTH_TOKEN": "0123"}, "SPOKEN_CODES"),
        ({"SPOKEN_CODES": "on", "SMS_URL": "twilio://SK1:secret@AC1?from=+31201112222"}, "SPOKEN_CODES"),
        ({"DKIM_SELECTORS": "s1, s 2"}, "DKIM_SELECTORS"),
        ({"DKIM_SELECTORS": "s1@relay@example.nl"}, "DKIM_SELECTORS"),
        ({"SMTP_URL": "smtps://mail.example.nl:99999"}, "SMTP_URL"),
        ({"BOUNCE_ADDRESS": "Post <bounces@example.nl>"}, "BOUNCE_ADDRESS"),
        ({"BOUNCE_ADDRESS": "bounces+zegelpost@example.nl"}, "BOUNCE_ADDRESS"),
        ({"BOUNCE_ADDRESS": "the-mailbox-for-bounces@example.nl"}, "BOUNCE_ADDRESS"),
        ({"BOUNCE_MAILBOX_URL": "imap://user:pass@mail.example.nl"}, "BOUNCE_MAILBOX_URL"),
        ({"BOUNCE_MAILBOX_URL": "imaps://mail.example.nl/INBOX"}, "BOUNCE_MAILBOX_URL"),
        ({"BOUNCE_MAILBOX_URL": "imaps://user:pass@outlook.office365.com/INBOX"}, "BOUNCE_MAILBOX_URL"),
        ({"BOUNCE_MAILBOX_URL": "imaps://user:pass@outlook.office365.com?tenant=t"}, "BOUNCE_MAILBOX_URL"),
        ({"BOUNCE_MAILBOX_URL": "imaps://user:pass@mail.example.nl?verify=no"}, "BOUNCE_MAILBOX_URL"),
        ({"BOUNCE_MAILBOX_URL": "imaps://u:p@mail.example.nl?tenant=t&client_id=c&login=http://x"}, "BOUNCE_MAILBOX_URL"),
        ({"BOUNCE_MAILBOX_URL": "pop3://user:pass@mail.example.nl"}, "BOUNCE_MAILBOX_URL"),
        ({"BOUNCE_MAILBOX_URL": "imaps://user:pass@mail.example.nl/a%0D%0Ab"}, "BOUNCE_MAILBOX_URL"),
        ({"MAILBOXES_URL": "ews://user:pass@mail.example.nl"}, "MAILBOXES_URL"),
        ({"MAILBOXES_URL": "graph://client@tenant"}, "MAILBOXES_URL"),
        ({"MAILBOXES_URL": "graph://client:secret@tenant?api=http://graph.example.nl"}, "MAILBOXES_URL"),
        ({"BOUNCE_TOKEN": "short"}, "BOUNCE_TOKEN"),
        ({"BOUNCE_TOKEN": "long enough, but with spaces in it"}, "BOUNCE_TOKEN"),
        ({"SMS_URL": ""}, "SMS_URL"),
        ({"SMS_URL": "demo:"}, "SMS_URL"),
        ({"SMS_URL": "twilio://SK1@AC1?from=x"}, "SMS_URL"),
        ({"SMS_URL": "twilio://SK1:secret@AC1"}, "SMS_URL"),
        ({"SMS_URL": "messagebird://x"}, "SMS_URL"),
        ({"SMS_URL": "messagebird://key@"}, "SMS_URL"),
        ({"SMS_URL": "messagebird+http://key@sms.example.nl?from=x"}, "SMS_URL"),
        ({"SMS_URL": "spryng://key@?from=x"}, "SMS_URL"),
        ({"SMS_URL": "messagebird://a@?from=x messagebird://b@?from=x"}, "SMS_URL"),
        ({"SMS_URL": "twilio://SK1:secret@AC1?from=x messagebird://key@"}, "SMS_URL"),
        ({"SMS_URL": "messagebird://key@?from=+31612345678", "SPOKEN_CODES": "on", "TWILIO_AUTH_TOKEN": "0123"}, "SPOKEN_CODES"),
        ({"STAFF_DOMAINS": ""}, "STAFF_DOMAINS"),
        ({"STAFF_DOMAINS": " , "}, "STAFF_DOMAINS"),
        ({"DATABASE_URL": "mysql://x/y"}, "DATABASE_URL"),
        ({"DATABASE_URL": "/var/lib/db.sqlite3"}, "DATABASE_URL"),
        ({"BLOBS_URL": "https://bucket.example.nl"}, "BLOBS_URL"),
        ({"BLOBS_URL": "/var/lib/blobs"}, "BLOBS_URL"),
        ({"TRUSTED_PROXIES": "10.0.0.1, proxy.example.nl"}, "TRUSTED_PROXIES"),
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES"),
        ({"SECURITY_CONTACT": "security@example.nl"}, "SECURITY_CONTACT"),
        ({"SECURITY_CONTACT": "mailto:Security <security@example.nl>"}, "SECURITY_CONTACT"),
        ({"SECURITY_CONTACT": "mailto:security@example.nl?subject=x"}, "SECURITY_CONTACT"),
        ({"SECURITY_CONTACT": "http://example.nl/report"}, "SECURITY_CONTACT"),
        ({"SECURITY_CONTACT": "https:///report"}, "SECURITY_CONTACT"),
        ({"AUDIT_MAIL": "ciso@example.nl, auditor"}, "AUDIT_MAIL"),
        ({"AUDIT_MAIL": "CISO <ciso@example.nl>"}, "AUDIT_MAIL"),
        ({"SECURITY_CONTACT": "https://example.nl/report\u2028Contact:https://evil.example"}, "SECURITY_CONTACT"),
        ({"ADDRESS_BOOK_URL": "https://mail.example.nl/EWS/Exchange.asmx"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_URL": "graph://client@tenant"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_URL": "graph://client:secret@"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_URL": "graph://client:secret@tenant?api=http://graph.example.nl"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_URL": "graph://client:secret@tenant?api=https://graph.example.nl/v1.0"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_URL": "graph://client:secret@tenant?verify=no"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_URL": "ews://mail.example.nl/EWS/Exchange.asmx"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_URL": "ews+http://user:pass@mail.example.nl"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_URL": "ews://user:pass@mail.example.nl?auth=none"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_URL": "ews://user:pass@mail.example.nl?verify=no"}, "ADDRESS_BOOK_URL"),
        ({"ADDRESS_BOOK_CSV": "contacts.csv"}, "ADDRESS_BOOK_CSV"),
        ({"ADDRESS_BOOK_MINUTES": "4"}, "ADDRESS_BOOK_MINUTES"),
        ({"ADDRESS_BOOK_MINUTES": "1441"}, "ADDRESS_BOOK_MINUTES"),
        ({"ADDRESS_BOOK_MINUTES": "hourly"}, "ADDRESS_BOOK_MINUTES"),
        ({"OIDC_AUTHORITY": ""}, "OIDC_AUTHORITY"),
        ({"OIDC_CLIENT_ID": ""}, "OIDC_CLIENT_ID"),
        ({"OIDC_CLIENT_SECRET": ""}, "OIDC_CLIENT_SECRET"),
        ({"OIDC_AUTHORITY": "http://login.example.nl/realms/post"}, "OIDC_AUTHORITY"),
        ({"OIDC_AUTHORITY": "https://login.example.nl"}, "OIDC_AUTHORITY"),
        ({"OIDC_AUTHORITY": "https://login.example.nl/"}, "OIDC_AUTHORITY"),
        ({"OIDC_AUTHORITY": "https://user@login.example.nl/x"}, "OIDC_AUTHORITY"),
        ({"OIDC_AUTHORITY": "https://login.example.nl/x?y"}, "OIDC_AUTHORITY"),
        ({"OIDC_AUTHORITY": "https://login.microsoftonline.com/common/v2.0"}, "OIDC_AUTHORITY"),
        ({"OIDC_AUTHORITY": "https://login.microsoftonline.com/organizations/v2.0"}, "OIDC_AUTHORITY"),
        ({"OIDC_AUTHORITY": "https://login.microsoftonline.com/example.nl/v2.0"}, "OIDC_AUTHORITY"),
        ({"OIDC_AUTHORITY": f"https://login.microsoftonline.com/{TENANT}"}, "OIDC_AUTHORITY"),
        ({"OIDC_AUTHORITY": f"https://login.microsoftonline.us/{TENANT}/v2.0/x"}, "OIDC_AUTHORITY"),
        (NO_PROVIDER | {"OIDC_ADMINISTRATORS": "x"}, "OIDC_ADMINISTRATORS"),
        (NO_PROVIDER | {"OIDC_AUDITORS": "x"}, "OIDC_AUDITORS"),
        (NO_PROVIDER | {"OIDC_TENANTS": TENANT}, "OIDC_TENANTS"),
        ({"OIDC_TENANTS": TENANT}, "OIDC_TENANTS"),
        ({"OIDC_AUTHORITY": ENTRA, "OIDC_TENANTS": "example.onmicrosoft.com"}, "OIDC_TENANTS"),
        ({"OIDC_AUTHORITY": ENTRA, "OIDC_TENANTS": f"{TENANT}/v2.0"}, "OIDC_TENANTS"),
        ({"DEMO": "1"}, "DEMO"),
        ({"DEMO": "yes", "BASE_URL": "https://post.example.nl"}, "DEMO"),
        ({"DEMO": "perhaps"}, "DEMO"),
        ({"BASE_URI": "https://post.example.nl"}, "BASE_URI"),
        ({"TRUSTED_PROXY": "10.0.0.1"}, "TRUSTED_PROXY"),
        ({"BASE_URL_FILE": "/etc/hostname"}, "BASE_URL_FILE"),
        ({"SMTP_URL_FILE": "/etc/hostname"}, "SMTP_URL"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_setting(change: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(GOOD | change)

    assert PREFIX + named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "outlook.office365.com",
        "OUTLOOK.Office365.com.",
        "outlook.office.com",
        "outlook.com",
        "eur01.outlook.com",
        "outlook.office365.us",
        "partner.outlook.cn",
        "example.onmicrosoft.com",
    ],
)
def test_exchange_online_is_not_read_by_ews(host: str) -> None:
    with pytest.raises(SettingsError, match="2027-04-01") as caught:
        read(GOOD | {"ADDRESS_BOOK_URL": f"ews://user:geheim@{host}/EWS/Exchange.asmx"})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("host", ["mail.example.nl", "office365.com.example.nl", "notoutlook.com"])
def test_exchange_on_premises_is(host: str) -> None:
    settings = read(GOOD | {"ADDRESS_BOOK_URL": f"ews://EXAMPLE%5Czegelpost:geheim@{host}/EWS/Exchange.asmx?auth=basic"})
    assert settings.address_book_url is not None
    assert read(GOOD).address_book_url is None


def test_address_books_are_read_every_hour_or_as_said() -> None:
    assert read(GOOD).address_book_every == timedelta(minutes=60)
    assert read(GOOD | {"ADDRESS_BOOK_MINUTES": "15"}).address_book_every == timedelta(minutes=15)


def test_the_tenant_is_told_by_the_address() -> None:
    plain = read(GOOD).sign_in_provider
    assert plain is not None
    assert plain.entra_tenant is None
    entra = read(
        GOOD
        | {
            "OIDC_AUTHORITY": ENTRA,
            "OIDC_ADMINISTRATORS": "a, b c,",
            "OIDC_AUDITORS": "d",
        }
    ).sign_in_provider
    assert entra is not None
    assert (entra.entra_tenant, entra.administrators, entra.auditors) == (TENANT, ("a", "b c"), ("d",))
    assert read(GOOD | NO_PROVIDER).sign_in_provider is None


def test_people_of_several_tenants_go_to_the_entrance_of_all() -> None:
    alone = read(GOOD | {"OIDC_AUTHORITY": ENTRA, "OIDC_TENANTS": f"{TENANT}, "}).sign_in_provider
    assert alone is not None
    assert (alone.other_tenants, alone.entrance) == ((), ENTRA)
    several = f"{TENANT}, {OTHER_TENANT.upper()},{OTHER_TENANT}"
    both = read(GOOD | {"OIDC_AUTHORITY": ENTRA, "OIDC_TENANTS": several}).sign_in_provider
    assert both is not None
    assert (both.other_tenants, both.entrance) == ((OTHER_TENANT,), ENTRA.replace(TENANT, "organizations"))


@pytest.mark.parametrize(
    ("changes", "is_followed"),
    [
        ({}, True),
        ({"ADDRESS_BOOK_URL": f"graph://client:geheim@{TENANT.upper()}"}, True),
        ({"ADDRESS_BOOK_URL": "graph://client:geheim@example.onmicrosoft.com"}, False),
        ({"ADDRESS_BOOK_URL": f"graph://client:geheim@{TENANT[:-1]}0"}, False),
        ({"ADDRESS_BOOK_URL": f"ews://user:geheim@{TENANT}/EWS/Exchange.asmx"}, False),
        ({"ADDRESS_BOOK_URL": ""}, False),
        ({"OIDC_AUTHORITY": f"https://login.example.nl/{TENANT}/x"}, False),
        (NO_PROVIDER, False),
    ],
    ids=str,
)
def test_the_directory_is_followed_when_it_is_the_sign_in_providers(changes: dict[str, str], *, is_followed: bool) -> None:
    given = {"OIDC_AUTHORITY": ENTRA, "ADDRESS_BOOK_URL": f"graph://client:geheim@{TENANT}"}
    assert read(GOOD | given | changes).directory_issuer == (ENTRA if is_followed else None)


@pytest.mark.parametrize("contact", ["mailto:security@example.nl", "https://example.nl/report?from=zegelpost"])
def test_a_contact_for_weaknesses_is_an_address_that_opens(contact: str) -> None:
    assert read(GOOD | {"SECURITY_CONTACT": contact}).security_contact == contact
    assert read(GOOD).security_contact is None


@pytest.mark.parametrize(
    "base_url",
    [
        "http://post.example.nl",
        "https://post.example.nl",
        "http://10.0.0.1:8000",
        "http://localhost.example.nl",
        "http://127.0.0.1.nip.io",
    ],
)
def test_a_demonstration_only_runs_on_this_machine(base_url: str) -> None:
    with pytest.raises(SettingsError, match="ZEGELPOST_DEMO"):
        read(DEMO | {"BASE_URL": base_url})


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:8000", "http://127.1.2.3"])
def test_a_demonstration_needs_nothing_else(base_url: str) -> None:
    assert read(DEMO | {"BASE_URL": base_url}).is_demo


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_come_from_a_file(name: str, tmp_path: Path) -> None:
    values = {
        "DATABASE_URL": "postgresql://u:geheim@h/d",
        "SMTP_URL": "smtps://u:geheim@h",
        "SMS_URL": "twilio://SK1:geheim@AC1?from=x",
        "BLOBS_URL": "s3://geheim/x",
        "ADDRESS_BOOK_URL": "graph://client:geheim@tenant",
        "BOUNCE_MAILBOX_URL": "imaps://u:geheim@h",
        "MAILBOXES_URL": "graph://client:geheim@tenant",
        "BOUNCE_TOKEN": "geheim-en-lang-genoeg",
    }
    file = tmp_path / "secret"
    file.write_text(values.get(name, "geheim") + "\n")

    settings = read({key: value for key, value in GOOD.items() if key != name} | {f"{name}_FILE": str(file)})
    assert "geheim" not in repr(settings)

    with pytest.raises(SettingsError, match=f"{PREFIX}{name}_FILE: cannot read"):
        read({key: value for key, value in GOOD.items() if key != name} | {f"{name}_FILE": str(tmp_path / "absent")})


def test_codes_go_where_and_as_often_as_the_operator_says() -> None:
    assert (read(GOOD).sms_countries, read(GOOD).sms_per_day) == (None, None)

    settings = read(GOOD | {"SMS_COUNTRIES": "+31, +32,", "SMS_PER_DAY": "50"})

    assert (settings.sms_countries, settings.sms_per_day) == (("+31", "+32"), 50)


@pytest.mark.parametrize("origin", ["from=+31201112222", "from=%2B31201112222", "from=Gemeente&call_from=+31201112222"])
def test_codes_are_read_out_where_there_is_a_number_to_call_from(origin: str) -> None:
    spoken = {"SPOKEN_CODES": "on", "TWILIO_AUTH_TOKEN": "0123", "SMS_URL": f"twilio://SK1:secret@AC1?{origin}"}

    assert read(GOOD | spoken).has_spoken_codes
    assert not read(GOOD).has_spoken_codes
    assert read(DEMO).has_spoken_codes
    assert not read(DEMO | {"SPOKEN_CODES": "off"}).has_spoken_codes


def test_one_provider_of_text_messages_or_two() -> None:
    for url in ("messagebird://key@?from=Gemeente", "twilio://SK1:secret@AC1?from=x messagebird://key@?from=x"):
        assert read(GOOD | {"SMS_URL": url}).sms_url == url
