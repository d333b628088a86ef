"""Deliveries: one event for one endpoint, and every attempt to bring it there."""
