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
# # 2  Learning-rate decay
#
# A rate that is good at the start is too large at the end, and one that is good at the end never gets there. You will derive how large the damage is, choose a decay for it, and see where decay does something else.
#
# **65 minutes · 10 points.** Afterwards you can
#
# - tell the two reasons why a loss keeps swinging, and predict how far;
# - turn "from this rate to that one in so many epochs" into a schedule;
# - say when decay is worth it, and what a fair test of that looks like.

# %%
import math

import matplotlib.pyplot as plt
import torch

from lecture_utils import figures
from lecture_utils.checks import check, passed, scoreboard
from lecture_utils.data import digits, noisy_digits, ridge_softmax_minimum
from lecture_utils.devices import generator, pick_device
from lecture_utils.landscapes import noisy_quadratic
from lecture_utils.stacked import sweep

figures.setup()
device = pick_device()

# %% [markdown]
# ## 2.1  A loss swings for two reasons, and decay cures one
#
# Take the simplest loss there is, $L(w) = \tfrac12 h w^2$ with **curvature** $h$. Its gradient is $hw$, so one step of gradient descent multiplies $w$ by $1 - \eta h$:
#
# $$w_{t+1} = w_t - \eta h w_t = (1-\eta h)\,w_t$$
#
# **Predict.** For which values of $\eta h$ does $w$ creep to zero, swing to zero, swing for ever, run away?

# %% tags=["demo"]
paths = {}
for lr_h in (0.3, 1.6, 2.0, 2.1):
    w, path = 1.0, [1.0]
    for _ in range(12):
        w = w - lr_h * w  # h = 1
        path.append(w)
    paths[f"ηh = {lr_h}"] = path
figures.curve(range(13), paths, x="step", y="w",
              alt="Gradient descent on a parabola. With ηh = 0.3 w creeps to zero, with 1.6 it "
              "swings to zero, with 2.0 it swings for ever, with 2.1 it runs away.")
plt.show()

# %% [markdown]
# **Read the figure.** Above 1 the step jumps over the minimum, above 2 it lands further away each time. This swinging has nothing to do with noise; it comes from a rate that is too large for the curvature. The cure is a smaller rate, from the start.
#
# The second reason is noise. Let the gradient have variance $\sigma^2$ (`noise_variance`) in each step, as a minibatch gives it:

# %% tags=["demo"]
paths = {}
for lr in (0.5, 0.1, 0.02):
    w, path, random = torch.tensor(10.0), [], generator(0)
    for _ in range(300):
        path.append(w.abs().item())
        w = w - lr * noisy_quadratic(w, 1.0, 1.0, random)
    paths[f"η = {lr}"] = path
figures.curve(range(300), paths, x="step", y="|w|, distance to the minimum", log="y",
              alt="Noisy gradient descent from a distance of 10, one run for each rate. The larger "
              "the rate, the sooner the fall ends, and the further from the minimum it ends.")
plt.show()

# %% [markdown]
# **Read the figure.** (One run for each rate.) Every run falls, then stops falling and jitters. A large rate arrives early and jitters widely, a small one arrives late. This is the dilemma that decay solves: first large, then small.
#
# > Lecture notes ▸ corrected: the notes want decay "to prevent missing the true minimum". There are two kinds of missing: a step too long for the curvature ($\eta h > 1$), and the noise floor. Decay is a remedy for the second ([Bottou et al. 2018](https://arxiv.org/abs/1606.04838), section 4).

# %% [markdown]
# **How wide is the jitter?** In one step, $w_{t+1} = (1-\eta h)\,w_t - \eta\,\varepsilon_t$ with noise $\varepsilon_t$ of variance $\sigma^2$, independent of $w_t$. Variances of independent terms add, and a factor $a$ multiplies a variance by $a^2$. In the long run the variance $V$ stays the same from one step to the next. That is one equation for $V$.
#
# **Exercise 2.1 (3 points).** Solve it on paper, then write the result. Outside $0 < \eta h < 2$ there is no such $V$: raise a `ValueError`.

