"""The arrays of a checkpoint, written and read by Orbax as a flat list, so that no two leaves share a name."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

__all__ = ["Form", "read_arrays", "read_format_1", "write_arrays"]

Form = np.ndarray | jax.ShapeDtypeStruct
"""The form of an array to read: one of the host, or one on devices."""

_NOTHING = {"nothing": np.zeros(1, np.uint8)}  # Orbax writes neither an empty tree nor an array of size 0


def write_arrays(path: Path, arrays: Sequence[np.ndarray | jax.Array], is_alone: bool = True) -> None:
    """Writes arrays into a new folder, each under its number; those of size 0 are left out.

    Args:
        path: the folder.
        arrays: of the host; or on the devices of several processes, where all of them write.
        is_alone: whether this process writes alone, and waits for no other.
    """
    named = {_name(number): array for number, array in enumerate(arrays) if array.size}
    with _silence(), _checkpointer(is_alone) as checkpointer:
        checkpointer.save(path, args=ocp.args.PyTreeSave(named or _NOTHING))


def read_arrays(path: Path, wanted: Mapping[int, Form]) -> dict[int, Any]:
    """Reads arrays by their numbers.

    Args:
        path: the folder of a step.
        wanted: arrays of the shapes and dtypes to expect; those of size 0 are returned as they are. Descriptions with a
            sharding stand for arrays on devices, of which this process reads its own parts.

    Raises:
        ValueError: Orbax can't read them.
    """
    named = {_name(number): array for number, array in wanted.items() if array.size}
    if not named:
        return dict(wanted)
    kinds = {name: _kind(form) for name, form in named.items()}
    found = _restore(path, ocp.args.PyTreeRestore(item=named, restore_args=kinds, partial_restore=True))
    return {number: found[_name(number)] if array.size else array for number, array in wanted.items()}


def read_format_1(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Reads a checkpoint of format 1, which holds a state's own tree; returns its arrays by path.

    Args:
        path: the folder of a step.
        names: the paths to expect.

    Raises:
        ValueError: Orbax can't read it, or it wrote several leaves under one name, as it did for a.b and a/b.
    """
    leaves = jax.tree_util.tree_leaves_with_path(_restore(path, ocp.args.PyTreeRestore()))
    found = {jax.tree_util.keystr(keys, simple=True, separator="/"): leaf for keys, leaf in leaves}
    if len({name.replace("/", ".") for name in found}) < len(leaves) or found.keys() != set(names):
        raise ValueError(f"{path} holds leaves that Orbax wrote under one name: their numbers are lost.")
    return found


def _restore(path: Path, arguments: Any) -> Any:
    try:
        with _checkpointer() as checkpointer:
            return checkpointer.restore(path, args=arguments)
    except Exception as error:  # Orbax raises many kinds
        raise ValueError(f"{path} can't be restored: {error}") from error


def _kind(form: Form) -> ocp.RestoreArgs:
    if isinstance(form, np.ndarray):
        return ocp.RestoreArgs(restore_type=np.ndarray)
    return ocp.ArrayRestoreArgs(sharding=form.sharding, global_shape=form.shape, dtype=form.dtype)


def _checkpointer(is_alone: bool = True) -> ocp.Checkpointer:
    """Returns Orbax's checkpointer; with several processes, one that waits for no other process if it is alone."""
    if not is_alone or not jax.distributed.is_initialized() or jax.process_count() == 1:
        return ocp.PyTreeCheckpointer()
    this = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"process{this}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _name(number: int) -> str:
    return f"leaf{number}"


@contextmanager
def _silence() -> Iterator[None]:
    """Stops Orbax from logging an error that it also raises."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
