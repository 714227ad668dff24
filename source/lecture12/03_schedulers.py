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
# **65 minutes · 13 points.** *Deeper* adds 14 minutes; nothing in it is graded. Afterwards you can
#
# - change the learning rate by hand, with `LambdaLR`, and with PyTorch's ready-made schedulers;
# - predict which rates a piece of code *really* uses, and say what a schedule does to a run;
# - interrupt a training run and go on in a new process, equal to the last bit.

# %% [markdown]
# **Where we are.** Notebook 2 has shown when the learning rate should fall, and by which formula.
#
# **What is missing.** How PyTorch is told, how you find out whether it does what you meant, and how a run is stopped and resumed half-way.

# %%
import math
import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from lecture_utils import figures
from lecture_utils.checks import ask, check, check_answer, drawn, passed, scoreboard
from lecture_utils.data import digits, noisy_digits, ridge_softmax_minimum
from lecture_utils.devices import HOST, generator, pick_device
from lecture_utils.stacked import sweep
from lecture_utils.training import mlp, train

figures.setup()
device = pick_device()
data, noisy = digits(device), noisy_digits(device)

# %% [markdown]
# ## 3.1  Option 1 is a function of your own
#
# An optimizer keeps its parameters in **groups**, each with its own settings. In every `step()` it reads the rate of a group from there. So whoever wants another rate writes it there:

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
# **Exercise 3.1 (2 points).** Write the function that you would call at the start of every epoch. It sets the rate of exponential decay (notebook 2: first rate $\eta_0$, decay constant $k$) in *every* group, whatever the rate was before.

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
# <details><summary>Hint 1</summary>The formula is that of notebook 2. New is only where the result goes. How many groups are there?</details>
# <details><summary>Hint 2</summary>Loop over <code>optimizer.param_groups</code>: each group is a dictionary.</details>
# <details><summary>Hint 3</summary><code>group["lr"] = …</code>, computed from lr0 and epoch, not from the old rate.</details>

# %% nbgrader={"grade": true, "grade_id": "adjust_learning_rate", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(adjust_learning_rate)

# %% [markdown]
# The lecture calls such a function at the *end* of each epoch. That works, too, if it is given the number of the epoch that comes next.
#
# **Your turn** (not graded). Write the loop of Option 1 for 20 epochs, with $\eta_0 = 0.3$ and $k = 0.1$. In each epoch: set the rate, append the rate of group 0 to the list `by_hand`, and train for one epoch with `history = train(model, optimizer, data, epochs=1, seed=epoch)`.
#
# **Predict.** Which rate does the first epoch use, and which the tenth?

# %% nbgrader={"grade": false, "grade_id": "loop-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
by_hand = []
### BEGIN SOLUTION
for epoch in range(20):
    adjust_learning_rate(optimizer, epoch, lr0=0.3, k=0.1)
    by_hand.append(optimizer.param_groups[0]["lr"])
    history = train(model, optimizer, data, epochs=1, seed=epoch)
### END SOLUTION

# %% tags=["demo", "raises-exception"]
if passed("adjust_learning_rate") and by_hand:
    for epoch in (0, 9, 19):
        print(f"epoch {epoch:2}: rate {by_hand[epoch]:.3f}")
    print(f"training loss after 20 epochs: {history.train_loss[-1]:.2f}")

# %% [markdown]
# The tenth epoch has the number 9, because epochs count from 0. Being wrong by one is the most frequent mistake with schedules.

# %% [markdown]
# ## 3.2  Option 2 is LambdaLR
#
# `torch.optim.lr_scheduler.LambdaLR(optimizer, f)` does the same with a function $f$ of the epoch. It multiplies the **first** rate of each group, not the current one:
#
# $$\eta_t = \eta_0 \cdot f(t)$$
#
# So $f$ is a *factor*. `scheduler.step()` at the end of each epoch moves $t$ on by one. (`MultiplicativeLR` looks alike, but multiplies the *current* rate.)
#
# > Lecture notes ▸ corrected: the notes write `torch.optim.lr.scheduler`. The module's name is `torch.optim.lr_scheduler`.

# %% [markdown]
# **Exercise 3.2 (2 points).** The optimizer already has its first rate. Return the *function* with which `LambdaLR` follows exponential decay.

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
# <details><summary>Hint 2</summary>A factor has no learning rate in it. What is it in epoch 0?</details>
# <details><summary>Hint 3</summary><code>return lambda epoch: …</code>, or define an inner function and return it, without calling it.</details>

