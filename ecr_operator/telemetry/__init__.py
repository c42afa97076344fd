"""Metrics, logs and probes, and the server of their pages."""
