"""Observers: ways to call a student's function on a case and write down what comes back.

An observer is a generator: it yields a (label, value) pair for each returned array, so that a function which fails
at its third step still shows two. Labels read "place: name", for example "step 2: w". Arguments are copied before
every call, so working in place is allowed; what counts is what is returned.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import torch

from lecture_utils.checks.calling import TimedOut, at, call, time_limit, undisturbed
from lecture_utils.checks.resume import Observation, resume, start_server
from lecture_utils.checks.traces import ONE_BY_ONE, Problem, Trace, as_tensor, from_numbers

TIME_LIMIT = 10.0  # seconds for all cases of one exercise: a right answer needs milliseconds


def observe(
    function: Callable, observer: str, cases: list[dict], settings: dict, limit: float = TIME_LIMIT
) -> list[Trace]:
    """Call ``function`` on every case. Never raises for what student code does: a ``Trace`` holds the problem."""
    traces = []
    if observer == "resume":
        start_server()  # before the clock starts
    try:
        with time_limit(limit), undisturbed():
            for case in cases:
                traces.append(traced(OBSERVERS[observer](function, case, **settings)))
    except TimedOut:
        text = f"Still running after {limit:g} seconds, so it was stopped. Is there a loop that never ends?"
        traces += [Trace(problem=Problem("timeout", text))] * (len(cases) - len(traces))
    return traces


def traced(observation: Observation) -> Trace:
    trace = Trace()
    try:
        for label, value in observation:
            trace.entries.append((label, value))
    except Problem as problem:
        trace.problem = problem
    return trace


# --- the observers -----------------------------------------------------------------------------------------------


def steps(function: Callable, case: dict, arguments: list[str], returns: list[str]) -> Observation:
    """A stepping rule such as ``momentum_step(w, grad, delta, lr, alpha) -> (w, delta)``.

    A case holds ``start``: for each tensor a dictionary of w and state (nested lists, whole numbers, or None);
    ``grads``: for each step and tensor a gradient, or ``curvature`` and ``center`` per tensor when the rule asks for a
    function ``grad_fn(w)``; ``hyper``: hyperparameters, a list being one value per step. The tensors take turns,
    so that state kept outside the arguments is mixed up and shows.
    """
    dtype = getattr(torch, case.get("dtype", "float64"))
    tensors = [{name: _state(value, dtype) for name, value in start.items()} for start in case["start"]]
    for step in range(case["steps"]):
        hyper = {name: value[step] if isinstance(value, list) else value for name, value in case["hyper"].items()}
        place = f"step {step + 1}"
        for i, now in enumerate(tensors):
            if "grads" in case:
                hyper["grad"] = _state(case["grads"][step][i], dtype)
            else:
                hyper["grad_fn"] = _quadratic(case["curvature"][i], case["center"][i], dtype)
            shape = tuple(now["w"].shape)
            with at(place, f"It is called for each parameter; here w has the shape {shape}." if i else ""):
                result = call(function, [_copy({**hyper, **now}[a]) for a in arguments], arguments)
                for name, value in zip(returns, _unpack(result, returns), strict=True):
                    counts = isinstance(now[name], int)
                    value = as_tensor(value, f"The returned {name}", None if counts else dtype)
                    yield f"{place}: {name} {shape}", value
                    if value.shape != (() if counts else shape):
                        return  # what comes after it would depend on how the student broadcasts
                    now[name] = int(value) if counts and math.isfinite(value) else value
            if "last_grad" in now:  # a rule that compares two gradients is given the one before
                now["last_grad"] = hyper["grad"]


def values(
    function: Callable, case: dict, arguments: list[str], raises: str | None = None, none: bool = False
) -> Observation:
    """A plain function: one call with ``case["args"]``, or one for each of ``case["calls"]``, {place: args}.

    Nested lists arrive as float64 tensors; as plain lists if ``case["plain"]``. ``raises`` names the exception that
    the exercise asks for on bad arguments: raising it is then an answer. So is None, if ``none``.
    """
    for place, given in case.get("calls", {"result": case.get("args")}).items():
        args = [_argument(given[name], case) for name in arguments]
        with at(place):
            try:
                result = call(function, args, arguments)
            except Problem as problem:
                if raises and type(problem.__cause__).__name__ == raises:
                    yield f"{raises}: raised", torch.tensor(1.0)
                    return
                raise
            if none and result is None:
                yield f"{place}: None", torch.tensor(1.0)
            else:
                yield f"{place}: value", as_tensor(result, "The result")


def batches(function: Callable, case: dict, arguments: list[str]) -> Observation:
    """Index batches, ``f(n or labels, batch_size, generator)``, by their properties: their order is the generator's.

    A case holds ``args`` without the generator, whose ``seed`` is given. With labels, every full batch must hold each
    class in its share of the whole, to within one example.
    """
    labels = torch.tensor(case["args"].get("labels", []), dtype=torch.int64)
    n, size = case["args"].get("n", len(labels)), case["args"]["batch_size"]

    def epoch(generator: torch.Generator) -> list[torch.Tensor]:
        given = case["args"] | {"labels": labels.clone(), "generator": generator}
        result = call(function, [given[name] for name in arguments], arguments)
        if isinstance(result, torch.Tensor) and result.ndim == 1:
            hint = "cut it into batches" if len(result) == n else "is there a `return` inside the loop?"
            raise Problem("type", f"It returns one tensor of {len(result)} indices, not several: {hint}.")
        if not hasattr(result, "__iter__"):
            what = "None" if result is None else f"a {type(result).__name__}"
            raise Problem("type", f"It returns {what}: `return` a list of index tensors, or `yield` them one by one.")
        return call(lambda: [_indices(b) for b in islice(result, 2 * n)], [], [])

    generator = torch.Generator().manual_seed(case["seed"])
    torch.manual_seed(case["seed"])  # who draws from torch's own generator draws the same every time
    with at("epoch 1"):
        first = epoch(generator)
        yield "epoch 1: the number of batches", torch.tensor(len(first))
        yield "epoch 1: the sizes of the batches", torch.tensor([len(b) for b in first])
        every = torch.cat([torch.zeros(0, dtype=torch.int64), *first])
        yield "epoch 1: no batch is too large", torch.tensor(all(len(b) <= size for b in first))
        yield "epoch 1: every index comes", torch.isin(torch.arange(n), every).all()
        yield "epoch 1: no index comes twice", torch.tensor(len(every.unique()) == len(every))
        if not len(labels):
            yield "epoch 1: the order is shuffled", torch.tensor(not every.equal(every.sort().values))
        elif every.numel() and every.min() >= 0 and every.max() < n:
            one, seen = every[labels[every] == labels[0]], labels[every]
            yield "epoch 1: the order within a class is shuffled", torch.tensor(not one.equal(one.sort().values))
            share = labels.bincount() / n
            held = [labels[b].bincount(minlength=len(share)) for b in first]
            off = [(k - len(b) * share).abs().max().item() for b, k in zip(first, held, strict=True) if len(b) == size]
            yield "epoch 1: one class comes after the other", torch.tensor(seen.equal(seen.sort().values))
            yield "epoch 1: the first batch holds equal numbers of each class", held[0].max() - held[0].min() <= 1
            yield "epoch 1: each class has its share of every full batch", torch.tensor(max(off, default=0) <= 1 + 1e-6)
    with at("epoch 2"):
        second = epoch(generator)
        again = torch.cat([torch.zeros(0, dtype=torch.int64), *second])
        yield "epoch 2: the order is another one", torch.tensor(not again.equal(every))
        if len(first) > 1:
            held = [{frozenset(b.tolist()) for b in batches} for batches in (first, second)]
            yield "epoch 2: the batches hold other examples", torch.tensor(held[0] != held[1])
    with at("the same seed again"):
        torch.manual_seed(case["seed"] + 1)  # … until here
        same = torch.cat([torch.zeros(0, dtype=torch.int64), *epoch(torch.Generator().manual_seed(case["seed"]))])
        yield "the same seed again: the order is the same", torch.tensor(same.equal(every))


def _indices(batch: Any) -> torch.Tensor:
    if not isinstance(batch, torch.Tensor) or batch.dtype != torch.int64 or batch.ndim != 1:
        what = f"of type {type(batch).__name__}"
        if isinstance(batch, torch.Tensor):
            what = f"a {str(batch.dtype).removeprefix('torch.')} tensor of shape {tuple(batch.shape)}"
        raise Problem("type", f"Each batch must be a one-dimensional int64 tensor of indices; one is {what}.")
    return batch.cpu()


def optimizer_rates(function: Callable, case: dict, arguments: list[str]) -> Observation:
    """``adjust(optimizer, epoch, …)``: the learning rate of each parameter group after a call for each epoch."""
    groups = [{"params": [torch.zeros(k + 1, requires_grad=True)], "lr": lr} for k, lr in enumerate(case["lrs"])]
    optimizer = torch.optim.SGD(groups)
    for epoch in case["epochs"]:
        given = case["args"] | {"optimizer": optimizer, "epoch": epoch}
        with at(f"epoch {epoch}"):
            call(function, [given[name] for name in arguments], arguments)
            for k, group in enumerate(optimizer.param_groups):
                yield f"epoch {epoch}: the rate of group {k}", as_tensor(_rate(group), "The learning rate")


def _rate(group: Any) -> Any:
    """The rate of a group, which student code may have made or spoilt."""
    if not isinstance(group, dict) or "lr" not in group:
        text = (
            'A parameter group must be a dictionary that holds the learning rate as "lr": so every scheduler finds it.'
        )
        raise Problem("type", text)
    return group["lr"]


def lambda_rates(function: Callable, case: dict, arguments: list[str]) -> Observation:
    """``f(…)`` makes a function for LambdaLR: what that gives for some epochs, then the rates of a real LambdaLR."""
    made = call(function, list(case["args"].values()), arguments)
    if made is None:
        text = "It returns None. A function that is defined inside must be returned, too: by its name, without ( )."
        raise Problem("none", text)
    if not callable(made):
        number = isinstance(made, (int, float, torch.Tensor))  # has a misconception of its own
        text = f"It must return a function of the epoch; yours returns a {type(made).__name__}."
        raise Problem("type", text, place="" if number else "what it returns")
    call(function, list(case["other"].values()), arguments)  # another one, made later, must not change the first
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=case["lr"])

    def factor(epoch: int) -> torch.Tensor:
        try:
            return as_tensor(call(made, [epoch], ["epoch"]), "The factor")
        except Problem as problem:
            if problem.kind == "arity":
                raise Problem("arity", "The function that you return must take one argument, the epoch.") from None
            raise

    for epoch in case["epochs"]:
        with at(f"epoch {epoch}"):
            yield f"epoch {epoch}: the factor", factor(epoch)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: factor(epoch).item())
    for epoch in range(4):
        yield f"LambdaLR in epoch {epoch}: the rate", as_tensor(optimizer.param_groups[0]["lr"], "The rate")
        optimizer.step()
        scheduler.step()


def optimizer_class(function: Callable, case: dict) -> Observation:
    """A ``torch.optim.Optimizer`` of one's own: the parameters after each step.

    A case holds ``groups`` (per group: its arguments and the starting parameters), ``arguments`` of the constructor,
    ``grads`` (per step, per parameter, None for no gradient), and the steps before which the rates of all groups are
    multiplied (``lr_times``: {step: factor}) and before which a new optimizer takes over by ``state_dict`` (``restart``).
    """

    def made(values: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.optim.Optimizer]:
        params = [torch.nn.Parameter(value.clone()) for value in values]
        rest = iter(params)
        groups = [{"params": [next(rest) for _ in g["start"]], **g["arguments"]} for g in case["groups"]]
        # keyword arguments, as everybody passes them
        optimizer = call(lambda: function(groups, **case["arguments"]), [], [])
        if not isinstance(optimizer, torch.optim.Optimizer):
            what = "None" if optimizer is None else f"of type {type(optimizer).__name__}"
            raise Problem("type", f"What comes back is {what}; it must be a torch.optim.Optimizer.")
        if not hasattr(optimizer, "param_groups"):
            text = "It has no param_groups: `__init__` must call that of torch.optim.Optimizer, with super()."
            raise Problem("type", text)
        return params, optimizer

    params, optimizer = made([from_numbers(v) for g in case["groups"] for v in g["start"]])
    for step, grads in enumerate(case["grads"]):
        place = f"step {step + 1}"
        with at(place):
            if step == case["restart"]:
                saved = call(optimizer.state_dict, [], [])
                params, optimizer = made([p.detach() for p in params])
                call(lambda o=optimizer, saved=saved: o.load_state_dict(saved), [], [])
            for group in optimizer.param_groups:
                group["lr"] = _rate(group) * case["lr_times"].get(str(step), 1.0)
            for p, grad in zip(params, grads, strict=True):
                p.grad = None if grad is None else from_numbers(grad)
            try:
                call(optimizer.step, [], [])
            except Problem as problem:
                if "requires grad" in str(problem.__cause__):
                    text = "A parameter is changed in place where autograd records: put the step under torch.no_grad()."
                    raise Problem("no_grad", text) from None
                raise
            for k, p in enumerate(params):
                yield f"{place}: parameter {k}", as_tensor(p, "The parameter")


def optimizer_by_name(function: Callable, case: dict) -> Observation:
    """``make(name, params)`` returns an optimizer: as ``optimizer_class``, with one group, and ``case["name"]``."""
    return optimizer_class(lambda groups: call(function, [case["name"], groups[0]["params"]], ["name", "params"]), case)


def answer(value: Any, case: dict, words: Sequence[str] = ()) -> Observation:
    """One part of an answer that is no function but a list: ``value[case["part"]]``, a number, or one of ``words``."""
    with at("the answer"):
        if not isinstance(value, (list, tuple)) or len(value) <= case["part"]:
            raise Problem("type", f"A list is expected, with an entry for each part, in order; this is {value!r:.80}.")
        if value[case["part"]] is None:
            raise Problem("not_written", "Replace the None of this part.")
        part = value[case["part"]]
        if words:
            if (word := str(part).strip().lower()) not in words:
                raise Problem("type", f"Part {case['part'] + 1} is {part!r:.40}; it must be one of {', '.join(words)}.")
            part = words.index(word)
        yield "the answer: value", as_tensor(part, "This part")


OBSERVERS = {
    "steps": steps,
    "values": values,
    "batches": batches,
    "optimizer_rates": optimizer_rates,
    "lambda_rates": lambda_rates,
    "optimizer_class": optimizer_class,
    "optimizer_by_name": optimizer_by_name,
    "answer": answer,
    "resume": resume,
}


# --- arguments and results --------------------------------------------------------------------------------------------


def _unpack(result: Any, returns: list[str]) -> list:
    if len(returns) == 1:
        return [result]
    if result is None:
        raise Problem("none", "It returns None. Does it end in `return …`?")
    if hasattr(result, "__next__"):
        raise Problem("generator", ONE_BY_ONE.format(what="It", kind=type(result).__name__))
    if isinstance(result, (tuple, list)) and len(result) == len(returns):
        return list(result)
    many = len(result) if isinstance(result, (tuple, list)) else 1
    raise Problem(
        "too_many" if many > len(returns) else "too_few",
        f"It must return {len(returns)} things, ({', '.join(returns)}), in this order; yours returns {many}.",
    )


def _state(value: Any, dtype: torch.dtype) -> Any:
    return value if value is None or isinstance(value, int) else from_numbers(value).to(dtype)


def _argument(value: Any, case: dict) -> Any:
    return from_numbers(value) if isinstance(value, list) and not case.get("plain") else _copy(value)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else copy.copy(value)


def _quadratic(curvature: Any, center: Any, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    h, c = _state(curvature, dtype), _state(center, dtype)
    return lambda w: h * (torch.as_tensor(w) - c)
