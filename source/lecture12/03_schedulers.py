# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3  Schedulers
#
# A schedule is a list of numbers that you should be able to predict, plot, and resume after a power cut. You will do all three, and find out where PyTorch's schedulers do something else than they seem to.
#
# **60 minutes · 13 points.** Afterwards you can
#
# - change the learning rate by hand, with `LambdaLR`, and with PyTorch's ready-made schedulers;
# - predict which rates a piece of code *really* uses;
# - interrupt a training run and go on in a new process, equal to the last bit.

# %%
import math
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from lecture_utils import figures
from lecture_utils.checks import ask, check, check_answer, drawn, passed, scoreboard
from lecture_utils.data import digits, noisy_digits
from lecture_utils.devices import HOST, generator, pick_device
from lecture_utils.training import mlp, train

figures.setup()
device = pick_device()
data = digits(device)

# %% [markdown]
# ## 3.1  Option 1: set the rate yourself
#
# An optimizer keeps its parameters in **groups**, each with its own settings. In every `step()` it reads the rate of a group from there. To change the rate is to write into it:

# %% tags=["demo"]
model = mlp(seed=0, device=device)
optimizer = torch.optim.SGD([
    {"params": model[0].parameters()},
    {"params": model[2].parameters(), "weight_decay": 0.01},  # only the last layer
], lr=0.3)
for i, group in enumerate(optimizer.param_groups):
    print(f"group {i}: lr={group['lr']}, weight_decay={group['weight_decay']}, "
          f"{sum(p.numel() for p in group['params'])} weights")

# %% [markdown]
# **Exercise 3.1 (2 points).** Write the function that you would call at the start of every epoch. It sets $\eta_t = \eta_0 e^{-kt}$ in *every* group, whatever the rate was before.

# %% nbgrader={"grade": false, "grade_id": "adjust_learning_rate-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def adjust_learning_rate(optimizer, epoch, lr0, k):
    """Set the learning rate of every parameter group to that of exponential decay in this epoch.

    optimizer: a torch.optim.Optimizer.   epoch: counted from 0.
    lr0: the rate in epoch 0.   k: per epoch.
    Returns nothing: the optimizer is changed.
    """
    ### BEGIN SOLUTION
    for group in optimizer.param_groups:
        group["lr"] = lr0 * math.exp(-k * epoch)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>The formula is that of notebook 2. New is only where the result goes.</details>
# <details><summary>Hint 2</summary>Loop over <code>optimizer.param_groups</code>: each group is a dictionary.</details>
# <details><summary>Hint 3</summary><code>group["lr"] = …</code>, computed from lr0 and epoch, not from the old rate.</details>

# %% nbgrader={"grade": true, "grade_id": "adjust_learning_rate", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(adjust_learning_rate)

# %% [markdown]
# **Predict.** In the loop below the function is called at the *start* of each epoch. Which rate does the first epoch use, and which the tenth?

# %% tags=["demo"]
if passed("adjust_learning_rate"):
    used = []
    for epoch in range(20):
        adjust_learning_rate(optimizer, epoch, lr0=0.3, k=0.1)
        used.append(optimizer.param_groups[0]["lr"])
        history = train(model, optimizer, data, epochs=1, seed=epoch)
    print(f"epoch 0: {used[0]:.3f}   epoch 9: {used[9]:.3f}   epoch 19: {used[19]:.3f}")
    print(f"training loss after 20 epochs: {history.train_loss[-1]:.2f}")

# %% [markdown]
# ## 3.2  Option 2: give PyTorch a factor
#
# `torch.optim.lr_scheduler.LambdaLR(optimizer, f)` does the same with a function $f$ of the epoch. It multiplies the **first** rate of each group, not the current one:
#
# $$\eta_t = \eta_0 \cdot f(t)$$
#
# So $f$ is a factor, and $f(0) = 1$ for a decay. `scheduler.step()` at the end of each epoch moves $t$ on.
#
# > Lecture notes ▸ corrected: the notes write `torch.optim.lr.scheduler`; the module is `torch.optim.lr_scheduler`. Its `MultiplicativeLR` multiplies the *current* rate ([PyTorch documentation](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiplicativeLR.html)).

# %% [markdown]
# **Exercise 3.2 (2 points).** The optimizer has its rate already. Return the *function* that makes `LambdaLR` follow $e^{-kt}$.

