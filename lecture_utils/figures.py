"""The house style of all figures: colour-blind safe, directly labelled, and described in words.

A curve is told apart by colour, line style and marker together. Every figure carries a description, which ends up as the
``alt`` text of its picture: JupyterLab and nbconvert keep no other channel than an ``<img alt>`` in ``text/html``.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lecture_utils.landscapes import Landscape

# Okabe & Ito's palette; each optimizer keeps its look through all notebooks.
METHODS: dict[str, dict[str, str]] = {
    "sgd": {"color": "#000000", "linestyle": "-", "marker": "o", "label": "SGD"},
    "momentum": {"color": "#0072B2", "linestyle": "--", "marker": "s", "label": "momentum"},
    "nesterov": {"color": "#56B4E9", "linestyle": "-.", "marker": "^", "label": "Nesterov"},
    "rmsprop": {"color": "#E69F00", "linestyle": ":", "marker": "D", "label": "RMSProp"},
    "adam": {"color": "#D55E00", "linestyle": "-", "marker": "X", "label": "Adam"},
}
CYCLE = [
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    {"color": "#CC79A7", "linestyle": ":", "marker": "D"},
    {"color": "#000000", "linestyle": "-", "marker": "X"},
    {"color": "#E69F00", "linestyle": "--", "marker": "v"},
]
_THEORY = {"color": "0.35", "linestyle": (0, (1, 1.5)), "linewidth": 1.6}
_SIZE = (7.2, 3.6)
_descriptions: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()


def setup() -> None:
    """Apply the style, and let figures reach the notebook with their description. Once per notebook."""
    shell = _ipython()
    plt.rcParams.update(
        {
            "figure.figsize": _SIZE,
            "figure.dpi": 110,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "0.4",
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.titlelocation": "left",
            "axes.titlesize": 10.5,
            "grid.color": "0.92",
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "legend.frameon": False,
            "image.cmap": "cividis",
        }
    )
    if shell:
        formatters = shell.display_formatter.formatters
        formatters["image/png"].pop(Figure, None)
        formatters["text/html"].for_type(Figure, to_html)
        formatters["text/plain"].for_type(Figure, lambda fig, printer, _: printer.text(f"Figure: {description(fig)}"))


def _ipython() -> Any:
    """The running IPython shell, if any, with matplotlib's inline backend loaded: loading it resets all formatters."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    if (shell := get_ipython()) and "inline" in matplotlib.get_backend():
        import matplotlib_inline.backend_inline  # noqa: F401
    return shell


def describe(fig: Figure, alt: str) -> None:
    """Give a figure its description: what it shows and what the finding is, in a sentence or two."""
    _descriptions[fig] = " ".join(alt.split())


def description(fig: Figure) -> str:
    """The description of a figure; without one, what its axes and labels tell."""
    if fig in _descriptions:
        return _descriptions[fig]
    parts = []
    for ax in fig.axes:
        labels = [str(line.get_label()) for line in ax.lines if not str(line.get_label()).startswith("_")]
        axes = f"{ax.get_ylabel() or 'unlabelled'} against {ax.get_xlabel() or 'unlabelled'}"
        parts.append(
            ": ".join(filter(None, [ax.get_title(loc="left") or ax.get_title(), axes]))
            + (f" ({', '.join(labels)})" if labels else "")
        )
    return f"A figure without a description. It plots {'; '.join(parts)}." if parts else "An empty figure."


def to_html(fig: Figure) -> str:
    """The figure as an ``<img>`` with its description as alt text; the same bytes every time."""
    picture = io.BytesIO()
    fig.savefig(picture, format="png", bbox_inches="tight", metadata={"Software": None})
    data = base64.b64encode(picture.getvalue()).decode()
    return f'<img alt="{html.escape(description(fig))}" style="max-width:100%" src="data:image/png;base64,{data}">'


# --- curves ------------------------------------------------------------------------------------------------------


