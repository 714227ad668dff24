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
# # 1  Minibatch noise
#
# Each step of training looks at a handful of examples and takes their gradient for the truth. You will measure how wrong it is, predict the error, and see what noise costs and what it is good for.
#
# **75 minutes · 14 points.** *Deeper* adds 10 minutes; nothing in it is graded. Afterwards you can
#
# - write a training loop of your own;
# - predict the noise of a minibatch gradient, and judge how large a batch is worth its price;
# - tell errors in the *measurement* of a loss from movements of the *weights*.

# %% [markdown]
# **Where we are.** Gradient descent steps against the gradient of the loss (notebook 0).
#
# **What is missing.** Real training never sees that gradient, only an estimate of it.

# %%
import copy
import math
import time
from itertools import combinations

import torch
from torch.nn import functional as F

from lecture_utils import figures
from lecture_utils.checks import check, passed, scoreboard
from lecture_utils.data import digits
from lecture_utils.devices import generator, pick_device
from lecture_utils.landscapes import SADDLE, TWO_WELLS, kramers_escape
from lecture_utils.stacked import sweep
from lecture_utils.training import mlp, per_example_gradients, train

figures.setup()
device = pick_device()
data = digits(device)

# %% [markdown]
# ## 1.1  A minibatch is a sample of a sample
#
# We would like a small loss on *all* digits that people will ever write: the **population**. What we have is a sample of it, a training set of $N$ pictures.

# %% tags=["demo"]
print(f"N = {data.n} pictures to train on, {len(data.y_test)} to test with, ten classes")
figures.pictures(data.x[:12], data.y[:12].tolist(), figure="twelve_digits")

# %% [markdown]
# Each step looks at a sample of that sample: a **minibatch** of $B$ pictures (`batch_size`). Output, loss and gradient are computed for these alone:
#
# $$\hat g = \frac1B \sum_{i \in \text{batch}} \nabla L_i(w), \qquad g = \frac1N \sum_{i=1}^{N} \nabla L_i(w)$$
#
# $L_i$ is the loss of example $i$, and $g$ is the **full gradient**. Gradient descent with a randomly drawn gradient $\hat g$ is called **stochastic gradient descent**, SGD. So training on minibatches *is* SGD. (`torch.optim.SGD` only takes the step; the randomness is in your batches.)
#
# One pass over all examples is an **epoch**: shuffle, then cut into pieces of $B$. The last piece may be shorter.
#
# **Exercise 1.1 (3 points).** Write what `DataLoader(shuffle=True)` does inside: give the index batches of one epoch. Return a list of tensors, or `yield` one after the other.

# %% nbgrader={"grade": false, "grade_id": "minibatches-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def minibatches(n, batch_size, generator):
    """The index batches of one epoch, in a new random order.

    n: number of examples.   batch_size: how many indices a batch has; the last one may have fewer.
    generator: the torch.Generator from which all random numbers are drawn.
    Returns an iterable of int64 tensors: every index 0 … n-1 comes exactly once.
    """
    ### BEGIN SOLUTION
    return torch.randperm(n, generator=generator).split(batch_size)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Two steps: bring all indices into a random order, then cut.</details>
# <details><summary>Hint 2</summary><code>torch.randperm</code> gives a random order. Like all functions that draw random numbers it takes a <code>generator=</code>.</details>
# <details><summary>Hint 3</summary>A tensor has a method that cuts it into pieces of a given size and keeps the shorter rest: look up <code>torch.Tensor.split</code>.</details>

# %% nbgrader={"grade": true, "grade_id": "minibatches", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(minibatches)

# %% [markdown]
# The next cell makes the network of this course, not trained yet, and a function for the gradient of a batch.

# %%
model = mlp(seed=0, device=device)


def gradient(batch):
    """The gradient of the mean loss of these examples: all 4810 weights in one vector."""
    loss = F.cross_entropy(model(data.x[batch]), data.y[batch])
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, model.parameters())])


full = gradient(torch.arange(data.n))

# %% [markdown]
# **Predict.** With $B = 3$ an epoch has exactly 479 batches. How far is the gradient of one of them from the full one? And the mean of all 479?
#
# **Your turn** (not graded). Let your `minibatches` cut one epoch (`generator(0)` makes the generator). Print $\lVert\hat g - g\rVert / \lVert g\rVert$ twice: with the first batch as $\hat g$, then with the mean over all batches.

# %% nbgrader={"grade": false, "grade_id": "unbiased-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
estimates = torch.stack([gradient(batch) for batch in minibatches(data.n, 3, generator(0))])
print(f"one batch: {(estimates[0] - full).norm() / full.norm():.2f}")
print(f"mean of {len(estimates)}: {(estimates.mean(dim=0) - full).norm() / full.norm():.5f}")
### END SOLUTION

# %% [markdown]
# <details><summary>Hint</summary><code>torch.stack([gradient(batch) for batch in …])</code> gives a table with one row for each batch. Average it over <code>dim=0</code>.</details>
#
# <details><summary><b>Read the numbers</b></summary>
#
# One batch of three is off by 4.94 times the length of the gradient itself: it points almost anywhere. Yet the mean of all batches is the full gradient, up to rounding. That holds for every batch size. What the size changes is the scatter.
#
# (Three divides $N$. A last batch that is shorter would have to count less in such a mean. You will need that in a moment.)
#
# </details>
#
# The minibatch gradient is right on average, whatever $B$ is: it is **unbiased**.

