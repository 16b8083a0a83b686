"""Why something sealed was refused. Each class is one way of tampering or loss, so that tests and alarms can name it."""

from __future__ import annotations


class SealBroken(Exception):
    """What was opened is not what was sealed. Nothing of it may be used."""


class FormatUnknown(SealBroken):
    """A version byte that we do not know."""


class HeaderMalformed(SealBroken):
    """A part does not begin with a header of the right length."""


class PartMisplaced(SealBroken):
    """A well-formed part in the wrong place: swapped, duplicated, replayed, or from another document or transfer.

    Its header is not the one that the manifest pins for this place.
    """


class PartMissing(SealBroken):
    """The manifest names a part that the store does not have."""


class PartTruncated(SealBroken):
    """A part is shorter than its plaintext needs."""


class PartExtended(SealBroken):
    """A part is longer than its plaintext needs."""


class SegmentAltered(SealBroken):
    """A segment's tag does not fit: flipped bits, another key, another place, another document or transfer."""


class ManifestAltered(SealBroken):
    """A manifest's tag does not fit, or it was sealed for another document or transfer."""


class ManifestOutdated(SealBroken):
    """A manifest that is sealed correctly but is not the one that was acknowledged."""


class ManifestInconsistent(SealBroken):
    """An opened manifest whose parts do not add up. Only a program that sealed nonsense can make one."""


class TextAltered(SealBroken):
    """A sealed text or payload whose tag does not fit."""


class WrapRefused(SealBroken):
    """A wrapped key that this secret, holder or purpose does not open. Says no more than that."""
