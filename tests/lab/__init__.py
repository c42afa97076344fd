"""Tests of the lab itself: what it builds, starts, and leaves behind (nothing)."""