# %% [markdown]
# ## 1.2  A training loop of your own
#
# Every training run in PyTorch is built from these calls, here in alphabetical order.
#
# | call | what it does |
# |:--|:--|
# | `loss.backward()` | computes the gradient and **adds** it to `p.grad` of each weight |
# | `loss.item()` | gives the loss as a Python number, without everything `backward` remembers |
# | `model.train()` | switches layers such as dropout to training; `model.eval()` is for measuring |
# | `optimizer.step()` | moves each weight, using what is in `p.grad` now |
# | `optimizer.zero_grad()` | empties all `p.grad` |
#
# **Exercise 1.2 (3 points).** Write one epoch of training. Which call comes when, and which only once?

# %% nbgrader={"grade": false, "grade_id": "train_epoch-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def train_epoch(model, optimizer, x, y, batch_size, generator):
    """Train for one epoch: one step for each of your minibatches, on their mean cross-entropy.

    x: inputs (n, ...).   y: classes (n,), int64.   batch_size, generator: as for minibatches.
    The model is in training mode. Returns a float: the mean loss per example of this epoch,
    where each example counts with the loss that it had when its batch came.
    """
    ### BEGIN SOLUTION
    model.train()
    total = 0.0
    for batch in minibatches(len(x), batch_size, generator):
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(x)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>For each batch: predict, compute the loss with <code>F.cross_entropy(outputs, y[batch])</code>, get its gradient, take a step. What would the gradient of the second batch be added to?</details>
# <details><summary>Hint 2</summary>The loss of a batch is a mean over its examples. Two batches of 4 and one of 2: how must the three means be weighted to get the mean over all ten examples?</details>
# <details><summary>Hint 3</summary>Before the loop: training mode, and a sum that starts at 0. In the loop: indices, loss, empty the old gradients, <code>backward</code>, <code>step</code>; add the loss times the length of the batch. After it: divide the sum.</details>

# %% nbgrader={"grade": true, "grade_id": "train_epoch", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(train_epoch)

# %% [markdown]
# A new network, its optimizer, and the random numbers for the batches:

# %%
net, random = mlp(seed=0, device=device), generator(0)
optimizer = torch.optim.SGD(net.parameters(), lr=0.3)

# %% [markdown]
# **Your turn** (not graded). Call your function for 10 epochs with batches of 64, and collect what it returns in `losses`. A network that guesses has a loss of $\ln 10 \approx 2.30$.

# %% nbgrader={"grade": false, "grade_id": "first-training-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
losses = []
### BEGIN SOLUTION
for _ in range(10):
    losses.append(train_epoch(net, optimizer, data.x, data.y, 64, random))
### END SOLUTION
figures.curve(range(1, len(losses) + 1), losses, x="epoch", y="mean loss per example",
              figure="first_training_run")
print(f"guessing: {math.log(10):.2f}   first epoch: {losses[0]:.2f}   last: {losses[-1]:.3f}")

# %% tags=["demo"]
if passed("train_epoch"):
    net.eval()
    guesses = net(data.x_test).argmax(dim=1)
    wrong = (guesses != data.y_test).nonzero()[:9, 0]
    print(f"{(guesses == data.y_test).double().mean():.1%} of the test digits are right. Not so:")
    titles = [f"{y}, not {guess}" for y, guess in zip(data.y_test[wrong], guesses[wrong])]
    figures.pictures(data.x_test[wrong], titles, figure="digits_read_wrongly")

# %% [markdown]
# That loop is behind every network of this course. From here on it is called `train`, and for many seeds at once `sweep`.

# %% [markdown]
# ## 1.3  How wrong is one minibatch
#
# The mean squared distance of the single gradients $\nabla L_i$ from $g$ is called $\operatorname{tr}\Sigma$, the trace of their covariance matrix. It is the noise of a batch of one. What is left of it in a batch of $B$?
#
# For the mean of $B$ *independent* numbers statistics has a rule: $\operatorname{tr}\Sigma/B$. But a batch holds no example twice. Do the smallest case by hand: two examples, with gradients 0 and 2. Then $g = 1$ and $\operatorname{tr}\Sigma = 1$. A batch of one is off by 1, as the rule says. A batch of two holds *both*: it is not off at all, and the rule says ½. Now all batches from five examples:

# %% tags=["demo"]
five = torch.tensor([0.0, 1.0, 5.0, 6.0, 8.0])  # the gradients of five examples, for one weight
trace = (five - five.mean()).square().mean()
for size in range(1, 6):
    means = torch.stack([torch.stack(batch).mean() for batch in combinations(five, size)])
    noise = (means - five.mean()).square().mean()
    rule = trace / size
    print(f"B = {size}:  noise {noise:.2f}   rule {rule:.2f}   noise / rule {noise / rule:.2f}")

# %% [markdown]
# **Exercise 1.3 (3 points).** Look at the last column: it falls along a straight line, from 1 at $B = 1$ to 0 at $B = N$. Write that line for any $N$, and you have the noise of any batch.

