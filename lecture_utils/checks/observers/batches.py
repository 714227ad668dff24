"""Index batches: raw indices over many epochs; what they should be is worked out from those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, ClassVar

import torch

from lecture_utils.checks.calling import at, call
from lecture_utils.checks.observers.base import Observer
from lecture_utils.checks.traces import Entry, Kind, Problem, Trace, traced

AGAIN = "the same seed again"


@dataclass(frozen=True)
class Batches(Observer):
    """``f(n or labels, batch_size, generator)``: the batches of some epochs, then those of the first seed once more.

    A case holds ``args`` without the generator, whose ``seed`` is given, and how many ``epochs``. With labels, every full
    batch must hold each class in its share of the whole, to within one example.
    """

    advice: ClassVar[str] = "Below is what does not hold: which of your lines should see to it?"

    def perform(self, answer: Callable, case: dict) -> Iterator[Entry]:
        generator = torch.Generator().manual_seed(case["seed"])
        torch.manual_seed(case["seed"])  # who draws from torch's own generator draws the same every time …
        for epoch in range(1, case["epochs"] + 1):
            yield from self._epoch(answer, case, generator, f"epoch {epoch}")
        torch.manual_seed(case["seed"] + 1)  # … until here
        yield from self._epoch(answer, case, torch.Generator().manual_seed(case["seed"]), AGAIN)

    def _epoch(self, answer: Callable, case: dict, generator: torch.Generator, place: str) -> Iterator[Entry]:
        n, labels = _examples(case)
        given = case["args"] | {"labels": labels.clone(), "generator": generator}
        with at(place):
            result = call(answer, [given[name] for name in self.arguments], self.arguments)
            _demand_batches(result, n)
            batches = call(lambda: list(islice(result, 2 * n + 2)), [], [])
            if len(batches) > 2 * n:
                raise Problem(
                    Kind.TYPE, f"More than {2 * n} batches come, and there are {n} examples: does it ever end?"
                )
            for k, batch in enumerate(batches):
                yield Entry(place, "batch", _indices(batch), tensor=k)

    def interpret(self, raw: Trace, case: dict) -> Trace:
        places = [*(f"epoch {k}" for k in range(1, case["epochs"] + 1)), AGAIN]
        epochs: dict[str, list[torch.Tensor]] = {
            place: [] for place in places if not raw.problem
        }  # one that holds no batch counts, too
        for entry in raw.entries:
            epochs.setdefault(entry.place, []).append(entry.value.long())
        trace = traced(_properties(epochs, case))
        trace.problem = raw.problem
        return trace

    def result_of(self, entry: Entry, case: dict) -> str | None:
        return "the batches"

    def raw_tells(self) -> bool:
        return True

    def hide(self, cases: list[dict], draw: Callable[[Random], list[dict]], random: Random) -> list[dict]:
        """More epochs, in which a shuffle that is only a little unfair shows."""
        return [case | {"epochs": 5 * case["epochs"]} if case["epochs"] > 2 else case for case in draw(random)]

    def goes_in(self, case: dict, got: Trace, entry: Entry) -> dict[str, Any]:
        return dict(case["args"])


def _examples(case: dict) -> tuple[int, torch.Tensor]:
    labels = torch.tensor(case["args"].get("labels", []), dtype=torch.int64)
    return case["args"].get("n", len(labels)), labels


def _demand_batches(result: Any, n: int) -> None:
    if isinstance(result, torch.Tensor) and result.ndim == 1:
        hint = "cut it into batches" if len(result) == n else "is there a `return` inside the loop?"
        raise Problem(Kind.TYPE, f"It returns one tensor of {len(result)} indices, not several: {hint}.")
    if not hasattr(result, "__iter__"):
        what = "None" if result is None else f"a {type(result).__name__}"
        raise Problem(Kind.TYPE, f"It returns {what}: `return` a list of index tensors, or `yield` them one by one.")


def _indices(batch: Any) -> torch.Tensor:
    if not isinstance(batch, torch.Tensor) or batch.dtype != torch.int64 or batch.ndim != 1:
        what = f"of type {type(batch).__name__}"
        if isinstance(batch, torch.Tensor):
            what = f"a {str(batch.dtype).removeprefix('torch.')} tensor of shape {tuple(batch.shape)}"
        raise Problem(Kind.TYPE, f"Each batch must be a one-dimensional int64 tensor of indices; one is {what}.")
    return batch.detach().cpu().clone()


# --- what the batches should be ----------------------------------------------------------------------------------


def _properties(epochs: dict[str, list[torch.Tensor]], case: dict) -> Iterator[Entry]:
    """Nothing here may differ between two right answers, whatever their random numbers: a chance of 1 in 100 is met."""
    n, labels = _examples(case)
    again = epochs.get(AGAIN)
    drawn = [batches for place, batches in epochs.items() if place != AGAIN]
    if not drawn:
        return
    first, orders = drawn[0], [_joined(batches) for batches in drawn]
    sizes = [len(b) for b in first]

    def say(place: str, what: str, holds: bool) -> Entry:
        return Entry(place, what, torch.tensor(bool(holds)))

    yield Entry("epoch 1", "number of batches", torch.tensor(len(first)))
    yield Entry("epoch 1", "sizes of the batches", torch.tensor(sizes))
    yield say("every epoch", "the batches have these sizes", all([len(b) for b in e] == sizes for e in drawn))
    yield say(
        "every epoch", "no batch is too large", all(len(b) <= case["args"]["batch_size"] for e in drawn for b in e)
    )
    yield say("every epoch", "every index comes", all(torch.isin(torch.arange(n), o).all() for o in orders))
    yield say("every epoch", "no index comes twice", all(len(o.unique()) == len(o) for o in orders))
    inside = all(o.numel() and int(o.min()) >= 0 and int(o.max()) < n for o in orders)
    classes = labels if len(labels) else torch.zeros(n, dtype=torch.int64)
    if len(labels) and inside:
        yield from _by_class(drawn, labels, case["args"]["batch_size"])
    if inside and len(first) > 1:
        yield say("all epochs", "the order is shuffled", not all(_is_sorted(o, classes) for o in orders))
        yield say("all epochs", "the order changes", not all(o.equal(orders[0]) for o in orders))
        held = [{frozenset(b.tolist()) for b in batches} for batches in drawn]
        yield say("all epochs", "the batches hold other examples", any(h != held[0] for h in held))
    if again is not None:
        yield say(AGAIN, "the order is the same", _joined(again).equal(orders[0]))
    if case["epochs"] > 2 and inside:
        yield from _over_epochs(drawn, classes, f"over {case['epochs']} epochs")


def _is_sorted(order: torch.Tensor, classes: torch.Tensor) -> bool:
    """Whether the members of each class come in their own order."""
    return all(_ascends(order[classes[order] == c]) for c in classes.unique())


def _ascends(indices: torch.Tensor) -> bool:
    return bool((indices.diff() > 0).all())


def _by_class(drawn: list[list[torch.Tensor]], labels: torch.Tensor, size: int) -> Iterator[Entry]:
    share = labels.bincount() / len(labels)
    held = [[labels[b].bincount(minlength=len(share)) for b in batches] for batches in drawn]
    off = [(k - size * share).abs().max().item() for e in held for k in e if k.sum() == size]
    fits = max(off, default=0) <= 1 + 1e-6
    seen = [labels[_joined(batches)] for batches in drawn]
    equal = all(e[0].max() - e[0].min() <= 1 for e in held)
    yield Entry("every epoch", "each class has its share of every full batch", torch.tensor(fits))
    # What is wrong with the shares, so that it can be told: said of those only that do not fit.
    one_by_one = not fits and all(s.equal(s.sort().values) for s in seen)
    yield Entry("every epoch", "one class comes after the other", torch.tensor(one_by_one))
    yield Entry(
        "every epoch", "the first batch holds equal numbers of each class", torch.tensor(bool(not fits and equal))
    )


def _over_epochs(drawn: list[list[torch.Tensor]], classes: torch.Tensor, place: str) -> Iterator[Entry]:
    """Whether the order of each class's members looks drawn anew in every epoch."""
    orders = [_joined(batches) for batches in drawn]
    # Who sorts within each batch has drawn sets: then it counts in which batch an index comes, not at which place.
    sets = len(drawn[0]) > 1 and all(_ascends(b) for batches in drawn for b in batches)
    distinct = len({tuple(o.tolist()) for o in orders})
    enough = min(20, len(orders) / 2) if sets else 0.8 * len(orders)
    yield Entry(place, "hardly an order comes twice", torch.tensor(distinct >= enough))
    seen = torch.zeros(len(classes), len(classes), dtype=torch.float64)  # how often each index was at each place
    for batches, order in zip(drawn, orders, strict=True):
        if order.sort().values.equal(torch.arange(len(classes))):
            number = torch.repeat_interleave(torch.arange(len(batches)), torch.tensor([len(b) for b in batches]))
            for c in classes.unique():
                of_class = classes[order] == c
                places = number[of_class] if sets else torch.arange(int(of_class.sum()))
                seen[order[of_class], places] += 1
    yield Entry(
        place, "every index comes at some time", torch.isin(torch.arange(len(classes)), torch.cat(orders)).all()
    )
    fair = bool(seen.any()) and all(_fair(seen[classes == c]) for c in classes.unique())
    yield Entry(place, "every index comes at every place about equally often", torch.tensor(fair))


def _fair(seen: torch.Tensor) -> bool:
    """A χ² test of how often each member (rows) was at each place: false for a fair shuffle less than once in 10⁹ times."""
    seen = seen[:, seen.sum(0) > 0]
    k, places = seen.shape
    if k < 2 or places < 2:
        return True
    expected = seen.sum(0) / k
    freedom = (k - 1) * (places - 1)
    # Every member and every place is there once in each order: hence the factor (k − 1)/k.
    statistic = float(((seen - expected).square() / expected).sum()) * (k - 1) / k
    # Wilson & Hilferty (1931): the cube root of χ²/f is close to a normal variable.
    z = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / (2 / (9 * freedom)) ** 0.5
    return z < 6.0


def _joined(batches: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([torch.zeros(0, dtype=torch.int64), *batches])
