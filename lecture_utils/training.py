"""The training loop: one small network, one readable loop, and an optimizer that applies your own step function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from lecture_utils.data import Data
from lecture_utils.devices import HOST, Device, generator, pick_device


@dataclass(frozen=True, kw_only=True)
class History:
    """What happened in a run, as tensors on the CPU. Curves hold the start and the end of each epoch."""

    loss: Tensor  # (steps,) of each minibatch, before its step
    lr: Tensor  # (steps,) the learning rate that each step used, in the optimizer's first group
    train_loss: Tensor  # (epochs + 1,) of all training examples
    test_accuracy: Tensor  # (epochs + 1,) share of the test examples, 0 to 1
    val_loss: Tensor | None = None  # (epochs + 1,), None without validation examples
    val_accuracy: Tensor | None = None  # (epochs + 1,) likewise


def mlp(
    hidden: int = 64, seed: int = 0, device: Device = None, *, n_features: int = 64, n_classes: int = 10
) -> nn.Sequential:
    """One hidden layer of ReLU units; by default 64-64-10 with 4,810 weights, the network of this course.

    ``hidden=0`` leaves the layer out: softmax regression, whose loss is convex. Weights and biases are uniform in
    ±1/√(inputs of the layer), PyTorch's default, and depend on ``seed`` alone, not on the device.
    """
    random, layers = generator(seed), []
    for n_in, n_out in pairwise([n_features, hidden, n_classes] if hidden else [n_features, n_classes]):
        layer = nn.utils.skip_init(nn.Linear, n_in, n_out, device=HOST)  # does not touch the global generator
        for p in layer.parameters():
            nn.init.uniform_(p, -(n_in**-0.5), n_in**-0.5, generator=random)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(device or pick_device())


def shuffled(n: int, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """The numbers 0 … n-1 in random order, in pieces of ``batch_size``; the last one may be shorter."""
    return torch.randperm(n, generator=generator, device=HOST).split(batch_size)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, data: Data, *, epochs: int,
          batch_size: int | Sequence[int] = 64, seed: int = 0, scheduler: Any = None, per_step: bool = False,
          progress: bool = False) -> History:  # fmt: skip
    """Train ``model`` in place on the mean cross-entropy of ``data``.

    batch_size: one number, or one per epoch.   seed: of the order of the examples.
    scheduler: from ``torch.optim.lr_scheduler``, stepped after each epoch, or after each step if ``per_step``.
    Raises ValueError if an argument cannot be used. A run that diverges is no error: its losses become inf or nan.
    """
    sizes = batch_sizes(batch_size, epochs)
    _check(model, optimizer, data.x)
    random, losses, rates, history = generator(seed), [], [], [curves(partial(_score, model), data)]
    for epoch in tqdm(range(epochs), desc="epochs", disable=not progress):
        model.train()
        for batch in shuffled(data.n, sizes[epoch], random):
            batch = batch.to(data.x.device)
            loss = F.cross_entropy(model(data.x[batch]), data.y[batch])
            optimizer.zero_grad()
            loss.backward()
            losses.append(loss.detach())
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if scheduler and per_step:
                scheduler.step()
        history.append(curves(partial(_score, model), data))
        if scheduler and not per_step:
            seen = history[-1].get("val_loss", history[-1]["train_loss"])
            scheduler.step(*[seen] if isinstance(scheduler, ReduceLROnPlateau) else [])
    table = {"loss": losses} | {name: [point[name] for point in history] for name in history[0]}
    lr = torch.tensor(rates, dtype=torch.float64, device=HOST)
    return History(lr=lr, **{name: torch.stack(values).to(HOST) for name, values in table.items()})


def curves(score: Callable, data: Data) -> dict[str, Tensor]:
    """One point of each curve of a ``History``; ``score(x, y)`` gives mean cross-entropy and share of right answers."""
    point = {"train_loss": score(data.x, data.y)[0], "test_accuracy": score(data.x_test, data.y_test)[1]}
    if len(data.y_val):
        point["val_loss"], point["val_accuracy"] = score(data.x_val, data.y_val)
    return point


@torch.no_grad()
def _score(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    model.eval()
    logits = model(x)
    return F.cross_entropy(logits, y), (logits.argmax(1) == y).to(x.dtype).mean()


def per_example_gradients(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of each example's cross-entropy with respect to all weights, (examples, weights), in their order."""
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, Tensor], one_x: Tensor, one_y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, weights, (one_x[None],)), one_y[None])

    grads = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, y)
    return torch.cat([g.flatten(1) for g in grads.values()], dim=1)


