"""The data sets: scikit-learn's digits, their noisy-label variant with its known minimum, and MNIST."""

from __future__ import annotations

import os
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lecture_utils import devices

TEST = 360  # of the 1797 digits
MNIST = {  # of the set `mnist_784`, version 1, on openml.org: the last 10,000 examples are the test set
    "shape": (70_000, 784),
    "test": 10_000,
    "pixel_sum": 1_832_221_745,
    "label_counts": [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958],
}


@dataclass(frozen=True)
class Data:
    """A classification data set on one device. ``x`` and ``y`` are the training examples.

    x, x_val, x_test: float tensors (examples, features) with values in [0, 1].   y, y_val, y_test: int64 class numbers.
    """

    x: torch.Tensor
    y: torch.Tensor
    x_val: torch.Tensor
    y_val: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    n_classes: int = 10

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def n_features(self) -> int:
        return self.x.shape[1]


def digits(device: torch.device | str | None = None, validation: int = 0, dtype: torch.dtype = torch.float32) -> Data:
    """scikit-learn's 1797 pictures of 8 × 8 pixels: 1437 to train on, 360 to test on, always the same ones.

    Pixels are scaled to [0, 1], not standardised: three of them are 0 in every picture and have no spread to divide
    by. ``validation`` examples are taken out of the 1437. Each part holds the ten classes in equal shares.
    Raises ValueError if ``validation`` is impossible.
    """
    x, y, x_test, y_test = _digits()
    return _data(x, y, x_test, y_test, validation, device, dtype)


