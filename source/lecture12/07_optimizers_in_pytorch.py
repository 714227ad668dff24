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
# You have written them all; now you use the library's, and find out which one is best. The answer depends on how you ask. You will compare optimizers so that the answer means something, and then put a famous conjecture about Adam to the test.
#
# **80 minutes · 15 points.** Afterwards you can
#
# - translate every formula of the lecture into arguments of `torch.optim`, and back;
# - compare optimizers fairly, and see through a comparison that is not;
# - say what an experiment shows, what it does not show, and what would.

# %%
import copy
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import torch
from torch.func import vmap
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from lecture_utils import figures
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
# ## 7.1  An optimizer is one line, and its defaults are somebody's choice
#
# This is all that training takes. Change the line with `torch.optim`, and everything else stays as it is.
#
# **Predict.** The lecture notes use `Adam(…, lr=0.0001)`; PyTorch's default is ten times that. About how far can a weight move in one epoch of 18 steps with the notes' rate?

# %% tags=["demo"]
net = mlp(seed=0, device=device)
before = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
optimizer = torch.optim.Adam(net.parameters(), lr=0.0001)
for batch in torch.randperm(data.n, generator=generator(0)).split(64):
    loss = F.cross_entropy(net(data.x[batch]), data.y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
moved = (torch.nn.utils.parameters_to_vector(net.parameters()) - before).abs().max()
print(f"steps: {math.ceil(data.n / 64)}, largest way of any weight: {moved:.4f}")

# %% [markdown]
# In each weight a step of Adam is about $\eta$ long (notebook 6), so 18 steps go about 0.0018, in weights that started between −0.125 and 0.125. What that means after ten epochs:

# %% tags=["demo"]
runs = sweep("adam", lrs=[0.0001, 0.001, 0.01], seeds=range(5), data=data, epochs=10)
for lr, accuracy in zip(runs.lrs, runs.test_accuracy[:, :, -1]):
    print(f"Adam(lr={lr:g}): test accuracy {accuracy.mean():.0%} (five seeds: "
          f"{accuracy.min():.0%} to {accuracy.max():.0%})")

# %% [markdown]
# The rate of the notes is no mistake: it suits large networks and many thousand steps. Here it has hardly begun. Every default is a setting that suited somebody else's problem.
#
# > Lecture notes ▸ corrected: the notes show `lr=0.0001` and, as the general form, `lr=0.001`. The second is the default, as in the paper; the first is a choice.

# %% [markdown]
# ## 7.2  Every argument, and the formula it belongs to
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

# %% [markdown]
# The others are variants and engineering: `amsgrad` (notebook 6) and `centered` ($r$ minus the squared mean) change the formula, `maximize` turns its sign, `decoupled_weight_decay` makes Adam AdamW; `foreach`, `fused` (section 7.9), `capturable` and `differentiable` only change how it is computed.
#
# > Lecture notes ▸ corrected: the notes end the call of `SGD` before `nesterov=False`; it is an argument, and it needs `momentum` > 0 and `dampening` = 0. `lr` is not required any more: its default is 0.001. And 0.9 and 0.999 are Adam's $\beta_1$ and $\beta_2$, not the $\alpha$ and $\beta$ "of RMSProp" ([torch.optim](https://docs.pytorch.org/docs/stable/optim.html)).

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
# <details><summary>Hint 1</summary>Three classes for five names: three of the settings are arguments of one class.</details>
# <details><summary>Hint 2</summary>In the table above, follow the row of each letter to the column of the class. Mind the row of β.</details>
# <details><summary>Hint 3</summary><code>if name == "sgd": return torch.optim.SGD(params, lr=0.01)</code>, and four more of this kind. The look-ahead is one more argument beside the momentum.</details>

# %% nbgrader={"grade": true, "grade_id": "make_optimizer", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(make_optimizer)

# %% tags=["demo"]
if passed("make_optimizer"):
    for name in ("sgd", "momentum", "nesterov", "rmsprop", "adam"):
        net = mlp(seed=0, device=device)
        history = train(net, make_optimizer(name, list(net.parameters())), data, epochs=10, seed=0)
        print(f"{name:9} test accuracy after 10 epochs: {history.test_accuracy[-1]:.0%}")

# %% [markdown]
# One seed, three different rates: this table is an anecdote about settings. It compares nothing. How to compare is the subject of section 7.4.

# %% [markdown]
# **Groups.** Parameters may be given in groups, each with its own arguments. A usual case: decay the weights, but not the biases. What a group does not say comes from the call.

# %% tags=["demo"]
net = mlp(seed=0, device=device)
weights = [p for p in net.parameters() if p.ndim > 1]
biases = [p for p in net.parameters() if p.ndim == 1]
groups = [{"params": weights}, {"params": biases, "weight_decay": 0.0, "lr": 0.02}]
optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1)
for group in optimizer.param_groups:
    sizes = [tuple(p.shape) for p in group["params"]]
    print(f"lr {group['lr']:.2f}, weight decay {group['weight_decay']:.1f}, parameters {sizes}")

