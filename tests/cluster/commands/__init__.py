"""The commands, against a real API server and operators at work."""
