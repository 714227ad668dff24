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


def sweep(
    rule: str | Callable,
    *,
    lrs: Sequence[float],
    seeds: Sequence[int],
    data: Data,
    epochs: int,
    batch_size: int | Sequence[int] = 64,
    hidden: int = 64,
    l2: float = 0.0,
    state: Sequence | None = None,
    schedule: Callable[[int], float | Sequence[float]] | None = None,
    progress: bool = False,
    **hyper: Any,
) -> Runs:
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
    step, start = RULES.get(rule, rule), STATES.get(rule, (0.0,)) if state is None else state
    lrs = torch.as_tensor(lrs, dtype=torch.float64, device=HOST).reshape(-1)
    seeds, sizes, n_lrs = tuple(map(int, seeds)), batch_sizes(batch_size, epochs), len(lrs)
    if not n_lrs or not seeds:
        raise ValueError("lrs and seeds must each have at least one entry.")

    def factor(epoch: int) -> Tensor:
        value = torch.as_tensor(schedule(epoch) if schedule else 1.0, dtype=lrs.dtype, device=HOST)
        if value.shape not in ((), lrs.shape):
            raise ValueError(
                f"schedule({epoch}) gave {value.numel()} factors for {n_lrs} rates: give one, or one for each."
            )
        return value.expand(n_lrs)

    rates = torch.stack([lrs * factor(epoch) for epoch in range(epochs)], dim=1)

    @torch.no_grad()
    def run(seeds: Sequence[int]) -> dict[str, Tensor]:
        runs, randoms, losses = len(seeds) * n_lrs, [generator(seed) for seed in seeds], []
        weights, shapes = _stack(n_lrs, seeds, hidden, data)
        memory, grad = start_state(start, weights), torch.empty_like(weights)
        views, grad_views = _views(weights, shapes), _views(grad, shapes)

        def penalty() -> Tensor | float:
            return l2 / 2 * sum(view.reshape(runs, -1).square().sum(1) for view in views) if l2 else 0.0

        def point() -> dict[str, Tensor]:
            values = curves(lambda x, y: _score(views, runs, x, y), data)
            return values | {"train_loss": values["train_loss"] + penalty()}

        history = [point()]
        for epoch, size in enumerate(sizes):
            order = torch.stack([torch.cat(shuffled(data.n, size, random)) for random in randoms]).to(data.x.device)
            labels = data.y[order].view(len(seeds), 1, 1, -1).expand(-1, n_lrs, -1, -1).reshape(runs, 1, -1)
            lr = _of_each_weight(rates[:, epoch], shapes, weights, len(seeds))
            for batch, y in zip(order.split(size, 1), labels.split(size, 2), strict=True):
                losses.append(_backward(views, grad_views, data.x[batch], y))
                if l2:
                    losses[-1] += penalty()
                    grad.add_(weights, alpha=l2)
                if isinstance(rule, str):
                    _, *memory = step(weights, grad, *memory, lr=lr, **hyper)
                else:  # copies, because a rule may keep what it is given
                    w, *memory = call_rule(step, weights.clone(), grad.clone(), memory, hyper | {"lr": lr})
                    weights.copy_(w)
            history.append(point())
            bar.update(len(seeds))
        table = {"loss": losses} | {name: [values[name] for values in history] for name in history[0]}
        tensors = {name: torch.stack(values).to(HOST).view(-1, len(seeds), n_lrs) for name, values in table.items()}
        return {name: tensor.permute(2, 1, 0) for name, tensor in tensors.items()}

    # Some seeds to each core, in threads that never wait for each other, so that a busy core holds up no other; but
    # where a step is short, the threads would fight for the interpreter, and be slower than one. A rule of your own may
    # not stand threads, and stays in this one, where it can be interrupted.
    spread = isinstance(rule, str) and data.x.device.type == HOST.type and torch.get_num_threads() == 1
    of_a_seed = n_lrs * min(sizes) * (hidden or data.n_classes) * data.n_features  # multiplications in the first layer
    share = max(math.ceil(len(seeds) / ((os.cpu_count() or 1) if spread else 1)), math.ceil(WORTH_A_THREAD / of_a_seed))
    parts = [seeds[i : i + share] for i in range(0, len(seeds), share)]
    bar = tqdm(total=epochs * len(seeds), desc="epochs × seeds", disable=not progress)
    with bar, ThreadPoolExecutor() as pool:
        tables = list(pool.map(run, parts)) if len(parts) > 1 else [run(seeds)]
    steps = torch.tensor([math.ceil(data.n / size) for size in sizes], device=HOST)
    whole = {name: torch.cat([table[name] for table in tables], dim=1) for name in tables[0]}
    return Runs(lrs=lrs, seeds=seeds, lr=rates.repeat_interleave(steps, dim=1), **whole)


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