# %% nbgrader={"grade": false, "grade_id": "gradient_noise-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def gradient_noise(per_example_grads, batch_size):
    """Expected squared distance of a minibatch gradient to the full one, drawn without replacement.

    per_example_grads: tensor (N, d), the gradient of each example.   batch_size: B, 1 <= B <= N.
    Returns a float.
    """
    ### BEGIN SOLUTION
    n = len(per_example_grads)
    deviation = per_example_grads - per_example_grads.mean(dim=0)
    trace = deviation.square().sum() / n
    return (trace / batch_size * (n - batch_size) / (n - 1)).item()
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>The full gradient is the mean of the rows. How far is each row from it, squared and summed over the weights? Then average over the rows.</details>
# <details><summary>Hint 2</summary>For five examples the last column is 4/4, 3/4, 2/4, 1/4, 0/4. Where do numerator and denominator come from?</details>
# <details><summary>Hint 3</summary>Three factors: the trace (with 1/N), one over B, and a fraction with N − B above the line.</details>

# %% nbgrader={"grade": true, "grade_id": "gradient_noise", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(gradient_noise)

# %% [markdown]
# Does it hold for the network? `backward` only gives the gradient of a whole batch. `per_example_gradients` gives those of all examples one by one. (Inside, `torch.func.vmap` turns a function of one example into one of all.)
#
# **Predict.** A batch sixteen times larger: how many times smaller is $\lVert\hat g - g\rVert^2$? And the distance $\lVert\hat g - g\rVert$ itself?

# %% tags=["demo"]
grads = per_example_gradients(model, data.x, data.y)
print(f"{grads.shape[0]} gradients of {grads.shape[1]} weights each")

