"""Races: networks that are stacked train as each of them does alone, with torch.optim in a plain loop."""

import math

import pytest
import torch
from torch.nn import functional as F

from lecture_utils import figures, races
from lecture_utils.devices import generator
from lecture_utils.training import shuffled

N = 20
ALONE = {
    "sgd": lambda weights, lr: torch.optim.SGD(weights, lr=lr),
    "momentum": lambda weights, lr: torch.optim.SGD(weights, lr=lr, momentum=0.9),
    "adam": lambda weights, lr: torch.optim.Adam(weights, lr=lr),
}


def inputs(model, seed=0):
    """Small pictures or rows, as the model wants them, in double precision; and their classes."""
    features, classes = (5, 7) if "w" in model.shapes else (64, 10)
    random = generator(seed)
    x = torch.rand(N, features, generator=random, dtype=torch.float64)
    return x, torch.randint(classes, (N,), generator=random)


def trained_alone(model, x, y, method, lr, seed, epochs, batch_size):
    """The same with one network, and nothing stacked."""
    weights = {name: w.double().requires_grad_() for name, w in model.start(seed).items()}
    optimizer, random = ALONE[method](list(weights.values()), lr), generator(seed)
    steps, done = epochs * math.ceil(N / (batch_size or N)), 0
    for _ in range(epochs):
        for batch in shuffled(N, batch_size, random) if batch_size else [torch.arange(N)]:
            optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * done / steps)) / 2
            optimizer.zero_grad()
            F.cross_entropy(model.forward(weights, x[batch]), y[batch]).backward()
            optimizer.step()
            done += 1
    return F.cross_entropy(model.forward(weights, x), y, reduction="none").detach()


@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize(
    "model", [races.CONVOLUTION, races.ATTENTION, races.linear(5, 7)], ids=["convolution", "attention", "linear"]
)
def test_a_race_trains_each_network_as_torch_optim_does(model, batch_size):
    x, y = inputs(model)
    lrs = {"sgd": [0.2], "momentum": [0.05, 0.2], "adam": [0.02]}
    found = races.race(model, x, y, lrs, seeds=(3, 4), epochs=3, batch_size=batch_size)
    assert {method: tuple(losses.shape) for method, losses in found.items()} == {
        method: (len(rates), 2, N) for method, rates in lrs.items()
    }
    for method, rates in lrs.items():
        for k, lr in enumerate(rates):
            for place, seed in enumerate((3, 4)):
                alone = trained_alone(model, x, y, method, lr, seed, 3, batch_size)
                torch.testing.assert_close(found[method][k, place], alone, rtol=1e-7, atol=1e-9)


def test_each_seed_may_have_inputs_of_its_own():
    model = races.linear(5, 7)
    (first, y), (second, _) = inputs(model, 1), inputs(model, 2)
    both = races.race(model, torch.stack([first, second]), y, {"adam": [0.1]}, seeds=(0, 1), epochs=4)["adam"]
    for place, x in enumerate((first, second)):
        alone = races.race(model, x, y, {"adam": [0.1]}, seeds=(place,), epochs=4)["adam"]
        torch.testing.assert_close(both[:, place], alone[:, 0])


def test_a_run_that_diverges_leaves_the_others_alone():
    model = races.CONVOLUTION
    x, y = inputs(model)
    settings = {"seeds": (0, 1), "epochs": 3, "batch_size": 8}
    losses = races.race(model, x, y, {"momentum": [0.1, 1e200]}, **settings)["momentum"]
    torch.testing.assert_close(losses[:1], races.race(model, x, y, {"momentum": [0.1]}, **settings)["momentum"])
    assert not torch.isfinite(losses[1]).all()


def test_a_method_that_is_not_known_is_named():
    model = races.linear(5, 7)
    with pytest.raises(ValueError, match="lion.*sgd, momentum, adam"):
        races.race(model, *inputs(model), {"lion": [0.1]}, seeds=(0,), epochs=1)


@pytest.fixture
def duel():
    losses = {"momentum": torch.tensor([[2.0, 2.0], [1.0, 3.0]]), "adam": torch.tensor([[1.0, 1.5], [9.0, 9.0]])}
    lrs = {"momentum": [0.1, 0.2], "adam": [0.01, 0.02]}
    return races.Duel("A test", lrs, losses, {"momentum": 0, "adam": 0}, torch.tensor([0.5, 0.75]))


def test_a_duel_tells_what_was_tried_and_where_the_best_rates_are(duel):
    lines = str(duel).splitlines()
    assert lines[0] == "A test"
    assert lines[1].endswith("mean loss 2   rates [0.1] 0.2")
    assert lines[2].endswith("mean loss 1.2   rates [0.01] 0.02")
    assert lines[3].strip() == "Adam ÷ momentum, seed by seed: 0.50 0.75"
    assert duel.best_lr("adam") == 0.01


def test_strips_draw_a_mark_for_each_seed(duel, monkeypatch):
    monkeypatch.setattr(figures, "texts", lambda: {"strips": "What the strips show."})
    ax = races.strips([duel, duel], figure="strips", x="ratio")
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in marks] == [[0.5, 0.75]] * 2
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A test"] * 2
