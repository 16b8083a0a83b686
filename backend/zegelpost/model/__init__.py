"""Nouns of the product: one file per noun, its table and its rules. No queries, no clock, no I/O."""
