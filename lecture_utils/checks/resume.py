"""A training run that is interrupted, saved, and resumed in a fresh process: what ``save_checkpoint`` is judged by.

The small network has all that makes resuming hard: batch norm, dropout, momentum, a schedule, shuffled minibatches.
Compared are bytes, by their digest, with a run that was never interrupted.
"""

from __future__ import annotations

import hashlib
import io
import linecache
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cloudpickle
import torch
from torch import nn
from torch.nn import functional as F

from lecture_utils.checks.calling import at, call, undisturbed
from lecture_utils.checks.traces import Problem, as_tensor

PARTS = {
    "weights": "the weights",
    "buffers": "batch norm's running averages",
    "memory": "the optimizer's memory",
    "rate": "the learning rate",
    "count": "the scheduler's count",
    "order": "the generator of the shuffling",
    "dropout": "torch's own random numbers",
}
Observation = Iterator[tuple[str, torch.Tensor]]


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


def resume(functions: Any, case: dict) -> Observation:
    """Observe ``(save_checkpoint, load_checkpoint)``: is all back after loading, and does the run go on bit for bit?

    A case holds ``optimizer`` (name, arguments), ``decay`` per epoch, ``seed``, ``stop``, ``epochs``, and the seed
    ``then`` of the examples that come after the stop: what is saved cannot know them.
    """
    if not isinstance(functions, tuple) or len(functions) != 2:
        raise Problem("type", "Two functions are wanted: check(save_checkpoint, load_checkpoint).")
    save, load = functions
    # Sent before anything is saved: what save keeps in a variable of the notebook must not arrive by this way.
    try:
        luggage = cloudpickle.dumps((load, _sources(load)))
    except Exception as error:
        raise Problem(
            "crashed",
            f"load_checkpoint cannot run in another process: {error}\nUse its arguments only, nothing of the notebook.",
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "checkpoint.pt")
        save_run(save, path, case)
        back = _in_a_fresh_process(luggage, path, case)
    yield from compare(back, case)


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
                raise Problem("type", text)


def load_run(load: Callable, path: str, case: dict) -> dict[str, Any]:
    """Resume from ``path`` by the student's function and train to the end; what ``compare`` wants, as plain JSON."""
    try:
        with undisturbed():
            run = Run(case, case["fresh"])  # a new process does not start where the old one did
            arguments = [path, run.model, run.optimizer, run.scheduler, run.generator]
            epoch = call(load, arguments, ["path", "model", "optimizer", "scheduler", "generator"])
            if isinstance(epoch, (tuple, list)):
                text = f"It returns {len(epoch)} things. Only the next epoch is asked for: the objects are changed in place."
                raise Problem("too_many", text)
            back = {"epoch": None if epoch is None else as_tensor(epoch, "What load_checkpoint returns").tolist()}
            run.x, run.y = _examples(case["then"])
            return back | call(run.go_on, [range(case["stop"], case["epochs"])], ["epochs"])
    except Problem as problem:
        return {"problem": [problem.kind, str(problem)]}


def compare(back: dict[str, Any], case: dict) -> Observation:
    """Compare with a run that was never interrupted, trained here. ``back`` is what ``load_run`` returned."""
    if "problem" in back:
        raise Problem(*back["problem"], place="load_checkpoint")
    with undisturbed():
        whole = Run(case, case["seed"])
        whole.train(range(case["stop"]))
        there = whole.digests()
        whole.x, whole.y = _examples(case["then"])
        losses = whole.train(range(case["stop"], case["epochs"]))
        end = whole.digests()["weights"]
    for name, words in PARTS.items():
        yield f"after loading: {words} as when saved", torch.tensor(back["digests"][name] == there[name])
    with at("load_checkpoint"):  # after the parts: who forgets the number has brought them back, or has not
        yield "after loading: the next epoch", as_tensor(back["epoch"], "What load_checkpoint returns")
    yield "the resumed run: every loss equal, bit for bit", torch.tensor(back["losses"] == losses)
    yield "the resumed run: final weights equal, bit for bit", torch.tensor(back["end"] == end)


def _examples(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(24, 6, generator=random), torch.randint(3, (24,), generator=random)


# --- the fresh process -------------------------------------------------------------------------------------------

_server: subprocess.Popen | None = None


def start_server() -> subprocess.Popen:
    """The process that resumes runs, ready for requests. To import torch once more it takes seconds the first time."""
    global _server
    if _server is None or _server.poll() is not None:
        command = [sys.executable, "-c", "from lecture_utils.checks.resume import serve; serve()"]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        server.stdout.readline()
        _server = server
    return _server


def _in_a_fresh_process(luggage: bytes, path: str, case: dict) -> dict[str, Any]:
    """Resume in a process that knows nothing of this one.

    Starting Python with torch takes a second, so a server does that once and forks for each request.
    """
    global _server
    server, answered = start_server(), False
    try:
        pickle.dump((luggage, sys.path, path, case), server.stdin)
        server.stdin.flush()
        answer = pickle.load(server.stdout)
        answered = True
    except (EOFError, OSError, pickle.UnpicklingError):
        answer = None
    finally:
        if not answered:  # stopped by the time limit, or broken: the next one starts anew
            with suppress(ProcessLookupError):  # its child, too, which may be busy for ever
                os.killpg(server.pid, signal.SIGKILL) if hasattr(os, "killpg") else server.kill()
            _server = None
    if answer is None:
        text = "The process that called load_checkpoint ended without a word: killed, or by os._exit?"
        raise Problem("crashed", text, "load_checkpoint")
    return answer


def serve() -> None:
    """Answer requests from stdin on stdout until stdin is closed. What student code prints goes to stderr instead."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    Run({"optimizer": ["SGD", {}], "decay": 1.0}, 0)  # its first optimizer makes torch import the other half of itself
    answers.write(b"ready\n")
    answers.flush()
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if not hasattr(os, "fork"):  # Windows: this process is used up by one request
            pickle.dump(_go_on(*request), answers)
            return
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            with os.fdopen(writer, "wb") as out:
                pickle.dump(_go_on(*request), out)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as answer:
            answers.write(answer.read() or pickle.dumps(None))
        answers.flush()
        os.waitpid(child, 0)


def _go_on(luggage: bytes, paths: list[str], path: str, case: dict) -> dict[str, Any]:
    sys.path[:] = paths
    try:
        load, sources = cloudpickle.loads(luggage)
    except Exception as error:
        text = (
            f"load_checkpoint cannot run in another process: {error}\nUse its arguments only, nothing of the notebook."
        )
        return {"problem": ["crashed", text]}
    linecache.cache.update(sources)  # so that an error can show the line
    return load_run(load, path, case)


def _digest(thing: Any) -> str:
    buffer = io.BytesIO()
    for part in thing if isinstance(thing, list) else [thing]:
        buffer.write(part.cpu().numpy().tobytes() if torch.is_tensor(part) else repr(part).encode())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _sources(function: Callable) -> dict[str, Any]:
    """The notebook cell in which ``function`` was written, as ``linecache`` keeps it."""
    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    lines = linecache.getlines(file)
    return {file: (sum(map(len, lines)), None, lines, file)} if lines else {}
