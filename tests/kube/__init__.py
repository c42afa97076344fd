"""Tests of the Kubernetes adapter, over real HTTP to a scripted server."""
