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
# Each step of training sees a handful of examples and takes their gradient for the truth. You will measure how wrong it is, predict it with a formula, and learn what the noise costs and what it buys.
#
# **75 minutes · 11 points.** Afterwards you can
#
# - write the loop that every training run is built on, and say why its gradient is right on average;
# - predict the gradient noise of a batch, and how large a batch is worth its price;
# - tell noise in the *measurement* of a loss from noise in the *weights*.

# %%
import math
import time

import matplotlib.pyplot as plt
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from lecture_utils import figures
from lecture_utils.checks import check, passed, scoreboard
from lecture_utils.data import digits
from lecture_utils.devices import generator, pick_device
from lecture_utils.landscapes import SADDLE, TWO_WELLS
from lecture_utils.stacked import sweep
from lecture_utils.training import mlp, train

figures.setup()
device = pick_device()
data = digits(device)

# %% [markdown]
# ## 1.1  A minibatch is a sample of a sample
#
# We would like a small loss on *all* digits that people will ever write, the population. We have a sample of it: a training set of $N = 1437$ pictures. And in each step we look at a sample of that sample, a **minibatch** of $B$ pictures (`batch_size`). Output, loss and gradient are computed for the minibatch alone:
#
# $$\hat g_B = \frac1B \sum_{i \in \text{batch}} \nabla L_i(w), \qquad g = \frac1N \sum_{i=1}^{N} \nabla L_i(w)$$
#
# $L_i$ is the loss of example $i$, $g$ the **full gradient**. One pass over all examples is an **epoch**: shuffle, cut into pieces of $B$, and the last piece may be shorter.

# %% [markdown]
# **Exercise 1.1 (3 points).** Write what `DataLoader(shuffle=True)` does inside: give the index batches of one epoch. You may return a list of tensors, or `yield` one after the other.

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
# <details><summary>Hint 3</summary>A tensor's <code>split(size)</code> cuts it into pieces of that size and keeps the shorter rest.</details>

# %% nbgrader={"grade": true, "grade_id": "minibatches", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(minibatches)

# %% [markdown]
# To study gradients we need them one by one, for each of the 1,437 examples: `vmap` turns the gradient of one example into the gradients of all.

# %% tags=["demo"]
def per_example_gradients(model, data):
    """The gradient of each training example with respect to all weights, (N, weights)."""
    params = {name: p.detach() for name, p in model.named_parameters()}

    def loss(params, x, y):
        return F.cross_entropy(functional_call(model, params, (x[None],)), y[None])

    grads = vmap(grad(loss), in_dims=(None, 0, 0))(params, data.x, data.y)
    return torch.cat([g.flatten(1) for g in grads.values()], dim=1)


model = mlp(seed=0, device=device)
grads = per_example_gradients(model, data)
full = grads.mean(dim=0)
print(f"{grads.shape[0]} gradients of {grads.shape[1]} weights each")

# %% [markdown]
# **Predict.** Take batches of a single example, $B = 1$. Is one such gradient close to the full one? And the average of the gradients of all batches of an epoch?

# %% tags=["demo"]
if passed("minibatches"):
    for batch_size in (1, 3, 479):  # sizes that divide 1437
        batches = minibatches(data.n, batch_size, generator(0))
        steps = torch.stack([grads[batch].mean(dim=0) for batch in batches])
        one = (steps[0] - full).norm() / full.norm()
        mean = (steps.mean(dim=0) - full).norm() / full.norm()
        print(f"B = {batch_size:3}:  one batch is off by {one:5.0%} of ‖g‖,   "
              f"the mean of the epoch's batches by less than 0.001 %: {mean < 1e-5}")

# %% [markdown]
# A single example points almost anywhere: its error is many times longer than the gradient itself. Yet on average it is exactly right. That holds for every batch size: the minibatch gradient is **unbiased**. What the size changes is the scatter.

# %% [markdown]
# ## 1.2  The noise is tr Σ/B, and a little less
#
# How far is $\hat g_B$ from $g$, on average? Let $\Sigma$ be the covariance matrix of the single gradients; its trace is their mean squared distance to $g$. Drawing $B$ of $N$ examples *without* replacement gives
#
# $$\mathbb E\,\lVert \hat g_B - g\rVert^2 = \frac{\operatorname{tr}\Sigma}{B}\cdot\frac{N-B}{N-1}, \qquad \operatorname{tr}\Sigma = \frac1N\sum_i \lVert \nabla L_i - g\rVert^2 .$$
#
# The first factor is that of any mean of $B$ numbers. The second, the finite-population factor, says that a batch of all $N$ has no noise at all ([Cochran 1977](https://archive.org/details/samplingtechniqu0000coch_t4x6), chapter 2).

