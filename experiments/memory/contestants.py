"""Who takes part: the cells, and those among them whose gates start open for as long as the task needs.

Chrono initialisation (Tallec & Ollivier 2018) draws the biases of the gates that keep so that the units' memories last
1 to T_max steps from the start; T_max is the task's lag. No JAX here, so that a command line answers at once.
"""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from types import MappingProxyType

from experiments.figures import CELL_LABELS

__all__ = ["CONTESTANTS", "Contestant", "look_up"]


@dataclass(frozen=True)
class Contestant:
    """A cell of `recurrent.CELLS`, and how its params are drawn."""

    label: str
    cell: str
    is_chrono: bool = False


CONTESTANTS = MappingProxyType(
    {
        name: Contestant(label, name.removesuffix("_chrono"), is_chrono=name.endswith("_chrono"))
        for name, label in CELL_LABELS.items()
    }
)


def look_up(kind: str, name: str, known: Collection[str]) -> str:
    """Returns a name that is known; SimpleRNN, simple-rnn and simple_rnn are one.

    Raises:
        ValueError: there is none such; it says which one may be meant.
    """
    plain = {each.replace("_", ""): each for each in known}
    wanted = name.lower().replace("-", "").replace("_", "")
    if wanted in plain:
        return plain[wanted]
    close = difflib.get_close_matches(wanted, plain, n=1, cutoff=0.4)
    suggestion = f" Did you mean {plain[close[0]]!r}?" if close else ""
    raise ValueError(f"there is no {kind} {name!r}.{suggestion} There are: {', '.join(known)}.")