def curve(xs: Any, ys: Any, /, *, x: str = "", y: str = "", log: str = "", alt: str = "", ax: Axes | None = None,
          label: str | None = None, method: str | None = None) -> Axes:  # fmt: skip
    """One curve, or several as a dictionary {label: values}, labelled at their ends.

    ``log`` is "", "x", "y" or "xy"; ``method`` takes the look of one of ``METHODS``. Without ``ax`` a new figure is made,
    and then ``alt``, its description, is required.
    """
    ax = _axes(ax, alt, x=x, y=y, log=log)
    curves = ys if isinstance(ys, dict) else {label: ys}
    for name, values in curves.items():
        values = _array(values)
        ax.plot(_array(xs)[: len(values)], values, **_look(ax, method or name, len(values)), label=name or "_")
    label_lines(ax)
    return ax


def band(xs: Any, runs: Any, /, *, label: str, ax: Axes, method: str | None = None, kind: str = "minmax") -> Axes:
    """The mean over seeds with its band. ``runs`` has shape (seeds, points); runs that blew up (nan, inf) leave gaps.

    ``kind`` "minmax" draws the band from the smallest to the largest run, "sd" one standard deviation either way.
    """
    if kind not in ("minmax", "sd"):
        raise ValueError(f"kind must be 'minmax' or 'sd', got {kind!r}")
    values = np.ma.masked_invalid(_array(runs))
    xs, mean = _array(xs), values.mean(axis=0)
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else 0 * mean
    low, high = (values.min(axis=0), values.max(axis=0)) if kind == "minmax" else (mean - sd, mean + sd)
    look = _look(ax, method or label, len(xs))
    ax.fill_between(xs, low, high, color=look["color"], alpha=0.18, linewidth=0)
    ax.plot(xs, mean, **look, label=label)
    return ax


def theory(xs: Any, ys: Any, /, *, ax: Axes, label: str = "theory") -> Axes:
    """A predicted line, drawn over what was measured."""
    ax.plot(_array(xs), _array(ys), **_THEORY, label=label, zorder=5)
    return ax


def label_lines(ax: Axes) -> None:
    """Write each line's label at its right end, pushed apart where two would overlap. May be called again."""
    for old in [t for t in ax.texts if t.get_gid() == "line label"]:
        old.remove()
    fig = ax.figure
    fig.canvas.draw()
    height = 1.25 * plt.rcParams["font.size"] * fig.dpi / 72
    ends = []
    for line in ax.lines:
        xy = np.column_stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)])
        with np.errstate(all="ignore"):
            pixels = ax.transData.transform(xy[np.isfinite(xy).all(axis=1)])
        inside = pixels[np.isfinite(pixels).all(axis=1)]
        inside = inside[
            (inside[:, 0] <= ax.bbox.x1 + 1) & (ax.bbox.y0 - 1 <= inside[:, 1]) & (inside[:, 1] <= ax.bbox.y1 + 1)
        ]
        if len(inside) and not str(line.get_label()).startswith("_"):
            ends.append([inside[-1, 1], line])
    ends.sort(key=lambda end: end[0])
    for i in range(1, len(ends)):  # upwards, then down again where that ran out of the axes
        ends[i][0] = max(ends[i][0], ends[i - 1][0] + height)
    if ends and (above := ends[-1][0] - ax.bbox.y1) > 0:
        ends[-1][0] -= above
        for i in range(len(ends) - 2, -1, -1):
            ends[i][0] = min(ends[i][0], ends[i + 1][0] - height)
    for pixel, line in ends:
        y = (pixel - ax.bbox.y0) / ax.bbox.height
        ax.annotate(line.get_label(), (1.01, y), xycoords="axes fraction", color=line.get_color(), va="center", gid="line label",
                    annotation_clip=False)  # fmt: skip


# --- planes ------------------------------------------------------------------------------------------------------


