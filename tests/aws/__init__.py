"""Tests of the AWS adapter, over real HTTP to the local AWS and with real files."""
