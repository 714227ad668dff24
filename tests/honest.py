"""Right answers in the words that honest people use. Each must get all its points, from the own check and from grading.

A row is one answer. Its names and tools are those that a grader who looks for cheating might stumble over, and that
students write every day: an experiment, a habit of another editor, a way of Python's.
"""

from dataclasses import dataclass

SETUP = """
import math
from copy import deepcopy
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
"""


@dataclass(frozen=True)
class Right:
    """``answers`` {name of the graded function: text of its cell}; ``before`` and ``after`` are own cells around it."""

    name: str
    notebook: str  # its number
    answers: dict[str, str]
    before: str = ""
    after: str = ""

    @property
    def exercise(self) -> str:
        return next(iter(self.answers))


HONEST: list[Right] = []


def right(name: str, notebook: str, exercise: str, text: str, **more: str) -> None:
    HONEST.append(Right(name, notebook, {exercise: text.strip("\n")}, **more))


# --- 00 -----------------------------------------------------------------------------------------------------------

GRADIENT = "def gradient_step(w, grad, lr):\n    return w - lr * grad"
right("magics and shell lines of a notebook at home", "00", "gradient_step", "%matplotlib inline\n" + GRADIENT,
      before="%pip install -q seaborn\n!pip list\n%cd ..\n%load_ext autoreload\n%autoreload 2\nfiles = !ls\n%matplotlib widget")  # fmt: skip
right("the preamble of Google Colab", "00", "gradient_step", """
try:
    import google.colab
    IN_COLAB = True
except ImportError:
    IN_COLAB = False

""" + GRADIENT, before="from google.colab import drive\ndrive.mount('/content/drive')\n%cd /content/drive/MyDrive/course")  # fmt: skip
right(
    "a class with __call__",
    "00",
    "gradient_step",
    """
class Descent:
    \"\"\"One step down the hill.\"\"\"

    calls = 0

    def __call__(self, w, grad, lr):
        type(self).calls += 1
        return w - lr * grad

gradient_step = Descent()
""",
)
right("input() at the top of the cell", "00", "gradient_step", "name = input('Your name? ')\nprint('hello', name)\n\n" + GRADIENT)  # fmt: skip
right("an error in the line above the def", "00", "gradient_step", "data = open('my_notes.txt').read()\n" + GRADIENT)
right("a graphics card asked for above the def", "00", "gradient_step", "x = torch.zeros(3).to('cuda')\n" + GRADIENT)

# --- 01 -----------------------------------------------------------------------------------------------------------

