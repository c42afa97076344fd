"""How much of a list is asked for at once, so that no answer holds up the event loop or fills memory.

The API server bounds a page by its number of objects alone, and one object may have some MiB.
"""

from typing import Final

# An object has at most 1.5 MiB in etcd, and six times that as JSON if every character is escaped.
LARGEST_OBJECT: Final = 16 * 2**20  # bytes
_FIRST: Final = 20
_MOST: Final = 500
_GROWTH: Final = 5
_SHRINKING: Final = 4
_AIM: Final = 2**20
_LARGEST: Final = 4 * _AIM


class PageSize:
    """The number of objects on the next page of a list.

    Attributes:
        objects: at most so many, for the query's `limit`.
    """

    def __init__(self) -> None:
        self.objects = _FIRST

    @property
    def most_bytes(self) -> int:
        """Bytes beyond which the next page is not read on."""
        return LARGEST_OBJECT if self.objects == 1 else _LARGEST

    def read(self, size: int) -> None:
        """Note that a page had that many bytes; the next is to have about 1 MiB."""
        fitting = self.objects * _AIM // max(size, 1)
        self.objects = max(1, min(fitting, self.objects * _GROWTH, _MOST))

    def shrink(self) -> bool:
        """Ask for the same page again with fewer objects; False if it had no more than one."""
        if self.objects == 1:
            return False
        self.objects = max(self.objects // _SHRINKING, 1)
        return True
