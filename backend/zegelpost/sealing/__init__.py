"""Encryption: small, pure, specified first in `backend/docs/sealed-format.md`. Imports nothing else of ours."""
