"""The training loop: that it records what happened, and that step functions of one's own train as torch.optim does."""

import pytest
import torch
from rules import adam_step, double, gradient_step, heavy_ball_step, momentum_in_place, momentum_step, rmsprop_step
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from lecture_utils.data import digits
from lecture_utils.devices import generator
from lecture_utils.training import RuleOptimizer, mlp, per_example_gradients, shuffled, train

CPU = "cpu"


@pytest.fixture(scope="module")
def data():
    return digits(CPU, validation=200)


def sgd(model, lr=0.1, **settings):
    return torch.optim.SGD(model.parameters(), lr=lr, **settings)


# --- the network -------------------------------------------------------------------------------------------------


def test_the_network_has_4810_weights_as_pytorch_would_draw_them():
    weights = [p.detach() for p in mlp(device=CPU).parameters()]
    assert [tuple(p.shape) for p in weights] == [(64, 64), (64,), (10, 64), (10,)]
    assert sum(p.numel() for p in weights) == 4810
    for p in weights:  # uniform in ±1/√64
        assert p.abs().max() <= 1 / 8
        assert p.abs().max() > 0.7 / 8
    assert weights[0].std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.05)


def test_weights_depend_on_the_seed_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = (mlp(seed=seed, device=CPU)[0].weight for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_hidden_layer_it_is_softmax_regression():
    assert [tuple(p.shape) for p in mlp(0, device=CPU, n_features=7, n_classes=3).parameters()] == [(3, 7), (3,)]


# --- the loop ----------------------------------------------------------------------------------------------------


def test_training_learns_the_digits(data):
    model = mlp(device=CPU)
    history = train(model, sgd(model, momentum=0.9), data, epochs=12)
    assert history.train_loss[0] == pytest.approx(torch.tensor(10.0).log().item(), abs=0.1)
    assert history.train_loss[-1] < 0.06
    assert history.test_accuracy[0] < 0.4
    assert history.test_accuracy[-1] > 0.94
    assert history.val_accuracy[-1] > 0.94


def test_the_history_holds_each_step_and_the_start_and_end_of_each_epoch(data):
    model = mlp(device=CPU)
    history = train(model, sgd(model, lr=0.2), data, epochs=2, batch_size=500, seed=7)
    assert [len(history.loss), len(history.lr)] == [6, 6]  # batches of 500, 500 and 237
    curves = ("train_loss", "val_loss", "test_accuracy", "val_accuracy")
    assert [len(getattr(history, name)) for name in curves] == [3] * 4

    again, random = mlp(device=CPU), generator(7)
    for epoch in range(2):
        assert history.train_loss[epoch] == pytest.approx(F.cross_entropy(again(data.x), data.y).item(), rel=1e-5)
        for step, batch in enumerate(torch.randperm(data.n, generator=random).split(500)):
            loss = F.cross_entropy(again(data.x[batch]), data.y[batch])
            assert history.loss[3 * epoch + step] == pytest.approx(loss.item(), rel=1e-5)
            for p, grad in zip(again.parameters(), torch.autograd.grad(loss, list(again.parameters())), strict=True):
                p.data -= 0.2 * grad
    assert history.val_loss[-1] == pytest.approx(F.cross_entropy(model(data.x_val), data.y_val).item(), rel=1e-5)
    for x, y, accuracy in (
        (data.x_val, data.y_val, history.val_accuracy),
        (data.x_test, data.y_test, history.test_accuracy),
    ):
        assert accuracy[-1] == pytest.approx((model(x).argmax(1) == y).float().mean().item(), abs=1e-6)


def test_without_validation_examples_there_are_no_validation_curves():
    model = mlp(device=CPU)
    history = train(model, sgd(model), digits(CPU), epochs=1)
    assert (history.val_loss, history.val_accuracy) == (None, None)


def test_the_order_of_the_examples_depends_on_the_seed_alone(data):
    def losses(seed):
        torch.rand(seed + 1)  # whatever the global generator did meanwhile
        model = mlp(device=CPU)
        return train(model, sgd(model), data, epochs=1, seed=seed).loss

    assert torch.equal(losses(1), losses(1))
    assert not torch.equal(losses(1), losses(2))


def test_every_example_is_used_once_per_epoch_in_a_new_order():
    random = generator(0)
    first, second = (torch.cat(shuffled(10, 3, random)) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert not torch.equal(first, second)
    assert [len(batch) for batch in shuffled(10, 3, random)] == [3, 3, 3, 1]


def test_the_first_loss_is_that_of_the_first_batch_and_sizes_per_epoch_are_used(data):
    model = mlp(device=CPU)
    first = shuffled(data.n, 400, generator(0))[0]
    expected = F.cross_entropy(model(data.x[first]), data.y[first]).item()
    history = train(model, sgd(model), data, epochs=3, batch_size=[400, 800, 5000])
    assert len(history.loss) == 4 + 2 + 1
    assert history.loss[0] == pytest.approx(expected, rel=1e-5)


def test_the_learning_rates_used_are_recorded_per_epoch_and_per_step(data):
    def rates(make, **settings):
        model = mlp(device=CPU)
        optimizer = sgd(model, lr=0.1)
        return train(model, optimizer, data, epochs=2, batch_size=700, scheduler=make(optimizer), **settings).lr

    halve = lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5)  # noqa: E731
    assert rates(lambda optimizer: None).tolist() == pytest.approx([0.1] * 4)
    assert rates(halve).tolist() == pytest.approx([0.1, 0.1, 0.05, 0.05])
    assert rates(halve, per_step=True).tolist() == pytest.approx([0.1, 0.05, 0.025, 0.0125])


def test_reduce_on_plateau_watches_the_validation_loss(data):
    seen = []

    class Watch(lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):
            seen.append(float(metrics))

    model = mlp(device=CPU)
    optimizer = sgd(model)
    history = train(model, optimizer, data, epochs=2, scheduler=Watch(optimizer))
    assert seen == history.val_loss[1:].tolist()


def test_dropout_is_on_while_training_and_off_while_measuring(data):
    modes = []

    class Spy(nn.Module):
        def forward(self, x):
            modes.append((len(x), self.training))
            return x

    model = nn.Sequential(Spy(), mlp(device=CPU))
    train(model, sgd(model), data, epochs=1, batch_size=1000)
    assert {size for size, training in modes if training} == {1000, 237}
    assert {size for size, training in modes if not training} == {1237, 360, 200}


def test_a_run_that_diverges_goes_on_and_says_so(data, recwarn):
    model = mlp(device=CPU)
    history = train(model, sgd(model, lr=1e20), data, epochs=2)
    assert not history.train_loss[-1].isfinite()
    assert len(recwarn) == 0


def test_per_example_gradients_are_those_of_backward_one_by_one(data):
    model = mlp(seed=3, device="cpu")
    grads = per_example_gradients(model, data.x[:5], data.y[:5])
    assert grads.shape == (5, 4810)
    for x, y, found in zip(data.x[:5], data.y[:5], grads, strict=True):
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        expected = torch.cat([p.grad.flatten() for p in model.parameters()])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_progress_bar_only_on_request(data, capsys):
    for progress in (False, True):
        model = mlp(device=CPU)
        train(model, sgd(model), data, epochs=2, batch_size=2000, progress=progress)
        assert ("epochs" in capsys.readouterr().err) == progress


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs must be"),
        ({"epochs": 2.0}, "epochs must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"batch_size": 6.4}, "batch_size must be"),
        ({"batch_size": [64, 64, 64]}, "3 entries for 2 epochs"),
        ({"batch_size": [64, -1]}, "batch_size must be"),
        ({"optimizer": sgd(mlp(device=CPU))}, "parameters of another model"),
        ({"model": mlp(device="meta")}, "on meta.*model.to"),
        ({"model": mlp(device=CPU).double()}, "float64.*model.to"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(data, arguments, message):
    model = arguments.pop("model", None) or mlp(device=CPU)
    settings = {"optimizer": sgd(model), "epochs": 2} | arguments
    with pytest.raises(ValueError, match=message):
        train(model, data=data, **settings)


# --- step functions of one's own ---------------------------------------------------------------------------------


MOMENTUM = {"momentum": 0.9}
RULES = {
    "gradient_step": (gradient_step, (), {}, torch.optim.SGD, {}),
    "momentum_step": (momentum_step, (0.0,), {"alpha": 0.9}, torch.optim.SGD, MOMENTUM),
    "in place": (momentum_in_place, (0.0,), {"alpha": 0.9}, torch.optim.SGD, MOMENTUM),
    "keeps w": (heavy_ball_step, (None,), {"alpha": 0.9}, torch.optim.SGD, MOMENTUM),
    "rmsprop_step": (rmsprop_step, (0.0,), {"beta": 0.9, "eps": 0.1}, torch.optim.RMSprop, {"alpha": 0.9, "eps": 0.1}),
    "adam_step": (
        adam_step,
        (0.0, 0.0, 0),
        {"beta1": 0.8, "beta2": 0.99, "eps": 0.1},
        torch.optim.Adam,
        {"betas": (0.8, 0.99), "eps": 0.1},
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_step_function_trains_as_torch_optim_does(data, name):
    rule, state, hyper, optimizer, settings = RULES[name]
    own, other = (mlp(device=CPU).double() for _ in range(2))
    mine = train(own, RuleOptimizer(own.parameters(), rule, state, lr=0.05, **hyper), double(data), epochs=2)
    theirs = train(other, optimizer(other.parameters(), lr=0.05, **settings), double(data), epochs=2)
    torch.testing.assert_close(mine.loss, theirs.loss, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(mine.test_accuracy, theirs.test_accuracy)


def test_a_rule_may_keep_the_gradient_even_if_zero_grad_clears_it_in_place():
    def last_gradient_step(w, grad, last, lr):
        return w - lr * last, grad

    w = nn.Parameter(torch.zeros(2))
    optimizer = RuleOptimizer([w], last_gradient_step, lr=1.0)
    for grad in (1.0, 2.0, 3.0):
        w.grad = torch.full((2,), grad) if w.grad is None else w.grad.fill_(grad)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
    assert w.tolist() == [-3.0, -3.0]


def test_a_parameter_without_gradient_stays_and_groups_have_their_own_rate():
    a, b, c = (nn.Parameter(torch.ones(())) for _ in range(3))
    optimizer = RuleOptimizer([{"params": [a, c]}, {"params": [b], "lr": 2.0}], gradient_step, (), lr=1.0)
    a.grad, b.grad = torch.ones(()), torch.ones(())
    optimizer.step()
    assert (a.item(), b.item(), c.item()) == (0.0, -1.0, 1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t),
        lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5),
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=0.4, total_steps=4, cycle_momentum=False),
    ],
)
def test_schedulers_set_the_rate_of_a_step_function_as_of_any_optimizer(data, make):
    own, other = (mlp(device=CPU).double() for _ in range(2))
    settings = {"data": double(data), "epochs": 2, "batch_size": 700, "per_step": True}
    optimizers = RuleOptimizer(own.parameters(), gradient_step, (), lr=0.1), sgd(other, lr=0.1)
    mine, theirs = (
        train(model, optimizer, scheduler=make(optimizer), **settings)
        for model, optimizer in zip((own, other), optimizers, strict=True)
    )
    assert mine.lr.tolist() == theirs.lr.tolist()
    torch.testing.assert_close(mine.train_loss, theirs.train_loss)


def test_a_saved_optimizer_goes_on_exactly_where_it_stopped():
    def some_steps(optimizer, w, count):
        for step in range(count):
            w.grad = torch.arange(3.0) - step
            optimizer.step()

    settings = {"state": (0.0, 0.0, 0), "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
    w = nn.Parameter(torch.zeros(3))
    optimizer = RuleOptimizer([w], adam_step, **settings)
    some_steps(optimizer, w, 3)
    copy = nn.Parameter(w.detach().clone())
    resumed = RuleOptimizer([copy], adam_step, **settings)
    resumed.load_state_dict(optimizer.state_dict())
    some_steps(optimizer, w, 2)
    some_steps(resumed, copy, 2)
    assert torch.equal(w, copy)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("None", "NoneType"),
        ("w", "1 state"),
        ("(w, delta, delta)", "1 state"),
        ("(w[0], delta)", r"\(3,\).*\(\)"),
        ("(1.0, delta)", "float"),
    ],
)
def test_a_step_function_that_returns_something_else_is_named(result, message):
    def my_step(w, grad, delta, lr):
        return eval(result, {}, {"w": w, "delta": delta})

    w = nn.Parameter(torch.zeros(3))
    w.grad = torch.ones(3)
    with pytest.raises(ValueError, match=f"my_step should return w.*{message}"):
        RuleOptimizer([w], my_step, lr=0.1).step()
