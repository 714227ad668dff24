"""A training run that is interrupted, saved, and resumed in a fresh process: what ``save_checkpoint`` is judged by.

The small network has all that makes resuming hard: batch norm, dropout, momentum, a schedule, shuffled minibatches.
Compared are bytes, by their digest, with a run that was never interrupted.
"""

from __future__ import annotations

import hashlib
import io
import linecache
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from lecture_utils.checks.calling import at, call, undisturbed
from lecture_utils.checks.observers.base import Cases, Observer, packed, unpacked
from lecture_utils.checks.traces import Entry, Kind, Problem, Trace, as_tensor, traced
from lecture_utils.checks.withhold import RULES

PARTS = {
    "weights": "the weights",
    "buffers": "batch norm's running averages",
    "memory": "the optimizer's memory",
    "rate": "the learning rate",
    "count": "the scheduler's count",
    "order": "the generator of the shuffling",
    "dropout": "torch's own random numbers",
}
OUTCOME = {"losses": "every loss equal, bit for bit", "end": "final weights equal, bit for bit"}
AFTER, NEXT, RESUMED = "after loading", "the next epoch", "the resumed run"


class Run:
    """Everything a training run consists of. Only ``seed`` decides how it starts."""

    def __init__(self, case: dict, seed: int) -> None:
        torch.manual_seed(seed)
        self.x, self.y = _examples(seed)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
        kind, hyper = case["optimizer"]
        self.optimizer = getattr(torch.optim, kind)(self.model.parameters(), **hyper)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda epoch: case["decay"] ** epoch)
        self.generator = torch.Generator().manual_seed(seed)

    def train(self, epochs: range) -> list[float]:
        losses = []
        for _ in epochs:
            self.model.train()
            for batch in torch.randperm(24, generator=self.generator).split(8):
                loss = F.cross_entropy(self.model(self.x[batch]), self.y[batch])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                losses.append(loss.item())
            self.scheduler.step()
        return losses

    def go_on(self, epochs: range) -> dict[str, Any]:
        """What is there after loading, and what comes of it."""
        return {"digests": self.digests(), "losses": self.train(epochs), "end": self.digests()["weights"]}

    def digests(self) -> dict[str, str]:
        memory = self.optimizer.state_dict()
        count = self.scheduler.state_dict()
        things = {
            "weights": [p.detach() for p in self.model.parameters()],
            "buffers": list(self.model.buffers()),
            "memory": [v for state in memory["state"].values() for v in state.values() if torch.is_tensor(v)],
            "rate": [group["lr"] for group in memory["param_groups"]],
            "count": count["last_epoch"],
            "order": self.generator.get_state(),
            "dropout": torch.get_rng_state(),
        }
        return {name: _digest(thing) for name, thing in things.items()}


@dataclass(frozen=True)
class Resume(Observer):
    """``(save_checkpoint, load_checkpoint)``: is all back after loading, and does the run go on bit for bit?

    A case holds ``optimizer`` (name, arguments), ``decay`` per epoch, ``seed``, ``stop``, ``epochs``, and the seed
    ``then`` of the examples that come after the stop: what is saved cannot know them. Raw values are digests.
    """

    advice: ClassVar[str] = "Below is what does not hold: which of your lines should see to it?"
    made_of_others: ClassVar[tuple[str, ...]] = tuple(OUTCOME.values())
    slow: ClassVar[bool] = True
    halves: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = (RULES,)

    def prepare(self) -> None:
        start_server()

    def perform(self, answer: Any, case: dict) -> Iterator[Entry]:
        # Packed before anything is saved: what save keeps in a variable of the notebook must not arrive by this way.
        packed = self.pack(answer)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "checkpoint.pt")
            yield from self.save(answer, case, path)
            yield from entries(_in_a_fresh_process(packed, path, case))

    def save(self, answer: Any, case: dict, path: str) -> Iterator[Entry]:
        save_run(answer[0], path, case)
        yield from ()

    def pack(self, answer: Any) -> bytes:
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise Problem(Kind.TYPE, "Two functions are wanted: check(save_checkpoint, load_checkpoint).")
        return packed((_without_the_notebook(answer[1]), _sources(answer[1])), "load_checkpoint")

    def load(self, packed: bytes, case: dict, path: str) -> Iterator[Entry]:
        yield from entries(_go_on(packed, path, case))

    def interpret(self, raw: Trace, case: dict) -> Trace:
        """Compare with a run that was never interrupted, trained here."""
        trace = traced(_compared(raw, case))
        trace.problem = raw.problem
        return trace

    def hide(self, cases: Cases, draw: Callable, random: Random) -> Cases:
        """The same cases from other seeds: what is recorded of them holds for any."""
        return [c | {k: random.randrange(2**31) for k in ("seed", "fresh", "then")} for c in cases]

    def is_exact(self, case: dict) -> bool:
        return case["optimizer"][0] == "SGD"  # the second case tells nothing of a mistake that the first does not

    def result_of(self, entry: Entry, case: dict) -> str | None:
        return entry.name