# %% nbgrader={"grade": false, "grade_id": "exponential_lambda-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def exponential_lambda(k):
    """A function for LambdaLR: given the epoch, it returns the factor of exponential decay.

    k: the decay constant per epoch.
    Returns a callable f, such that f(epoch) is a float.
    """
    ### BEGIN SOLUTION
    return lambda epoch: math.exp(-k * epoch)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>A function inside a function: the inner one takes the epoch and may use k.</details>
# <details><summary>Hint 2</summary>A factor has no learning rate in it. In epoch 0 it is 1.</details>
# <details><summary>Hint 3</summary><code>return lambda epoch: …</code>, or define an inner function and return it, without calling it.</details>

# %% nbgrader={"grade": true, "grade_id": "exponential_lambda", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(exponential_lambda)

# %% [markdown]
# Three ways to the same list of rates: your function of 3.1, `LambdaLR` with your function of 3.2, and the ready-made `ExponentialLR(gamma=math.exp(-k))`. To watch a scheduler we need no network: an optimizer with one dummy parameter will do.

# %%
def rates(make_scheduler, epochs, lr=0.1):
    """The learning rate that each epoch really uses, with scheduler.step() at its end."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler, used = make_scheduler(optimizer), []
    for _ in range(epochs):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(used, dtype=torch.float64)

# %% tags=["demo"]
if passed("adjust_learning_rate", "exponential_lambda"):
    optimizer, by_hand = torch.optim.SGD([torch.zeros(1)], lr=0.1), []
    for epoch in range(100):
        adjust_learning_rate(optimizer, epoch, 0.1, 0.05)
        by_hand.append(optimizer.param_groups[0]["lr"])
    by_hand = torch.tensor(by_hand, dtype=torch.float64)
    with_lambda = rates(lambda o: lr_scheduler.LambdaLR(o, exponential_lambda(0.05)), 100)
    ready_made = rates(lambda o: lr_scheduler.ExponentialLR(o, gamma=math.exp(-0.05)), 100)
    same = [(by_hand - other).abs().max() < 1e-15 for other in (with_lambda, ready_made)]
    print(f"by hand and LambdaLR agree to 1e-15 over 100 epochs: {same[0]}")
    print(f"by hand and ExponentialLR:                            {same[1]}")

# %% [markdown]
# ## 3.3  What the ready-made schedulers really do
#
# **Predict.** In the six panels to come, which rate do `CosineAnnealingLR(T_max=20)` and `ConstantLR(factor=0.5, total_iters=10)` have in epoch 30? Which of the six needs to be told a loss?

# %% tags=["demo"]
def cosine_after_warmup(o):
    up = lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=5)
    down = lr_scheduler.CosineAnnealingLR(o, T_max=35)
    return lr_scheduler.SequentialLR(o, [up, down], milestones=[5])


def plateau(epochs=40, lr=0.1):
    """A loss that stops falling at epoch 12, and a scheduler that waits for 4 bad epochs."""
    optimizer, used = torch.optim.SGD([torch.zeros(1)], lr=lr), []
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=4)
    for epoch in range(epochs):
        used.append(optimizer.param_groups[0]["lr"])
        scheduler.step(max(1 - 0.05 * epoch, 0.4))
    return torch.tensor(used)


panels = {
    "StepLR(10, gamma=0.3)": rates(lambda o: lr_scheduler.StepLR(o, 10, gamma=0.3), 40),
    "ConstantLR(0.5, total_iters=10)": rates(lambda o: lr_scheduler.ConstantLR(o, 0.5, 10), 40),
    "CosineAnnealingLR(T_max=20)": rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 20), 40),
    "OneCycleLR(0.1, total_steps=40)": rates(lambda o: lr_scheduler.OneCycleLR(o, 0.1, 40), 40),
    "ReduceLROnPlateau(patience=4)": plateau(),
    "SequentialLR: linear, then cosine": rates(cosine_after_warmup, 40),
}

# %% tags=["demo"]
fig, axes = plt.subplots(2, 3, figsize=(10, 4.6), sharex=True, sharey=True)
for ax, (name, used) in zip(axes.flat, panels.items()):
    ax.plot(used, ".-", ms=4)
    ax.set_title(name, fontsize=8)
for ax in axes[:, 0]:
    ax.set_ylabel("rate used")
for ax in axes[1]:
    ax.set_xlabel("epoch")
figures.describe(fig, "Learning rate used in each of 40 epochs by six schedulers. StepLR falls in "
                 "stairs, ConstantLR doubles the rate after 10 epochs, the cosine rises again "
                 "after T_max = 20, OneCycle rises and falls, Plateau cuts after a wait, "
                 "Sequential warms up and falls.")
plt.show()
for name in list(panels)[1:3]:
    print(f"{name}: ", ", ".join(f"epoch {t}: {panels[name][t]:.3f}" for t in (5, 20, 30)))

# %% [markdown]
# **Read the figure.** Two surprises. `ConstantLR` multiplies by its factor only *at first*, and then gives the full rate back: it is a crude warm-up. `CosineAnnealingLR` follows the cosine wherever it goes, so after `T_max` the rate **rises again**. `ReduceLROnPlateau` is the only one that looks at a loss: `scheduler.step(loss)`.
#
# `verbose=True`, which older tutorials pass, is gone from all of them: read `optimizer.param_groups[0]["lr"]` instead.

# %% [markdown]
# Deep networks are often started with a **warm-up**: the rate climbs for a few hundred steps, then falls along half a cosine. It counts *steps*, not epochs, so `scheduler.step()` is called after every minibatch.
#
# **Exercise 3.3 (3 points).** Write the factor. For the step numbers $s = 0, 1, 2, \dots$
#
# - while $s <$ `warmup_steps`: $(s+1)/W$ with $W =$ `warmup_steps`, so that the first step is not wasted;
# - then half a cosine, from 1 at $s =$ `warmup_steps` to 0 at $s =$ `total_steps`;
# - from `total_steps` on: 0.

# %% nbgrader={"grade": false, "grade_id": "warmup_cosine-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def warmup_cosine(step, warmup_steps, total_steps):
    """The factor on the learning rate in this step: linear warm-up, then half a cosine down to 0.

    step: counted from 0.   warmup_steps: may be 0.   total_steps: greater than warmup_steps.
    Returns a float from 0 to 1.
    """
    ### BEGIN SOLUTION
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1, (step - warmup_steps) / (total_steps - warmup_steps))
    return (1 + math.cos(math.pi * progress)) / 2
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>For the second part use a number that goes from 0 to 1 between the end of the warm-up and total_steps.</details>
# <details><summary>Hint 2</summary>cos(π · progress) goes from 1 to −1. How do you make that 1 to 0? And what keeps it from rising again?</details>
# <details><summary>Hint 3</summary>Add 1, divide by 2. <code>min(1, …)</code> around the progress. <code>math.cos</code> takes a number; <code>torch.cos</code> wants a tensor.</details>

# %% nbgrader={"grade": true, "grade_id": "warmup_cosine", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(warmup_cosine)

# %% tags=["demo"]
if passed("warmup_cosine"):
    net = mlp(seed=0, device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    steps = 10 * math.ceil(data.n / 64)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, 30, steps))
    history = train(net, optimizer, data, epochs=10, scheduler=scheduler, per_step=True)
    print(f"{steps} steps: the first uses {history.lr[0]:.4f}, "
          f"the largest rate is {history.lr.max():.2f}, the last uses {history.lr[-1]:.6f}")
    figures.curve(range(steps), history.lr, x="step", y="learning rate used",
                  alt="The learning rate of each of 230 steps: up to 0.5 within 30 steps, then "
                  "down along half a cosine to zero.")
    plt.show()

# %% [markdown]
# ## 3.4  Which rates does this code really use?
#
# Four pieces of code, each from a mistake that somebody has made in public. `o` is an SGD optimizer. Nothing raises an error, and all of them train. The numbers are drawn from your id: write it into the first line. (In notebook 8 it draws the numbers of the questions.)

# %%
student = "your id"
ask("learning_rates_used", student)

# %% [markdown]
# **Exercise 3.4 (2 points).** *Without running it*: which rate does each epoch use? Write four lists.

# %% nbgrader={"grade": false, "grade_id": "learning_rates_used-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
learning_rates_used = [
    None,  # block A: a list of 4 rates
    None,  # block B: a list of 4 rates
    None,  # block C: a list of 3 rates
    None,  # block D: a list of 5 rates
]
### BEGIN SOLUTION
learning_rates_used = [
    [0.3, 0.0, 0.06, 0.12],
    [0.01, 0.005, 0.0025, 0.00125],
    [0.8, 0.2, 0.05],
    [0.2, 0.1, 0.0, 0.1, 0.2],
]
### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Play computer: write down the rate in the optimizer, line by line. What does the optimizer hold before the loop starts?</details>
# <details><summary>Hint 2</summary>A: the rate is set after the training. B: rate = first rate × what the lambda returns. C: count the calls of s.step() per epoch.</details>
# <details><summary>Hint 3</summary>D: half a cosine over T_max = 2 epochs: full, half, zero. Then look at the third panel of 3.3 again.</details>

# %% nbgrader={"grade": true, "grade_id": "learning_rates_used", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check_answer("learning_rates_used", learning_rates_used, student)

# %% [markdown]
# When your answer is right, the next cell runs the four blocks:

# %% tags=["demo"]
if passed("learning_rates_used"):
    a, b, c, d = drawn("learning_rates_used", student).values()
    o, block_a = torch.optim.SGD([torch.zeros(1)], lr=a), []
    for epoch in range(4):
        block_a.append(o.param_groups[0]["lr"])
        o.param_groups[0]["lr"] = a * epoch / 5
    block_b = rates(lambda o: lr_scheduler.LambdaLR(o, lambda t: b * 0.5**t), 4, lr=b)
    block_c = rates(lambda o: lr_scheduler.ExponentialLR(o, 0.5), 6, lr=c)[::2]
    block_d = rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 2), 5, lr=d)
    for name, used in zip("ABCD", (block_a, block_b, block_c, block_d)):
        print(f"block {name}:", ", ".join(f"{rate:.3g}" for rate in map(float, used)))

# %% [markdown]
# <details><summary>What went wrong (open it when your check is green)</summary>A: the "warm-up" trains one epoch at the full rate, then one that does nothing. B: the factor has a rate in it, so everything is ten times too small. C: twice as fast as meant, and it depends on the number of minibatches. D: up again.</details>
#
# **One more: the order.** `scheduler.step()` belongs *after* `optimizer.step()`. What does PyTorch do with the wrong order?

# %% tags=["demo"]
optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
scheduler, used = lr_scheduler.ExponentialLR(optimizer, gamma=0.5), []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for epoch in range(3):
        scheduler.step()  # before the first step of the optimizer: too early
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
print("rates used:", used)
print("warning:", str(caught[0].message).partition(". ")[0])

# %% [markdown]
# It warns, and the first rate, 0.8, is lost: "does it matter?" is a frequent question, and that is the answer.
#
# **And one about noise.** `ReduceLROnPlateau` cuts the rate when its metric has not improved for `patience` epochs. Often it is given the loss of the *last minibatch*, because that is at hand.
#
# **Predict.** On the noisy digits of notebook 2: does it cut earlier with the loss of one minibatch, or with that of the whole training set?

# %% tags=["demo"]
noisy = noisy_digits(device)


def plateau_run(metric, seed, epochs=40, batch_size=64):
    """The rate used in each epoch; metric: "minibatch" or "training set"."""
    net = mlp(hidden=0, seed=seed, device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=3)
    random, used = generator(seed), []
    for epoch in range(epochs):
        used.append(optimizer.param_groups[0]["lr"])
        for batch in torch.randperm(noisy.n, generator=random).to(device).split(batch_size):
            loss = F.cross_entropy(net(noisy.x[batch]), noisy.y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            whole = F.cross_entropy(net(noisy.x), noisy.y)
        scheduler.step(loss.item() if metric == "minibatch" else whole.item())
    return torch.tensor(used)

# %% tags=["demo"]
for metric in ("minibatch", "training set"):
    runs = torch.stack([plateau_run(metric, seed) for seed in range(5)])
    first = (runs < 0.5).int().argmax(dim=1)
    cuts = (runs.diff(dim=1) < 0).sum(dim=1)
    print(f"{metric:12}:  first cut before epoch {sorted(first.tolist())},  "
          f"cuts in 40 epochs {sorted(cuts.tolist())}")

# %% [markdown]
# (Five seeds, sorted.) With one minibatch the scheduler waits for a lucky draw to be beaten, and cuts a rate that was still doing its work. Give it the loss of a fixed set, best a validation set: `scheduler.step(val_loss)`.

# %% [markdown]
# ## 3.5  Resuming, equal to the last bit
#
# The notes save three `state_dict`s: model, optimizer, scheduler. That is not everything a run consists of. Between two epochs, what does the next one depend on?
#
# | part | where it is | forgotten, then … |
# |:--|:--|:--|
# | weights, batch norm's averages | `model.state_dict()` | the network is untrained |
# | momentum, rates | `optimizer.state_dict()` | momentum starts from rest, the rate from its first value |
# | how far the schedule is | `scheduler.state_dict()` | the schedule starts again |
# | the epoch | your own variable | an epoch is repeated |
# | dropout's randomness | `torch.get_rng_state()`, on a GPU `torch.cuda.get_rng_state()` | other units are dropped |
# | the order of examples | `generator.get_state()` | other minibatches |

# %% [markdown]
# > Lecture notes ▸ corrected: the notes call saving three state dicts "essential for reproducibility". It is needed, but not enough; the last three rows are missing ([PyTorch: reproducibility](https://docs.pytorch.org/docs/stable/notes/randomness.html)).
#
# `torch.save(dictionary, path)` writes a dictionary of such things, `torch.load(path)` reads it back. By default it reads tensors, numbers and containers only (`weights_only=True`), because a pickle from a stranger can run any code. A checkpoint from a GPU is loaded on a machine without one by `map_location`.
#
# **Order.** First make model, optimizer and scheduler, *then* load all of them. Making some of the schedulers, such as `LambdaLR`, sets the first rate again.

# %% [markdown]
# **Exercise 3.5 (4 points).** Write both functions. The check trains a small network with dropout, batch norm and shuffled minibatches, saves it with your function, and lets a *new process* load it with your function and go on. Every loss must be equal, bit for bit.

# %% nbgrader={"grade": false, "grade_id": "save_checkpoint-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def save_checkpoint(path, model, optimizer, scheduler, epoch, generator):
    """Write everything to the file `path` that the run needs to go on after this epoch.

    epoch: the number of the epoch that just ended.   generator: the torch.Generator that shuffles.
    Dropout draws from torch's own, global generator.
    """
    ### BEGIN SOLUTION
    torch.save({
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": epoch,
        "dropout": torch.get_rng_state(),
        "shuffling": generator.get_state(),
    }, path)
    ### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "load_checkpoint-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def load_checkpoint(path, model, optimizer, scheduler, generator):
    """Restore model, optimizer, scheduler, generator and torch's own random numbers from the file.

    All of them have just been made, by the same code as before.
    Returns the number of the next epoch to train.
    """
    ### BEGIN SOLUTION
    checkpoint = torch.load(path)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    scheduler.load_state_dict(checkpoint["scheduler"])
    torch.set_rng_state(checkpoint["dropout"])
    generator.set_state(checkpoint["shuffling"])
    return checkpoint["epoch"] + 1
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>One dictionary with six entries: the rows of the table.</details>
# <details><summary>Hint 2</summary>Whatever has a <code>state_dict()</code> has a <code>load_state_dict(…)</code>. Random numbers: <code>torch.get_rng_state()</code> and <code>torch.set_rng_state(…)</code>; of a generator: <code>get_state()</code> and <code>set_state(…)</code>.</details>
# <details><summary>Hint 3</summary><code>torch.save({"model": model.state_dict(), …, "epoch": epoch}, path)</code>. In the other function <code>checkpoint = torch.load(path)</code>, hand each entry back, and return the epoch after the one that was saved.</details>

# %% nbgrader={"grade": true, "grade_id": "save_checkpoint", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(save_checkpoint, load_checkpoint)

# %% [markdown]
# How much does each part matter? A run of six epochs on digits is interrupted after three and resumed with your functions. Then one part is set back to what a new process would have. (On the CPU, whose generator your functions save; a GPU's dropout draws from one of its own.)
#
# **Predict.** Sort by damage: forgotten optimizer, forgotten scheduler, forgotten random numbers. And what does the harm in a forgotten optimizer: its momentum or its rate?

# %% tags=["demo"]
host_data = digits(HOST)


def new_run(seed):
    """All that a run consists of; dropout and shuffling draw from two generators, on the CPU."""
    torch.manual_seed(seed)
    hidden = [nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2)]
    model = nn.Sequential(*hidden, nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.3)
    return [model, optimizer, scheduler, generator(seed)]


def train_epochs(run, epochs):
    model, optimizer, scheduler, random = run
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(host_data.n, generator=random).split(64):
            loss = F.cross_entropy(model(host_data.x[batch]), host_data.y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    return nn.utils.parameters_to_vector(model.parameters()).detach()

# %% tags=["demo"]
if passed("save_checkpoint"):
    path = Path(tempfile.mkdtemp()) / "checkpoint.pt"
    uninterrupted = train_epochs(new_run(0), 6)
    run = new_run(0)
    train_epochs(run, 3)
    save_checkpoint(path, *run[:3], 2, run[3])
    fresh = new_run(1)
    forget = {
        "nothing": lambda: None,
        "optimizer": lambda: optimizer.load_state_dict(fresh[1].state_dict()),
        "its momentum": lambda: optimizer.state.clear(),
        "its rate": lambda: optimizer.param_groups[0].update(lr=0.1),
        "scheduler": lambda: scheduler.load_state_dict(fresh[2].state_dict()),
        "dropout": lambda: torch.manual_seed(1),
        "shuffling": lambda: random.manual_seed(1),
    }
    for part, set_back in forget.items():
        model, optimizer, scheduler, random = run = new_run(1)
        next_epoch = load_checkpoint(path, *run)
        set_back()
        gap = (train_epochs(run, 6 - next_epoch) - uninterrupted).abs().max().item()
        print(f"forgotten: {part:12}  largest difference of a weight: {gap:.0g}")

# %% [markdown]
# Nothing forgotten: nothing different, to the last bit. (One run; "largest" of 5,000 weights.) The optimizer costs most, because of its *rate*: `StepLR` multiplies the rate that it finds there, so with 0.1 in place of 0.03 all later rates are wrong. Momentum alone costs no more than any other part: it is rebuilt within some ten steps. None of it is an error message: the run goes on and looks healthy.

# %% [markdown]
# **The order matters for some schedulers.** Here the next three rates after resuming, with everything loaded, in two orders, and with one of two parts.

# %% tags=["demo"]
def resumed_rates(make_scheduler, order):
    """Three rates after resuming a run of five epochs; order: what is made and loaded, in turn."""
    old, kept = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0), {}
    scheduler = make_scheduler(old)
    for _ in range(5):
        old.step()
        scheduler.step()
    kept = {"optimizer": old.state_dict(), "scheduler": scheduler.state_dict()}
    new = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    for action in order.split(", "):
        if action == "make scheduler":
            scheduler = make_scheduler(new)
        else:
            part = action.removeprefix("load ")
            (new if part == "optimizer" else scheduler).load_state_dict(kept[part])
    used = []
    for _ in range(3):
        used.append(f"{new.param_groups[0]['lr']:.2f}")
        new.step()
        scheduler.step()
    return " ".join(used)

# %% tags=["demo"]
schedulers = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=8),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=20),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5),
}
orders = {
    "make all, load all": "make scheduler, load optimizer, load scheduler",
    "scheduler made late": "load optimizer, make scheduler, load scheduler",
    "scheduler not loaded": "make scheduler, load optimizer",
    "optimizer not loaded": "make scheduler, load scheduler",
}
print(f"{'':12}" + "".join(f"{name:22}" for name in orders))
for name, make in schedulers.items():
    print(f"{name:12}" + "".join(f"{resumed_rates(make, order):22}" for order in orders.values()))

# %% [markdown]
# The first column is right. Made too late, a scheduler overwrites the rate that was loaded. `LambdaLR` and `OneCycleLR` compute the next one afresh, so one epoch is wrong; `LinearLR` goes on multiplying the wrong one, for ever. `StepLR` survives: when it is made it leaves the rate alone. One rule covers all: **make everything, then load everything**, and look at `param_groups` afterwards.
#
# A `LambdaLR` saves its count, but no `lambda` and no function: the code that resumes must make the same one. (Of an object with a `__call__` it saves the attributes.)

# %% [markdown]
# ## What to remember
#
# - An optimizer reads its rate from `param_groups` at every step. All schedulers only write there.
# - `LambdaLR` wants a factor on the *first* rate. Know whether `step()` is per epoch or per minibatch, and call it after `optimizer.step()`.
# - Plot the rate *used*. `CosineAnnealingLR` rises again, `ConstantLR` gives the rate back.
# - Give `ReduceLROnPlateau` a metric of a fixed set.
# - To resume: model, optimizer, scheduler, epoch, random numbers, generator. Make all, then load all.

# %% tags=["demo"]
scoreboard("03")

# %% [markdown]
# **References**
#
# - PyTorch, [How to adjust learning rate](https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate) and [Saving and loading models](https://docs.pytorch.org/tutorials/beginner/saving_loading_models.html).
# - I. Loshchilov, F. Hutter, [SGDR: stochastic gradient descent with warm restarts](https://arxiv.org/abs/1608.03983), ICLR 2017: the cosine.
# - L. N. Smith, N. Topin, [Super-convergence: very fast training of neural networks using large learning rates](https://arxiv.org/abs/1708.07120), 2017: the one-cycle schedule.
#
# **Next:** [4 Momentum and Nesterov](04_momentum_nesterov.ipynb)
