"""A run's manifest, `manifest.json`: its identity, facts for people, and each environment that it was continued in."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from recurrent.training.atomic import write_text
from recurrent.training.checkpoints.hashes import Corrupt
from recurrent.training.run.examine import Finding
from recurrent.training.run.identity import differences

__all__ = ["Manifest", "read_manifest", "restore_manifest", "write_manifest"]


class Manifest(NamedTuple):
    """All values are of JSON's own types."""

    identity: dict[str, Any]
    facts: dict[str, Any]
    environments: list[dict[str, Any]]  # one more whenever the run continues in another
    is_saved: bool = False  # whether there was a checkpoint: a missing checkpoint is then an error


def read_manifest(path: Path) -> Manifest:
    """Reads a run's manifest.

    Raises:
        FileNotFoundError: there is none.
        Corrupt: the file is not a manifest.
    """
    try:
        content = Manifest(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise Corrupt(f"{path} is not a manifest ({error})") from error
    kinds = (dict, dict, list, bool)
    is_intact = all(map(isinstance, content, kinds)) and all(isinstance(each, dict) for each in content.environments)
    if not is_intact or not content.environments:
        raise Corrupt(f"{path} is not a manifest (a part of it has another type)")
    return content


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes a run's manifest, all or nothing."""
    write_text(path, json.dumps(manifest._asdict(), indent=2) + "\n")


def restore_manifest(
    path: Path, newest: Finding | None, free: Collection[str], has_traces: bool
) -> tuple[Manifest | None, list[str]]:
    """Reads a run's manifest, or restores it from a checkpoint if it is corrupt, lost or contradicts the checkpoint.

    Args:
        path: the manifest's file.
        newest: the newest intact checkpoint; None if there is none.
        free: keys of the identity that may differ from the checkpoint's.
        has_traces: whether there are other signs of a run.

    Returns:
        The manifest, None for a new run; and warnings.

    Raises:
        ValueError: the manifest is corrupt or lost, and no checkpoint is intact.
    """
    try:
        there, problem = read_manifest(path), ""
    except FileNotFoundError:
        there, problem = None, "is missing"
    except Corrupt as error:
        there, problem = None, f"is corrupt: {error}"
    if newest is None or newest.seal is None:
        if there is None and (has_traces or problem != "is missing"):
            raise Corrupt(f"{path} {problem}, and no checkpoint is intact to restore it from.")
        return there, []
    sealed = newest.seal.about.get("identity", {})
    if not sealed:  # saved by a loop that never called `begin`
        return there, []
    if there is not None and (found := differences(sealed, there.identity, free)):
        problem = f"was changed ({'; '.join(found)})"
    if not problem:
        return there, []
    environments = there.environments if there else [{"versions": newest.seal.versions}]
    warning = f"manifest.json {problem}; restored from {newest.name}"
    return Manifest(sealed, there.facts if there else {}, environments, is_saved=True), [warning]
