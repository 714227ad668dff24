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
# # 7  Optimizers in PyTorch
#
# You have written them all. Now you use the library's, and find out which one is best. The answer depends on how you ask. So you learn to ask fairly, and then you put a famous conjecture about Adam to the test.
#
# **75 minutes · 15 points.** *Deeper* adds 11 minutes; nothing in it is graded. Afterwards you can
#
# - translate the formulas of the lecture into arguments of `torch.optim`, and back;
# - compare optimizers fairly, and see through a comparison that is not fair;
# - start a training run of your own, and know what to check first.

# %% [markdown]
# **Where we are.** You know what each rule does, and that a step can be too long even when its direction is right.
#
# **What is missing.** Which rule, with which numbers, should you take?

# %%
import copy
import math
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from lecture_utils import figures, races
from lecture_utils.checks import ask, check, check_answer, passed, scoreboard
from lecture_utils.data import digits, mnist
from lecture_utils.devices import generator, pick_device
from lecture_utils.landscapes import RAVINE
from lecture_utils.stacked import sweep
from lecture_utils.training import mlp, train

figures.setup()
device = pick_device()
data = digits(device, validation=287)  # 1150 to train on, 287 to choose by, 360 for the final word

# %% [markdown]
# ## 7.1  Training in ten lines
#
# This is all that training takes. Change the line with `torch.optim`, and everything else stays as it is. The lecture notes write `Adam(…, lr=0.0001)` here.
#
# **Predict.** In one epoch of 18 steps with this rate, about how far can a weight move? (Notebook 6: how long is a step of Adam?)

# %% tags=["demo"]
net = mlp(seed=0, device=device)
optimizer = torch.optim.Adam(net.parameters(), lr=0.0001)
before = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
batches = torch.randperm(data.n, generator=generator(0)).split(64)

# %% [markdown]
# **Your turn** (not graded). Write the loop over `batches`, five or six lines, as in `train_epoch` of notebook 1. A batch is a tensor of indices into `data.x` and `data.y`.

# %% nbgrader={"grade": false, "grade_id": "ten_lines-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
for batch in batches:
    logits = net(data.x[batch])
    loss = F.cross_entropy(logits, data.y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
### END SOLUTION

# %% tags=["demo"]
moved = (torch.nn.utils.parameters_to_vector(net.parameters()) - before).abs().max()
print(f"{len(batches)} steps, longest way of a weight: {moved:.4f}")
print(f"weights started between -{64**-0.5} and {64**-0.5}")
runs = sweep("adam", lrs=[0.0001, 0.001, 0.01], seeds=range(10), data=data, epochs=10)
for lr, accuracy in zip(runs.lrs, runs.test_accuracy[:, :, -1]):
    print(f"Adam(lr={lr:g}), ten epochs: test accuracy {accuracy.mean():.0%} "
          f"(ten seeds: {accuracy.min():.0%} to {accuracy.max():.0%})")

# %% [markdown]
# (A way of 0.0000 means that your loop has not run.)
#
# <details><summary><b>Read the numbers</b></summary>
#
# In each weight a step of Adam is about $\eta$ long, so 18 steps go about 0.0018. The weights started between −0.125 and 0.125: they have hardly moved. After ten epochs 0.0001 is still far behind. Here 0.01 is best of the three.
#
# </details>
#
# Every default once suited somebody else's problem.
#
# > Lecture notes ▸ caveat: the notes write Adam once with `lr=0.0001` and once with `lr=0.001`. The second is PyTorch's default and the paper's; neither is right for every problem.

# %% [markdown]
# ## 7.2  Every argument and its formula
#
# | lecture | in which formula | `SGD` | `RMSprop` | `Adam` |
# |:--|:--|:--|:--|:--|
# | $\eta$ | $w \leftarrow w - \eta\,\cdot$ step | `lr=0.001` | `lr=0.01` | `lr=0.001` |
# | $\alpha$ | velocity $\Delta$ | `momentum=0` | `momentum=0` | `betas[0]` = 0.9, an average |
# | $\beta$ | mean square $r$ | – | **`alpha=0.99`** | `betas[1]` = 0.999 |
# | $\varepsilon$ | $\sqrt r + \varepsilon$ | – | `eps=1e-8` | `eps=1e-8` |
# | look-ahead | Nesterov | `nesterov=False` | – | (`NAdam`) |
# | $\tau$ | $(1-\tau)\nabla L$ into the velocity | `dampening=0` | – | – |
# | $\lambda$ | $\lambda w$ added to the gradient | `weight_decay=0` | `weight_decay=0` | `weight_decay=0` |
#
# Mind the third row: what `RMSprop` calls `alpha` is the lecture's $\beta$. (Notebook 0 has all the names in one table.)

# %% [markdown]
# Some arguments change the formula. `amsgrad` keeps the largest $r$ so far, `centered` subtracts the squared mean from $r$, and `maximize` climbs instead of descending. `decoupled_weight_decay` turns Adam into AdamW. Others only change how the same numbers are computed: `foreach` and `fused` (section 7.10), `capturable`, `differentiable`.
#
# > Lecture notes ▸ corrected: the notes close the bracket of `SGD` before `nesterov=False`. It is an argument, and it needs `momentum` > 0 and `dampening` = 0. And `lr` is not required any more ([torch.optim](https://docs.pytorch.org/docs/stable/optim.html)).

# %% tags=["demo"]
p = [torch.zeros(3, requires_grad=True)]
print("SGD: ", torch.optim.SGD(p).defaults)
print("Adam:", torch.optim.Adam(p).defaults)
try:
    torch.optim.SGD(p, lr=0.01, nesterov=True)
except ValueError as error:
    print("SGD(nesterov=True):", error)

# %% [markdown]
# **Exercise 7.1 (3 points).** Write the lecture's five settings as calls of `torch.optim`. Everything that the table does not mention stays at PyTorch's default.
#
# | name | $\eta$ | what else |
# |:--|--:|:--|
# | `"sgd"` | 0.01 | nothing |
# | `"momentum"` | 0.01 | $\alpha = 0.9$ |
# | `"nesterov"` | 0.01 | $\alpha = 0.9$, gradient at the look-ahead point |
# | `"rmsprop"` | 0.001 | $\beta = 0.9$ |
# | `"adam"` | 0.0001 | $\beta_1 = 0.9$, $\beta_2 = 0.999$ |

# %% nbgrader={"grade": false, "grade_id": "make_optimizer-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def make_optimizer(name, params):
    """The optimizer of the lecture's setting `name`, for the parameters `params`.

    name: "sgd", "momentum", "nesterov", "rmsprop" or "adam".   params: a list of parameters.
    Returns a torch.optim.Optimizer.
    """
    ### BEGIN SOLUTION
    if name == "sgd":
        return torch.optim.SGD(params, lr=0.01)
    if name == "momentum":
        return torch.optim.SGD(params, lr=0.01, momentum=0.9)
    if name == "nesterov":
        return torch.optim.SGD(params, lr=0.01, momentum=0.9, nesterov=True)
    if name == "rmsprop":
        return torch.optim.RMSprop(params, lr=0.001, alpha=0.9)
    return torch.optim.Adam(params, lr=0.0001, betas=(0.9, 0.999))
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Three classes are enough for five names. Which settings can share one?</details>
# <details><summary>Hint 2</summary>In the table above, follow the row of each letter to the column of the class. Mind the row of β.</details>
# <details><summary>Hint 3</summary>The first one is <code>if name == "sgd": return torch.optim.SGD(params, lr=0.01)</code>. The look-ahead is one more argument beside the momentum.</details>

# %% nbgrader={"grade": true, "grade_id": "make_optimizer", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(make_optimizer)

# %% tags=["demo"]
if passed("make_optimizer"):
    for name in ("sgd", "momentum", "nesterov", "rmsprop", "adam"):
        net = mlp(seed=0, device=device)
        history = train(net, make_optimizer(name, list(net.parameters())), data, epochs=5, seed=0)
        print(f"{name:9} test accuracy after 5 epochs: {history.test_accuracy[-1]:.0%}")

# %% [markdown]
# One seed and three different rates: this list says nothing about which method is better. How to compare is the subject of section 7.4.
#
# **Groups.** Parameters may come in groups, each a dictionary with its own arguments. What a group does not say comes from the call. A usual case: decay the weights, but not the biases.
#
# **Your turn** (not graded). Complete `groups`: the weights as they are, the biases with `weight_decay` 0 and `lr` 0.02.

# %% tags=["demo"]
net = mlp(seed=0, device=device)
weights = [p for p in net.parameters() if p.ndim > 1]
biases = [p for p in net.parameters() if p.ndim == 1]
groups = [{"params": weights}]

# %% nbgrader={"grade": false, "grade_id": "groups-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
groups = [{"params": weights}, {"params": biases, "weight_decay": 0.0, "lr": 0.02}]
### END SOLUTION

# %% tags=["demo"]
for group in torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1).param_groups:
    sizes = [tuple(p.shape) for p in group["params"]]
    print(f"lr {group['lr']:.2f}, weight decay {group['weight_decay']:.1f}, parameters {sizes}")

