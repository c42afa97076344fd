"""Tests that take minutes, for `make soak`."""
