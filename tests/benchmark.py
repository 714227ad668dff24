"""How fast the course's tools are: what is compared is measured in turn, in one run, and medians are printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lecture_utils.data import Data, digits
from lecture_utils.devices import describe, pick_device
from lecture_utils.stacked import sweep
from lecture_utils.training import mlp, train

EPOCHS, LRS, SEEDS, REPEATS = 8, (0.0003, 0.001, 0.002, 0.003, 0.01), range(6), 5
OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.01),
    "momentum": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, lr=0.01, momentum=0.9, nesterov=True),
    "rmsprop": partial(torch.optim.RMSprop, lr=0.001),
    "adam": partial(torch.optim.Adam, lr=0.001),
}


def main() -> None:
    """Print the table."""
    data, runs = digits(pick_device()), len(LRS) * len(SEEDS)
    print(
        describe(data.x.device),
        "",
        "Milliseconds per run and epoch, each step's loss and, at the start and after",
        sep="\n",
    )
    print(f"each epoch, training loss and test accuracy included. Medians of {REPEATS}; {runs} stacked runs.")
    print(f"\n{'':10}{'DataLoader loop':>16}{'train':>8}{'sweep':>8}{'loop / sweep':>14}")
    for rule, optimizer in OPTIMIZERS.items():
        loop, single, stacked = medians(
            lambda o=optimizer: plain_loop(o, data),
            lambda o=optimizer: train(model := mlp(), o(model.parameters()), data, epochs=EPOCHS),
            lambda r=rule: sweep(r, lrs=LRS, seeds=SEEDS, data=data, epochs=EPOCHS),
        )
        loop, single, stacked = (1000 * seconds / EPOCHS for seconds in (loop, single, stacked / runs))
        print(f"{rule:10}{loop:16.2f}{single:8.2f}{stacked:8.3f}{loop / stacked:13.1f}×")


def medians(*functions: Callable[[], object]) -> list[float]:
    """Median seconds of each; called in turn, so that all meet the same load, after one round that does not count."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(REPEATS + 1):
        for function, times in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in seconds]


def plain_loop(optimizer: Callable, data: Data) -> list[float]:
    """What tutorials write: ``DataLoader`` and ``torch.optim``, and loops over the loaders to see how it goes."""
    model = mlp(device=data.x.device)
    optimizer = optimizer(model.parameters())
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=64, shuffle=True)
    test_loader = DataLoader(TensorDataset(data.x_test, data.y_test), batch_size=64)
    record = []
    for epoch in range(EPOCHS + 1):
        for x, y in loader if epoch else ():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            record.append(loss.item())
        with torch.no_grad():
            record.append(sum(F.cross_entropy(model(x), y, reduction="sum").item() for x, y in loader) / data.n)
            record.append(sum((model(x).argmax(1) == y).sum().item() for x, y in test_loader) / len(data.y_test))
    return record
