"""The house style of all figures: one call each, colour-blind safe, directly labelled, and described in words.

A curve is told apart by colour, line style and marker together, and a method looks the same everywhere. What a figure shows
is written in ``descriptions/``, keyed by the name that the call gives it, and ends up as the ``alt`` text of its picture:
JupyterLab and nbconvert keep no other channel than an ``<img alt>`` in ``text/html``.
"""

from __future__ import annotations

import base64
import html
import io
import struct
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lecture_utils.landscapes import Landscape

# Of Okabe & Ito's and Tol's palettes, each with a contrast of at least 3 : 1 on white; an optimizer keeps its look everywhere.
METHODS: dict[str, dict[str, str]] = {
    "sgd": {"color": "#000000", "linestyle": "-", "marker": "o", "label": "SGD"},
    "momentum": {"color": "#0072B2", "linestyle": "--", "marker": "s", "label": "momentum"},
    "nesterov": {"color": "#007A4D", "linestyle": "-.", "marker": "^", "label": "Nesterov"},
    "rmsprop": {"color": "#AA3377", "linestyle": ":", "marker": "D", "label": "RMSProp"},
    "adam": {"color": "#D55E00", "linestyle": "-", "marker": "X", "label": "Adam"},
}
ALIASES = {"gradient descent": "sgd"}
CYCLE = [  # for everything that is no method: no colour of theirs
    {"color": "#4B3F9E", "linestyle": "-", "marker": "o"},
    {"color": "#B3412F", "linestyle": "--", "marker": "s"},
    {"color": "#5B7F1D", "linestyle": "-.", "marker": "^"},
    {"color": "#7A5195", "linestyle": ":", "marker": "D"},
    {"color": "#8A6D00", "linestyle": (0, (6, 2, 1, 2, 1, 2)), "marker": "v"},
    {"color": "#5A5A5A", "linestyle": (0, (8, 3)), "marker": "P"},
]
_THEORY = {"color": "#C2185B", "linestyle": (0, (5, 1.5)), "linewidth": 1.6, "zorder": 5}
_SIZE = (7.2, 3.6)
_DPI, _SCALE = 110, 2  # pictures are drawn at twice the resolution that they are shown at
_descriptions: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()

# A white sheet in a dark notebook blinds: there the picture's lightness is turned round, and its hues are kept.
_DARK = "[data-jp-theme-light='false'] img.lecture-figure { filter: invert(0.93) hue-rotate(180deg); }"


