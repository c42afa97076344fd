"""Faults of the API server, and of the way to it."""
