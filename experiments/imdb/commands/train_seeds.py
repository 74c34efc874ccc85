"""`scripts/imdb train --seeds`: many seeds in one program."""

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.command_line import announce_stop, command
from experiments.imdb.commands.prepared import prepared_reviews
from experiments.imdb.runs.places import default_run_dir, find_data_dir, run_name
from experiments.imdb.training.recipes import Recipe

if TYPE_CHECKING:
    from experiments.imdb.runs.cohort import OpenCohort
    from recurrent.training import Interrupt, OfRun


def train_seeds(
    settings: Recipe,
    seeds: Sequence[int],
    folder: Path | None,
    data_dir: Path | None,
    save_every: int,
    log: Sequence[str],
) -> int:
    """Trains a recipe with each of some seeds; JAX is configured already.

    Args:
        settings: the recipe; its own seed has no effect.
        seeds: one a run.
        folder: of the runs' folders; by default that of all runs.
        data_dir: as of `train`.
        save_every: the same.
        log: the same.

    Returns:
        0 when all runs are complete, 1 when one met a number that is not finite, 143 or 130 when a signal stopped them.
    """
    from experiments.imdb.commands.show.seeds import seeds_table
    from experiments.imdb.commands.show.terminal import console
    from experiments.imdb.runs.start import num_accelerators, refuse_other_recipe, settle
    from recurrent.training import Interrupt, RunDirectory, Stopped

    out = console()
    wanted = [dataclasses.replace(settings, seed=seed) for seed in seeds]
    paths = [default_run_dir(each) if folder is None else folder / run_name(each) for each in wanted]
    recipes = [settle(each, path, num_accelerators()) for each, path in zip(wanted, paths, strict=True)]
    for recipe, path in zip(recipes, paths, strict=True):  # before the folder of any seed is written
        refuse_other_recipe(RunDirectory(path), recipe)
    failures: dict[int, str] = {}
    with Interrupt(announce_stop) as interrupt, contextlib.suppress(Stopped):  # raised before training began
        _train(out, recipes, paths, data_dir, save_every, log, interrupt, failures)
    records = {recipe.seed: RunDirectory(path).records() for recipe, path in zip(recipes, paths, strict=True)}
    if any(records.values()):
        for line in seeds_table(records):
            out.print(line)
    for number, message in failures.items():
        hint = "" if settings.nonfinite == "skip" else " --nonfinite skip skips such steps."
        out.print(f"seed {recipes[number].seed} stopped: {message}{hint}", style="red", markup=False)
    out.print(f"runs     {paths[0].parent}/{{{', '.join(path.name for path in paths)}}}", markup=False)
    if interrupt.received:
        out.print(f"stopped by {interrupt.received.name}; the same command resumes the runs", markup=False)
    elif not failures:
        out.print(f"next     {command('imdb', 'report', *paths)}", markup=False)
    return interrupt.exit_code or (1 if failures else 0)


def _train(
    out: Any,
    recipes: Sequence[Recipe],
    paths: Sequence[Path],
    data_dir: Path | None,
    save_every: int,
    log: Sequence[str],
    interrupt: "Interrupt",
    failures: dict[int, str],
) -> None:
    from experiments.imdb.commands.show.training import shapes_of, summary
    from experiments.imdb.runs.cohort import open_cohort
    from experiments.imdb.runs.start import fit_to_data
    from experiments.imdb.training.backend import choose_backend
    from experiments.imdb.training.train_many import prepare_many, train_many

    places = find_data_dir(data_dir, *paths)
    data = prepared_reviews(out, recipes[0], places, interrupt)
    recipes = [fit_to_data(recipe, data) for recipe in recipes]
    backend = choose_backend(recipes[0])
    cohort = prepare_many(recipes, data, lambda: interrupt)  # before anything is written: it refuses some recipes
    with open_cohort(cohort, paths, data, backend.name, places) as opened:
        for warning in opened.warnings:
            out.print(f"warning: {warning}", style="yellow", markup=False)
        steps = opened.cohort.steps
        device = f"{steps.mesh.size} × {steps.mesh.devices.flat[0].device_kind}"
        summary(out, recipes[0], data.facts, shapes_of(opened.states[0].params), device, backend)
        out.print(f"seeds  {', '.join(str(recipe.seed) for recipe in recipes)}, in one program", markup=False)
        events = train_many(opened.cohort, opened.states, opened.runs, save_every, lambda: interrupt)
        _follow(out, events, opened, log, failures)


def _follow(
    out: Any, events: Iterable["OfRun"], opened: "OpenCohort", log: Sequence[str], failures: dict[int, str]
) -> None:
    """Shows a bar of all runs, and a line at the end of each epoch."""
    from experiments.imdb.commands.show.terminal import progress_bar
    from experiments.imdb.commands.show.training import epoch_line
    from experiments.imdb.runs.loggers import log_to
    from recurrent.training import EpochEnd

    recipes, steps = opened.cohort.recipes, [int(state.step) for state in opened.states]
    total = sum(recipe.epochs for recipe in recipes) * opened.cohort.training.steps_per_epoch
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(log_to(log, False, run.path)) for run in opened.runs]
        report = stack.enter_context(progress_bar(out, "compiling"))
        for number, event in events:
            if isinstance(event, FloatingPointError):
                failures[number] = str(event)
                continue
            logs[number](event)
            if isinstance(event, EpochEnd):
                line = epoch_line(event.record, event.timing, recipes[number].epochs, event.is_best, out.width)
                out.print(f"seed {recipes[number].seed:<3} {line}", markup=False)
            else:
                steps[number] = event.step
                report(f"epoch {event.epoch}, all seeds", sum(steps), total)