right(
    "a generator of slices",
    "01",
    "minibatches",
    """
def minibatches(n, batch_size, generator):
    order = torch.randperm(n, generator=generator)
    for start in range(0, n, batch_size):
        yield order[start : start + batch_size]
""",
)
right(
    "itertools and a walrus",
    "01",
    "minibatches",
    """
import itertools

def minibatches(n: int, batch_size: int, generator: torch.Generator):
    rest = iter(torch.randperm(n, generator=generator).tolist())
    while piece := list(itertools.islice(rest, batch_size)):
        yield torch.tensor(piece)
""",
)
right(
    "PyTorch's own sampler",
    "01",
    "minibatches",
    """
from torch.utils.data import BatchSampler, RandomSampler

def minibatches(n, batch_size, generator):
    sampler = BatchSampler(RandomSampler(range(n), generator=generator), batch_size, drop_last=False)
    return [torch.tensor(batch) for batch in sampler]
""",
)
right("gradients set to zero at the end, and losses weighted by NumPy", "01", "train_epoch", """
import numpy as np

def train_epoch(model, optimizer, x, y, batch_size, generator):
    model.train()
    losses, sizes = [], []
    for k, batch in enumerate(minibatches(x.shape[0], batch_size, generator), 1):
        loss = torch.nn.CrossEntropyLoss()(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        losses.append(loss.item())
        sizes.append(len(batch))
        print(f"batch {k}: {losses[-1]:.3f}")
    return np.average(losses, weights=sizes)
""")  # fmt: skip
right("batches of its own, a sum that is a tensor, an accuracy on the side", "01", "train_epoch", """
def pieces(n, size, generator):
    order = torch.rand(n, generator=generator).argsort().tolist()
    while order:
        yield torch.tensor(sorted(order[:size]))
        order = order[size:]

def train_epoch(model, optimizer, x, y, batch_size, generator):
    model.train()
    total, right = torch.zeros((), dtype=torch.float64), 0
    for batch in pieces(len(y), batch_size, generator):
        logits = model(x[batch])
        each = F.cross_entropy(logits, y[batch], reduction="none")
        for p in model.parameters():
            p.grad = None
        each.mean().backward()
        optimizer.step()
        total += each.detach().sum()
        right += (model(x[batch]).argmax(dim=1) == y[batch]).sum().item()
    print("accuracy", right / len(y))
    return (total / len(y)).item()
""")  # fmt: skip
right("a DataLoader around the own batches, and a closure", "01", "train_epoch", """
from torch.utils.data import DataLoader, TensorDataset

def train_epoch(model, optimizer, x, y, batch_size, generator):
    batches = [batch.tolist() for batch in minibatches(len(x), batch_size, generator)]
    seen = total = 0
    for inputs, labels in DataLoader(TensorDataset(x, y), batch_sampler=batches):
        model.train(True)

        def closure():
            optimizer.zero_grad()
            loss = F.nll_loss(model(inputs).log_softmax(dim=1), labels)
            loss.backward()
            return loss

        total += optimizer.step(closure).item() * len(labels)
        seen += len(labels)
    return total / seen
""")  # fmt: skip
right("the loss of all, measured before and after", "01", "train_epoch", """
@torch.no_grad()
def loss_of_all(model, x, y):
    model.eval()
    return F.cross_entropy(model(x), y).item()

def train_epoch(model, optimizer, x, y, batch_size, generator):
    history = [loss_of_all(model, x, y)]
    model.train()
    running = 0.0
    for batch in list(minibatches(len(x), batch_size, generator)):
        model.zero_grad()
        loss = F.cross_entropy(model(x[batch]), y[batch], reduction="sum")
        (loss / batch.numel()).backward()
        optimizer.step()
        running = running + loss.item()
    history.append(loss_of_all(model, x, y))
    return running / len(x)
""")  # fmt: skip
right(
    "gc.collect and del",
    "01",
    "gradient_noise",
    """
import gc

def gradient_noise(per_example_grads, batch_size):
    n = per_example_grads.shape[0]
    centred = per_example_grads - per_example_grads.mean(0)
    variance = (centred ** 2).sum() / n
    del centred
    gc.collect()
    return float(variance * (n - batch_size) / (batch_size * (n - 1)))
""",
)
right(
    "numpy all the way",
    "01",
    "gradient_noise",
    """
import numpy as np

def gradient_noise(per_example_grads, batch_size):
    g = per_example_grads.numpy()
    n = len(g)
    trace = np.var(g, axis=0, ddof=0).sum()
    return float(trace / batch_size * (n - batch_size) / (n - 1))
""",
)
right(
    "functools.reduce over rows",
    "01",
    "noise_scale",
    """
from functools import reduce

def noise_scale(per_example_grads):
    n = len(per_example_grads)
    mean = reduce(lambda a, b: a + b, per_example_grads) / n
    trace = sum(((row - mean) ** 2).sum() for row in per_example_grads) / n
    return (trace / (mean @ mean)).item()
""",
)
right("a look into a model with modules() and vars()", "01", "noise_scale", """
def noise_scale(per_example_grads):
    trace = per_example_grads.var(dim=0, unbiased=False).sum()
    return (trace / per_example_grads.mean(dim=0).norm() ** 2).item()
""", before="model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())\nfor module in model.modules():\n    print(module, sorted(vars(module)))\nprint(dict(model.named_parameters()))")  # fmt: skip
STRATIFIED = """
def stratified_minibatches(labels, batch_size, generator):
    classes = labels.unique()
    pools = {int(c): (labels == c).nonzero().flatten() for c in classes}
    pools = {c: pool[torch.randperm(len(pool), generator=generator)].tolist() for c, pool in pools.items()}
    left = len(labels)
    while left > 0:
        size = min(batch_size, left)
        exact = {c: size * len(pool) / left for c, pool in pools.items()}
        counts = {c: int(share) for c, share in exact.items()}
        for c in sorted(exact, key=lambda c: exact[c] - counts[c], reverse=True)[: size - sum(counts.values())]:
            counts[c] += 1
        batch = [pools[c].pop() for c in pools for _ in range(counts[c])]
        assert len(batch) == size, "a batch too short"
        print("debug:", counts)
        left -= size
        yield torch.tensor(batch)
"""
right("assert statements and print debugging", "01", "stratified_minibatches", STRATIFIED)
right("contextlib and a timer around it", "01", "stratified_minibatches", """
import contextlib
import time

@contextlib.contextmanager
def stopwatch(what):
    start = time.perf_counter()
    yield
    print(what, time.perf_counter() - start)
""" + STRATIFIED.replace('print("debug:", counts)', "pass"), after="with stopwatch('one epoch'):\n    list(stratified_minibatches(torch.arange(40) % 4, 8, torch.Generator().manual_seed(0)))")  # fmt: skip

