"""Into how many shards a batch is cut where the recipe does not say."""

from experiments.imdb.training.backend import choose_backend
from experiments.imdb.training.recipes import Recipe

__all__ = ["usual_shards"]


def usual_shards(recipe: Recipe, num_accelerators: int, num_processes: int = 1) -> int:
    """Returns the number of shards.

    On a CPU, the native backend computes one shard on all cores, and a second device would only update the params once
    more. Other backends take two devices, so that two cores have work.

    Args:
        recipe: the recipe.
        num_accelerators: the devices of all processes; 0 for one process on a CPU.
        num_processes: which share the batch.

    Raises:
        ValueError: the batch size is not a multiple of the number of processes.
    """
    if num_accelerators == 0 and num_processes == 1 and _is_native(recipe):
        return 1
    counts = range(num_processes, (num_accelerators or 2) + 1, num_processes)
    divisors = [count for count in counts if recipe.batch_size % count == 0]
    if not divisors:
        raise ValueError(
            f"--batch-size must be a multiple of the number of processes ({num_processes}), not {recipe.batch_size}."
        )
    return divisors[-1]


def _is_native(recipe: Recipe) -> bool:
    return set(recipe.cells) <= {"simple_rnn", "lstm", "gru"} and choose_backend(recipe).name == "native"
