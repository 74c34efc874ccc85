"""States of a run, saved and restored by one or several processes.

Where every process has the whole state, process 0 writes and reads it, and the others get its bytes over the devices.
Where arrays are split over processes, each process writes and reads its own parts: the folder is one that all share.
"""

import hashlib
from typing import Any

from recurrent.training.checkpoints.fitting import Former
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.hashes import Corrupt
from recurrent.training.checkpoints.parts import examine_parts, prepare_parts, seal_parts, write_parts
from recurrent.training.checkpoints.restore import restore_weights
from recurrent.training.checkpoints.seal import Seal
from recurrent.training.processes import Processes
from recurrent.training.processes.arrays import digest, is_apart, local_forms, spread
from recurrent.training.run.files import RunFiles
from recurrent.training.run.resume import plan_resume
from recurrent.training.run.sameness import refuse_other_states
from recurrent.training.state import TrainState, former_paths

__all__ = ["best_weights", "resume_state", "save_state"]


def save_state(processes: Processes, files: RunFiles, step: int, state: Any) -> None:
    """Saves a state; all processes call this."""
    if is_apart(state):
        _save_parts(processes, files, step, state)
        return
    digests = processes.collect("save", digest(step, state)) if processes.count > 1 else []

    def write() -> None:
        refuse_other_states(step, digests)
        files.save(step, state)

    processes.led("save", write)


def _save_parts(processes: Processes, files: RunFiles, step: int, state: Any) -> None:
    seen = processes.collect("save", examine_parts(state))

    def prepare() -> bool:
        files.lock.require()
        return prepare_parts(files.latest, step, state, seen)

    if not processes.led("prepare", prepare):
        return
    written = processes.collect("write", write_parts(files.latest, step, state, processes.index))

    def seal() -> None:
        seal_parts(files.latest, step, state, written, files.about(step))
        files.note_saved()

    processes.led("seal", seal)


def resume_state(processes: Processes, files: RunFiles, start: Any, former: Former) -> tuple[Any, int, list[str]]:
    """Returns the newest intact state, or `start`, its step, and notes; all processes call this."""
    state, like = start, local_forms(start) if processes.count > 1 else start
    in_parts = is_apart(start)

    def read() -> dict[str, Any]:
        nonlocal state
        plan = plan_resume(files.path, files.latest, files.best)
        chosen, found = plan.chosen, {}
        if chosen is not None and chosen.seal is not None:
            files.refuse_other_run(chosen.seal.about.get("identity", {}), chosen.name)
            renamed = _of_state(start, former, chosen.seal)
            if in_parts:
                chosen.checkpoints.check_fit(chosen.step, like, renamed)
            else:
                state = chosen.checkpoints.restore(chosen.step, like, renamed)
            seal = _digest_of_seal(chosen.checkpoints, chosen.step)
            found = {"about": chosen.seal.about, "folder": chosen.checkpoints.folder.name, "seal": seal}
        files.carry_out(plan)
        return {"step": chosen.step if chosen else 0, "notes": plan.notes(), **found}

    found = processes.led("resume", read)
    if "about" in found:
        files.continue_from(found["about"], found["step"])
        state = _read_parts(files, found, start, former) if in_parts else spread(processes, state, start)
    return state, found["step"], found["notes"]


def _read_parts(files: RunFiles, found: dict[str, Any], start: Any, former: Former) -> Any:
    """Reads a process's parts of the checkpoint that process 0 has verified.

    Raises:
        Corrupt: this process sees another folder.
    """
    checkpoints = files.best if found["folder"] == files.best.folder.name else files.latest
    step = found["step"]
    if _digest_of_seal(checkpoints, step) != found["seal"]:
        raise Corrupt(f"{checkpoints.path(step)} is not what process 0 sees: {SHARED}")
    return checkpoints.restore(step, start, _of_state(start, former, checkpoints.seal(step)))


def best_weights(processes: Processes, files: RunFiles, like: Any, former: Former) -> Any:
    """Returns the weights of the best epoch; all processes call this."""
    if is_apart(like):
        weights, seal = restore_weights(files.best, like, former)
        step = processes.led("best_params", lambda: seal.step)
        if step != seal.step:
            raise Corrupt(f"{files.best.folder} is not what process 0 sees: {SHARED}")
        return weights
    found = like

    def read() -> None:
        nonlocal found
        found = restore_weights(files.best, local_forms(like) if processes.count > 1 else like, former)[0]

    processes.led("best_params", read)
    return spread(processes, found, like)


SHARED = "a state that is split over processes needs a folder that all of them share."


def _of_state(state: Any, former: Former, seal: Seal) -> Former:
    return former_paths(former, seal.tree) if isinstance(state, TrainState) else former


def _digest_of_seal(checkpoints: Checkpoints, step: int) -> str:
    try:
        return hashlib.sha256(checkpoints.seal_path(step).read_bytes()).hexdigest()
    except OSError:
        return ""
