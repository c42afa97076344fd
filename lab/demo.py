"""The demo: the operator's main job on real parts, in about a minute.

Run `python -m lab.demo [--picture FILE]`. With KEEP=1 it stays up until Ctrl-C.

Exit codes: 0; 1 when a step failed, with the end of the right log; 128 and the signal's number when a
signal came first. Whatever way it ends, no process and no folder is left behind.
"""

import sys

from lab import demo_signals as signals


def main() -> int:
    """Run the demo; the exit code."""
    signals.handle(signals.leave)
    # Only now: this takes half a second, in which a signal must find its handler already.
    from lab import demo_run  # noqa: PLC0415

    try:
        return demo_run.main()
    finally:
        # What is left is the way out; another Ctrl-C would only stop the cleaning.
        signals.handle(signals.IGNORED)


if __name__ == "__main__":
    sys.exit(main())
