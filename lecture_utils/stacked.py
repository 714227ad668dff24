"""Many training runs at once: learning rates × seeds as one batched computation, so that error bars are cheap.

The same runs as ``training.train(mlp(seed=s), …, seed=s)``: same starting weights, same batches, equal to rounding.
All weights lie in one flat tensor, layer after layer, within a layer seed after seed, within a seed rate after rate.
An update is then a few operations on one tensor. All rates of a seed see the same batch, so the first layer of them
all is one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from lecture_utils import devices
from lecture_utils.data import Data
from lecture_utils.training import batch_sizes, call_rule, mlp, shuffled, start_state

CHUNK = 256  # examples per evaluation: what all runs compute for them should stay in the processor's cache


@dataclass(frozen=True)
class Runs:
    """The histories of all runs, as tensors on the CPU. A run that diverged has inf or nan from there on.

    The two validation curves are None for data without validation examples.
    """

    lrs: torch.Tensor  # (n_lrs,)
    seeds: tuple[int, ...]
    loss: torch.Tensor  # (n_lrs, n_seeds, steps) of each minibatch, before its step
    train_loss: torch.Tensor  # (n_lrs, n_seeds, epochs + 1) of all training examples, with the L2 penalty if any
    test_accuracy: torch.Tensor  # (n_lrs, n_seeds, epochs + 1) share of test examples, 0 to 1
    val_loss: torch.Tensor | None = None  # (n_lrs, n_seeds, epochs + 1) without penalty
    val_accuracy: torch.Tensor | None = None  # (n_lrs, n_seeds, epochs + 1)


# --- the rules of torch.optim: learning rate outside the velocity, ε outside the root. They work in place, and may
# --- overwrite the gradient. lr is a tensor of w's shape.


def sgd(w, grad, lr):
    return w.addcmul_(grad, lr, value=-1)


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
    t = t + 1
    m.lerp_(grad, 1 - beta1)
    r.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    # m̂ / (√r̂ + ε) with the corrections taken out as plain numbers: √r̂ + ε = (√r + c ε) / c
    c = math.sqrt(1 - beta2**t)
    return w.addcdiv_(torch.mul(m, lr, out=grad), r.sqrt().add_(c * eps), value=-c / (1 - beta1**t)), m, r, t


RULES: dict[str, tuple[Callable, tuple]] = {
    "sgd": (sgd, ()),
    "momentum": (momentum, (0.0,)),
    "nesterov": (nesterov, (0.0,)),
    "rmsprop": (rmsprop, (0.0,)),
    "adam": (adam, (0.0, 0.0, 0)),
}


@torch.no_grad()
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
    schedule: Callable[[int], float] | None = None,
    per_step: bool = False,
    progress: bool = False,
    **hyper: Any,
) -> Runs:
    """Train ``mlp(hidden, seed)`` for each learning rate and each seed.

    rule: "sgd", "momentum", "nesterov" (both with alpha=0.9), "rmsprop" (beta=0.99, eps=1e-8) or "adam" (beta1=0.9,
    beta2=0.999, eps=1e-8), which step as ``torch.optim`` does. Or your own step function, called as
    ``step(w, grad, *state, lr=lr, **hyper)`` with the weights of all runs in one tensor w and the rate of each in
    lr, of the same shape; ``state`` gives the starting values, as for ``training.RuleOptimizer``, by default (0.0,).
    schedule: ``schedule(epoch)``, or ``schedule(step)`` if ``per_step``, is the factor on every rate, counted from 0.
    batch_size, l2: as for ``training.train``.   hidden=0: softmax regression.
    Raises ValueError if an argument cannot be used, TypeError for a hyperparameter that the rule does not have.
    """
    lrs, seeds, sizes = _listed("lrs", lrs), _listed("seeds", seeds), batch_sizes(batch_size, epochs)
    step, start = _rule(rule, state)
    n_lrs, n_seeds, runs = len(lrs), len(seeds), len(lrs) * len(seeds)
    x, y, device = data.x, data.y, data.x.device

    weights, shapes = _stack(n_lrs, seeds, hidden, data)
    grad = torch.empty_like(weights)
    views, grad_views = _views(weights, shapes), _views(grad, shapes)
    rates = torch.tensor(lrs, dtype=x.dtype, device=device).view(1, n_lrs, 1)
    rates = torch.cat([rates.expand(n_seeds, n_lrs, math.prod(shape) // runs).reshape(-1) for shape in shapes])
    memory = start_state(start, weights)
    generators = [devices.generator(seed) for seed in seeds]

    steps = sum(math.ceil(data.n / size) for size in sizes)
    losses, done, lr = x.new_empty(runs, steps), 0, rates
    curves = [_curves(views, data, runs, l2)]
    for epoch in tqdm(range(epochs), desc="epochs", disable=not progress):
        orders = [torch.cat(list(shuffled(data.n, sizes[epoch], random))) for random in generators]
        if schedule is not None and not per_step:
            lr = rates * schedule(epoch)
        for batch in torch.stack(orders).to(device).split(sizes[epoch], dim=1):
            if schedule is not None and per_step:
                lr = rates * schedule(done)
            labels = y[batch].view(n_seeds, 1, 1, -1).expand(-1, n_lrs, -1, -1).reshape(runs, 1, -1)
            losses[:, done] = _gradient(views, grad_views, x[batch], labels)
            if l2:
                losses[:, done] += _penalty(views, runs, l2)
                grad.add_(weights, alpha=l2)
            if isinstance(rule, str):
                _, *memory = _tuple(step(weights, grad, *memory, lr=lr, **hyper))
            else:  # copies, because a rule may keep what it was given
                new, *memory = call_rule(step, weights.clone(), grad.clone(), memory, {"lr": lr, **hyper})
                weights.copy_(new)
            done += 1
        curves.append(_curves(views, data, runs, l2))

    def table(values: torch.Tensor) -> torch.Tensor:
        return values.view(n_seeds, n_lrs, -1).transpose(0, 1).contiguous().to(devices.HOST)

    return Runs(
        lrs=torch.tensor(lrs, dtype=torch.float64, device=devices.HOST),
        seeds=tuple(seeds),
        loss=table(losses),
        **{name: table(torch.stack([c[name] for c in curves], dim=1)) for name in curves[0]},
    )


def _listed(name: str, values: Sequence) -> list:
    try:
        values = list(values)
    except TypeError:
        raise ValueError(f"{name} must be a list, for example {name}=[{values}], but it is {values!r}.") from None
    if not values:
        raise ValueError(f"{name} is empty: there is nothing to run.")
    return values


def _rule(rule: str | Callable, state: Sequence | None) -> tuple[Callable, Sequence]:
    if callable(rule):
        return rule, (0.0,) if state is None else state
    if rule not in RULES:
        raise ValueError(f"There is no rule {rule!r}: choose one of {', '.join(RULES)}, or give a step function.")
    if state is not None:
        raise ValueError(f"state is for a step function of your own; {rule!r} has its own.")
    return RULES[rule]


def _tuple(result) -> tuple:
    return result if isinstance(result, tuple) else (result,)


def _stack(n_lrs: int, seeds: list[int], hidden: int, data: Data) -> tuple[torch.Tensor, list[tuple]]:
    """The starting weights of all runs in one flat tensor, and the shapes of its views: weight, bias, weight, bias."""
    sizes = {"n_features": data.n_features, "n_classes": data.n_classes}
    models = [list(mlp(hidden, seed, data.x.device, **sizes).parameters()) for seed in seeds]
    flat, shapes = [], []
    for parameters in zip(*models, strict=True):
        stack = torch.stack(parameters).to(data.x.dtype)
        n_out, n_in = stack.shape[1], math.prod(stack.shape[2:])
        flat.append(stack.view(len(seeds), 1, -1).expand(-1, n_lrs, -1).reshape(-1))
        first = len(shapes) < 2  # all rates of a seed share the input of the first layer, but not of the second
        shapes.append((len(seeds), n_lrs * n_out, n_in) if first else (len(seeds) * n_lrs, n_out, n_in))
    return torch.cat(flat), shapes


def _views(flat: torch.Tensor, shapes: list[tuple]) -> list[torch.Tensor]:
    parts = flat.split([math.prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _logits(views: list[torch.Tensor], x: torch.Tensor, runs: int) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Hidden activities (runs, hidden, B), None without a hidden layer, and logits (runs, classes, B) for x (seeds, B, features).

    Examples come last: then the softmax over classes runs along whole vectors of examples.
    """
    first = torch.baddbmm(views[1], views[0], x.mT)
    first = first.view(runs, -1, first.shape[-1])
    if len(views) == 2:
        return None, first
    return first.relu_(), torch.baddbmm(views[3], views[2], first)