# %% [markdown]
# ## 7.3  Another form of momentum
#
# Somebody reports "momentum with $\eta = 0.1$ and $\alpha = 0.9$". There is more than one formula for that, and the same two numbers mean different steps in each. So before you type them into PyTorch, you must know which formula they belong to. Two common ones, both from rest:
#
# $$\text{lecture:}\quad \Delta \leftarrow \alpha\Delta + \eta\nabla L,\; w \leftarrow w - \Delta \qquad\quad \text{EMA:}\quad v \leftarrow \alpha v + (1-\alpha)\nabla L,\; w \leftarrow w - \eta v$$
#
# PyTorch has $b \leftarrow \alpha b + \nabla L,\; w \leftarrow w - \texttt{lr}\, b$. (EMA: exponential moving average.)
#
# **Exercise 7.2 (2 points).** Which `lr` makes `torch.optim.SGD(momentum=alpha)` take the same steps, at a constant rate?

# %% nbgrader={"grade": false, "grade_id": "to_torch_lr-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def to_torch_lr(lr, alpha, form):
    """The rate for torch.optim.SGD(momentum=alpha) that gives the same steps.

    lr, alpha: η and α of the other form, floats.   form: "lecture" or "ema".   Returns a float.
    """
    ### BEGIN SOLUTION
    if form == "ema":
        return lr * (1 - alpha)
    return lr
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Take a gradient of 1. How long is the very first step of each of the three forms?</details>
# <details><summary>Hint 2</summary>All three velocities are multiplied by α in each step. So if the first steps agree, do all the later ones agree, too? Choose <code>lr</code> so that the first steps agree.</details>
# <details><summary>Hint 3</summary>Set PyTorch's first step, <code>lr</code>, equal to that of the other form, and do it for each form alone. Each case is one short expression in <code>lr</code> and <code>alpha</code>; one of them does not need both.</details>

# %% nbgrader={"grade": true, "grade_id": "to_torch_lr", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(to_torch_lr)

# %% tags=["demo"]
if passed("to_torch_lr"):
    for form, new, out in (("lecture", 0.02, 1.0), ("ema", 1 - 0.9, 0.02)):
        w, v = RAVINE.start.clone(), torch.zeros_like(RAVINE.start)
        p = RAVINE.start.clone().requires_grad_()
        optimizer = torch.optim.SGD([p], lr=to_torch_lr(0.02, 0.9, form), momentum=0.9)
        for _ in range(100):
            v = 0.9 * v + new * RAVINE.grad(w)
            w = w - out * v
            p.grad = RAVINE.grad(p.detach())
            optimizer.step()
        gap = (p.detach() - w).abs().max()
        print(f"{form:8} in the ravine, same point after 100 steps to 1e-13: {gap < 1e-13}")

