"""How many steps to dispatch at once, from the time of the last dispatch. Results do not depend on it."""

__all__ = ["Pace"]

DISPATCH_SECONDS = 0.5
"""Target time of a dispatch: long enough to hide Python, short enough for progress and signals."""


class Pace:
    """Measures dispatches, and chooses the number of steps so that a dispatch takes about half a second."""

    def __init__(self) -> None:
        """Starts with one step per dispatch."""
        self.steps = 1
        self.start_epoch()

    def start_epoch(self) -> None:
        """Resets the counts of steps and seconds."""
        self.epoch_steps, self.epoch_seconds = 0, 0.0

    def note(self, count: int, seconds: float) -> None:
        """Adds the time of a dispatch. The next dispatch has at most four times as many steps."""
        self.epoch_steps += count
        self.epoch_seconds += seconds
        wanted = int(DISPATCH_SECONDS * count / max(seconds, 1e-9))
        self.steps = max(1, min(wanted, 4 * self.steps))
