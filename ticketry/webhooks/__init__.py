"""Webhooks: telling other programs what happened, and never losing a fact on the way."""
