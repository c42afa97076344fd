"""Tests of what the operator shows of itself."""
