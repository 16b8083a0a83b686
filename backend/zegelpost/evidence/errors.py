"""Why evidence was refused. Each class is one way in which it does not hold, so that tests and reports can name it."""

from __future__ import annotations


class EvidenceBroken(Exception):
    """What was shown is not what was signed. Nothing of it proves anything."""


class NoteMalformed(EvidenceBroken):
    """Not a signed note, not a checkpoint, or not a verifier key."""


class SignatureWrong(EvidenceBroken):
    """No signature of the key that is trusted, or one that does not fit the text."""


class ProofWrong(EvidenceBroken):
    """A proof that does not lead to the root."""
