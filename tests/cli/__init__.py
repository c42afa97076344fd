"""The pure parts of the commands, and what needs no cluster."""