# %% [markdown]
# Whoever types the η of an average into PyTorch unchanged takes steps that are ten times too long, at $\alpha = 0.9$. *Deeper* of notebook 4 has more forms.

# %% [markdown]
# ## 7.4  One shared rate or each its best
#
# Four optimizers, ten seeds, ten epochs with a cosine schedule. Each optimizer gets about ten rates: by a factor of 1.5 around its best, more coarsely far away. `sweep` trains all rates and seeds of one optimizer at once. $\alpha = 0.9$, and $\beta = 0.9$ for RMSProp; all else is at its default.
#
# **Predict.** All four at $\eta = 0.01$: which one is first, which one last? And if each gets its own best rate?

# %% tags=["demo", "nbval-ignore-output"]
def cosine(epoch, epochs=10):
    return (1 + math.cos(math.pi * epoch / epochs)) / 2


rates = {
    "sgd": [0.01, 0.33, 0.47, 0.68, 0.82, 1.0, 1.2, 1.5, 2.2],
    "momentum": [0.01, 0.068, 0.1, 0.15, 0.22, 0.47, 0.68, 0.82, 1.0],
    "rmsprop": [0.0047, 0.0068, 0.01, 0.015, 0.022, 0.033, 0.047, 0.068, 0.1, 0.15, 0.22],
    "adam": [0.0068, 0.01, 0.015, 0.022, 0.033, 0.047, 0.068, 0.1, 0.15],
}
settings = {"seeds": range(10), "data": data, "epochs": 10, "schedule": cosine}
runs = {}
for name in tqdm(rates, desc="optimizers", file=sys.stdout):
    beta = {"beta": 0.9} if name == "rmsprop" else {}
    runs[name] = sweep(name, lrs=rates[name], **settings, **beta)

# %% tags=["demo"]
def percent(accuracies):
    return f"{100 * accuracies.mean():5.1f} ± {100 * accuracies.std():.1f} %"


print("all at η = 0.01   test accuracy (mean ± standard deviation of ten seeds)")
for name, run in runs.items():
    accuracies = run.test_accuracy[rates[name].index(0.01), :, -1]
    print(f"{figures.METHODS[name]['label']:12} {percent(accuracies)}")

# %% [markdown]
# Many printed tables look like this one. Before you believe it, look at all rates:

# %% tags=["demo"]
(ax,) = figures.panels(1, 1, figure="shared_rate", size=(7.2, 3.8))
for name, run in runs.items():
    figures.band(rates[name], run.val_loss[:, :, -1].T, label=figures.METHODS[name]["label"],
                 ax=ax, x="learning rate", y="validation loss after 10 epochs", log="xy",
                 ylim=(0.12, 6), yticks=[0.2, 0.5, 1, 2, 5], legend=True)
figures.dress(ax, lines={"0.01": 0.01}, legend=True)

# %% [markdown]
# (Mean and range of ten seeds.)
#
# <details><summary><b>Read the figure</b></summary>
#
# Four valleys of about the same depth, in different places. The line at 0.01 meets the adaptive methods near the floor of their valleys, and SGD high up on its slope. A vertical line compares *places*, not depths.
#
# </details>
#
# So give each method its own best rate, under three rules. Choose it on *validation* data, or the test set becomes part of the training. A rate at which one seed diverges is out. If the best rate is the first or the last one tried, look further.

# %% [markdown]
# **Exercise 7.3 (3 points).** Write the choice with these rules. `None` says "the grid is too small".

# %% nbgrader={"grade": false, "grade_id": "best_learning_rate-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def best_learning_rate(lrs, losses):
    """The rate with the lowest mean loss, or None if the grid does not enclose it.

    lrs: tensor (rates,), ascending.   losses: tensor (rates, seeds), may hold nan and inf.
    A rate with nan or inf in any seed counts as infinitely bad.
    Returns a float, or None when the best rate is the first or last of lrs, or no rate is left.
    """
    ### BEGIN SOLUTION
    mean = losses.mean(dim=1)
    mean[~torch.isfinite(mean)] = torch.inf
    best = mean.argmin().item()
    if best == 0 or best == len(lrs) - 1:
        return None
    return lrs[best].item()
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>What is the mean of a row that holds one nan? Do you have to look at single runs at all?</details>
# <details><summary>Hint 2</summary>Make every mean that is not finite (<code>torch.isfinite</code>) lose against all others; then <code>argmin</code> gives the position.</details>
# <details><summary>Hint 3</summary><code>mean[~torch.isfinite(mean)] = torch.inf</code> does the first. Then look at the position: at which two positions is the answer None? (If all are inf, argmin gives 0.)</details>

# %% nbgrader={"grade": true, "grade_id": "best_learning_rate", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(best_learning_rate)

# %% tags=["demo"]
if passed("best_learning_rate"):
    print("each at its own best rate       test accuracy")
    for name, run in runs.items():
        lr = best_learning_rate(run.lrs, run.val_loss[:, :, -1])
        accuracies = run.test_accuracy[rates[name].index(lr), :, -1]
        print(f"{figures.METHODS[name]['label']:12} η = {lr:<12g} {percent(accuracies)}")
    short = runs["momentum"].val_loss[:2, :, -1]  # as if nobody had tried more than 0.068
    print("\nmomentum, grid up to 0.068:", best_learning_rate(torch.tensor([0.01, 0.068]), short))
    print("its test accuracy at 0.068:  ", percent(runs["momentum"].test_accuracy[1, :, -1]))

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# At the shared rate the gap between first and last was 73 points. Now it is 1 point, less than four of the 360 test pictures. SGD is still a little behind. The other three lie within 0.3 points, less than the spread between seeds: too close to name a winner.
#
# The last two lines show what `None` is for. A grid that ends at 0.068 would have left momentum at 94.7 %, last of all.
#
# </details>

