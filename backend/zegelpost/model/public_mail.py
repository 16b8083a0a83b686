"""Mail domains at which anyone can have an address: never an organisation's own, whatever an administrator types."""

from __future__ import annotations

from typing import Final

_DOMAINS: Final = (
    # Worldwide
    "gmail.com googlemail.com outlook.com outlook.nl outlook.be outlook.de hotmail.com hotmail.nl hotmail.be hotmail.de "
    "hotmail.fr hotmail.co.uk live.com live.nl live.be live.de live.co.uk msn.com passport.com yahoo.com yahoo.de yahoo.fr "
    "yahoo.co.uk ymail.com rocketmail.com icloud.com me.com mac.com aol.com aol.de proton.me protonmail.com pm.me gmx.com "
    "gmx.net gmx.de gmx.at mail.com email.com zoho.com zohomail.eu fastmail.com fastmail.fm tutanota.com tuta.io tuta.com "
    "hey.com hushmail.com mail.ru yandex.com yandex.ru qq.com 163.com web.de t-online.de freenet.de posteo.de mailbox.org "
    # Providers in the Netherlands and Belgium
    "ziggo.nl kpnmail.nl kpnplanet.nl planet.nl hetnet.nl xs4all.nl upcmail.nl home.nl casema.nl chello.nl quicknet.nl "
    "telfort.nl telfortglasvezel.nl tele2.nl zonnet.nl versatel.nl online.nl onsnet.nu caiway.nl caiway.net solcon.nl "
    "freedom.nl zeelandnet.nl delta.nl wanadoo.nl orange.nl vodafonevast.nl vodafonethuis.nl t-mobilethuis.nl odido.nl "
    "freeler.nl tiscali.nl wxs.nl concepts.nl multiweb.nl plex.nl kabelfoon.nl kabelfoon.net hccnet.nl dds.nl demon.nl "
    "euronet.nl introweb.nl iae.nl lijbrandt.nl filternet.nl scarlet.nl scarlet.be telenet.be skynet.be proximus.be "
    "belgacom.net voo.be pandora.be "
    # Addresses that last for minutes
    "mailinator.com guerrillamail.com 10minutemail.com temp-mail.org yopmail.com sharklasers.com trashmail.com "
)  # fmt: skip
PUBLIC_MAIL_DOMAINS: Final = frozenset(_DOMAINS.split())
