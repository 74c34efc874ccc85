"""The folder of a run, held under a lock: who may write there, what is there, and where a resume goes on.

    run.lock · manifest.json · records.jsonl · timings.jsonl
    checkpoints/latest/<step>/ · checkpoints/best/<step>/ · checkpoints/manifests/<latest or best>/<step>.json
    checkpoints/rejected/            damaged checkpoints, moved aside

An experiment keeps its own descriptions (recipe, vocabulary) beside them. Any training loop can use it:

    with Interrupt() as interrupt, RunDirectory(path) as run:
        run.begin({"learning_rate": 0.1})  # refuses a folder that holds a run of another identity
        state, step, notes = run.resume(state)  # the newest checkpoint that is whole, or the state given
        while step < num_steps and not interrupt:
            state, step = train_step(state), step + 1
            if step % 100 == 0:
                run.save(step, state)
        run.save(step, state)
    sys.exit(interrupt.exit_code)
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax

from recurrent.training.atomic import unfinished
from recurrent.training.checkpoints.fitting import Former, unchanged
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.leaves import describe
from recurrent.training.checkpoints.seal import Damaged
from recurrent.training.environment import NOISE_SETTINGS, describe_environment
from recurrent.training.run.identity import differences, flatten, in_json
from recurrent.training.run.lock import RunLock
from recurrent.training.run.manifest import Description, changes, read_description, write_description
from recurrent.training.run.records import Record, Timing, append_line, checked, read_lines, write_lines
from recurrent.training.run.resume import ResumePlan, examine, plan_resume
from recurrent.training.state import TrainState, former_paths
from recurrent.training.streams import VERSION

__all__ = ["Resumed", "RunDirectory"]


class Resumed(NamedTuple):
    """Where a run goes on."""

    state: Any
    step: int
    notes: list[str]  # what a person should know: which checkpoints were rejected and why, what was mended


class RunDirectory:
    """A context manager; inside it, no other process can open the same folder.

    Raises:
        OSError: the folder can't be made or written.
        RuntimeError: another process has it open.
    """

    def __init__(self, path: str | Path, keep: int = 3) -> None:
        """Describes the folder; nothing is touched before `with`.

        Args:
            keep: how many of the latest checkpoints to keep.

        Raises:
            ValueError: that is no integer of at least 1.
        """
        self.path = path = Path(path)
        self.latest = Checkpoints(path / "checkpoints" / "latest", keep)
        self.best = Checkpoints(path / "checkpoints" / "best", 1)
        self._lock = RunLock(path)
        self._identity: dict[str, Any] = {}
        self._free: Collection[str] = ()
        self.streams = VERSION  # how the run's keys derive from its seed; `resume` finds what an older run began with
        self._recorded: list[Record] | None = None  # None: not read yet
        self._is_noted = False  # whether the manifest says that there was a checkpoint

    def __enter__(self) -> Self:
        """Takes the lock, which the kernel gives back however the process ends."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Releases the lock."""
        self._lock.release()

    def begin(
        self,
        identity: Mapping[str, Any],
        free: Collection[str] = (),
        environment: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Writes a new run's manifest, or checks that the run which is there is the same; returns warnings.

        Args:
            identity: all that the run's numbers depend on, in JSON's types, nested as one likes.
            free: keys of it, like "recipe.epochs", that may change when a run goes on.
            environment: versions, processor, flags; `describe_environment` of all devices by default.
            facts: what else to write down, for people.

        Raises:
            ValueError: an argument holds something that JSON has no type for; or the folder holds a run of another
                identity, or one that drew its noise under other settings of
                JAX; each difference is listed.
        """
        self._identity, self._free = in_json("identity", identity), free
        now = in_json("environment", environment or describe_environment(jax.local_devices()))
        told = in_json("facts", facts or {})
        path = self.path / "manifest.json"
        there, warnings = self.description(free)
        if there is None:
            write_description(path, Description(self._identity, told, [now]))
            return []
        if found := differences(there.identity, self._identity, free):
            raise ValueError(
                f"{self.path} holds another run ({'; '.join(found)}). Use another folder, or remove that one."
            )
        self._refuse_other_noise(there.environments[-1], now)
        changed = changes(there.environments[-1], now)
        if warnings or changed or there.identity != self._identity:
            is_new = changed or (warnings and there.environments[-1] != now)
            environments = [*there.environments, now] if is_new else there.environments
            write_description(path, Description(self._identity, there.facts or told, environments, there.is_saved))
        return warnings + changed

    def description(self, free: Collection[str] = ()) -> tuple[Description | None, list[str]]:
        """Returns what the manifest says, and warnings; None for a new run.

        Where the manifest is damaged or lost, or contradicts the newest checkpoint that is whole, that one says it.

        Args:
            free: keys of the identity that may differ from the checkpoint's.

        Raises:
            ValueError: the manifest is damaged or lost, and so is every checkpoint.
        """
        try:
            there, problem = read_description(self.path / "manifest.json"), ""
        except FileNotFoundError:
            there, problem = None, "is missing"
        except Damaged as error:
            there, problem = None, f"is damaged: {error}"
        chosen = next((each for each in examine(self.latest, self.best) if each.manifest), None)
        if chosen is None or chosen.manifest is None:
            traces = [*self.latest.steps(), *self.best.steps(), *self.path.glob("*.jsonl")]
            if there is None and (traces or problem != "is missing"):
                raise Damaged(
                    f"{self.path / 'manifest.json'} {problem}, and no checkpoint is whole to say what it said."
                )
            return there, []
        sealed = chosen.manifest.about.get("identity", {})
        if not sealed:  # saved by a loop that never began
            return there, []
        if there is not None and (found := differences(sealed, there.identity, free)):
            problem = f"was changed ({'; '.join(found)})"
        if not problem:
            return there, []
        environments = there.environments if there else [{"versions": chosen.manifest.versions}]
        warning = f"manifest.json {problem}; {chosen.name} knows what it said"
        return Description(sealed, there.facts if there else {}, environments, is_saved=True), [warning]

    def resume(self, start: Any, former: Former = unchanged) -> Resumed:
        """Returns the newest state that is whole, or `start`; what was written after it is dropped or moved aside.

        Args:
            start: a tree of arrays; a state that is restored gets its structure, shapes, dtypes and shardings.
            former: (path of a leaf) -> what it was called in earlier checkpoints, where a program has renamed leaves;
                see `fitting.Former`.

        Raises:
            ValueError: there was a run and nothing of it is whole, or it holds a state of other shapes or another
                identity. Nothing is changed then: a run never starts over in silence. Or `start` could not be saved.
        """
        describe(start)  # what could not be saved is better known now
        plan = plan_resume(self.path, self.latest, self.best)
        chosen, state, step = plan.chosen, start, 0
        if chosen is not None and chosen.manifest is not None:
            self._refuse_other_run(chosen.manifest.about.get("identity", {}), chosen.name)
            former = former_paths(former) if isinstance(start, TrainState) else former
            state, step = chosen.checkpoints.restore(chosen.step, start, former), chosen.step
            self.streams = chosen.manifest.about.get("streams", 1)
        self.carry_out(plan)
        return Resumed(state, step, plan.notes())

    def carry_out(self, plan: ResumePlan) -> None:
        """Does what a resume does to the folder."""
        for each in plan.rejected:
            each.checkpoints.set_aside(each.step, self._place_aside(f"{each.checkpoints.folder.name}-{each.step}"))
        for path in unfinished(self.path):
            path.unlink()
        self.latest.clear_leftovers()
        self.best.clear_leftovers()
        for name, lines in (("records", plan.records), ("timings", plan.timings)):
            path = self.path / f"{name}.jsonl"
            if lines or path.exists():
                write_lines(path, lines)
        self._recorded = list(plan.records)

    def save(self, step: int, state: Any) -> None:
        """Saves a state, with its run's identity and records so far in its manifest.

        Args:
            step: a step that was saved before is taken to be the same state, and stays.
            state: a tree of arrays.

        Raises:
            FloatingPointError: a number in it is NaN.
            OSError: it can't be saved. The checkpoints before it are whole.
            ValueError: the step is no integer of at least 0, or something in the state would not come back as it was;
                names it.
            RuntimeError: this process does not hold the folder: `with` has not begun, or has ended.
        """
        self._lock.require()
        self.latest.save(step, state, self._about(step))
        self._note_saved()

    def save_best(self, step: int) -> None:
        """Keeps one of the latest steps as the best one, in the place of the best one before.

        Raises:
            OSError: it can't be saved. The best one before is whole.
        """
        self.best.copy_from(self.latest, step, self._about(step))

    def records(self) -> list[Record]:
        """Reads the epochs recorded so far."""
        return read_lines(self.path / "records.jsonl", Record)

    def timings(self) -> list[Timing]:
        """Reads their times."""
        return read_lines(self.path / "timings.jsonl", Timing)

    def record(self, record: Record, timing: Timing) -> None:
        """Records an epoch, and has the checkpoint of its end remember it.

        Its time comes first: an epoch without a record is evaluated again.

        Raises:
            ValueError: a field is no number; nothing is written.
            OSError: it can't be written.
        """
        record, timing, recorded = checked(record), checked(timing), self._known_records()
        append_line(self.path / "timings.jsonl", timing)
        append_line(self.path / "records.jsonl", record)
        self._recorded = [*recorded, record]
        if record.step in self.latest.sealed_steps():
            self.latest.reseal(record.step, self._about(record.step))

    def _note_saved(self) -> None:
        """Has the manifest say that there was a checkpoint, once."""
        path = self.path / "manifest.json"
        if not self._is_noted and path.exists():
            there = read_description(path)
            if not there.is_saved:
                write_description(path, there._replace(is_saved=True))
            self._is_noted = True

    def _known_records(self) -> list[Record]:
        if self._recorded is None:
            self._recorded = self.records()
        return self._recorded

    def _about(self, step: int) -> dict[str, Any]:
        """Says what a step's manifest is to remember: the records up to it, which those on disk can be mended from."""
        records = [record._asdict() for record in self._known_records() if record.step <= step]
        return {"identity": self._identity, "records": records, "streams": self.streams}

    def _refuse_other_run(self, identity: Mapping[str, Any], name: str) -> None:
        if self._identity and (found := differences(identity, self._identity, self._free)):
            raise ValueError(f"{self.path}: checkpoint {name} is that of another run ({'; '.join(found)}).")

    def _refuse_other_noise(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Raises ValueError where a setting that the noise of a step may depend on is not what it was."""
        old, new = flatten(before), flatten(now)
        keys = [key for key in (f"settings.{name}" for name in NOISE_SETTINGS) if key in old and key in new]
        if differing := [key for key in keys if old[key] != new[key]]:
            found = "; ".join(f"{key}: {old[key]} there, {new[key]} now" for key in differing)
            raise ValueError(
                f"{self.path}: the noise of its steps would change ({found}). Set this back to what the run began with."
            )

    def _place_aside(self, name: str) -> Path:
        """Returns a path that is free."""
        target, number = self.path / "checkpoints" / "rejected" / name, 1
        while target.exists() or target.with_name(target.name + ".json").exists():
            number += 1
            target = target.with_name(f"{name}.{number}")
        return target
