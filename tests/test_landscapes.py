"""Each landscape: its gradient is the derivative, its minimum is one, and walks on it follow the rule."""

import math

import pytest
import torch

from lecture_utils.landscapes import LANDSCAPES, RAVINE, TWO_WELLS, descend, kramers_escape, noisy_quadratic

ALL = pytest.mark.parametrize("land", LANDSCAPES.values(), ids=LANDSCAPES)


@ALL
def test_gradient_is_the_derivative(land):
    points = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (expected,) = torch.autograd.grad(land.f(points).sum(), points)
    torch.testing.assert_close(land.grad(points.detach()), expected)


@ALL
def test_minimum_is_lowest_in_the_picture(land):
    minimum = torch.tensor(land.minimum, dtype=torch.float64)
    assert land.grad(minimum).abs().max() < 1e-5
    hessian = torch.autograd.functional.hessian(land.f, minimum)
    assert torch.linalg.eigvalsh(hessian).min() > 0
    grid = torch.cartesian_prod(torch.linspace(*land.xlim, 300), torch.linspace(*land.ylim, 300)).double()
    assert land.f(grid).min() >= land.f(minimum) - 1e-9


@ALL
def test_start_and_minimum_are_in_the_picture(land):
    for x, y in (land.minimum, land.start.tolist()):
        assert land.xlim[0] < x < land.xlim[1]
        assert land.ylim[0] < y < land.ylim[1]


def test_descend_follows_a_rule_without_state():
    path = descend(RAVINE, lambda w, grad, lr: w - lr * grad, RAVINE.start, 3, lr=0.02)
    factors = torch.tensor([1 - 0.02, 1 - 0.02 * 25], dtype=torch.float64)
    torch.testing.assert_close(path, torch.stack([RAVINE.start * factors**t for t in range(4)]))


def test_descend_carries_tensors_and_counts():
    seen = []

    def rule(w, grad, m, t, lr):
        seen.append((m.shape, t))
        return w - lr * grad, m + 1, t + 1

    path = descend(RAVINE, rule, RAVINE.start, 2, state=(0.0, 5), lr=0.02)
    assert path.shape == (3, 2)
    assert seen == [((2,), 5), ((2,), 6)]


def test_descend_survives_rules_that_work_in_place():
    def rule(w, grad, lr):
        w -= lr * grad
        return w

    path = descend(RAVINE, rule, RAVINE.start, 2, lr=0.02)
    assert path[0].tolist() == [-4.0, 1.0]
    assert not torch.equal(path[0], path[1])


def test_noisy_quadratic_has_the_mean_and_variance_it_promises():
    generator = torch.Generator().manual_seed(3)
    grads = noisy_quadratic(torch.full((100_000,), 2.0), curvature=1.5, noise_variance=4.0, generator=generator)
    assert grads.mean().item() == pytest.approx(3.0, abs=0.03)
    assert grads.var().item() == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize("temperature", [0.14, 0.18])
def test_kramers_formula_tells_how_many_runs_leave_the_shallow_well(temperature):
    generator, lr = torch.Generator().manual_seed(0), 0.02
    w = torch.tensor([0.96, 0.0], dtype=torch.float64).repeat(1500, 1)
    left = torch.zeros(1500, dtype=torch.bool)
    for _ in range(round(50 / lr)):
        noise = math.sqrt(2 * temperature / lr) * torch.randn(w.shape, generator=generator, dtype=w.dtype)
        w = w - lr * (TWO_WELLS.grad(w) + noise)
        left |= w[:, 0] < -0.5
    predicted = kramers_escape(torch.tensor(temperature, dtype=torch.float64), 50).item()
    assert left.double().mean().item() == pytest.approx(predicted, abs=0.06)