def setup() -> None:
    """Apply the style, and let figures reach the notebook with their description. Once per notebook."""
    shell = _ipython()
    plt.rcParams.update(
        {
            "figure.figsize": _SIZE,
            "figure.dpi": _DPI,
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
        # The last line of a cell may be a figure: the picture is enough, nobody wants to read <Axes …> below it.
        shell.display_formatter.ipython_display_formatter.for_type(Axes, lambda ax: None)
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


# --- described in words --------------------------------------------------------------------------------------------


@cache
def texts() -> dict[str, str]:
    """What the figures of the course show, by their names. Raises ValueError for a name that stands in two files."""
    found: dict[str, str] = {}
    for file in sorted((Path(__file__).parent / "descriptions").glob("*.toml")):
        for name, text in tomllib.loads(file.read_text(encoding="utf-8")).items():
            if name in found:
                raise ValueError(f"{file.name} describes a figure {name!r}, and another file does, too: rename one.")
            found[name] = " ".join(text.split())
    return found


def describe(fig: Figure, text: str) -> None:
    """Give a figure its description: what it shows and what the finding is, in a sentence or two."""
    _descriptions[fig] = " ".join(text.split())


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
    fig.savefig(picture, format="png", dpi=_SCALE * fig.dpi, bbox_inches="tight", metadata={"Software": None})
    width, _ = struct.unpack(">II", picture.getvalue()[16:24])  # where a PNG says it
    data = base64.b64encode(picture.getvalue()).decode()
    about = f'class="lecture-figure" width="{width // _SCALE}" style="max-width:100%;height:auto"'
    return (
        f'<style>{_DARK}</style><img alt="{html.escape(description(fig))}" {about} src="data:image/png;base64,{data}">'
    )


# --- curves --------------------------------------------------------------------------------------------------------


def curve(xs: Any, ys: Any, /, *, figure: str | None = None, ax: Axes | None = None, label: str | None = None,
          method: str | None = None, steps: bool = False, theory: Mapping[str, Any] | None = None, **about: Any) -> Axes:  # fmt: skip
    """One curve, or several as a dictionary {label: values}, labelled at their ends.

    ``figure`` is the name of a new figure, whose description stands in ``descriptions/``; ``ax`` draws into one that is
    there. ``method`` takes the look of one of ``METHODS``; ``steps`` draws stairs, for values that hold until the next x.
    ``theory`` is what was predicted, {label: values, or (xs, values)}: a line over what was measured, which then is drawn as
    markers. ``about`` is what ``dress`` takes: x, y, log, notes, lines, span, legend, xlim, ylim, xticks, yticks, title.
    """
    ax = ax or _new(figure)
    for name, values in (ys if isinstance(ys, Mapping) else {label: ys}).items():
        values = _array(values)
        look = _look(ax, method or name, len(values), measured=bool(theory))
        if steps:
            look |= {"drawstyle": "steps-post", "marker": ""}
        ax.plot(_array(xs)[: len(values)], values, **look, label=name or "_")
    return _finish(ax, xs, theory, about)


def band(xs: Any, runs: Any, /, *, figure: str | None = None, ax: Axes | None = None, label: str | None = None,
         method: str | None = None, kind: str = "minmax", theory: Mapping[str, Any] | None = None, **about: Any) -> Axes:  # fmt: skip
    """Means over seeds with their bands: ``runs`` has shape (seeds, points), or is a dictionary {label: runs}.

    Runs that blew up (nan, inf) leave gaps. ``kind`` "minmax" draws the band from the smallest to the largest run, "sd" one
    standard deviation either way. All else as in ``curve``.
    """
    if kind not in ("minmax", "sd"):
        raise ValueError(f"kind must be 'minmax' or 'sd', got {kind!r}")
    ax = ax or _new(figure)
    for name, table in (runs if isinstance(runs, Mapping) else {label: runs}).items():
        values = np.ma.masked_invalid(_array(table))
        points, mean = _array(xs)[: values.shape[1]], values.mean(axis=0)
        sd = values.std(axis=0, ddof=1) if len(values) > 1 else 0 * mean
        low, high = (values.min(axis=0), values.max(axis=0)) if kind == "minmax" else (mean - sd, mean + sd)
        look = _look(ax, method or name, len(points), measured=bool(theory))
        ax.fill_between(points, low, high, color=look["color"], alpha=0.18, linewidth=0)
        ax.plot(points, mean, **look, label=name or "_")
    return _finish(ax, xs, theory, about)


def histogram(values: Any, /, *, bins: Any, figure: str | None = None, ax: Axes | None = None, log: str = "",
              theory: Mapping[str, Any] | None = None, **about: Any) -> Axes:  # fmt: skip
    """How often values lie where, as outlines: {label: values}; each outline is a share of its values, so they add up to 1."""
    ax = ax or _new(figure)
    edges = _array(bins)
    for name, numbers in values.items():
        numbers = _array(numbers).ravel()
        shares = np.histogram(numbers, edges)[0] / len(numbers)
        look = _look(ax, name, 1)
        ax.stairs(shares, edges, fill=True, color=look["color"], alpha=0.12)
        ax.plot(
            edges,
            np.append(shares, 0),
            drawstyle="steps-post",
            color=look["color"],
            linestyle=look["linestyle"],
            label=name,
        )
    return _finish(ax, edges, theory, {"legend": True, "y": "share", "log": log, **about})


def _finish(ax: Axes, xs: Any, theory: Mapping[str, Any] | None, about: dict[str, Any]) -> Axes:
    """Draw the theory, and dress the axes."""
    for k, (name, values) in enumerate((theory or {}).items()):
        at, values = values if isinstance(values, tuple) else (xs, values)
        look = _THEORY | ({"color": "0.45", "linestyle": ":"} if k else {})
        ax.plot(_array(at), _array(values), **look, label=name)
    return dress(ax, **about)


def dress(ax: Axes, *, x: str = "", y: str = "", log: str = "", notes: Mapping[str, Any] | None = None,
          lines: Mapping[str, float] | None = None, span: tuple[float, float, str] | None = None, legend: bool = False,
          xticks: Any = None, yticks: Any = None, **settings: Any) -> Axes:  # fmt: skip
    """Everything around the curves.

    x, y: labels with units.   log: "", "x", "y" or "xy".   notes: {text: (x, y)}.   lines: {text: x}, vertical ones.
    span: (from, to, text) along x, shaded.   legend: a legend instead of labels at the ends of lines.
    xticks, yticks: values, or {value: text}.   settings: xlim, ylim, title and whatever ``Axes.set`` knows.
    """
    labels = {f"{name}label": text for name, text in {"x": x, "y": y}.items() if text}
    ax.set(**labels, **{f"{name}scale": "log" for name in log}, **settings)
    if (place := ax.get_subplotspec()) and _is_shared(ax.get_shared_x_axes(), ax) and not place.is_last_row():
        ax.set_xlabel("")
    if place and _is_shared(ax.get_shared_y_axes(), ax) and not place.is_first_col():
        ax.set_ylabel("")
    for axis, ticks in ((ax.xaxis, xticks), (ax.yaxis, yticks)):
        if ticks is not None:
            ticks = ticks if isinstance(ticks, Mapping) else {value: f"{value:g}" for value in ticks}
            axis.set_ticks(list(ticks), labels=list(ticks.values()))
            axis.set_ticks([], minor=True)
        elif axis.get_scale() == "log":
            _plain_ticks(axis)
    if span:
        ax.axvspan(*span[:2], color="0.9", zorder=0)
        ax.annotate(span[2], (span[0], 0.04), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points", color="0.35")  # fmt: skip
    for text, place in (lines or {}).items():
        ax.axvline(place, color="0.55", lw=1)
        ax.annotate(text, (place, 0.94), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points", color="0.35")  # fmt: skip
    for text, place in (notes or {}).items():
        ax.annotate(text, place, color="0.3")
    if legend:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    else:
        label_lines(ax)
    return ax


def _is_shared(axes: Any, ax: Axes) -> bool:
    """Whether another panel has the same scale: then a label at the edge is enough for both."""
    return len(axes.get_siblings(ax)) > 1


def _plain_ticks(axis: Any) -> None:
    """On a logarithmic axis 0.01, 1 and 200 instead of powers, where numbers are short enough."""
    low, high = sorted(axis.get_view_interval())
    if low >= 1e-4 and high <= 1e6:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        decades = np.log10(high / low) if low > 0 else 9
        axis.set_minor_formatter(FuncFormatter(_one_two_five) if decades < 1.2 else NullFormatter())


def _one_two_five(value: float, _: Any) -> str:
    leading = round(value / 10 ** np.floor(np.log10(value)), 6)
    return f"{value:g}" if leading in (2, 5) else ""


def label_lines(ax: Axes) -> None:
    """Write each line's label at its right end, pushed apart where two would overlap. May be called again."""
    for old in [t for t in ax.texts if t.get_gid() == "line label"]:
        old.remove()
    if not any(str(line.get_label())[:1] not in ("", "_") for line in ax.lines):
        return
    fig = ax.figure
    if fig.get_layout_engine():
        fig.draw_without_rendering()  # so that the panels are where they will be
    ax.get_xlim(), ax.get_ylim()  # so that their limits are those of what is drawn
    height = 1.25 * plt.rcParams["font.size"] * fig.dpi / 72
    ends = []
    for line in ax.lines:
        if str(line.get_label()).startswith("_") or line.get_transform() != ax.transData:
            continue
        xy = np.column_stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)])
        with np.errstate(all="ignore"):
            pixels = ax.transData.transform(xy[np.isfinite(xy).all(axis=1)])
        inside = pixels[np.isfinite(pixels).all(axis=1)]
        inside = inside[
            (inside[:, 0] <= ax.bbox.x1 + 1) & (ax.bbox.y0 - 1 <= inside[:, 1]) & (inside[:, 1] <= ax.bbox.y1 + 1)
        ]
        if len(inside):
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


def trajectories(landscape: Landscape, paths: Mapping[str, Any], /, *, figure: str | None = None, ax: Axes | None = None,
                 points: Mapping[str, Any] | None = None, levels: int = 14, **about: Any) -> Axes:  # fmt: skip
    """Contours of a landscape with the paths (points, 2) walked on it; start and minimum are marked.

    points: {label: (n, 2)}, clouds of places where runs are.   levels: how many contours.   about: as in ``dress``.
    """
    ax = ax or _new(figure)
    (x0, x1), (y0, y1) = landscape.xlim, landscape.ylim
    gx, gy = np.meshgrid(np.linspace(x0, x1, 160), np.linspace(y0, y1, 120))
    z = landscape.f(torch.tensor(np.stack([gx, gy], axis=-1))).numpy()
    # Equal steps of the root of the height: near the minimum contours stay apart, far away they do not crowd.
    heights = z.min() + (np.linspace(0, 1, levels) ** 2) * (z.max() - z.min())
    ax.contourf(gx, gy, z, heights, cmap="Blues_r", alpha=0.35)
    ax.contour(gx, gy, z, heights, colors="0.75", linewidths=0.6)
    ax.grid(False)
    for name, places in (points or {}).items():
        look = _look(ax, name, 1)
        ax.plot(*_array(places).T, ls="", marker=look["marker"], ms=3, alpha=0.55, color=look["color"], label=name)
    for name, path in paths.items():
        way = _array(path)
        # A diverging path may reach 1e300: clamped, it still leaves the picture in the right direction.
        way = np.clip(
            np.nan_to_num(way, nan=1e9), [3 * x0 - 2 * x1, 3 * y0 - 2 * y1], [3 * x1 - 2 * x0, 3 * y1 - 2 * y0]
        )
        ax.plot(way[:, 0], way[:, 1], **{**_look(ax, name, 1), "markersize": 3.5, "linewidth": 1.3}, label=name)
    if paths:
        start = _array(next(iter(paths.values())))[0]
        ax.plot(*start, "o", color="white", markeredgecolor="black", markersize=9, label="start", zorder=6, ls="")
    ax.plot(
        *landscape.minimum,
        "*",
        color="#F0E442",
        markeredgecolor="black",
        markersize=14,
        label="minimum",
        zorder=6,
        ls="",
    )
    return dress(ax, **{"x": "x", "y": "y", "legend": True, "xlim": landscape.xlim, "ylim": landscape.ylim, **about})


def heatmap(xs: Any, ys: Any, z: Any, /, *, z_label: str, figure: str | None = None, ax: Axes | None = None,
            levels: Sequence[float] = (), curves: Sequence[tuple] = (), **about: Any) -> Axes:  # fmt: skip
    """The values z (len(ys), len(xs)) as colour, with labelled contour lines at ``levels``.

    curves: [(xs, ys)], borders drawn over it in white, the first dashed, the next dotted.   about: as in ``dress``.
    """
    ax = ax or _new(figure)
    xs, ys, z = _array(xs), _array(ys), _array(z)
    image = ax.pcolormesh(xs, ys, z, shading="auto", rasterized=True)
    ax.figure.colorbar(image, ax=ax, label=z_label)
    if levels:
        lines = ax.contour(xs, ys, z, sorted(levels), colors="white", linewidths=0.9)
        ax.clabel(lines, fmt="%g", fontsize=9)
    for (at, values), dashes in zip(curves, ("--", ":", "-.", "-"), strict=False):
        ax.plot(_array(at), _array(values), color="white", ls=dashes, lw=2, label="_")
    ax.grid(False)
    return dress(ax, **about)


def vectors(arrows: Mapping[str, Any], /, *, figure: str | None = None, ax: Axes | None = None,
            colors: Mapping[str, str] | None = None, points: Mapping[str, Any] | None = None,
            offsets: Mapping[str, tuple] | None = None, **about: Any) -> Axes:  # fmt: skip
    """Labelled arrows {label: (start, end)} in the plane, with labelled points {label: (x, y)}.

    colors: {label: a method or a colour}, else grey.   offsets: {label: (right, up)} of a label, in points.
    """
    ax = ax or _new(figure)
    for label, (start, end) in arrows.items():
        name = (colors or {}).get(label, "0.35")
        color = METHODS[name]["color"] if name in METHODS else name
        start, end, offset = _array(start), _array(end), (offsets or {}).get(label, (0, 10))
        ax.annotate(
            "", end, start, arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2, "shrinkA": 0, "shrinkB": 0}
        )
        where = {"xytext": offset, "textcoords": "offset points", "ha": "center", "va": "center"}
        ax.annotate(label, (start + end) / 2, color=color, **where)
    for label, place in (points or {}).items():
        ax.plot(*_array(place), "o", color="black", label="_")
        ax.annotate(label, _array(place), xytext=(offsets or {}).get(label, (-6, -14)), textcoords="offset points", ha="right")  # fmt: skip
    return dress(ax, **{"x": "x", "y": "y", **about})


