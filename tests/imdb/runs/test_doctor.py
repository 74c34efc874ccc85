"""Runs whose parts are damaged one by one: advice that helps, and a plan that leaves nothing out."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.imdb.commands.show import answers as show
from experiments.imdb.runs.doctor import diagnose
from experiments.imdb.runs.files import read_recipe, sealed_recipe, write_recipe
from experiments.imdb.runs.repair import repair
from experiments.imdb.training.recipes import Recipe
from recurrent.training import Record, RunDirectory, Timing
from recurrent.training.run.lines import append_line

ENVIRONMENT = {"versions": {}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two epochs, each saved; what it learnt is of no matter here."""
    path = tmp_path_factory.mktemp("runs") / "run"
    with RunDirectory(path) as run:
        run.begin({"recipe": dataclasses.asdict(Recipe(seed=3))}, environment=ENVIRONMENT)
        for epoch in (1, 2):
            run.save(epoch, {"weight": np.full(3, epoch, np.float32)})
            run.record(Record(epoch, epoch, {"loss": 0.5}, {"acc": 0.8}), Timing(epoch, 1, 1.0, 0.1, 0.1))
    write_recipe(path, Recipe(seed=3))
    return path


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "a run")


def damage(file):
    file.write_bytes(b"x" + file.read_bytes()[1:])


def test_a_repair_is_advised_where_a_checkpoint_remembers_the_recipe(run):
    for break_it in (lambda file: file.write_text("{"), lambda file: file.unlink()):
        break_it(run / "recipe.json")
        advice = f"`scripts/imdb doctor '{run}' --repair` restores it"
        with pytest.raises((ValueError, FileNotFoundError), match=advice):
            read_recipe(run)
        assert "recipe.json was not the run's; rewritten" in repair(run)
        assert read_recipe(run) == Recipe(seed=3)


def test_a_repair_is_not_advised_where_no_checkpoint_is_whole(run):
    for file in (run / "checkpoints" / "latest").rglob("_METADATA"):
        damage(file)
    (run / "recipe.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"recipe\.json is missing\. No intact checkpoint") as told:
        read_recipe(run)
    assert "--repair" not in str(told.value)


def test_a_repair_is_not_advised_for_a_recipe_of_another_version(tmp_path):
    """Its checkpoint remembers a field that is unknown here, so `repair` leaves the file alone."""
    identity = {"recipe": dataclasses.asdict(Recipe()) | {"invented": 1}}
    with RunDirectory(tmp_path) as run:
        run.begin(identity, environment=ENVIRONMENT)
        run.save(1, {"weight": np.zeros(3, np.float32)})
    (tmp_path / "recipe.json").write_text(json.dumps(identity["recipe"]))
    with pytest.raises(ValueError, match=r"invented.*No intact checkpoint of this version") as told:
        read_recipe(tmp_path)
    assert "--repair" not in str(told.value)
    assert sealed_recipe(RunDirectory(tmp_path)) is None
    before = (tmp_path / "recipe.json").read_bytes()
    assert repair(tmp_path) == []
    assert (tmp_path / "recipe.json").read_bytes() == before


def test_all_that_a_resume_deletes_stands_in_the_plan(run):
    latest = run / "checkpoints" / "latest"
    (latest / "3.orbax-checkpoint-tmp").mkdir()
    (run / ".records.jsonl.4711.tmp").touch()
    append_line(run / "records.jsonl", Record(3, 3, {"loss": 0.4}, {"acc": 0.8}))
    append_line(run / "timings.jsonl", Timing(3, 1, 1.0, 0.1, 0.1))
    before = {path.relative_to(run) for path in run.rglob("*")}
    lines = [(run / name).read_text().splitlines() for name in ("records.jsonl", "timings.jsonl")]
    plan = diagnose(run).resume
    assert plan in show.diagnosis_text(diagnose(run))[-1]
    assert {path.relative_to(run) for path in run.rglob("*")} == before

    done = repair(run)
    gone = {str(path) for path in before - {path.relative_to(run) for path in run.rglob("*")}} - {"run.holder"}
    assert gone == {"checkpoints/latest/3.orbax-checkpoint-tmp", ".records.jsonl.4711.tmp"}
    for what in (*gone, "1 lines of records.jsonl", "1 lines of timings.jsonl"):
        assert f"deletes {what}" in plan
        assert any(each.startswith(f"deleted {what}") for each in done)
    kept = [(run / name).read_text().splitlines() for name in ("records.jsonl", "timings.jsonl")]
    assert kept == [each[:2] for each in lines]
    assert "deletes" not in diagnose(run).resume


def test_a_file_without_permission_is_told_in_words(run, monkeypatch):
    def refuse(self, *arguments, **options):
        if self.name == "recipe.json":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self, *arguments, **options)

    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", refuse)
    problems = {part.name: part.problem for part in diagnose(run).parts}
    assert problems["recipe.json"] == f"{run / 'recipe.json'}: no permission"
