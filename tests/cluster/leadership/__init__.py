"""Replicas that elect a leader, as processes on a real API server."""
