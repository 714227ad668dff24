"""How fast the course's tools are; what is compared is measured in one run.

    python3 tests/benchmark.py training          stacked runs against a plain loop: medians
    python3 tests/benchmark.py grading [N] [--cpu]   `grade` against stock `nbgrader autograde`, N submissions (default 4)

Run it on a machine that does nothing else: processor time and memory are those of the whole machine. With --cpu they are
those of the processes that were seen at work, looked at twenty times a second, whatever else goes on.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import torch
from course import copy_course, run, scores, submit
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


def training() -> None:
    """Print the table of training runs."""
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


# --- grading -------------------------------------------------------------------------------------------------------

STOCK = """
import os
c = get_config()
c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))
c.CourseDirectory.release_directory = "notebooks"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "*.pyc", "*.py", "rubrics"]
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\\nraise NotImplementedError()"}
c.Execute.timeout = 120  # the default of 30 s is too short for some notebooks on a busy machine
"""
ADAM = (
    "def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):\n    t = t + 1\n    m = beta1 * m + (1 - beta1) * grad\n"
)
ADAM += "    r = beta2 * r + (1 - beta2) * grad**2\n    return w - lr * m / (r.sqrt() + eps), m, r, t"
HONEST = {"right": {}, "mistake": {"adam_step-answer": ADAM}, "empty": None}


def grading(n: int = 4, measured: Callable | None = None) -> None:
    """Print the table of grading: right, mistaken and empty submissions of all notebooks in turn."""
    with tempfile.TemporaryDirectory() as folder:
        ours = copy_course(Path(folder, "ours"), package=True)
        stock = copy_course(Path(folder, "stock"), package=True)
        (stock / "nbgrader_config.py").write_text(STOCK)
        for course in (ours, stock):
            for k in range(n):
                kind = list(HONEST)[k % 3]
                submit(course, f"{kind}-{k:03}", HONEST[kind], solve=HONEST[kind] is not None)
        run(ours, "lecture_utils", "grade", "--no-feedback", "--student", "right-000")  # makes the gradebook
        (stock / "gradebook.db").write_bytes((ours / "gradebook.db").read_bytes())
        grade = ["lecture_utils", "grade", "--force"]
        ways = {
            "nbgrader autograde": (stock, ["nbgrader", "autograde", "lecture12", "--force"]),
            "grade, 1 worker": (ours, [*grade, "--no-feedback", "--workers", "1"]),
            "grade, 2 workers": (ours, [*grade, "--no-feedback", "--workers", "2"]),
            "grade with feedback": (ours, [*grade, "--workers", "2"]),
        }
        print(f"{n} submissions of {len(list((ours / 'notebooks/lecture12').glob('*.ipynb')))} notebooks\n")
        print(f"{'':20}{'seconds':>9}{'ratio':>7}{'CPU s each':>12}{'ratio':>7}{'memory MB':>11}   scores")
        slowest, expected = None, None
        for name, (course, command) in ways.items():
            seconds, cpu, memory = (measured or of_the_machine)(lambda c=course, a=command: run(c, *a, check=False))
            slowest, found = slowest or (seconds, cpu), scores(course)
            expected = expected or found
            same = "the same" if found == expected else f"DIFFERENT: {found}"
            ratios = f"{slowest[0] / seconds:6.1f}×", f"{slowest[1] / cpu:6.1f}×"
            print(f"{name:20}{seconds:9.1f}{ratios[0]}{cpu / n:12.2f}{ratios[1]}{memory:11.0f}   {same}", flush=True)
        print("\nmemory: " + ("private to a kernel, median" if measured else "the most in use above what was before"))


def of_the_machine(action: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds, processor seconds, and the most memory in MB that the machine had in use above what it had before."""
    before, lowest = psutil.virtual_memory().available, [2**60]

    def look() -> None:
        lowest[0] = min(lowest[0], psutil.virtual_memory().available)

    busy = busy_seconds()
    seconds = watched(action, look, 0.2)
    return seconds, busy_seconds() - busy, (before - lowest[0]) / 2**20


def of_the_processes(action: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds, processor seconds of all processes that come from this one, and the private memory of a kernel in MB."""
    busy: dict[int, float] = {}
    private: dict[int, int] = {}

    def look() -> None:
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
                busy[process.pid] = times.user + times.system
                if is_kernel(process):
                    private[process.pid] = max(private.get(process.pid, 0), process.memory_full_info().uss)
            except psutil.Error:
                continue  # it has ended

    seconds = watched(action, look, 0.05)
    return seconds, sum(busy.values()), statistics.median(private.values() or [0]) / 2**20


def is_kernel(process: psutil.Process) -> bool:
    """Started by nbgrader itself, or forked by the server, whose child is the guardian of one."""
    if "ipykernel_launcher" in process.cmdline():
        return True
    above = process.parents()[:2]
    return len(above) == 2 and all("lecture_utils.instructor.grading.forkserver" in p.cmdline() for p in above)


def watched(action: Callable[[], object], look: Callable[[], None], every: float) -> float:
    """Seconds that ``action`` takes, while somebody looks."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every):
            look()

    watching = threading.Thread(target=watch)
    watching.start()
    start = time.perf_counter()
    try:
        action()
    finally:
        seconds = time.perf_counter() - start
        over.set()
        watching.join()
    return seconds


def busy_seconds() -> float:
    times = psutil.cpu_times()
    return times.user + times.system + times.nice


if __name__ == "__main__":
    what, *more = sys.argv[1:] or ["training"]
    if what == "training":
        training()
    else:
        count = [int(word) for word in more if word.isdigit()]
        grading(*count, measured=of_the_processes if "--cpu" in more else None)
