"""Several processes of one run: what they agree on, how a lost one is noticed, and arrays that all of them get."""

from recurrent.training.processes.agreement import Processes, alone, current, of_mesh
from recurrent.training.processes.watch import LostProcess

__all__ = ["LostProcess", "Processes", "alone", "current", "of_mesh"]
