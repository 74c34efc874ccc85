"""A checkpoint that several processes write together, by Orbax: each writes the parts of the arrays that it has.

It is a checkpoint like others: any number of processes can read it, whole or in other parts. Each process hashes what
it wrote and process 0 the rest, so no byte is hashed twice.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.hashes import hash_files
from recurrent.training.checkpoints.leaves import describe
from recurrent.training.checkpoints.plain import own_parts, plain_parts
from recurrent.training.checkpoints.seal import Seal
from recurrent.training.checkpoints.store import write_arrays
from recurrent.training.environment import versions

__all__ = ["examine_parts", "prepare_parts", "seal_parts", "write_parts"]


def examine_parts(state: Any) -> dict[str, Any]:
    """Returns what the processes compare: a hash of each part that a process has, and which array holds NaN."""
    hashes: dict[str, str] = {}
    nan = None
    for name, leaf in zip(describe(state), jax.tree.leaves(state), strict=True):
        for index, part in own_parts(leaf):
            hashes[f"{name}{index}"] = hashlib.sha256(part.tobytes()).hexdigest()[:16]
            nan = name if jnp.issubdtype(part.dtype, jnp.inexact) and np.isnan(part).any() else nan
    return {"hashes": hashes, "nan": nan}


def prepare_parts(checkpoints: Checkpoints, step: int, state: Any, seen: Sequence[Mapping[str, Any]]) -> bool:
    """Makes room for a step, in process 0; returns False if it is saved already.

    Args:
        checkpoints: the folder.
        step: the step.
        state: the state.
        seen: what `examine_parts` returned in each process.

    Raises:
        FloatingPointError: a number is NaN.
        RuntimeError: two processes have different copies of a part.
        OSError: the disk is full.
    """
    known: dict[str, str] = {}
    for index, each in enumerate(seen):
        if each["nan"] is not None:
            raise FloatingPointError(f"Step {step}: {each['nan']} holds NaN in process {index}; not saved.")
        for part, hash_of_part in each["hashes"].items():
            if known.setdefault(part, hash_of_part) != hash_of_part:
                raise RuntimeError(f"Step {step}: {part} of process {index} differs from an earlier one's; not saved.")
    return checkpoints.prepare(step, sum(leaf.nbytes for leaf in jax.tree.leaves(plain_parts(state))))


def write_parts(checkpoints: Checkpoints, step: int, state: Any, process: int) -> dict[str, str]:
    """Writes a process's parts, while the others write theirs; returns the hashes of the files that are its own.

    Raises:
        OSError: they can't be written. The other processes then wait in Orbax, and are ended by their watch.
    """
    own = f"ocdbt.process_{process}"
    try:
        write_arrays(checkpoints.path(step), plain_parts(state), is_alone=False)
        folder = checkpoints.path(step) / own
        if not folder.exists():
            return {}  # other processes have all of this one's parts too, and wrote them
        return {f"{own}/{name}": value for name, value in hash_files(folder, is_new=True).items()}
    except Exception as error:  # Orbax raises many kinds
        raise checkpoints.not_saved(step, error) from error


def seal_parts(
    checkpoints: Checkpoints, step: int, state: Any, written: Sequence[Mapping[str, str]], about: dict[str, Any]
) -> None:
    """Hashes what no process has hashed, and seals the step, in process 0.

    Raises:
        OSError: a file that another process wrote is not there.
    """
    path = checkpoints.path(step)
    hashes = {name: value for each in written for name, value in each.items()}
    hashes |= hash_files(path, is_new=True, known=hashes)
    missing = [name for name in hashes if not Path(path, name).is_file()]
    if missing:
        raise OSError(f"{path / missing[0]}, which another process wrote, is not seen here: all must share the folder.")
    checkpoints.seal_new(step, Seal(step, dict(sorted(hashes.items())), describe(state), about, versions()))
