"""The folder of a run, held under a lock.

    run.lock · manifest.json · records.jsonl · timings.jsonl
    checkpoints/latest/<step>/ · checkpoints/best/<step>/ · checkpoints/manifests/<latest or best>/<step>.json (seals)
    checkpoints/rejected/            corrupt checkpoints, quarantined

An experiment keeps its own descriptions (recipe, vocabulary) beside them. Of several processes (`jax.distributed`), all
use the run directory alike, and process 0 alone touches the folder; except for the arrays of a state that is split over
processes, of which each writes and reads its own parts.
"""

import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax

from recurrent.training.checkpoints.fitting import Former, unchanged
from recurrent.training.checkpoints.leaves import check_leaves
from recurrent.training.environment import describe_environment
from recurrent.training.processes import current
from recurrent.training.run.files import RunFiles
from recurrent.training.run.identity import differences, in_json
from recurrent.training.run.lines import checked
from recurrent.training.run.manifest import Manifest
from recurrent.training.run.records import Record, Timing
from recurrent.training.run.resume import ResumePlan
from recurrent.training.run.sameness import fingerprint, refuse_differences
from recurrent.training.run.states import best_weights, resume_state, save_state

__all__ = ["Resumed", "RunDirectory"]


class Resumed(NamedTuple):
    """The state from which a run continues.

    Attributes:
        state: a tree of arrays.
        step: steps done so far.
        notes: for people: which checkpoints were quarantined and why, and what was repaired.

    >>> from recurrent.training import Resumed
    >>> state, step, notes = Resumed(state={"weight": 0.5}, step=20, notes=[])
    >>> step
    20
    """

    state: Any
    step: int
    notes: list[str]


