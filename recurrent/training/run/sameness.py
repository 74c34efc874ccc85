"""What must be the same in all processes of a run, or their copies of the state would drift apart."""

import hashlib
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurrent.training.run.identity import flatten

__all__ = ["fingerprint", "refuse_differences", "refuse_other_states"]

_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_LIBRARY = "recurrent"


def fingerprint(identity: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the processes compare: a run's identity, its environment, and the sources of the program.

    The name of the processor counts where it computes; a git revision does not, since the sources are compared.
    """
    ignored = {"git_revision"} if _computes(environment) else {"git_revision", "processor"}
    kept = {name: value for name, value in environment.items() if name not in ignored}
    return {"identity": dict(identity), "environment": kept, "sources": _sources()}


def _computes(environment: Mapping[str, Any]) -> bool:
    return environment.get("platform") == "cpu"


def _sources() -> dict[str, str]:
    """Returns the hashes of the loaded modules that belong to the program or to this library, by name."""
    hashes = {}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        is_own = name.partition(".")[0] == _LIBRARY
        if file and file.endswith(".py") and (is_own or not file.startswith(_INSTALLED)) and Path(file).is_file():
            hashes[name] = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]
    return hashes


def refuse_differences(fingerprints: Sequence[Mapping[str, Any]]) -> None:
    """Compares what all processes have said.

    Raises:
        ValueError: one differs from process 0; lists the differences.
    """
    first = fingerprints[0]
    for index, other in enumerate(fingerprints[1:], start=1):
        here, there = (
            flatten({"run": each["identity"], "environment": each["environment"]}) for each in (first, other)
        )
        differing = [
            f"{key.removeprefix('run.')}: {here.get(key, 'absent')} in process 0, {there.get(key, 'absent')} in it"
            for key in dict.fromkeys([*here, *there])
            if here.get(key) != there.get(key)
        ]
        # A module that one of them has not loaded says nothing.
        own, its = first["sources"], other["sources"]
        changed = [name for name in own if name in its and own[name] != its[name]]
        differing += [f"other code in {', '.join(changed)}"] if changed else []
        if differing:
            raise ValueError(f"Process {index} differs from process 0 ({'; '.join(differing)}).")


def refuse_other_states(step: int, digests: Sequence[str]) -> None:
    """Raises RuntimeError where the states of the processes differ, of which each has given a digest."""
    if len(set(digests)) > 1:
        odd = next(index for index, digest in enumerate(digests) if digest != digests[0])
        raise RuntimeError(f"Step {step}: the state of process {odd} differs from that of process 0; not saved.")
