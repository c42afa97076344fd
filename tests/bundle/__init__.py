"""The OLM bundle: what is in it, and what OLM makes of it on a real API server."""
