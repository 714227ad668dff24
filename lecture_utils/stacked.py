"""Many training runs at once, learning rates × seeds as one batched computation, so that error bars are cheap.

The same as ``training.train(mlp(seed=s), …, seed=s)`` for each: same starting weights, same batches, equal to rounding.
All weights are one flat tensor, layer by layer, within a layer seed by seed, within a seed rate by rate: an update is
a few operations on it, and the first layer of all rates of a seed, which see the same batch, one matrix product.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lecture_utils.data import Data
from lecture_utils.devices import HOST, generator
from lecture_utils.training import History, batch_sizes, call_rule, curves, mlp, shuffled, start_state


@dataclass(frozen=True, kw_only=True)
class Runs(History):
    """The ``History`` of all runs: loss (n_lrs, n_seeds, steps), lr (n_lrs, steps), curves (n_lrs, n_seeds, epochs + 1).

    A run that diverged has inf or nan from there on; the others do not notice.
    """

    lrs: Tensor  # (n_lrs,)
    seeds: tuple[int, ...]


# The rules as torch.optim has them (lr outside the velocity, ε outside the root), in place, the gradient as scratch.


def sgd(w, grad, lr):
    return (w.addcmul_(grad, lr, value=-1),)


def momentum(w, grad, velocity, lr, alpha=0.9):
    velocity.mul_(alpha).add_(grad)
    return w.addcmul_(velocity, lr, value=-1), velocity


def nesterov(w, grad, velocity, lr, alpha=0.9):
    velocity.mul_(alpha).add_(grad)
    return w.addcmul_(grad.add_(velocity, alpha=alpha), lr, value=-1), velocity


def rmsprop(w, grad, r, lr, beta=0.99, eps=1e-8):
    r.mul_(beta).addcmul_(grad, grad, value=1 - beta)
    return w.addcdiv_(grad.mul_(lr), r.sqrt().add_(eps), value=-1), r


def adam(w, grad, m, r, t, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    m.lerp_(grad, 1 - beta1)
    r.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    c1, c2 = 1 - beta1 ** (t + 1), math.sqrt(1 - beta2 ** (t + 1))  # (m/c1) / (√r/c2 + ε) = c2/c1 · m / (√r + c2 ε)
    return w.addcdiv_(torch.mul(m, lr, out=grad), r.sqrt().add_(c2 * eps), value=-c2 / c1), m, r, t + 1


RULES = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "rmsprop": rmsprop, "adam": adam}
STATES = {"sgd": (), "adam": (0.0, 0.0, 0)}  # of the others: (0.0,)

WORTH_A_THREAD = 3e6  # multiplications per step, measured with two threads: at 1e6 slower than one, at 5e6 faster


def sweep(rule: str | Callable, *, lrs: Sequence[float], seeds: Sequence[int], data: Data, epochs: int,
          batch_size: int | Sequence[int] = 64, hidden: int = 64, l2: float = 0.0, state: Sequence | None = None,
          schedule: Callable[[int], float | Sequence[float]] | None = None, progress: bool = False, **hyper: Any,
          ) -> Runs:  # fmt: skip
    """Train ``mlp(hidden, seed)`` on ``data`` for each learning rate and each seed.

    rule: "sgd", "momentum", "nesterov" (alpha=0.9), "rmsprop" (beta=0.99, eps=1e-8) or "adam" (beta1=0.9,
    beta2=0.999, eps=1e-8), which step as ``torch.optim`` does. Or your own step function, called as
    ``step(w, grad, *state, lr=lr, **hyper)`` with the weights of all runs in w and the rate of each weight in lr;
    ``state`` gives what the state starts from, as for ``training.RuleOptimizer``, by default (0.0,).
    schedule: ``schedule(epoch)``, counted from 0, is a factor on every rate, or gives one for each.
    batch_size: one, or one per epoch.   l2: adds l2/2 · ‖weights and biases‖² to the training loss.
    Raises ValueError if an argument cannot be used, TypeError for a hyperparameter that the rule does not have.
    """
    if isinstance(rule, str) and (rule not in RULES or state is not None):
        raise ValueError(f"rule={rule!r}: give one of {', '.join(RULES)} (without state), or your own step function.")
    start = STATES.get(rule, (0.0,)) if state is None else state
    lrs = torch.as_tensor(lrs, dtype=torch.float64, device=HOST).reshape(-1)
    seeds, sizes = tuple(map(int, seeds)), batch_sizes(batch_size, epochs)
    if not len(lrs) or not seeds:
        raise ValueError("lrs and seeds must each have at least one entry.")
    job = _Job(rule, start, hyper, _rates(lrs, schedule, epochs), sizes, hidden, l2, data)
    with tqdm(total=epochs * len(seeds), desc="epochs × seeds", disable=not progress) as bar:
        tables = _train_all(job, seeds, bar.update)
    whole = {name: torch.cat([table[name] for table in tables], dim=1) for name in tables[0]}
    steps = torch.tensor([math.ceil(data.n / size) for size in sizes], device=HOST)
    return Runs(lrs=lrs, seeds=seeds, lr=job.rates.repeat_interleave(steps, dim=1), **whole)


@dataclass(frozen=True)
class _Job:
    """What all runs of a sweep have in common."""

    rule: str | Callable
    start: Sequence
    hyper: dict[str, Any]
    rates: Tensor  # (n_lrs, epochs)
    sizes: list[int]  # of the batches in each epoch
    hidden: int
    l2: float
    data: Data


def _rates(lrs: Tensor, schedule: Callable | None, epochs: int) -> Tensor:
    """The learning rates (n_lrs, epochs). Raises ValueError if ``schedule`` gives another number of factors."""
    rates = []
    for epoch in range(epochs):
        factor = torch.as_tensor(schedule(epoch) if schedule else 1.0, dtype=lrs.dtype, device=HOST)
        if factor.shape not in ((), lrs.shape):
            raise ValueError(
                f"schedule({epoch}) gave {factor.numel()} factors for {len(lrs)} rates: give one, or one for each."
            )
        rates.append(lrs * factor)
    return torch.stack(rates, dim=1)


def _train_all(job: _Job, seeds: Sequence[int], done: Callable[[int], Any]) -> list[dict[str, Tensor]]:
    """The curves of all runs, some seeds to a table.

    Some seeds go to each core, in threads that never wait for each other, so that a busy core holds up no other; but
    where a step is short, the threads would fight for the interpreter, and be slower than one. A rule of your own may
    not stand threads, and stays in this one, where it can be interrupted.
    """
    data, per_seed = job.data, len(job.rates) * min(job.sizes)
    work = per_seed * (job.hidden or data.n_classes) * data.n_features  # multiplications in the first layer, each step
    spread = isinstance(job.rule, str) and data.x.device.type == HOST.type and torch.get_num_threads() == 1
    cores = (os.cpu_count() or 1) if spread else 1
    share = max(math.ceil(len(seeds) / cores), math.ceil(WORTH_A_THREAD / work))
    parts = [seeds[i : i + share] for i in range(0, len(seeds), share)]
    if len(parts) == 1:
        return [_train(job, seeds, done)]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda part: _train(job, part, done), parts))


@torch.no_grad()
def _train(job: _Job, seeds: Sequence[int], done: Callable[[int], Any]) -> dict[str, Tensor]:
    """The curves (n_lrs, n_seeds, points) of the runs of ``seeds``, by name."""
    data, n_lrs, n_seeds, losses = job.data, len(job.rates), len(seeds), []
    runs, randoms = n_seeds * n_lrs, [generator(seed) for seed in seeds]
    weights, shapes = _stack(n_lrs, seeds, job.hidden, data)
    memory, grad = start_state(job.start, weights), torch.empty_like(weights)
    views, grad_views = _views(weights, shapes), _views(grad, shapes)
    history = [_point(job, views, runs)]
    for epoch, size in enumerate(job.sizes):
        order = torch.stack([torch.cat(shuffled(data.n, size, random)) for random in randoms]).to(data.x.device)
        labels = data.y[order].view(n_seeds, 1, 1, -1).expand(-1, n_lrs, -1, -1).reshape(runs, 1, -1)
        lr = _of_each_weight(job.rates[:, epoch], shapes, weights, n_seeds)
        for batch, y in zip(order.split(size, 1), labels.split(size, 2), strict=True):
            losses.append(_backward(views, grad_views, data.x[batch], y))
            if job.l2:
                losses[-1] += _penalty(job, views, runs)
                grad.add_(weights, alpha=job.l2)
            memory = _step(job, weights, grad, memory, lr)
        history.append(_point(job, views, runs))
        done(n_seeds)
    table = {"loss": losses} | {name: [values[name] for values in history] for name in history[0]}
    tensors = {name: torch.stack(values).to(HOST).view(-1, n_seeds, n_lrs) for name, values in table.items()}
    return {name: tensor.permute(2, 1, 0) for name, tensor in tensors.items()}


def _step(job: _Job, weights: Tensor, grad: Tensor, memory: Sequence, lr: Tensor) -> Sequence:
    """One step in place; returns what the rule keeps in memory."""
    if isinstance(job.rule, str):
        return RULES[job.rule](weights, grad, *memory, lr=lr, **job.hyper)[1:]
    # Copies, because a rule of your own may keep what it is given.
    w, *memory = call_rule(job.rule, weights.clone(), grad.clone(), memory, job.hyper | {"lr": lr})
    weights.copy_(w)
    return memory


def _point(job: _Job, views: list[Tensor], runs: int) -> dict[str, Tensor]:
    """One point (runs,) of each curve."""
    values = curves(lambda x, y: _score(views, runs, x, y), job.data)
    return values | {"train_loss": values["train_loss"] + _penalty(job, views, runs)}


def _penalty(job: _Job, views: list[Tensor], runs: int) -> Tensor | float:
    return job.l2 / 2 * sum(view.reshape(runs, -1).square().sum(1) for view in views) if job.l2 else 0.0


def _stack(n_lrs: int, seeds: Sequence[int], hidden: int, data: Data) -> tuple[Tensor, list[tuple]]:
    """The starting weights of all runs, flat, and the shapes of the views: weight, bias, weight, bias."""
    sizes = {"n_features": data.n_features, "n_classes": data.n_classes}
    models = [mlp(hidden, seed, data.x.device, **sizes).parameters() for seed in seeds]
    weights, shapes = [], []
    for parameters in zip(*models, strict=True):
        n_out, n_in = parameters[0].shape[0], math.prod(parameters[0].shape[1:])
        w = torch.stack(parameters).to(data.x).view(len(seeds), 1, -1).expand(-1, n_lrs, -1)
        weights.append(w.reshape(-1))
        first = len(shapes) < 2  # in the first layer all rates of a seed have the same input
        shapes.append((len(seeds), n_lrs * n_out, n_in) if first else (len(seeds) * n_lrs, n_out, n_in))
    return torch.cat(weights), shapes


def _of_each_weight(lrs: Tensor, shapes: list[tuple], weights: Tensor, n_seeds: int) -> Tensor:
    """The rate of each weight, in their order."""
    rates = lrs.to(weights).view(1, -1, 1)
    sizes = [math.prod(shape) // (n_seeds * len(lrs)) for shape in shapes]
    return torch.cat([rates.expand(n_seeds, -1, size).reshape(-1) for size in sizes])


def _views(flat: Tensor, shapes: list[tuple]) -> list[Tensor]:
    return [part.view(shape) for part, shape in zip(flat.split(list(map(math.prod, shapes))), shapes, strict=True)]


def _forward(views: list[Tensor], runs: int, x: Tensor) -> list[Tensor]:
    """[hidden units (runs, hidden, B),] logits (runs, classes, B) for x (n_seeds, B, features).

    Examples come last, so that a softmax runs along vectors of examples; over ten classes at a time it is slow.
    """
    first = torch.baddbmm(views[1], views[0], x.mT).view(runs, -1, x.shape[1])
    return [first] if len(views) == 2 else [first.relu_(), torch.baddbmm(views[3], views[2], first)]


def _backward(views: list[Tensor], grads: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Write the gradient of the minibatch x (n_seeds, B, features), y (runs, 1, B); return its loss (runs,).

    By hand, because that is 20 % faster than autograd, straight into the flat gradient.
    """
    *hidden, logits = _forward(views, len(y), x)
    delta = logits.softmax(1)  # ∂loss/∂logits = (softmax - one-hot) / B
    delta.scatter_add_(1, y, delta.new_full((), -1.0).expand_as(y)).div_(y.shape[-1])
    if hidden:
        torch.bmm(delta, hidden[0].mT, out=grads[2])
        torch.sum(delta, 2, keepdim=True, out=grads[3])
        delta = torch.bmm(views[2].mT, delta).mul_(hidden[0].sign_())  # the slope of ReLU is the sign of its output
    delta = delta.view(len(x), -1, x.shape[1])
    torch.bmm(delta, x, out=grads[0])
    torch.sum(delta, 2, keepdim=True, out=grads[1])
    return -logits.log_softmax(1).gather(1, y).mean((1, 2))


def _score(views: list[Tensor], runs: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and accuracy, both (runs,), on x (examples, features), y (examples,)."""
    loss = right = 0
    for xs, ys in zip(x.split(256), y.split(256), strict=True):  # pieces that fit into the processor's cache
        logits = _forward(views, runs, xs.expand(len(views[0]), -1, -1))[-1]
        ys = ys.expand(runs, 1, -1)
        loss = loss - logits.log_softmax(1).gather(1, ys).sum((1, 2))
        right = right + (logits.gather(1, ys) == logits.amax(1, keepdim=True)).sum((1, 2))
    return loss / len(x), right.to(x.dtype) / len(x)