# --- 02 -----------------------------------------------------------------------------------------------------------

right(
    "warnings switched off",
    "02",
    "stationary_variance",
    """
import warnings
warnings.filterwarnings("ignore")

def stationary_variance(lr, curvature, noise_variance):
    contraction = 1 - lr * curvature
    if abs(contraction) >= 1:
        raise ValueError(f"no stationary variance for a contraction of {contraction}")
    return lr**2 * noise_variance / (1 - contraction**2)
""",
)
right(
    "a match statement",
    "02",
    "exponential_decay",
    """
def exponential_decay(lr0, k, t):
    match t:
        case 0:
            return lr0
        case _:
            return lr0 * math.e ** (-k * t)
""",
)
right("%timeit below, %%timeit after", "02", "exponential_decay", """
def exponential_decay(lr0, k, t):
    return lr0 / math.exp(k * t)

%timeit -n 10 exponential_decay(0.1, 0.05, 3)
""", after="%%timeit -n 10\nexponential_decay(0.1, 0.05, 3)")  # fmt: skip
right(
    "the module timeit",
    "02",
    "decay_constant",
    """
import timeit

def decay_constant(lr0, lr_end, epochs):
    return (math.log(lr0) - math.log(lr_end)) / epochs

print(timeit.timeit(lambda: decay_constant(0.1, 0.01, 5), number=100))
""",
)
right(
    "lru_cache on a helper",
    "02",
    "reachable_distance",
    """
from functools import lru_cache

@lru_cache(maxsize=None)
def ratio(k):
    \"\"\"Of the geometric series.\"\"\"
    return math.exp(-k)

def reachable_distance(lr0, k, grad_norm):
    return lr0 * grad_norm / (1 - ratio(k))
""",
)
right(
    "type hints and a loop",
    "02",
    "growing_batch",
    """
from typing import List, ForwardRef

Rates = ForwardRef("List[float]")

def growing_batch(lr0: float, batch0: int, lrs: "List[float]", max_batch: int) -> List[int]:
    sizes: List[int] = []
    for lr in lrs:
        size = int(round(batch0 * lr0 / lr))
        sizes.append(max(batch0, min(size, max_batch)))
    return sizes
""",
)

# --- 03 -----------------------------------------------------------------------------------------------------------

right(
    "getattr by name, and logging",
    "03",
    "adjust_learning_rate",
    """
import logging

log = logging.getLogger(__name__)

def adjust_learning_rate(optimizer, epoch, lr0, k):
    for group in getattr(optimizer, "param_groups"):
        group.update(lr=lr0 * math.exp(-k * epoch))
        log.info("epoch %d: lr %g", epoch, group["lr"])
""",
)
right(
    "a closure made by a closure",
    "03",
    "exponential_lambda",
    """
def exponential_lambda(k):
    def factor(base):
        def of(epoch):
            return base ** epoch
        return of
    return factor(math.exp(-k))
""",
)
right(
    "functools.partial and wraps",
    "03",
    "exponential_lambda",
    """
from functools import partial, wraps

def noisy(f):
    @wraps(f)
    def g(*args, **kwargs):
        result = f(*args, **kwargs)
        return result
    return g

@noisy
def _decay(epoch, k):
    return math.exp(-k * epoch)

def exponential_lambda(k):
    return partial(_decay, k=k)
""",
)
right(
    "`in sys.modules` above the answer",
    "03",
    "warmup_cosine",
    """
import sys
ON_COLAB = "google.colab" in sys.modules

def warmup_cosine(step, warmup_steps, total_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if step >= total_steps:
        return 0.0
    angle = math.pi * (step - warmup_steps) / (total_steps - warmup_steps)
    return 0.5 * (1.0 + math.cos(angle))
""",
)
HONEST.append(Right("a checkpoint by pathlib, pickle for the history", "03", {
    "save_checkpoint": """
import pickle
from pathlib import Path

def save_checkpoint(path, model, optimizer, scheduler, epoch, generator):
    things = dict(model=model, optimizer=optimizer, scheduler=scheduler)
    state = {name: thing.state_dict() for name, thing in things.items()}
    state |= {"epoch": epoch, "torch": torch.get_rng_state(), "order": generator.get_state()}
    with Path(path).open("wb") as file:
        torch.save(state, file)
""".strip(),
    "load_checkpoint": """
def load_checkpoint(path, model, optimizer, scheduler, generator):
    state = torch.load(path, map_location="cpu")
    for name, thing in [("model", model), ("optimizer", optimizer), ("scheduler", scheduler)]:
        thing.load_state_dict(state[name])
    torch.set_rng_state(state["torch"])
    generator.set_state(state["order"])
    return state["epoch"] + 1

history = {"loss": [0.5, 0.25]}
with open("history.pkl", "wb") as file:
    pickle.dump(history, file)
print(pickle.load(open("history.pkl", "rb")))
""".strip(),
}))  # fmt: skip

