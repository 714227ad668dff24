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
# A great many networks are trained by five lines, and one of them is missing in many places, the lecture notes among them. You will see what it is for, write Adam as a rule and as a real PyTorch optimizer, and find its limits.
#
# **65 minutes · 15 points.** *Deeper* adds 15 minutes; nothing in it is graded. Afterwards you can
#
# - write Adam and AdamW from memory, and name every default;
# - say what happens without bias correction, and be right about the direction;
# - write a `torch.optim.Optimizer` that can be saved, loaded and scheduled.

# %% [markdown]
# **Where we are.** Momentum remembers directions. RMSProp gives each weight a rate of its own.
#
# **What is missing.** Both in one rule, and control over the length of a step. RMSProp's first step was ten times $\eta$, and a step can be too long even when its direction is right.

# %%
from copy import deepcopy
from dataclasses import replace

import torch

from lecture_utils import figures
from lecture_utils.checks import check, passed, scoreboard
from lecture_utils.data import digits
from lecture_utils.devices import generator, pick_device
from lecture_utils.landscapes import RAVINE, descend
from lecture_utils.stacked import sweep
from lecture_utils.training import RuleOptimizer, mlp, train

figures.setup()
device = pick_device()
data = digits(device)

# %% [markdown]
# ## 6.1  Two averages
#
# Adam keeps two moving averages for each weight, both 0 at first.
#
# - $r$ is the mean square of the gradient, as in RMSProp. Its memory is called $\beta_2$.
# - $m$ is the mean of the gradient itself. Its memory is $\beta_1$.
#
# $m$ says which way, $\sqrt r$ how large gradients usually are, and the step is about $\eta\, m/\sqrt r$.
#
# **Predict.** The gradient of one weight is always 5. That of a second changes between 5 and −5, and that of a third is noise of size 5. How long are their steps in the long run, in units of $\eta$?
#
# **Your turn** (not graded). Write the two averages, with memories 0.9 and 0.999.

# %% nbgrader={"grade": false, "grade_id": "two_averages-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
streams = {"always 5": torch.full((5000, 1), 5.0),
           "5, −5, 5, …": torch.tensor([5.0, -5.0]).repeat(2500)[:, None],
           "noise": 5 * torch.randn(5000, 1000, generator=generator(0))}