# %% nbgrader={"grade": false, "grade_id": "stationary_variance-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def stationary_variance(lr, curvature, noise_variance):
    """The variance of w in the long run, for SGD on ½ · curvature · w².

    lr: the learning rate.   curvature: h.   noise_variance: of each step's gradient.   All floats.
    Returns a float. Raises ValueError unless 0 < lr * curvature < 2.
    """
    ### BEGIN SOLUTION
    if not 0 < lr * curvature < 2:
        raise ValueError("there is a stationary variance only for 0 < lr * curvature < 2")
    return lr * noise_variance / (curvature * (2 - lr * curvature))
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>The equation: V = (1 − ηh)² V + η² σ².</details>
# <details><summary>Hint 2</summary>Bring V to one side: V · (1 − (1 − ηh)²) = η² σ². What is 1 − (1 − ηh)², multiplied out?</details>
# <details><summary>Hint 3</summary>It is ηh · (2 − ηh). One η cancels. For the error: <code>if not 0 &lt; lr * curvature &lt; 2: raise ValueError(…)</code></details>

# %% nbgrader={"grade": true, "grade_id": "stationary_variance", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(stationary_variance)

# %% [markdown]
# **Predict.** From $\eta h = 0.01$ to $0.1$ the jitter grows about tenfold. And from 0.19 to 1.9?

# %% tags=["demo"]
if passed("stationary_variance"):
    eta_h = torch.tensor([0.01, 0.03, 0.1, 0.3, 0.6, 1.0, 1.4, 1.7, 1.9, 1.97], dtype=torch.float64)
    measured = []
    for seed in range(5):
        random, w = generator(seed), torch.zeros(2500, len(eta_h), dtype=torch.float64)
        for _ in range(600):  # 2500 runs at once for each rate
            w = w - eta_h * noisy_quadratic(w, 1.0, 1.0, random)
        measured.append(w.var(dim=0))
    measured = torch.stack(measured)
    exact = [stationary_variance(lr, 1.0, 1.0) for lr in eta_h.tolist()]
    fig, ax = plt.subplots()
    figures.band(eta_h, measured, label="simulated", ax=ax)
    figures.theory(eta_h, exact, label="your formula", ax=ax)
    ax.plot(eta_h, eta_h / 2, ":", color="0.5")
    ax.annotate("ησ²/2h, for small steps", (0.35, 0.1), color="0.4")
    ax.set(xlabel="ηh", ylabel="variance of w  (in σ²/h²)", xscale="log", yscale="log")
    figures.describe(fig, "Stationary variance against ηh, simulated and by formula. "
                     "Proportional to the rate up to about 0.1, then faster; "
                     "it grows without bound towards ηh = 2.")
    plt.show()
    worst = (measured.mean(dim=0) / torch.tensor(exact) - 1).abs().max()
    print(f"largest deviation of the mean of five simulations: below 5 %: {worst < 0.05}")
    print(f"0.01 → 0.1: {exact[2] / exact[0]:.0f} times,   "
          f"0.19 → 1.9: {exact[8] / stationary_variance(0.19, 1.0, 1.0):.0f} times")

# %% [markdown]
# **Read the figure.** (Mean and range of five simulations with 2,500 runs each, almost too narrow to see.) For small steps, up to about $\eta h = 0.1$, the floor is proportional to $\eta$: half the rate, half the variance. With a minibatch $\sigma^2$ goes with $1/B$, so the floor goes with $\eta/B$, as in notebook 1. Close to $\eta h = 2$ both kinds of swinging meet.
#
# With momentum $\alpha$ (notebook 4) the same steps lead to $V = \dfrac{\eta\sigma^2(1+\alpha)}{h(1-\alpha)(2(1+\alpha)-\eta h)}$.

# %% tags=["demo"]
def plain_floor(lr):
    """The formula of 2.1 with h = σ² = 1: the floor without momentum."""
    return f"{lr / (2 - lr):.2g}" if lr < 2 else "none, it diverges"


alpha = 0.9
for lr in (0.01, 0.1, 1.0):
    random, w, delta = generator(0), torch.zeros(4000, dtype=torch.float64), 0.0
    for _ in range(600):
        delta = alpha * delta + lr * noisy_quadratic(w, 1.0, 1.0, random)
        w = w - delta
    formula = lr * (1 + alpha) / ((1 - alpha) * (2 * (1 + alpha) - lr))
    print(f"η = {lr:4}:  variance {w.var():.2g} (formula {formula:.2g}), "
          f"{formula / (lr / (2 - lr)):.1f} times SGD's;  "
          f"SGD at {lr / (1 - alpha):4.1f}: {plain_floor(lr / (1 - alpha))}")