# %% [markdown]
# **Exercise 1.2 (3 points).** Compute it from the gradients of all examples.

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
# <details><summary>Hint 1</summary>First the full gradient: the mean over the examples, which are the rows.</details>
# <details><summary>Hint 2</summary>The trace: subtract it from every row, square, sum over everything, divide by N.</details>
# <details><summary>Hint 3</summary>Then one over B, and the factor that is 1 for B = 1 and 0 for B = N.</details>

# %% nbgrader={"grade": true, "grade_id": "gradient_noise", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(gradient_noise)

# %% [markdown]
# **Predict.** A batch sixteen times larger: how many times smaller is $\lVert\hat g - g\rVert^2$? And the distance $\lVert\hat g - g\rVert$ itself?

# %% tags=["demo"]
if passed("minibatches", "gradient_noise"):
    sizes, random = [1, 4, 16, 64, 256, 1024, 1400], generator(1)
    measured = []
    for batch_size in sizes:
        draws = torch.zeros(100, data.n, device=device)  # each row picks one batch
        for row in draws:
            row[next(iter(minibatches(data.n, batch_size, random)))] = 1 / batch_size
        measured.append((draws @ grads - full).square().sum(dim=1))
    predicted = [gradient_noise(grads, batch_size) for batch_size in sizes]
    for batch_size, m, p in zip(sizes, measured, predicted):
        print(f"B = {batch_size:4}:  measured {m.mean():.2g}   predicted {p:.2g}")

# %% tags=["demo"]
if passed("minibatches", "gradient_noise"):
    fig, ax = plt.subplots()
    figures.band(sizes, torch.stack(measured, dim=1), label="measured", ax=ax)
    figures.theory(sizes, predicted, ax=ax, label="predicted")
    ax.plot(sizes, [predicted[0] / batch_size for batch_size in sizes], ":", color="0.5")
    ax.annotate("tr Σ/B, with replacement", (330, 0.03), color="0.4")
    ax.set(xlabel="batch size B", ylabel="‖ĝ − g‖²", xscale="log", yscale="log")
    figures.describe(fig, "Squared error of the minibatch gradient against the batch size, 100 "
                     "draws each. The mean lies on the predicted line over five orders of "
                     "magnitude; near B = N the line drops below 1/B.")
    plt.show()

# %% [markdown]
# **Read the figure.** (Mean and range of 100 draws; the line is your function, nothing is fitted.) Sixteen times larger: sixteen times less squared error, but only four times less error. The last drop, close to $B = N$, is the finite-population factor.
#
# So accuracy is bought at a falling price: 100 times the work for a tenth of the error. A small batch is noisy, but it is cheap.
#
# **Predict.** Five batch sizes, each with a sensible rate, get 0.15 seconds each. Which has the lowest training loss then?

