"""The beginning of a run, or of a part of it: writes the manifest, or checks that the run in the folder is the same."""

from collections.abc import Collection
from pathlib import Path

from recurrent.training.run.environments import changes, refuse_other_noise
from recurrent.training.run.identity import differences
from recurrent.training.run.manifest import Manifest, write_manifest

__all__ = ["begin"]


def begin(file: Path, now: Manifest, there: Manifest | None, warnings: list[str], free: Collection[str]) -> list[str]:
    """Writes a manifest where it is new or has changed; returns warnings.

    Args:
        file: the manifest's.
        now: with one environment, today's.
        there: as `restore_manifest` returns it, as are the warnings.
        warnings: of the manifest that is there.
        free: keys of the identity that may change.

    Raises:
        ValueError: the folder holds a run of another identity or of other noise; each difference is listed.
    """
    if there is None:
        write_manifest(file, now)
        return []
    (environment,) = now.environments
    before = there.environments[-1]
    if found := differences(there.identity, now.identity, free):
        raise ValueError(
            f"{file.parent} holds another run ({'; '.join(found)}). Use another folder, or remove that one."
        )
    refuse_other_noise(file.parent, before, environment)
    changed = changes(before, environment)
    plan = {name: value for name, value in there.identity.items() if name == "plan"}  # which `fit` has added
    identity = now.identity | plan
    if warnings or changed or there.identity != identity:
        is_new = changed or (warnings and before != environment)
        environments = [*there.environments, environment] if is_new else there.environments
        write_manifest(file, Manifest(identity, there.facts or now.facts, environments, there.is_saved))
    return warnings + changed