def _gradient(views, grad_views, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Minibatch loss (runs,) of each run; writes its gradient. x (seeds, B, features), y (runs, 1, B).

    Backpropagation by hand: 20 % faster than autograd here, and straight into the flat gradient.
    """
    hidden, logits = _logits(views, x, len(y))
    loss = logits.log_softmax(1).gather(1, y).mean((1, 2)).neg_()
    delta = logits.softmax(1)  # ∂loss/∂logits = (softmax - one-hot) / B
    delta.scatter_add_(1, y, delta.new_full((), -1.0).expand_as(y)).div_(y.shape[-1])
    if hidden is not None:
        torch.bmm(delta, hidden.mT, out=grad_views[2])
        torch.sum(delta, 2, keepdim=True, out=grad_views[3])
        delta = torch.bmm(views[2].mT, delta).mul_(hidden.sign_())  # the slope of ReLU is the sign of its output
    delta = delta.view(len(x), -1, x.shape[1])
    torch.bmm(delta, x, out=grad_views[0])
    torch.sum(delta, 2, keepdim=True, out=grad_views[1])
    return loss


def _penalty(views: list[torch.Tensor], runs: int, l2: float) -> torch.Tensor:
    """(runs,)"""
    return l2 / 2 * sum(view.reshape(runs, -1).square().sum(1) for view in views)


def _evaluate(views: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor, runs: int) -> tuple[torch.Tensor, ...]:
    """Mean cross-entropy and share of right answers (runs,) on x (examples, features), y (examples,)."""
    loss, right = x.new_zeros(runs), x.new_zeros(runs)
    for xs, ys in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
        _, logits = _logits(views, xs.expand(len(views[0]), -1, -1), runs)
        target = ys.expand(runs, 1, -1)
        loss -= logits.log_softmax(1).gather(1, target).sum((1, 2))
        right += (logits.gather(1, target) == logits.amax(1, keepdim=True)).sum((1, 2))
    return loss / len(y), right / len(y)


def _curves(views: list[torch.Tensor], data: Data, runs: int, l2: float) -> dict[str, torch.Tensor]:
    train_loss = _evaluate(views, data.x, data.y, runs)[0]
    if l2:
        train_loss += _penalty(views, runs, l2)
    curves = {"train_loss": train_loss, "test_accuracy": _evaluate(views, data.x_test, data.y_test, runs)[1]}
    if len(data.y_val):
        curves["val_loss"], curves["val_accuracy"] = _evaluate(views, data.x_val, data.y_val, runs)
    return curves
