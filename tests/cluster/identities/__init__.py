"""Identities per resource, with a real operator, API server and TokenRequest."""
