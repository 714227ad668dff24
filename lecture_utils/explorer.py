"""The explorer: drag a start point, move sliders, and watch five update rules walk; drawn in the browser, live.

Where no kernel runs (exported pages, saved notebooks) its place is taken by a picture with a description.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import matplotlib.pyplot as plt
import torch
import traitlets

from lecture_utils import figures
from lecture_utils.landscapes import LANDSCAPES

HERE = Path(__file__).parent


class Explorer(anywidget.AnyWidget):
    """Make one with ``explorer(…)``. Its traits follow the controls whenever one is let go, and can be set."""

    _esm = HERE / "explorer.js"
    _css = HERE / "explorer.css"
    landscape = traitlets.Unicode().tag(sync=True)
    methods = traitlets.List(traitlets.Unicode()).tag(sync=True)
    lr = traitlets.Float().tag(sync=True)
    alpha = traitlets.Float().tag(sync=True)
    beta = traitlets.Float().tag(sync=True)
    steps = traitlets.Int().tag(sync=True)
    start = traitlets.List(traitlets.Float()).tag(sync=True)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict] | dict | None:
        live = super()._repr_mimebundle_(**kwargs)
        data, metadata = live if isinstance(live, tuple) else (live or {}, {})
        return {**data, "text/html": self._picture(), "text/plain": self._description()}, metadata

    def _paths(self) -> dict[str, torch.Tensor]:
        return {figures.METHODS[m]["label"]: walk(self.landscape, m, self.start, self.steps, self.lr, self.alpha, self.beta)
                for m in self.methods}  # fmt: skip

    def _description(self) -> str:
        land = LANDSCAPES[self.landscape]
        losses = ", ".join(f"{name} {land.f(path[-1]):.3g}" for name, path in self._paths().items())
        return (
            f"Explorer: {self.landscape}, start ({self.start[0]:g}, {self.start[1]:g}), learning rate {self.lr:g}, "
            f"momentum {self.alpha:g}, beta {self.beta:g}. Loss after {self.steps} steps: {losses}."
        )

    def _picture(self) -> str:
        ax = figures.trajectories(LANDSCAPES[self.landscape], self._paths())
        figures.describe(ax.figure, self._description())
        picture = figures.to_html(ax.figure)
        plt.close(ax.figure)
        return f"{picture}<br><small>{escape('Run this cell to make the picture live.')}</small>"


def explorer(landscape: str = "ravine", methods: Sequence[str] = ("sgd", "momentum", "nesterov"), lr: float = 0.02,
             alpha: float = 0.9, beta: float = 0.99, steps: int = 60, start: Sequence[float] | None = None,
             ) -> Explorer:  # fmt: skip
    """An explorer with these settings; ``start`` defaults to the landscape's own.

    ``alpha`` is the momentum and Adam's β₁, ``beta`` the decay of RMSProp's mean square and Adam's β₂.
    Raises ``ValueError`` for an unknown landscape or method, or a number outside its slider.
    """
    if landscape not in LANDSCAPES:
        raise ValueError(f"There is no landscape {landscape!r}: choose one of {', '.join(LANDSCAPES)}.")
    if not methods:
        raise ValueError(f"methods is empty: choose from {', '.join(figures.METHODS)}.")
    if unknown := [m for m in methods if m not in figures.METHODS]:
        raise ValueError(f"There is no method {unknown[0]!r}: choose from {', '.join(figures.METHODS)}.")
    limits = {"lr": (lr, 1e-3, 2), "alpha": (alpha, 0, 0.99), "beta": (beta, 0.5, 0.999), "steps": (steps, 1, 200)}
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise ValueError(f"{name} must lie between {low} and {high}, got {value}.")
    start = LANDSCAPES[landscape].start.tolist() if start is None else [float(v) for v in start]
    if len(start) != 2:
        raise ValueError(f"start must be two numbers, got {start}.")
    return Explorer(landscape=landscape, methods=list(methods), lr=lr, alpha=alpha, beta=beta, steps=steps, start=start)


def walk(
    landscape: str, method: str, start: Sequence[float], steps: int, lr: float, alpha: float, beta: float
) -> torch.Tensor:
    """The path (steps + 1, 2) of a ``torch.optim`` optimizer, in float64; what the browser computes, from the source."""
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = {
        "sgd": lambda: torch.optim.SGD([w], lr=lr),
        "momentum": lambda: torch.optim.SGD([w], lr=lr, momentum=alpha),
        "nesterov": lambda: torch.optim.SGD([w], lr=lr, momentum=alpha, nesterov=alpha > 0),
        "rmsprop": lambda: torch.optim.RMSprop([w], lr=lr, alpha=beta),
        "adam": lambda: torch.optim.Adam([w], lr=lr, betas=(alpha, beta)),
    }[method]()
    path = [w.detach().clone()]
    for _ in range(steps):
        w.grad = LANDSCAPES[landscape].grad(w.detach())
        optimizer.step()
        point = w.detach().clone()
        if method == "nesterov" and alpha > 0:  # torch stores the look-ahead point w − αΔ, with Δ = lr · buffer
            point += alpha * lr * optimizer.state[w]["momentum_buffer"]
        path.append(point)
    return torch.stack(path)