# %% tags=["demo"]
def timed_step(net, optimizer, batch):
    """Take one training step; the seconds that it took."""
    start = time.perf_counter()
    loss = F.cross_entropy(net(data.x[batch]), data.y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    loss.item()  # waits until a GPU has finished
    return time.perf_counter() - start

# %% tags=["demo"]
def loss_against_time(batch_size, lr, limit=0.15):
    """Seconds spent on training, measuring left out, and the loss of all examples then."""
    net, random = mlp(seed=0, device=device), generator(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    spent, seconds, losses = 0.0, [0.0], [math.log(10)]
    while spent < limit:
        for batch in torch.randperm(data.n, generator=random).to(device).split(batch_size):
            spent += timed_step(net, optimizer, batch)
            if spent > min(limit, seconds[-1] + 0.01):
                seconds.append(spent)
                with torch.no_grad():
                    losses.append(F.cross_entropy(net(data.x), data.y).item())
            if spent > limit:
                break
    return seconds, losses

# %% tags=["demo", "nbval-ignore-output"]
settings = {1: 0.02, 16: 0.3, 64: 0.5, 256: 1.0, data.n: 1.0}
curves = {f"B = {size}": loss_against_time(size, lr) for size, lr in settings.items()}
fig, ax = plt.subplots()
for label, (seconds, losses) in curves.items():
    figures.curve(seconds, losses, label=label, ax=ax)
ax.set(xlabel="seconds of training", ylabel="training loss", yscale="log", xlim=(0, 0.15))
figures.label_lines(ax)
figures.describe(fig, "Training loss against seconds, one seed per batch size. On a CPU "
                 "batches of 256 and 64 end lowest; one example at a time has hardly begun; "
                 "the whole set starts late.")
plt.show()

# %% [markdown]
# **Read the figure.** (One seed, timed on the machine that built this page: an anecdote. Yours may differ, a GPU will.) A step with one example costs almost as much as one with 64, because most of it is overhead: $B = 1$ has hardly begun. A step with all 1,437 is precise, but there are few of them, so it starts late. In between is best, which is why everybody uses minibatches. (1,437 examples are few. With a million, the first step alone would not fit into this figure.)

# %% [markdown]
# ## 1.3  With small batches most of the wiggle in a loss curve is measurement
#
# The notes' Figure 1 shows the loss of each minibatch during training, for a small and a large batch size. Here it is from real data: 30 epochs, five seeds, each batch size with the best of five rates, chosen on 200 validation pictures.

# %% tags=["demo"]
held_out = digits(device, validation=200)
runs = {}
for batch_size in (16, 64, 512):
    result = sweep("sgd", lrs=[0.02, 0.06, 0.2, 0.7, 2.0], seeds=range(5), data=held_out,
                   epochs=30, batch_size=batch_size)
    best = result.val_loss[:, :, -1].mean(dim=1).nan_to_num(torch.inf).argmin()
    runs[batch_size] = result.loss[best]
    accuracy = result.test_accuracy[best, :, -1] * 100
    print(f"B = {batch_size:3}:  best rate {result.lrs[best]:.2f},  "
          f"{result.loss.shape[-1]:4} updates,  "
          f"test accuracy {accuracy.mean():.1f} ± {accuracy.std():.1f} %")

# %% tags=["demo"]
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True)
epochs = range(1, 31)
for ax, (batch_size, loss) in zip(axes, runs.items()):
    by_epoch = loss.view(5, 30, -1).transpose(1, 2).reshape(-1, 30)  # all batches of all seeds
    low, high = by_epoch.quantile(torch.tensor([0.1, 0.9]), dim=0)
    ax.fill_between(epochs, low, high, color="#0072B2", alpha=0.18, linewidth=0)
    ax.plot(epochs, by_epoch.median(dim=0).values, color="#0072B2")
    ax.set(title=f"B = {batch_size}", xlabel="epoch", yscale="log", ylim=(1e-2, 4))
    print(f"B = {batch_size:3}:  band of the last epoch {low[-1]:.2f} to {high[-1]:.2f}, "
          f"a factor of {high[-1] / low[-1]:.1f}  ({len(by_epoch)} losses)")
axes[0].set_ylabel("loss of the minibatches")
figures.describe(fig, "Minibatch losses over 30 epochs for batch sizes 16, 64 and 512: median "
                 "and middle 80 % of all batches of an epoch in five seeds. The band is widest "
                 "for 16 and narrowest for 512.")
plt.show()

# %% [markdown]
# **Read the figure.** (Line: median; band: the middle 80 % of an epoch's minibatches in five seeds.) Small batches give a wide band, as the notes say: a factor of 6.6 for 16, of 1.3 for 512. The accuracies are close: 96.1, 95.8 and 94.8 %, the last after only 90 updates. The obvious reading, "small batches make the weights jump about", is wrong, though. Let us see.
#
# > Lecture notes ▸ corrected: the notes conclude from this figure that small batches make the loss oscillate. For a small batch most of what oscillates is the ruler: each point is measured on other examples (shown below).

# %% [markdown]
# A minibatch loss is a measurement of the training loss with $B$ examples. Even at weights that do not move it would jump from batch to batch. So measure both along one run, at the rates of the figure: the loss of each minibatch, and the true loss of all 1,437 examples at the same weights.
#
# **Predict.** After five epochs of training, with $B = 16$: how much does the true loss change from one step to the next, compared with how far the minibatch loss is off? And with $B = 512$ at its larger rate?

# %% tags=["demo"]
def two_losses(batch_size, lr, seed, steps=60):
    """The loss of each minibatch, and of all examples at the same weights, after five epochs."""
    net = mlp(seed=seed, device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    train(net, optimizer, data, epochs=5, seed=seed)  # B = 64: the same start for both sizes
    optimizer.param_groups[0]["lr"] = lr
    random, mini, true = generator(100 + seed), [], []
    for _ in range(steps):
        batch = torch.randperm(data.n, generator=random)[:batch_size].to(device)
        loss = F.cross_entropy(net(data.x[batch]), data.y[batch])
        with torch.no_grad():
            true.append(F.cross_entropy(net(data.x), data.y).item())
        mini.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.tensor(mini), torch.tensor(true)

# %% tags=["demo"]
walks = {size: [two_losses(size, lr, seed) for seed in range(5)]
         for size, lr in [(16, 0.06), (512, 0.7)]}
for batch_size, runs_of_size in walks.items():
    ratios = [((mini - true).abs().mean() / true.diff().abs().mean()).item()
              for mini, true in runs_of_size]
    print(f"B = {batch_size:3}:  error of the measurement / step of the true loss = "
          f"{sum(ratios) / 5:.2g}   (five seeds: {min(ratios):.2g} to {max(ratios):.2g})")
    true = runs_of_size[0][1]
    print("          true loss of the first seed: "
          f"from {true[0]:.2f} to {true[-1]:.2f} in 60 steps")
mini, true = walks[16][0]
ax = figures.curve(range(60), mini, x="step", y="loss", label="minibatch of 16",
                   alt="Sixty steps with B = 16. The minibatch loss jumps between 0.5 and 1.2; "
                   "the loss of all examples at the same weights falls calmly from 1.0 to 0.7.")
figures.curve(range(60), true, ax=ax, label="all examples")
plt.show()

# %% [markdown]
# **Read the figure.** With 16 the weights walk calmly and the ruler shakes: the measurement is off by 17 times as much as the true loss moves in a step. With 512 at $\eta = 0.7$ it is the other way round, 0.6: the ruler is good, and each of the few steps is a long one, most of them downhill. The ratio depends on $\eta$, too: half the rate, half the step. If you want to see how training goes, average over many batches, or evaluate on a fixed set.

# %% [markdown]
# ## 1.4  Noise can carry a run over a barrier, and η/B decides
#
# This is the hope that the notes express: noise helps to escape from a poor local minimum. Here are two wells with a barrier between them. We start 200 runs in the shallow one, at $x = 0.96$, and add to each gradient the noise of a minibatch, with variance $16/B$.
#
# **Predict.** A run with $\eta = 0.05$ and $B = 2$ leaves the shallow well with a certain probability. Name another pair $(\eta, B)$ with about the same one.

# %% tags=["demo"]
left, now, batch_sizes = {}, {}, [1, 2, 3, 4, 6, 8, 64]
for lr in (0.025, 0.05, 0.1):
    random, w = generator(0), torch.tensor([0.96, 0.0], dtype=torch.float64).repeat(7, 200, 1)
    escaped = torch.zeros(7, 200, dtype=torch.bool)
    scale = (16 / torch.tensor(batch_sizes, dtype=w.dtype)).sqrt().view(7, 1, 1)
    for step in range(round(50 / lr)):  # the same distance for each rate: η · steps = 50
        noise = scale * torch.randn(200, 2, generator=random, dtype=w.dtype)  # one draw for all B
        w = w - lr * (TWO_WELLS.grad(w) + noise)
        escaped |= w[..., 0] < 0
    for k, batch_size in enumerate(batch_sizes):
        left[lr, batch_size] = escaped[k].double().mean().item()
        now[lr, batch_size] = (w[k, :, 0] < 0).double().mean().item()
for pair in [(0.025, 1), (0.05, 2), (0.1, 4), (0.05, 4), (0.1, 8), (0.1, 64)]:
    print(f"η = {pair[0]:5},  B = {pair[1]:2},  η/B = {pair[0] / pair[1]:.4f}:  "
          f"{left[pair]:4.0%} of the runs have left,  "
          f"{now[pair]:4.0%} are on the other side at the end")

# %% tags=["demo"]
fig, ax = plt.subplots()
for lr in (0.025, 0.05, 0.1):
    points = sorted((lr / b, share) for (rate, b), share in left.items() if rate == lr)
    figures.curve(*zip(*points), label=f"η = {lr}", ax=ax)
ax.set(xlabel="η/B", ylabel="share of 200 runs that left", xscale="log")
figures.label_lines(ax)
figures.describe(fig, "Share of runs that left the shallow well against the ratio of rate "
                 "and batch size. Three rates, one curve: almost nobody leaves below 0.01, "
                 "nearly everybody above 0.03.")
plt.show()

# %% [markdown]
# **Read the figure.** Three learning rates, one curve: what counts is $\eta/B$. Below 0.01 almost nobody leaves, above 0.03 nearly everybody does. Halving the batch does the same as doubling the rate, over equally long walks (equal $\eta \cdot$ steps). (200 runs per point: a share is uncertain by up to 7 percentage points.)
#
# But read the last column, too. Who has come over can go back: the same noise. And it does not let anybody settle, which is the subject of notebook 2.

# %% [markdown]
# > Lecture notes ▸ corrected: the notes say that noise helps to escape local minima. There is theory for *saddle points* ([Jin et al. 2017](https://arxiv.org/abs/1703.00887), for added noise) and there are experiments for *sharp* regions ([Keskar et al. 2017](https://arxiv.org/abs/1609.04836)). The noise is not round like the one above, and it fades when the network fits all examples. It also sets a floor below which the loss does not fall.
#
# First the saddle. Plain gradient descent starts exactly on the ridge, $y = 0$, and the noise is a thousand times smaller than above.

# %% tags=["demo"]
for noise in (0.0, 0.004):
    random, w = generator(0), torch.tensor([-1.6, 0.0], dtype=torch.float64).repeat(200, 1)
    for step in range(300):
        draw = torch.randn(w.shape, generator=random, dtype=w.dtype)
        w = w - 0.1 * (SADDLE.grad(w) + noise * draw)
    away = (w[:, 1].abs() > 0.9).double().mean().item()
    print(f"noise {noise}:  after 300 steps "
          f"{away:.0%} of the runs have reached a minimum at y = ±1")

# %% [markdown]
# Without noise: stuck for ever. With a trace of it: everybody leaves. A saddle is no barrier, so any push sideways, along $y$, is enough; one along $x$ is not.
#
# Now the fading. The noise of the real network, tr Σ, while it learns the digits:

# %% tags=["demo"]
net = mlp(seed=0, device=device)
optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
for epochs in (0, 1, 4, 15, 40):
    if epochs:
        history = train(net, optimizer, data, epochs=epochs, seed=epochs)
    g = per_example_gradients(net, data)
    trace = (g - g.mean(dim=0)).square().sum() / data.n
    logits = net(data.x)
    loss = F.cross_entropy(logits, data.y).item()
    right = (logits.argmax(1) == data.y).double().mean()
    print(f"{epochs:3} epochs more:  training loss {loss:.4f},  "
          f"{right:.1%} right,   tr Σ = {trace:.2g}")

# %% [markdown]
# (One network.) First it grows, while the examples begin to disagree. Then it fades: an example that is fitted has a gradient of nearly zero. With 99.7 % fitted the noise is a ninth of its peak, and going. Whoever hopes for noise late in training should know that there is less of it.

# %% [markdown]
# ## 1.5  Which batch size?
#
# The notes give three tips. Each can be tested.
#
# **"32, 64, … 1024: powers of two."** Compare the throughput of powers of two with their neighbours.
#
# > Lecture notes ▸ corrected: the notes say that powers of two "correspond with memory bytes". Processors do work in vectors and tiles of fixed sizes, so that multiples of 8 can be faster, on GPUs above all. But no other size is wrong: measured, the difference is small, and the powers of two are a convention ([Raschka 2022](https://sebastianraschka.com/blog/2022/batch-size-2.html)).

# %% tags=["demo", "nbval-ignore-output"]
wide = mlp(hidden=512, seed=0, device=device)
optimizer = torch.optim.SGD(wide.parameters(), lr=0.01)


def seconds_per_step(batch_size, repeat=7):
    """The median time of one whole training step."""
    batch = torch.arange(batch_size, device=device) % data.n
    return sorted(timed_step(wide, optimizer, batch) for _ in range(repeat))[repeat // 2]

# %% tags=["demo", "nbval-ignore-output"]
sizes = [1, 2, 4, 8, 16, 32, 63, 64, 65, 127, 128, 129, 255, 256, 257, 512, 1000, 1024]
seconds_per_step(64)  # the first steps are slower
speed = {batch_size: batch_size / seconds_per_step(batch_size) for batch_size in sizes}
for power in (64, 128, 256):
    row = [f"{b}: {speed[b] / speed[power]:.2f}" for b in (power - 1, power, power + 1)]
    print("relative throughput of B =", "   ".join(row))
fig, ax = plt.subplots()
figures.curve(sizes, list(speed.values()), label="this device", ax=ax)
ax.set(xlabel="batch size B", ylabel="examples per second", xscale="log", yscale="log")
figures.label_lines(ax)
figures.describe(fig, "Throughput against batch size on this device. It grows almost in proportion "
                 "to the batch size at first, and levels off.")
plt.show()

# %% [markdown]
# **Read the figure.** (Timings of the machine that built this page; run it on yours.) Small batches waste the machine. Beyond some size throughput levels off, and a larger batch only takes longer. Compare the neighbours in each row: what a power of two gains is small, and on a CPU hardly more than the scatter from one run of this cell to the next. On a GPU the plateau comes later and higher.
#
# **"The largest that fits into memory."** What does happen at the limit?

# %% tags=["demo"]
kept = 4 * (data.n_features + 2 * 64 + 2 * 10)  # bytes: input, hidden units and outputs, twice
print(f"{kept} bytes for each example: {8e9 / kept / 1e6:.0f} million of them fit into 8 GB")
for power in (10, 14, 44):
    try:
        x = torch.zeros(2**power, data.n_features, device=device)
        loss = F.cross_entropy(model(x), torch.zeros(2**power, dtype=torch.int64, device=device))
        loss.backward()
        print(f"B = 2^{power}: one step worked")
    except RuntimeError:  # torch.OutOfMemoryError on a GPU is one, too
        print(f"B = 2^{power}: out of memory. Nothing is lost: take a smaller batch")

# %% [markdown]
# Each example keeps its input and its hidden values until the backward pass, so memory grows in proportion to $B$. Running out of it is an exception like any other. Nine million examples are six thousand times our training set. "The largest that fits" is not what limits us. What should?

# %% [markdown]
# **The gradient noise scale.** Compare noise and signal: $\lVert\hat g - g\rVert^2 \approx \operatorname{tr}\Sigma/B$ against $\lVert g\rVert^2$. They are equal at
#
# $$B_{\text{simple}} = \frac{\operatorname{tr}\Sigma}{\lVert g\rVert^2} .$$
#
# Much below it, doubling $B$ makes the step twice as reliable. Much above, the gradient is right already, and the extra examples are wasted ([McCandlish et al. 2018](https://arxiv.org/abs/1812.06162), section 2.2).
#
# **Exercise 1.3 (2 points).** Compute it.

# %% nbgrader={"grade": false, "grade_id": "noise_scale-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def noise_scale(per_example_grads):
    """The simple gradient noise scale, in examples.

    per_example_grads: tensor (N, d), the gradient of each example.
    Returns a float: tr Σ / ‖g‖², with Σ = the mean over the N examples.
    """
    ### BEGIN SOLUTION
    full = per_example_grads.mean(dim=0)
    trace = (per_example_grads - full).square().sum() / len(per_example_grads)
    return (trace / full.square().sum()).item()
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>The trace is the one of exercise 1.2.</details>
# <details><summary>Hint 2</summary>g is the mean of the rows. Its squared length is a sum of squares.</details>
# <details><summary>Hint 3</summary>Noise above the line, signal below.</details>

# %% nbgrader={"grade": true, "grade_id": "noise_scale", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(noise_scale)

# %% [markdown]
# **Predict.** At the start the network knows nothing and all examples agree on what is wrong. Later they quarrel. Does the noise scale grow or shrink during training?

# %% tags=["demo"]
if passed("noise_scale"):
    epochs, scales = [0, 5, 10, 20], []
    for seed in range(5):
        net = mlp(seed=seed, device=device)
        optimizer, row = torch.optim.SGD(net.parameters(), lr=0.1), []
        for before, now_at in zip([0, *epochs], epochs):
            if now_at > before:
                train(net, optimizer, data, epochs=now_at - before, seed=100 * seed + now_at)
            row.append(noise_scale(per_example_gradients(net, data)))
        scales.append(row)
    scales = torch.tensor(scales)
    fig, ax = plt.subplots()
    figures.band(epochs, scales, label="noise scale", ax=ax)
    ax.set(xlabel="epoch", ylabel="tr Σ / ‖g‖²  (examples)", yscale="log",
           ylim=(30, 3000), xticks=epochs)
    figures.describe(fig, "Gradient noise scale over twenty epochs, mean and range of five seeds. "
                     "It rises from about 70 to several hundred examples.")
    plt.show()
    for k in (0, -1):
        column = scales[:, k]
        mean, low, high = (round(float(x), -1) for x in (column.mean(), *column.aminmax()))
        print(f"after {epochs[k]:2} epochs: {mean:.0f} examples "
              f"(five seeds: {low:.0f} to {high:.0f})")

# %% [markdown]
# **Read the figure.** (Mean and range of five seeds, $\eta = 0.1$, $B = 64$.) A batch of 70 is plenty at first; later several hundred are worth their price. The scale depends on the path: another rate gives another curve. Does the number mean anything? Count the updates that each batch size needs to bring the training loss to 0.2, each at its best rate:

# %% tags=["demo"]
def epochs_to(target, losses):
    """When each curve (..., epochs + 1) first falls below the target, in epochs; inf if never."""
    after = (losses < target).int().argmax(dim=-1, keepdim=True)
    high, low = losses.gather(-1, (after - 1).clamp(min=0)).log(), losses.gather(-1, after).log()
    when = after - 1 + (high - math.log(target)) / (high - low)  # on a line between two epochs
    return torch.where(after > 0, when, torch.inf)[..., 0]


sizes, needed = [8, 32, 128, 512, data.n], []
for batch_size in sizes:
    result = sweep("sgd", lrs=[0.25, 0.5, 1.0, 1.5], seeds=range(5), data=data,
                   epochs=4 + batch_size // 25, batch_size=batch_size)
    steps = math.ceil(data.n / batch_size)  # of one epoch
    when = epochs_to(0.2, result.train_loss).mean(dim=1)
    needed.append(when.min().item() * steps)
    print(f"B = {batch_size:4}: about {round(needed[-1], -1):3.0f} updates, "
          f"{needed[-1] * batch_size / 1000:2.0f} thousand examples, "
          f"at the rate {result.lrs[when.argmin()]:.2f}")

# %% tags=["demo"]
fig, ax = plt.subplots()
figures.curve(sizes, needed, label="measured", ax=ax)
figures.theory(sizes, [needed[0] * 8 / b for b in sizes], label="∝ 1/B", ax=ax)
ax.axvspan(70, 420, color="0.9", zorder=0)
ax.annotate("noise scale", (105, 300), color="0.4")
ax.set(xlabel="batch size B", ylabel="updates to loss 0.2", xscale="log", yscale="log",
       xticks=[10, 100, 1000])
figures.label_lines(ax)
figures.describe(fig, "Updates needed to reach loss 0.2 against the batch size. "
                 "They fall by nearly three from 8 to 32, then more and more slowly, "
                 "and stay at 50 from 512 on.")
plt.show()

# %% [markdown]
# **Read the figure.** (Best of four rates, none at the end of its range, mean of five seeds; grey: the noise scale from above.) From 8 to 32 a batch four times as large needs nearly three times fewer updates. In the grey range, 70 to 420, the saving dies out: from 128 to 512 four times the batch saves less than a third. Above it nothing is left: 512 and 1,437 need the same 50 updates, the second nearly three times the examples. The noise scale is no sharp border, but it has the right order of magnitude. [Shallue et al. 2019](https://jmlr.org/papers/v20/18-789.html) found the same shape everywhere.

# %% [markdown]
# > Lecture notes ▸ corrected: the notes say to pick the largest batch that GPU memory allows. Beyond the noise scale the extra examples buy little, and the rate has to be tuned anew. Whether small batches end up better as well is disputed ([Masters & Luschi 2018](https://arxiv.org/abs/1804.07612) find it, Shallue et al. do not).

# %% [markdown]
# **"Match the batch size to the number of classes."** The hope: a batch of 10 then looks like the population, one of each digit.
#
# **Predict.** A batch of 10 from ten equally frequent classes: how likely is it that all ten are there?

# %% tags=["demo"]
def all_classes(batch_size, classes=10):
    """The chance that a batch holds every class, all equally frequent (inclusion and exclusion)."""
    missing = range(classes + 1)
    return sum((-1) ** k * math.comb(classes, k) * (1 - k / classes) ** batch_size for k in missing)


random = generator(2)
for batch_size in (10, 32, 64):
    hits = sum(len(data.y[torch.randperm(data.n, generator=random)[:batch_size]].unique()) == 10
               for _ in range(2000))
    print(f"B = {batch_size}:  formula {all_classes(batch_size):7.3%}   "
          f"2000 batches of digits {hits / 2000:6.2%}")

# %% [markdown]
# 0.04 %: practically never. (The digits do slightly better than the formula, because drawing without replacement avoids repeats.) If every batch is to look like the whole set, it must be *made* so: that is **stratified** sampling.
#
# > Lecture notes ▸ corrected: the notes advise to match batch size and number of classes so that batches preserve the distribution. Uniform batches are unbiased at any size, and a batch of 10 has all ten digits once in 2,800 draws. To preserve proportions, stratify ([Cochran 1977](https://archive.org/details/samplingtechniqu0000coch_t4x6), chapter 5).

# %% [markdown]
# **Exercise 1.4 (3 points).** Write it. Each full batch holds each class in proportion: a class with a share of 30 % has 3 of 10 places. Shares are rarely whole numbers, so round: down first, then give the places that are left to the largest remainders. If you compute the shares from the examples that are *still left*, nothing is lost at the end.

# %% nbgrader={"grade": false, "grade_id": "stratified_minibatches-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def stratified_minibatches(labels, batch_size, generator):
    """The index batches of one epoch, each with the classes in proportion.

    labels: int64 tensor (n,), each example's class.   batch_size: the last batch may have fewer.
    generator: the torch.Generator from which all random numbers are drawn.
    Returns an iterable of int64 tensors: every index comes once; in each full batch the number
    of each class is within 1 of its share of all examples.
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
# **Predict.** Batches of 50, stratified or not: how much of the gradient noise is gone, for a network that knows nothing yet? And for a trained one?

# %% tags=["demo"]
if passed("minibatches", "stratified_minibatches"):
    net = mlp(seed=0, device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    for epochs in (0, 1, 9):
        if epochs:
            train(net, optimizer, data, epochs=epochs, seed=epochs)
        g, noise, random = per_example_gradients(net, data), {}, generator(3)
        full = g.mean(dim=0)
        for name in ("uniform", "stratified"):
            errors = []
            for _ in range(3):
                order = (minibatches(data.n, 50, random) if name == "uniform"
                         else stratified_minibatches(data.y.cpu(), 50, random))
                errors += [(g[b].mean(dim=0) - full).square().sum() for b in order if len(b) == 50]
            noise[name] = torch.stack(errors).mean()
        ratio = noise["stratified"] / noise["uniform"]
        print(f"{epochs} epochs more: stratified noise is {ratio:.2f} times the uniform one")

# %% [markdown]
# (One network.) At the start the classes are what the gradients differ in, and stratifying removes four fifths of the noise ([Zhao & Zhang 2014](https://arxiv.org/abs/1405.3080) stratify by other clusters, too). Once the network tells the classes apart, the difference is within the classes, and little is gained. It costs almost nothing; where classes are rare, it makes sure that they are seen at all.

# %% [markdown]
# ## What to remember
#
# - A minibatch gradient is right on average for every $B$; its squared error is $\frac{\operatorname{tr}\Sigma}{B}\cdot\frac{N-B}{N-1}$.
# - With small batches most of the wiggle of a minibatch loss is measurement. Judge on a fixed set.
# - What noise does to the weights goes with $\eta/B$; it fades where everything is fitted.
# - Beyond the noise scale a larger batch buys little. The scale grows during training.
# - To preserve the classes, stratify. Powers of two are a convention.

# %% tags=["demo"]
scoreboard("01")

# %% [markdown]
# **References**
#
# - W. G. Cochran, [Sampling Techniques](https://archive.org/details/samplingtechniqu0000coch_t4x6), third edition, Wiley 1977.
# - N. S. Keskar et al., [On large-batch training for deep learning: generalization gap and sharp minima](https://arxiv.org/abs/1609.04836), ICLR 2017.
# - C. Jin et al., [How to escape saddle points efficiently](https://arxiv.org/abs/1703.00887), ICML 2017.
# - S. McCandlish et al., [An empirical model of large-batch training](https://arxiv.org/abs/1812.06162), 2018.
# - C. J. Shallue et al., [Measuring the effects of data parallelism on neural network training](https://jmlr.org/papers/v20/18-789.html), JMLR 2019.
# - D. Masters, C. Luschi, [Revisiting small batch training for deep neural networks](https://arxiv.org/abs/1804.07612), 2018.
# - P. Zhao, T. Zhang, [Accelerating minibatch stochastic gradient descent using stratified sampling](https://arxiv.org/abs/1405.3080), 2014.
#
# **Next:** [2 Learning-rate decay](02_learning_rate_decay.ipynb)
