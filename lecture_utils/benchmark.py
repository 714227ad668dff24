"""How fast the course's tools are: what is compared is measured side by side, in one run, and medians are shown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lecture_utils import devices, stacked, training
from lecture_utils.data import Data, digits

EPOCHS, SEEDS, REPEATS = 6, range(5), 5
LRS = [0.0003, 0.001, 0.002, 0.003, 0.005, 0.01]  # times the seeds: 30 runs
OPTIMIZERS = {
    "sgd": lambda params: torch.optim.SGD(params, lr=0.01),
    "momentum": lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9),
    "nesterov": lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9, nesterov=True),
    "rmsprop": lambda params: torch.optim.RMSprop(params, lr=0.001),
    "adam": lambda params: torch.optim.Adam(params, lr=0.001),
}


def main() -> None:
    """Print the tables."""
    device = devices.pick_device()
    print(devices.describe(device))
    data = digits(device)
    print(f"\nmilliseconds per run and epoch, {len(LRS) * len(SEEDS)} stacked runs, median of {REPEATS}; loss of each")
    print("step, training loss and test accuracy after each epoch are recorded by all three")
    print(f"{'':10}{'DataLoader loop':>16}{'train':>8}{'stacked':>9}{'loop/stacked':>14}")
    for rule, optimizer in OPTIMIZERS.items():
        plain, loop, many = medians(
            lambda o=optimizer: _plain_loop(o, data),
            lambda o=optimizer: training.train(
                m := training.mlp(device=device), o(m.parameters()), data, epochs=EPOCHS
            ),
            lambda r=rule: stacked.sweep(r, lrs=LRS, seeds=SEEDS, data=data, epochs=EPOCHS),
        )
        plain, loop, many = (1e3 * seconds / EPOCHS for seconds in (plain, loop, many / len(LRS) / len(SEEDS)))
        print(f"{rule:10}{plain:16.2f}{loop:8.2f}{many:9.3f}{plain / many:13.1f}×")


def medians(*functions: Callable[[], object]) -> list[float]:
    """Median seconds of each function, called in turn so that all meet the same load; once before, unmeasured."""
    seconds = [[] for _ in functions]
    for repeat in range(REPEATS + 1):
        for function, list_ in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if repeat:
                list_.append(time.perf_counter() - start)
    return [statistics.median(list_) for list_ in seconds]


def _plain_loop(optimizer: Callable, data: Data) -> tuple[list, list]:
    """What tutorials write: ``DataLoader``, ``torch.optim``, and a pass through both loaders to see how it goes."""
    model = training.mlp(device=data.x.device)
    optimizer = optimizer(model.parameters())
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=64, shuffle=True)
    test_loader = DataLoader(TensorDataset(data.x_test, data.y_test), batch_size=64)
    losses, curves = [], []
    for _ in range(EPOCHS):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            train_loss = sum(F.cross_entropy(model(x), y, reduction="sum").item() for x, y in loader) / data.n
            right = sum((model(x).argmax(1) == y).sum().item() for x, y in test_loader)
        curves.append((train_loss, right / len(data.y_test)))
    return losses, curves
