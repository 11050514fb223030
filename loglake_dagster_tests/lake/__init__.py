"""Nouns: days, controls, columns, manifests."""