# %% [markdown]
# ## 7.3  The same momentum in another form wants another rate
#
# Notebook 4 had several forms of momentum. When somebody reports "$\eta = 0.1$, $\alpha = 0.9$", you must know which one they mean before you type it into PyTorch. From rest and at a constant rate:
#
# $$\text{lecture:}\quad \Delta \leftarrow \alpha\Delta + \eta\nabla L,\; w \leftarrow w - \Delta \qquad\quad \text{EMA:}\quad v \leftarrow \alpha v + (1-\alpha)\nabla L,\; w \leftarrow w - \eta v$$
#
# PyTorch: $b \leftarrow \alpha b + \nabla L,\; w \leftarrow w - \texttt{lr}\, b$.

# %% [markdown]
# **Exercise 7.2 (2 points).** Which `lr` makes `torch.optim.SGD(momentum=alpha)` take the same steps?

# %% nbgrader={"grade": false, "grade_id": "to_torch_lr-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def to_torch_lr(lr, alpha, form):
    """The rate for torch.optim.SGD(momentum=alpha) that gives the same steps.

    lr, alpha: η and α of the other form, floats.   form: "lecture" or "ema".   Returns a float.
    """
    ### BEGIN SOLUTION
    return lr * (1 - alpha) if form == "ema" else lr
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Write down the very first step of each form, for a gradient of 1.</details>
# <details><summary>Hint 2</summary>Lecture: η. EMA: η(1 − α). PyTorch: lr.</details>
# <details><summary>Hint 3</summary>For one of the forms nothing changes; for the other, multiply by what the new gradient is weighted with.</details>

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
        print(f"{form:8} η = 0.02 is lr = {to_torch_lr(0.02, 0.9, form):.3f}: "
              f"same point after 100 steps to 1e-13: {gap < 1e-13}")

# %% [markdown]
# ## 7.4  At one shared rate the adaptive methods win; at the best rate of each they do not
#
# Four optimizers, eleven rates, five seeds: 220 networks, each trained for ten epochs with a cosine schedule. `sweep` trains all rates and seeds of one optimizer at once. $\alpha = 0.9$; $\beta = 0.9$ for RMSProp; all else at its default.
#
# **Predict.** At $\eta = 0.01$, which optimizer is first, which last? And if each gets its own best rate?

# %% tags=["demo", "nbval-ignore-output"]
def cosine(epoch, epochs=10):
    return (1 + math.cos(math.pi * epoch / epochs)) / 2


rates = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
extra, runs = {"rmsprop": {"beta": 0.9}}, {}
for name in tqdm(("sgd", "momentum", "rmsprop", "adam"), desc="optimizers", file=sys.stdout):
    runs[name] = sweep(name, lrs=rates, seeds=range(5), data=data, epochs=10, schedule=cosine,
                       **extra.get(name, {}))

# %% tags=["demo"]
def percent(accuracies):
    return f"{100 * accuracies.mean():5.1f} ± {100 * accuracies.std():.1f} %"


print("all at η = 0.01      test accuracy (mean ± standard deviation of five seeds)")
for name, run in runs.items():
    accuracies = run.test_accuracy[rates.index(0.01), :, -1]
    print(f"{figures.METHODS[name]['label']:20} {percent(accuracies)}")

# %% [markdown]
# A table like this one has been printed many times, and its conclusion would be that adaptive methods are better. But 0.01 is a rate for Adam. Look at all rates:

# %% tags=["demo"]
fig, ax = plt.subplots()
for name, run in runs.items():
    label = figures.METHODS[name]["label"]
    figures.band(rates, run.val_loss[:, :, -1].T, label=label, method=name, ax=ax)
ax.axvline(0.01, color="0.6", lw=1)
ax.annotate("the shared rate", (0.01, 4.2), xytext=(4, 0), textcoords="offset points", color="0.4")
ax.set(xlabel="learning rate", ylabel="validation loss after 10 epochs")
ax.set(xscale="log", yscale="log", ylim=(0.12, 6))
ax.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
ax.minorticks_off()
ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
figures.describe(fig, "Validation loss against the learning rate for four optimizers, mean and "
                 "range of five seeds. All four curves have the same shape and nearly the same "
                 "lowest point, at rates from 0.02 for Adam to 1 for SGD. A line at 0.01 meets "
                 "Adam and RMSProp near their lowest point, SGD far from it.")