# %% nbgrader={"grade": true, "grade_id": "exponential_lambda", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(exponential_lambda)

# %% [markdown]
# To watch a scheduler we need no network. An optimizer with one dummy parameter will do:

# %%
def rates(make_scheduler, epochs, lr=0.1, losses=None):
    """The learning rate that each epoch really uses, with scheduler.step() at its end."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler, used = make_scheduler(optimizer), []
    for epoch in range(epochs):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if losses:
            scheduler.step(losses[epoch])
        else:
            scheduler.step()
    return used

# %% [markdown]
# Now there are three ways to one list of rates: your loop of 3.1, `LambdaLR` with your function, and the ready-made `ExponentialLR`, which multiplies by $\gamma = e^{-k}$ in each epoch.

# %% tags=["demo", "raises-exception"]
if passed("exponential_lambda") and by_hand:
    ways = {
        "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, exponential_lambda(0.1)),
        "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, gamma=math.exp(-0.1)),
    }
    for name, make in ways.items():
        gap = max(abs(a - b) for a, b in zip(by_hand, rates(make, 20, lr=0.3)))
        print(f"{name:14} equals your loop to 1e-15 in all 20 epochs: {gap < 1e-15}")

# %% [markdown]
# ## 3.3  What the ready-made schedulers really do
#
# Six of them, each for 40 epochs from a rate of 0.1. `ReduceLROnPlateau` gets a loss that falls until epoch 12 and then stands still.
#
# **Predict.** Which rate do `CosineAnnealingLR(T_max=20)` and `ConstantLR(factor=0.5, total_iters=10)` have in epoch 30? Which of the six needs to be told a loss?

# %% tags=["demo"]
def linear_then_cosine(o):
    up = lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=5)
    down = lr_scheduler.CosineAnnealingLR(o, T_max=35)
    return lr_scheduler.SequentialLR(o, [up, down], milestones=[5])


makers = {
    "StepLR(10, gamma=0.3)": lambda o: lr_scheduler.StepLR(o, 10, gamma=0.3),
    "ConstantLR(0.5, total_iters=10)": lambda o: lr_scheduler.ConstantLR(o, 0.5, 10),
    "CosineAnnealingLR(T_max=20)": lambda o: lr_scheduler.CosineAnnealingLR(o, 20),
    "OneCycleLR(0.1, total_steps=41)": lambda o: lr_scheduler.OneCycleLR(o, 0.1, 41),
    "SequentialLR": linear_then_cosine,
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.3, patience=4),
}
losses = [max(1 - 0.05 * epoch, 0.4) for epoch in range(40)]
panels = figures.panels(2, 3, figure="six_schedulers", share="xy")
for ax, (name, make) in zip(panels, makers.items()):
    used = rates(make, 40, losses=losses if "Plateau" in name else None)
    figures.curve(range(40), used, ax=ax, steps=True, title=name, x="epoch", y="rate used")
    print(f"{name:32} epoch 5: {used[5]:.3f}   20: {used[20]:.3f}   30: {used[30]:.3f}")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# There are two surprises. `ConstantLR` multiplies by its factor only *at first*; after `total_iters` epochs it gives the full rate back. It is a crude warm-up. `CosineAnnealingLR` follows the cosine wherever it goes, so after `T_max` the rate **rises again**: in epoch 30 it is back at half.
#
# `ReduceLROnPlateau` is the only one that needs a loss, `scheduler.step(loss)`. It waits for `patience` bad epochs and cuts at the next.
#
# </details>
#
# Older tutorials pass `verbose=True` to schedulers. That argument is gone: read `optimizer.param_groups[0]["lr"]` instead.

# %% [markdown]
# Deep networks are often started with a **warm-up**: the rate climbs for a few hundred steps, then falls. It counts *steps*, not epochs: `scheduler.step()` comes after every minibatch.
#
# **Exercise 3.3 (3 points).** Write the factor on the rate for the steps 0, 1, 2, … Let $W$ be `warmup_steps`.
#
# - In the first $W$ steps it climbs in equal stairs, from $1/W$ (so that no step is wasted) to 1.
# - Then it falls as the cosine does from its top to its bottom, shifted and rescaled: 1 in step $W$, 0 in step `total_steps`.
# - From `total_steps` on it is 0.

# %% nbgrader={"grade": false, "grade_id": "warmup_cosine-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def warmup_cosine(step, warmup_steps, total_steps):
    """The factor on the learning rate in this step: linear warm-up, then down along a cosine.

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
# <details><summary>Hint 1</summary>For the second part you want a number that goes from 0 to 1 between the end of the warm-up and total_steps. (cos itself falls from 1 to 0 in a quarter of its period, but from its top to its bottom it takes half.)</details>
# <details><summary>Hint 2</summary>cos(π · progress) goes from 1 to −1. What must be done to −1 to make it 0, without changing the 1? And what keeps the factor from rising again?</details>
# <details><summary>Hint 3</summary>Add 1, divide by 2. <code>min(1, …)</code> around the progress. <code>math.cos</code> takes a number; <code>torch.cos</code> wants a tensor.</details>

