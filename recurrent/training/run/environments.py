"""What a change of environment means for a run that continues: different last bits, or different noise."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurrent.training.environment import NOISE_SETTINGS
from recurrent.training.run.identity import flatten

__all__ = ["changes", "refuse_other_noise"]


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Warns of an environment that has changed, since last bits may change with it."""
    old, new = flatten(before), flatten(now)
    changed = [f"{key}: {old[key]} before, {new[key]} now" for key in new if key in old and old[key] != new[key]]
    return [f"the environment has changed, so the last bits may differ ({'; '.join(changed)})"] if changed else []


def refuse_other_noise(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises ValueError if a setting of JAX has changed that the noise of a step may depend on."""
    old, new = flatten(before), flatten(now)
    keys = [key for key in (f"settings.{name}" for name in NOISE_SETTINGS) if key in old and key in new]
    if differing := [key for key in keys if old[key] != new[key]]:
        found = "; ".join(f"{key}: {old[key]} there, {new[key]} now" for key in differing)
        raise ValueError(f"{path}: the noise of its steps would change ({found}). Set this back to its first value.")