plt.show()

# %% [markdown]
# **Read the figure.** (Mean and range of five seeds.) Four valleys of the same depth, in different places. A vertical line compares places, not depths.
#
# So give each its own best rate, under three rules. The rate is chosen on *validation* data, or the test set would be part of the training. A rate at which one seed diverges is out. And if the best rate is the first or last of the grid, you have not found the best: look further.

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
# <details><summary>Hint 1</summary>The mean of a row that holds nan or inf is itself nan or inf: no need to look at single runs.</details>
# <details><summary>Hint 2</summary>Set every mean that is not finite (<code>torch.isfinite</code>) to <code>torch.inf</code>; then <code>argmin</code> gives the position.</details>
# <details><summary>Hint 3</summary>If the position is 0 or <code>len(lrs) - 1</code>, return None; else <code>lrs[position].item()</code>. When all are inf, argmin gives 0, so that case is covered.</details>

# %% nbgrader={"grade": true, "grade_id": "best_learning_rate", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(best_learning_rate)

# %% tags=["demo"]
if passed("best_learning_rate"):
    print("each at its own best rate         test accuracy")
    for name, run in runs.items():
        lr = best_learning_rate(run.lrs, run.val_loss[:, :, -1])
        accuracies = run.test_accuracy[rates.index(lr), :, -1]
        print(f"{figures.METHODS[name]['label']:12} η = {lr:<14g} {percent(accuracies)}")
    short = runs["momentum"].val_loss[:6, :, -1]
    print("\nmomentum on a grid that ends at 0.05:",
          best_learning_rate(torch.tensor(rates[:6]), short))
    print("test accuracy at 0.05:", percent(runs["momentum"].test_accuracy[5, :, -1]))

# %% [markdown]
# The gap of 72 percentage points is down to less than one, and the order is another. One point is less than four of the 360 test pictures, and seeds differ by as much: nobody has won. Larger comparisons found the same: no method is ahead on all problems, and Adam is a strong contender ([Schmidt et al. 2021](https://arxiv.org/abs/2007.01547)).
#
# The last two lines show what `None` is for. A grid that ends at 0.05 would have handed momentum 93 %, and the table another winner: what is searched can decide the ranking ([Choi et al. 2019](https://arxiv.org/abs/1910.05446)).

# %% [markdown]
# ## 7.5  Is Adam easier to tune? Measure the window, and the price
#
# The notes call Adam's defaults reliable. That is a claim about the *width* of the valley, and about its *place*. First the width: which rates of the grid come within 10 % of the best validation loss?

# %% tags=["demo"]
for name, run in runs.items():
    loss = run.val_loss[:, :, -1].mean(dim=1).nan_to_num(nan=torch.inf)
    good = [lr for lr, value in zip(rates, loss) if value <= 1.1 * loss.min()]
    print(f"{figures.METHODS[name]['label']:9} {good[0]:>5g} to {good[-1]:<5g} "
          f"a factor of {good[-1] / good[0]:.1f}")

# %% [markdown]
# Now the price. Suppose that you may try only $k$ rates, drawn at random from the grid, and keep the one with the lowest validation loss. Or you try nothing and take PyTorch's default rate. How likely do you get 95 % test accuracy, and in which rank does each method end?

# %% tags=["demo"]
defaults = {"sgd": 0.001, "momentum": 0.001, "rmsprop": 0.01, "adam": 0.001}


def chance(run, k):
    """That the best of k random rates, by validation loss, has a mean test accuracy of 95 %."""
    order = run.val_loss[:, :, -1].mean(dim=1).nan_to_num(nan=torch.inf).argsort()  # best first
    good = run.test_accuracy[:, :, -1].mean(dim=1)[order] >= 0.95
    n = len(good)
    best_drawn = [math.comb(n - 1 - place, k - 1) / math.comb(n, k) for place in range(n)]
    return sum(p for p, is_good in zip(best_drawn, good) if is_good)


at_default = {n: run.test_accuracy[rates.index(defaults[n]), :, -1] for n, run in runs.items()}
table = {"default rate": {n: float(each.mean() >= 0.95) for n, each in at_default.items()}}
table |= {f"k = {k}": {n: chance(run, k) for n, run in runs.items()} for k in (1, 3, 6)}
print("budget       " + "".join(f"{figures.METHODS[n]['label']:>14}" for n in runs))
for budget, row in table.items():
    rank = {n: 1 + sum(other > value + 0.001 for other in row.values()) for n, value in row.items()}
    print(f"{budget:13}" + "".join(f"{row[n]:>9.0%} ({rank[n]}.)" for n in runs))
