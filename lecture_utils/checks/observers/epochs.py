"""One epoch of training: which examples came in which batches, what each step found, the weights and the number at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Real
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
                if not isinstance(result, Real | torch.Tensor | None):
                    what = f"It returns a {type(result).__name__}; one plain number is asked for, the mean loss."
                    raise Problem(Kind.TYPE, what)
                yield Entry(place, "returned", as_tensor(result, "What it returns"))
                if isinstance(result, torch.Tensor):
                    graph = ", with all that it was made from" if result.requires_grad else ""
                    what = f"It returns a tensor{graph}; a plain number is asked for. Take each loss with `.item()`."
                    raise Problem(Kind.TYPE, what)
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
        places = self.places if torch.is_grad_enabled() else dict(self.places)  # who only measures is not there yet
        for row in rows.tolist():
            places.setdefault(row, len(places))
        k = torch.tensor([places[row] for row in rows.tolist()], dtype=torch.int64)
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

    @property
    def tells_numbers(self) -> bool:
        """Whether weights and loss do not depend on the order: they do where examples come twice, or with other labels."""
        return self.own_labels and len(set(self.order)) == len(self.order)


def _compared(epochs: dict[str, list[Entry]], case: dict) -> Iterator[Entry]:
    """What all right answers have in common, whatever their order."""
    seen = {place: _read(place, entries, case) for place, entries in epochs.items()}
    losses = []
    for place in (p for p in EPOCHS if p in seen):
        yield from _of_an_epoch(place, seen[place], len(case["y"]))
        if seen[place].tells_numbers:
            came = {entry.name: entry.value for entry in epochs[place]}
            yield from (Entry(place, f"{name} after the epoch", came[name]) for name in WEIGHTS)
            losses += [Entry(place, "returned loss", came["returned"])] if "returned" in came else []
    if AGAIN in seen:
        yield from _of_the_order(*(seen[place] for place in (*EPOCHS, AGAIN)))
    yield from losses


def _of_an_epoch(place: str, seen: _Seen, n: int) -> Iterator[Entry]:
    order = seen.order
    for what, value in {
        "number of batches": len(seen.batches),
        "sizes of the batches": [len(batch) for batch in seen.batches],
        "every example comes": set(order) == set(range(n)),
        "no example comes twice": len(set(order)) == len(order),
        "each example has its own label": seen.own_labels,
        "the model is in training mode": seen.training,
        "there is a backward pass": seen.backward,
        "number of steps": seen.steps,
        "backward comes before each step": seen.backward_first,
        "each step finds a gradient": seen.gradients,
    }.items():
        yield Entry(place, what, torch.tensor(value))


def _of_the_order(one: _Seen, two: _Seen, again: _Seen) -> Iterator[Entry]:
    several = len(one.batches) > 1  # of one batch nothing is asked
    sets = [{frozenset(batch) for batch in seen.batches} for seen in (one, two)]
    for what, holds in {
        "the order is shuffled": any(seen.order != sorted(seen.order) for seen in (one, two)),
        "the order changes": one.order != two.order,
        "the batches hold other examples": sets[0] != sets[1],
    }.items():
        yield Entry("both epochs", what, torch.tensor(holds or not several))
    yield Entry(AGAIN, "the order is the same", torch.tensor(again.order == one.order))


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