# %% nbgrader={"grade": true, "grade_id": "warmup_cosine", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(warmup_cosine)

# %% tags=["demo"]
if passed("warmup_cosine"):
    def factor(step):
        return warmup_cosine(step, warmup_steps=30, total_steps=230)

    used = rates(lambda o: lr_scheduler.LambdaLR(o, factor), 240, lr=0.5)
    print(f"step 0: {used[0]:.4f}   largest: {max(used):.2f}   step 130: {used[130]:.2f}   "
          f"step 229: {used[229]:.6f}   step 230: {used[230]:.0f}")
    figures.curve(range(240), used, x="step", y="rate used", figure="your_warmup")

# %% [markdown]
# ## 3.4  What a schedule does to a run
#
# So far we have looked at rates. Now at runs: the noisy digits of notebook 2, a convex task whose minimum is known and whose gradients never fall silent. Each schedule gets what a fair comparison needs: its own best first rate, out of eight, and ten seeds. The rival of all is the best *constant* rate. Your `warmup_cosine` counts epochs this time; the unit is yours to choose.
#
# **Predict.** Which of the four ends lowest, and which highest? Which one can afford the largest first rate?

# %% tags=["demo"]
if passed("warmup_cosine"):
    factors = {
        "constant": lambda epoch: 1.0,
        "step": lambda epoch: 0.1 ** (3 * epoch // 20),  # a tenth after each third of the run
        "cosine": lambda epoch: warmup_cosine(epoch, 0, 20),
        "warm-up, cosine": lambda epoch: warmup_cosine(epoch, 3, 20),
    }
    lrs, lowest = [0.075 * 1.5**i for i in range(8)], ridge_softmax_minimum(noisy, l2=0.01)
    task = dict(data=noisy, hidden=0, l2=0.01, epochs=20, batch_size=32, seeds=range(10))
    runs = sweep("sgd", lrs=lrs * 4, **task,  # all at once: eight rates for each schedule
                 schedule=lambda epoch: [f(epoch) for f in factors.values() for _ in lrs])
    excess = dict(zip(factors, (runs.train_loss - lowest).split(8)))  # (rates, seeds, epochs + 1)
    accuracy, best_run = dict(zip(factors, runs.test_accuracy.split(8))), {}
    for name in factors:
        best = excess[name][:, :, -1].mean(1).argmin().item()
        best_run[name] = excess[name][best]
        end, right = best_run[name][:, -1], accuracy[name][best, :, -1]
        print(f"{name:16} best first rate {lrs[best]:.2f}   excess loss {end.mean():.5f} "
              f"± {end.std():.5f}   test accuracy {right.mean():.1%} ± {right.std():.1%}")
    figures.band(range(21), best_run, x="epoch", y="training loss − its minimum", log="y",
                 xticks=[0, 5, 10, 15, 20], figure="four_schedules_on_a_run")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Mean and range of ten seeds.) With a constant rate the loss levels off near 0.008. The cosine ends at 0.00016, fifty times lower, and step at 0.00046.
#
# For most of the run you would not have guessed it: half-way the cosine is hardly better than the constant rate. Its rate is still large, and it swings about the minimum. It settles only in the last quarter, when the rate falls. Step comes down in two stairs, where its rate is divided by ten.
#
# The test accuracy gains a point, from 91.7 to 92.8 %, and the scatter between seeds shrinks.
#
# </details>

