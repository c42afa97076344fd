"""Whether a watch is needed: one that not every installation has to run all the time."""

import asyncio


class Demand:
    """Whether a watch is needed.

    Attributes:
        on: set while it is.
        off: set while it is not.
    """

    def __init__(self) -> None:
        self.on, self.off = asyncio.Event(), asyncio.Event()
        self.change(needed=False)

    def change(self, *, needed: bool) -> None:
        """Note whether it is needed from now on."""
        (self.on.set if needed else self.on.clear)()
        (self.off.clear if needed else self.off.set)()
