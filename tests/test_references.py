"""Each reference rule against an independent source: torch.optim, an eigenvalue solver, or a sum written out."""

import math
import re
import textwrap
from itertools import combinations

import jupytext
import numpy as np
import pytest
import torch
from conftest import EXERCISES
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from lecture_utils.environment import ROOT

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


# --- 01 minibatch noise ------------------------------------------------------------------------------------------


def all_batches(gradients, batch_size):
    return torch.stack([gradients[list(c)].mean(0) for c in combinations(range(len(gradients)), batch_size)])


@pytest.mark.parametrize("batch_size", [1, 2, 5, 7])
def test_gradient_noise_is_the_mean_over_all_possible_batches(batch_size):
    gradients = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    distances = (all_batches(gradients, batch_size) - gradients.mean(0)).square().sum(1)
    assert REFERENCE["gradient_noise"](gradients, batch_size) == pytest.approx(distances.mean().item(), abs=1e-14)


def test_noise_scale_is_noise_over_signal_of_single_examples():
    gradients = 1 + torch.randn(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    signal = gradients.mean(0).norm().item() ** 2
    expected = REFERENCE["gradient_noise"](gradients, 1) / signal
    assert REFERENCE["noise_scale"](gradients) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "batch_size"), [(10, 3), (12, 4), (5, 8), (1, 1)])
def test_minibatches_have_every_index_once(n, batch_size):
    batches = list(REFERENCE["minibatches"](n, batch_size, torch.Generator().manual_seed(0)))
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    assert [len(b) for b in batches[:-1]] == [batch_size] * (len(batches) - 1)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_train_epoch_is_softmax_regression_worked_out_by_hand(momentum):
    """Gradients from the formula (p − 1_y) xᵀ, in NumPy; momentum written out."""
    random = torch.Generator().manual_seed(3)
    x = torch.randn(11, 4, generator=random, dtype=torch.float64)
    y = torch.randint(3, (11,), generator=random)
    model = torch.nn.Linear(4, 3, bias=False, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=momentum)
    w, v = model.weight.detach().numpy().copy(), 0.0
    for epoch in range(3):
        losses = np.zeros(11)
        for batch in REFERENCE["minibatches"](11, 4, torch.Generator().manual_seed(epoch)):
            rows, labels = x[batch].numpy(), y[batch].numpy()
            p = np.exp(rows @ w.T)
            p /= p.sum(axis=1, keepdims=True)
            losses[batch.numpy()] = -np.log(p[range(len(batch)), labels])
            v = momentum * v + (p - np.eye(3)[labels]).T @ rows / len(batch)
            w = w - 0.3 * v
        model.eval()
        mean = REFERENCE["train_epoch"](model, optimizer, x, y, 4, torch.Generator().manual_seed(epoch))
        assert mean == pytest.approx(losses.mean(), abs=1e-14)
        assert model.training
        np.testing.assert_allclose(model.weight.detach().numpy(), w, atol=1e-13)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 40), st.integers(0, 99))
