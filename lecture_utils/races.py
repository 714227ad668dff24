"""Two optimizers on models other than the course's network: all rates and all seeds of a method in one training loop.

A model is a function of its weights and of pictures. The networks of all seeds and rates are stacked into one tensor per
weight, ``vmap`` runs the function for each of them, and ``torch.optim`` works element by element, so it does not notice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.func import vmap
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from lecture_utils.data import Data
from lecture_utils.devices import generator
from lecture_utils.training import shuffled

OPTIMIZERS: dict[str, Callable[[list], torch.optim.Optimizer]] = {
    "momentum": lambda groups: torch.optim.SGD(groups, momentum=0.9),
    "adam": torch.optim.Adam,
}


@dataclass(frozen=True)
class Model:
    """``forward(weights, x)`` gives the logits (examples, classes); ``shapes`` are those of the weights, by name."""

    forward: Callable[[dict[str, Tensor], Tensor], Tensor]
    shapes: dict[str, tuple[int, ...]]
    from_zero: bool = False

    def start(self, seed: int) -> dict[str, Tensor]:
        """Zeros, or normal numbers with variance 1 / inputs."""
        if self.from_zero:
            return {name: torch.zeros(shape) for name, shape in self.shapes.items()}
        random = generator(seed)
        inputs = {name: math.prod(shape[1:]) if len(shape) == 4 else shape[0] for name, shape in self.shapes.items()}
        return {name: torch.randn(s, generator=random) / inputs[name] ** 0.5 for name, s in self.shapes.items()}


def _convolution(p: dict[str, Tensor], x: Tensor) -> Tensor:
    x = F.conv2d(x.view(-1, 1, 8, 8), p["first"], stride=2, padding=1).relu()
    x = F.conv2d(x, p["second"], stride=2, padding=1).relu()
    return x.flatten(1) @ p["out"]


def _attention(p: dict[str, Tensor], x: Tensor) -> Tensor:
    x = x.view(-1, 8, 8) @ p["embed"] + p["place"]  # eight rows, each a token of eight pixels
    x = x + F.scaled_dot_product_attention(x @ p["query"], x @ p["key"], x @ p["value"])
    x = x + (x @ p["up"]).relu() @ p["down"]
    return x.mean(dim=1) @ p["out"]


CONVOLUTION = Model(_convolution, {"first": (8, 1, 3, 3), "second": (16, 8, 3, 3), "out": (64, 10)})
ATTENTION = Model(
    _attention,
    {"embed": (8, 16), "place": (8, 16), "query": (16, 16), "key": (16, 16), "value": (16, 16), "up": (16, 32),
     "down": (32, 16), "out": (16, 10)},
)  # fmt: skip
LINEAR = Model(lambda p, x: x @ p["w"], {"w": (64, 127)}, from_zero=True)


def train_stacked(model, x, y, method, lrs, *, seeds, epochs, batch_size=None):
    seeds, device = tuple(seeds), x.device
    x = x if x.ndim == 3 else x.expand(len(seeds), -1, -1)
    starts = [model.start(seed) for seed in seeds]
    groups = [{k: torch.stack([s[k] for s in starts]).to(device).requires_grad_() for k in model.shapes} for _ in lrs]
    optimizer = OPTIMIZERS[method]([{"params": [*g.values()], "lr": lr} for g, lr in zip(groups, lrs)])
    n = x.shape[1]; size = batch_size or n
    steps = epochs * math.ceil(n / size)
    scheduler = LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)
    rows = torch.arange(len(seeds), device=device)[:, None]
    def losses(batch):
        stacked = {k: torch.cat([g[k] for g in groups]) for k in model.shapes}
        xb, yb = x[rows, batch], y[batch]
        logits = vmap(model.forward)(stacked, xb.repeat(len(lrs), 1, 1))
        each = F.cross_entropy(logits.flatten(0, 1), yb.repeat(len(lrs), 1).flatten(), reduction="none")
        return each.view(len(lrs), len(seeds), -1)
    randoms = [generator(s) for s in seeds]
    everything = torch.arange(n, device=device).expand(len(seeds), -1)
    for _ in range(epochs):
        if batch_size is None:
            batches = [everything]
        else:
            batches = torch.stack([torch.cat(shuffled(n, size, r)) for r in randoms]).to(device).split(size, 1)
        for batch in batches:
            optimizer.zero_grad()
            losses(batch).mean(2).sum().backward()
            optimizer.step()
            scheduler.step()
    with torch.no_grad():
        return losses(everything)