def trajectories(landscape: Landscape, paths: dict[str, Any], /, *, alt: str = "", ax: Axes | None = None) -> Axes:
    """Contours of a landscape with the paths (points, 2) walked on it; start and minimum are marked."""
    ax = _axes(ax, alt, x="x", y="y")
    (x0, x1), (y0, y1) = landscape.xlim, landscape.ylim
    gx, gy = np.meshgrid(np.linspace(x0, x1, 160), np.linspace(y0, y1, 120))
    z = landscape.f(torch.tensor(np.stack([gx, gy], axis=-1))).numpy()
    # Equal steps of the root of the height: near the minimum contours stay apart, far away they do not crowd.
    levels = z.min() + (np.linspace(0, 1, 14) ** 2) * (z.max() - z.min())
    ax.contourf(gx, gy, z, levels, cmap="Blues_r", alpha=0.35)
    ax.contour(gx, gy, z, levels, colors="0.75", linewidths=0.6)
    ax.grid(False)
    for name, path in paths.items():
        points = _array(path)
        # A diverging path may reach 1e300: clamped, it still leaves the picture in the right direction.
        points = np.clip(
            np.nan_to_num(points, nan=1e9), [3 * x0 - 2 * x1, 3 * y0 - 2 * y1], [3 * x1 - 2 * x0, 3 * y1 - 2 * y0]
        )
        ax.plot(points[:, 0], points[:, 1], **{**_look(ax, name, 1), "markersize": 3.5, "linewidth": 1.3}, label=name)
    first = _array(next(iter(paths.values())))[0]
    ax.plot(*first, "o", color="white", markeredgecolor="black", markersize=9, label="start", zorder=6)
    ax.plot(*landscape.minimum, "*", color="#F0E442", markeredgecolor="black", markersize=14, label="minimum", zorder=6)
    ax.set(xlim=landscape.xlim, ylim=landscape.ylim)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    return ax


def heatmap(xs: Any, ys: Any, z: Any, /, *, x: str, y: str, z_label: str, alt: str, levels: Sequence[float] = (),
            ax: Axes | None = None) -> Axes:  # fmt: skip
    """The values z (len(ys), len(xs)) as colour, with labelled contour lines at ``levels``."""
    ax = _axes(ax, alt, x=x, y=y)
    xs, ys, z = _array(xs), _array(ys), _array(z)
    image = ax.pcolormesh(xs, ys, z, shading="auto", rasterized=True)
    ax.figure.colorbar(image, ax=ax, label=z_label)
    if levels:
        lines = ax.contour(xs, ys, z, sorted(levels), colors="white", linewidths=0.9)
        ax.clabel(lines, fmt="%g", fontsize=9)
    ax.grid(False)
    return ax


def arrow(ax: Axes, start: Any, end: Any, label: str, *, color: str, at: float = 0.5, offset: tuple[float, float] = (0, 8),
          linestyle: str = "-") -> None:  # fmt: skip
    """A labelled vector from ``start`` to ``end`` (2 numbers each); the label sits at the share ``at`` of its way."""
    start, end = _array(start), _array(end)
    look = {"arrowstyle": "-|>", "color": color, "lw": 2, "linestyle": linestyle, "shrinkA": 0, "shrinkB": 0}
    middle = {"color": color, "ha": "center", "va": "center"}
    ax.annotate("", end, start, arrowprops=look)
    ax.annotate(label, start + at * (end - start), xytext=offset, textcoords="offset points", **middle)


# --- helpers -----------------------------------------------------------------------------------------------------


def _axes(ax: Axes | None, alt: str, x: str = "", y: str = "", log: str = "") -> Axes:
    if ax is None:
        if not alt:
            raise ValueError("a new figure needs alt=…: one or two sentences on what it shows and what the finding is")
        fig, ax = plt.subplots()
        describe(fig, alt)
    for direction, label in {"x": x, "y": y}.items():
        told = {f"{direction}label": label} if label else {}
        ax.set(**told, **{f"{direction}scale": "log"} if direction in log else {})
    return ax


def _look(ax: Axes, name: str | None, points: int) -> dict[str, Any]:
    """A method's own look where ``name`` begins with a method, else the next of the cycle; some ten markers per line."""
    known = {
        key: m for key, m in METHODS.items() if name and (name == key or name.lower().startswith(m["label"].lower()))
    }
    taken = {line.get_color() for line in ax.lines}
    method = next(iter(known.values()), None)
    if method and method["color"] not in taken:
        look = {k: v for k, v in method.items() if k != "label"}
    else:
        look = next((c for c in CYCLE if c["color"] not in taken), CYCLE[len(ax.lines) % len(CYCLE)])
    return {**look, "markevery": max(1, points // 10)}


def _array(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=float)