# %% [markdown]
# At a small rate momentum 0.9 makes the floor ten times higher: it is as if SGD's rate were $\eta/(1-\alpha)$ (last column). That holds only while $\eta h/(1-\alpha)$ is small. In the second row SGD at that rate has twice the floor, in the third it has none at all, while momentum still converges.

# %% [markdown]
# ## 2.2  Three formulas for a falling rate
#
# | name | $\eta_t$ | PyTorch |
# |:--|:--|:--|
# | exponential | $\eta_0 e^{-kt}$ | `ExponentialLR(gamma=math.exp(-k))` |
# | step | $\eta_0\, \gamma^{\lfloor t/s \rfloor}$ | `StepLR(step_size=s, gamma=γ)` |
# | inverse time | $\eta_0/(1+kt)$ | `LambdaLR` |
#
# $t$ is the epoch, $\eta_0$ the first rate, $k$ the decay constant per epoch. The last one is sometimes *called* exponential. It is not: in the end it falls ever more slowly.

# %% [markdown]
# **Exercise 2.2 (1 point).** Write the exponential one.

# %% nbgrader={"grade": false, "grade_id": "exponential_decay-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def exponential_decay(lr0, k, t):
    """The learning rate in epoch t under exponential decay.

    lr0: the rate at t = 0.   k: the decay constant, per epoch.   t: the epoch.   Numbers.
    Returns a float.
    """
    ### BEGIN SOLUTION
    return lr0 * math.exp(-k * t)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>The formula of the first row, nothing else.</details>
# <details><summary>Hint 2</summary><code>math.exp(x)</code> is e to the power x.</details>
# <details><summary>Hint 3</summary>Mind the sign in the exponent, and do not forget the first rate.</details>

# %% nbgrader={"grade": true, "grade_id": "exponential_decay", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(exponential_decay)

# %% [markdown]
# The notes' Figure 2 compares several $k$ and says that by epoch 100 the rates are very different. Here it is.
#
# **Predict.** $k = 0.1$ and $k = 0.01$ from $\eta_0 = 0.1$: by what factor do the two rates differ at epoch 100?

# %% tags=["demo"]
if passed("exponential_decay"):
    t, ks = range(101), (0.01, 0.03, 0.1)
    rates = {f"k = {k}": [exponential_decay(0.1, k, epoch) for epoch in t] for k in ks}
    rates["1/(1 + 0.1 t)"] = [0.1 / (1 + 0.1 * epoch) for epoch in t]
    figures.curve(t, rates, x="epoch t", y="learning rate", log="y",
                  alt="Learning rates over 100 epochs on a logarithmic axis. Exponential decays "
                  "are straight lines, k = 0.1 ends 8000 times below k = 0.01; the inverse-time "
                  "curve bends and ends above k = 0.03.")
    plt.show()
    for k in ks:
        print(f"k = {k:4}:  half-life {math.log(2) / k:4.0f} epochs,  "
              f"rate at epoch 100: {exponential_decay(0.1, k, 100):.2g}")
    print(f"at epoch 100: k = 0.01 over k = 0.1: {math.exp(9):.0f},   "
          f"1/(1 + 0.1 t) over k = 0.1: {math.exp(10) / 11:.0f}")

# %% [markdown]
# **Read the figure.** On a logarithmic axis exponential decay is a straight line with slope $-k$. The same $k$ in $1/(1+kt)$ begins alike and ends 2,000 times higher. A handy number is the half-life, $\ln 2/k$: with $k = 0.1$ the rate halves every 7 epochs.
#
# **Exercise 2.3 (2 points).** You know where you start, where you want to end, and how many epochs there are. Which $k$ is it?

