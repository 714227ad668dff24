"""Which device is picked, and that everything stays on the one that was asked for. No GPU is needed."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lecture_utils import devices
from lecture_utils.data import Data, digits, noisy_digits, ridge_softmax_minimum
from lecture_utils.stacked import RULES, sweep
from lecture_utils.training import RuleOptimizer, mlp, train


@pytest.mark.parametrize(("cuda", "mps", "picked"), [(1, 1, "cuda"), (1, 0, "cuda"), (0, 1, "mps"), (0, 0, "cpu")])
def test_the_best_device_is_picked_and_only_the_cpu_gets_one_thread(monkeypatch, cuda, mps, picked):
    threads = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: bool(mps))
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    assert devices.pick_device() == torch.device(picked)
    assert threads == ([1] if picked == "cpu" else [])


def test_a_device_is_described_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GeForce 9000")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "__version__", "9.8.7+cu999")
    assert devices.describe("cuda:1") == "Running on cuda:1 (GeForce 9000), PyTorch 9.8.7"
    assert devices.describe(torch.device("mps")) == "Running on mps (Apple GPU), PyTorch 9.8.7"
    assert devices.describe("cpu") == "Running on cpu (threads: 3), PyTorch 9.8.7"


def test_a_generator_depends_on_its_seed_alone():
    before = torch.get_rng_state()
    first, again, other = (torch.rand(5, generator=devices.generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return w - delta, delta


def run_everything(data: Data):
    """All that trains, on the device of ``data``; yields the tensors it leaves there, then those it hands back."""
    for hidden in (0, 8):
        model = mlp(hidden, device=data.x.device)
        optimizer = RuleOptimizer(model.parameters(), momentum_step, lr=0.1, alpha=0.9)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        history = train(model, optimizer, data, epochs=1, batch_size=500, scheduler=scheduler)
        runs = [sweep(rule, lrs=[0.1, 0.2], seeds=[0, 1], data=data, epochs=1, hidden=hidden) for rule in RULES]
        runs.append(
            sweep(
                momentum_step, alpha=0.9, lrs=[0.1], seeds=[0], data=data, epochs=1, l2=0.1, schedule=lambda t: 0.5**t
            )
        )
        state = [s for slot in optimizer.state.values() for s in slot["rule"]]
        yield [*model.parameters(), *state], [*tensors(history), *(t for run in runs for t in tensors(run))]


def tensors(record) -> list[torch.Tensor]:
    return [t for t in vars(record).values() if isinstance(t, torch.Tensor)]


def test_no_tensor_is_made_without_naming_its_device():
    with torch.device("meta"):  # whatever names no device becomes a tensor without numbers
        data = noisy_digits("cpu", validation=100)
        minimum = ridge_softmax_minimum(data, 0.01)
        found = list(run_everything(data))
    assert 1 < minimum < 2
    for there, back in found:
        for tensor in [*tensors(data), *there, *back]:
            assert tensor.device.type == "cpu"
            assert tensor.isfinite().all()


class PretendGPU(TorchDispatchMode):
    """Lets "meta" tensors stand in for a GPU's: no operation may mix them with others, and copying back works."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor) and t.dim() > 0]
        if func is torch.ops.aten._to_copy.default and tensors and kwargs.get("device") == devices.HOST:
            return torch.zeros(tensors[0].shape, dtype=tensors[0].dtype, device=devices.HOST)
        assert len({t.device for t in tensors}) <= 1, f"{func} mixes devices"
        return func(*args, **kwargs)


def test_on_another_device_everything_stays_there_and_results_come_back():
    data = noisy_digits("meta", validation=100)
    with PretendGPU():
        for there, back in run_everything(data):
            assert {tensor.device.type for tensor in there} == {"meta"}
            assert {tensor.device.type for tensor in back} == {"cpu"}


def test_the_pretended_gpu_notices_a_hard_coded_device():
    with PretendGPU(), pytest.raises(AssertionError, match="mixes devices"):
        torch.where(torch.ones(3, device="meta") > 0, torch.ones(3, device="meta"), torch.ones(3))


def test_data_sets_and_networks_go_where_they_are_sent_or_else_to_the_picked_device(monkeypatch):
    from lecture_utils import data, training

    monkeypatch.setattr(data, "pick_device", lambda: torch.device("meta"))
    monkeypatch.setattr(training, "pick_device", lambda: torch.device("meta"))
    for made in (tensors(digits()), tensors(noisy_digits(validation=50)), list(mlp().parameters())):
        assert {tensor.device.type for tensor in made} == {"meta"}
    for made in (tensors(digits("cpu")), tensors(noisy_digits("cpu")), list(mlp(device="cpu").parameters())):
        assert {tensor.device.type for tensor in made} == {"cpu"}
