"""What the process that forks operators has imported: all that an operator imports, without rich as there."""

import gc
import sys

sys.modules["rich"] = None  # type: ignore[assignment] # as in ecr_operator.__main__
import ecr_operator.app  # noqa: E402, F401

# The collector of a child leaves alone what all share.
gc.freeze()
