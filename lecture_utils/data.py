"""The data sets: scikit-learn's digits, their noisy-label variant with its known minimum, and MNIST."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lecture_utils.devices import HOST, Device, pick_device

# scikit-learn is imported inside the functions that need it: 0.8 s that most notebooks do not have to wait for.

# The set mnist_784, version 1, of openml.org. Its last 10,000 examples are the test set.
MNIST_SHAPE, MNIST_TEST, MNIST_PIXEL_SUM = (70_000, 784), 10_000, 1_832_221_745
MNIST_LABEL_COUNTS = [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]


@dataclass(frozen=True)
class Data:
    """A classification data set on one device; ``x`` and ``y`` are the training examples.

    x, x_val, x_test: (examples, features), float32, 0 to 1.   y, y_val, y_test: (examples,), int64 classes.
    """

    x: torch.Tensor
    y: torch.Tensor
    x_val: torch.Tensor
    y_val: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    n_classes: int = 10
    n = property(lambda self: len(self.x))
    n_features = property(lambda self: self.x.shape[1])


def digits(device: Device = None, validation: int = 0) -> Data:
    """scikit-learn's 1797 pictures of 8 × 8 pixels: 1437 to train on, 360 to test on, always the same ones.

    Pixels are scaled to [0, 1], not standardised: three of them are 0 in every picture and have no spread to divide
    by. ``validation`` examples are taken out of the 1437. All parts hold the classes in equal shares.
    Raises ValueError if ``validation`` is impossible.
    """
    return _data(*_digits(), validation, device)


def noisy_digits(device: Device = None, noise: float = 0.3, validation: int = 0) -> Data:
    """The digits with a share ``noise`` of the training labels replaced by another class, always the same ones.

    With softmax regression (``mlp(hidden=0)``) and an L2 penalty the problem is convex, and as no linear model fits
    the wrong labels, the gradients stay noisy at the minimum: SGD has a real noise floor above
    ``ridge_softmax_minimum``. Validation labels are as noisy as training labels, test labels are clean.
    Raises ValueError if ``noise`` is not in [0, 1] or ``validation`` is impossible.
    """
    if not 0 <= noise <= 1:
        raise ValueError(f"noise is the share of wrong labels, from 0 to 1, but it is {noise}.")
    x, y, x_test, y_test = _digits()
    random = np.random.RandomState(0)  # its numbers will never change, unlike those of default_rng
    wrong = random.permutation(len(y)) < round(noise * len(y))
    y = np.where(wrong, (y + random.randint(1, 10, len(y))) % 10, y)
    return _data(x, y, x_test, y_test, validation, device)


def ridge_softmax_minimum(data: Data, l2: float) -> float:
    """The lowest training loss, cross-entropy + l2/2 · ‖weights and biases‖², of ``mlp(hidden=0)``, to nine digits.

    Found in float64 by ``torch.optim.LBFGS``. Raises ValueError if l2 ≤ 0: there may be no minimum then.
    """
    if l2 <= 0:
        raise ValueError(f"l2 must be positive, but it is {l2}: without a penalty there may be no minimum.")
    x, y = F.pad(data.x.to(HOST, torch.float64), (0, 1), value=1.0), data.y.to(HOST)  # the added 1 carries the bias
    w = torch.zeros(x.shape[1], data.n_classes, dtype=torch.float64, device=HOST, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], max_iter=1000, tolerance_change=0, line_search_fn="strong_wolfe")

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ w, y) + l2 / 2 * w.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return objective().item()


def mnist(device: Device = None, cache: str | os.PathLike | None = None, validation: int = 0) -> Data:
    """MNIST: 60,000 pictures of 28 × 28 pixels to train on, 10,000 to test on, in float32.

    Downloaded once (15 MB) from openml.org, verified, and kept in the folder ``cache``, by default scikit-learn's data
    folder. Raises ConnectionError if it is neither there nor to be had, ValueError if openml.org sends something else.
    """
    import sklearn.datasets
    from sklearn.utils.validation import check_memory

    folder = Path(cache or sklearn.datasets.get_data_home())
    # fetch_openml keeps the file that was sent, but needs a minute to read it: what is kept here is the arrays.
    x, y = check_memory(str(folder)).cache(_openml_mnist, ignore=["folder"])(folder)
    x = x / np.float32(255)
    return _data(x[:-MNIST_TEST], y[:-MNIST_TEST], x[-MNIST_TEST:], y[-MNIST_TEST:], validation, device)


def _openml_mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    import sklearn.datasets

    try:  # liac-arff is the parser that needs no pandas
        sent = sklearn.datasets.fetch_openml(
            "mnist_784", version=1, as_frame=False, parser="liac-arff", data_home=folder
        )
    except (OSError, HTTPException) as error:
        raise ConnectionError(
            f"MNIST could not be downloaded from www.openml.org: {error}. Connect to the internet and run this again, "
            f"or copy the folder {folder} from a machine that has it. digits() needs no download."
        ) from error
    x, y = np.asarray(sent.data), np.asarray(sent.target).astype(np.int64)
    found = {"shape": x.shape, "pixel sum": int(x.sum(dtype=np.float64)), "label counts": np.bincount(y).tolist()}
    true = {"shape": MNIST_SHAPE, "pixel sum": MNIST_PIXEL_SUM, "label counts": MNIST_LABEL_COUNTS}
    for name, value in true.items():
        if found[name] != value:
            raise ValueError(f"MNIST's {name} should be {value}, but openml.org sent {found[name]}.")
    return x.astype(np.uint8), y


@cache
def _digits() -> tuple[np.ndarray, ...]:
    """The file that scikit-learn's ``load_digits`` reads, read here: 64 pixels and the class in each line."""
    file = Path(find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
    if file.exists():
        table = np.loadtxt(file, delimiter=",")
        x, y = table[:, :-1], table[:, -1].astype(int)
    else:  # another version may keep it elsewhere
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
    return _split(x / 16, y, 360)


def _split(x: np.ndarray, y: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """x, y without, and x, y of, ``size`` examples with the classes in equal shares.

    Number for number what ``train_test_split(stratify=y, random_state=0)`` of scikit-learn gives.
    """
    random, counts = np.random.RandomState(0), np.bincount(y)
    kept = _shares(counts, len(y) - size, random)
    taken = _shares(counts - kept, size, random)
    classes = [random.permutation(np.flatnonzero(y == k)) for k in range(len(counts))]
    keep = [each[:n] for each, n in zip(classes, kept, strict=True)]
    take = [each[n : n + m] for each, n, m in zip(classes, kept, taken, strict=True)]
    keep, take = random.permutation(np.concatenate(keep)), random.permutation(np.concatenate(take))
    return x[keep], y[keep], x[take], y[take]


def _shares(counts: np.ndarray, size: int, random: np.random.RandomState) -> np.ndarray:
    """How many of each class make ``size``: rounded down, then one more where most was cut off, ties at random."""
    exact = counts / counts.sum() * size
    shares = np.floor(exact)
    cut_off = exact - shares
    for most in np.unique(cut_off)[::-1]:
        (tied,) = np.where(cut_off == most)
        if missing := int(size - shares.sum()):
            shares[random.choice(tied, size=min(len(tied), missing), replace=False)] += 1
    return shares.astype(int)


def _data(x, y, x_test, y_test, validation: int, device: Device) -> Data:
    if validation and not 10 <= validation <= len(y) - 10:
        raise ValueError(f"validation={validation}: take 0, or 10 to {len(y) - 10}, of the {len(y)} training examples.")
    parts = (*_split(x, y, validation), x_test, y_test) if validation else (x, y, x[:0], y[:0], x_test, y_test)
    device = device or pick_device()
    kinds = (torch.float32, torch.int64) * 3
    return Data(*(torch.tensor(p, dtype=kind, device=device) for p, kind in zip(parts, kinds, strict=True)))