def test_stratified_batches_hold_each_class_to_within_one_of_its_share(counts, batch_size, seed):
    labels = torch.cat([torch.full((k,), c) for c, k in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    batches = list(REFERENCE["stratified_minibatches"](labels, batch_size, torch.Generator().manual_seed(seed)))
    assert sorted(torch.cat(batches).tolist()) == list(range(len(labels)))
    for batch in batches:
        assert len(batch) == batch_size or batch is batches[-1]
        share = len(batch) * torch.tensor(counts) / len(labels)
        if len(batch) == batch_size:
            assert (labels[batch].bincount(minlength=len(counts)) - share).abs().max() <= 1 + 1e-5


# --- 02 learning-rate decay --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lr", "h"), [(0.1, 1.0), (1.5, 1.0), (0.4, 3.0)])
def test_stationary_variance_is_the_limit_of_its_recursion(lr, h):
    variance = 0.0
    for _ in range(2000):
        variance = (1 - lr * h) ** 2 * variance + lr**2 * 0.7
    assert REFERENCE["stationary_variance"](lr, h, 0.7) == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize("lr", [0.0, -0.1, 2.0, 2.1])
def test_stationary_variance_needs_a_stable_rate(lr):
    with pytest.raises(ValueError, match="lr"):
        REFERENCE["stationary_variance"](lr, 1.0, 1.0)


def scheduler_rates(make, epochs, lr):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler, used = make(optimizer), []
    for _ in range(epochs):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return used


def test_exponential_decay_is_exponential_lr():
    used = scheduler_rates(lambda o: lr_scheduler.ExponentialLR(o, math.exp(-0.07)), 50, 0.3)
    assert [REFERENCE["exponential_decay"](0.3, 0.07, t) for t in range(50)] == pytest.approx(used, rel=1e-13)


def test_decay_constant_undoes_exponential_decay():
    k = REFERENCE["decay_constant"](0.3, 0.004, 37)
    assert REFERENCE["exponential_decay"](0.3, k, 37) == pytest.approx(0.004, rel=1e-13)


@pytest.mark.parametrize("k", [0.01, 0.5, 3.0])
def test_reachable_distance_is_the_sum_of_all_steps(k):
    steps = sum(REFERENCE["exponential_decay"](0.2, k, t) * 1.7 for t in range(5000))
    assert REFERENCE["reachable_distance"](0.2, k, 1.7) == pytest.approx(steps, rel=1e-12)


def test_growing_batch_keeps_the_ratio_of_rate_and_size():
    lrs = [REFERENCE["exponential_decay"](0.3, 0.1, t) for t in range(20)]
    sizes = REFERENCE["growing_batch"](0.3, 1000, lrs, 10**9)
    assert [0.3 / size for size in sizes] == pytest.approx([lr / 1000 for lr in lrs], rel=1e-3)
    assert REFERENCE["growing_batch"](0.3, 16, [0.6, 0.3, 0.001], 200) == [16, 16, 200]


# --- 03 schedulers -----------------------------------------------------------------------------------------------


def test_option_1_and_option_2_are_exponential_lr():
    expected = scheduler_rates(lambda o: lr_scheduler.ExponentialLR(o, math.exp(-0.05)), 60, 0.2)
    used = scheduler_rates(lambda o: lr_scheduler.LambdaLR(o, REFERENCE["exponential_lambda"](0.05)), 60, 0.2)
    assert used == pytest.approx(expected, rel=1e-13)
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)]}, {"params": [torch.zeros(2)]}], lr=9.0)
    for epoch in (59, 0, 30):
        REFERENCE["adjust_learning_rate"](optimizer, epoch, 0.2, 0.05)
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([expected[epoch]] * 2, rel=1e-13)


def test_warmup_cosine_is_linear_lr_and_cosine_annealing_lr():
    warmup, total = 7, 40
    factors = [REFERENCE["warmup_cosine"](s, warmup, total) for s in range(total + 5)]
    up = scheduler_rates(lambda o: lr_scheduler.LinearLR(o, 1 / warmup, 1.0, warmup - 1), warmup, 1.0)
    down = scheduler_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, total - warmup), total - warmup + 1, 1.0)
    assert factors[:warmup] == pytest.approx(up, abs=1e-12)
    assert factors[warmup : total + 1] == pytest.approx(down, abs=1e-12)
    assert factors[total:] == [0.0] * 5


QUESTION = EXERCISES["learning_rates_used"].question


@pytest.mark.parametrize("which", range(len(QUESTION.numbers)))
def test_the_rates_to_predict_are_those_of_the_printed_blocks(which):
    """The code of the exercise is taken from what a student is shown, and run."""
    text = QUESTION.text(**QUESTION.numbers[which])
    found = []
    for block in re.findall(r"\*\*Block [A-D]\*\*.*?\n\n((?:    .*\n?)+)", text):
        used, names = [], {"batches": range(2), "params": [torch.zeros(1, requires_grad=True)]}
        for name, owner in {"SGD": torch.optim, "LambdaLR": lr_scheduler, "ExponentialLR": lr_scheduler}.items():
            names[name] = getattr(owner, name)
        names["CosineAnnealingLR"] = lr_scheduler.CosineAnnealingLR

        def train(o, used=used):
            used.append(o.param_groups[0]["lr"])
            o.step()

        names |= {"train_one_epoch": train, "train_on": lambda batch, o, train=train: train(o)}
        exec(textwrap.dedent(block), names)
        found.append(used[::2] if "train_on(" in block else used)
    assert len(found) == 4
    for used, expected in zip(found, QUESTION.answer(which), strict=True):
        assert used == pytest.approx(expected, abs=1e-6)


# --- 05 gains and RMSProp, 06 Adam -------------------------------------------------------------------------------


