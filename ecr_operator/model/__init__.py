"""What to do: pure decisions, with no I/O, no clock and no asyncio."""
