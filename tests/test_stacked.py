"""Stacked runs are the runs that the readable loop would have made, one by one."""

import dataclasses
import os
import threading

import pytest
import torch
from rules import adam_step, double, gradient_step, heavy_ball_step, momentum_in_place, momentum_step, rmsprop_step
from torch.optim.lr_scheduler import LambdaLR

from lecture_utils import stacked
from lecture_utils.data import digits, noisy_digits
from lecture_utils.stacked import sweep
from lecture_utils.training import mlp, train

CURVES = ("loss", "train_loss", "val_loss", "test_accuracy", "val_accuracy")
OPTIM = torch.optim
# rule: learning rates, hyperparameters, the same in torch.optim
RULES = {
    "sgd": ([0.03, 0.3], {}, lambda p, lr: OPTIM.SGD(p, lr)),
    "momentum": ([0.01, 0.1], {"alpha": 0.8}, lambda p, lr: OPTIM.SGD(p, lr, momentum=0.8)),
    "nesterov": ([0.01, 0.1], {"alpha": 0.8}, lambda p, lr: OPTIM.SGD(p, lr, momentum=0.8, nesterov=True)),
    "rmsprop": ([0.001, 0.01], {"beta": 0.9, "eps": 0.01}, lambda p, lr: OPTIM.RMSprop(p, lr, alpha=0.9, eps=0.01)),
    "adam": (
        [0.001, 0.01],
        {"beta1": 0.8, "beta2": 0.95, "eps": 0.01},
        lambda p, lr: OPTIM.Adam(p, lr, betas=(0.8, 0.95), eps=0.01),
    ),
}
DEFAULTS = {
    "sgd": lambda p, lr: OPTIM.SGD(p, lr),
    "momentum": lambda p, lr: OPTIM.SGD(p, lr, momentum=0.9),
    "nesterov": lambda p, lr: OPTIM.SGD(p, lr, momentum=0.9, nesterov=True),
    "rmsprop": lambda p, lr: OPTIM.RMSprop(p, lr),
    "adam": lambda p, lr: OPTIM.Adam(p, lr),
}


@pytest.fixture(scope="module")
def data():
    return double(digits("cpu", validation=200))


def assert_same(runs, optimizer, data, *, hidden=64, curves=CURVES, scheduler=lambda o: None, atol=1e-11, **settings):
    """Each of ``runs`` is what ``train`` makes of the same rate and seed."""
    for i, lr in enumerate(runs.lrs.tolist()):
        for j, seed in enumerate(runs.seeds):
            model = mlp(hidden, seed, "cpu").to(data.x.dtype)
            one = optimizer(model.parameters(), lr)
            history = train(model, one, data, seed=seed, scheduler=scheduler(one), **settings)
            for name in curves:
                torch.testing.assert_close(getattr(runs, name)[i, j], getattr(history, name), rtol=1e-9, atol=atol)
            torch.testing.assert_close(runs.lr[i], history.lr)


@pytest.mark.parametrize("rule", RULES)
def test_stacked_runs_equal_single_runs_with_torch_optim(data, rule):
    lrs, hyper, optimizer = RULES[rule]
    runs = sweep(rule, lrs=lrs, seeds=[0, 5], data=data, epochs=2, **hyper)
    assert_same(runs, optimizer, data, epochs=2)


@pytest.mark.parametrize("rule", DEFAULTS)
def test_in_float32_and_with_default_hyperparameters_they_agree_to_rounding(rule):
    data = digits("cpu", validation=200)
    runs = sweep(rule, lrs=[0.002], seeds=[3], data=data, epochs=2)
    assert runs.loss.dtype == torch.float32
    assert_same(runs, DEFAULTS[rule], data, epochs=2, curves=("loss", "train_loss", "val_loss"), atol=1e-4)


@pytest.mark.parametrize("hidden", [0, 5])
def test_other_networks_batch_sizes_and_a_size_per_epoch(data, hidden):
    settings = {"epochs": 3, "batch_size": [50, 400, 5000]}
    runs = sweep("momentum", lrs=[0.1], seeds=[1, 2], data=data, hidden=hidden, **settings)
    assert runs.loss.shape == (1, 2, 25 + 4 + 1)
    assert_same(runs, DEFAULTS["momentum"], data, hidden=hidden, **settings)


def test_data_of_another_shape():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(90, 7, generator=generator).double(), torch.arange(90) % 3
    parts = {"x_val": x[60:70], "y_val": y[60:70], "x_test": x[70:], "y_test": y[70:]}
    data = dataclasses.replace(digits("cpu"), x=x[:60], y=y[:60], **parts, n_classes=3)
    runs = sweep("sgd", lrs=[0.5], seeds=[0], data=data, epochs=2, hidden=4, batch_size=16)
    model = mlp(4, 0, "cpu", n_features=7, n_classes=3).double()
    history = train(model, OPTIM.SGD(model.parameters(), 0.5), data, epochs=2, batch_size=16)
    for name in CURVES:
        torch.testing.assert_close(getattr(runs, name)[0, 0], getattr(history, name))