def entries(back: dict[str, Any]) -> Iterator[Entry]:
    """What ``load_run`` returned, as raw values."""
    if "problem" in back:
        raise Problem(*back["problem"][:2], place="load_checkpoint", error=back["problem"][2])
    for name in PARTS:
        yield Entry(AFTER, name, _as_number(back["digests"][name]))
    missing = back["epoch"] is None
    yield Entry(AFTER, NEXT, torch.tensor(torch.nan) if missing else torch.tensor(float(back["epoch"])))
    yield Entry(RESUMED, "losses", torch.tensor(back["losses"], dtype=torch.float64))
    yield Entry(RESUMED, "end", _as_number(back["end"]))
    if missing:  # told last: who forgets the number has brought the parts back, or has not
        with at("load_checkpoint"):
            as_tensor(None, "What load_checkpoint returns")


def _compared(raw: Trace, case: dict) -> Iterator[Entry]:
    with undisturbed():
        whole = Run(case, case["seed"])
        whole.train(range(case["stop"]))
        there = whole.digests()
        whole.x, whole.y = _examples(case["then"])
        losses = whole.train(range(case["stop"], case["epochs"]))
        end = whole.digests()["weights"]
    right = {name: _as_number(digest) for name, digest in there.items()}
    right |= {"losses": torch.tensor(losses, dtype=torch.float64), "end": _as_number(end)}
    words = {name: f"{what} as when saved" for name, what in PARTS.items()} | OUTCOME
    for entry in raw.entries:
        if entry.name == NEXT:
            yield entry
        else:
            yield Entry(entry.place, words[entry.name], torch.tensor(torch.equal(entry.value, right[entry.name])))


def _without_the_notebook(function: Any) -> Any:
    """``function`` as a new process would have it: with the notebook's imports and definitions, without its variables."""
    if not isinstance(function, FunctionType):
        return function
    notebook, kept = function.__globals__, {}

    def moved(f: FunctionType) -> FunctionType:
        new = FunctionType(f.__code__, kept, f.__name__, f.__defaults__, f.__closure__)
        new.__kwdefaults__, new.__module__ = f.__kwdefaults__, f.__module__
        return new

    for name, value in notebook.items():
        if isinstance(value, FunctionType) and value.__globals__ is notebook:
            kept[name] = moved(value)
        elif isinstance(value, (ModuleType, FunctionType, BuiltinFunctionType, type, str, torch.device, torch.dtype)):
            kept[name] = value
    return moved(function)


def _as_number(digest: str) -> torch.Tensor:
    return torch.tensor(int(digest[:12], 16), dtype=torch.float64)  # 48 bits, which float64 holds exactly


def save_run(save: Callable, path: str, case: dict) -> None:
    """Train until the stop, and let the student's function write the checkpoint to ``path``."""
    with undisturbed():
        run = Run(case, case["seed"])
        run.train(range(case["stop"]))
        arguments = [path, run.model, run.optimizer, run.scheduler, case["stop"] - 1, run.generator]
        with at("save_checkpoint"):
            call(save, arguments, ["path", "model", "optimizer", "scheduler", "epoch", "generator"])
            if not Path(path).is_file():
                text = "There is no file at `path` afterwards. Is the checkpoint written with torch.save?"
                raise Problem(Kind.TYPE, text)


