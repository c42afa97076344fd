"""The OLM bundle and its catalog."""