untouched = sweep("rmsprop", lrs=[0.01], seeds=range(5), data=data,
                  epochs=10)  # alpha=0.99, constant rate
print("\nRMSProp with all of PyTorch's defaults:", percent(untouched.test_accuracy[0, :, -1]))

# %% [markdown]
# **Read the numbers.** By validation loss, momentum's window is as wide as Adam's: a factor of 5. By the 95 % mark the adaptive methods are a little easier: one blind try succeeds in 36 % of cases, against 27 % for momentum; three tries in 79 % against 66 %. After six it hardly matters, except for plain SGD, whose window is narrow.
#
# And the default rates? RMSProp's reaches the mark, Adam's does not: 0.001 is slow for ten epochs. But RMSProp had our $\beta$ and our schedule; with all of PyTorch's defaults it ends at 94.4 %, just below the mark. So by this mark the defaults fail here, RMSProp's only just. Three tries succeed in 79 % of cases.

# %% [markdown]
# ## 7.6  Is everything engineered around Adam? Six experiments
#
# The lecture ends with a hypothesis, and [Orabona](https://parameterfree.com/2020/12/06/neural-network-maybe-evolved-to-make-adam-the-best-optimizer/) put it in writing in 2020: perhaps Adam is not good for networks, but networks have become good for Adam. Whatever did not train with Adam was thrown away, so that what is left suits it.
#
# > Lecture notes ▸ corrected: the notes give no source and say it as a fact. It is a conjecture; its author adds that he may be completely wrong.
#
# Taken at its word, it predicts: **Adam is ahead on architectures that grew up with it, and not on others.** That can be tested, in a small way.

# %% [markdown]
# Momentum against Adam, training loss (it is a claim about optimization), each at its best rate, cosine schedule, five seeds. In each seed both methods start from the same weights and see the same batches. "In all five" would happen by chance in one of sixteen cases.

# %% tags=["demo"]
board = {}


def enter(experiment, grids, losses):
    """A row of the board. losses: per method, (rates, seeds). !: a best rate at the grid's edge."""
    at_best, best_rate, row = {}, {}, f"{experiment:23}"
    for name in ("momentum", "adam"):
        values = losses[name].nan_to_num(nan=torch.inf)
        k = values.mean(dim=1).argmin().item()
        at_best[name], best_rate[name] = values[k], grids[name][k]
        edge = "!" if k in (0, len(values) - 1) else ""
        at = f"(η = {grids[name][k]:g}{edge})"
        row += f" {figures.METHODS[name]['label']} {values[k].mean():<6.2g} {at:11} "
    ratio = at_best["adam"] / at_best["momentum"]
    board[experiment] = ratio.cpu(), best_rate
    who = {0: "momentum in all five", 5: "Adam in all five"}.get(int((ratio < 1).sum()), "mixed")
    print(f"{row}lower: {who}")

# %% [markdown]
# **A and B: older than Adam.** A is softmax regression on the digits, convex, without a hidden layer. B is the network of this course; its runs are those of section 7.4.
#
# **Predict.** Both are small and easy. Will there be a difference at all?

# %% tags=["demo"]
methods = ("momentum", "adam")
wider = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]  # a convex problem stands larger rates
convex = {n: sweep(n, lrs=wider, seeds=range(5), data=data, epochs=10, hidden=0, schedule=cosine)
          for n in methods}
for experiment, results in {"A softmax regression": convex, "B one hidden layer": runs}.items():
    losses = {n: results[n].train_loss[:, :, -1] for n in methods}
    enter(experiment, {n: results[n].lrs.tolist() for n in methods}, losses)
    for n in methods:
        k = results[n].val_loss[:, :, -1].mean(dim=1).nan_to_num(nan=torch.inf).argmin()
        print(f"    {figures.METHODS[n]['label']:8} test accuracy, rate chosen on validation data: "
              f"{percent(results[n].test_accuracy[k, :, -1])}")

# %% [markdown]
# A clear order in each, and not the same one: Adam in A, momentum in B. In the test accuracy it hardly shows.
#
# **C and D: two other architectures.** C is a small convolutional network, a kind that grew up with SGD and momentum. D is one block of attention over the eight rows of a picture, a kind that grew up with Adam. Each is a function of a dictionary of weights and of the pictures.

# %% tags=["demo"]
def convolution(p, x):
    x = F.conv2d(x.view(-1, 1, 8, 8), p["first"], stride=2, padding=1).relu()
    x = F.conv2d(x, p["second"], stride=2, padding=1).relu()
    return x.flatten(1) @ p["out"]