# %% [markdown]
# The warm-up changes nothing here, because nothing is dangerous at the start of this task. Large networks are another matter. There a warm-up makes larger rates bearable ([Kalra & Barkeshli 2024](https://arxiv.org/abs/2406.09405)), for example with very large minibatches ([Goyal et al. 2017](https://arxiv.org/abs/1706.02677)). And where gradients fall silent by themselves, decay may gain nothing at all (notebook 2).

# %% [markdown]
# Now look at all eight first rates, not only the best.
#
# **Predict.** On both sides of its best rate a run ends higher. For which reason on the left, and for which on the right?

# %% tags=["demo"]
if passed("warmup_cosine"):
    ends = {name: e[:, :, -1].mean(1) for name, e in excess.items()}
    figures.curve(lrs, ends, x="first rate", y="excess loss at the end", log="xy",
                  xticks=[0.1, 0.2, 0.5, 1], figure="end_of_run_by_first_rate")
    better = [lr for lr, end in zip(lrs, ends["cosine"]) if end < ends["constant"].min()]
    print("a cosine beats the best constant rate with first rates "
          f"from {better[0]:.2f} to {better[-1]:.2f}")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# On the left the steps are too short: when the epochs are over, the run has not arrived. On the right the steps are too long for the noise: the run has arrived, and keeps swinging. A constant rate is caught between the two, at 0.11.
#
# A schedule ends with short steps, however long the first ones were. So its first rate may be five times larger. Any first rate of the grid from 0.17 on makes the cosine better than the best constant rate.
#
# But look at the left edge: there every schedule is *worse* than the constant rate. A decay without a larger first rate only makes short steps shorter.
#
# </details>

# %% [markdown]
# In one line: the first rates of a run decide how far it gets, the last ones how calmly it ends, and a schedule chooses them separately.

# %% [markdown]
# **How to find a first rate without a sweep.** A *rate finder* ([Smith 2017](https://arxiv.org/abs/1506.01186)) spends one short run: it begins with a tiny rate, raises it a little after every minibatch, and watches the loss.
#
# **Your turn** (not graded). Train `net = mlp(hidden=0, device=device)` on `noisy` for 4 epochs, with `batch_size=32`. Start SGD at a rate of 0.001 and let it grow by 5 % after *every minibatch*: one of the schedulers above will do it, and `train(…, scheduler=…, per_step=True)` steps it. Keep what `train` returns as `finder`.

# %% nbgrader={"grade": false, "grade_id": "finder-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
finder = None
### BEGIN SOLUTION
net = mlp(hidden=0, device=device)
optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=1.05)
finder = train(net, optimizer, noisy, epochs=4, batch_size=32, scheduler=scheduler, per_step=True)
### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Growing by 5 % is multiplying by the same number in every step.</details>
# <details><summary>Hint 2</summary><code>ExponentialLR</code> does not mind a gamma above 1.</details>
# <details><summary>Hint 3</summary>Four lines: net, optimizer, scheduler (gamma=1.05), and <code>finder = train(net, optimizer, noisy, …)</code>.</details>
#
# **Predict.** From which rate on will the loss rise again: below 0.1, near 1, or above 10?

# %% tags=["demo", "raises-exception"]
if finder:
    smooth = finder.loss.unfold(0, 10, 1).mean(1)  # of ten minibatches
    middle = finder.lr[5 : 5 + len(smooth)]
    print(f"the smoothed loss is lowest, {smooth.min():.2f}, "
          f"at a rate of {middle[smooth.argmin()]:.2f}")
    figures.curve(middle, smooth, x="learning rate", y="loss of ten minibatches", log="x",
                  ylim=(1.5, 4), figure="rate_finder")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Below 0.03 the steps are too short to be seen. Then the loss falls, and it is lowest near 0.93. Beyond that the steps are too long for the curvature, and the loss shoots up.
#
# So choose a rate below that; a common rule takes a tenth of it. Compare: the sweep has found 0.11 for a constant rate, and 0.57 for the cosine. For the price of four epochs the finder gives the order of magnitude. It cannot see the noise floor, because it holds no rate for long.
#
# </details>

