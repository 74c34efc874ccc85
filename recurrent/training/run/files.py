"""The files of a run, as the process that holds the lock reads and writes them. It knows of no other process.

What the run is (identity, streams, positions) is known to every process of a run; the others touch no file.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.seal import read_seal
from recurrent.training.run.begin import begin
from recurrent.training.run.carry_out import carry_out
from recurrent.training.run.examine import examine
from recurrent.training.run.identity import differences
from recurrent.training.run.lines import append_line, read_lines
from recurrent.training.run.lock import RunLock
from recurrent.training.run.manifest import Manifest, read_manifest, restore_manifest, write_manifest
from recurrent.training.run.records import Record, Timing
from recurrent.training.run.resume import ResumePlan
from recurrent.training.streams import VERSION

__all__ = ["RunFiles"]


class RunFiles:
    """The files in a run's folder."""

    def __init__(self, path: Path, keep: int) -> None:
        """Stores the arguments; nothing is touched."""
        self.path, self.lock = path, RunLock(path)
        self.latest = Checkpoints(path / "checkpoints" / "latest", keep)
        self.best = Checkpoints(path / "checkpoints" / "best", 1)
        self.identity: dict[str, Any] = {}
        self.free: Collection[str] = ()
        self.sealed: Mapping[str, Any] = {}  # the identity in the checkpoint from which the run continues
        self.positions: dict[int, Any] = {}  # step -> the position of the batches' iterator
        self.streams = VERSION  # how the run's keys derive from its seed; a resume sets what an older run began with
        self._recorded: list[Record] | None = None  # None: not read yet
        self._is_noted = False  # whether the manifest says that there was a checkpoint

    def open(self, others: Sequence[str]) -> None:
        """Makes the folder and takes its lock, also in the name of other processes."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock.acquire(others)

    def begin(self, now: Manifest) -> list[str]:
        """Writes the manifest of a new run, or checks that the run is the same one; returns warnings."""
        there, warnings = self.manifest(self.free)
        return begin(self.path / "manifest.json", now, there, warnings, self.free)

    def manifest(self, free: Collection[str]) -> tuple[Manifest | None, list[str]]:
        """Returns the run's manifest, restored where it must be, and warnings."""
        newest = next((each for each in examine(self.latest, self.best) if each.seal), None)
        has_traces = bool([*self.latest.steps(), *self.best.steps(), *self.path.glob("*.jsonl")])
        return restore_manifest(self.path / "manifest.json", newest, free, has_traces)

    def adopt(self, plan: Mapping[str, Any]) -> None:
        """Writes the plan of `fit` into the manifest."""
        self.lock.require()
        path = self.path / "manifest.json"
        if path.exists() and (there := read_manifest(path)).identity.get("plan") != plan:
            write_manifest(path, there._replace(identity={**there.identity, "plan": dict(plan)}))

    def carry_out(self, plan: ResumePlan) -> None:
        """Does to the folder what a resume does."""
        carry_out(plan, self.path, self.latest, self.best)
        self._recorded = list(plan.records)

    def continue_from(self, about: Mapping[str, Any], step: int) -> None:
        """Takes over what a checkpoint's seal says of the run."""
        self.sealed = about.get("identity", {})
        self.streams = about.get("streams", 1)
        self.positions = {step: about.get("position")}

    def refuse_other_run(self, identity: Mapping[str, Any], name: str) -> None:
        """Raises ValueError for a checkpoint of another identity."""
        if self.identity and (found := differences(identity, self.identity, self.free)):
            raise ValueError(f"{self.path}: checkpoint {name} is that of another run ({'; '.join(found)}).")

    def save(self, step: int, state: Any) -> None:
        """Saves a state."""
        self.lock.require()
        self.latest.save(step, state, self.about(step))
        self.note_saved()

    def save_best(self, step: int) -> None:
        """Keeps one of the latest steps as the best one."""
        self.best.copy_from(self.latest, step, self.about(step))

    def record(self, record: Record, timing: Timing) -> None:
        """Appends an epoch's lines, and writes its record into the seal of the checkpoint at its end."""
        recorded = self._known_records()
        append_line(self.path / "timings.jsonl", timing)
        append_line(self.path / "records.jsonl", record)
        self._recorded = [*recorded, record]
        if record.step in self.latest.sealed_steps():
            self.latest.reseal(record.step, self.about(record.step))

    def records(self) -> list[Record]:
        """Reads the epochs recorded so far."""
        return read_lines(self.path / "records.jsonl", Record)

    def timings(self) -> list[Timing]:
        """Reads their times."""
        return read_lines(self.path / "timings.jsonl", Timing)

    def about(self, step: int) -> dict[str, Any]:
        """Returns what a step's seal holds besides hashes: identity, streams, and the records up to the step."""
        records = [record.fields() for record in self._known_records() if record.step <= step]
        about = {"identity": self.identity, "records": records, "streams": self.streams}
        if step not in self.positions and step in self.latest.sealed_steps():  # saved before this process began
            self.positions[step] = read_seal(self.latest.seal_path(step)).about.get("position")
        return about if self.positions.get(step) is None else {**about, "position": self.positions[step]}

    def note_saved(self) -> None:
        """Writes into the manifest, once, that there was a checkpoint."""
        path = self.path / "manifest.json"
        if not self._is_noted and path.exists():
            there = read_manifest(path)
            if not there.is_saved:
                write_manifest(path, there._replace(is_saved=True))
            self._is_noted = True

    def _known_records(self) -> list[Record]:
        if self._recorded is None:
            self._recorded = self.records()
        return self._recorded