# --- 04 -----------------------------------------------------------------------------------------------------------

right(
    "%%time above the def",
    "04",
    "momentum_step",
    """
%%time
def momentum_step(w, grad, delta, lr, alpha):
    delta = delta * alpha + grad * lr
    return w - delta, delta
""",
)
right(
    "in place, under @torch.no_grad",
    "04",
    "momentum_step",
    """
@torch.no_grad()
def momentum_step(w, grad, delta, lr, alpha):
    delta.mul_(alpha).add_(grad, alpha=lr)
    w.sub_(delta)
    return w, delta
""",
)
right("a dataclass and a decorator", "04", "momentum_step", """
from dataclasses import dataclass

@dataclass
class Momentum:
    lr: float
    alpha: float

    def __call__(self, w, grad, delta):
        delta = self.alpha * delta + self.lr * grad
        return w - delta, delta

def traced(f):
    def g(*args, **kwargs):
        return f(*args, **kwargs)
    g.__name__, g.__doc__ = f.__name__, f.__doc__
    return g

@traced
def momentum_step(w, grad, delta, lr, alpha):
    return Momentum(lr, alpha)(w, grad, delta)
""", after="from dataclasses import asdict\nprint(asdict(Momentum(0.1, 0.9)))\nimport inspect\nprint(inspect.signature(momentum_step), inspect.getsource(momentum_step)[:20])")  # fmt: skip
right(
    "numpy and a list comprehension",
    "04",
    "velocity_weights",
    """
import numpy as np

def velocity_weights(alpha, steps):
    return torch.from_numpy(np.array([alpha ** (steps - 1 - k) for k in range(steps)])).float()
""",
)
right(
    "the annotation of a later class, and __future__",
    "04",
    "torch_momentum_step",
    """
from __future__ import annotations
from typing import Optional

def torch_momentum_step(w: Tensor, grad: Tensor, buf: Optional[Tensor], lr, momentum, dampening) -> tuple[Tensor, Tensor]:
    if buf is None:
        buf = torch.clone(grad).detach()
    else:
        buf = buf * momentum + grad * (1 - dampening)
    return w - lr * buf, buf
""",
)
right(
    "math against torch",
    "04",
    "best_momentum",
    """
def best_momentum(kappa):
    root = torch.tensor(kappa, dtype=torch.float64).sqrt()
    result = ((root - 1) / (root + 1)).square().item()
    assert math.isclose(result, ((kappa**0.5 - 1) / (kappa**0.5 + 1)) ** 2)
    return result
""",
)
right(
    "inspect.signature, cmath",
    "04",
    "spectral_radius",
    """
import cmath
import inspect

def spectral_radius(lr, alpha, curvature):
    b = 1 + alpha - lr * curvature
    root = cmath.sqrt(b * b - 4 * alpha)
    return max(abs(b + root), abs(b - root)) / 2

print(inspect.signature(spectral_radius).parameters.keys())
""",
)
right(
    "a docstring of one word",
    "04",
    "effective_learning_rate",
    """
def effective_learning_rate(lr, alpha):
    "Adam"
    return lr * 1 / (1 - alpha)

print(effective_learning_rate.__doc__)
""",
)
right("threads imported, a long experiment of its own", "04", "nesterov_step", """
import threading
import time

def nesterov_step(w, grad_fn, delta, lr, alpha):
    def look_ahead():
        return w - alpha * delta
    new = alpha * delta + lr * grad_fn(look_ahead())
    return w - new, new
""", after="total = torch.zeros(())\nwhile total < 1e12:\n    total += 1e-3")  # fmt: skip
right("os.environ, and a name on the disk", "04", "nesterov_step", """
import os
os.environ["CUDA_LAUNCH_BLOCKING"] = "1"
os.environ.setdefault("MY_RUN", "3")

def nesterov_step(w, grad_fn, delta, lr, alpha):
    grad = grad_fn(w - alpha * delta)
    delta = alpha * delta + lr * grad
    w = w - delta
    return w, delta
""", before="from pathlib import Path\nPath('notes.txt').write_text('Nesterov looks ahead')\nprint(Path('notes.txt').read_text())")  # fmt: skip

