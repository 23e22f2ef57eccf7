"""Draws a comparison: J&F of every model with its interval, differences to the first model, J&F by kind."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.evaluation.compare import GROUP, FigureInterval, Line
from pipeline.evaluation.split import NO_TARGET

_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#666666",
)  # told apart by the colour blind
_SPREAD = 0.6  # of a row that the models take up
_ROW_IN, _MARGIN_IN, _WIDTH_IN = 0.28, 1.3, 7.0


def plot(lines: Sequence[Line], path: Path) -> None:
    """Write a PNG with a column of panels; rows go from top to bottom as in the tables.

    Args:
        lines: of `compare`.
        path: of the file.
    """
    models = list(dict.fromkeys(line.model for line in lines))
    groups = [line for line in lines if line.facet == GROUP]
    kinds = [line for line in lines if line.facet not in (GROUP, NO_TARGET)]
    panels = [(groups, "J&F, percent", False)]
    if len(models) > 1:
        panels.append(([line for line in groups if line.differences], f"J&F against {models[0]}, points", True))
    if kinds:
        panels.append((kinds, "J&F by kind, percent", False))
    rows = [len({(line.facet, line.level) for line in panel}) for panel, _, _ in panels]
    heights_in = [count * _ROW_IN * max(1.0, 0.55 * len(models)) + _MARGIN_IN for count in rows]
    figure = Figure(figsize=(_WIDTH_IN, sum(heights_in)), layout="constrained")
    FigureCanvasAgg(figure)  # no display, and no state that others share
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights_in)[:, 0]
    for ax, (panel, title, against) in zip(axes, panels, strict=True):
        _panel(ax, panel, models, against=against)
        ax.set_title(title, loc="left", fontsize=10)
    axes[0].set_xlim(left=0)
    axes[0].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    figure.supxlabel("bars: 95 % intervals by resampling videos", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _panel(ax: Axes, lines: Sequence[Line], models: Sequence[str], *, against: bool) -> None:
    """Draw a row for every level, in it a dot and a bar for every model."""
    levels = list(dict.fromkeys((line.facet, line.level) for line in lines))
    sizes = {(line.facet, line.level): line.expressions for line in lines}
    for k, model in enumerate(models):
        offset = _SPREAD * ((k + 0.5) / len(models) - 0.5)
        own = [line for line in lines if line.model == model]
        if not own:
            continue
        shown = [_shown(line, against=against) for line in own]
        values = [one.value for one in shown]
        bars = [
            [max(one.value - (one.value if one.low is None else one.low), 0.0) for one in shown],
            [max((one.value if one.high is None else one.high) - one.value, 0.0) for one in shown],
        ]
        places = [levels.index((line.facet, line.level)) + offset for line in own]
        ax.errorbar(values, places, xerr=bars, fmt="o", ms=4, capsize=2, color=_COLOURS[k % len(_COLOURS)], label=model)
    names = [level if facet == GROUP else f"{facet}: {level}" for facet, level in levels]
    ax.set_yticks(range(len(levels)), [f"{name} ({sizes[key]})" for name, key in zip(names, levels, strict=True)])
    ax.set_ylim(len(levels) - 0.5, -0.5)
    ax.tick_params(labelsize=8)
    ax.grid(axis="x", color="#dddddd", linewidth=0.7)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    if against:
        ax.axvline(0, color="#444444", linewidth=1)


def _shown(line: Line, *, against: bool) -> FigureInterval:
    return (line.differences if against and line.differences else line.figures)["JF"]