def attention(p, x):
    x = x.view(-1, 8, 8) @ p["embed"] + p["place"]  # eight rows, each a token of eight pixels
    x = x + F.scaled_dot_product_attention(x @ p["query"], x @ p["key"], x @ p["value"])
    x = x + (x @ p["up"]).relu() @ p["down"]
    return x.mean(dim=1) @ p["out"]


def start(shapes, seed):
    """Normal weights, scaled by the number of inputs."""
    random = generator(seed)
    fan_in = {n: math.prod(s[1:]) if len(s) == 4 else s[0] for n, s in shapes.items()}
    return {n: torch.randn(s, generator=random).to(device) / fan_in[n] ** 0.5
            for n, s in shapes.items()}

# %% [markdown]
# `final_losses` trains all networks of a method. One rate is one group; the five networks of a group are stacked into one tensor, because an optimizer works element by element and does not notice. `vmap` runs the function for each network.

# %% tags=["demo"]
def final_losses(net, starts, x, y, batches, name, grid):
    """Final losses (rates, seeds, n) for x (seeds, n, features), y (n,) and batches of indices."""
    groups = [{n: torch.stack([s[n] for s in starts]).requires_grad_() for n in starts[0]}
              for _ in grid]
    make = {"momentum": lambda g: torch.optim.SGD(g, momentum=0.9), "adam": torch.optim.Adam}[name]
    optimizer = make([{"params": [*g.values()], "lr": lr} for g, lr in zip(groups, grid)])
    scheduler = LambdaLR(optimizer, lambda step: cosine(step, len(batches)))

    def losses(batch):
        stacked = {n: torch.cat([g[n] for g in groups]) for n in groups[0]}
        logits = vmap(net)(stacked, x[:, batch].repeat(len(grid), 1, 1))
        each = F.cross_entropy(logits.flatten(0, 1), y[batch].repeat(len(logits)), reduction="none")
        return each.view(len(logits), -1)

    for batch in batches:
        optimizer.zero_grad()
        losses(batch).mean(dim=1).sum().backward()  # a sum over networks: no network feels another
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        return losses(slice(None)).view(len(grid), len(starts), -1)

# %% tags=["demo"]
def race(net, starts, x, y, batches, grids):
    """Final losses of each method, {method: (rates, seeds, n)}; both are trained side by side."""
    with ThreadPoolExecutor() as pool:
        runs = {n: pool.submit(final_losses, net, starts, x, y, batches, n, grids[n])
                for n in grids}
    return {name: run.result() for name, run in runs.items()}

# %% tags=["demo"]
nets = {
    "C convolution": (
        convolution, {"first": (8, 1, 3, 3), "second": (16, 8, 3, 3), "out": (64, 10)},
        {"momentum": [0.1, 0.2, 0.3, 0.5], "adam": [0.02, 0.03, 0.05, 0.1]}),
    "D attention": (
        attention, {"embed": (8, 16), "place": (8, 16), "query": (16, 16), "key": (16, 16),
                    "value": (16, 16), "up": (16, 32), "down": (32, 16), "out": (16, 10)},
        {"momentum": [0.2, 0.3, 0.5], "adam": [0.03, 0.05, 0.1]}),
}
random, x = generator(0), data.x.expand(5, -1, -1)
batches = [b for _ in range(5)
           for b in torch.randperm(data.n, generator=random).to(device).split(64)]
for experiment, (net, shapes, grids) in nets.items():
    starts = [start(shapes, seed) for seed in range(5)]
    losses = race(net, starts, x, data.y, batches, grids)
    losses = {n: each.mean(dim=2) for n, each in losses.items()}
    enter(experiment, grids, losses)
    if net is convolution:  # once more, as if two of the rates had not been tried
        kept = {n: [k for k, lr in enumerate(grids[n]) if lr not in (0.3, 0.03)] for n in grids}
        enter("  without 0.3 and 0.03", {n: [grids[n][k] for k in kept[n]] for n in grids},
              {n: losses[n][kept[n]] for n in grids})
        del board["  without 0.3 and 0.03"]
finite = losses["momentum"][-1].isfinite().sum()
print(f"momentum at 0.5 in D: {finite} of 5 losses are finite")

# %% [markdown]
# D is clear. C is not, and its second line is a warning: had nobody tried 0.3 for momentum, Adam would have won in all five seeds. Who chooses the grid has a hand in the result. (Both runs are short, five epochs, and with 0.5 momentum diverges in D: a warm-up might help it.)