# %% nbgrader={"grade": false, "grade_id": "decay_constant-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def decay_constant(lr0, lr_end, epochs):
    """The k with which exponential decay goes from lr0 at t = 0 to lr_end at t = epochs.

    lr0, lr_end: positive floats.   epochs: how many, a positive number.
    Returns a float, per epoch.
    """
    ### BEGIN SOLUTION
    return math.log(lr0 / lr_end) / epochs
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Write the formula for t = epochs and solve it for k.</details>
# <details><summary>Hint 2</summary>Divide by lr0, then take the natural logarithm of both sides.</details>
# <details><summary>Hint 3</summary>log(lr_end/lr0) = −k · epochs. <code>math.log</code> is the natural logarithm.</details>

# %% nbgrader={"grade": true, "grade_id": "decay_constant", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(decay_constant)

# %% tags=["demo"]
if passed("exponential_decay", "decay_constant"):
    k = decay_constant(0.3, 0.003, 40)
    print(f"from 0.3 to 0.003 in 40 epochs: k = {k:.3f};  "
          f"check: the rate at epoch 40 is {exponential_decay(0.3, k, 40):.4f}")

# %% [markdown]
# ## 2.3  Too fast a decay stalls before it arrives
#
# If the rate falls exponentially, all steps together have a finite length. With a gradient of length at most $G$, nothing further away than the sum of all steps can ever be reached:
#
# $$\sum_{t=0}^{\infty} \eta_0 e^{-kt}\, G = \;?$$
#
# It is a geometric series: each term is the last one times $e^{-k}$.
#
# **Exercise 2.4 (2 points).** Return the closed form, with one step for each $t = 0, 1, 2, \dots$

# %% nbgrader={"grade": false, "grade_id": "reachable_distance-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def reachable_distance(lr0, k, grad_norm):
    """How far gradient descent gets at most under exponential decay, one step per t = 0, 1, 2, …

    lr0: the first rate.   k: the decay constant per step, > 0.
    grad_norm: the longest gradient on the way.
    Returns a float.
    """
    ### BEGIN SOLUTION
    return lr0 * grad_norm / (1 - math.exp(-k))
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>1 + q + q² + … = 1/(1 − q) for |q| &lt; 1.</details>
# <details><summary>Hint 2</summary>What is q here, the ratio of two neighbouring rates?</details>
# <details><summary>Hint 3</summary>q is e to the power −k. The first term of the sum is the first rate times the gradient.</details>

# %% nbgrader={"grade": true, "grade_id": "reachable_distance", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(reachable_distance)

# %% [markdown]
# A valley with straight walls, $L(w) = |w|$: the gradient has length 1 everywhere. We start at 10 with $\eta_0 = 0.5$ and noise of variance 1.
#
# **Predict.** $\eta_0/(1-e^{-k})$ is 50 for $k = 0.01$ and 5 for $k = 0.1$. Where does each run end? And one with $\eta_0/(1+0.1t)$?

# %% tags=["demo"]
if passed("exponential_decay", "reachable_distance"):
    schedules = {
        "constant": lambda t: 0.5,
        "k = 0.01": lambda t: exponential_decay(0.5, 0.01, t),
        "k = 0.1": lambda t: exponential_decay(0.5, 0.1, t),
        "1/(1 + 0.1 t)": lambda t: 0.5 / (1 + 0.1 * t),
    }
    distance = {}
    for name, rate in schedules.items():
        random, w, path = generator(0), torch.full((200,), 10.0, dtype=torch.float64), []
        for t in range(2000):
            path.append(w.abs().mean().item())
            w = w - rate(t) * (w.sign() + torch.randn(200, generator=random, dtype=w.dtype))
        distance[name] = path
        print(f"{name:14} mean distance after 2000 steps: {path[-1]:.3f}")
    print(f"k = 0.1 can walk {reachable_distance(0.5, 0.1, 1.0):.2f} of the 10 without noise")
    figures.curve(range(1, 2001), distance, x="step", y="mean |w| of 200 runs", log="xy",
                  alt="Distance to the minimum on logarithmic axes. "
                  "The constant rate stays at 0.5; k = 0.01 arrives and settles; "
                  "k = 0.1 stalls at 5; 1/(1 + 0.1t) goes on falling.")
    plt.show()

