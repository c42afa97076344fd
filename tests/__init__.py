"""The test suite and the lab it runs on."""