def optimizer_path(make, lrs, grads):
    """The path of a torch optimizer that is fed these gradients, one point per step."""
    w = START.clone().requires_grad_()
    optimizer, path = make([w]), []
    for lr, grad in zip(lrs, grads, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        w.grad = grad.clone()
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path)


LRS = [0.1] * 10 + [0.01] * 15
GRADS = torch.randn(25, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
GRADS[12] = 0


def test_gain_step_against_a_loop_over_weights():
    gains, last, w, expected = [1.0] * 3, [0.0] * 3, START.tolist(), []
    state, point = (torch.ones_like(START), torch.zeros_like(START)), START.clone()
    for lr, grad in zip(LRS, GRADS, strict=True):
        for i, g in enumerate(grad.tolist()):
            gains[i] = gains[i] + 0.1 if g * last[i] > 0 else gains[i] * 0.9
            w[i] -= lr * gains[i] * g
            last[i] = g
        point, gain = REFERENCE["gain_step"](point, grad, state[1], state[0], lr, 0.1)
        state = (gain, grad)
        expected = list(w)
        assert point.tolist() == pytest.approx(expected, abs=1e-14)
    assert gain.tolist() == pytest.approx(gains, abs=1e-14)


@pytest.mark.parametrize(("beta", "eps"), [(0.9, 1e-8), (0.99, 0.3)])
@pytest.mark.parametrize("name", ["rmsprop_step", "find_the_bug"])
def test_rmsprop_step_is_torch_rmsprop(name, beta, eps):
    w, r, path = START.clone(), torch.zeros_like(START), []
    for lr, grad in zip(LRS, GRADS, strict=True):
        w, r = REFERENCE[name](w, grad, r, lr, beta, eps)
        path.append(w)
    expected = optimizer_path(lambda p: torch.optim.RMSprop(p, alpha=beta, eps=eps), LRS, GRADS)
    torch.testing.assert_close(torch.stack(path), expected, rtol=0, atol=1e-13)


def test_first_step_size_is_that_of_torch_rmsprop():
    path = optimizer_path(lambda p: torch.optim.RMSprop(p, alpha=0.97, eps=0), [0.1], GRADS[:1])
    expected = (path[0] - START).abs().tolist()
    assert [REFERENCE["first_step_size"](0.1, 0.97)] * 3 == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("betas", "eps"), [((0.9, 0.999), 1e-8), ((0.7, 0.95), 0.3)])
@pytest.mark.parametrize("decay", [None, 0.2])
def test_adam_step_and_adamw_step_are_those_of_torch(betas, eps, decay):
    w, state, path = START.clone(), (torch.zeros_like(START), torch.zeros_like(START), 0), []
    rule = REFERENCE["adam_step" if decay is None else "adamw_step"]
    for lr, grad in zip(LRS, GRADS, strict=True):
        w, *state = rule(w, grad, *state, lr, *betas, eps, *([] if decay is None else [decay]))
        path.append(w)
    kind = torch.optim.Adam if decay is None else torch.optim.AdamW
    extra = {} if decay is None else {"weight_decay": decay}
    expected = optimizer_path(lambda p: kind(p, betas=betas, eps=eps, **extra), LRS, GRADS)
    torch.testing.assert_close(torch.stack(path), expected, rtol=0, atol=1e-13)


def test_bias_correction_overshoot_is_what_a_constant_gradient_gives():
    m = r = 0.0
    for t in range(1, 200):
        m, r = 0.9 * m + 0.1 * 0.37, 0.999 * r + 0.001 * 0.37**2
        expected = m / math.sqrt(r)  # the corrected step is 1
        got = REFERENCE["bias_correction_overshoot"](torch.tensor([float(t)], dtype=torch.float64), 0.9, 0.999)
        assert got.item() == pytest.approx(expected, rel=1e-10)


