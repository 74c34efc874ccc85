"""The folder of a run, held under a lock.

    run.lock · manifest.json · records.jsonl · timings.jsonl
    checkpoints/latest/<step>/ · checkpoints/best/<step>/ · checkpoints/manifests/<latest or best>/<step>.json (seals)
    checkpoints/rejected/            corrupt checkpoints, quarantined

An experiment keeps its own descriptions (recipe, vocabulary) beside them. Of several processes (`jax.distributed`), all
use the run directory alike, and process 0 alone touches the folder.
"""

import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax

from recurrent.training.checkpoints.fitting import Former, unchanged
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.leaves import check_leaves
from recurrent.training.checkpoints.restore import restore_weights
from recurrent.training.checkpoints.seal import read_seal
from recurrent.training.environment import describe_environment
from recurrent.training.processes import current
from recurrent.training.processes.arrays import digest, local_forms, spread
from recurrent.training.run.begin import begin
from recurrent.training.run.carry_out import carry_out
from recurrent.training.run.examine import examine
from recurrent.training.run.identity import differences, in_json
from recurrent.training.run.lines import append_line, checked, read_lines
from recurrent.training.run.lock import RunLock
from recurrent.training.run.manifest import Manifest, read_manifest, restore_manifest, write_manifest
from recurrent.training.run.records import Record, Timing
from recurrent.training.run.resume import ResumePlan, plan_resume
from recurrent.training.run.sameness import fingerprint, refuse_differences
from recurrent.training.state import TrainState, former_paths
from recurrent.training.streams import VERSION

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
        self.latest = Checkpoints(path / "checkpoints" / "latest", keep)
        self.best = Checkpoints(path / "checkpoints" / "best", 1)
        self._lock = RunLock(path)
        self._identity: dict[str, Any] = {}
        self._free: Collection[str] = ()
        self._sealed: Mapping[str, Any] = {}  # the identity in the checkpoint from which the run continues
        self._positions: dict[int, Any] = {}  # step -> the position of the batches' iterator
        self.streams = VERSION  # how the run's keys derive from its seed; `resume` sets what an older run began with
        self._recorded: list[Record] | None = None  # None: not read yet
        self._is_noted = False  # whether the manifest says that there was a checkpoint

    def __enter__(self) -> Self:
        """Takes the lock; the kernel releases it however the process ends."""
        holders = self.processes.collect("open", f"process {os.getpid()} on {socket.gethostname()}")
        self.processes.led("open", lambda: self._open(holders))
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
                self._lock.release()
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
        self._identity, self._free = in_json("identity", identity), free
        now = in_json("environment", environment or describe_environment(jax.devices()))
        manifest = Manifest(self._identity, in_json("facts", facts or {}), [now])
        own = fingerprint(self._identity, now) if self.processes.count > 1 else {}
        others = self.processes.collect("begin", own)
        return self.processes.led("begin", lambda: self._begin(manifest, others))

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
            found, warnings = self._manifest(free)
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
        state, like = start, local_forms(start) if self.processes.count > 1 else start

        def read() -> dict[str, Any]:
            nonlocal state
            plan = plan_resume(self.path, self.latest, self.best)
            chosen, about, step = plan.chosen, {}, 0
            if chosen is not None and chosen.seal is not None:
                about, step = chosen.seal.about, chosen.step
                self._refuse_other_run(about.get("identity", {}), chosen.name)
                renamed = former_paths(former, chosen.seal.tree) if isinstance(start, TrainState) else former
                state = chosen.checkpoints.restore(step, like, renamed)
            self.carry_out(plan)
            return {"about": about, "step": step, "is_new": chosen is None, "notes": plan.notes()}

        found = self.processes.led("resume", read)
        about, step = found["about"], found["step"]
        if not found["is_new"]:
            self._sealed = about.get("identity", {})
            self.streams = about.get("streams", 1)
            self._positions = {step: about.get("position")}
            state = spread(self.processes, state, start)
        return Resumed(state, step, found["notes"])

    def adopt(self, plan: Mapping[str, Any]) -> None:
        """Adds a plan to the run's identity, as `fit` does.

        Raises:
            ValueError: the checkpoint from which the run continues was saved under another plan.
        """
        if found := differences({"plan": self._sealed.get("plan", {})}, {"plan": plan}, self._free):
            raise ValueError(f"{self.path} was trained in another way so far ({'; '.join(found)}).")
        self._identity = {**self._identity, "plan": dict(plan)}
        others = self.processes.collect("adopt", fingerprint({"plan": dict(plan)}, {}))
        self.processes.led("adopt", lambda: self._adopt(plan, others))

    def best_params(self, like: Any, former: Former = unchanged) -> Any:
        """Returns the params of the best epoch: the averaged ones if the run averages them. It needs no `with`.

        Args:
            like: params of the structure, shapes and dtypes to expect, such as the initial ones.
            former: what their leaves were called in earlier checkpoints; paths such as params/kernel.

        Raises:
            FileNotFoundError: no epoch is recorded yet.
            ValueError: the checkpoint is corrupt, or holds other params.
        """
        found = like

        def read() -> None:
            nonlocal found
            found = restore_weights(self.best, local_forms(like) if self.processes.count > 1 else like, former)[0]

        self.processes.led("best_params", read)
        return spread(self.processes, found, like)

    def carry_out(self, plan: ResumePlan) -> None:
        """Does to the folder what a resume does."""
        carry_out(plan, self.path, self.latest, self.best)
        self._recorded = list(plan.records)

    def position(self, step: int) -> Any:
        """Returns the position that was saved with a state, if this object has saved or resumed it; otherwise None."""
        return self._positions.get(step)

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
            self._positions[step] = in_json("position", position)
        digests = self.processes.collect("save", digest(step, state)) if self.processes.count > 1 else []
        self.processes.led("save", lambda: self._save(step, state, digests))

    def is_saved(self, step: int) -> bool:
        """Says whether a step is among the latest checkpoints."""
        return self.processes.led("is_saved", lambda: step in self.latest.sealed_steps())

    def save_best(self, step: int) -> None:
        """Keeps one of the latest steps as the best one, in place of the previous best one.

        Raises:
            OSError: it can't be saved. The previous best one is intact.
        """
        self.processes.led("save_best", lambda: self.best.copy_from(self.latest, step, self._about(step)))

    def records(self) -> list[Record]:
        """Reads the epochs recorded so far."""
        found = self.processes.led("records", lambda: [each.fields() for each in self._read_records()])
        return [Record.of_fields(fields) for fields in found]

    def timings(self) -> list[Timing]:
        """Reads their times."""
        file = self.path / "timings.jsonl"
        found = self.processes.led("timings", lambda: [each._asdict() for each in read_lines(file, Timing)])
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
            self._record(record, timing)
            return record.fields()

        fields = self.processes.led("record", write)
        return record if self.processes.leads else Record.of_fields(fields)

    def _open(self, holders: list[str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock.acquire(holders[1:])

    def _begin(self, now: Manifest, fingerprints: list[Any]) -> list[str]:
        refuse_differences(fingerprints)
        there, warnings = self._manifest(self._free)
        return begin(self.path / "manifest.json", now, there, warnings, self._free)

    def _manifest(self, free: Collection[str]) -> tuple[Manifest | None, list[str]]:
        newest = next((each for each in examine(self.latest, self.best) if each.seal), None)
        has_traces = bool([*self.latest.steps(), *self.best.steps(), *self.path.glob("*.jsonl")])
        return restore_manifest(self.path / "manifest.json", newest, free, has_traces)

    def _adopt(self, plan: Mapping[str, Any], fingerprints: list[Any]) -> None:
        refuse_differences(fingerprints)
        path = self.path / "manifest.json"
        if path.exists() and (there := read_manifest(path)).identity.get("plan") != plan:
            write_manifest(path, there._replace(identity={**there.identity, "plan": dict(plan)}))

    def _save(self, step: int, state: Any, digests: list[str]) -> None:
        self._lock.require()
        if len(set(digests)) > 1:
            odd = next(index for index, digest in enumerate(digests) if digest != digests[0])
            raise RuntimeError(f"Step {step}: the state of process {odd} differs from that of process 0; not saved.")
        self.latest.save(step, state, self._about(step))
        self._note_saved()

    def _record(self, record: Record, timing: Timing) -> None:
        recorded = self._known_records()
        append_line(self.path / "timings.jsonl", timing)
        append_line(self.path / "records.jsonl", record)
        self._recorded = [*recorded, record]
        if record.step in self.latest.sealed_steps():
            self.latest.reseal(record.step, self._about(record.step))

    def _read_records(self) -> list[Record]:
        return read_lines(self.path / "records.jsonl", Record)

    def _note_saved(self) -> None:
        """Writes into the manifest, once, that there was a checkpoint."""
        path = self.path / "manifest.json"
        if not self._is_noted and path.exists():
            there = read_manifest(path)
            if not there.is_saved:
                write_manifest(path, there._replace(is_saved=True))
            self._is_noted = True

    def _known_records(self) -> list[Record]:
        if self._recorded is None:
            self._recorded = self._read_records()
        return self._recorded

    def _about(self, step: int) -> dict[str, Any]:
        """Returns what a step's seal holds besides hashes: identity, streams, and the records up to the step."""
        records = [record.fields() for record in self._known_records() if record.step <= step]
        about = {"identity": self._identity, "records": records, "streams": self.streams}
        if step not in self._positions and step in self.latest.sealed_steps():  # saved before this process began
            self._positions[step] = read_seal(self.latest.seal_path(step)).about.get("position")
        return about if self._positions.get(step) is None else {**about, "position": self._positions[step]}

    def _refuse_other_run(self, identity: Mapping[str, Any], name: str) -> None:
        if self._identity and (found := differences(identity, self._identity, self._free)):
            raise ValueError(f"{self.path}: checkpoint {name} is that of another run ({'; '.join(found)}).")