# %% [markdown]
# Tuned alike, the four are nearly level on this problem. Two large studies say how general this is. [Choi et al. (2019)](https://arxiv.org/abs/1910.05446) show that the grid that is searched can decide the ranking; with enough tuning, adaptive methods were never behind in their experiments. [Schmidt et al. (2021)](https://arxiv.org/abs/2007.01547) compared fifteen optimizers. None was ahead everywhere, and Adam remained a strong contender.

# %% [markdown]
# ## 7.5  Is Adam easier to tune
#
# The notes call Adam's defaults reliable. That is a claim about the *width* of the valley. How wide are the four? Take the rates whose validation loss is within 10 % of the lowest, read off the curves between the rates tried.
#
# **Predict.** Order the four by the width of their valleys.

# %% tags=["demo"]
def window(lrs, curve, limit):
    """The lowest and the highest rate at which the curve through the measured points is ≤ limit."""
    fine = np.geomspace(0.001, 2.2, 5000)
    good = fine[np.interp(np.log(fine), np.log(lrs), curve) <= float(limit)]
    return good[0], good[-1]


for name, run in runs.items():
    loss = run.val_loss[:, :, -1].mean(dim=1)
    low, high = window(rates[name], loss.log(), (1.1 * loss.min()).log())
    factor = f"a factor of {high / low:.1f}"
    print(f"{figures.METHODS[name]['label']:9} {low:6.3f} to {high:.3f}, {factor}")

# %% [markdown]
# Now the price. Suppose that you know nothing and draw one rate between 0.001 and 2.2 at random, on a logarithmic scale. How likely is it that the mean test accuracy reaches 95 %?

# %% tags=["demo"]
hit = {}
for name, run in runs.items():
    error = 1 - run.test_accuracy[:, :, -1].mean(dim=1)
    low, high = window(rates[name], error, 0.05)
    hit[name] = math.log(high / low) / math.log(2.2 / 0.001)
    print(f"{figures.METHODS[name]['label']:9} {low:6.4f} to {high:.3f}, one try: {hit[name]:.0%}")

# %% [markdown]
# **Your turn** (not graded). You may draw three rates and keep the best. How likely does at least one reach 95 %, for each method? Print it from `hit`.

# %% nbgrader={"grade": false, "grade_id": "three_tries-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
for name, p in hit.items():
    print(f"{figures.METHODS[name]['label']:9} three tries: {1 - (1 - p)**3:.0%}")
### END SOLUTION

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# By width, momentum's valley (a factor of 7.4) is even a little wider than those of RMSProp (6.8) and Adam (6.3). SGD's is narrow: 1.5. By the 95 % mark the adaptive methods are ahead: one blind try succeeds in 41 % and 36 % of cases, against 30 % for momentum and 9 % for SGD. With three tries the gap closes: 80 % and 74 %, against 66 % and 25 %.
#
# </details>
#
# The adaptive methods are a little easier to tune than momentum, but not in another class. Only plain SGD is hard to tune here.

# %% [markdown]
# > Lecture notes ▸ caveat: the notes say that Adam's defaults give reliable, solid performance. The valley is wide, but the default 0.001 need not lie in it: section 7.1 printed 90 %.

# %% [markdown]
# ## 7.6  Is everything engineered around Adam
#
# The lecture ends with a hypothesis: perhaps Adam is not especially good for networks, but networks have become good for Adam. New architectures were tried out with it. What did not train was thrown away, and what is left suits Adam.
#
# > Lecture notes ▸ sharpened: the notes call this an interesting hypothesis and name no source. It is [Orabona's](https://parameterfree.com/2020/12/06/neural-network-maybe-evolved-to-make-adam-the-best-optimizer/). In December 2020 he warned that it might be completely wrong; on 25 April 2023 he added that it is now widely accepted. Accepted is not tested.
#
# Taken at its word, it predicts: **Adam is ahead on architectures that were chosen while Adam was in use, and not on others.** Adam appeared in December 2014.

# %% [markdown]
# Six experiments, momentum against Adam, by training loss, because this is a claim about optimization. A cosine schedule and ten seeds; in each, both methods start from the same weights and see the same batches. A coarse search came first; you see the fine one. `duel` puts each method at its best rate and divides the losses, seed by seed.

# %% tags=["demo"]
board = {}


def duel(name, lrs, losses):
    """Adam's loss over momentum's, seed by seed, each at the rate with the lowest mean loss."""
    means = {m: losses[m].mean(dim=1).nan_to_num(nan=torch.inf) for m in ("momentum", "adam")}
    best = {m: mean.argmin().item() for m, mean in means.items()}
    ratio = losses["adam"][best["adam"]] / losses["momentum"][best["momentum"]]
    board[name] = races.Duel(name, lrs, losses, best, ratio)
    print(board[name])

# %% [markdown]
# **A and B.** A is softmax regression on the digits, for ten epochs: convex, no hidden layer. B is the network of this course, for five. In the print, [ ] marks the best rate; a ratio below 1 means that Adam is lower.

# %% tags=["demo"]
grid_a = {"momentum": [1.0, 1.5, 2.2, 3.3], "adam": [0.33, 0.47, 0.68, 1.0]}
grid_b = {"momentum": [0.22, 0.33, 0.47, 0.68], "adam": [0.033, 0.047, 0.068, 0.1]}
short = {"epochs": 5, "schedule": lambda epoch: cosine(epoch, 5)}
for name, grid, change in (("A softmax regression", grid_a, {"hidden": 0}),
                           ("B one hidden layer", grid_b, short)):
    results = {m: sweep(m, lrs=grid[m], **settings | change) for m in grid}
    duel(name, grid, {m: run.train_loss[:, :, -1] for m, run in results.items()})