def test_a_schedule_is_a_factor_as_for_lambda_lr(data):
    def schedule(t):
        return 1 / (1 + t)

    settings = {"epochs": 3, "batch_size": 300}
    runs = sweep("momentum", lrs=[0.1, 0.2], seeds=[0], data=data, schedule=schedule, **settings)
    assert runs.lr.shape == (2, 15)
    assert_same(runs, DEFAULTS["momentum"], data, scheduler=lambda one: LambdaLR(one, schedule), **settings)


def test_a_schedule_may_differ_from_rate_to_rate(data):
    settings = {"seeds": [0, 1], "data": data, "epochs": 3, "batch_size": 300}
    runs = sweep("adam", lrs=[0.1, 0.1, 0.3], schedule=lambda t: [1, 0.5**t, 1 / (1 + t)], **settings)
    alone = sweep("adam", lrs=[0.1], schedule=lambda t: 0.5**t, **settings)
    for name in ("loss", *CURVES):
        torch.testing.assert_close(getattr(runs, name)[1], getattr(alone, name)[0], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(runs.lr[:, -1], torch.tensor([0.1, 0.025, 0.1]).double())
    with pytest.raises(ValueError, match=r"schedule\(0\) gave 2 factors for 3 rates"):
        sweep("sgd", lrs=[0.1] * 3, schedule=lambda t: [1, 2], **settings)


@pytest.mark.parametrize("hidden", [0, 6])
def test_the_l2_penalty_is_the_weight_decay_of_sgd_and_counts_in_the_training_loss(data, hidden):
    settings = {"lrs": [0.1, 0.4], "seeds": [0, 1], "data": data, "epochs": 2, "hidden": hidden}
    runs = sweep("sgd", l2=0.05, **settings)
    decay = lambda p, lr: OPTIM.SGD(p, lr, weight_decay=0.05)  # noqa: E731
    assert_same(runs, decay, data, hidden=hidden, epochs=2, curves=("val_loss", "test_accuracy", "val_accuracy"))
    for i, lr in enumerate((0.1, 0.4)):
        for seed in (0, 1):
            model = mlp(hidden, seed, "cpu").double()

            def penalty(model=model):
                return 0.05 / 2 * sum(p.square().sum() for p in model.parameters()).item()

            first = penalty()
            history = train(model, decay(model.parameters(), lr), data, epochs=2, seed=seed)
            assert runs.loss[i, seed, 0].item() == pytest.approx(history.loss[0].item() + first)
            assert runs.train_loss[i, seed, 0].item() == pytest.approx(history.train_loss[0].item() + first)
            assert runs.train_loss[i, seed, -1].item() == pytest.approx(history.train_loss[-1].item() + penalty())


# --- step functions of one's own ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "state", "named"),
    [
        (gradient_step, (), "sgd"),
        (momentum_step, None, "momentum"),
        (momentum_in_place, (0.0,), "momentum"),
        (heavy_ball_step, (None,), "momentum"),
        (rmsprop_step, (0.0,), "rmsprop"),
        (adam_step, (0.0, 0.0, 0), "adam"),
    ],
)
def test_a_step_function_of_ones_own_makes_the_same_runs_as_the_named_rule(data, own, state, named):
    lrs, hyper, _ = RULES[named]
    settings = {"lrs": lrs, "seeds": [0, 1, 2], "data": data, "epochs": 2, **hyper}
    mine, theirs = sweep(own, state=state, **settings), sweep(named, **settings)
    for name in CURVES:
        torch.testing.assert_close(getattr(mine, name), getattr(theirs, name), rtol=1e-9, atol=1e-11)