def test_my_adam_is_torch_adam_over_groups_schedules_and_missing_gradients():
    def run(kind):
        shapes = [(3, 2), (), (4,)]
        params = [torch.nn.Parameter(torch.ones(s, dtype=torch.float64)) for s in shapes]
        optimizer = kind([{"params": params[:2], "lr": 0.05}, {"params": params[2:]}], lr=0.01, betas=(0.8, 0.9))
        scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
        random = torch.Generator().manual_seed(0)
        for step in range(30):
            for i, p in enumerate(params):
                grad = torch.randn(p.shape, generator=random, dtype=torch.float64)
                p.grad = None if (step + i) % 7 == 0 else grad
            optimizer.step()
            scheduler.step()
            if step == 14:
                saved = optimizer.state_dict()
                optimizer = kind([{"params": params[:2]}, {"params": params[2:]}])
                optimizer.load_state_dict(saved)
                scheduler.optimizer = optimizer
        return params

    for mine, theirs in zip(run(REFERENCE["MyAdam"]), run(torch.optim.Adam), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-13)


# --- 07 optimizers in PyTorch ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "rmsprop", "adam"])
def test_make_optimizer_takes_the_steps_of_the_lectures_rule(name):
    w, delta, r, t, expected = START.clone(), torch.zeros_like(START), torch.zeros_like(START), 0, []
    for grad in GRADS:
        if name == "sgd":
            w = REFERENCE["gradient_step"](w, grad, 0.01)
        elif name == "momentum":
            w, delta = REFERENCE["momentum_step"](w, grad, delta, 0.01, 0.9)
        elif name == "nesterov":
            w, delta = REFERENCE["nesterov_step"](w, lambda _, grad=grad: grad, delta, 0.01, 0.9)
        elif name == "rmsprop":
            w, r = REFERENCE["rmsprop_step"](w, grad, r, 0.001, 0.9, 1e-8)
        else:
            w, delta, r, t = REFERENCE["adam_step"](w, grad, delta, r, t, 0.0001, 0.9, 0.999, 1e-8)
        expected.append(w - 0.9 * delta if name == "nesterov" else w)  # torch.optim holds the look-ahead point
    w = START.clone().requires_grad_()
    optimizer, path = REFERENCE["make_optimizer"](name, [w]), []
    for grad in GRADS:
        w.grad = grad.clone()
        optimizer.step()
        path.append(w.detach().clone())
    torch.testing.assert_close(torch.stack(path), torch.stack(expected), rtol=0, atol=1e-14)


@pytest.mark.parametrize("form", ["lecture", "ema"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.95])
def test_to_torch_lr_gives_the_path_of_the_other_form(form, alpha):
    w, v, path = START.clone(), torch.zeros_like(START), []
    for _ in range(25):
        v = alpha * v + (0.1 if form == "lecture" else 1 - alpha) * H * w
        w = w - (1 if form == "lecture" else 0.1) * v
        path.append(w)
    expected = torch_path(lr=REFERENCE["to_torch_lr"](0.1, alpha, form), momentum=alpha)
    torch.testing.assert_close(torch.stack(path), expected, rtol=0, atol=1e-14)


LOSS = st.one_of(st.floats(0.01, 3), st.sampled_from([math.nan, math.inf]))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 7).flatmap(lambda n: st.lists(st.lists(LOSS, min_size=2, max_size=2), min_size=n, max_size=n)))
def test_best_learning_rate_has_finite_neighbours_or_failed_ones_that_are_worse(rows):
    lrs = [0.001 * 2**k for k in range(len(rows))]
    means = [sum(row) / 2 if all(map(math.isfinite, row)) else math.inf for row in rows]
    best = means.index(min(means))
    expected = lrs[best] if 0 < best < len(rows) - 1 else None
    tensors = (torch.tensor(lrs, dtype=torch.float64), torch.tensor(rows, dtype=torch.float64))
    assert REFERENCE["best_learning_rate"](*tensors) == expected


def test_evidence_board_is_the_rule_applied_to_what_the_notebook_prints():
    notebook = jupytext.read(ROOT / "solutions" / "lecture12" / "07_optimizers_in_pytorch.ipynb")
    printed = "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", []))
    lower = dict(re.findall(r"^([A-F]) .*lower: (\w+)", printed, re.MULTILINE))
    assert list(lower) == list("ABCDEF")
    expected = {name: "Adam" if name == "D" else "momentum" for name in lower}
    words = ["silent" if lower[n] == "mixed" else ["against", "supports"][lower[n] == expected[n]] for n in lower]
    question = EXERCISES["evidence_board"].question
    for which, numbers in enumerate(question.numbers):
        assert [words["ABCDEF".index(name)] for name in numbers["order"]] == question.answer(which)
    assert "!" not in "".join(re.findall(r"\(η = [^)]*\)", printed))  # every best rate is inside its grid
