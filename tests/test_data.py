"""The data sets: what they hold, that they are always the same, and what happens when MNIST cannot be had."""

import subprocess
import sys
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from lecture_utils import data
from lecture_utils.data import digits, mnist, noisy_digits, ridge_softmax_minimum
from lecture_utils.stacked import sweep

PARTS = ("x", "y", "x_val", "y_val", "x_test", "y_test")


def test_digits_are_split_into_1437_and_360_with_equal_shares_of_the_classes():
    found = digits("cpu")
    assert (found.n, found.n_features, found.n_classes, len(found.x_test), len(found.x_val)) == (1437, 64, 10, 360, 0)
    assert (found.x.dtype, found.y.dtype) == (torch.float32, torch.int64)
    assert (found.x.min(), found.x.max()) == (0, 1)
    shares = found.y.bincount() / 1437 - found.y_test.bincount() / 360
    assert shares.abs().max() < 0.003


@pytest.mark.parametrize("validation", [0, 10, 237, 400, 1427])
def test_digits_are_split_bit_for_bit_as_scikit_learn_does(validation, monkeypatch):
    def split(x, y, size):
        keep, take = train_test_split(np.arange(len(y)), test_size=size, stratify=y, random_state=0)
        return x[keep], y[keep], x[take], y[take]

    for make in (digits, noisy_digits):
        found = make("cpu", validation=validation)
        with monkeypatch.context() as patched:
            patched.setattr(data, "_split", split)
            patched.setattr(data, "find_spec", lambda _: SimpleNamespace(origin="nowhere"))  # load_digits, then
            patched.setattr(data, "_digits", data._digits.__wrapped__)  # not what was read before
            expected = make("cpu", validation=validation)
        assert all(torch.equal(getattr(found, part), getattr(expected, part)) for part in PARTS)


def test_who_changes_the_data_changes_no_one_elses():
    first = digits("cpu")
    first.x.zero_(), first.y.zero_(), first.y_test.zero_()
    again = digits("cpu")
    assert again.x.any()
    assert again.y.any()
    assert again.y_test.any()


def test_digits_do_not_wait_for_scikit_learn():
    code = "import sys; from lecture_utils.data import digits; digits(); sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code]).returncode == 0


def test_every_digit_is_in_exactly_one_part():
    pixels, _ = sklearn.datasets.load_digits(return_X_y=True)
    found = digits("cpu", validation=237)
    assert (len(found.x), len(found.x_val), len(found.x_test)) == (1200, 237, 360)
    together = torch.cat([found.x, found.x_val, found.x_test]) * 16
    assert sorted(together.tolist()) == sorted(pixels.tolist())


def test_data_are_the_same_each_time_and_validation_does_not_change_the_test_set():
    for make in (digits, noisy_digits):
        first, again = make("cpu", validation=100), make("cpu", validation=100)
        assert all(torch.equal(getattr(first, part), getattr(again, part)) for part in PARTS)
        assert torch.equal(first.x_test, make("cpu").x_test)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3, 1.0])
def test_the_stated_share_of_training_labels_is_wrong_and_test_labels_are_right(noise):
    clean, noisy = digits("cpu"), noisy_digits("cpu", noise)
    assert torch.equal(clean.x, noisy.x)
    assert (clean.y != noisy.y).sum() == round(noise * 1437)
    assert torch.equal(clean.y_test, noisy.y_test)
    assert noisy.y.min() >= 0
    assert noisy.y.max() <= 9


def test_validation_labels_are_as_noisy_as_training_labels():
    clean, noisy = digits("cpu"), noisy_digits("cpu", 0.5, validation=400)
    label = {tuple(x): y for x, y in zip(clean.x.tolist(), clean.y.tolist(), strict=True)}
    wrong = [label[tuple(x)] != y for x, y in zip(noisy.x_val.tolist(), noisy.y_val.tolist(), strict=True)]
    assert 0.4 < sum(wrong) / 400 < 0.6


