"""The documents: their commands run, their links lead somewhere."""
