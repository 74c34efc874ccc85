"""How many steps to dispatch at once, learnt from what the last dispatch took; results do not depend on it."""

__all__ = ["Pace"]

DISPATCH_SECONDS = 0.5
"""How long one dispatch should take: long enough to hide Python, short enough to show progress and heed a signal."""


class Pace:
    """Measures steps, and chooses how many to dispatch at once so that a dispatch takes about half a second."""

    def __init__(self) -> None:
        """Starts with one step, whose time tells how many the next dispatch may have."""
        self.steps = 1
        self.start_epoch()

    def start_epoch(self) -> None:
        """Counts steps and seconds from zero."""
        self.epoch_steps, self.epoch_seconds = 0, 0.0

    def note(self, count: int, seconds: float) -> None:
        """Takes in what a dispatch took; the next grows by four times at the most."""
        self.epoch_steps += count
        self.epoch_seconds += seconds
        wanted = int(DISPATCH_SECONDS * count / max(seconds, 1e-9))
        self.steps = max(1, min(wanted, 4 * self.steps))