# %% [markdown]
# ## 3.5  Which rates does this code use
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
# Put your lists in place of the four None, and take out the line that raises.
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
# <details><summary>Hint 2</summary>A: is the rate set before the training or after it? B: what does LambdaLR do with the number that the lambda returns? C: count the calls of s.step() in an epoch.</details>
# <details><summary>Hint 3</summary>D: with T_max = 2 the factor is 1 in epoch 0, one half in epoch 1 and 0 in epoch 2. Then look at the third panel of 3.3 again.</details>

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
        print(f"block {name}:", ", ".join(f"{rate:.3g}" for rate in used))

# %% [markdown]
# <details><summary>What went wrong (open it when your check is green)</summary>A: the "warm-up" trains one epoch at the full rate, then one that does nothing. B: the factor has a rate in it, so all rates are too small by that factor. C: the rate falls twice as fast as meant, and how fast depends on the number of minibatches. D: the cosine goes up again.</details>
#
# **The order.** `scheduler.step()` belongs *after* `optimizer.step()`. Many people meet PyTorch's warning about it and ask whether it matters.
#
# **Predict.** From a first rate of 0.8, halved in each epoch, the next cell has the two lines in the wrong order. Which three rates are used?

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
# The first rate, 0.8, is never used: this is why the order matters.

# %% [markdown]
# ## 3.6  Saving and resuming
#
# A run that is interrupted should go on as if nothing had happened. What does the next epoch depend on?
#
# | part | where it is | if it is forgotten |
# |:--|:--|:--|
# | weights, averages of batch norm | `model.state_dict()` | the network is untrained |
# | momentum, current rates | `optimizer.state_dict()` | momentum starts from rest, the rate from its first value |
# | position in the schedule | `scheduler.state_dict()` | the schedule starts again |
# | the epoch | a variable of your own | an epoch is repeated |
# | dropout's random numbers | `torch.get_rng_state()` | other units are dropped |
# | the order of the examples | `generator.get_state()` | other minibatches |

# %% [markdown]
# > Lecture notes ▸ sharpened: the notes save the first three rows and call this "essential for reuse and reproducability". For reuse they are enough. To *reproduce* a run, the last three are needed, too ([PyTorch: reproducibility](https://docs.pytorch.org/docs/stable/notes/randomness.html)).
#
# **Predict.** The current learning rate: is it kept in the optimizer's state, in the scheduler's, or in both?

# %% tags=["demo"]
net = mlp(seed=0, device=device)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
scheduler = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.3)
train(net, optimizer, data, epochs=3, scheduler=scheduler)
for part in (net, optimizer, scheduler):
    print(f"{type(part).__name__:11} {', '.join(part.state_dict())}")