# %% [markdown]
# **C and D.** C is a small convolutional network, D one block of attention over the eight rows of a picture. Both train for four epochs. `races.race` gives the loss of every example; Section 7.11 says how it works.

# %% tags=["demo"]
ten = {"seeds": range(10), "epochs": 4, "batch_size": 64}
grid_c = {"momentum": [0.1, 0.15, 0.22], "adam": [0.047, 0.068, 0.1]}
grid_d = {"momentum": [0.15, 0.22, 0.33], "adam": [0.047, 0.068, 0.1]}
for name, model, grid in (("C convolution", races.CONVOLUTION, grid_c),
                          ("D attention", races.ATTENTION, grid_d)):
    losses = races.race(model, data.x, data.y, grid, **ten)
    duel(name, grid, {m: each.mean(dim=2) for m, each in losses.items()})

# %% [markdown]
# **E and F.** One linear model, two kinds of data. In a text a few words are frequent and very many are rare. [Kunstner et al. (2024)](https://arxiv.org/abs/2402.19449) find that with such *heavy-tailed classes* the loss of rare words falls more slowly under gradient descent, and that Adam suffers less. They see it in language transformers, vision CNNs and linear models.
#
# E has 127 classes: one has 64 examples, two have 32, …, 64 have one each. F is the control: the same 448 inputs, but each class has three or four. The inputs are 32 random numbers each. 60 steps with all examples in each.
#
# **Predict.** In E, who is ahead, and on which classes? Does the control change it?

