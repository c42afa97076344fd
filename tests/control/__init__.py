"""Tests of when things happen: virtual time, in-memory ports."""