def noisy_digits(
    device: torch.device | str | None = None,
    noise: float = 0.3,
    validation: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Data:
    """The digits with a share ``noise`` of the training labels replaced by another class, always the same ones.

    With softmax regression (``mlp(hidden=0)``) and an L2 penalty this problem is convex, and because no model fits
    the wrong labels the gradient noise stays at the minimum: SGD has a real noise floor above
    ``ridge_softmax_minimum``. Validation labels are as noisy as training labels, test labels are clean.
    Raises ValueError if ``noise`` is not in [0, 1] or ``validation`` is impossible.
    """
    if not 0 <= noise <= 1:
        raise ValueError(f"noise is the share of wrong labels, from 0 to 1, but it is {noise}.")
    x, y, x_test, y_test = _digits()
    random = np.random.RandomState(0)  # its stream is frozen for good, unlike that of default_rng
    wrong = random.permutation(len(y)) < round(noise * len(y))
    y = np.where(wrong, (y + random.randint(1, 10, len(y))) % 10, y)
    return _data(x, y, x_test, y_test, validation, device, dtype)


def ridge_softmax_minimum(data: Data, l2: float) -> float:
    """The lowest value of mean cross-entropy + l2/2 · ‖weights and biases‖² that a linear model reaches on ``data``.

    Found by L-BFGS in float64. Raises ValueError if l2 ≤ 0: without a penalty there may be no minimum.
    """
    if l2 <= 0:
        raise ValueError(f"l2 must be positive, but it is {l2}: without a penalty there may be no minimum.")
    x, y = data.x.to(devices.HOST, torch.float64), data.y.to(devices.HOST)
    x = F.pad(x, (0, 1), value=1.0)  # the last row of weights is the bias
    w = x.new_zeros(x.shape[1], data.n_classes).requires_grad_()
    lbfgs = torch.optim.LBFGS(
        [w],
        max_iter=2000,
        tolerance_grad=1e-9,
        tolerance_change=0,
        history_size=30,
        line_search_fn="strong_wolfe",
    )

    def objective() -> torch.Tensor:
        lbfgs.zero_grad()
        loss = F.cross_entropy(x @ w, y) + l2 / 2 * w.square().sum()
        loss.backward()
        return loss

    lbfgs.step(objective)
    minimum = objective().item()
    # Strong convexity: the excess over the true minimum is at most ‖gradient‖² / (2 l2).
    if (excess := w.grad.square().sum().item() / (2 * l2)) > 1e-7:
        raise RuntimeError(f"L-BFGS stopped up to {excess:.1e} above the minimum. Is l2 = {l2} very small?")
    return minimum


def mnist(
    device: torch.device | str | None = None,
    cache: str | os.PathLike | None = None,
    validation: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Data:
    """MNIST: 60,000 pictures of 28 × 28 pixels to train on, 10,000 to test on, pixels scaled to [0, 1].

    Downloaded once from openml.org (15 MB) into the folder ``cache`` (default: scikit-learn's data folder), and
    verified at each use. Raises ConnectionError if it is neither there nor to be had, ValueError if it is damaged.
    """
    from sklearn import datasets

    folder = Path(cache) if cache is not None else Path(datasets.get_data_home())
    file = folder / "mnist_784.npz"
    if file.exists():
        try:
            with np.load(file) as arrays:
                x, y = arrays["x"], arrays["y"]
        except Exception as error:  # a damaged archive fails in many ways
            raise ValueError(f"{file} cannot be read ({error}). Delete it and run this again.") from error
        _verify(x, y, f"{file} does not hold MNIST: %s. Delete it and run this again.")
    else:
        try:
            # liac-arff is the parser that needs no pandas.
            bunch = datasets.fetch_openml(
                "mnist_784", version=1, as_frame=False, parser="liac-arff", data_home=str(folder)
            )
        except (OSError, HTTPException) as error:
            raise ConnectionError(
                f"MNIST could not be downloaded from www.openml.org: {error}. Connect to the internet and run this "
                f"again, or copy mnist_784.npz from another machine into {folder}. digits() needs no download."
            ) from error
        x, y = np.asarray(bunch.data), np.asarray(bunch.target).astype(np.int64)
        _verify(
            x,
            y,
            f"What openml.org sent is not MNIST: %s. Run this again; if it stays so, empty {folder}/openml.",
        )
        x, y = x.astype(np.uint8), y.astype(np.uint8)
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        np.savez_compressed(part, x=x, y=y)
        part.replace(file)  # all or nothing, when interrupted
    x, y = x / np.float32(255), y.astype(np.int64)
    cut = len(y) - MNIST["test"]
    return _data(x[:cut], y[:cut], x[cut:], y[cut:], validation, device, dtype)


def _verify(x: np.ndarray, y: np.ndarray, message: str) -> None:
    """Raise ValueError unless shape, range, pixel sum and label counts are those of MNIST."""
    if x.shape != MNIST["shape"] or y.shape != x.shape[:1]:
        problem = f"arrays of shape {x.shape} and {y.shape} instead of {MNIST['shape']} and {MNIST['shape'][:1]}"
    elif x.min() < 0 or x.max() > 255 or int(x.sum(dtype=np.float64)) != MNIST["pixel_sum"]:
        problem = "its pixels are not MNIST's (their range or their sum differs)"
    elif (counts := np.bincount(y).tolist()) != MNIST["label_counts"]:
        problem = f"{counts} pictures of the classes 0 to 9 instead of {MNIST['label_counts']}"
    else:
        return
    raise ValueError(message % problem)


def _digits() -> tuple[np.ndarray, ...]:
    """x, y, x_test, y_test of the fixed split; pixels in [0, 1]."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _split(x / 16, y, TEST)


def _split(x: np.ndarray, y: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """x, y without, and x, y of, ``size`` examples that hold the classes in equal shares."""
    from sklearn.model_selection import train_test_split

    keep, take = train_test_split(np.arange(len(y)), test_size=size, stratify=y, random_state=0)
    return x[keep], y[keep], x[take], y[take]


def _data(x, y, x_test, y_test, validation, device, dtype) -> Data:
    if validation != 0 and not 10 <= validation <= len(y) - 10:
        raise ValueError(
            f"validation={validation}: take 0 or from 10 to {len(y) - 10} of the {len(y)} training examples."
        )
    x_val, y_val = x[:0], y[:0]
    if validation:
        x, y, x_val, y_val = _split(x, y, validation)
    device = devices.pick_device() if device is None else device
    parts = zip((x, x_val, x_test), (y, y_val, y_test), strict=True)
    tensors = [
        torch.as_tensor(array, dtype=kind, device=device)
        for xs, ys in parts
        for array, kind in ((xs, dtype), (ys, torch.int64))
    ]
    return Data(*tensors)