# %% tags=["demo"]
counts = torch.tensor([64 // 2**k for k in range(7) for _ in range(2**k)])  # 64, 32, 32, 16, …
tails = torch.repeat_interleave(torch.arange(127), counts).to(device)
equal = (torch.arange(448) % 127).to(device)
x_e = torch.stack([torch.rand(448, 32, generator=generator(seed)) for seed in range(10)])
x_e = x_e.to(device)
grid_e = {"sgd": [0.22, 10, 15, 22], "momentum": [0.22, 2.2, 3.3, 4.7], "adam": [0.22, 0.33, 0.47]}
grid_f = {"momentum": [22, 33, 47], "adam": [0.33, 0.47, 0.68]}
final = {}
for name, y, grid in (("E heavy tail", tails, grid_e), ("F control", equal, grid_f)):
    final[name] = races.race(races.linear(32, 127), x_e, y, grid, seeds=range(10), epochs=60)
    duel(name, grid, {m: losses.mean(dim=2) for m, losses in final[name].items()})

# %% [markdown]
# Now E by the size of the class, in two pictures: all three methods at one small rate, 0.22, and each at its best.

# %% tags=["demo"]
axes = figures.panels(1, 2, figure="loss_by_class", share="y")
sizes = [64, 32, 16, 8, 4, 2, 1]
for ax, title in zip(axes, ("all at 0.22", "each at its best rate")):
    print(f"{title:21}  examples" + "".join(f"{size:6}" for size in sizes))
    for name, losses in final["E heavy tail"].items():
        k = 0 if ax is axes[0] else losses.mean(dim=(1, 2)).argmin()
        by_size = losses[k].view(10, 7, 64).mean(dim=2)  # 64 examples of each size
        label = figures.METHODS[name]["label"]
        print(f"{label:31}" + "".join(f"{loss:6.1f}" for loss in by_size.mean(dim=0)))
        figures.band(sizes, by_size, label=label, ax=ax)
    figures.dress(ax, x="examples of the class", log="x", xlim=(80, 0.8), xticks=sizes, title=title)
figures.dress(axes[0], y="training loss")

# %% [markdown]
# (Mean and range of ten seeds.)
#
# <details><summary><b>Read the figure</b></summary>
#
# At 0.22 the pattern of the paper is striking: under momentum the loss rises from 1.8 for the most frequent class to 5.8 for single examples. But 0.22 is a good rate for Adam and a poor one for the others: it is the mistake of section 7.4 again. At its best rate SGD still has the pattern, from 2.0 to 3.6. Momentum is nearly level, from 1.9 to 2.5. Adam has fitted the single examples: 0.1.
#
# In F momentum is ahead, and at ten times the rate of E. So rare classes do no harm alone. Next to frequent ones, they do.
#
# </details>
#
# Same model, same inputs: the data alone decide who is ahead.

# %% [markdown]
# All six at a glance, one mark for each seed; left of 1, Adam is lower.

# %% tags=["demo"]
ax = races.strips(list(board.values())[:6], figure="six_duels",
                  x="training loss of Adam ÷ that of momentum")

# %% [markdown]
# **Exercise 7.4 (3 points).** Judge each experiment by this rule.
#
# - A result **counts** if one method is lower in at least nine of the ten seeds, *and* both best rates have a tried rate on either side. (A fair coin gives nine or ten alike once in fifty times.)
# - If it does not count, the word is `"silent"`.
# - If it counts, the word is `"supports"` if the conjecture, as stated in bold above, predicts this outcome, and `"against"` if it predicts another.
#
# The table gives you the history of each architecture; what the conjecture predicts is for you to say. Your rows stand in an order of your own, drawn from your id: write it into the first line.

# %%
student = "your id"
ask("evidence_board", student)

# %% nbgrader={"grade": false, "grade_id": "evidence_board-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
evidence_board = [
    None,  # row 1
    None,  # row 2
    None,  # row 3
    None,  # row 4
    None,  # row 5
    None,  # row 6
]
### BEGIN SOLUTION
evidence_board = ["against", "silent", "silent", "supports", "against", "supports"]
### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Three questions for each row, in this order. How many of the ten ratios are on one side of 1? Where in its list does each best rate stand? Did Adam exist when this architecture was chosen?</details>
# <details><summary>Hint 2</summary>A result that does not count is silent, however large the difference of the means. Look at the ends of each list of rates.</details>
# <details><summary>Hint 3</summary>"Adam not ahead" is also an outcome that the conjecture predicts, for everything that is older than Adam. Where that comes true, it supports.</details>

# %% nbgrader={"grade": true, "grade_id": "evidence_board", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check_answer("evidence_board", evidence_board, student)

# %% [markdown]
# **Your turn** (not graded). One experiment is silent only because a grid stopped too early. Train with the rate that is missing (`races.race`, as above), and call `duel` with a new name and the longer grid, so that its result counts. What does it say then? The old results are in `board[…].losses`, one row for each rate; `torch.cat` adds a row.

# %% nbgrader={"grade": false, "grade_id": "more_rates-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
more = races.race(races.CONVOLUTION, data.x, data.y, {"momentum": [0.33]}, **ten)
old = board["C convolution"].losses
longer = torch.cat([old["momentum"], more["momentum"].mean(dim=2)])
wider = {"momentum": [*grid_c["momentum"], 0.33], "adam": grid_c["adam"]}
duel("again, with one more rate", wider, {"momentum": longer, "adam": old["adam"]})
### END SOLUTION

# %% tags=["demo"]
print("B again, but ten epochs, from 7.4, as if some rates had not been tried:")
momentum, adam = ({lr: run.train_loss[k, :, -1] for k, lr in enumerate(rates[m])}
                  for m, run in runs.items() if m in ("momentum", "adam"))
for tried in ([0.022, 0.047, 0.1, 0.15], rates["adam"]):
    best = min(tried, key=lambda lr: adam[lr].mean())
    lower = (adam[best] < momentum[0.47]).sum()
    print(f"   {len(tried):2} rates for Adam, best {best:g}: Adam lower in {lower} of 10 seeds")
for name in ("momentum", "adam"):
    used = [each.best_lr(name) for each in list(board.values())[:6]]
    label = figures.METHODS[name]["label"]
    print(f"best rates of the six, {label:8} {min(used):g} to {max(used):g}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# With one more rate the result of C counts: Adam is lower in all ten seeds, on an architecture that is older than Adam. It speaks *against* the conjecture. That took one call; until then nobody could know.
#
# B shows the other trap. With four rates for Adam, a factor of two apart, it is lower in 1 of 10 seeds: that would count, and support the conjecture. With the fine grid it is lower in 3: silent.
#
# </details>
#
# Who chooses the grid has a hand in the result. And one more fact on "reliable": over the six problems Adam's best rate moves far less than momentum's. One first guess fits more problems.

# %% [markdown]
# ## 7.7  Now you judge
#
# The rule is blind. Suppose that more experiments support the conjecture than speak against it: is it then probably true? Counting votes is not weighing evidence. An outcome that two explanations predict alike decides nothing between them, however often it is found.
#
# **Exercise 7.5 (4 points, read by a person).** In at most one hundred and fifty words, in the cell below: is everything engineered around Adam?
#
# 1. Which *one* experiment tells most, for or against, and why? Give its numbers.
# 2. Choose one that "supports". How could it have come out like this although the conjecture is wrong?
# 3. Name one limit of these six experiments.
# 4. Which experiment would you do next, and which outcome would change your mind?

# %% [markdown] nbgrader={"grade": true, "grade_id": "adam_conjecture", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# **Your answer** (write it in place of the line below):
#
# ### BEGIN SOLUTION
# E tells most. In a linear model nothing can have been chosen for Adam, yet its loss is 1.3 against 2.3, lower in all ten seeds. In F, the same model with equal classes, momentum wins, 0.17 against 0.73. So the data make the lead, not an architecture. D "supports", but attention may suit Adam whoever chose it. All six are tiny and short, and C had to get one more rate because its grid was too small. Next: a recurrent language model, older than Adam, on text with and without its rare words. If Adam led in neither, but with attention in both, I would believe the conjecture.
#
# **Marking (instructor)**
#
# - **1 point:** one experiment with its numbers, and a reason that uses what is special about it (E: no architecture to be chosen; E with F: only the data differ; A: convex and old, yet Adam ahead; D: the only one that is younger than Adam). A count of votes alone: 0.
# - **1 point:** another explanation that predicts the *same* outcome (D: properties of attention itself, rare pixels, momentum diverging at 0.33 without a warm-up; F: small balanced problems suit momentum, and F was chosen as a control).
# - **1 point:** a limit that could turn a result round: size, four or five epochs, the grid (C), β's not tuned, training loss only, which networks were chosen, one data set. "More data" without a reason: ½.
# - **1 point:** an experiment with a stated outcome that would change the writer's mind. Without the outcome: ½.
# - **Minus ½,** once: a wrong number, a claim of proof, or more than two hundred words. Position and style are free.
# ### END SOLUTION

# %% [markdown]
# ## 7.8  What do I type on Monday
#
# A new problem, a blank file. **Check before you train.** At the start the loss should be near $\ln(\text{classes})$: all classes are equally likely then. And the network must be able to learn one batch by heart. If either fails, look for a bug, not for an optimizer. (Both checks are from [Karpathy's recipe](https://karpathy.github.io/2019/04/25/recipe/).)

# %% tags=["demo"]
net = mlp(seed=0, device=device)
x, y = data.x[:64], data.y[:64]
print(f"loss at the start {F.cross_entropy(net(x), y):.2f}, ln 10 = {math.log(10):.2f}")
optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
for _ in range(100):
    loss = F.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"one batch, 100 steps: loss {loss:.3f}")

# %% [markdown]
# Then a first run, by rules of thumb:
#
# 1. **Optimizer:** AdamW with its default β's. For convolutional networks try SGD with momentum 0.9, too.
# 2. **Rate:** first 0.001 for AdamW, 0.1 for momentum. Then a grid by **factors of 3**, and around the best by **1.5**, until the best is inside. Plot validation loss against the rate.
# 3. **Schedule:** 5 % of the steps warm-up, then a cosine to zero, per step (notebook 3).
# 4. **Clipping:** shrink the gradient when its norm is above 1, so that one wild batch cannot throw you out.
# 5. **Weight decay:** 0.01 to 0.1 in AdamW. Tune it after the rate.
#
# You can copy this cell.

# %% tags=["demo"]
def monday(lr, epochs=10, warmup=0.05):
    net = mlp(seed=0, device=device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.01)
    steps, random = epochs * math.ceil(data.n / 64), generator(0)
    schedule = LambdaLR(optimizer, lambda t: min((t + 1) / (warmup * steps), cosine(t, steps)))
    for _ in range(epochs):
        for batch in torch.randperm(data.n, generator=random).split(64):
            loss = F.cross_entropy(net(data.x[batch]), data.y[batch])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), max_norm=1.0)
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        return F.cross_entropy(net(data.x_val), data.y_val).item()