# --- 05 -----------------------------------------------------------------------------------------------------------

right(
    "a variable called stacked",
    "05",
    "gain_step",
    """
def gain_step(w, grad, last_grad, gain, lr, beta):
    stacked = torch.stack([grad, last_grad])
    agree = stacked.prod(dim=0) > 0
    gain = agree * (gain + beta) + ~agree * (gain * (1 - beta))
    return w - lr * gain * grad, gain
""",
)
right(
    "masks set in place",
    "05",
    "gain_step",
    """
def gain_step(w, grad, last_grad, gain, lr, beta):
    gain = gain.clone()
    same = grad * last_grad > 0
    gain[same] += beta
    gain[~same] *= 1 - beta
    return w - lr * gain * grad, gain
""",
)
right(
    "addcmul and addcdiv, as PyTorch writes it",
    "05",
    "rmsprop_step",
    """
def rmsprop_step(w, grad, r, lr, beta, eps):
    r = r.mul(beta).addcmul(grad, grad, value=1 - beta)
    return w.addcdiv(grad, r.sqrt().add(eps), value=-lr), r
""",
)
right(
    "numpy style",
    "05",
    "rmsprop_step",
    """
import numpy as np

def rmsprop_step(w, grad, r, lr, beta, eps):
    r = beta * r + (1 - beta) * np.square(grad)
    w = w - np.multiply(lr, grad) / (np.sqrt(r) + eps)
    return w, r
""",
)
right(
    "a loop against torch.optim.RMSprop below the rule",
    "05",
    "rmsprop_step",
    """
def rmsprop_step(w, grad, r, lr, beta, eps):
    r = torch.lerp(grad.square(), r, beta)
    return w - lr * grad / (torch.sqrt(r) + eps), r

p = torch.nn.Parameter(torch.ones(3))
theirs = torch.optim.RMSprop([p], lr=0.01, alpha=0.9)
w, r = torch.ones(3), torch.zeros(3)
for _ in range(5):
    p.grad = 2 * p.detach()
    theirs.step()
    w, r = rmsprop_step(w, 2 * w, r, 0.01, 0.9, 1e-8)
print((w - p).abs().max())
""",
)
right(
    "__doc__ and a power for a root",
    "05",
    "first_step_size",
    """
def first_step_size(lr, beta):
    \"\"\"The first step, as in the text above.\"\"\"
    return lr * (1 - beta) ** -0.5

print(first_step_size.__doc__, torch.optim.RMSprop.__doc__[:40])
""",
)
right(
    "a keyword call of the own rule",
    "05",
    "find_the_bug",
    """
def find_the_bug(w, grad, r, u, rho, eps):
    r = r * rho
    r = r + (grad * grad) * (1 - rho)
    change = -grad * ((u + eps) / (eps + r)) ** 0.5
    return w + change, r, torch.lerp(u, change.square(), 1 - rho)
""",
)

# --- 06 -----------------------------------------------------------------------------------------------------------