# %% [markdown]
# **Read the figure.** (Mean of 200 runs.) The constant rate arrives and jitters. $k = 0.1$ stands still half-way, for ever: its steps were used up. $k = 0.01$ had enough, and comes to rest. Inverse time neither stalls nor settles too early: its rates sum to infinity, while their squares do not. These are the conditions of [Robbins & Monro 1951](https://doi.org/10.1214/aoms/1177729586),
#
# $$\sum_t \eta_t = \infty, \qquad \sum_t \eta_t^2 < \infty,$$
#
# enough to get there from anywhere, and to quiet down. No exponential decay meets the first one. In practice runs are finite, and it is fine, if $k$ is not too large.

# %% [markdown]
# ## 2.4  The recipe: first without decay, then fit it
#
# The notes' recipe: train *without* decay until the loss stops falling. Then choose the decay after what you saw, and judge it on validation data. Let us follow it where there is a noise floor: digits with 30 % wrong labels, softmax regression with a penalty. The loss is convex, its minimum is known exactly, and no model fits the wrong labels, so the gradients stay noisy.

# %% tags=["demo"]
noisy, l2 = noisy_digits(device, validation=237), 0.01
lowest = ridge_softmax_minimum(noisy, l2)
task = dict(data=noisy, hidden=0, l2=l2, epochs=30, batch_size=16, seeds=range(10))
runs = sweep("sgd", lrs=[0.03, 0.1, 0.3], **task)
fig, ax = plt.subplots()
for lr, losses in zip(runs.lrs.tolist(), runs.train_loss):
    excess = losses - lowest
    figures.band(range(31), excess, label=f"η = {lr}", ax=ax)
    print(f"η = {lr:4}:  excess loss in the last ten epochs {excess[:, -10:].mean():.3f}")
ax.set(xlabel="epoch", ylabel="training loss − its minimum", yscale="log")
figures.label_lines(ax)
figures.describe(fig, "Excess training loss over 30 epochs for three constant rates, "
                 "mean and range of ten seeds. "
                 "The largest rate falls fastest and levels off highest, near 0.04.")
plt.show()

# %% [markdown]
# **Read the figure.** (Mean and range of ten seeds.) The picture of 2.1, now with a real task. With $\eta = 0.3$ nothing is gained after about five epochs. So: keep 0.3 as the first rate, and spend the rest of the 30 epochs on coming down.
#
# **Predict.** Which $k$ will be best: 0, 0.03, 0.12, 0.5 or 1? Think of the half-life.

# %% tags=["demo"]
if passed("exponential_decay"):
    ks = [0, 0.03, 0.12, 0.5, 1.0]  # all at once: the same rate five times, each with its own decay
    runs = sweep("sgd", lrs=[0.3] * 5, **task,
                 schedule=lambda t: [exponential_decay(1.0, k, t) for k in ks])
    print("  k     excess training loss      validation loss   test accuracy")
    for i, k in enumerate(ks):
        excess = runs.train_loss[i, :, -1] - lowest
        print(f"{k:4}   {excess.mean():.5f} ± {excess.std():.5f}     "
              f"{runs.val_loss[i, :, -1].mean():.4f}            "
              f"{runs.test_accuracy[i, :, -1].mean():.1%}")

# %% [markdown]
# Without decay the excess is a hundred times that of the best $k$. Too small a $k$ leaves noise, too large a one stalls: at $k = 1$ the run ends almost as far away as without decay, for the opposite reason. The validation loss picks the same region, and it is what you would go by, since in real life nobody tells you the minimum.
#
# Your `decay_constant` turns the recipe into a number: the floor should fall by a factor of 30 in 30 epochs.

# %% tags=["demo"]
if passed("exponential_decay", "decay_constant"):
    k = decay_constant(0.3, 0.01, 30)
    runs = sweep("sgd", lrs=[0.3], schedule=lambda t: exponential_decay(1.0, k, t), **task)
    excess = runs.train_loss[0, :, -1] - lowest
    print(f"k = {k:.3f}:  excess {excess.mean():.5f}, "
          f"validation loss {runs.val_loss[0, :, -1].mean():.4f}")

# %% [markdown]
# > Lecture notes ▸ corrected: the notes say that overfitting first "proves the features can model the data". It shows that the network has the capacity and that the optimizer works. About new data it says nothing; the validation data do.
#
# **Where there is no floor.** Now the clean digits and the small network. It can fit every example, so the noise fades by itself (notebook 1).
#
# **Predict.** Which $k$ has the lowest training loss after 30 epochs? And the lowest validation loss?

