"""The training loop: one small network, one readable loop, and an optimizer that applies a step function of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from lecture_utils import devices
from lecture_utils.data import Data


@dataclass(frozen=True)
class History:
    """What happened in one run, as tensors on the CPU: one value per step, or one per epoch with the start as first.

    The two validation curves are None for data without validation examples.
    """

    loss: torch.Tensor  # (steps,) of each minibatch, before its step
    lr: torch.Tensor  # (steps,) the learning rate that the step used (of the optimizer's first group)
    train_loss: torch.Tensor  # (epochs + 1,) of all training examples, with the L2 penalty if there is one
    test_accuracy: torch.Tensor  # (epochs + 1,) share of test examples, 0 to 1
    val_loss: torch.Tensor | None = None  # (epochs + 1,) without penalty
    val_accuracy: torch.Tensor | None = None  # (epochs + 1,)


def mlp(
    hidden: int = 64,
    seed: int = 0,
    device: torch.device | str | None = None,
    *,
    n_features: int = 64,
    n_classes: int = 10,
) -> nn.Sequential:
    """One hidden layer of ``hidden`` ReLU units; by default 64-64-10 with 4,810 weights, the network of this course.

    ``hidden=0`` leaves the layer out: softmax regression, whose loss is convex. Weights and biases are uniform in
    ±1/√(inputs of the layer), PyTorch's default, drawn from ``seed`` alone and the same on every device.
    """
    random = devices.generator(seed)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise([n_features, hidden, n_classes] if hidden else [n_features, n_classes]):
        # Without skip_init nn.Linear would draw from, and so disturb, torch's global generator.
        layer = nn.utils.skip_init(nn.Linear, n_in, n_out, device=devices.HOST)
        for p in layer.parameters():
            nn.init.uniform_(p, -(n_in**-0.5), n_in**-0.5, generator=random)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(devices.pick_device() if device is None else device)


def shuffled(n: int, batch_size: int, generator: torch.Generator) -> Iterable[torch.Tensor]:
    """The numbers 0 … n-1 in random order, in pieces of ``batch_size``; the last piece may be shorter."""
    return torch.randperm(n, generator=generator, device=devices.HOST).split(batch_size)


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Data,
    *,
    epochs: int,
    batch_size: int | Sequence[int] = 64,
    seed: int = 0,
    scheduler: Any = None,
    per_step: bool = False,
    l2: float = 0.0,
    minibatches: Callable[[int, int, torch.Generator], Iterable[torch.Tensor]] = shuffled,
    progress: bool = False,
) -> History:
    """Train ``model`` in place on the mean cross-entropy of ``data``, plus l2/2 · ‖parameters‖² if ``l2`` is given.

    batch_size: one number, or one per epoch.   seed: of the order of the examples.
    scheduler: from ``torch.optim.lr_scheduler``, stepped after each epoch, or after each step if ``per_step``.
    minibatches: called as ``minibatches(n, batch_size, generator)`` once per epoch, gives index tensors.
    Raises ValueError if an argument cannot be used; a run that diverges is no error, its losses become inf or nan.
    """
    sizes = batch_sizes(batch_size, epochs)
    _check(model, optimizer, data)
    generator = devices.generator(seed)
    loss_of_steps, lr_of_steps, curves = [], [], [_curves(model, data, l2)]

    for epoch in tqdm(range(epochs), desc="epochs", disable=not progress):
        model.train()
        for batch in minibatches(data.n, sizes[epoch], generator):
            batch = batch.to(data.x.device)
            loss = F.cross_entropy(model(data.x[batch]), data.y[batch]) + penalty(model, l2)
            loss_of_steps.append(loss.detach())
            lr_of_steps.append(optimizer.param_groups[0]["lr"])

            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if scheduler is not None and per_step:
                scheduler.step()

        curves.append(_curves(model, data, l2))
        if isinstance(scheduler, ReduceLROnPlateau):  # watches the validation loss, or the training loss without one
            scheduler.step(curves[-1].get("val_loss", curves[-1]["train_loss"]))
        elif scheduler is not None and not per_step:
            scheduler.step()

    return History(
        loss=torch.stack(loss_of_steps).to(devices.HOST) if loss_of_steps else data.x.new_empty(0, device=devices.HOST),
        lr=torch.tensor(lr_of_steps, dtype=torch.float64, device=devices.HOST),
        **{name: torch.stack([c[name] for c in curves]).to(devices.HOST) for name in curves[0]},
    )


def penalty(model: nn.Module, l2: float) -> torch.Tensor | float:
    """l2/2 · ‖parameters‖²; its gradient is l2 · p, which ``weight_decay=l2`` adds in ``torch.optim.SGD``."""
    return l2 / 2 * sum(p.square().sum() for p in model.parameters()) if l2 else 0.0


@torch.no_grad()
def evaluate(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cross-entropy, and share of right answers (0 to 1), of ``model`` in evaluation mode; both of shape ()."""
    model.eval()
    logits = model(x)
    return F.cross_entropy(logits, y), (logits.argmax(1) == y).to(logits.dtype).mean()


