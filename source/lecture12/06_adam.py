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
# # 6  Adam
#
# A great many networks are trained by five lines, and one of them is missing in many places, the lecture notes among them. You will see what it is for, write Adam as a rule and as a real PyTorch optimizer, and break it.
#
# **60 minutes · 15 points.** Afterwards you can
#
# - write Adam and AdamW from memory, and name every default;
# - say what happens without bias correction, and be right about the direction;
# - write a `torch.optim.Optimizer` that can be saved, loaded and scheduled.

# %%
from copy import deepcopy

import matplotlib.pyplot as plt
import torch

from lecture_utils import figures
from lecture_utils.checks import check, passed, scoreboard
from lecture_utils.data import digits
from lecture_utils.devices import generator, pick_device
from lecture_utils.stacked import sweep
from lecture_utils.training import RuleOptimizer, mlp, train

figures.setup()
device = pick_device()
data = digits(device)

# %% [markdown]
# ## 6.1  Two averages: which way, and how large
#
# Adam keeps two moving averages for each weight: of the gradient, as momentum does, and of its square, as RMSProp does.
#
# $$m \leftarrow \beta_1 m + (1-\beta_1)\,\nabla L, \qquad r \leftarrow \beta_2 r + (1-\beta_2)\,(\nabla L)^2$$
#
# Both start at 0. $m$ says which way, $\sqrt r$ how large gradients usually are, and the step is about $\eta\, m/\sqrt r$.
#
# **Predict.** The gradient of one weight is always 5, that of a second changes between 5 and −5, that of a third is noise of size 5. How long are their steps in the long run, in units of $\eta$?

# %% tags=["demo"]
streams = {"always 5": torch.full((5000, 1), 5.0),
           "5, −5, 5, …": torch.tensor([5.0, -5.0]).repeat(2500)[:, None],
           "noise": 5 * torch.randn(5000, 1000, generator=generator(0))}
for name, grads in streams.items():
    m, r, velocity = (torch.zeros(grads.shape[1]) for _ in range(3))
    for grad in grads:
        m, r = 0.9 * m + 0.1 * grad, 0.999 * r + 0.001 * grad**2
        velocity = 0.9 * velocity + 0.01 * grad  # momentum of the lecture notes, η = 0.01
    step = (m / r.sqrt()).square().mean().sqrt()
    print(f"{name:11}: step of {step:.2f} η;  velocity / m = {(velocity / m).mean():.3f}")

# %% [markdown]
# The full $\eta$ where all gradients agree, much less where they contradict each other.
#
# > Lecture notes ▸ corrected: the notes equate $m$ with the velocity of momentum. From rest and at a constant rate, velocity $=\frac{\eta}{1-\alpha}\,m$ (above: $0.1\,m$): the rate has moved into the final step, and $m$ is an average where the velocity is a sum. Momentum 0.9 makes steps of up to $10\,\eta$ times the gradient; Adam's are about $\eta$ or shorter, whatever the size of the gradient ([Kingma & Ba 2015](https://arxiv.org/abs/1412.6980), algorithm 1).

# %% tags=["demo"]
for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop):
    defaults = kind([torch.zeros(1)]).defaults
    names = "lr", "betas", "alpha", "momentum", "eps", "weight_decay"
    print(kind.__name__, {name: defaults[name] for name in names if name in defaults})

# %% [markdown]
# The names are a trap of their own:
#
# | here | lecture notes | `torch.optim.Adam` | `torch.optim.RMSprop` |
# |:--|:--|:--|:--|
# | $\eta$ | $\eta$ | `lr` | `lr` |
# | $\beta_1$, memory of $m$ | $\alpha$ | `betas[0]` | `momentum` (a sum) |
# | $\beta_2$, memory of $r$ | $\beta$ | `betas[1]` | `alpha` |
#
# The paper has $\alpha$ for $\eta$ and $v$ for $r$.
#
# > Lecture notes ▸ corrected: 0.9 and 0.999 are Adam's $\beta_1$ and $\beta_2$, not "the $\alpha$ and $\beta$ in the RMSProp equation".

