"""The points with the model's curves, and the model carried to GPUs, as one figure.

To draw it again:  python -m experiments.speed.scaling.figure docs/speed/scaling.json
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.command_line import redraw, start
from experiments.figures import LOOKS, house_style, key_below, label_plainly, line_key, new_figure, save_figure
from experiments.figures import reference_line as reference
from experiments.speed.scaling.model import Rates, fit, predict
from experiments.speed.scaling.plan import CLUSTERS, WAYS, step_parts
from experiments.speed.scaling.points import NUM_SHARDS, Point
from experiments.speed.scaling.results import Measured, Scaling, read

__all__ = ["draw", "make_figure"]

GPUS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_WAYS = {"gather": "all shards gathered", "slices": "slices, as it is", "tree": "tree"}


def draw(scaling: Scaling, path: Path) -> None:
    """Draws the figure into a file."""
    save_figure(make_figure(scaling), path)


def make_figure(scaling: Scaling) -> Any:
    """Returns a figure with a panel of what was measured, and a panel for each kind of network."""
    with house_style():
        figure = new_figure(8.4)
        measured, *planned = figure.subplots(1 + len(CLUSTERS), 1)
        _draw_measured(scaling, measured)
        for axes, cluster in zip(planned, CLUSTERS, strict=True):
            for way, look in zip(WAYS, LOOKS[3:], strict=False):
                seconds = [sum(step_parts(cluster, count, way)) for count in GPUS]
                axes.plot(GPUS, [each * 1e3 for each in seconds], **look.style())
            axes.axhline(cluster.compute * 1e3, **reference())
            axes.set_title(f"Planned, H100 and {cluster.name}, ms a step")
            _scale(axes, GPUS)
        planned[-1].set_xlabel("GPUs, 8 of a host, 128 examples each")
        top = 1.2 * max(each.get_ylim()[1] for each in planned)
        for axes in planned:  # the same on both, or the slower network would look as good as the other one
            axes.set_yscale("log")
            axes.set_ylim(1, top)
            label_plainly(axes.yaxis)
        facts = (scaling.machine["processor"], f"{scaling.machine['cores']} cores", scaling.date)
        figure.suptitle(f"One step on many devices\n{', '.join(facts)}", fontsize=10, x=0.01, ha="left")
        key_below(figure, _keys(), columns=2)
        return figure


def _draw_measured(scaling: Scaling, axes: Any) -> None:
    rates = fit(scaling)
    for series, look in zip(_series(scaling), LOOKS, strict=False):
        counts = [each.point.devices for each in series]
        middle = [each.seconds * 1e3 for each in series]
        spread = [
            [(each.seconds - each.low_seconds) * 1e3 for each in series],
            [(each.high_seconds - each.seconds) * 1e3 for each in series],
        ]
        axes.errorbar(counts, middle, spread, **look.style() | {"linestyle": ""})
        axes.plot(counts, _curve(scaling, rates, series), color=look.colour.light, linestyle="--", linewidth=1.2)
    axes.set_title(f"Measured, batch {scaling.task.batch}, ms a step")
    axes.set_xlabel("devices; each has a core, as far as there are cores")
    _scale(axes, sorted({each.point.devices for each in scaling.points}))


def _series(scaling: Scaling) -> Sequence[list[Measured]]:
    """Returns the points of many shards: devices of one process, and processes of one device."""
    many = [each for each in scaling.points if each.point.shards == NUM_SHARDS]
    return (
        [each for each in many if each.point.processes == 1],
        [each for each in many if each.point.processes == each.point.devices],
    )


def _curve(scaling: Scaling, rates: Rates, series: Sequence[Measured]) -> list[float]:
    def seconds(point: Point, param_bytes: int) -> float:
        return sum(predict(rates, point, param_bytes, scaling.machine["cores"]))

    return [seconds(each.point, each.param_bytes) * 1e3 for each in series]


def _scale(axes: Any, counts: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)


def _keys() -> list[tuple[Any, str]]:
    measured = [
        line_key(text, **look.style() | {"linestyle": ""})
        for text, look in zip(("devices of one process", "processes of one device"), LOOKS, strict=False)
    ]
    planned = [line_key(_WAYS[way], **look.style()) for way, look in zip(WAYS, LOOKS[3:], strict=False)]
    return [
        *measured,
        line_key("the model, fitted", linestyle="--", linewidth=1.2),
        *planned,
        line_key("compute alone", **reference()),
    ]


if __name__ == "__main__":
    start(lambda arguments: redraw("speed", arguments, lambda path: draw(read(path), path.with_suffix(".svg"))))
