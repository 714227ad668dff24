"""Each reference rule against an independent source: torch.optim, an eigenvalue solver, or a sum written out."""

import math

import pytest
import torch
from conftest import EXERCISES

REFERENCE = {name: exercise.reference for name, exercise in EXERCISES.items()}
H = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64)
START = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def torch_path(steps=25, lrs=None, **arguments):
    """The path of torch.optim.SGD on ½ h w², one point per step."""
    w = START.clone().requires_grad_()
    optimizer = torch.optim.SGD([w], **arguments)
    path = []
    for step in range(steps):
        if lrs:
            optimizer.param_groups[0]["lr"] = lrs[step]
        optimizer.zero_grad()
        (0.5 * H * w**2).sum().backward()
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path)


def test_gradient_step_is_sgd():
    w, path = START.clone(), []
    for _ in range(25):
        w = REFERENCE["gradient_step"](w, H * w, 0.1)
        path.append(w)
    torch.testing.assert_close(torch.stack(path), torch_path(lr=0.1), rtol=0, atol=1e-15)


def test_momentum_step_is_sgd_at_constant_rate():
    w, delta, path = START.clone(), torch.zeros_like(START), []
    for _ in range(25):
        w, delta = REFERENCE["momentum_step"](w, H * w, delta, 0.1, 0.9)
        path.append(w)
    torch.testing.assert_close(torch.stack(path), torch_path(lr=0.1, momentum=0.9), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dampening", [0.0, 0.3, 0.9])
def test_torch_momentum_step_is_sgd_under_a_schedule(dampening):
    lrs = [0.1] * 10 + [0.01] * 15
    w, buf, path = START.clone(), None, []
    for lr in lrs:
        w, buf = REFERENCE["torch_momentum_step"](w, H * w, buf, lr, 0.9, dampening)
        path.append(w)
    expected = torch_path(lrs=lrs, lr=0.1, momentum=0.9, dampening=dampening)
    torch.testing.assert_close(torch.stack(path), expected, rtol=0, atol=1e-14)


def test_nesterov_step_is_sgd_after_the_change_of_variables():
    """torch.optim holds the look-ahead point w − αΔ where the lecture holds w."""
    w, delta, path = START.clone(), torch.zeros_like(START), []
    for _ in range(25):
        w, delta = REFERENCE["nesterov_step"](w, lambda v: H * v, delta, 0.1, 0.9)
        path.append(w - 0.9 * delta)
    expected = torch_path(lr=0.1, momentum=0.9, nesterov=True)
    torch.testing.assert_close(torch.stack(path), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_velocity_is_the_weighted_sum_of_gradients(alpha):
    gradients = torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    delta = torch.tensor(0.0, dtype=torch.float64)
    for g in gradients:
        _, delta = REFERENCE["momentum_step"](torch.zeros_like(delta), g, delta, 1.0, alpha)
    torch.testing.assert_close((REFERENCE["velocity_weights"](alpha, 6) * gradients).sum(), delta)


@pytest.mark.parametrize("lr_h", [0.1, 0.7, 1.9, 3.0, 3.9])
@pytest.mark.parametrize("alpha", [0.0, 0.4, 0.9, 0.99])
def test_spectral_radius_is_that_of_the_matrix_of_one_step(lr_h, alpha):
    columns = []
    for w, delta in [(1.0, 0.0), (0.0, 1.0)]:
        columns.append(REFERENCE["momentum_step"](w, w, delta, lr_h, alpha))  # curvature 1: the gradient is w
    matrix = torch.tensor(columns, dtype=torch.float64).T
    expected = torch.linalg.eigvals(matrix).abs().max().item()
    assert REFERENCE["spectral_radius"](lr_h, alpha, 1.0) == pytest.approx(expected, abs=1e-12)
    assert REFERENCE["spectral_radius"](lr_h / 4, alpha, 4.0) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kappa", [2.0, 25.0, 100.0])
def test_best_momentum_is_the_best_of_a_grid(kappa):
    """Polyak (1964): no other momentum, with its own best rate, contracts both ends of the spectrum faster."""

    def rate(alpha, lr):
        return max(REFERENCE["spectral_radius"](lr, alpha, h) for h in (1.0, kappa))

    best = REFERENCE["best_momentum"](kappa)
    lr = (2 / (math.sqrt(kappa) + 1)) ** 2
    assert rate(best, lr) == pytest.approx(math.sqrt(best), abs=1e-6)
    grid = [rate(a, lr * f) for a in torch.linspace(0, 0.99, 60).tolist() for f in (0.5, 0.8, 0.95, 1.05, 1.25, 2)]
    assert min(grid) > math.sqrt(best)


def test_effective_learning_rate_is_the_sum_of_the_weights():
    total = 0.02 * REFERENCE["velocity_weights"](0.9, 400).sum().item()
    assert REFERENCE["effective_learning_rate"](0.02, 0.9) == pytest.approx(total)