@pytest.mark.parametrize("arguments", [{"noise": -0.1}, {"noise": 30}, {"validation": 3}, {"validation": 1437}])
def test_impossible_requests_are_named(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        noisy_digits("cpu", **arguments)


@pytest.mark.parametrize("l2", [5e-3, 5e-2])
def test_the_minimum_is_where_the_gradient_vanishes(l2):
    found = noisy_digits("cpu")
    minimum = ridge_softmax_minimum(found, l2)
    x, y = F.pad(found.x.double(), (0, 1), value=1.0), found.y
    model = LogisticRegression(C=1 / (l2 * found.n), fit_intercept=False, solver="newton-cg", tol=1e-9, max_iter=1000)
    w = torch.as_tensor(model.fit(x.numpy(), y.numpy()).coef_)
    newton = F.cross_entropy(x @ w.T, y) + l2 / 2 * w.square().sum()
    assert newton.item() == pytest.approx(minimum, abs=1e-8)


def test_without_a_penalty_there_is_no_minimum_to_give():
    with pytest.raises(ValueError, match="l2 must be positive"):
        ridge_softmax_minimum(digits("cpu"), 0.0)


def test_sgd_stays_above_the_minimum_by_a_floor_that_a_smaller_rate_lowers():
    found = noisy_digits("cpu")
    minimum = ridge_softmax_minimum(found, 0.01)
    settings = {"lrs": [0.3], "seeds": range(4), "data": found, "epochs": 15, "batch_size": 16, "hidden": 0, "l2": 0.01}
    constant = sweep("sgd", **settings).train_loss[0, :, -5:] - minimum
    decayed = sweep("sgd", schedule=lambda epoch: 0.2 ** (epoch // 5), **settings).train_loss[0, :, -1] - minimum
    assert decayed.min() > 0
    assert constant.mean() > 20 * decayed.mean()


# --- MNIST -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch):
    """A set in MNIST's place, as openml.org would send it: 220 examples, the last 20 to test on."""
    y = np.arange(220) % 10
    x = np.random.RandomState(0).randint(0, 256, (220, 784)).astype(np.float64)
    monkeypatch.setattr(data, "MNIST_SHAPE", x.shape)
    monkeypatch.setattr(data, "MNIST_TEST", 20)
    monkeypatch.setattr(data, "MNIST_PIXEL_SUM", int(x.sum()))
    monkeypatch.setattr(data, "MNIST_LABEL_COUNTS", [22] * 10)
    return SimpleNamespace(data=x, target=y.astype(str).astype(object))


def sends(monkeypatch, answer):
    """Put something else in the place of scikit-learn's download; returns the list of the calls to come."""
    calls = []

    def fetch(name, **settings):
        calls.append((name, settings["version"], settings["data_home"]))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    return calls


def test_mnist_is_downloaded_once_then_read_from_the_cache(monkeypatch, tmp_path, tiny):
    calls = sends(monkeypatch, tiny)
    first = mnist("cpu", cache=tmp_path / "new folder", validation=30)
    again = mnist("cpu", cache=tmp_path / "new folder", validation=30)
    assert calls == [("mnist_784", 1, tmp_path / "new folder")]
    assert (len(first.x), len(first.x_val), len(first.x_test)) == (170, 30, 20)
    assert torch.equal(first.x_test, torch.tensor(tiny.data[200:] / 255, dtype=torch.float32))
    assert first.y_test.tolist() == [*range(10), *range(10)]
    assert all(torch.equal(getattr(first, part), getattr(again, part)) for part in PARTS)


def test_without_a_network_the_error_says_what_is_missing_and_what_to_do(monkeypatch, tmp_path):
    sends(monkeypatch, URLError("Name or service not known"))
    with pytest.raises(ConnectionError) as caught:
        mnist("cpu", cache=tmp_path)
    for part in ("www.openml.org", "Name or service not known", "Connect", str(tmp_path), "digits()"):
        assert part in str(caught.value)


@pytest.mark.parametrize("wrong", ["shape", "pixel sum", "label counts"])
def test_something_else_than_mnist_is_refused_and_not_kept(monkeypatch, tmp_path, tiny, wrong):
    if wrong == "shape":
        tiny.data = tiny.data[:, :-1]
    elif wrong == "pixel sum":
        tiny.data[0, 0] += 1
    else:
        tiny.target[0] = "1"
    sends(monkeypatch, tiny)
    with pytest.raises(ValueError, match=f"MNIST's {wrong} should be"):
        mnist("cpu", cache=tmp_path)
    assert not list(tmp_path.rglob("*.pkl"))


def test_a_damaged_cache_is_fetched_again(monkeypatch, tmp_path, tiny):
    calls = sends(monkeypatch, tiny)
    first = mnist("cpu", cache=tmp_path)
    (kept,) = tmp_path.rglob("output.pkl")
    for damage in (kept.read_bytes()[:1000], b"", b"nonsense"):
        kept.write_bytes(damage)
        assert torch.equal(mnist("cpu", cache=tmp_path).x, first.x)
    assert len(calls) == 4


def test_the_numbers_that_mnist_is_verified_by_agree_with_its_published_means():
    assert sum(data.MNIST_LABEL_COUNTS) == data.MNIST_SHAPE[0]
    mean = data.MNIST_PIXEL_SUM / np.prod(data.MNIST_SHAPE) / 255
    assert mean == pytest.approx((60 * 0.1306604762738429 + 10 * 0.13251460696903547) / 70, abs=1e-9)
