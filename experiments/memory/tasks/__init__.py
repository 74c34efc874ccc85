"""The catalogue of tasks, one per file; `TASKS` maps the names that commands and files use to them."""

from types import MappingProxyType

from experiments.memory.tasks.adding import Adding
from experiments.memory.tasks.copy_memory import CopyMemory
from experiments.memory.tasks.delayed_recall import DelayedRecall
from experiments.memory.tasks.task import Examples, Task, draw_batch
from experiments.memory.tasks.temporal_order import TemporalOrder

__all__ = ["TASKS", "Adding", "CopyMemory", "DelayedRecall", "Examples", "Task", "TemporalOrder", "draw_batch"]

TASKS = MappingProxyType({"adding": Adding, "copy": CopyMemory, "recall": DelayedRecall, "order": TemporalOrder})