for name, grads in streams.items():
    m, r, velocity = (torch.zeros(grads.shape[1]) for _ in range(3))
    for grad in grads:
        velocity = 0.9 * velocity + 0.01 * grad  # momentum of notebook 4, with η = 0.01
        ### BEGIN SOLUTION
        m = 0.9 * m + (1 - 0.9) * grad
        r = 0.999 * r + (1 - 0.999) * grad**2
        ### END SOLUTION
    step = (m / r.sqrt()).square().mean().sqrt()
    print(f"{name:11}: step of {step:.2f} η;  velocity / m = {(velocity / m).mean():.3f}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# The full $\eta$ where all gradients agree, 0.05 $\eta$ where they contradict each other, and 0.23 $\eta$ under pure noise. Note the last one: it does not depend on how large the noise is. Near a minimum, where gradients are nearly all noise, Adam's steps do not get shorter by themselves. At a constant rate the weights go on jittering, with steps of about a quarter of $\eta$.
#
# </details>
#
# > Lecture notes ▸ corrected: the notes write momentum's velocity "as" $m$. Adam's $m$ is an average, the velocity is a sum with the rate inside. From rest and at a constant rate, velocity $=\frac{\eta}{1-\alpha}\,m$ (above: $0.1\,m$). Adam applies the rate later, in the step.

# %% [markdown]
# **Predict.** A weight has a gradient of 0.01 for 3000 steps, then of 1. Are the next steps of Adam about $\eta$ long, shorter, or longer?

# %% tags=["demo"]
p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
optimizer, lengths = torch.optim.Adam([p], lr=0.001), []
for t in range(1, 3301):
    p.grad = torch.full_like(p, 0.01 if t <= 3000 else 1.0)
    before = p.item()
    optimizer.step()
    lengths.append((before - p.item()) / 0.001)
longest = max(lengths)
print(f"step 3000: {lengths[2999]:.2f} η,  step 3001: {lengths[3000]:.1f} η,  "
      f"longest {longest:.1f} η at step {lengths.index(longest) + 1}")
print(f"step 3300: {lengths[-1]:.1f} η")
ax = figures.curve(range(2990, 3301), lengths[2989:], x="step", y="length of the step / η",
                   ylim=(0, 7.5), lines={"the gradient jumps": 3000.5}, figure="after_a_jump")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Longer: 3.2 times $\eta$ at once, 6.4 times a little later, and still 1.9 times at step 3300. $m$ follows the new gradient within some ten steps, and $r$ needs a thousand. Until then we divide by a size that is out of date. This is one reason for **gradient clipping**: many large models shorten a gradient whose norm is above a limit before Adam sees it (`torch.nn.utils.clip_grad_norm_`).
#
# </details>
#
# So Adam's steps are about $\eta$ or shorter only as long as gradients keep their size. The names are a trap of their own:
#
# | here | lecture notes | `torch.optim.Adam` | default | `torch.optim.RMSprop` |
# |:--|:--|:--|--:|:--|
# | $\eta$ | $\eta$ | `lr` | 0.001 | `lr` |
# | $\beta_1$, memory of $m$ | $\alpha$ | `betas[0]` | 0.9 | `momentum` (a sum) |
# | $\beta_2$, memory of $r$ | $\beta$ | `betas[1]` | 0.999 | `alpha` |
# | $\varepsilon$ | $\epsilon$ | `eps` | 1e-8 | `eps` |
#
# The paper ([Kingma & Ba 2015](https://arxiv.org/abs/1412.6980)) has $\alpha$ for $\eta$ and $v$ for $r$.

# %% [markdown]
# ## 6.2  The first steps
#
# Both averages start at zero, so both are too small at first. Take a weight whose gradient is always the same. Its steps should have the length $\eta$. Without any correction, they have the length $\eta\,m/\sqrt r$.
#
# **Predict.** With the defaults 0.9 and 0.999: is the first step shorter than $\eta$, equal, or longer? By what factor? Write it down.
#
# **Exercise 6.1 (2 points).** Return, for each step number $t$, how many times $\eta$ the uncorrected step is long.

# %% nbgrader={"grade": false, "grade_id": "bias_correction_overshoot-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def bias_correction_overshoot(t, beta1, beta2):
    """The length of Adam's step without bias correction, in units of the learning rate.

    The gradient is constant, eps is 0.
    t: tensor of step numbers, counted from 1.   beta1, beta2: floats.
    Returns a tensor of the shape of t.
    """
    ### BEGIN SOLUTION
    return (1 - beta1**t) / torch.sqrt(1 - beta2**t)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Let the gradient be 1. What is m after one step, after two, after three? How much is missing to 1 each time?</details>
# <details><summary>Hint 2</summary>What is missing in m shrinks by the factor β₁ in each step, and was 1 before the first. For r it is β₂. So how large are m and r after t steps?</details>
# <details><summary>Hint 3</summary>After t steps m is 1 − β₁ᵗ. Divide it by the root of the same for r. <code>beta1**t</code> works for a tensor t.</details>

# %% nbgrader={"grade": true, "grade_id": "bias_correction_overshoot", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(bias_correction_overshoot)

# %% tags=["demo"]
if passed("bias_correction_overshoot"):
    t = torch.arange(1, 3001, dtype=torch.float64)
    ratio = bias_correction_overshoot(t, 0.9, 0.999)
    top = ratio.argmax() + 1
    figures.curve(t, ratio, x="step t", y="uncorrected step / η", log="x", ylim=(0, 7.4),
                  lines={f"t = {top}": top}, figure="without_correction")
    print(f"t = 1: {ratio[0]:.2f},   longest: {ratio.max():.2f} at t = {top}")
    print(f"t = 1000: {ratio[999]:.2f}")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Too *long*: 3.16 times at first, and 6.57 times at step 12. "Shorter" would be right for $m$ alone. But $r$ warms up a hundred times more slowly, and we divide by its root. Step 1000 is still a quarter too long.
#
# After $t$ steps $m$ is only $1-\beta_1^{\,t}$ of its final value, and $r$ only $1-\beta_2^{\,t}$.
#
# </details>
#
# The **bias correction** is the missing line. In each step Adam makes corrected copies of $m$ and $r$: it divides each by the share of its final value that it has reached, with $t$ counted from 1. The copies go into the step. $m$ and $r$ themselves are kept as they are.
#
# > Lecture notes ▸ corrected: the notes' Adam has no such correction. Algorithm 1 of Kingma & Ba, and every library, has it.

# %% [markdown]
# ## 6.3  Adam in five lines
#
# Now you have all the parts. Count the step. Update both averages. Make the corrected copies. Then take the step: $\eta$ times the corrected mean, divided by a size. The size is the root of the corrected mean square, with $\varepsilon$ added after the root.
#
# **Exercise 6.2 (5 points).** Write one step. `t` is the number of steps *already taken*: the first call gets `t = 0` and returns 1.

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
# <details><summary>Hint 1</summary>In which order must it be: count, update, correct, step? What would go wrong in the first step with t = 0?</details>
# <details><summary>Hint 2</summary>With t = 1 in the first step, <code>1 - beta1**t</code> is 1 − β₁, so the corrected m is exactly the gradient. Give the corrected copies names of their own.</details>
# <details><summary>Hint 3</summary>The step is <code>lr * m_hat / (… + eps)</code>: brackets around the denominator. Return m and r, not their corrected copies.</details>

# %% nbgrader={"grade": true, "grade_id": "adam_step", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(adam_step)

# %% [markdown]
# **Predict.** How long is the very first step of your Adam, if the gradient is 1000, 1, or as tiny as $\varepsilon = 10^{-8}$?

# %% tags=["demo"]
if passed("adam_step"):
    for gradient in (1000.0, 1.0, 1e-4, 1e-8, 1e-10):
        zero = torch.tensor(0.0, dtype=torch.float64)
        w, *_ = adam_step(zero, zero + gradient, zero, zero, 0, 0.001, 0.9, 0.999, 1e-8)
        print(f"gradient {gradient:7.0e}:  first step {-w / 0.001:.3f} η")

# %% [markdown]
# It is $\eta$, whatever the gradient, until that comes near $\varepsilon$ and the step fades.
#
# **Predict.** Your Adam walks down the ravine with $\eta = 0.2$, once as it is and once without the correction. How do the two paths differ?

# %% tags=["demo"]
def uncorrected_step(w, grad, m, r, lr, beta1, beta2, eps):
    """Adam as if it were at step 10⁹, where the correction divides by 1."""
    return adam_step(w, grad, m, r, 10**9, lr, beta1, beta2, eps)[:3]


if passed("adam_step"):
    walks = {}
    for name, rule, state in (("Adam", adam_step, (0.0, 0.0, 0)),
                              ("uncorrected", uncorrected_step, (0.0, 0.0))):
        walks[name] = path = descend(RAVINE, rule, RAVINE.start, 60, state=state,
                                     lr=0.2, beta1=0.9, beta2=0.999, eps=1e-8)
        x = path[:, 0]
        print(f"{name:11}: x moves by {x[1] - x[0]:.2f} at first, and as far as {x.max():.2f}")
    figures.trajectories(replace(RAVINE, xlim=(-4.5, 2.6)), walks, figure="adam_in_the_ravine")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Both set off at 45° to the axes, like RMSProp. Adam's first step is $\eta$ in each weight. Uncorrected, it is 0.63 long, and the run shoots past the minimum as far as $x = 2.23$. Adam itself goes past by 0.52, because $m$ has the inertia of momentum. Same direction at the start, other lengths: that is all the correction changes.
#
# </details>

# %% tags=["demo"]
if passed("adam_step"):
    mine, theirs = mlp(seed=0, device=device), mlp(seed=0, device=device)
    own = RuleOptimizer(mine.parameters(), adam_step, state=(0.0, 0.0, 0),
                        lr=0.003, beta1=0.9, beta2=0.999, eps=1e-8)
    adam = torch.optim.Adam(theirs.parameters(), lr=0.003)
    a, b = (train(net, o, data, epochs=10, seed=0) for net, o in ((mine, own), (theirs, adam)))
    gap = max((p - q).abs().max().item() for p, q in zip(mine.parameters(), theirs.parameters()))
    print(f"your Adam trains the network: after {len(a.loss)} steps all weights agree with "
          f"torch.optim.Adam to 1e-4: {gap < 1e-4}; test accuracy {a.test_accuracy[-1]:.1%}")

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
# <details><summary>Hint 1</summary>How many parameters can an optimizer have, and where does each one's rate stand? That makes two loops. Which parameters must be left alone?</details>
# <details><summary>Hint 2</summary><code>state = self.state[p]</code> is an empty dictionary at first: fill in m, r (<code>torch.zeros_like(p)</code>) and t = 0 then. Each parameter has its own t.</details>
# <details><summary>Hint 3</summary>Call <code>adam_step</code> with what stands in <code>group</code> and in <code>state</code>. Put the new m, r and t back into the state, and the new weights into p with <code>p.copy_(…)</code>.</details>

# %% nbgrader={"grade": true, "grade_id": "MyAdam", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(MyAdam)

# %% [markdown]
# **Your turn** (not graded). Train a network with `MyAdam` for five epochs and save the optimizer's state. Make a *new* `MyAdam`, load the state into it, and train five epochs more, with `seed=1`. The last lines compare with PyTorch's Adam, which was never replaced.

# %% nbgrader={"grade": false, "grade_id": "replaced_half_way-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
mine = mlp(seed=0, device=device)
### BEGIN SOLUTION
first = MyAdam(mine.parameters(), lr=0.003)
train(mine, first, data, epochs=5, seed=0)
saved = first.state_dict()
second = MyAdam(mine.parameters(), lr=0.003)
second.load_state_dict(saved)
train(mine, second, data, epochs=5, seed=1)
### END SOLUTION
theirs = mlp(seed=0, device=device)
adam = torch.optim.Adam(theirs.parameters(), lr=0.003)
for seed in (0, 1):
    train(theirs, adam, data, epochs=5, seed=seed)
gap = max((p - q).abs().max().item() for p, q in zip(mine.parameters(), theirs.parameters()))
print(f"after 230 steps all weights agree to 1e-4: {gap < 1e-4}")

# %% [markdown]
# The two runs coincide, although your optimizer was replaced half-way: all that it knew was in its state.

# %% [markdown]
# ## 6.5  Two ways to keep weights small
#
# **Weight decay** keeps weights small. One way is to add $\frac{\lambda}{2}\lVert w\rVert^2$ to the loss, and so $\lambda w$ to the gradient. It is called L2, and is what `weight_decay` does in `torch.optim.Adam`.
#
# Does it matter how large the other gradients are? Here 1,000 weights start at 1 and get gradients of pure noise, of three sizes, for 2,000 steps with $\eta = 0.001$ and $\lambda = 0.1$. A decay that takes the share $\eta\lambda$ from each weight in every step would leave 0.82 of it.
#
# **Predict.** For which size of the gradients does L2 take most away?

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
# <details><summary><b>Read the numbers</b></summary>
#
# Almost everything is lost where gradients are small, and almost nothing where they are large. Size 1 comes out right by accident. The decay is in the gradient, and Adam divides the gradient by $\sqrt r$: a weight with small gradients gets a large rate, for the decay, too.
#
# </details>
#
# **AdamW** takes the decay out of the gradient ([Loshchilov & Hutter 2019](https://arxiv.org/abs/1711.05101)). First each weight loses the share $\eta\lambda$ of itself. Then comes a step of Adam, with the gradient as it was. (This is PyTorch's form, where $\eta$ multiplies the decay, too.)
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
# <details><summary>Hint 1</summary>How much of a weight of 2 is left after the decay, if the share that goes is a tenth?</details>
# <details><summary>Hint 2</summary>Two lines: one for the decay of w, then a call of <code>adam_step</code>. The gradient is not touched.</details>
# <details><summary>Hint 3</summary>The share that goes is <code>lr * weight_decay</code>. Take it from w, and hand the smaller w to <code>adam_step</code>.</details>

# %% nbgrader={"grade": true, "grade_id": "adamw_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(adamw_step)

# %% tags=["demo"]
if passed("adam_step", "adamw_step"):
    for scale in (0.01, 1.0, 100.0):
        left = mean_weight(adamw_step, scale, weight_decay=0.1)
        print(f"gradients of size {scale:6}:  AdamW leaves {left:.2f}")
for kind in (torch.optim.Adam, torch.optim.AdamW):
    default = kind([torch.zeros(1)]).defaults["weight_decay"]
    print(f"weight_decay of torch.optim.{kind.__name__} by default: {default}")

# %% [markdown]
# AdamW decays as promised, at any scale. Mind the defaults when you compare: 0.01 for `AdamW`, 0 for `Adam`. If you change one for the other, you change two things.

# %% [markdown]
# ## 6.6  How widely is Adam used
#
# What the papers of some well-known models state:
#
# | year | model | trained with |
# |--:|:--|:--|
# | 2015 | [ResNet](https://arxiv.org/abs/1512.03385) | SGD, momentum 0.9; rate divided by 10 at each plateau |
# | 2018 | [BERT](https://arxiv.org/abs/1810.04805) | Adam, η = 1e-4, β's 0.9 and 0.999, warm-up, linear decay |
# | 2020 | [GPT-3](https://arxiv.org/abs/2005.14165) | Adam, β's 0.9 and 0.95, gradients clipped at norm 1.0, cosine decay |
# | 2020 | [Vision Transformer](https://arxiv.org/abs/2010.11929) | Adam, β's 0.9 and 0.999; fine-tuned by SGD with momentum |
# | 2023 | [LLaMA](https://arxiv.org/abs/2302.13971) | AdamW, β's 0.9 and 0.95, weight decay 0.1, gradients clipped at 1.0, cosine decay |
# | 2025 | [Kimi K2](https://arxiv.org/abs/2507.20534) | MuonClip, which is not an Adam |
#
# Most rows end with a falling rate; 6.1 showed one reason.
#
# At ICLR 2025 Adam's paper received the Test of Time award. More than half of that year's papers mention Adam or AdamW. Of those that mention an optimizer at all, it is almost 90 % ([count by Jolt ML](https://joltml.com/iclr-2025/test-of-time-award)).
#
# > Lecture notes ▸ sharpened: "Most widely used optimization algorithm in DL". By such counts yes, at least up to 2025. Used most is not the same as best: in the benchmark of [Schmidt et al. 2021](https://arxiv.org/abs/2007.01547) no method wins on all tasks. Notebook 7 looks at that.

# %% [markdown]
# ## What to remember
#
# - $m$: average of gradients, $r$: average of squares; divide by $\sqrt r$, with $\varepsilon$ after the root.
# - Without correction the first steps are too *long*: 3.2 times at first, 6.6 times at step 12. Divide by $1-\beta^t$, and keep $m$ and $r$ uncorrected.
# - The first step is $\eta$ in nearly every weight, whatever its gradient. After a sudden jump of the gradient, steps can be several $\eta$ long.
# - State belongs in `self.state[p]`, and rates are read from the group.
# - AdamW decays the weights, not the gradient.

# %% tags=["demo"]
scoreboard("06")

# %% [markdown]
# ## Deeper
#
# Where Adam fails, where libraries differ, and what its state is worth. Nothing here is graded.

# %% [markdown]
# ## 6.7  An example where Adam walks the wrong way
#
# *5 minutes.* [Reddi et al. 2018](https://arxiv.org/abs/1904.09237) gave an example in one dimension. The loss on $[-1, 1]$ is $3x$ in every third step and $-x$ in the others. On average it is $x/3$, so the best point is $-1$. We take $\beta_1 = 0$ and $\eta_t = 0.1/\sqrt t$. **AMSGrad** is an Adam that divides by the root of the *largest* $r$ so far.
#
# **Predict.** The large gradient comes once, the small ones twice. Adam divides by the size. Where does it go with $\beta_2 = 0.1$, and where with 0.9?

# %% tags=["demo"]
walkers = {"Adam, β₂ = 0.1": {"betas": (0.0, 0.1)},
           "AMSGrad, β₂ = 0.1": {"betas": (0.0, 0.1), "amsgrad": True},
           "Adam, β₂ = 0.9": {"betas": (0.0, 0.9)}}
paths = {}
for name, settings in walkers.items():
    x, path, steps = torch.zeros((), requires_grad=True), [], []
    optimizer = torch.optim.Adam([x], **settings)
    for t in range(2000):
        before, lr = x.item(), 0.1 / (t + 1) ** 0.5
        x.grad, optimizer.param_groups[0]["lr"] = torch.tensor(-1.0 if t % 3 else 3.0), lr
        optimizer.step()
        steps.append((x.item() - before) / lr)
        x.data.clamp_(-1, 1)
        path.append(x.item())
    paths[name] = path
    print(f"{name:18} ends at {x:+.2f}, last steps", *(f"{s:+.2f} η" for s in steps[-3:]))
ax = figures.curve(range(1, 2001), paths, x="step", y="x", log="x", figure="walks_to_an_end")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# With $\beta_2 = 0.1$ Adam goes to $+1$, the *worst* point. The large gradient makes $r$ large at once, so its own step is only $-1.05\,\eta$. The two small ones, over a smaller $r$, make $+0.76\,\eta$ and $+0.97\,\eta$. AMSGrad does not forget the large one, and there it wins.
#
# With $\beta_2 = 0.9$ Adam gets this loss right. Reddi et al. build, for β's that are *fixed first*, a problem that defeats them. Turn the order round, and take the problem as given: then Adam gets near a critical point if $\beta_2$ is close enough to 1 and $\beta_1 < \sqrt{\beta_2}$ ([Zhang et al. 2022](https://arxiv.org/abs/2208.09632)). How close is enough depends on the problem.
#
# </details>

# %% [markdown]
# ## 6.8  Where the small number stands
#
# *2 minutes.* The paper and PyTorch add $\varepsilon$ after the root. Others add it under the root, and Keras adds it to the root of the *uncorrected* $r$. With the same $10^{-8}$, does it matter?
#
# **Predict.** At which size of the gradients does each form begin to shorten the steps?

# %% tags=["demo"]
for gradient in (1.0, 1e-3, 1e-4, 1e-5, 1e-8):
    after, under = gradient / (gradient + 1e-8), gradient / (gradient**2 + 1e-8) ** 0.5
    print(f"gradient {gradient:5.0e}: first step {after:.3f} η with ε after the root, "
          f"{under:.3f} η with ε under it")

# %% [markdown]
# Under the root the same number acts as $\sqrt\varepsilon = 10^{-4}$ does after it. So a step fades at gradients that are ten thousand times larger. When you move a rate from one library to another, look where its ε stands.

# %% [markdown]
# ## 6.9  Training without the correction
#
# *4 minutes.* Now ten seeds of the network are trained with and without the correction, at nine rates.
#
# **Predict.** Without the correction the first steps are too long. Is the best loss worse, too?

# %% tags=["demo"]
rates = [0.003, 0.0045, 0.0067, 0.01, 0.015, 0.022, 0.033, 0.05, 0.075]
common = dict(lrs=rates, seeds=range(10), data=data, epochs=10)
if passed("adam_step"):
    runs = {"Adam": sweep("adam", **common),
            "uncorrected": sweep(uncorrected_step, state=(0.0, 0.0), **common,
                                 beta1=0.9, beta2=0.999, eps=1e-8)}
    ends = {name: run.train_loss[:, :, -1] for name, run in runs.items()}
    figures.band(rates, {name: end.T for name, end in ends.items()}, x="learning rate η", log="xy",
                 y="training loss after 10 epochs", xticks=[0.003, 0.01, 0.03],
                 figure="training_without_correction")
    best = {name: end[end.mean(dim=1).argmin()] for name, end in ends.items()}
    for name, end in ends.items():
        print(f"{name:11}: best {best[name].mean():.4f} at η = {rates[end.mean(dim=1).argmin()]}, "
              f"at η = 0.05 {end[-2].mean():.2f}")
    lower = (best["uncorrected"] < best["Adam"]).sum()
    print(f"each at its best rate: uncorrected is lower in {lower} of 10 seeds")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Mean and range of ten seeds.) The uncorrected curve is *shifted* to smaller rates. At its best it is even lower here. A guess why: all 230 steps lie within the overshoot, which shrinks on the way, like a falling rate. One task decides nothing. At 0.05, where Adam still trains well, the uncorrected steps throw the weights so far out that they do not come back.