for lr in (0.001, 0.003, 0.01, 0.03, 0.1):
    print(f"lr {lr:<6g} validation loss {monday(lr):.3f}")

# %% [markdown]
# **Your turn** (not graded). The coarse grid has told you where to look. Try rates around the best one, by factors of about 1.5. Or change something else: another optimizer, no warm-up, no clipping. Does it matter?

# %% nbgrader={"grade": false, "grade_id": "monday-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
for finer in (0.015, 0.022, 0.033, 0.047):
    print(f"lr {finer:<6g} validation loss {monday(finer):.3f}")
### END SOLUTION

# %% [markdown]
# One seed each: small differences mean nothing. So two more lines for the list:
#
# 6. **Compare** only what was tuned alike, with several seeds. Use the test set once, at the end.
# 7. **Save** model, optimizer and scheduler together: momentum and Adam have a state (notebooks 3 and 6).

# %% [markdown]
# ## What to remember
#
# - Every argument belongs to a formula. RMSprop's `alpha` is the lecture's $\beta$; `nesterov` is an argument; a rate belongs to a *form* of momentum.
# - At one shared rate a comparison measures where the valleys lie. Tune each method alike, on validation data, with seeds, inside the grid.
# - Tuned, four optimizers ended within about one percentage point. Adaptive methods were a little easier to tune, plain SGD much harder.
# - Whether Adam or momentum is ahead changed with the data alone (E, F). A mixed result, or a best rate at the edge, says nothing.
# - On Monday: two checks, AdamW, factors of 3 and then 1.5, warm-up and cosine.

# %% tags=["demo"]
scoreboard("07")

# %% [markdown]
# (The four points of exercise 7.5 are given by hand and not counted here.)

# %% [markdown]
# ## Deeper
#
# Three things for those who want to know more: a trap when a state is loaded, what changes on a GPU, and how the races were run. Nothing here is graded.

# %% [markdown]
# ## 7.9  A loaded optimizer trusts the order
#
# *5 minutes.* `state_dict` does not know names: the state is stored by *position*. What if the parameters come in another order after the restart, and the shapes happen to fit?
#
# **Predict.** Five epochs of Adam, save, then one full-batch step with: the state loaded, the state forgotten, the states of two layers exchanged. Order the three by the loss after that step.

# %% tags=["demo"]
def restart(net, saved, how):
    """Loss after one full-batch step of a restarted Adam, over the loss before it."""
    net, saved = copy.deepcopy(net), copy.deepcopy(saved)
    params = list(net.parameters())
    if how == "wrong order":
        params[0], params[2] = params[2], params[0]
    optimizer = torch.optim.Adam(params, lr=0.01)
    if how != "forgotten":
        optimizer.load_state_dict(saved)
    before, after = train(net, optimizer, data, epochs=1, batch_size=data.n, seed=0).train_loss
    return (after / before).item()

# %% tags=["demo"]
ratios = {"loaded": [], "forgotten": [], "wrong order": []}
for seed in range(5):  # 64-64-64-10: the first two weight matrices have one shape
    first, last = mlp(64, seed, device, n_classes=64), mlp(0, seed + 100, device)
    net = torch.nn.Sequential(*first, torch.nn.ReLU(), *last)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    train(net, optimizer, data, epochs=5, seed=seed)
    for how in ratios:
        ratios[how].append(restart(net, optimizer.state_dict(), how))
for how, values in ratios.items():
    print(f"state {how:12} loss × {sum(values) / 5:.1f}   "
          f"(five seeds: {min(values):.1f} to {max(values):.1f})")
old, new = (torch.optim.Adam([torch.zeros(3, requires_grad=True)], lr=lr) for lr in (0.01, 0.0001))
new.load_state_dict(old.state_dict())
print("made with 0.0001, loaded a state of 0.01: the rate is now", new.param_groups[0]["lr"])

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# The forgotten state is seen at once: the loss grows by a factor of 3.3. The wrong order is *not* seen: no error, no jump, in this step even a lower loss than with the right state. It is just not the run that you saved, and no message will tell you.
#
# </details>
#
# Build the optimizer from the same list in the same order, and set the rate *after* loading: the state brings its old rate along.

# %% [markdown]
# ## 7.10  On a GPU
#
# *4 minutes.* An update is a few operations per parameter. A network with a hundred parameter tensors then starts several hundred tiny kernels per step, and on a GPU starting them takes longer than running them. `foreach=True` handles all tensors of a group in each operation, `fused=True` does the whole update in one. Results agree to rounding. By default PyTorch takes `foreach` on a GPU; on a CPU it loops.