# %% tags=["demo"]
if passed("exponential_decay"):
    clean = digits(device, validation=237)
    ks = [0, 0.03, 0.12, 0.5]
    runs = sweep("sgd", lrs=[0.3] * 4, seeds=range(5), data=clean, epochs=30, batch_size=16,
                 schedule=lambda t: [exponential_decay(1.0, k, t) for k in ks])
    print("  k     training loss        validation loss   its lowest on the way   test accuracy")
    for i, k in enumerate(ks):
        end, accuracy = runs.train_loss[i, :, -1], runs.test_accuracy[i, :, -1]
        val = runs.val_loss[i].mean(dim=0)
        print(f"{k:4}   {end.mean():.4f} ± {end.std():.4f}      {val[-1]:.3f}             "
              f"{val.min():.3f} (epoch {val.argmin():2})        "
              f"{accuracy.mean():.1%} ± {accuracy.std():.1%}")

# %% [markdown]
# The constant rate has the lowest training loss: any decay only slows the run down. On validation data a moderate decay *ends* lowest, at 0.140. But the constant rate had been at 0.141, in epoch 13, and then went up: it fits ever more tightly and gets too sure of its errors. Here decay works like stopping early. The accuracies are within their scatter, except for $k = 0.5$, which stalls. Whoever shows decay on a problem like this shows something else than the noise floor.

# %% [markdown]
# ## 2.5  Instead of a smaller rate, a larger batch
#
# The floor goes with $\eta/B$. So instead of dividing $\eta$ by five, multiply $B$ by five ([Smith et al. 2018](https://arxiv.org/abs/1711.00489)). The number of epochs stays, the number of updates shrinks.
#
# **Exercise 2.5 (2 points).** A schedule of rates is given, `lrs`. Return the batch sizes that keep the same $\eta/B$ while the rate stays at `lr0`: rounded to whole numbers, at most `max_batch`, never below `batch0`.

# %% nbgrader={"grade": false, "grade_id": "growing_batch-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def growing_batch(lr0, batch0, lrs, max_batch):
    """The batch sizes that replace a schedule of learning rates.

    lr0: the rate that is kept.   batch0: the batch size that belongs to it.
    lrs: the schedule, a list of rates.   max_batch: the largest batch size allowed.
    Returns a list of int, one for each rate.
    """
    ### BEGIN SOLUTION
    return [min(max_batch, max(batch0, round(batch0 * lr0 / lr))) for lr in lrs]
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>The schedule would have η/B = lr/batch0. You have lr0/B. Set them equal.</details>
# <details><summary>Hint 2</summary>B = batch0 · lr0 / lr, for each rate on its own: always from batch0, not from the last size.</details>
# <details><summary>Hint 3</summary><code>round(…)</code>, then <code>max(batch0, …)</code>, then <code>min(max_batch, …)</code>.</details>

# %% nbgrader={"grade": true, "grade_id": "growing_batch", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(growing_batch)

# %% [markdown]
# **Predict.** On the noisy task the rate is divided by five after 10 and after 20 epochs, or the batch multiplied by five. Which excess loss is lower, and how many updates does each take?

