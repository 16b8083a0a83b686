"""Verbs of the product: one file per thing people do."""
