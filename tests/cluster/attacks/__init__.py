"""Attacks of one namespace's editor, and how another namespace fares meanwhile."""