@torch.no_grad()
def _curves(model: nn.Module, data: Data, l2: float) -> dict[str, torch.Tensor]:
    train_loss = evaluate(model, data.x, data.y)[0] + penalty(model, l2)
    curves = {"train_loss": train_loss, "test_accuracy": evaluate(model, data.x_test, data.y_test)[1]}
    if len(data.y_val):
        curves["val_loss"], curves["val_accuracy"] = evaluate(model, data.x_val, data.y_val)
    return curves


def batch_sizes(batch_size: int | Sequence[int], epochs: int) -> list[int]:
    """One batch size per epoch. Raises ValueError if that is impossible."""
    if not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"epochs must be a whole number, 0 or more, but it is {epochs!r}.")
    sizes = [batch_size] * epochs if isinstance(batch_size, int) else list(batch_size)
    if len(sizes) != epochs:
        raise ValueError(f"batch_size has {len(sizes)} entries for {epochs} epochs: give one number, or one per epoch.")
    if bad := [size for size in sizes if not isinstance(size, int) or size < 1]:
        raise ValueError(f"A batch has a whole number of examples, at least 1, but batch_size is {bad[0]!r}.")
    return sizes


def _check(model: nn.Module, optimizer: torch.optim.Optimizer, data: Data) -> None:
    own = {id(p): p for p in model.parameters()}
    if any(id(p) not in own for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(
            "The optimizer holds parameters of another model, so this one would not learn: "
            "make it anew, from model.parameters(), after the model."
        )
    for p in own.values():
        if p.device.type != data.x.device.type:
            raise ValueError(
                f"The model is on {p.device}, the data on {data.x.device}: give both the same device=pick_device()."
            )
        if p.dtype != data.x.dtype:
            raise ValueError(f"The model is {p.dtype}, the data {data.x.dtype}: use model.to({data.x.dtype}).")


class RuleOptimizer(torch.optim.Optimizer):
    """A ``torch.optim`` optimizer that applies your own step function to each parameter.

    ``step`` is called as ``step(w, grad, *state, lr=lr, **hyper)`` and returns the new w, then the new state:

        RuleOptimizer(model.parameters(), momentum_step, state=(0.0,), lr=0.1, alpha=0.9)
        RuleOptimizer(model.parameters(), adam_step, state=(0.0, 0.0, 0), lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8)

    state: what each state starts from. A float means a tensor of that value, shaped like w; anything else stays what
    it is (Adam's t is the int 0). Schedulers change ``lr``, and ``state_dict`` saves the state, as with any optimizer.
    Raises ValueError when the function returns something else than that.
    """

    def __init__(self, params, step: Callable, state: Sequence = (0.0,), *, lr: float, **hyper: Any) -> None:
        super().__init__(params, {"lr": lr, **hyper})
        self.rule, self.start, self.names = step, tuple(state), ("lr", *hyper)

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> torch.Tensor | None:
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for group in self.param_groups:
            hyper = {name: group[name] for name in self.names}  # schedulers keep notes of their own in the group
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p].get("rule") or start_state(self.start, p)
                    # Copies, because a rule may work in place or keep what it was given.
                    w, *state = call_rule(self.rule, p.detach().clone(), p.grad.clone(), state, hyper)
                    p.copy_(w)
                    self.state[p]["rule"] = state
        return loss


def start_state(start: Sequence, w: torch.Tensor) -> list:
    """A float becomes a tensor of that value, shaped like ``w``; anything else stays what it is."""
    return [torch.full_like(w, value) if isinstance(value, float) else value for value in start]


def call_rule(rule: Callable, w: torch.Tensor, grad: torch.Tensor, state: Sequence, hyper: dict) -> tuple:
    """(w, *state) as ``rule(w, grad, *state, **hyper)`` returns them. Raises ValueError if it returns anything else."""
    result = rule(w, grad, *state, **hyper)
    result = (result,) if isinstance(result, torch.Tensor) else result
    name = getattr(rule, "__name__", "The rule")
    if not isinstance(result, tuple | list) or len(result) != 1 + len(state):
        got = f"{len(result)} values" if isinstance(result, tuple | list) else repr(result)
        raise ValueError(f"{name} should return the new w and {len(state)} state(s), but it returned {got}.")
    if not isinstance(result[0], torch.Tensor) or result[0].shape != w.shape:
        got = tuple(result[0].shape) if isinstance(result[0], torch.Tensor) else type(result[0]).__name__
        raise ValueError(f"{name} should return a w of shape {tuple(w.shape)}, but it returned {got}.")
    return tuple(result)