# %% [markdown]
# ## 6.2  Without bias correction the first steps are too *big*
#
# Both averages start at zero, so both are too small at first. With a constant gradient $m$ falls short by the factor $1-\beta_1^t$, and $r$ by $1-\beta_2^t$. What counts is the step, $\eta\,m/\sqrt r$.
#
# **Predict.** With the defaults, is the first step smaller than $\eta$, equal, or larger? By what factor? Write it down.

# %% [markdown]
# **Exercise 6.1 (2 points).** When all gradients agree, a step should have length $\eta$. Return how many times longer the uncorrected one is.

# %% nbgrader={"grade": false, "grade_id": "bias_correction_overshoot-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def bias_correction_overshoot(t, beta1, beta2):
    """How many times too long Adam's step is without bias correction.

    The gradient is constant, eps is 0.
    t: tensor of step numbers, counted from 1.   beta1, beta2: floats.
    Returns a tensor of the shape of t.
    """
    ### BEGIN SOLUTION
    return (1 - beta1**t) / torch.sqrt(1 - beta2**t)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>For a constant gradient g: m = (1 − β₁ᵗ) g, and r = (1 − β₂ᵗ) g².</details>
# <details><summary>Hint 2</summary>Put both into m/√r. The right step would be g/√(g²).</details>
# <details><summary>Hint 3</summary>The shortfall of m, over the root of the shortfall of r. <code>beta1**t</code> works for a tensor t.</details>

# %% nbgrader={"grade": true, "grade_id": "bias_correction_overshoot", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(bias_correction_overshoot)

# %% tags=["demo"]
if passed("bias_correction_overshoot"):
    t = torch.arange(1, 3001, dtype=torch.float64)
    ratio = bias_correction_overshoot(t, 0.9, 0.999)
    ax = figures.curve(t, ratio, x="step t", y="uncorrected / corrected step", log="x",
                       alt="The ratio starts at 3.2, peaks at 6.6 at step 12, and is still 1.3 at "
                       "step 1000.")
    ax.axhline(1, color="0.6", lw=1)
    ax.set_ylim(0, 7.4)
    ax.annotate(f"peak {ratio.max():.2f} at t = {ratio.argmax() + 1}", (14, 6.8), color="0.3")
    plt.show()
    print(f"t = 1: {ratio[0]:.2f},   peak: {ratio.max():.2f} at t = {ratio.argmax() + 1},   "
          f"t = 1000: {ratio[999]:.2f}")

# %% [markdown]
# **Read the figure.** "Too small" would be right for $m$ alone. But $r$ warms up a hundred times more slowly, and we divide by its root. Step 1000 is still a quarter too long.
#
# Adam therefore divides both averages by the factor that they fall short by, with $t$ counted from 1:
#
# $$\hat m = \frac{m}{1-\beta_1^{\,t}}, \qquad \hat r = \frac{r}{1-\beta_2^{\,t}}, \qquad w \leftarrow w - \eta\,\frac{\hat m}{\sqrt{\hat r} + \varepsilon}$$
#
# $m$ and $r$ themselves are kept *uncorrected*. (Lecture notes ▸ corrected: the notes' Adam lacks this line; algorithm 1 of Kingma & Ba has it.)

# %% [markdown]
# ## 6.3  Adam in five lines
#
# **Exercise 6.2 (5 points).** Write one step. `t` is the number of steps *already taken*: the first call gets `t = 0` and returns 1. $\varepsilon$ stands outside the root.

