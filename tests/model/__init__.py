"""Tests of the pure decisions: tables, no loop, no network."""