class RunDirectory:
    """A run's folder as a context manager: inside its `with`, no other process can open the same folder.

    Any training loop can use it:

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> from recurrent.training import RunDirectory
    >>> def train(path, num_steps):
    ...     with RunDirectory(path) as run:
    ...         run.begin({"learning_rate": 0.1})  # refuses a folder that holds a run of another identity
    ...         state, step, notes = run.resume({"weight": jnp.zeros(3)})  # the newest intact checkpoint, or this state
    ...         while step < num_steps:
    ...             state, step = {"weight": state["weight"] + 1}, step + 1
    ...         run.save(step, state)
    ...     return state["weight"].tolist()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train(folder, 2), train(folder, 5)  # the second call continues from step 2
    ([2.0, 2.0, 2.0], [5.0, 5.0, 5.0])

    Args:
        path: the folder; `with` makes it if it does not exist.
        keep: how many of the latest checkpoints to keep, at least 1. The best one is kept beside them.

    Raises:
        ValueError: `keep` is not an integer of at least 1.
        OSError: on `with`, the folder can't be made or written.
        RuntimeError: on `with`, another process has it open.
    """

    def __init__(self, path: str | Path, keep: int = 3) -> None:
        """Stores the arguments; nothing is touched before `with`."""
        self.path = path = Path(path)
        self.processes = current()
        self._files = RunFiles(path, keep)
        self.latest, self.best = self._files.latest, self._files.best

    @property
    def streams(self) -> int:
        """Returns how the run's keys derive from its seed: in the newest way, or in that in which the run began."""
        return self._files.streams

    def __enter__(self) -> Self:
        """Takes the lock; the kernel releases it however the process ends."""
        holders = self.processes.collect("open", f"process {os.getpid()} on {socket.gethostname()}")
        self.processes.led("open", lambda: self._files.open(holders[1:]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Releases the lock.

        Raises:
            LostProcess: the error is that another process of the run is gone.
        """
        try:
            if self.processes.leads:
                self._files.lock.release()
        finally:
            self.processes.explain(error)

    def begin(
        self,
        identity: Mapping[str, Any],
        free: Collection[str] = (),
        environment: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Writes the manifest of a new run, or checks that the run in the folder is the same one.

        Args:
            identity: all that the run's numbers depend on, in JSON's types, nested as you like.
            free: keys of it, such as "recipe.epochs", that may change when a run continues.
            environment: versions, processor, flags; `describe_environment` of all devices by default.
            facts: what else to write down, for people.

        Returns:
            Warnings, for example that the environment has changed.

        Raises:
            ValueError: an argument holds something that JSON has no type for, or the identity has a key `plan`, which
                `fit` adds. Or the folder holds a run of another
                identity, or one that drew its noise under other settings of JAX; each difference is listed. Or code,
            versions or identity differ between the processes of the run.
        """
        if "plan" in identity:
            raise ValueError(
                "The identity can't have a key 'plan': fit adds its plan under that name. Use another key."
            )
        files = self._files
        files.identity, files.free = in_json("identity", identity), free
        now = in_json("environment", environment or describe_environment(jax.devices()))
        manifest = Manifest(files.identity, in_json("facts", facts or {}), [now])
        own = fingerprint(files.identity, now) if self.processes.count > 1 else {}
        others = self.processes.collect("begin", own)

        def write() -> list[str]:
            refuse_differences(others)
            return files.begin(manifest)

        return self.processes.led("begin", write)

    def manifest(self, free: Collection[str] = ()) -> tuple[Manifest | None, list[str]]:
        """Returns the run's manifest and warnings; None for a new run.

        A manifest that is corrupt, lost or contradicts the newest intact checkpoint is restored from that one.

        Args:
            free: keys of the identity that may differ from the checkpoint's.

        Raises:
            ValueError: the manifest is corrupt or lost, and so is every checkpoint.
        """
        found: Manifest | None = None

        def read() -> dict[str, Any]:
            nonlocal found
            found, warnings = self._files.manifest(free)
            return {"manifest": None if found is None else found._asdict(), "warnings": warnings}

        heard = self.processes.led("manifest", read)
        if not self.processes.leads and heard["manifest"] is not None:
            found = Manifest(**heard["manifest"])
        return found, heard["warnings"]

    def resume(self, start: Any, former: Former = unchanged) -> Resumed:
        """Returns the newest intact state, or `start`; later records are dropped, corrupt checkpoints quarantined.

        Args:
            start: a tree of arrays; a restored state gets its structure, shapes, dtypes and shardings.
            former: (path of a leaf) -> the path it had in earlier checkpoints, or None, if a program has renamed
                leaves.

        Raises:
            ValueError: there was a run and none of its checkpoints is intact, or it holds a state of other shapes or of
                another identity. Nothing is changed then: a run never silently starts over. Or `start` can't be saved.
        """
        check_leaves(start)  # now, and not only at the first save
        return Resumed(*resume_state(self.processes, self._files, start, former))

    def adopt(self, plan: Mapping[str, Any], free: Collection[str] = ()) -> None:
        """Adds a plan to the run's identity, as `fit` does.

        Args:
            plan: what the run's numbers depend on in it.
            free: further keys, such as "plan.goal.metric", that may differ from the checkpoint's.

        Raises:
            ValueError: the checkpoint from which the run continues was saved under another plan.
            RuntimeError: this process does not hold the folder: `with` has not begun, or has ended.
        """
        files = self._files
        if found := differences({"plan": files.sealed.get("plan", {})}, {"plan": plan}, {*files.free, *free}):
            raise ValueError(
                f"{self.path} was trained in another way so far ({'; '.join(found)}). Use another folder, or remove "
                "that one."
            )
        files.identity = {**files.identity, "plan": dict(plan)}
        others = self.processes.collect("adopt", fingerprint({"plan": dict(plan)}, {}))

        def write() -> None:
            refuse_differences(others)
            files.adopt(plan)

        self.processes.led("adopt", write)

    def best_params(self, like: Any, former: Former = unchanged) -> Any:
        """Returns the params of the best epoch: the averaged ones if the run averages them. It needs no `with`.

        Args:
            like: params of the structure, shapes and dtypes to expect, such as the initial ones.
            former: what their leaves were called in earlier checkpoints; paths such as params/kernel.

        Raises:
            FileNotFoundError: no epoch is recorded yet.
            ValueError: the checkpoint is corrupt, or holds other params.
        """
        return best_weights(self.processes, self._files, like, former)

    def carry_out(self, plan: ResumePlan) -> None:
        """Does to the folder what a resume does."""
        self._files.carry_out(plan)

    def position(self, step: int) -> Any:
        """Returns the position that was saved with a state, if this object has saved or resumed it; otherwise None."""
        return self._files.positions.get(step)

    def save(self, step: int, state: Any, position: Any = None) -> None:
        """Saves a state, with its run's identity and records so far in its seal.

        Args:
            step: steps done. A step that is saved already is taken to be the same state, and stays.
            state: a tree of arrays.
            position: of an iterator of batches, in JSON's types; `position` returns it after a resume.

        Raises:
            FloatingPointError: a number in it is NaN.
            OSError: it can't be saved. Earlier checkpoints are intact.
            ValueError: the step is not an integer of at least 0, or something in the state would not be restored
                unchanged; names it.
            RuntimeError: this process does not hold the folder: `with` has not begun, or has ended.
        """
        if position is not None:
            self._files.positions[step] = in_json("position", position)
        save_state(self.processes, self._files, step, state)

    def is_saved(self, step: int) -> bool:
        """Says whether a step is among the latest checkpoints."""
        return self.processes.led("is_saved", lambda: step in self.latest.sealed_steps())

    def save_best(self, step: int) -> None:
        """Keeps one of the latest steps as the best one, in place of the previous best one.

        Raises:
            OSError: it can't be saved. The previous best one is intact.
        """
        self.processes.led("save_best", lambda: self._files.save_best(step))

    def records(self) -> list[Record]:
        """Reads the epochs recorded so far."""
        found = self.processes.led("records", lambda: [each.fields() for each in self._files.records()])
        return [Record.of_fields(fields) for fields in found]

    def timings(self) -> list[Timing]:
        """Reads their times."""
        found = self.processes.led("timings", lambda: [each._asdict() for each in self._files.timings()])
        return [Timing(**fields) for fields in found]

    def record(self, record: Record, timing: Timing) -> Record:
        """Records an epoch, also in the seal of the checkpoint at its end.

        The time is written first: an epoch without a record is evaluated again.

        Returns:
            What is recorded: of several processes, process 0's record, since last bits of host metrics may differ.

        Raises:
            ValueError: a field is not a number; nothing is written.
            OSError: it can't be written.
        """
        record, timing = checked(record), checked(timing)

        def write() -> dict[str, Any]:
            self._files.record(record, timing)
            return record.fields()

        fields = self.processes.led("record", write)
        return record if self.processes.leads else Record.of_fields(fields)