# %% tags=["demo"]
if passed("growing_batch"):
    factors = [5.0 ** -(epoch // 10) for epoch in range(30)]
    sizes = growing_batch(0.3, 16, [0.3 * f for f in factors], noisy.n)
    plans = {
        "constant": {},
        "rate ÷ 5": {"schedule": lambda epoch: factors[epoch]},
        "batch × 5": {"batch_size": sizes},
    }
    fig, ax = plt.subplots()
    for name, plan in plans.items():
        runs = sweep("sgd", lrs=[0.3], **(task | plan))
        excess = runs.train_loss[0] - lowest
        figures.band(range(31), excess, label=name, ax=ax)
        print(f"{name:10} excess {excess[:, -1].mean():.4f},  test accuracy "
              f"{runs.test_accuracy[0, :, -1].mean():.1%},  {runs.loss.shape[-1]} updates,  "
              f"largest batch {max(plan.get('batch_size', [16]))}")
    ax.set(xlabel="epoch", ylabel="training loss − its minimum", yscale="log")
    figures.label_lines(ax)
    figures.describe(fig, "Excess training loss over 30 epochs, mean and range of ten seeds. "
                     "Dividing the rate and multiplying the batch fall together in two stairs; "
                     "constant stays above.")
    plt.show()

# %% [markdown]
# **Read the figure.** (Mean and range of ten seeds.) Two stairs, alike: 0.0002 at the end for both, against 0.04. The larger batch needs less than half the updates, which is faster where many examples are computed at once. It needs memory for 400 examples instead of 16, or gradient accumulation, which gives the memory back and costs the time.
#
# > Lecture notes ▸ corrected: the notes speak of "identical accuracy". Smith et al. report *equivalent* test accuracies after equally many epochs, with fewer updates (above: 92.3 and 92.2 %). It needs $B \ll N$; 400 of our 1,200 are at the edge.

# %% [markdown]
# ## 2.6  A claim with two causes
#
# A widely taken course trains the same network with SGD at a small rate (poor), with Adam at that rate (good), and then with SGD *and decay* (nearly as good as Adam). It concludes that decay closes the gap. But the run with decay also starts from a rate that is 140 times larger (here 100 times).
#
# Here is what was shown, on our digits:

# %% tags=["demo"]
small, large, epochs = 0.003, 0.3, 20
decay = {"no decay": None, "decay": lambda epoch: 1 / (1 + epoch // 4)}


def accuracy(rule, lr, kind):
    """Test accuracy in per cent after 20 epochs: mean and standard deviation of five seeds."""
    runs = sweep(rule, lrs=[lr], seeds=range(5), data=data, epochs=epochs, schedule=decay[kind])
    final = runs.test_accuracy[0, :, -1] * 100
    return f"{final.mean():.1f} ± {final.std():.1f}"


data = digits(device)
print("Adam,  small rate, no decay:  ", accuracy("adam", small, "no decay"))
print("SGD,   small rate, no decay:  ", accuracy("sgd", small, "no decay"))
print("SGD,   large rate, decay:     ", accuracy("sgd", large, "decay"))

# %% [markdown]
# **Predict.** Between the two SGD runs two things changed. Which two runs are missing? What would they show if decay were the cause, and what if the rate were?
#
# Run them:

# %% tags=["demo"]
print("SGD accuracy in %        no decay        decay")
for name, lr in {"small rate": small, "large rate": large}.items():
    print(f"{name} ({lr:5})   ", "    ".join(f"{accuracy('sgd', lr, kind):>12}" for kind in decay))

# %% [markdown]
# Read the table along both directions. Downwards, from the small to the large rate, accuracy gains more than 60 percentage points in both columns. Sideways, from no decay to decay, it gains nothing: it loses about 15 points in the first row and is the same within the scatter in the second. The whole gain was the larger rate. Whoever changes two things at once can explain nothing; a 2 × 2 table costs two more runs.

# %% [markdown]
# ## What to remember
#
# - Two kinds of swinging: $\eta h > 1$ (curvature) and the noise floor, $V = \frac{\eta\sigma^2}{h(2-\eta h)}$. Decay cures the second.
# - $k = \ln(\eta_0/\eta_{\text{end}})/\text{epochs}$. Too large a $k$ stalls: the reach is $\eta_0 G/(1-e^{-k})$.
# - First train without decay, then fit $k$, and judge on validation data. Where every example is fitted, decay does not lower the training loss; it may act like early stopping.
# - Multiplying $B$ does what dividing $\eta$ does, with fewer updates and more memory.
# - Two changes need four runs.

# %% tags=["demo"]
scoreboard("02")

# %% [markdown]
# **References**
#
# - H. Robbins, S. Monro, [A stochastic approximation method](https://doi.org/10.1214/aoms/1177729586), Annals of Mathematical Statistics 22, 1951.
# - L. Bottou, F. E. Curtis, J. Nocedal, [Optimization methods for large-scale machine learning](https://arxiv.org/abs/1606.04838), SIAM Review 2018.
# - S. L. Smith, P.-J. Kindermans, C. Ying, Q. V. Le, [Don't decay the learning rate, increase the batch size](https://arxiv.org/abs/1711.00489), ICLR 2018.
#
# **Next:** [3 Schedulers](03_schedulers.ipynb)
