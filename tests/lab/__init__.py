"""Tests of the lab itself: what it builds and starts, and that it leaves nothing behind."""
