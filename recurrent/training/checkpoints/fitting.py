"""A checkpoint's leaves put into the expected tree. Each difference is an error; nothing is converted."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from recurrent.training.checkpoints.leaves import describe, describe_format_1
from recurrent.training.checkpoints.plain import from_plain, plain_form
from recurrent.training.checkpoints.seal import Seal
from recurrent.training.checkpoints.store import Form, read_arrays, read_format_1

__all__ = ["Former", "check_fit", "read_state", "unchanged"]

Former = Callable[[str], str | None]
"""(path of a leaf) -> the path it had in earlier checkpoints, asked for paths that a checkpoint does not have.

None means that earlier states had no such leaf; it then keeps its value in `like`. For example, after each array of a
layer's `params` became a param of its own: `lambda path: path.replace("/recurrent/", "/recurrent/params/")`.
"""


def unchanged(path: str) -> str:
    """Returns the path unchanged: the `Former` of a state whose leaves were never renamed."""
    return path


def check_fit(path: Path, seal: Seal, like: Any, within: str = "", former: Former = unchanged) -> list[str | None]:
    """Returns the path in a checkpoint of each leaf of `like`; None for one that keeps its value. Reads no array.

    Raises:
        ValueError: the checkpoint doesn't fit, and each difference is listed.
    """
    describe_now = describe_format_1 if seal.format == 1 else describe
    now = {within + name: form for name, form in describe_now(like).items()}
    sources = [name if name in seal.tree else former(name) for name in now]
    _refuse_misfit(path, seal, within, now, sources)
    return sources


def read_state(path: Path, seal: Seal, like: Any, within: str = "", former: Former = unchanged) -> Any:
    """Reads a checkpoint, or a part of it.

    Args:
        path: the folder of a step.
        seal: its seal.
        like: a tree of the structure, shapes, dtypes and shardings to expect.
        within: the path of the part to read, ending in /; the whole state by default.
        former: what leaves were called in earlier checkpoints; paths include `within`.

    Raises:
        ValueError: the checkpoint doesn't fit, and each difference is listed; or Orbax can't read it.
    """
    sources = check_fit(path, seal, like, within, former)
    leaves, structure = jax.tree.flatten(like)
    needed = {source: plain_form(leaf) for source, leaf in zip(sources, leaves, strict=True) if source is not None}
    plain = _read(path, seal, needed)
    restored = [
        leaf if source is None else from_plain(plain[source], leaf)
        for source, leaf in zip(sources, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, restored)


def _refuse_misfit(path: Path, seal: Seal, within: str, now: Mapping[str, str], sources: Sequence[str | None]) -> None:
    """Raises ValueError for a leaf that is missing, superfluous, or of another shape or dtype."""
    there = {name: form for name, form in seal.tree.items() if name.startswith(within)}
    differing = {
        name: f"{name}: {seal.tree.get(source, 'absent')} there, {form} now"
        for (name, form), source in zip(now.items(), sources, strict=True)
        if source is not None and seal.tree.get(source) != form
    }
    differing |= {name: f"{name}: {there[name]} there, absent now" for name in there.keys() - set(sources)}
    if differing:
        found = "; ".join(differing[name] for name in sorted(differing))
        raise ValueError(
            f"{path} holds another state ({found}). Params, optimizer and metrics must be those of the run so far."
        )


def _read(path: Path, seal: Seal, needed: Mapping[str, Form]) -> dict[str, Any]:
    """Reads plain arrays by path, which must have the shapes and dtypes of the forms in `needed`."""
    if seal.format == 1:
        found = read_format_1(path, seal.tree)
        found = {name: found[name].view(form.dtype) if found[name].size else form for name, form in needed.items()}
    else:
        numbers = {name: number for number, name in enumerate(seal.tree)}
        arrays = read_arrays(path, {numbers[name]: form for name, form in needed.items()})
        found = {name: arrays[numbers[name]] for name in needed}
    for name, form in needed.items():
        if (found[name].shape, found[name].dtype) != (form.shape, form.dtype):
            raise ValueError(f"{path}: {name} differs from what its seal says.")
    return found