def batch_sizes(batch_size: int | Sequence[int], epochs: int) -> list[int]:
    """One batch size per epoch. Raises ValueError if that is impossible."""
    sizes = list(batch_size) if isinstance(batch_size, Sequence) else [batch_size]
    for name, values in {"epochs": [epochs], "batch_size": sizes}.items():
        if wrong := [value for value in values if not isinstance(value, int) or value < 1]:
            raise ValueError(f"{name} must be a whole number, at least 1, but it is {wrong[0]!r}.")
    sizes = sizes if isinstance(batch_size, Sequence) else sizes * epochs
    if len(sizes) != epochs:
        raise ValueError(f"batch_size has {len(sizes)} entries for {epochs} epochs: give one number, or one per epoch.")
    return sizes


def _check(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    if not {id(p) for group in optimizer.param_groups for p in group["params"]} <= {id(p) for p in model.parameters()}:
        raise ValueError("The optimizer holds parameters of another model: make it from this model.parameters().")
    for p in model.parameters():
        if (p.device, p.dtype) != (x.device, x.dtype):
            raise ValueError(
                f"The model is {p.dtype} on {p.device}, the data {x.dtype} on {x.device}: "
                "call model.to(data.x) before you make the optimizer."
            )


class RuleOptimizer(torch.optim.Optimizer):
    """A ``torch.optim`` optimizer that calls your own ``step(w, grad, *state, lr=lr, **hyper)`` for each parameter.

        RuleOptimizer(model.parameters(), momentum_step, state=(0.0,), lr=0.1, alpha=0.9)
        RuleOptimizer(model.parameters(), adam_step, state=(0.0, 0.0, 0), lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8)

    ``step`` returns the new w and the new state. ``state`` says what that starts from: a float means a tensor of that
    value, shaped like w; anything else stays what it is, such as Adam's t. Raises ValueError if ``step`` returns
    something else.
    """

    def __init__(self, params, step: Callable, state: Sequence = (0.0,), *, lr: float, **hyper: Any) -> None:
        super().__init__(params, {"lr": lr, **hyper})
        self.rule, self.start, self.names = step, state, ("lr", *hyper)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            hyper = {name: group[name] for name in self.names}  # schedulers keep things of their own in the group
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p].get("rule") or start_state(self.start, p)
                    # Copies, because a rule may work in place, and may keep what it was given.
                    w, *self.state[p]["rule"] = call_rule(self.rule, p.detach().clone(), p.grad.clone(), state, hyper)
                    p.copy_(w)


def start_state(start: Sequence, w: Tensor) -> list:
    """A float becomes a tensor of that value, shaped like ``w``; anything else stays what it is."""
    return [torch.full_like(w, value) if isinstance(value, float) else value for value in start]


def call_rule(rule: Callable, w: Tensor, grad: Tensor, state: Sequence, hyper: dict) -> Sequence:
    """The new w and state that ``rule(w, grad, *state, **hyper)`` returns. Raises ValueError if it does not."""
    result = rule(w, grad, *state, **hyper)
    result = result if isinstance(result, tuple | list) else (result,)
    shapes = [tuple(r.shape) if isinstance(r, Tensor) else type(r).__name__ for r in result]
    if len(result) != 1 + len(state) or shapes[0] != tuple(w.shape):
        raise ValueError(
            f"{getattr(rule, '__name__', 'The rule')} should return w of shape {tuple(w.shape)} and {len(state)} "
            f"state(s), but it returned {', '.join(map(str, shapes))}."
        )
    return result