def test_a_rule_may_keep_the_gradient_and_runs_in_the_caller_s_thread(data, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    threads = set()

    def last_gradient_step(w, grad, last, lr):
        threads.add(threading.get_ident())
        return w - lr * last, grad

    def last_gradient_step_on_copies(w, grad, last, lr):
        return w - lr * last, grad.clone()

    settings = {"lrs": [0.1] * 8, "seeds": range(4), "data": data, "epochs": 1, "batch_size": 400}
    kept, copied = sweep(last_gradient_step, **settings), sweep(last_gradient_step_on_copies, **settings)
    assert torch.equal(kept.loss, copied.loss)
    assert threads == {threading.get_ident()}


def test_a_step_function_that_returns_something_else_is_named(data):
    def forgets_the_state(w, grad, delta, lr):
        return w - lr * grad

    with pytest.raises(ValueError, match="forgets_the_state should return w.*1 state"):
        sweep(forgets_the_state, lrs=[0.1], seeds=[0], data=data, epochs=1)


# --- many runs ---------------------------------------------------------------------------------------------------


def test_the_shapes_of_what_comes_back(data):
    runs = sweep("sgd", lrs=(0.1, 0.2, 0.3), seeds=range(2, 4), data=data, epochs=2, batch_size=300)
    assert runs.lrs.tolist() == [0.1, 0.2, 0.3]
    assert runs.seeds == (2, 3)
    assert runs.loss.shape == (3, 2, 10)
    assert runs.lr.shape == (3, 10)
    for name in CURVES[1:]:
        assert getattr(runs, name).shape == (3, 2, 3)
    assert sweep("sgd", lrs=0.1, seeds=[0], data=digits("cpu"), epochs=1).val_loss is None


def test_a_diverged_run_does_not_disturb_the_others_and_gives_no_warning(data, recwarn):
    settings = {"seeds": [0, 1], "data": data, "epochs": 3}
    runs = sweep("momentum", lrs=[0.1, 1e200, 0.01], **settings)
    alone = sweep("momentum", lrs=[0.1, 0.01], **settings)
    assert not runs.train_loss[1, :, 1:].isfinite().any()
    for name in CURVES:
        torch.testing.assert_close(getattr(runs, name)[[0, 2]], getattr(alone, name), rtol=1e-9, atol=1e-11)
    assert len(recwarn) == 0


@pytest.mark.parametrize("cores", [1, 2, 3, 8, None])
def test_runs_do_not_depend_on_the_number_of_cores(data, monkeypatch, cores):
    settings = {"lrs": [0.1] * 4, "seeds": range(7), "data": data, "epochs": 1, "batch_size": 600}
    expected = sweep(momentum_step, alpha=0.9, **settings)  # a rule of one's own stays in one thread
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    shares = []
    stack = stacked._stack
    monkeypatch.setattr(stacked, "_stack", lambda lrs, seeds, *rest: shares.append(seeds) or stack(lrs, seeds, *rest))
    found = sweep("momentum", **settings)
    for name in CURVES:
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-11)
    assert sorted(seed for share in shares for seed in share) == list(range(7))
    assert len(shares) == {1: 1, 2: 2, 3: 3, 8: 7, None: 1}[cores]
    shares.clear()
    sweep("momentum", **settings | {"batch_size": 20})  # short steps: a second thread would only be in the way
    assert len(shares) == 1


def test_the_caller_s_settings_are_left_alone(data):
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    sweep("adam", lrs=[0.1] * 4, seeds=range(6), data=data, epochs=1, batch_size=600)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


def test_a_progress_bar_only_on_request(data, capsys):
    for progress in (False, True):
        sweep("sgd", lrs=[0.1] * 8, seeds=[0, 1], data=data, epochs=2, batch_size=2000, progress=progress)
        error = capsys.readouterr().err
        assert ("epochs" in error) == progress
    assert "4/4" in error


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rule": "adamw"}, ValueError, "'adamw'.*sgd, momentum, nesterov, rmsprop, adam"),
        ({"rule": "momentum", "state": (0.0,)}, ValueError, "without state"),
        ({"lrs": []}, ValueError, "at least one"),
        ({"seeds": []}, ValueError, "at least one"),
        ({"epochs": 0}, ValueError, "epochs must be"),
        ({"batch_size": [10]}, ValueError, "1 entries for 2 epochs"),
        ({"momentum": 0.9}, TypeError, "sgd.*'momentum'"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(data, arguments, error, message):
    settings = {"rule": "sgd", "lrs": [0.1], "seeds": [0], "data": data, "epochs": 2} | arguments
    with pytest.raises(error, match=message):
        sweep(settings.pop("rule"), **settings)


def test_noise_stays_where_no_model_fits_every_label():
    """Growing the batch lowers the noise floor as a decaying rate does (Smith et al. 2018), with fewer updates."""
    settings = {"lrs": [0.3], "seeds": range(4), "data": noisy_digits("cpu"), "hidden": 0, "l2": 0.01, "epochs": 20}
    constant = sweep("sgd", batch_size=16, **settings)
    decayed = sweep("sgd", batch_size=16, schedule=lambda epoch: 0.2 ** (epoch // 10), **settings)
    grown = sweep("sgd", batch_size=[16] * 10 + [80] * 10, **settings)
    end = [runs.train_loss[..., -1].mean() for runs in (constant, decayed, grown)]
    assert end[0] - end[1] > 0.01
    assert abs(end[1] - end[2]) < 0.005
    assert grown.loss.shape[-1] < 0.65 * decayed.loss.shape[-1]
