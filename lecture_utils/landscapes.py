"""Losses over the plane to walk on, each with its gradient and minimum, and one noisy quadratic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Landscape:
    """A loss over the plane.

    ``f`` maps points (..., 2) to (...), ``grad`` maps them to (..., 2). ``minimum`` is the lowest point; ``start`` is
    a good place to begin a walk, in double precision; ``xlim`` and ``ylim`` are the part worth drawing.
    """

    name: str
    f: Callable[[Tensor], Tensor]
    grad: Callable[[Tensor], Tensor]
    minimum: tuple[float, float]
    start: Tensor
    xlim: tuple[float, float]
    ylim: tuple[float, float]


def _landscape(name: str, f: Callable, grad: Callable, minimum: tuple, start: tuple, *limits: tuple) -> Landscape:
    """From formulas in x and y."""

    def gradient(p: Tensor) -> Tensor:
        return torch.stack(torch.broadcast_tensors(*grad(p[..., 0], p[..., 1])), dim=-1)

    begin = torch.tensor(start, dtype=torch.float64)
    return Landscape(name, lambda p: f(p[..., 0], p[..., 1]), gradient, minimum, begin, *limits)


# A valley with curvature 1 along its floor and 25 across: condition number 25.
RAVINE = _landscape(
    "ravine",
    lambda x, y: 0.5 * (x**2 + 25 * y**2),
    lambda x, y: (x, 25 * y),
    (0.0, 0.0), (-4.0, 1.0), (-4.5, 1.5), (-1.5, 1.5),
)  # fmt: skip

# Rosenbrock (1960), "An automatic method for finding the greatest or least value of a function", The Computer Journal 3.
ROSENBROCK = _landscape(
    "Rosenbrock",
    lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    lambda x, y: (-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)),
    (1.0, 1.0), (-1.2, 1.0), (-1.8, 1.8), (-0.8, 2.6),
)  # fmt: skip


def _beale_terms(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Each squared term of Beale's function with its two derivatives."""
    return [(c - x + x * y**k, y**k - 1, k * x * y ** (k - 1)) for k, c in enumerate((1.5, 2.25, 2.625), start=1)]


# Beale (1958): flat plains and steep walls.
BEALE = _landscape(
    "Beale",
    lambda x, y: sum(t**2 for t, _, _ in _beale_terms(x, y)),
    lambda x, y: (
        sum(2 * t * dx for t, dx, _ in _beale_terms(x, y)),
        sum(2 * t * dy for t, _, dy in _beale_terms(x, y)),
    ),
    (3.0, 0.5), (1.0, 1.5), (-0.5, 4.5), (-1.5, 2.2),
)  # fmt: skip

# A shallow well near x = 0.96 and a deep one near x = −1.04; the minimum solves 4x³ − 4x + 0.3 = 0.
TWO_WELLS = _landscape(
    "two wells",
    lambda x, y: (x**2 - 1) ** 2 + 0.3 * x + 0.5 * y**2,
    lambda x, y: (4 * x * (x**2 - 1) + 0.3, y),
    (-1.0355792, 0.0), (1.4, 0.8), (-1.7, 1.7), (-1.3, 1.3),
)  # fmt: skip

# A saddle at the origin with a way out on either side; the minima lie at y = ±1.
SADDLE = _landscape(
    "saddle",
    lambda x, y: 0.5 * x**2 - 0.5 * y**2 + 0.25 * y**4,
    lambda x, y: (x, y**3 - y),
    (0.0, 1.0), (-1.6, 0.001), (-2.0, 2.0), (-1.6, 1.6),
)  # fmt: skip

LANDSCAPES = {land.name: land for land in (RAVINE, ROSENBROCK, BEALE, TWO_WELLS, SADDLE)}


def kramers_escape(temperature: Tensor, time: float) -> Tensor:
    """The share of runs that leave the shallow well of ``TWO_WELLS`` for the other one within ``time`` = rate · steps.

    temperature: half the rate times the variance of the noise in each direction.   Kramers (1940), "Brownian motion in a
    field of force and the diffusion model of chemical reactions", Physica 7, for strong friction and small steps: runs leave
    at √(curvature of the well · curvature of the barrier) / 2π · exp(-height / temperature).
    """
    _, top, well = sorted(np.roots([4, 0, -4, 0.3]).real)  # where the slope 4x³ − 4x + 0.3 is 0
    height = float(TWO_WELLS.f(torch.tensor([top, 0.0])) - TWO_WELLS.f(torch.tensor([well, 0.0])))
    rate = math.sqrt((12 * well**2 - 4) * (4 - 12 * top**2)) / (2 * math.pi) * torch.exp(-height / temperature)
    return 1 - torch.exp(-time * rate)


def noisy_quadratic(w: Tensor, curvature: float, noise_variance: float, generator: torch.Generator) -> Tensor:
    """The gradient of ½ · curvature · w² as a minibatch would see it: with Gaussian noise of the given variance."""
    noise = torch.randn(w.shape, generator=generator, dtype=w.dtype, device=w.device)
    return curvature * w + noise_variance**0.5 * noise


def descend(
    landscape: Landscape, step: Callable, start: Tensor, steps: int, state: tuple[Any, ...] = (), **hyper: Any
) -> Tensor:
    """The path (steps + 1, 2) of an update rule ``step(w, grad, *state, **hyper)``, the start included.

    ``state`` is what the rule carries along: a float stands for a tensor of that value shaped like w, anything else
    (a step count, None) is passed on as it is. A rule without state returns w, any other (w, *state).
    """
    w = start.clone()
    carried = [torch.full_like(w, value) if isinstance(value, float) else value for value in state]
    path = [w.clone()]
    for _ in range(steps):
        result = step(w, landscape.grad(w), *carried, **hyper)
        w, *carried = result if carried else (result,)
        path.append(w.clone())
    return torch.stack(path)


def momentum_radius(lr_h: Tensor, alpha: Tensor) -> Tensor:
    """The spectral radius of a step of momentum for many settings at once, of learning rate × curvature and momentum.

    The eigenvalues solve λ² − (1 + α − ηh) λ + α = 0 (Polyak 1964; Goh 2017, "Why momentum really works").
    """
    lr_h, alpha = torch.broadcast_tensors(lr_h, alpha)
    half = torch.complex((1 + alpha - lr_h).double() / 2, torch.zeros(alpha.shape, dtype=torch.float64))
    root = (half**2 - alpha).sqrt()
    return torch.maximum((half + root).abs(), (half - root).abs())
