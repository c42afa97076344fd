"""The documentation: commands run, links resolve."""
