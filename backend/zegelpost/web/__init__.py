"""Audiences: what staff, recipients, guests, administrators and programs see over HTTP."""
