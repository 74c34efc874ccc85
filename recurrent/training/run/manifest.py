"""What `manifest.json` says of a run: its identity, facts for people, and each environment that it went on in."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from recurrent.training.atomic import write_text
from recurrent.training.checkpoints.seal import Damaged
from recurrent.training.run.identity import flatten

__all__ = ["Description", "changes", "read_description", "write_description"]


class Description(NamedTuple):
    """Everything is of JSON's own types."""

    identity: dict[str, Any]
    facts: dict[str, Any]
    environments: list[dict[str, Any]]  # one more whenever the run goes on in another
    is_saved: bool = False  # whether there was a checkpoint: then one that is gone is missed


def read_description(path: Path) -> Description:
    """Reads a run's manifest.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it is none.
    """
    try:
        content = Description(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"{path} is no manifest ({error})") from error
    kinds = (dict, dict, list, bool)
    is_whole = all(map(isinstance, content, kinds)) and all(isinstance(each, dict) for each in content.environments)
    if not is_whole or not content.environments:
        raise Damaged(f"{path} is no manifest (a part of it is of another kind)")
    return content


def write_description(path: Path, description: Description) -> None:
    """Writes a run's manifest, all or nothing."""
    write_text(path, json.dumps(description._asdict(), indent=2) + "\n")


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Warns of an environment that has changed, since last bits may change with it."""
    old, new = flatten(before), flatten(now)
    changed = [f"{key}: {old[key]} before, {new[key]} now" for key in new if key in old and old[key] != new[key]]
    return [f"the environment has changed, so the last bits may differ ({'; '.join(changed)})"] if changed else []
