"""One epoch of training: which examples came in which batches, what each step found, the weights and the number at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from lecture_utils.checks.calling import at, call
from lecture_utils.checks.observers.base import Observer
from lecture_utils.checks.traces import Entry, Kind, Problem, Trace, as_tensor, from_numbers, traced

EPOCHS, AGAIN = ("epoch 1", "epoch 2"), "the same seed again"
WEIGHTS = ("weight", "bias")
RESULTS = {
    "number of batches": "the batches",
    "sizes of the batches": "the batches",
    "every example comes": "the batches",
    "no example comes twice": "the batches",
    "each example has its own label": "the labels",
    "the model is in training mode": "the mode",
    "there is a backward pass": "the steps",
    "number of steps": "the steps",
    "backward comes before each step": "the steps",
    "each step finds a gradient": "the steps",
    "weight after the epoch": "the weights",
    "bias after the epoch": "the weights",
    "returned loss": "the loss",
    "the order is shuffled": "the order",
    "the order changes": "the order",
    "the batches hold other examples": "the order",
    "the order is the same": "the order",
}


@dataclass(frozen=True)
class Epoch(Observer):
    """``train_epoch(model, optimizer, x, y, batch_size, generator)``: two epochs, then the first one's seed once more.

    A case holds the examples ``x`` and ``y``, ``batch_size``, ``start`` (the weights of a linear classifier), ``hyper``
    (lr, momentum), ``seed`` of the generator and ``dtype``. Looked at are the rows that the model is given, its mode, the
    gradients that reach it and those that each step finds, the weights after an epoch, and what is returned.

    In which order the examples come is the answer's own affair. So the model meets the case's examples in their own order,
    whichever rows it is given: the first row of an epoch counts as the first example, and so on. All right answers then have
    the same weights and the same loss, whatever they draw.
    """

    advice: ClassVar[str] = "Follow one batch through your loop: what has to happen before what, and how often?"
    made_of_others: ClassVar[tuple[str, ...]] = ("the weights", "the loss")

    def prepare(self) -> None:
        _Sgd([nn.Parameter(torch.zeros(1))], 0.1, 0.0, [])  # with its first optimizer torch imports its other half

    def perform(self, answer: Callable, case: dict) -> Iterator[Entry]:
        generator, run = torch.Generator().manual_seed(case["seed"]), _Run(case)
        torch.manual_seed(case["seed"])  # who draws from torch's own generator has another order …
        problems = []
        for place in EPOCHS:
            problems.append((yield from self._epoch(answer, run, generator, place)))
        torch.manual_seed(case["seed"] + 1)  # … here
        again = torch.Generator().manual_seed(case["seed"])
        problems.append((yield from self._epoch(answer, _Run(case), again, AGAIN)))
        for problem in filter(None, problems):  # told last: all else may be right
            raise problem

    def _epoch(self, answer: Callable, run: _Run, generator: torch.Generator, place: str) -> Iterator[Entry]:
        """Raw values of one epoch. What cannot be compared of what comes back is returned."""
        given = run.begin() | {"generator": generator}
        with at(place):
            result = call(answer, [given[name] for name in self.arguments], self.arguments)
        for name, value, number in run.events:
            yield Entry(place, name, value, tensor=number)
        for name in WEIGHTS:
            yield Entry(place, name, getattr(run.model, name).detach().clone())
        try:
            with at(place):
                yield Entry(place, "returned", as_tensor(result, "What it returns"))
                _demand_number(result)
        except Problem as problem:
            return problem
        return None

    def interpret(self, raw: Trace, case: dict) -> Trace:
        epochs: dict[str, list[Entry]] = {}
        for entry in raw.entries:
            epochs.setdefault(entry.place, []).append(entry)
        trace = traced(_compared(epochs, case))
        trace.problem = raw.problem or trace.problem
        return trace

    def result_of(self, entry: Entry, case: dict) -> str | None:
        return RESULTS[entry.name]

    def goes_in(self, case: dict, got: Trace, entry: Entry) -> dict[str, Any]:
        return {"examples": len(case["y"]), **case["args"]}


def _demand_number(result: Any) -> None:
    if isinstance(result, torch.Tensor):
        graph = ", with all that it was made from" if result.requires_grad else ""
        text = f"It returns a tensor{graph}; a plain number is asked for. Take each loss with `.item()`."
        raise Problem(Kind.TYPE, text)
    if not isinstance(result, (int, float)):
        raise Problem(Kind.TYPE, f"It returns a {type(result).__name__}; one plain number is asked for, the mean loss.")


# --- what the answer is given ------------------------------------------------------------------------------------

Events = list[tuple[str, torch.Tensor, int]]  # what, its values, in which call of the model


class _Run:
    """Model, optimizer and examples of a case, and what happened to them since an epoch began."""

    def __init__(self, case: dict) -> None:
        dtype = getattr(torch, case["dtype"])
        self.events: Events = []
        self.x, self.y = from_numbers(case["x"]).to(dtype), torch.tensor(case["y"])
        self.model = _Model(self.x, self.y, case["start"], self.events)
        self.optimizer = _Sgd(self.model.parameters(), **case["hyper"], events=self.events)
        self.batch_size = case["args"]["batch_size"]

    def begin(self) -> dict[str, Any]:
        """The arguments of an epoch. The model comes as it does from measuring: in evaluation mode."""
        self.events.clear()
        self.model.places.clear()
        self.model.eval()
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "x": self.x.clone(),
            "y": self.y.clone(),
            "batch_size": self.batch_size,
        }


class _Model(nn.Module):
    """A linear classifier that notes what it is given, and what gradient comes back.

    The k-th new row of an epoch counts as the k-th example, whichever it is; its scores change places so that the row's
    own label has the score of that example's label.
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor, start: dict, events: Events) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(from_numbers(start[name]).to(x.dtype)) for name in WEIGHTS)
        self.x, self.y, self.events, self.places = x, y, events, {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        F.linear(x, self.weight, self.bias)  # stops with torch's own words at what does not fit
        rows = self._numbers_of(x.reshape(-1, x.shape[-1]))
        for row in rows.tolist():
            self.places.setdefault(row, len(self.places))
        k = torch.tensor([self.places[row] for row in rows.tolist()], dtype=torch.int64)
        scores = F.linear(self.x[k], self.weight, self.bias)
        turned = torch.arange(len(self.bias)) + (self.y[k] - self.y[rows])[:, None]
        scores = scores.gather(1, turned % len(self.bias))
        if scores.requires_grad:
            number = len(self.events)
            seen = {"rows": rows, "training": torch.tensor(self.training), "scores": scores.detach().clone()}
            self.events += [(name, value, number) for name, value in seen.items()]
            scores.register_hook(lambda slopes: self.events.append(("slopes", slopes.clone(), number)))
        return scores.reshape(*x.shape[:-1], -1)

    def _numbers_of(self, x: torch.Tensor) -> torch.Tensor:
        equal = (x[:, None] == self.x).all(2)
        if not equal.any(1).all():
            raise ValueError("the model is given rows that are no rows of x")
        return equal.int().argmax(1)


class _Sgd(torch.optim.Optimizer):
    """Gradient descent with momentum that notes what gradients each step finds."""

    def __init__(self, params: Any, lr: float, momentum: float, events: Events) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.events = events

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Any:
        with torch.enable_grad():
            loss = closure() if closure else None
        found = []
        for group in self.param_groups:
            for p in group["params"]:
                found.append(torch.zeros_like(p) if p.grad is None else p.grad.clone())
                if p.grad is not None:
                    memory = self.state[p]
                    memory["velocity"] = group["momentum"] * memory.get("velocity", 0.0) + p.grad
                    p -= group["lr"] * memory["velocity"]
        self.events.append(("step", torch.cat([f.flatten() for f in found]), len(self.events)))
        return loss


# --- what should hold --------------------------------------------------------------------------------------------


@dataclass
class _Seen:
    """What is read from the raw values of one epoch. A batch is what gradients came from between two steps."""

    batches: list[list[int]] = field(default_factory=list)
    training: bool = True
    own_labels: bool = True
    backward: bool = False
    backward_first: bool = True
    gradients: bool = True
    steps: int = 0

    @property
    def order(self) -> list[int]:
        return [row for batch in self.batches for row in batch]


def _compared(epochs: dict[str, list[Entry]], case: dict) -> Iterator[Entry]:
    """What all right answers have in common, whatever their order."""
    seen = {place: _read(place, entries, case) for place, entries in epochs.items()}
    for place in EPOCHS:
        if place in seen:
            yield from _of_an_epoch(place, seen[place], epochs[place], len(case["y"]))
    if AGAIN not in seen:
        return
    one, two = (seen[place] for place in EPOCHS)

    def say(place: str, what: str, holds: bool) -> Entry:
        return Entry(place, what, torch.tensor(bool(holds)))

    several = len(one.batches) > 1
    ascending = all(e.order == sorted(e.order) for e in (one, two))
    other_sets = {frozenset(b) for b in one.batches} != {frozenset(b) for b in two.batches}
    yield say("both epochs", "the order is shuffled", not (several and ascending))
    yield say("both epochs", "the order changes", one.order != two.order or not several)
    yield say("both epochs", "the batches hold other examples", other_sets or not several)
    yield say(AGAIN, "the order is the same", seen[AGAIN].order == one.order)


def _of_an_epoch(place: str, seen: _Seen, entries: list[Entry], n: int) -> Iterator[Entry]:
    order = seen.order
    once = len(set(order)) == len(order)
    yield Entry(place, "number of batches", torch.tensor(len(seen.batches)))
    yield Entry(place, "sizes of the batches", torch.tensor([len(batch) for batch in seen.batches]))
    for what, holds in {
        "every example comes": set(order) == set(range(n)),
        "no example comes twice": once,
        "each example has its own label": seen.own_labels,
        "the model is in training mode": seen.training,
        "there is a backward pass": seen.backward,
    }.items():
        yield Entry(place, what, torch.tensor(holds))
    yield Entry(place, "number of steps", torch.tensor(seen.steps))
    yield Entry(place, "backward comes before each step", torch.tensor(seen.backward_first))
    yield Entry(place, "each step finds a gradient", torch.tensor(seen.gradients))
    if once and seen.own_labels:  # else the numbers depend on the order, too
        came = {e.name: e.value for e in entries}
        yield from (Entry(place, f"{name} after the epoch", came[name]) for name in WEIGHTS)
        if "returned" in came:
            yield Entry(place, "returned loss", came["returned"])


def _read(place: str, entries: list[Entry], case: dict) -> _Seen:
    """Of the calls of the model only those count that gradients came from; all, where there are none."""
    of: dict[str, dict[int, torch.Tensor]] = {name: {} for name in ("rows", "training", "scores", "slopes", "step")}
    for entry in entries:
        of.setdefault(entry.name, {})[entry.tensor] = entry.value
    if not of["rows"]:
        raise Problem(Kind.TYPE, "No example of x goes through the model that is handed in.", place)
    labels = torch.tensor(case["y"])
    rows = {k: r.long() for k, r in of["rows"].items() if k in of["slopes"] or not of["slopes"]}
    return _Seen(
        _batches(entries, rows),
        all(bool(of["training"][k]) for k in rows),
        not any(_has_other_labels(of["scores"][k], s, labels[rows[k]]) for k, s in of["slopes"].items()),
        bool(of["slopes"]),
        _backward_first(entries),
        all(bool(found.any()) for found in of["step"].values()),
        len(of["step"]),
    )


def _batches(entries: list[Entry], rows: dict[int, torch.Tensor]) -> list[list[int]]:
    """The rows between two steps; where one step or none is made, between two backward passes."""
    ends = ("step",) if sum(entry.name == "step" for entry in entries) > 1 else ("step", "slopes")
    batches, pending = [], []
    for entry in entries:
        if entry.name == "rows" and entry.tensor in rows:
            pending += rows[entry.tensor].tolist()
        elif entry.name in ends and pending:
            batches.append(pending)
            pending = []
    return [*batches, *([pending] if pending else [])]


def _backward_first(entries: list[Entry]) -> bool:
    """Whether there is a backward pass before each step, and after the step before it."""
    order = [entry.name for entry in entries if entry.name in ("slopes", "step")]
    return all(name != "step" or before == "slopes" for before, name in pairwise(["step", *order]))


def _has_other_labels(scores: torch.Tensor, slope: torch.Tensor, own: torch.Tensor) -> bool:
    """Whether some row's gradient is that of a cross-entropy with another label: the direction tells which."""
    gradients = scores.double().softmax(1)[:, None] - torch.eye(scores.shape[1])  # (rows, labels, scores)
    alike = torch.cosine_similarity(gradients, slope.double()[:, None], dim=2) > 1 - 1e-9
    alike[torch.arange(len(own)), own] = False
    return bool(alike.any())
