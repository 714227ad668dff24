"""Races between optimizers on other models than the course's network: a tiny convolutional network, a block of attention,
and linear models.

A model is a function of its weights and of the inputs. The networks of all seeds are stacked into one tensor per weight,
``vmap`` runs the function for each of them, and ``torch.optim`` works element by element, so it does not notice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from torch import Tensor
from torch.func import vmap
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from lecture_utils import figures
from lecture_utils.devices import HOST, generator
from lecture_utils.training import shuffled

OPTIMIZERS: dict[str, Callable[[list[Tensor], float], torch.optim.Optimizer]] = {
    "sgd": lambda weights, lr: torch.optim.SGD(weights, lr),
    "momentum": lambda weights, lr: torch.optim.SGD(weights, lr, momentum=0.9),
    "adam": lambda weights, lr: torch.optim.Adam(weights, lr),
}


# --- models --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """``forward(weights, x)`` gives the logits (examples, classes); ``shapes`` are those of the weights, by name.

    Weights start as normal numbers with the variance 1 / inputs, where they do not start ``from_zero``.
    """

    forward: Callable[[Mapping[str, Tensor], Tensor], Tensor]
    shapes: dict[str, tuple[int, ...]]
    from_zero: bool = False

    def start(self, seed: int) -> dict[str, Tensor]:
        """The weights that a network of this seed starts from."""
        random, weights = generator(seed), {}
        for name, shape in self.shapes.items():
            inputs = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
            weights[name] = torch.randn(shape, generator=random) * (0 if self.from_zero else inputs**-0.5)
        return weights


def _convolution(p: Mapping[str, Tensor], x: Tensor) -> Tensor:
    x = F.conv2d(x.view(-1, 1, 8, 8), p["first"], stride=2, padding=1).relu()
    x = F.conv2d(x, p["second"], stride=2, padding=1).relu()
    return x.flatten(1) @ p["out"]


def _attention(p: Mapping[str, Tensor], x: Tensor) -> Tensor:
    x = x.view(-1, 8, 8) @ p["embed"] + p["place"]  # eight rows of a picture, each a token of eight pixels
    query, key, value = (x @ torch.cat([p["query"], p["key"], p["value"]], dim=1)).chunk(3, dim=-1)
    # Where a key has a row of its own, the softmax runs down the columns: along rows of eight it is slow.
    weights = (key @ query.mT / query.shape[-1] ** 0.5).softmax(-2)
    x = x + weights.mT @ value
    x = x + (x @ p["up"]).relu() @ p["down"]
    return x.mean(dim=1) @ p["out"]


CONVOLUTION = Model(_convolution, {"first": (8, 1, 3, 3), "second": (16, 8, 3, 3), "out": (64, 10)})
_WIDE = {name: (16, 16) for name in ("query", "key", "value")} | {"up": (16, 32), "down": (32, 16), "out": (16, 10)}
ATTENTION = Model(_attention, {"embed": (8, 16), "place": (8, 16), **_WIDE})


def linear(features: int, classes: int) -> Model:
    """Softmax regression without biases, from zero."""
    return Model(lambda p, x: x @ p["w"], {"w": (features, classes)}, from_zero=True)


# --- training ------------------------------------------------------------------------------------------------------


def race(model: Model, x: Tensor, y: Tensor, lrs: Mapping[str, Sequence[float]], *, seeds: Sequence[int], epochs: int,
         batch_size: int | None = None) -> dict[str, Tensor]:  # fmt: skip
    """The losses of all examples after training, {method: (rates, seeds, examples)}.

    x: (examples, features), or (seeds, examples, features) if each seed has its own.   y: (examples,) classes.
    lrs: {"sgd", "momentum" (0.9) or "adam": its rates}.   batch_size: None for all examples in each step.
    A seed stands for the starting weights and the order of the examples, and is the same for each method and rate. The rate
    falls along a cosine to 0. A run that diverged has losses of inf or nan.
    Raises ValueError for a method that is none of the three.
    """
    if unknown := set(lrs) - set(OPTIMIZERS):
        raise ValueError(f"{', '.join(sorted(unknown))}: give rates for some of {', '.join(OPTIMIZERS)}.")
    seeds = tuple(seeds)
    x = x if x.ndim == 3 else x.expand(len(seeds), -1, -1)
    batches = _batches(len(y), batch_size or len(y), seeds, epochs, x.device)
    jobs = [(method, lr) for method, rates in lrs.items() for lr in rates]
    # One rate at a time fits into the processor's cache, and rates do not wait for each other.
    with ThreadPoolExecutor(os.cpu_count() if x.device.type == HOST.type else 1) as pool:
        losses = list(pool.map(lambda job: _train(model, x, y, *job, seeds, batches), jobs))
    return {name: torch.stack([each for (m, _), each in zip(jobs, losses, strict=True) if m == name]) for name in lrs}


def _batches(n: int, size: int, seeds: Sequence[int], epochs: int, device: torch.device) -> list[Tensor]:
    """The indices (seeds, B) of each step. Where a batch holds all examples, their order does not matter."""
    if size >= n:
        return [torch.arange(n, device=device).expand(len(seeds), -1)] * epochs
    randoms, batches = [generator(seed) for seed in seeds], []
    for _ in range(epochs):
        order = torch.stack([torch.cat(list(shuffled(n, size, random))) for random in randoms])
        batches += order.to(device).split(size, dim=1)
    return batches


def _train(model: Model, x: Tensor, y: Tensor, method: str, lr: float, seeds: Sequence[int],
           batches: Sequence[Tensor]) -> Tensor:  # fmt: skip
    """The losses (seeds, examples) after training with one rate."""
    starts = [model.start(seed) for seed in seeds]
    weights = {name: torch.stack([w[name] for w in starts]).to(x).requires_grad_() for name in model.shapes}
    optimizer = OPTIMIZERS[method](list(weights.values()), lr)
    scheduler = LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / len(batches))) / 2)
    seed = torch.arange(len(seeds), device=x.device)[:, None]

    def losses(batch: Tensor) -> Tensor:
        logits = vmap(model.forward)(weights, x[seed, batch]).flatten(0, 1)
        return F.cross_entropy(logits, y[batch].flatten(), reduction="none").view(len(seeds), -1)

    for batch in batches:
        optimizer.zero_grad()
        losses(batch).mean(dim=1).sum().backward()  # a sum over networks: no network feels another
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        return losses(torch.arange(len(y), device=x.device).expand(len(seeds), -1)).to(HOST)


# --- results -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Duel:
    """Two methods on one problem: what was tried, the place of each best rate, and the ratio of losses for each seed."""

    name: str
    lrs: Mapping[str, Sequence[float]]
    losses: Mapping[str, Tensor]  # {method: (rates, seeds)}
    best: Mapping[str, int]
    ratio: Tensor  # (seeds,) the second method's loss over the first one's

    def best_lr(self, method: str) -> float:
        return self.lrs[method][self.best[method]]

    def __str__(self) -> str:
        lines = [self.name]
        for method, place in self.best.items():
            tried = " ".join(f"[{lr:g}]" if k == place else f"{lr:g}" for k, lr in enumerate(self.lrs[method]))
            loss = self.losses[method][place].mean()
            lines.append(f"   {figures.METHODS[method]['label']:9} mean loss {loss:.2g}   rates {tried}")
        first, second = (figures.METHODS[method]["label"] for method in self.best)
        ratios = " ".join(f"{value:.2f}" for value in self.ratio)
        return "\n".join([*lines, f"   {second} ÷ {first}, seed by seed: {ratios}"])


def strips(duels: Sequence[Duel], *, figure: str, x: str) -> Axes:
    """The ratios of each duel on a line of its own, a mark for each seed, a little below each other."""
    (ax,) = figures.panels(1, 1, figure=figure, size=(7.2, 3.4))
    for row, duel in enumerate(duels):
        heights = row + torch.linspace(-0.28, 0.28, len(duel.ratio))
        ax.plot(duel.ratio, heights, ls="", marker="o", ms=5, color="0.25", alpha=0.8)
    ax.axvline(1, color="0.45", lw=1.2)
    ax.set_ylim(len(duels) - 0.5, -0.5)
    rows = dict(enumerate(duel.name for duel in duels))
    return figures.dress(ax, x=x, log="x", xticks={0.25: "¼", 0.5: "½", 1: "1", 2: "2", 4: "4"}, yticks=rows)