# --- pictures and panels -----------------------------------------------------------------------------------------


def panels(
    rows: int, columns: int, *, figure: str, share: str = "", size: tuple[float, float] | None = None
) -> list[Axes]:
    """The axes of a figure with several panels, row by row; ``share`` is "", "x", "y" or "xy"."""
    size = size or (3.1 * columns + 0.6, 2.5 * rows + 0.4)
    fig, grid = plt.subplots(
        rows, columns, figsize=size, sharex="x" in share, sharey="y" in share, squeeze=False, layout="constrained"
    )
    _name(fig, figure)
    return list(grid.flat)


def pictures(images: Any, labels: Sequence[Any], /, *, figure: str) -> None:
    """A row of square grey pictures (n, pixels), black on white, each with its label."""
    images = _array(images)
    side = round(images.shape[1] ** 0.5)
    axes = panels(1, len(images), figure=figure, size=(0.8 * len(images), 1.1))
    for ax, image, label in zip(axes, images, labels, strict=True):
        ax.imshow(image.reshape(side, side), cmap="gray_r", interpolation="nearest")
        ax.set_title(str(label), fontsize=9, loc="center")
        ax.set(xticks=[], yticks=[])
        ax.grid(False)


# --- helpers -----------------------------------------------------------------------------------------------------


