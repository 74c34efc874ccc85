"""What a sweep is: the recipe, what is varied, how settings are chosen, and the seeds of each; written down once."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.imdb.sweep.samplers import SamplerName
from experiments.imdb.sweep.space import Axis, plain
from experiments.imdb.training.recipes import Recipe
from recurrent.training.atomic import write_text
from recurrent.training.run.identity import differences

__all__ = ["SweepPlan", "agree", "agree_on_data", "is_sweep"]


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """A sweep.

    Args:
        recipe: what the settings have in common.
        space: what they vary.
        sampler: how they are chosen.
        seeds: each setting's.
        sampler_seed: of random choices.
    """

    recipe: Recipe
    space: Mapping[str, Axis]
    sampler: SamplerName
    seeds: tuple[int, ...]
    sampler_seed: int = 0

    def fields(self) -> dict[str, Any]:
        """Returns it in JSON's types."""
        recipe = {name: value for name, value in dataclasses.asdict(self.recipe).items() if name not in self.space}
        fields = {"recipe": recipe, "vary": plain(self.space), "sampler": self.sampler, "seeds": list(self.seeds)}
        return json.loads(json.dumps({**fields, "sampler_seed": self.sampler_seed}))


def is_sweep(folder: Path) -> bool:
    """Says whether a folder is a sweep's."""
    return (folder / "sweep.json").is_file()


def agree(plan: SweepPlan, folder: Path) -> None:
    """Writes a new sweep's description, or checks that the sweep in the folder is the same one; the ledger is held.

    Raises:
        ValueError: the folder holds another sweep; lists the differences.
    """
    file, now = folder / "sweep.json", plan.fields()
    if not file.exists():
        own = ("ledger.jsonl", "ledger.lock", "settings")
        others = sorted(path.name for path in folder.iterdir() if path.name not in own)
        if others:
            raise ValueError(
                f"{folder} holds other files ({', '.join(others[:3])}): a sweep needs a folder of its own."
            )
        write_text(file, json.dumps(now, indent=1) + "\n")
        return
    there = _read(file)
    # What later versions add to a recipe has had its default so far.
    default = {name: value for name, value in dataclasses.asdict(Recipe()).items() if name not in plan.space}
    there = there | {"recipe": json.loads(json.dumps(default)) | there["recipe"], "data": {}}
    if found := differences(there, {**now, "data": {}}, ("recipe.device", "recipe.stream")):
        raise ValueError(f"{folder} holds another sweep ({'; '.join(found)}). Use another folder.")


def agree_on_data(folder: Path, share: float, fingerprint: str) -> None:
    """Writes down which reviews a sweep is trained on, or checks that they are the same; the ledger is held.

    Args:
        folder: the sweep's.
        share: of the reviews that validate, which decides the fingerprint too.
        fingerprint: of the reviews.

    Raises:
        ValueError: they have changed since the sweep began.
    """
    file = folder / "sweep.json"
    there = _read(file)
    known = there.setdefault("data", {}).get(str(share))
    if known is None:
        there["data"][str(share)] = fingerprint
        write_text(file, json.dumps(there, indent=1) + "\n")
    elif known != fingerprint:
        raise ValueError(
            f"The reviews have changed since the sweep in {folder} began (fingerprint {known[:12]} there, "
            f"{fingerprint[:12]} now): use another folder, since accuracies on other reviews can't be compared."
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
        if not isinstance(content, dict) or not isinstance(content.get("recipe"), dict):
            raise ValueError("it describes no sweep")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is corrupt ({error}). Restore it, or use another folder.") from error
    return content