ADAM = """
def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t += 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad * grad
    return w - lr * (m / (1 - beta1 ** t)) / (torch.sqrt(r / (1 - beta2 ** t)) + eps), m, r, t
"""
right("the names of globals() printed", "06", "adam_step", ADAM + "\nprint([name for name in globals() if 'adam' in name.lower()])")  # fmt: skip
right(
    "lists of tensors",
    "06",
    "adam_step",
    """
def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    (m,), (r,) = torch._foreach_mul([m], beta1), torch._foreach_mul([r], beta2)
    torch._foreach_add_([m], [grad], alpha=1 - beta1)
    torch._foreach_addcmul_([r], [grad], [grad], 1 - beta2)
    c1, c2 = 1 - beta1 ** (t + 1), 1 - beta2 ** (t + 1)
    return w - lr / c1 * m / ((r / c2).sqrt() + eps), m, r, t + 1
""",
)
right("torch.compile on a helper that is never called", "06", "adam_step", """
@torch.compile
def fast(x, y):
    return (x * y).sum()
""" + ADAM)  # fmt: skip
right("lecture_utils.checks imported", "06", "adam_step", "import lecture_utils.checks as checks\nfrom lecture_utils.checks import check\nprint(dir(checks)[:3])\n" + ADAM)  # fmt: skip
right("%%bash, %%html and %%writefile in between", "06", "bias_correction_overshoot", """
def bias_correction_overshoot(t, beta1, beta2):
    first, second = 1 - torch.pow(beta1, t), 1 - torch.pow(beta2, t)
    return first / second ** 0.5
""", before="%%bash\necho hello > note.txt\nls", after="%%writefile helper.py\nx = 1")  # fmt: skip
MY_ADAM = """
class MyAdam(torch.optim.Optimizer):
    \"\"\"Adam\"\"\"

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        defaults = dict(lr=lr, betas=betas, eps=eps)
        super(MyAdam, self).__init__(params, defaults)

    def step(self, closure=None):
        loss = None if closure is None else closure()
        with torch.no_grad():
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in filter(lambda p: p.grad is not None, group["params"]):
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
                    state["step"] += 1
                    m, r, t = state["exp_avg"], state["exp_avg_sq"], state["step"]
                    m.mul_(beta1).add_(p.grad, alpha=1 - beta1)
                    r.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    p.sub_(group["lr"] * (m / (1 - beta1**t)) / ((r / (1 - beta2**t)).sqrt() + group["eps"]))
        return loss
"""
right("a loop against torch.optim.Adam below the class", "06", "MyAdam", MY_ADAM + """
def compare(make_mine, make_theirs, steps=5):
    losses = []
    for make in (make_mine, make_theirs):
        p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = make([p], lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            (p**2).sum().backward()
            optimizer.step()
        losses.append((p**2).sum().item())
    return losses

print(compare(MyAdam, torch.optim.Adam))
""")  # fmt: skip
right("torch.optim.Adam's help and source read in an own cell", "06", "MyAdam", MY_ADAM,
      before="import inspect\nprint(torch.optim.Adam.__doc__[:200])\nprint(inspect.getsource(torch.optim.Adam.step)[:200])")  # fmt: skip
right(
    "the decay in an own helper",
    "06",
    "adamw_step",
    """
shrink = lambda w, lr, weight_decay: w * (1 - lr * weight_decay)

def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    return adam_step(shrink(w, lr, weight_decay), grad, m, r, t, lr, beta1, beta2, eps)
""",
)

# --- 07 -----------------------------------------------------------------------------------------------------------

right(
    "a table of makers",
    "07",
    "make_optimizer",
    """
from functools import partial

MAKERS = {
    "sgd": partial(torch.optim.SGD, lr=0.01),
    "momentum": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, lr=0.01, momentum=0.9, nesterov=True),
    "rmsprop": partial(torch.optim.RMSprop, lr=0.001, alpha=0.9),
    "adam": partial(torch.optim.Adam, lr=0.0001, betas=(0.9, 0.999)),
}

def make_optimizer(name, params):
    return MAKERS[name](params)
""",
)
right(
    "getattr(torch.optim, name)",
    "07",
    "make_optimizer",
    """
def make_optimizer(name, params):
    kinds = {"rmsprop": "RMSprop", "adam": "Adam"}
    settings = {
        "momentum": {"lr": 0.01, "momentum": 0.9},
        "nesterov": {"lr": 0.01, "momentum": 0.9, "nesterov": True},
        "rmsprop": {"lr": 0.001, "alpha": 0.9},
        "adam": {"lr": 0.0001},
    }
    return getattr(torch.optim, kinds.get(name, "SGD"))(params, **settings.get(name, {"lr": 0.01}))
""",
)
right(
    "a dictionary for an if",
    "07",
    "to_torch_lr",
    """
def to_torch_lr(lr, alpha, form):
    return {"lecture": lr, "ema": (1 - alpha) * lr}[form]
""",
)
right(
    "plain Python over lists",
    "07",
    "best_learning_rate",
    """
from statistics import fmean

def best_learning_rate(lrs, losses):
    rates, rows = lrs.tolist(), losses.tolist()
    means = [fmean(row) if all(map(math.isfinite, row)) else math.inf for row in rows]
    best = min(range(len(means)), key=means.__getitem__)
    return None if best in (0, len(means) - 1) else rates[best]
""",
)