# %% nbgrader={"grade": false, "grade_id": "adam_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    """One step of Adam with bias correction (Kingma & Ba 2015, algorithm 1).

    w, grad, m, r: tensors of one shape; m and r are zeros before the first step.
    t: how many steps were taken before, an int, 0 at first.   lr, beta1, beta2, eps: floats.
    Returns (w, m, r, t): the new weights, the new averages (not corrected), and t + 1.
    """
    ### BEGIN SOLUTION
    t = t + 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad**2
    m_hat, r_hat = m / (1 - beta1**t), r / (1 - beta2**t)
    return w - lr * m_hat / (r_hat.sqrt() + eps), m, r, t
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>The order: count t up, update m and r, make corrected copies, step.</details>
# <details><summary>Hint 2</summary>With t = 1 in the first step, <code>1 - beta1**t</code> is 1 − β₁, and the corrected m is exactly the gradient.</details>
# <details><summary>Hint 3</summary><code>lr * m_hat / (r_hat.sqrt() + eps)</code>: brackets around the denominator. Return m and r, not their corrected copies.</details>

# %% nbgrader={"grade": true, "grade_id": "adam_step", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(adam_step)

# %% [markdown]
# **Predict.** How long is the very first step of Adam, whatever the gradient? And if the gradient is as tiny as $\varepsilon$?

# %% tags=["demo"]
if passed("adam_step"):
    for gradient in (1000.0, 1.0, 1e-4, 1e-6, 1e-8, 1e-10):
        grad, w, m, r = (torch.tensor(x, dtype=torch.float64) for x in (gradient, 0.0, 0.0, 0.0))
        w, *_ = adam_step(w, grad, m, r, 0, 0.001, 0.9, 0.999, 1e-8)
        inside = gradient / (gradient**2 + 1e-8) ** 0.5
        print(f"gradient {gradient:7.0e}:  first step {-w / 0.001:.3f} η,  "
              f"with ε inside the root {inside:.3f} η")

# %% [markdown]
# It is $\eta$, until the gradient comes near $\varepsilon$ and the step fades. Libraries put $\varepsilon$ in different places. Inside the root, $\sqrt{\hat r + \varepsilon}$, the same $10^{-8}$ acts already at gradients of $10^{-4}$; Keras adds it to the root of the uncorrected $r$.
#
# Now train the network with your rule, and once more without the correction. `sweep` takes your function as it is and runs all rates and five seeds at once.

# %% tags=["demo"]
def uncorrected_step(w, grad, m, r, lr, beta1, beta2, eps):
    """Adam as if it were at step 10⁹, where the correction divides by 1."""
    return adam_step(w, grad, m, r, 10**9, lr, beta1, beta2, eps)[:3]


if passed("adam_step"):
    rates = [0.001, 0.003, 0.01, 0.03, 0.06, 0.1]
    common = dict(lrs=rates, seeds=range(5), data=data, epochs=10, beta1=0.9, beta2=0.999, eps=1e-8)
    right = sweep(adam_step, state=(0.0, 0.0, 0), **common).train_loss[:, :, -1]
    wrong = sweep(uncorrected_step, state=(0.0, 0.0), **common).train_loss[:, :, -1]
    fig, ax = plt.subplots()
    figures.band(rates, right.T, label="your Adam", method="adam", ax=ax)
    figures.band(rates, wrong.T, label="uncorrected", ax=ax)
    ax.set(xlabel="learning rate η", ylabel="training loss after 10 epochs")
    ax.loglog()
    figures.label_lines(ax)
    figures.describe(fig, "Training loss after ten epochs against the learning rate, mean and "
                     "range of five seeds. The uncorrected curve is shifted to smaller rates: up "
                     "to 0.01 it is lower; at 0.06, where Adam is still near its best, it fails.")
    plt.show()
    for lr, a, b in zip(rates, right.mean(dim=1), wrong.mean(dim=1)):
        print(f"η = {lr:5}:  your Adam {a:.2g},  uncorrected {b:.2g}")

# %% [markdown]
# **Read the figure.** (Mean and range of five seeds.) The uncorrected curve is *shifted* to smaller rates, and at its best it is even lower: 0.012 at 0.01, Adam's 0.021 at 0.03. (A guess why: all 230 steps lie within the overshoot, which shrinks on the way, like a decaying rate. One task decides nothing.) It helps where the rate is too small; at 0.06 it throws the weights so far out that they do not come back. A longer step is no error in itself: the trouble is a rate that is not the one you set.

# %% [markdown]
# ## 6.4  A real PyTorch optimizer
#
# An optimizer of `torch.optim` is a class with a contract:
#
# - `super().__init__(params, defaults)` makes `self.param_groups`; each group has its own `lr`, which a scheduler may change at any time;
# - `self.state[p]`, a dictionary, keeps what belongs to the parameter `p`;
# - `state_dict()` saves these two, and nothing else;
# - a parameter with `p.grad is None` is skipped;
# - parameters are changed *in place*, under `torch.no_grad()`.

# %% tags=["demo"]
p = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.Adam([p])
p.square().sum().backward()
optimizer.step()
saved = optimizer.state_dict()
print("state:", saved["state"])  # m is exp_avg, r exp_avg_sq; 0 stands for the first parameter
print("group:", {k: saved["param_groups"][0][k] for k in ("params", "lr", "betas", "eps")})

# %% [markdown]
# **Exercise 6.3 (5 points).** Turn your Adam into such a class. You may call your `adam_step`; `p.copy_(new)` writes a tensor into a parameter.

# %% nbgrader={"grade": false, "grade_id": "MyAdam-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
class MyAdam(torch.optim.Optimizer):
    """Adam for several parameters and groups, with the arguments of torch.optim.Adam.

    params: parameters, or a list of group dictionaries.   lr, betas, eps: as in adam_step.
    step() moves every parameter that has a gradient.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self):
        ### BEGIN SOLUTION
        for group in self.param_groups:
            hyper = group["lr"], *group["betas"], group["eps"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state.update(m=torch.zeros_like(p), r=torch.zeros_like(p), t=0)
                w, *new = adam_step(p, p.grad, state["m"], state["r"], state["t"], *hyper)
                state["m"], state["r"], state["t"] = new
                p.copy_(w)
        ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Two loops: over <code>self.param_groups</code>, and over <code>group["params"]</code>. Skip those without a gradient.</details>
# <details><summary>Hint 2</summary><code>state = self.state[p]</code> is an empty dictionary at first: fill in m, r (<code>torch.zeros_like(p)</code>) and t = 0 then. Each parameter has its own t.</details>
# <details><summary>Hint 3</summary>Call <code>adam_step</code> with <code>group["lr"]</code>, <code>*group["betas"]</code>, <code>group["eps"]</code>; put the new m, r and t into the state and the new weights into p with <code>p.copy_(…)</code>.</details>

# %% nbgrader={"grade": true, "grade_id": "MyAdam", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(MyAdam)

# %% [markdown]
# Your optimizer trains the network beside PyTorch's. Half-way it is saved, thrown away, and a new one is loaded.

# %% tags=["demo"]
if passed("MyAdam"):
    mine, theirs = mlp(seed=0, device=device), mlp(seed=0, device=device)
    own, adam = MyAdam(mine.parameters(), lr=0.003), torch.optim.Adam(theirs.parameters(), lr=0.003)
    a = [train(mine, own, data, epochs=5, seed=0)]
    saved = own.state_dict()
    own = MyAdam(mine.parameters(), lr=0.003)
    own.load_state_dict(saved)
    a.append(train(mine, own, data, epochs=5, seed=1))
    b = [train(theirs, adam, data, epochs=5, seed=seed) for seed in (0, 1)]
    gap = max((p - q).abs().max().item() for p, q in zip(mine.parameters(), theirs.parameters()))
    print(f"after 230 steps all weights agree to 1e-4: {gap < 1e-4}")
    print(f"test accuracy: yours {a[1].test_accuracy[-1]:.1%}, "
          f"PyTorch's {b[1].test_accuracy[-1]:.1%}")
    curve_a, curve_b = (torch.cat([h[0].train_loss, h[1].train_loss[1:]]) for h in (a, b))
    ax = figures.curve(range(11), curve_a, x="epoch", y="training loss", log="y", method="adam",
                       label="line: MyAdam",
                       alt="Training loss over ten epochs of your own Adam, a line, and of "
                       "torch.optim.Adam, rings. Every ring lies on the line.")
    ax.plot(range(11), curve_b, "o", ms=11, mfc="none", mec="#D55E00")
    ax.annotate("rings: torch.optim.Adam", (3.0, 1.0), color="#D55E00")
    plt.show()

# %% [markdown]
# Two programs, one curve, over a change of optimizer half-way. What if the state is *not* loaded?
#
# **Predict.** Train for five epochs, then go on with a fresh Adam. What do $m$, $r$ and $t = 0$ do to the first steps?

# %% tags=["demo"]
for lr in (0.003, 0.01):
    ratios = {"loaded": [], "forgotten": []}
    for seed in range(10):
        net = mlp(seed=seed, device=device)
        optimizer = torch.optim.Adam(net.parameters(), lr=lr)
        train(net, optimizer, data, epochs=5, seed=seed)
        for kind in ratios:
            again = deepcopy(net)
            other = torch.optim.Adam(again.parameters(), lr=lr)
            if kind == "loaded":
                other.load_state_dict(optimizer.state_dict())
            before, after = train(again, other, data, epochs=1, batch_size=data.n).train_loss
            ratios[kind].append(after / before)
    for kind, values in ratios.items():
        values = torch.stack(values)
        print(f"η = {lr:5}, state {kind:9}: loss after one full-batch step / before "
              f"{values.mean():.2f}, above 1.1 in {(values > 1.1).sum()} of 10 seeds")

# %% [markdown]
# With a fresh state the first step has length $\eta$ in *every* weight whose gradient is well above $\varepsilon$, however small beside the others. At $\eta = 0.003$ that does no harm; at 0.01 this one step raises the loss by 22 % on average. So save the optimizer, too (notebook 3).

# %% [markdown]
# ## 6.5  Where Adam fails, and what came of it
#
# **It can walk to the wrong end.** [Reddi et al. 2018](https://arxiv.org/abs/1904.09237) gave an example in one dimension. The loss on $[-1, 1]$ is $3x$ in every third step and $-x$ in the others. On average it is $x/3$, so the best point is $-1$. We take $\beta_1 = 0$, $\beta_2 = 0.1$ and $\eta_t = 0.1/\sqrt t$. AMSGrad divides by the root of the *largest* $r$ so far.
#
# **Predict.** The large gradient comes once, the small ones twice. Where does Adam go, given that it divides by the size?

# %% tags=["demo"]
if passed("adam_step"):
    xs = [torch.zeros((), requires_grad=True) for _ in range(3)]
    common = dict(state=(0.0, 0.0, 0), lr=0.1, beta1=0.0, eps=1e-8)
    walkers = {"your Adam": RuleOptimizer([xs[0]], adam_step, beta2=0.1, **common),
               "AMSGrad": torch.optim.Adam([xs[1]], betas=(0.0, 0.1), amsgrad=True),
               "your Adam, β₂ = 0.9": RuleOptimizer([xs[2]], adam_step, beta2=0.9, **common)}
    paths = {name: [] for name in walkers}
    for x, (name, optimizer) in zip(xs, walkers.items()):
        steps = []
        for t in range(2000):
            before, lr = x.item(), 0.1 / (t + 1) ** 0.5
            x.grad, optimizer.param_groups[0]["lr"] = torch.tensor(-1.0 if t % 3 else 3.0), lr
            optimizer.step()
            steps.append((x.item() - before) / lr)
            x.data.clamp_(-1, 1)
            paths[name].append(x.item())
        print(f"{name:19} ends at {x:+.2f}, last steps", *(f"{s:+.2f} η" for s in steps[-3:]))
    figures.curve(range(1, 2001), paths, x="step", y="x", log="x",
                  alt="Adam with β₂ = 0.1 walks to +1, the worst point; AMSGrad, and Adam with "
                  "β₂ = 0.9, walk to −1, the best.")
    plt.show()

# %% [markdown]
# **Read the figure.** To the *worst* point. The large gradient makes $r$ large at once, and its step is only $-1.05\,\eta$; the two small ones, over a smaller $r$, make $+0.76\,\eta$ and $+0.97\,\eta$. AMSGrad does not forget: there the large one wins. With $\beta_2 = 0.9$ Adam gets *this* loss right, but Reddi et al. construct one for every $\beta_2 < 1$. It has no guarantee, even on convex problems.

# %% [markdown]
# **Weight decay.** To keep weights small one adds $\frac{\lambda}{2}\lVert w\rVert^2$ to the loss, so $\lambda w$ to the gradient (L2; `weight_decay` in `torch.optim.Adam`). Does it matter how large the gradients are? 1,000 weights start at 1 and get gradients of pure noise, of three sizes, for 2,000 steps with $\eta = 0.001$, $\lambda = 0.1$. Decay alone would leave $(1-\eta\lambda)^{2000} = 0.82$.
#
# **Predict.** For which size of the gradients does L2 decay most?

# %% tags=["demo"]
def mean_weight(rule, scale, l2=0.0, **decay):
    """The mean of 1,000 weights, all 1 at first, after 2,000 steps with noise as gradients."""
    random, w, m, r, t = generator(0), torch.ones(1000), torch.zeros(1000), torch.zeros(1000), 0
    for _ in range(2000):
        grad = scale * torch.randn(1000, generator=random) + l2 * w
        w, m, r, t = rule(w, grad, m, r, t, 0.001, 0.9, 0.999, 1e-8, **decay)
    return w.mean()


print(f"decay alone: {(1 - 0.001 * 0.1) ** 2000:.2f}")
if passed("adam_step"):
    for scale in (0.01, 1.0, 100.0):
        left = mean_weight(adam_step, scale, l2=0.1)
        print(f"gradients of size {scale:6}:  L2 leaves {left:.2f}")

# %% [markdown]
# Almost everything is lost, or almost nothing; size 1 is right by accident. Adam divides the gradient by $\sqrt r$, and this term with it. **AdamW** takes the decay out of the gradient ([Loshchilov & Hutter 2019](https://arxiv.org/abs/1711.05101); here in PyTorch's form, where $\eta$ multiplies the decay, too):
#
# $$w \leftarrow w - \eta\lambda w, \qquad \text{then one step of Adam.}$$
#
# **Exercise 6.4 (3 points).** Write it, with the help of `adam_step`.

# %% nbgrader={"grade": false, "grade_id": "adamw_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    """One step of AdamW: the weights decay first, then take a step of Adam; the gradient stays.

    weight_decay: λ, a float. All else, and what is returned, as in adam_step.
    """
    ### BEGIN SOLUTION
    w = w - lr * weight_decay * w
    return adam_step(w, grad, m, r, t, lr, beta1, beta2, eps)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Two lines: the first formula above, then a call of <code>adam_step</code>.</details>
# <details><summary>Hint 2</summary>The decay takes the share lr · weight_decay of each weight away. The gradient is not touched.</details>
# <details><summary>Hint 3</summary><code>w = w - lr * weight_decay * w</code></details>

# %% nbgrader={"grade": true, "grade_id": "adamw_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(adamw_step)

# %% tags=["demo"]
if passed("adam_step", "adamw_step"):
    for scale in (0.01, 1.0, 100.0):
        left = mean_weight(adamw_step, scale, weight_decay=0.1)
        print(f"gradients of size {scale:6}:  AdamW leaves {left:.2f}")

# %% [markdown]
# AdamW decays as promised, at any scale. Mind when you compare: `AdamW` has `weight_decay=0.01` by default, `Adam` has 0, so changing one for the other changes two things.
#
# ## What to remember
#
# - $m$: average of gradients, $r$: average of squares; divide by $\sqrt r$, $\varepsilon$ outside.
# - Uncorrected steps are too *long*: 3.2 times at first, 6.6 times at step 12. Divide by $1-\beta^t$, and keep $m$ and $r$ uncorrected.
# - The first step is $\eta$ in nearly every weight, whatever its gradient. Save the optimizer's state.
# - State belongs in `self.state[p]`, rates are read from the group.
# - AdamW decays the weights, not the gradient.

# %% tags=["demo"]
scoreboard("06")

# %% [markdown]
# **References**
#
# - D. P. Kingma, J. Ba, [Adam: a method for stochastic optimization](https://arxiv.org/abs/1412.6980), ICLR 2015.
# - S. J. Reddi, S. Kale, S. Kumar, [On the convergence of Adam and beyond](https://arxiv.org/abs/1904.09237), ICLR 2018.
# - I. Loshchilov, F. Hutter, [Decoupled weight decay regularization](https://arxiv.org/abs/1711.05101), ICLR 2019.
#
# **Next:** [7 Optimizers in PyTorch](07_optimizers_in_pytorch.ipynb)