def _new(figure: str | None) -> Axes:
    fig, ax = plt.subplots()
    if figure:
        _name(fig, figure)
    return ax


def _name(fig: Figure, name: str) -> None:
    if name not in texts():
        raise ValueError(f"No file in descriptions/ describes a figure {name!r}: write there what it shows.")
    describe(fig, texts()[name])


def _look(ax: Axes, name: str | None, points: int, measured: bool = False) -> dict[str, Any]:
    """A method's own look where ``name`` begins with a method, else the next of the cycle; some ten markers per line.

    ``measured`` values that a theory is drawn over are markers without a line.
    """
    taken = {line.get_color() for line in ax.lines}
    method = METHODS.get(_method(name) or "")
    if method and method["color"] not in taken:
        look: dict[str, Any] = {k: v for k, v in method.items() if k != "label"}
    else:
        look = dict(next((c for c in CYCLE if c["color"] not in taken), CYCLE[len(ax.lines) % len(CYCLE)]))
    return look | ({"linestyle": "", "markersize": 6} if measured else {"markevery": max(1, points // 10)})


def _method(name: str | None) -> str | None:
    name = (name or "").lower()
    known: dict[str, str] = (
        {m["label"].lower(): key for key, m in METHODS.items()} | {key: key for key in METHODS} | ALIASES
    )
    return next((key for label, key in known.items() if name.startswith(label)), None)


def _array(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=float)