#
# A longer step is no mistake in itself. The trouble is a rate that is not the one you set.
#
# </details>

# %% [markdown]
# ## 6.10  A forgotten state
#
# *4 minutes.* You stop after five epochs and go on the next day, with the weights you saved and a *fresh* Adam.
#
# **Predict.** What do $m = 0$, $r = 0$ and $t = 0$ do to the first step?

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
# <details><summary><b>Read the numbers</b></summary>
#
# With a fresh state the first step has the length $\eta$ in *every* weight whose gradient is well above $\varepsilon$. Weights that had nearly stopped jump, too. At $\eta = 0.003$ that does no harm. At 0.01 this one step makes the loss 1.22 times as large on average, and more than 1.1 times in most seeds. So save the optimizer, too (notebook 3).
#
# </details>

# %% [markdown]
# **References**
#
# - D. P. Kingma, J. Ba, [Adam: a method for stochastic optimization](https://arxiv.org/abs/1412.6980), ICLR 2015.
# - S. J. Reddi, S. Kale, S. Kumar, [On the convergence of Adam and beyond](https://arxiv.org/abs/1904.09237), ICLR 2018.
# - I. Loshchilov, F. Hutter, [Decoupled weight decay regularization](https://arxiv.org/abs/1711.05101), ICLR 2019.
# - R. M. Schmidt, F. Schneider, P. Hennig, [Descending through a crowded valley](https://arxiv.org/abs/2007.01547), ICML 2021.
# - Y. Zhang, C. Chen, N. Shi, R. Sun, Z.-Q. Luo, [Adam can converge without any modification on update rules](https://arxiv.org/abs/2208.09632), NeurIPS 2022.
#
# **Next:** [7 Optimizers in PyTorch](07_optimizers_in_pytorch.ipynb)
