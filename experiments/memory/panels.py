"""The panels of a task's figure: losses, what was solved, gradient norms."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from experiments.figures import CELLS, GRID, MUTED, label_plainly, label_powers, reference_line
from experiments.memory.contestants import CONTESTANTS
from experiments.memory.results import Flow, Point, Results
from experiments.memory.tables import cells, lengths

__all__ = ["draw_flows", "draw_losses", "draw_solved"]


def draw_losses(axes: Any, results: Results, length: int) -> None:
    """Draws the loss of each cell: the seeds' mean as a line, their range as a band, a large mark if all solved it.

    After a seed has solved the task, its last loss is drawn until the last seed ends.
    """
    points = [point for cell in cells(results) if (point := results.find(cell, length))]
    for number, point in enumerate(points):
        losses = _held([run.losses for run in point.runs])
        steps = [min(results.window * index, results.settings["steps"]) for index in range(1, len(losses[0]) + 1)]
        by_step = list(zip(*losses, strict=True))
        look = CELLS[point.cell].style()
        # Marks of curves that coincide are side by side.
        axes.plot(steps, list(map(mean, by_step)), **look, markevery=(0.02 + 0.17 * number / len(points), 0.17))
        if len(losses) > 1:
            low, high = list(map(min, by_step)), list(map(max, by_step))
            axes.fill_between(steps, low, high, color=look["color"], alpha=0.2, linewidth=0)
        if point.is_solved:
            axes.plot(steps[-1], mean(by_step[-1]), **look | {"markersize": 8})
    for height, line in ((points[0].baseline, "--"), (points[0].solved_below, ":")):
        axes.axhline(height, **reference_line(line))
    axes.set_yscale("log")
    axes.set_ylim(bottom=min(axes.get_ylim()[0], points[0].solved_below / 2))
    axes.set_xlim(left=0)
    axes.set_title(f"loss at {length:,} steps")
    axes.set_xlabel("training steps")
    label_plainly(axes.yaxis)


def _held(losses: Sequence[Sequence[float]]) -> list[list[float]]:
    """Repeats the last loss of each seed until the last seed has ended."""
    longest = max(map(len, losses))
    return [[*each, *[each[-1]] * (longest - len(each))] for each in losses]


def draw_solved(axes: Any, results: Results) -> None:
    """Draws a box for each cell at each length: filled, with the number of steps, if every seed has solved it."""
    from matplotlib.patches import Rectangle

    names, columns = cells(results), lengths(results)
    for row, cell in enumerate(names):
        for column, length in enumerate(columns):
            point = results.find(cell, length)
            is_solved = point is not None and point.is_solved
            fill: dict[str, Any] = (
                {"facecolor": CELLS[cell].colour.light, "alpha": 0.3} if is_solved else {"fill": False}
            )
            axes.add_patch(Rectangle((column + 0.02, row + 0.06), 0.96, 0.88, edgecolor=GRID.light, **fill))
            if point is not None:
                axes.text(column + 0.5, row + 0.5, _solved_text(point), ha="center", va="center", linespacing=1.05)
    axes.set_yticks([row + 0.5 for row in range(len(names))], [CONTESTANTS[cell].label for cell in names])
    axes.set_ylim(len(names), 0)
    axes.set_xticks([column + 0.5 for column in range(len(columns))], [f"{length:,}" for length in columns])
    axes.set_xlim(0, len(columns))
    axes.set_xlabel("length")
    axes.set_title("training steps until solved, mean over seeds")
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)


def _solved_text(point: Point) -> str:
    steps = [run.solved_at for run in point.runs if run.solved_at is not None]
    if point.is_solved:
        return f"{mean(steps):,.0f}"
    if steps:
        return f"{len(steps)} of {len(point.runs)}\nseeds only"
    return f"not solved\nloss {mean(run.losses[-1] for run in point.runs):.3f}"


def draw_flows(axes: Any, results: Results, length: int, when: str) -> None:
    """Draws the gradient norms by time step: for the hidden state a line, for the memory a dashed one."""
    names = cells(results)
    for number, cell in enumerate(names):
        point = results.find(cell, length)
        for array, flow in getattr(point, when).items() if point else ():
            num_steps = len(flow.log_norms)
            there = [(num_steps - lag, 10.0**log) for lag, log in enumerate(flow.log_norms) if log is not None]
            style = {"linestyle": {"hidden": "-", "memory": "--"}.get(array, ":")}
            symbol = {"hidden": "h", "memory": "c"}.get(array, array)
            style["label"] = f"{CONTESTANTS[cell].label}, {symbol}: {_decay(flow)}"
            place = (0.03 + 0.2 * number / len(names), 0.2)
            axes.plot(*zip(*there, strict=True), **CELLS[cell].style() | style, markevery=place)
    axes.set_yscale("log")
    label_powers(axes.yaxis)
    axes.set_title(f"gradients at {length:,} steps,\n{when} training")
    axes.set_xlabel("step t of the sequence")
    title = "slope in decades per step,\nhalf-life in steps"
    key = axes.legend(loc="upper center", bbox_to_anchor=(0.42, -0.22), title=title, handlelength=2.4)
    key.get_title().set_color(MUTED.light)


def _decay(flow: Flow) -> str:
    slope = "" if flow.slope is None else f"{flow.slope:+.4f}"
    if flow.half_life is None:
        return f"{slope}, none"
    return f"{slope}, {flow.half_life:,.{1 if flow.half_life < 100 else 0}f}"
