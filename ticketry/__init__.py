"""Ticketry: a self-hosted, API-first support-ticket system."""

__version__ = "0.1.0"
