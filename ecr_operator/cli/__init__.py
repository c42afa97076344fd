"""The user's commands: status, check, render, refresh, pull."""