# %% tags=["demo"]
if passed("minibatches", "gradient_noise"):
    sizes, random = [1, 16, 256, 1024, 1400], generator(1)
    measured = torch.zeros(60, len(sizes))  # 60 batches of each size
    for k, size in enumerate(sizes):
        weights = torch.zeros(60, data.n, device=device)  # of each example in each batch's mean
        for row in weights:
            row[next(iter(minibatches(data.n, size, random)))] = 1 / size
        measured[:, k] = (weights @ grads - full).square().sum(dim=1)
    predicted = [gradient_noise(grads, size) for size in sizes]
    for k, size in enumerate(sizes):
        print(f"B = {size:4}:  measured {measured[:, k].mean():.2g}   predicted {predicted[k]:.2g}")
    rule = [predicted[0] / size for size in sizes]
    figures.band(sizes, measured, x="batch size B", y="‖ĝ − g‖²", log="xy",
                 theory={"your function": predicted, "tr Σ / B": rule}, legend=True,
                 figure="noise_by_size")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Markers: mean of 60 batches; band: their range. Dashed: your function, nothing fitted. Sixteen times larger: sixteen times less squared error, but only four times less error. Close to $B = N$ your line leaves $\operatorname{tr}\Sigma/B$ and drops. Its second factor, $\frac{N-B}{N-1}$, is the finite-population factor ([Cochran 1977](https://archive.org/details/samplingtechniqu0000coch_t4x6), chapter 2).
#
# </details>
#
# Accuracy is expensive: a tenth of the error costs a hundred times the work. That is why nobody waits for the full gradient.
#
# > Lecture notes ▸ corrected: "a noiser gradient due to increased oscillation" is the wrong way round. Few examples make a noisy gradient, and the noise makes the run oscillate.

# %% [markdown]
# ## 1.4  What oscillates in a loss curve
#
# The notes describe a figure: the loss oscillates more with smaller batches, but the accuracy is similar. Here is one from our data. Each batch size takes the best of three rates, chosen on validation data.

# %% tags=["demo"]
held_out = digits(device, validation=200)
axes = figures.panels(1, 2, figure="two_loss_curves", share="y")
for ax, size, lrs in zip(axes, (16, 512), ([0.11, 0.16, 0.24], [0.7, 1.0, 1.4])):
    runs = sweep("sgd", lrs=lrs, seeds=range(5), data=held_out, epochs=20, batch_size=size)
    best = runs.val_loss[:, :, -1].mean(dim=1).argmin()
    loss, accuracy = runs.loss[best], 100 * runs.test_accuracy[best, :, -1]
    figures.curve(torch.linspace(0, 20, loss.shape[1]), loss[0], ax=ax, log="y", x="epoch",
                  y="loss of each minibatch", title=f"B = {size}, η = {lrs[best]}")
    low, high = loss[:, -loss.shape[1] // 20 :].quantile(torch.tensor([0.1, 0.9]))
    print(f"B = {size:3}, η = {lrs[best]:4}, {loss.shape[1]:4} updates:  test accuracy "
          f"{accuracy.mean():.1f} ± {accuracy.std():.1f} %,  losses of the last epoch: middle 80 % "
          f"from {low:.2f} to {high:.2f}")

# %% [markdown]
# (Drawn: one seed. Printed: five.) Small batches give the wider band, as the notes say, and the accuracies are close. But what is it that swings?
#
# A minibatch loss is a *measurement*, made with $B$ examples: even if the weights stood still, it would jump from batch to batch. So we follow two losses along one run, that of the minibatch and the **true loss**, of all examples at the same weights. The panels above differ in $B$ *and* in $\eta$. To see what each does, we try all four combinations.

# %% tags=["demo"]
def two_losses(net, batch_size, lr, seed, steps=24):
    """Train on from net; in each step the loss of the minibatch, and of all examples."""
    net, random, mini, true = copy.deepcopy(net), generator(seed), [], []
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    for _ in range(steps):
        batch = torch.randperm(data.n, generator=random)[:batch_size]
        loss = F.cross_entropy(net(data.x[batch]), data.y[batch])
        with torch.no_grad():
            true.append(F.cross_entropy(net(data.x), data.y).item())
        mini.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.tensor(mini), torch.tensor(true)


started = [mlp(seed=seed, device=device) for seed in range(5)]
for seed, net in enumerate(started):  # the same start for all: five epochs of training
    train(net, torch.optim.SGD(net.parameters(), lr=0.1), data, epochs=5, seed=seed)

# %% [markdown]
# **Predict.** Four runs: $B = 16$ or $512$, with $\eta = 0.06$ or $0.6$. In which is the minibatch loss further from the true loss than the true loss moves in one step? In which does the true loss itself go up and down?

# %% tags=["demo"]
axes = figures.panels(2, 2, figure="measured_and_true_loss", share="xy")
for ax, (lr, size) in zip(axes, [(0.06, 16), (0.06, 512), (0.6, 16), (0.6, 512)]):
    runs = [two_losses(net, size, lr, seed) for seed, net in enumerate(started)]
    error = torch.stack([mini - true for mini, true in runs]).abs().mean()
    moves = torch.stack([true.diff() for _, true in runs])
    figures.curve(range(24), {"minibatch": runs[0][0], "true": runs[0][1]}, ax=ax, log="y",
                  x="step", y="loss", ylim=(0.3, 3), legend=True, title=f"B = {size}, η = {lr}")
    up = (moves > 0).double().mean()
    print(f"η = {lr:4}, B = {size:3}:  measurement off by {error:.3f},  "
          f"true loss moves by {moves.abs().mean():.3f} a step, upwards in {up:.0%} of the steps")

# %% [markdown]
# **Your turn** (not graded). A batch of all `data.n` examples has no noise and measures exactly. Call `two_losses` with it on `started[0]`, with $\eta = 0.6$ and `seed=0`. In what share of the steps does the true loss go up?

# %% nbgrader={"grade": false, "grade_id": "full-batch-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
_, true = two_losses(started[0], data.n, 0.6, seed=0)
print(f"upwards in {(true.diff() > 0).double().mean():.0%} of the steps")
### END SOLUTION

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Drawn: one seed. Printed: five.) At the small rate the true loss falls calmly with either batch. What swings with $B = 16$ is measurement error: 0.098, against a movement of 0.006 in a step. A batch of 512 measures seven to eight times better.
#
# At the large rate the true loss itself swings. It goes up in 36 % of the steps with $B = 16$, in 17 % with $B = 512$, and still in 13 % with all examples (one seed). That rest is not noise. *A step can be too long even when its direction is right.*
#
# </details>

# %% [markdown]
# > Lecture notes ▸ sharpened: small batches do make the plotted loss oscillate more. At a small rate most of the oscillation is measurement error. To see how training goes, average over many batches, or measure on a fixed set.

# %% [markdown]
# ## 1.5  Can noise carry a run over a barrier
#
# Then it could help a run to leave a poor local minimum. Take a landscape with two wells, and start 200 runs in the shallow one on the right, at $x = 0.96$.
#
# Each gradient gets the noise of a minibatch. Suppose that the gradients of single examples scatter with variance 64 in each direction, and that there are very many of them. Then, by section 1.3, the mean of $B$ has the variance $64/B$.

# %%
def noisy_descent(landscape, start, lr, batch_size, steps):
    """The paths (steps + 1, …, 200, 2) of 200 runs with minibatch noise, for each batch size."""
    spread = torch.as_tensor(64 / batch_size, dtype=torch.float64).sqrt()[..., None, None]
    w = torch.tensor(start, dtype=torch.float64).expand(*spread.shape[:-2], 200, 2)
    random, path = generator(0), [w]
    for _ in range(steps):
        noise = spread * torch.randn(200, 2, generator=random, dtype=w.dtype)
        w = w - lr * (landscape.grad(w) + noise)
        path.append(w)
    return torch.stack(path)

# %% [markdown]
# **Predict.** 200 runs take 1000 steps with $\eta = 0.05$ and $B = 256$, another 200 with $B = 8$. Where are they then?

# %% tags=["demo"]
clouds = {f"B = {size}": noisy_descent(TWO_WELLS, (0.96, 0.0), 0.05, size, 1000)
          for size in (8, 256)}
figures.trajectories(TWO_WELLS, {}, points={name: path[-1] for name, path in clouds.items()},
                     figure="two_wells_clouds")
for name, path in clouds.items():
    print(f"{name:7}:  {(path[-1, :, 0] < 0).double().mean():.0%} of the runs are on the left")

# %% [markdown]
# **Predict.** Name another pair $(\eta, B)$ with which about as many runs leave as with $\eta = 0.05$, $B = 8$. All walks are equally long: $\eta \cdot \text{steps} = 50$.

# %%
def shares(lr, batch_size):
    """The share of runs that reach the left well, and the share that is there at the end."""
    x = noisy_descent(TWO_WELLS, (0.96, 0.0), lr, batch_size, round(50 / lr))[..., 0]
    return [share.double().mean(dim=-1).tolist() for share in ((x < -0.5).any(dim=0), x[-1] < 0)]


print("η = 0.05, B = 8:  {:.0%} have left, {:.0%} are there at the end".format(*shares(0.05, 8)))

# %% [markdown]
# **Your turn** (not graded). Print the shares of your pair.

# %% nbgrader={"grade": false, "grade_id": "your-pair-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
print("η = 0.1, B = 16:  {:.0%} have left, {:.0%} are there at the end".format(*shares(0.1, 16)))
### END SOLUTION

# %% [markdown]
# Now many pairs. The dashed line is Kramers' formula of 1940 for a particle that heat shakes out of a well; nothing is fitted.

# %% tags=["demo"]
sizes = torch.tensor([2, 3, 4, 5, 6, 12])  # for η = 0.025; twice and four times that for the others
table = {lr: shares(lr, lr / 0.025 * sizes) for lr in (0.025, 0.05, 0.1)}
ratio = torch.linspace(0.002, 0.0125, 60)
heat = 64 * ratio / 2
figures.curve(0.025 / sizes, {f"η = {lr}": left for lr, (left, _) in table.items()},
              theory={"Kramers": (ratio, kramers_escape(heat, 50))},
              x="η/B", y="share of 200 runs that left", legend=True, figure="escape_by_ratio")
for lr, (left, there) in table.items():
    print(f"η = {lr:5}, B = {2 * lr / 0.025:.0f}:  {left[0]:4.0%} have left, "
          f"{there[0]:.0%} are there at the end")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Three rates, one curve: what counts is $\eta/B$. Each step adds noise of variance $\eta^2 \cdot 64/B$, and a walk of length 50 has $50/\eta$ steps. Together that is $50 \cdot 64 \cdot \eta/B$: half the batch does the same as twice the rate. (With 200 runs a share is uncertain by up to 7 percentage points.)
#
# At the largest $\eta/B$ all runs have left, but only 71 to 82 % are on the other side at the end. A run that crossed can cross back, driven by the same noise.
#
# </details>
#
# What noise does to the weights goes with $\eta/B$. The same noise keeps a run from settling: that is the subject of notebook 2.

# %% [markdown]
# A **saddle point** is different. The gradient is zero there, too, but the way down is open on both sides. These runs start exactly on the ridge, $y = 0$, with hardly any noise or none.

# %% tags=["demo"]
still = noisy_descent(SADDLE, (-1.6, 0.0), 0.1, math.inf, 300)  # an infinite batch: no noise
moved = noisy_descent(SADDLE, (-1.6, 0.0), 0.1, 4_000_000, 300)
figures.trajectories(SADDLE, {"one run, with noise": moved[:, 0], "one run, no noise": still[:, 0]},
                     points={"200 runs after 90 steps": moved[90]}, figure="saddle_with_noise")
for name, path in {"without noise": still, "with noise": moved}.items():
    share = (path[-1, :, 1].abs() > 0.9).double().mean()
    print(f"{name}:  {share:.0%} have reached a minimum after 300 steps")

# %% [markdown]
# A trace of noise is enough: all runs leave. Without it, gradient descent stops on the ridge.
#
# > Lecture notes ▸ caveat: noisier gradients are said to help "to escape local minima". They do where the noise is strong compared with the barrier, and then they leave good minima, too. There is theory on *saddle points* ([Jin et al. 2017](https://arxiv.org/abs/1703.00887), with added noise), and there are experiments on *sharp* minima ([Keskar et al. 2017](https://arxiv.org/abs/1609.04836)). Real noise differs between directions, and fades when all examples are fitted (see *Deeper*).

# %% [markdown]
# ## 1.6  How large should a batch be
#
# The notes give three tips. Here are two of them, tested.
#
# **Powers of two.** Are they faster than their neighbours? The sizes take turns, so that a busy moment hits all of them, and the best time of each counts.

# %% tags=["demo", "nbval-ignore-output"]
def seconds(net, batch_size):
    """The time of one forward and backward pass."""
    batch = torch.arange(batch_size, device=device)
    start = time.perf_counter()
    loss = F.cross_entropy(net(data.x[batch]), data.y[batch])
    loss.backward()
    loss.item()  # waits until a GPU has finished
    return time.perf_counter() - start


wide = mlp(hidden=512, seed=0, device=device)
sizes = torch.tensor([63, 64, 65, 127, 128, 129, 255, 256, 257])
best = torch.full((2, 9), torch.inf)
for turn in range(30):  # two measurements of everything: even turns and odd turns
    times = torch.tensor([seconds(wide, int(size)) for size in sizes])
    best[turn % 2] = best[turn % 2].minimum(times)
speed = (sizes / best).view(2, 3, 3)  # examples per second: (measurement, power, its neighbourhood)
gain = 2 * speed[..., 1] / (speed[..., 0] + speed[..., 2]) - 1
for power, row in zip((64, 128, 256), gain.T):
    print(f"B = {power:3} against its neighbours:  {row[0]:+.1%},  measured again {row[1]:+.1%}")

# %% [markdown]
# These numbers are your machine's own. Is the gain larger than the difference between the two measurements?
#
# > Lecture notes ▸ corrected: sizes from 32 to 1024 do not "correspond with memory bytes". Processors work in vectors and tiles of fixed sizes, so multiples of 8 can be faster, above all on GPUs. But no size is wrong: powers of two are mostly a convention ([Raschka 2022](https://sebastianraschka.com/blog/2022/batch-size-2.html)).
#
# **The largest batch that memory allows.** Each example keeps its input, hidden values and outputs until the backward pass. Where is the limit?

# %% tags=["demo"]
kept = 4 * (data.n_features + 2 * 64 + 2 * 10)  # bytes, also for the values before ReLU and softmax
print(f"{kept} bytes for each example: about {8e9 / kept / 1e6:.0f} million examples fit into 8 GB")

# %% [markdown]
# Nine million, and our whole set has 1437: memory is not what limits us. (Where it does, you get an error, and take a smaller batch.) What should?
#
# Compare noise and signal. For a small batch the noise is $\operatorname{tr}\Sigma/B$; the signal is $\lVert g\rVert^2$. The batch size at which both are equal is called the **gradient noise scale**. Much below it, a batch twice as large makes a step twice as reliable. Much above it, the gradient is nearly exact already ([McCandlish et al. 2018](https://arxiv.org/abs/1812.06162), section 2.2).
#
# **Exercise 1.4 (2 points).** Compute that batch size, which need not be a whole number.

# %% nbgrader={"grade": false, "grade_id": "noise_scale-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def noise_scale(per_example_grads):
    """The simple gradient noise scale, in examples: the B at which noise and signal are equal.

    per_example_grads: tensor (N, d), the gradient of each example; Σ is a mean over all N.
    Returns a float.
    """
    ### BEGIN SOLUTION
    full = per_example_grads.mean(dim=0)
    trace = (per_example_grads - full).square().sum() / len(per_example_grads)
    return (trace / full.square().sum()).item()
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Noise = signal is an equation for B. Solve it on paper.</details>
# <details><summary>Hint 2</summary>The trace is that of exercise 1.3, a mean over the examples. The signal is the squared length of the mean gradient.</details>
# <details><summary>Hint 3</summary>Two sums of squares, each over all weights: one of the deviations, divided by N, and one of the full gradient.</details>

# %% nbgrader={"grade": true, "grade_id": "noise_scale", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(noise_scale)

# %% [markdown]
# **Predict.** At the start the network knows nothing, and all examples agree on what is wrong. Later their gradients disagree. Does the noise scale grow or shrink during training?

# %% tags=["demo"]
if passed("noise_scale"):
    epochs, scales = [0, 5, 15], torch.zeros(3, 3)
    for seed, row in enumerate(scales):
        net = mlp(seed=seed, device=device)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for k, more in enumerate((None, 5, 10)):
            if more:
                train(net, optimizer, data, epochs=more, seed=10 * seed + k)
            row[k] = noise_scale(per_example_gradients(net, data.x, data.y))
    figures.band(epochs, scales, x="epoch", y="noise scale (examples)", log="y", xticks=epochs,
                 figure="noise_scale_by_epoch")
    print("means, rounded to tens:", [round(mean, -1) for mean in scales.mean(dim=0).tolist()])

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Mean and range of three seeds, $\eta = 0.1$, $B = 64$.) It grows, from 70 examples to 430: the signal shrinks faster than the noise. Another rate gives another curve. How many updates a larger batch saves is counted under *Deeper*.
#
# </details>
#
# > Lecture notes ▸ corrected: the advice is to "pick the largest minibatch that is allowed by GPU memory". But beyond the noise scale more examples buy little, and the learning rate has to be tuned anew. Whether small batches also *end up* better is disputed ([Masters & Luschi 2018](https://arxiv.org/abs/1804.07612) find it, [Shallue et al. 2019](https://jmlr.org/papers/v20/18-789.html) do not).

# %% [markdown]
# ## 1.7  Should every batch hold every class
#
# The third tip: match the batch size to the number of classes. The hope is a batch of 10 with one of each digit, as in the population.
#
# **Predict.** A batch of 10 from ten equally frequent classes: how likely is it that all ten are there?

# %% tags=["demo"]
def all_classes(batch_size, classes=10):
    """The chance that a batch holds every class, all equally frequent (inclusion and exclusion)."""
    missing = range(classes + 1)
    return sum((-1) ** k * math.comb(classes, k) * (1 - k / classes) ** batch_size for k in missing)


for batch_size in (10, 32, 64):
    print(f"B = {batch_size}:  {all_classes(batch_size):.2%}")
print(f"with B = 10 once in {1 / all_classes(10):.0f} batches")

# %% [markdown]
# > Lecture notes ▸ corrected: matching batch size and number of classes does not preserve "the distribution of labels". On average a random batch of *any* size has the right shares, and a single batch of 10 almost never holds ten digits. To fix the shares, stratify ([Cochran 1977](https://archive.org/details/samplingtechniqu0000coch_t4x6), chapter 5).
#
# **Exercise 1.5 (3 points).** In **stratified** batches a class with three tenths of all examples gets 3 of 10 places. Shares are rarely whole numbers, so round: down first, then give the places that are left to the largest remainders. If you compute the shares from the examples that are *still left*, nothing is lost at the end.

# %% nbgrader={"grade": false, "grade_id": "stratified_minibatches-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def stratified_minibatches(labels, batch_size, generator):
    """The index batches of one epoch, each with the classes in proportion.

    labels: int64 tensor (n,), each example's class.   batch_size: the last batch may have fewer.
    generator: the torch.Generator from which all random numbers are drawn.
    Returns an iterable of int64 tensors: every index comes once; in each full batch the number
    of each class is within 1 of batch_size × its share of all examples.
    """
    ### BEGIN SOLUTION
    pools = []
    for c in labels.unique():
        members = (labels == c).nonzero()[:, 0]
        pools.append(members[torch.randperm(len(members), generator=generator)])
    left = len(labels)
    while left:
        size = min(batch_size, left)
        share = torch.tensor([size * len(pool) / left for pool in pools])
        counts = share.long()
        largest = (share - counts).argsort(descending=True)
        counts[largest[: size - counts.sum()]] += 1
        yield torch.cat([pool[:k] for pool, k in zip(pools, counts)])
        pools = [pool[k:] for pool, k in zip(pools, counts)]
        left -= size
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>One pool of shuffled indices for each class: <code>(labels == c).nonzero()[:, 0]</code>, then <code>torch.randperm</code>.</details>
# <details><summary>Hint 2</summary>For each batch: share of a class = batch size × what is left of the class / what is left of all. Round down; the missing places go to the classes with the largest remainders (<code>argsort(descending=True)</code>).</details>
# <details><summary>Hint 3</summary><code>while left:</code> take <code>pool[:k]</code> from each pool, <code>yield torch.cat(…)</code>, keep <code>pool[k:]</code>, and count down what is left. The last batch needs <code>min(batch_size, left)</code>.</details>

# %% nbgrader={"grade": true, "grade_id": "stratified_minibatches", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(stratified_minibatches)

# %% [markdown]
# Stratifying takes away the differences *between* classes. What is left is the noise *within* them.
#
# **Predict.** Batches of 50, stratified: what share of the noise is left for a network that knows nothing yet? And for a trained one?

# %% tags=["demo"]
def noise_left(g):
    """Noise of stratified batches of 50 over that of random ones: measured, and predicted."""
    random, labels, full = generator(3), data.y.cpu(), g.mean(dim=0)
    noise = []
    for order in (lambda: stratified_minibatches(labels, 50, random),
                  lambda: minibatches(data.n, 50, random)):
        batches = [b for _ in range(3) for b in order() if len(b) == 50]
        noise.append(sum((g[b].mean(dim=0) - full).square().sum() for b in batches))
    classes = [g[data.y == c] for c in range(10)]
    within = sum((own - own.mean(dim=0)).square().sum() for own in classes)
    return noise[0] / noise[1], within / (g - full).square().sum()


if passed("minibatches", "stratified_minibatches"):
    net = mlp(seed=0, device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    for name, more in {"not trained": 0, "after 1 epoch": 1, "after 10 epochs": 9}.items():
        if more:
            train(net, optimizer, data, epochs=more, seed=more)
        ratio, theory = noise_left(per_example_gradients(net, data.x, data.y))
        print(f"{name:15}:  {ratio:.2f} of the noise is left,  predicted {theory:.2f}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# (One network.) At the start gradients differ mainly between classes, and stratifying removes four fifths of the noise ([Zhao & Zhang 2014](https://arxiv.org/abs/1405.3080) stratify by other groups, too). Once the network tells the classes apart, they differ mainly within them, and little is gained.
#
# </details>
#
# Either way every example comes once in an epoch. Stratifying only spreads a rare class evenly over the batches.

# %% [markdown]
# ## What to remember
#
# - Training on minibatches is stochastic gradient descent. Its gradient is right on average for every $B$.
# - Its squared error is $\frac{\operatorname{tr}\Sigma}{B}\cdot\frac{N-B}{N-1}$: sixteen times the batch, a quarter of the error.
# - A minibatch loss is a noisy measurement. Judge training on a fixed set.
# - What noise does to the weights goes with $\eta/B$. It can carry a run over a barrier, and back.
# - Beyond the noise scale, which grows during training, a larger batch buys little. Powers of two are a convention. To preserve the classes, stratify.

# %% tags=["demo"]
scoreboard("01")

# %% [markdown]
# ## Deeper
#
# Three further experiments: what a batch size means in seconds, what becomes of the noise late in training, and a test of the noise scale. Nothing here is graded.

# %% [markdown]
# ## 1.8  Loss against seconds
#
# *4 minutes.* An epoch takes the same number of multiplications for every $B$. But small batches take many more steps, and each step has a fixed cost. Five batch sizes, each with a sensible rate, get 0.08 seconds of training.
#
# **Predict.** Which has the lowest training loss then?

# %% tags=["demo"]
def loss_against_time(batch_size, lr, limit=0.08):
    """Seconds spent on training, measuring left out, and the loss of all examples then."""
    net, random = mlp(seed=0, device=device), generator(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    spent, clock, losses = 0.0, [0.0], [math.log(10)]
    while spent < limit:
        for batch in torch.randperm(data.n, generator=random).to(device).split(batch_size):
            start = time.perf_counter()
            optimizer.zero_grad()
            loss = F.cross_entropy(net(data.x[batch]), data.y[batch])
            loss.backward()
            optimizer.step()
            loss.item()  # waits until a GPU has finished
            spent += time.perf_counter() - start
            if spent > min(limit, clock[-1] + 0.01):
                clock.append(spent)
                losses.append(F.cross_entropy(net(data.x), data.y).item())
            if spent > limit:
                break
    return clock, losses

# %% tags=["demo", "nbval-ignore-output"]
ax = figures.panels(1, 1, figure="loss_against_seconds", size=(7.2, 3.6))[0]
for size, lr in {1: 0.02, 16: 0.3, 64: 0.5, 256: 1.0, data.n: 1.0}.items():
    clock, losses = loss_against_time(size, lr)
    figures.curve(clock, losses, label=f"B = {size}", ax=ax, x="seconds of training",
                  y="training loss", log="y", xlim=(0, 0.08), legend=True)

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (One seed, timed on your machine: an anecdote. A GPU tells another one.) On a processor a step with one example takes almost as long as one with 64. Most of it is overhead, so $B = 1$ has hardly begun. A step with the whole set is precise, but only a few fit in. In between is best. With a million examples the first full step alone would not fit into this figure.
#
# </details>

# %% [markdown]
# ## 1.9  Where the noise goes
#
# *2 minutes.* What becomes of $\operatorname{tr}\Sigma$ while the network learns the digits?

# %% tags=["demo"]
net = mlp(seed=0, device=device)
optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
for epochs, more in {0: 0, 1: 1, 5: 4, 30: 25}.items():
    if more:
        train(net, optimizer, data, epochs=more, seed=more)
    g, logits = per_example_gradients(net, data.x, data.y), net(data.x)
    trace = (g - g.mean(dim=0)).square().sum() / data.n
    right = (logits.argmax(dim=1) == data.y).double().mean()
    loss = F.cross_entropy(logits, data.y).item()
    print(f"{epochs:2} epochs:  training loss {loss:.4f},  {right:.1%} right,  tr Σ = {trace:.2g}")

# %% [markdown]
# (One network.) First it grows, while the gradients begin to disagree. Then it fades: an example that is fitted has a gradient of nearly zero. If you count on helpful noise late in training, there is less of it.

# %% [markdown]
# ## 1.10  Does the noise scale mean anything
#
# *4 minutes.* Count the updates that each batch size needs to bring the training loss to 0.3, each at its best rate.

# %% tags=["demo"]
def epochs_to(target, losses):
    """When each curve (..., epochs + 1) first falls below the target, in epochs; inf if never."""
    after = (losses < target).int().argmax(dim=-1, keepdim=True)
    high, low = losses.gather(-1, (after - 1).clamp(min=0)).log(), losses.gather(-1, after).log()
    when = after - 1 + (high - math.log(target)) / (high - low)  # on a line between two epochs
    return torch.where(after > 0, when, torch.inf)[..., 0]


# {batch size: (epochs, rates)}
settings = {8: (1, [0.25, 0.35, 0.5]), 32: (2, [0.5, 0.7, 1.0]), 128: (5, [0.7, 1.0, 1.4]),
            512: (14, [0.7, 1.0, 1.4]), data.n: (38, [0.7, 1.0, 1.4])}
needed = {}
for size, (epochs, lrs) in settings.items():
    result = sweep("sgd", lrs=lrs, seeds=range(10), data=data, epochs=epochs, batch_size=size)
    when = epochs_to(0.3, result.train_loss).median(dim=1).values
    needed[size] = when.min().item() * math.ceil(data.n / size)
    print(f"B = {size:4}: {needed[size]:3.0f} updates, {needed[size] * size / 1000:4.1f} thousand "
          f"examples, at the rate {lrs[when.argmin()]} of {lrs}")

# %% tags=["demo"]
ax = figures.curve(list(needed), list(needed.values()),
                   theory={"∝ 1/B": [needed[8] * 8 / size for size in needed]},
                   x="batch size B", y="updates to loss 0.3", log="xy",
                   span=(70, 430, "noise scale"), figure="updates_by_size")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Best of the rates that are printed, none at the end of its range; median of ten seeds. Grey: the noise scale of section 1.6.) At first a larger batch saves updates: 156 with 8 examples, 74 with 32. Then it saves less and less. Beyond the grey range nothing is left: 512 and 1437 examples need the same 37 updates. From the smallest batch to the largest, the updates fall to a quarter, and the examples seen grow from 1.2 to 52.7 thousand.
#
# The noise scale is no sharp border, but it has the right order of magnitude. [Shallue et al. 2019](https://jmlr.org/papers/v20/18-789.html) found curves of this shape for many networks and data sets.
#
# </details>

# %% [markdown]
# **References**
#
# - W. G. Cochran, [Sampling Techniques](https://archive.org/details/samplingtechniqu0000coch_t4x6), third edition, Wiley 1977.
# - H. A. Kramers, [Brownian motion in a field of force and the diffusion model of chemical reactions](https://doi.org/10.1016/S0031-8914(40)90098-2), Physica 7, 1940.
# - N. S. Keskar et al., [On large-batch training for deep learning: generalization gap and sharp minima](https://arxiv.org/abs/1609.04836), ICLR 2017.
# - C. Jin et al., [How to escape saddle points efficiently](https://arxiv.org/abs/1703.00887), ICML 2017.
# - S. McCandlish et al., [An empirical model of large-batch training](https://arxiv.org/abs/1812.06162), 2018.
# - C. J. Shallue et al., [Measuring the effects of data parallelism on neural network training](https://jmlr.org/papers/v20/18-789.html), JMLR 2019.
# - D. Masters, C. Luschi, [Revisiting small batch training for deep neural networks](https://arxiv.org/abs/1804.07612), 2018.
# - P. Zhao, T. Zhang, [Accelerating minibatch stochastic gradient descent using stratified sampling](https://arxiv.org/abs/1405.3080), 2014.
#
# **Next:** [2 Learning-rate decay](02_learning_rate_decay.ipynb)