print(f"\nin the optimizer: {optimizer.state_dict()['param_groups'][0]['lr']:.3f},  "
      f"in the scheduler: {scheduler.state_dict()['_last_lr'][0]:.3f}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# In both. The optimizer uses its own; the scheduler's says where the schedule stands.
#
# </details>

# %% [markdown]
# - `torch.save(dictionary, path)` writes a dictionary of such things; `torch.load(path)` reads it back.
# - By default it accepts tensors, numbers and containers only (`weights_only=True`): a pickle from a stranger could run any code.
# - `map_location="cpu"` reads a checkpoint from a GPU on any machine. (A GPU's dropout has random numbers of its own: `torch.cuda.get_rng_state()`.)
# - **Build all, then load all.** Some schedulers, such as `LambdaLR`, set the first rate when they are made, and would overwrite what was loaded.
#
# **Exercise 3.5 (4 points).** Write both functions. The check trains a small network with dropout, batch norm and shuffled minibatches, and saves it. A *new process* loads it and goes on. Every loss must be equal, bit for bit.

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
# <details><summary>Hint 1</summary>One dictionary. How many entries does it need? Count the rows of the table.</details>
# <details><summary>Hint 2</summary>Whatever has a <code>state_dict()</code> has a <code>load_state_dict(…)</code>. Random numbers: <code>torch.get_rng_state()</code> and <code>torch.set_rng_state(…)</code>; of a generator: <code>get_state()</code> and <code>set_state(…)</code>.</details>
# <details><summary>Hint 3</summary><code>torch.save({"model": model.state_dict(), …, "epoch": epoch}, path)</code>. In the other function <code>checkpoint = torch.load(path)</code>, hand each entry back, and return the epoch after the one that was saved.</details>

# %% nbgrader={"grade": true, "grade_id": "save_checkpoint", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(save_checkpoint, load_checkpoint)

# %% [markdown]
# A checkpoint holds more than the network. Here your function saves the digits network with three optimizers. (Adam comes in notebook 6. For each weight it keeps two averages of past gradients.)
#
# **Predict.** The weights alone take 19 kB. About how large are the three files?

# %% tags=["demo"]
if passed("save_checkpoint"):
    path = Path(tempfile.mkdtemp()) / "checkpoint.pt"
    choices = {"SGD": (torch.optim.SGD, {}), "momentum": (torch.optim.SGD, {"momentum": 0.9}),
               "Adam": (torch.optim.Adam, {})}
    for name, (kind, settings) in choices.items():
        net = mlp(device=device)
        optimizer = kind(net.parameters(), lr=0.01, **settings)
        scheduler = lr_scheduler.StepLR(optimizer, step_size=2)
        train(net, optimizer, data, epochs=1)
        save_checkpoint(path, net, optimizer, scheduler, 0, generator(0))
        weights = sum(p.numel() for p in net.parameters())
        print(f"{name:9} file {path.stat().st_size / 1000:3.0f} kB, "
              f"weights {4 * weights / 1000:.0f} kB")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# Momentum adds one number for each weight, Adam adds two. So the files hold once, twice and three times the weights, and some 15 kB of random states and names. This is why checkpoints of large networks are so much larger than the networks.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - An optimizer reads its rate from `param_groups` at every step. All schedulers only write there.
# - `LambdaLR` wants a factor on the *first* rate. Know whether `step()` is per epoch or per minibatch, and call it after `optimizer.step()`.
# - Plot the rate *used*. `CosineAnnealingLR` rises again after `T_max`, `ConstantLR` gives the rate back.
# - Where gradients stay noisy, a falling rate beats the best constant one, because it may begin large and end small.
# - To resume: model, optimizer, scheduler, epoch, random numbers, generator. Build all, then load all.

# %% tags=["demo"]
scoreboard("03")

# %% [markdown]
# ## Deeper
#
# Two experiments on schedules that meet real life: a metric with noise, and a checkpoint with a hole. Nothing here is graded.

# %% [markdown]
# ## 3.7  A plateau on a noisy metric
#
# *4 minutes.* `ReduceLROnPlateau` cuts the rate when its metric has not improved for more than `patience` epochs. Often it is given the loss of the *last minibatch*, because that is at hand.
#
# **Predict.** On the noisy digits: does it cut earlier with the loss of one minibatch, or with the loss of the whole training set?

# %% tags=["demo"]
def first_cut(metric, seed, batch_size=128):
    """The first epoch with a smaller rate; metric: "minibatch" or "training set"."""
    net, random = mlp(hidden=0, seed=seed, device=device), generator(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=2)
    for epoch in range(60):
        if optimizer.param_groups[0]["lr"] < 0.5:
            return epoch
        for batch in torch.randperm(noisy.n, generator=random).to(device).split(batch_size):
            loss = F.cross_entropy(net(noisy.x[batch]), noisy.y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            whole = F.cross_entropy(net(noisy.x), noisy.y)
        scheduler.step(loss.item() if metric == "minibatch" else whole.item())

# %% tags=["demo"]
for metric in ("minibatch", "training set"):
    print(f"{metric:12}:  first epoch with a smaller rate, ten seeds:",
          sorted(first_cut(metric, seed) for seed in range(10)))

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# With one minibatch the rate is cut between epochs 6 and 12. With the training set it is cut between epochs 14 and 24. A lucky minibatch is hard to beat. The scheduler waits for that in vain, and cuts although the loss of the training set is still falling.
#
# </details>
#
# Give `ReduceLROnPlateau` the loss of a fixed set, best of a validation set: `scheduler.step(val_loss)`.

# %% [markdown]
# ## 3.8  What is lost when a part is forgotten
#
# *10 minutes.* A run of five epochs on the digits is interrupted after three and resumed with your functions. Then one part is set back to what a new process would have. (On the CPU, whose generator your functions save.)
#
# **Predict.** Sort by how far the weights end from those of the uninterrupted run: forgotten optimizer, forgotten scheduler, forgotten shuffling. And which part of a forgotten optimizer counts more, its momentum or its rate?

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
        for batch in torch.randperm(host_data.n, generator=random).split(128):
            loss = F.cross_entropy(model(host_data.x[batch]), host_data.y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    return nn.utils.parameters_to_vector(model.parameters()).detach()

# %% tags=["demo"]
def set_back(part, run, fresh):
    """Give one part of a resumed run what a new process would have."""
    _, optimizer, scheduler, random = run
    if part == "optimizer":
        optimizer.load_state_dict(fresh[1].state_dict())
    elif part == "its momentum":
        optimizer.state.clear()
    elif part == "its rate":
        optimizer.param_groups[0]["lr"] = 0.1
    elif part == "scheduler":
        scheduler.load_state_dict(fresh[2].state_dict())
    elif part == "dropout":
        torch.manual_seed(1000)
    elif part == "shuffling":
        random.manual_seed(1000)

# %% tags=["demo"]
parts = ["nothing", "optimizer", "its momentum", "its rate", "scheduler", "dropout", "shuffling"]
if passed("save_checkpoint"):
    gaps = {part: [] for part in parts}
    for seed in range(5):
        uninterrupted = train_epochs(new_run(seed), 5)
        fresh, run = new_run(1000), new_run(seed)
        train_epochs(run, 3)
        save_checkpoint(path, *run[:3], 2, run[3])
        for part in parts:
            run = new_run(1000)
            next_epoch = load_checkpoint(path, *run)
            set_back(part, run, fresh)
            end = train_epochs(run, 5 - next_epoch)
            gaps[part].append(((end - uninterrupted).norm() / uninterrupted.norm()).item())
    print("nothing forgotten, not a bit different:", max(gaps.pop("nothing")) == 0)
    for part, values in gaps.items():
        print(f"forgotten: {part:13} the weights differ by {sum(values) / 5:.1%} "
              f"({min(values):.1%} to {max(values):.1%})")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# (Mean and range of five seeds.) With nothing forgotten, not a bit is different. Of the three parts that were asked for, the optimizer moves the weights furthest, because of its *rate*. `StepLR` multiplies the rate that it finds there, so with 0.1 in place of 0.03 all later rates are too large. All the others, momentum too, lie between 1.5 and 2.1 %. Momentum is rebuilt within some ten steps.
#
# </details>
#
# A difference is not yet damage. Another order of the examples gives another run, as good as the first. A wrong rate gives another *experiment*. And none of it is an error message: the run goes on and looks healthy.

# %% [markdown]
# **The order of loading.** Here are the next three rates after resuming a run of five epochs: with everything loaded, in two orders, and with one of the two parts only.

# %% tags=["demo"]
def resumed_rates(make_scheduler, order):
    """Three rates after resuming a run of five epochs; order: what is made and loaded, in turn."""
    old = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
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
# The first column is right. A scheduler that is made too late overwrites the rate that was loaded. `LambdaLR` and `OneCycleLR` compute the next rate afresh, so one epoch is wrong. `LinearLR` goes on multiplying the wrong rate for the rest of the run. `StepLR` survives, because it leaves the rate alone when it is made. **Build all, then load all** is right for every one of them; look at `param_groups` afterwards.
#
# A `LambdaLR` saves its count, but no `lambda` and no function: the code that resumes must make the same one. (Of an object with a `__call__` it saves the attributes.)

# %% [markdown]
# **References**
#
# - PyTorch, [How to adjust learning rate](https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate) and [Saving and loading models](https://docs.pytorch.org/tutorials/beginner/saving_loading_models.html).
# - L. N. Smith, [Cyclical learning rates for training neural networks](https://arxiv.org/abs/1506.01186), WACV 2017: the rate finder.
# - I. Loshchilov, F. Hutter, [SGDR: stochastic gradient descent with warm restarts](https://arxiv.org/abs/1608.03983), ICLR 2017: the cosine.
# - L. N. Smith, N. Topin, [Super-convergence: very fast training of neural networks using large learning rates](https://arxiv.org/abs/1708.07120), 2017: the one-cycle schedule.
# - P. Goyal et al., [Accurate, large minibatch SGD: training ImageNet in 1 hour](https://arxiv.org/abs/1706.02677), 2017, and D. S. Kalra, M. Barkeshli, [Why warmup the learning rate?](https://arxiv.org/abs/2406.09405), NeurIPS 2024: the warm-up.
#
# **Next:** [4 Momentum and Nesterov](04_momentum_nesterov.ipynb)
