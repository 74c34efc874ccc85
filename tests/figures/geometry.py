"""What is wrong with the text of a figure: it lies on data or on other text, is cut off, or too small on a phone."""

from itertools import combinations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox

PHONE = 358  # CSS pixels: a telephone's 390 without margins
LEAST = 7.9  # CSS pixels that a line of text is high there


def faults(figure):
    """Lists them. Text may lie in a box that is drawn for it, but on no line and no band."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    boxes = {text: text.get_window_extent(renderer) for text in figure.findobj(Text) if is_drawn(text, figure)}
    frames = {axes: axes.get_window_extent(renderer) for axes in figure.axes}
    curves = [curve for axes in figure.axes for curve in (*axes.lines, *axes.collections)]
    found = []
    for text, box in boxes.items():
        name = repr(text.get_text())
        if not (figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1):
            found.append(f"{name} is cut off")
        if (pixels := text.get_fontsize() / 72 / figure.get_figwidth() * PHONE) < LEAST:
            found.append(f"{name} is {pixels:.1f} pixels high on a phone")
        found += [f"{name} lies on {curve}" for curve in curves if crosses(curve, box)]
    for (one, box), (other, other_box) in combinations(boxes.items(), 2):
        if box.padded(-1).overlaps(other_box.padded(-1)):
            found.append(f"{one.get_text()!r} lies on {other.get_text()!r}")
    keys = [*figure.legends, *(each for axes in figure.axes if (each := axes.get_legend()))]
    for key in keys:
        if any(key.get_window_extent(renderer).overlaps(frame) for frame in frames.values()):
            found.append("a key lies in the axes")
    return found


def is_drawn(text, figure):
    """Whether it is there to be seen: Matplotlib keeps labels of ticks outside the view, and empty ones."""
    if not text.get_text().strip() or not text.get_visible():
        return False
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if any(text in (tick.label1, tick.label2) for tick in (*axis.majorTicks, *axis.minorTicks)):
                return any(text in (tick.label1, tick.label2) for tick in axis._update_ticks())
    return True


def crosses(curve, box):
    """Whether a curve or a band has a part in a box, as far as both are in the axes."""
    seen = Bbox.intersection(box, curve.axes.bbox)
    if seen is None or not isinstance(curve, (Line2D, PolyCollection)):
        return False
    paths = [curve.get_path()] if isinstance(curve, Line2D) else curve.get_paths()
    for path in paths:
        places = curve.get_transform().transform_path(path).vertices
        whole = Path(places[np.isfinite(places).all(axis=1)])
        if len(whole) > 1 and whole.intersects_bbox(seen, filled=isinstance(curve, PolyCollection)):
            return True
    return False