# %% tags=["demo", "nbval-ignore-output"]
def timed(sizes, steps=20, **kind):
    """Microseconds per step of Adam, both passes left out; the weights after the first step."""
    torch.manual_seed(0)
    layers = [f for n, m in zip(sizes, sizes[1:]) for f in (torch.nn.Linear(n, m), torch.nn.ReLU())]
    net = torch.nn.Sequential(*layers[:-1]).to(device)
    optimizer, spent = torch.optim.Adam(net.parameters(), lr=0.001, **kind), 0.0
    wait = torch.accelerator.synchronize if device.type != "cpu" else lambda: None
    for step in range(steps):
        F.cross_entropy(net(data.x[:64]), data.y[:64]).backward()  # adds up: only the time counts
        wait()
        begin = time.perf_counter()
        optimizer.step()
        wait()
        spent += time.perf_counter() - begin
        if step == 0:
            first = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
    return spent / steps * 1e6, first

# %% tags=["demo", "nbval-ignore-output"]
sizes = [64, *[64 if device.type == "cpu" else 1024] * 20, 10]
results = {"tensor by tensor": timed(sizes, foreach=False),
           "foreach": timed(sizes, foreach=True), "fused": timed(sizes, fused=True)}
for how, (duration, weights) in results.items():
    same = torch.allclose(weights, results["tensor by tensor"][1], atol=1e-6)
    print(f"{how:17}{duration:7.0f} µs per step, same first step to 1e-6: {same}")

# %% [markdown]
# The times are those of the machine that this ran on; the step is the same in all three. The more tensors there are, and the smaller each of them, the more is saved.
#
# The next cell needs a GPU. It downloads MNIST once (15 MB), pictures of 28 × 28 pixels, and trains a network with 1.6 million weights. Without a GPU it says so and goes on; you miss a run, but nothing new.

# %% tags=["demo", "nbval-ignore-output"]
if device.type == "cpu":
    print("No GPU here: skipped. On one, this cell trains on MNIST.")
else:
    try:
        big = mnist(device, validation=10_000)
        net = mlp(hidden=2048, device=device, n_features=784)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=True)
        begin = time.perf_counter()
        history = train(net, optimizer, big, epochs=10, batch_size=512, progress=True)
        print(f"{time.perf_counter() - begin:.0f} s, "
              f"validation accuracy {history.val_accuracy[-1]:.1%}, "
              f"test accuracy {history.test_accuracy[-1]:.1%}")
    except (ConnectionError, ValueError) as error:
        print(error)

# %% [markdown]
# With a GPU you can also repeat section 7.4 on MNIST: `sweep(…, data=big, hidden=512, batch_size=512)`. We expect four valleys in four places again; but that is a prediction, and now you know what those are worth untested.

# %% [markdown]
# ## 7.11  How the experiments were run
#
# *2 minutes.* A model in `lecture_utils/races.py` is a function of a dictionary of weights and of the inputs. For ten seeds there are ten dictionaries. They are stacked into one, in which each tensor has a first axis of ten. `torch.func.vmap` turns a function of one network into a function of all ten: it runs the same operations, with one more axis.
#
# An optimizer works element by element, so it does not notice that its parameters are ten networks. The loss that goes backward is the *sum* over the networks. So no network feels another: the derivative of one network's loss by another's weights is zero.
#
# Does this give what a plain loop gives?

# %% tags=["demo"]
model, lr, seed, steps = races.linear(32, 127), 2.2, 3, 60
stacked = races.race(model, x_e, tails, {"momentum": [lr]}, seeds=range(10), epochs=steps)
w = torch.zeros(32, 127, device=device, requires_grad=True)  # seed 3 alone, nothing stacked
optimizer = torch.optim.SGD([w], lr=lr, momentum=0.9)
for step in range(steps):
    optimizer.param_groups[0]["lr"] = lr * cosine(step, steps)
    optimizer.zero_grad()
    F.cross_entropy(x_e[seed] @ w, tails).backward()
    optimizer.step()
print(f"stacked {stacked['momentum'][0, seed].mean():.4f}, alone "
      f"{F.cross_entropy(x_e[seed] @ w, tails).item():.4f}")

# %% [markdown]
# The same loss. To add a seventh experiment, write `races.Model(forward, shapes)` with a function and the shapes of its weights, and give it to `races.race`.

# %% [markdown]
# **References**
#
# - F. Orabona, [Neural networks (maybe) evolved to make Adam the best optimizer](https://parameterfree.com/2020/12/06/neural-network-maybe-evolved-to-make-adam-the-best-optimizer/), blog post, 6 December 2020, edited 25 April 2023: the conjecture.
# - D. Choi et al., [On empirical comparisons of optimizers for deep learning](https://arxiv.org/abs/1910.05446), 2019.
# - R. M. Schmidt, F. Schneider, P. Hennig, [Descending through a crowded valley: benchmarking deep learning optimizers](https://arxiv.org/abs/2007.01547), ICML 2021.
# - F. Kunstner et al., [Heavy-tailed class imbalance and why Adam outperforms gradient descent on language models](https://arxiv.org/abs/2402.19449), NeurIPS 2024.
# - A. Karpathy, [A recipe for training neural networks](https://karpathy.github.io/2019/04/25/recipe/), 2019: what to check first.
# - A. Vaswani et al., [Attention is all you need](https://arxiv.org/abs/1706.03762), 2017: the transformer, trained with Adam.
# - PyTorch, [torch.optim](https://docs.pytorch.org/docs/stable/optim.html): all arguments.
#
# **Next:** [8 Midterm practice](08_midterm_practice.ipynb)
