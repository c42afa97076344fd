"""What a command says when it can't go on."""


class CommandError(Exception):
    """A command can't do what it was asked for; the message is one line that says what to do."""