def load_run(load: Callable, path: str, case: dict) -> dict[str, Any]:
    """Resume from ``path`` by the student's function and train to the end; what ``entries`` wants, as plain JSON."""
    try:
        with undisturbed():
            run = Run(case, case["fresh"])  # a new process does not start where the old one did
            arguments = [path, run.model, run.optimizer, run.scheduler, run.generator]
            epoch = call(load, arguments, ["path", "model", "optimizer", "scheduler", "generator"])
            if isinstance(epoch, (tuple, list)):
                text = f"It returns {len(epoch)} things. Only the next epoch is asked for: the objects are changed in place."
                raise Problem(Kind.TOO_MANY, text)
            back = {"epoch": None if epoch is None else as_tensor(epoch, "What load_checkpoint returns").tolist()}
            run.x, run.y = _examples(case["then"])
            return back | call(run.go_on, [range(case["stop"], case["epochs"])], ["epochs"])
    except Problem as problem:
        text = str(problem)
        if problem.error == "NameError":
            text += "\nA new process has the notebook's imports and functions, but none of its variables."
        return {"problem": [problem.kind, text, problem.error]}


def _examples(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(24, 6, generator=random), torch.randint(3, (24,), generator=random)


# --- the fresh process -------------------------------------------------------------------------------------------

# Processes that know nothing of this one, forked from a server that has imported torch: that takes seconds, once.
_CONTEXT = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
if hasattr(os, "fork"):
    _CONTEXT.set_forkserver_preload(["lecture_utils.checks.observers.warm"])


@cache
def start_server() -> None:
    """Have the server ready: its first process is there when it has imported all that it needs."""
    _start(os.getpid).join()


def _start(target: Callable, *args: Any) -> Any:
    """A process that does not begin with the program that runs here: it would run it again."""
    program, process = sys.modules["__main__"], _CONTEXT.Process(target=target, args=args, daemon=True)
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = program
    return process


def _in_a_fresh_process(luggage: bytes, path: str, case: dict) -> dict[str, Any]:
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _start(_answer, sender, luggage, path, case)
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        text = "The process that called load_checkpoint ended without a word: killed, or by os._exit?"
        raise Problem(Kind.CRASHED, text, "load_checkpoint") from None
    finally:  # stopped by the time limit, too: it may be busy for ever
        process.kill()
        process.join()


def _answer(sender: Any, luggage: bytes, path: str, case: dict) -> None:
    """What student code prints goes nowhere: there is no cell that it belongs to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    torch.set_num_threads(1)
    sender.send(_go_on(luggage, path, case))


def _go_on(luggage: bytes, path: str, case: dict) -> dict[str, Any]:
    try:
        load, sources = unpacked(luggage, "load_checkpoint")
    except Problem as problem:
        return {"problem": [problem.kind, str(problem), ""]}
    linecache.cache.update(sources)  # so that an error can show the line
    return load_run(load, path, case)


def _digest(thing: Any) -> str:
    buffer = io.BytesIO()
    for part in thing if isinstance(thing, list) else [thing]:
        buffer.write(part.cpu().numpy().tobytes() if torch.is_tensor(part) else repr(part).encode())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _sources(function: Callable) -> dict[str, Any]:
    """The notebook cells in which ``function`` and those around it were written, as ``linecache`` keeps them."""
    around = getattr(function, "__globals__", {}).values()
    codes = [getattr(f, "__code__", None) for f in (function, *around) if isinstance(f, FunctionType)]
    found = {
        code.co_filename: linecache.getlines(code.co_filename)
        for code in codes
        if "site-packages" not in code.co_filename
    }
    return {file: (sum(map(len, lines)), None, lines, file) for file, lines in found.items() if lines}