# %% [markdown]
# **E and F: one linear model, two kinds of data.** In a text a few words are frequent and very many are rare. [Kunstner et al. 2024](https://arxiv.org/abs/2402.19449) find that such *heavy-tailed classes* slow gradient descent down, and Adam far less, in language transformers, vision CNNs and linear models alike. E: softmax regression with 127 classes: one has 64 examples, two have 32, …, 64 have a single one, 448 in all. F, the control: the same inputs and 127 classes, but each with three or four examples. The 64 inputs are random numbers between 0 and 1; full batches, 60 steps.
#
# **Predict.** Who is ahead in E, and does the control change it?

# %% tags=["demo"]
def linear(p, x):
    return x @ p["w"]


counts = torch.tensor([64 // 2**k for k in range(7) for _ in range(2**k)])  # 64, 32, 32, 16, 16, …
tails = torch.repeat_interleave(torch.arange(127), counts)
equal = torch.arange(448) % 127
tables = {
    "E heavy-tailed classes": (tails, {"momentum": [1, 2, 5], "adam": [0.1, 0.2, 0.5]}),
    "F equal classes": (equal, {"momentum": [10, 20, 50], "adam": [0.05, 0.1, 0.2]}),
}
x = torch.stack([torch.rand(448, 64, generator=generator(seed)) for seed in range(5)]).to(device)
final = {}
for experiment, (y, grids) in tables.items():
    zeros = [{"w": torch.zeros(64, 127, device=device)}] * 5
    final[experiment] = race(linear, zeros, x, y.to(device), [slice(None)] * 60, grids)
    enter(experiment, grids, {n: losses.mean(dim=2) for n, losses in final[experiment].items()})

# %% tags=["demo"]
fig, ax = plt.subplots()
sizes = [64, 32, 16, 8, 4, 2, 1]
print(f"every loss starts at ln 127 = {math.log(127):.2f}; the last one, by size of class:")
print("examples " + "".join(f"{size:6}" for size in sizes))
for name, losses in final["E heavy-tailed classes"].items():
    k = losses.mean(dim=(1, 2)).nan_to_num(nan=torch.inf).argmin()
    by_size = losses[k].view(5, 7, 64).mean(dim=2)  # each size of class has 64 examples in all
    label = figures.METHODS[name]["label"]
    figures.band(sizes, by_size, label=label, method=name, ax=ax)
    print(f"{label:9}" + "".join(f"{loss:6.1f}" for loss in by_size.mean(dim=0)))
ax.set(xlabel="examples of the class", ylabel="training loss", xscale="log", xlim=(80, 0.8))
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
figures.label_lines(ax)
figures.describe(fig, "Training loss in experiment E against the number of examples of a class, "
                 "mean and range of five seeds. Momentum lies between 1.4 and 1.7 for classes of "
                 "every size. Adam is at 1.2 for the largest class, near momentum for classes of "
                 "16, and at 0 for single examples.")
plt.show()

# %% [markdown]
# **Read the figure.** (Mean and range of five seeds; each size of class has 64 examples in all.) Momentum is at 1.4 to 1.7 throughout. Adam leads on the largest (1.2), is alike on those of 16, and has finished the single ones: 0.0. In the control momentum is far ahead, and at ten times the rate, 20 against 2. So rare classes are no harm in themselves. Beside frequent ones momentum's rate is ten times smaller, and *all* classes are slow. Adam has a rate for each weight, and gains most on the rarest.
#
# This is a result about such data, not about all. Try it: with inputs around zero (`torch.rand(…) - 0.5`) the best rates leave these grids. Widen them before you conclude anything.

# %% [markdown]
# All six at a glance:

# %% tags=["demo"]
fig, ax = plt.subplots(figsize=(7.2, 3.0))
for place, (ratio, _) in enumerate(board.values()):
    look = figures.METHODS["adam" if ratio.max() < 1 else "momentum" if ratio.min() > 1 else "sgd"]
    ax.plot(ratio, [place] * 5, ls="", marker=look["marker"], color=look["color"], ms=8, alpha=0.7)
ax.axvline(1, color="0.4", lw=1)
ax.set(xlabel="training loss of Adam ÷ that of momentum, one mark per seed",
       xscale="log", ylim=(5.6, -0.6))
ax.set_xticks([0.25, 0.5, 1, 2, 4, 8, 16], ["¼", "½", "1", "2", "4", "8", "16"])
ax.minorticks_off()
ax.set_yticks(range(6), board)
figures.describe(fig, "The six experiments, five seeds each, by the ratio of both losses. In A, D "
                 "and E all seeds are below 1, Adam is ahead; in B and F all are above 1, momentum "
                 "is ahead; in C they lie on both sides.")
plt.show()
for name in ("momentum", "adam"):
    used = [best[name] for _, best in board.values()]
    print(f"best rates, {figures.METHODS[name]['label']:8}  {min(used):g} to {max(used):g}, "
          f"a factor of {max(used) / min(used):.0f}")

# %% [markdown]
# (Crosses: Adam lower in all five, squares: momentum, circles: mixed.) One more number for the reliable defaults: over the six problems the best rate of momentum moves by a factor of 67, Adam's by 10. One default fits more problems, though here neither is near 0.001.

# %% [markdown]
# **Exercise 7.4 (3 points).** Mark each experiment by this rule, alone, with what the last column of its row says. The conjecture expects a lead of Adam in D, and in no other.
#
# - `"silent"`: no method has the lower loss in all five seeds;
# - else `"supports"` if the outcome is what the conjecture expects,
# - or `"against"` if it is not.
#
# Your rows stand in an order of your own, drawn from your id: write it into the first line.

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
evidence_board = ["against", "supports", "silent", "supports", "against", "supports"]
### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Two questions for each row. First: does the last column name a method? If not, you are done.</details>
# <details><summary>Hint 2</summary>Second: did the conjecture expect Adam to be ahead here? Compare that with the method that is named.</details>
# <details><summary>Hint 3</summary>"Momentum in all five" on an old architecture is what the conjecture expects; "Adam in all five" there is what it does not.</details>

# %% nbgrader={"grade": true, "grade_id": "evidence_board", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check_answer("evidence_board", evidence_board, student)

# %% [markdown]
# ## 7.7  The rule is blind; now you judge
#
# Say that more experiments support the conjecture than speak against it: is it then probably true? Counting votes is not weighing evidence. An outcome that two explanations predict alike decides nothing between them, however often it is found.
#
# **Exercise 7.5 (4 points, read by a person).** In at most 150 words, in the cell below: is everything engineered around Adam?
#
# 1. Which *one* experiment tells most, for or against, and why? Give its numbers.
# 2. Choose one that "supports". How could it have come out like this although the conjecture is wrong?
# 3. Name one limit of these six experiments.
# 4. Which experiment would you do next, and which outcome would change your mind?

# %% [markdown] nbgrader={"grade": true, "grade_id": "adam_conjecture", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# **Your answer** (write it in place of the line below):
#
# ### BEGIN SOLUTION
# E tells most: in a linear model nothing can have been bred for Adam, yet its loss is 0.9 against 1.6, in all five seeds. In F, the same model with equal classes, momentum wins, 0.0067 against 0.15. So the data make the lead, not an architecture. D "supports", but attention may suit Adam whoever designed it. All six are tiny and short, and C turned on one rate of the grid. Next: a recurrent language model, older than Adam, on text with and without its rare words. If Adam led in neither, but in attention on both, I would believe the conjecture.
#
# **Marking**
#
# | points | for |
# |--:|:--|
# | 1 | one experiment with its numbers, and a reason that uses what is special about it (E: no architecture to be bred; E with F: only the data differ; B: the usual network, momentum ahead). A vote count alone: 0. |
# | 1 | another explanation that predicts the *same* outcome (D: properties of attention itself, rare pixels, momentum's cliff at 0.5 without warm-up; B, F: small balanced problems suit momentum; F was chosen as a control). |
# | 1 | a limit that could turn a result round: size, five epochs, the grid (C), β's not tuned, training loss only, which networks were chosen, one data set. "More data" without a reason: ½. |
# | 1 | an experiment with a stated outcome that would change the writer's mind. Without the outcome: ½. |
# | –½ | once, for a wrong number, a claim of proof, or more than 200 words. Position and style are free. |
# ### END SOLUTION

# %% [markdown]
# ## 7.8  A loaded optimizer trusts the order of its parameters
#
# Momentum and Adam have a state, so it is saved with the model (notebooks 3 and 6). `state_dict` does not know names: the state is stored by *position*. What if the parameters are handed over in another order after the restart, and the shapes happen to fit?
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

# %% [markdown]
# Forgetting is seen at once: the loss triples. The wrong order is *not* seen: no error, no jump, in this step even a lower loss than with the right state. It is just not the run that you saved, and no message will tell you. So build the optimizer from the same list in the same order, and compare a few steps with the run that was not interrupted (notebook 3).

# %% tags=["demo"]
old = torch.optim.Adam([torch.zeros(3, requires_grad=True)], lr=0.01)
new = torch.optim.Adam([torch.zeros(3, requires_grad=True)], lr=0.0001)  # gently now: fine-tuning
new.load_state_dict(old.state_dict())
print("rate after loading:", new.param_groups[0]["lr"])

# %% [markdown]
# The other surprise: the state holds the *arguments* of the groups, too. The rate that you typed is gone. Set it after loading.

# %% [markdown]
# ## 7.9  On a GPU: the same lines, larger numbers
#
# An update is a few operations per parameter. A network with a hundred parameter tensors then starts several hundred tiny kernels per step, and on a GPU starting them takes longer than running them. `foreach=True` handles all tensors of a group in each operation, `fused=True` the whole update in one. Results agree to rounding. By default PyTorch takes `foreach` on a GPU; on a CPU it loops.

# %% tags=["demo", "nbval-ignore-output"]
def timed(data, sizes, steps=20, **kind):
    """Microseconds per step of Adam, both passes left out; the weights after the first step."""
    torch.manual_seed(0)
    layers = [f for n, m in zip(sizes, sizes[1:]) for f in (torch.nn.Linear(n, m), torch.nn.ReLU())]
    net = torch.nn.Sequential(*layers[:-1]).to(device)
    optimizer, spent = torch.optim.Adam(net.parameters(), lr=0.001, **kind), 0.0
    wait = torch.accelerator.synchronize if device.type != "cpu" else lambda: None
    for step in range(steps):
        F.cross_entropy(net(data.x[:256]), data.y[:256]).backward()  # adds up: only the time counts
        wait()
        begin = time.perf_counter()
        optimizer.step()
        wait()
        spent += time.perf_counter() - begin
        if step == 0:
            first = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
    return spent / steps * 1e6, first


sizes = [64, *[64 if device.type == "cpu" else 1024] * 20, 10]
results = {"tensor by tensor": timed(data, sizes, foreach=False),
           "foreach": timed(data, sizes, foreach=True), "fused": timed(data, sizes, fused=True)}
for how, (duration, weights) in results.items():
    same = torch.allclose(weights, results["tensor by tensor"][1], atol=1e-6)
    print(f"{how:17}{duration:7.0f} µs per step, same first step to 1e-6: {same}")

# %% [markdown]
# The times are those of the machine that this ran on; the step is the same in all three. The more tensors there are, and the smaller each of them, the more is saved.
#
# The next cell needs a GPU: MNIST, 50,000 pictures of 28 × 28 pixels to train on, a network with 1.6 million weights, and Adam with `fused=True`. It downloads 15 MB once. Without a GPU it says so and goes on; you miss a training run, but no idea.

# %% tags=["demo", "nbval-ignore-output"]
if device.type == "cpu":
    print("No GPU here: skipped. On one, this cell trains on MNIST.")
else:
    try:
        big = mnist(device, validation=10_000)
    except (ConnectionError, ValueError) as error:
        print(error)
    else:
        net = mlp(hidden=2048, device=device, n_features=784)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=True)
        begin = time.perf_counter()
        history = train(net, optimizer, big, epochs=10, batch_size=512, progress=True)
        print(f"{time.perf_counter() - begin:.0f} s, "
              f"validation accuracy {history.val_accuracy[-1]:.1%}, "
              f"test accuracy {history.test_accuracy[-1]:.1%}")

# %% [markdown]
# With a GPU you can also repeat section 7.4 on MNIST: `sweep(…, data=big, hidden=512, batch_size=512)`. Expect the same picture, four valleys in four places; but that is a prediction, and now you know what those are worth untested.
#
# ## What to remember
#
# - Every argument belongs to a formula. RMSprop's `alpha` is the lecture's $\beta$; `nesterov` is an argument.
# - At one shared rate a comparison measures where the valleys lie. Tune each method alike, on validation data, with seeds, inside the grid.
# - Tuned, four optimizers ended within one percentage point. Adaptive methods needed fewer tries.
# - Whether Adam or momentum is ahead changed with the data alone (E, F).
# - State is stored by position, and brings its old rate along.

# %% tags=["demo"]
scoreboard("07")

# %% [markdown]
# The four points of exercise 7.5 are given by hand and not counted here.
#
# **References**
#
# - F. Orabona, [Neural networks (maybe) evolved to make Adam the best optimizer](https://parameterfree.com/2020/12/06/neural-network-maybe-evolved-to-make-adam-the-best-optimizer/), blog post, 6 December 2020: the conjecture.
# - D. Choi et al., [On empirical comparisons of optimizers for deep learning](https://arxiv.org/abs/1910.05446), 2019.
# - R. M. Schmidt, F. Schneider, P. Hennig, [Descending through a crowded valley: benchmarking deep learning optimizers](https://arxiv.org/abs/2007.01547), ICML 2021.
# - F. Kunstner et al., [Heavy-tailed class imbalance and why Adam outperforms gradient descent on language models](https://arxiv.org/abs/2402.19449), NeurIPS 2024.
# - PyTorch, [torch.optim](https://docs.pytorch.org/docs/stable/optim.html): all arguments.
#
# **Next:** [8 Midterm practice](08_midterm_practice.ipynb)
