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
# # 4  Momentum and Nesterov
#
# Two lines of code can make gradient descent several times faster. You write them, and see where they help.
#
# **75 minutes · 17 points.** *Deeper* adds 8 minutes; nothing in it is graded. Afterwards you can
#
# - write momentum in the lecture's form and in PyTorch's, and Nesterov's look-ahead;
# - predict from learning rate, momentum and curvature whether a run converges, and how fast;
# - compare two methods fairly.

# %% [markdown]
# **Where we are.** A step can be too long even when its direction is right: then it jumps from wall to wall of a ravine. A smaller rate cures that.
#
# **What is missing.** A smaller rate also slows the way along the floor. We want short steps across, and long ones along it.

# %%
import math

import torch

from lecture_utils import figures
from lecture_utils.checks import check, passed, scoreboard
from lecture_utils.data import digits
from lecture_utils.devices import pick_device
from lecture_utils.explorer import explorer
from lecture_utils.landscapes import RAVINE, TWO_WELLS, descend, momentum_radius
from lecture_utils.stacked import sweep
from lecture_utils.training import RuleOptimizer, mlp, train

figures.setup()
device = pick_device()

# %% [markdown]
# ## 4.1  A velocity
#
# Gradient descent forgets each gradient as soon as it has used it. Momentum keeps a **velocity** $\Delta$, shaped like the weights and zero at the start. Each step does two things, in this order:
#
# 1. The new velocity is the share $\alpha$ of the old one, plus the gradient times $\eta$.
# 2. The new velocity is subtracted from the weights.
#
# $\eta$ is the learning rate (`lr`), $\alpha$ the momentum (`momentum`), usually 0.9 to 0.99. Two steps by hand, with $\alpha = 0.5$ and $\eta = 0.1$:
#
# | | gradient | velocity | weight |
# |:--|--:|--:|--:|
# | start | | 0 | 1.0 |
# | step 1 | 4 | 0.4 | 0.6 |
# | step 2 | 3 | 0.5 | 0.1 |
#
# > Lecture notes ▸ corrected: the notes call $\alpha$ a friction. It is the share that *stays*; the friction is $1-\alpha$. And they call $\Delta w$ a gradient; it is the step.

# %% [markdown]
# **Exercise 4.1 (3 points).** Where does the velocity 0.5 come from? Then write one step.

# %% nbgrader={"grade": false, "grade_id": "momentum_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def momentum_step(w, grad, delta, lr, alpha):
    """One step of momentum, lecture form.

    w, grad, delta: tensors of one shape; delta is the velocity, zeros before the first step.
    lr, alpha: floats.
    Returns (w, delta): the new weights and the new velocity.
    """
    ### BEGIN SOLUTION
    delta = alpha * delta + lr * grad
    return w - delta, delta
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Half of the old velocity 0.4 survives step 2. What comes from the gradient 3?</details>
# <details><summary>Hint 2</summary>One line for each of the two numbered sentences. The learning rate stands inside the velocity, and only there.</details>
# <details><summary>Hint 3</summary><code>delta = alpha * delta + …</code>, then <code>return w - …, delta</code>. The new velocity must be handed back, or it is forgotten.</details>

# %% nbgrader={"grade": true, "grade_id": "momentum_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(momentum_step)

# %% [markdown]
# **Predict.** The gradient is 1 at every step, and $\eta = 0.1$. Gradient descent takes steps of 0.1. How long do the steps become with $\alpha = 0.9$? With $\alpha = 0.99$?
#
# **Your turn** (not graded). Write the loop: 100 steps for each $\alpha$. Print the velocity after steps 1, 10 and 100.

# %% nbgrader={"grade": false, "grade_id": "constant_gradient-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
for alpha in (0.9, 0.99):
    w, delta = torch.tensor(0.0), torch.tensor(0.0)
    ### BEGIN SOLUTION
    for step in range(1, 101):
        w, delta = momentum_step(w, torch.tensor(1.0), delta, 0.1, alpha)
        if step in (1, 10, 100):
            print(f"alpha = {alpha:4}   step {step:3}   velocity {delta:.2f}")
    ### END SOLUTION

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# With $\alpha = 0.9$ the steps become ten times as long. With 0.99 they have reached 6.34 and still grow: a long memory takes long to build up, and as long to let go.
#
# </details>

# %% [markdown]
# ## 4.2  The weights of past gradients
#
# After three steps the velocity contains three gradients, but they do not count equally.
#
# **Exercise 4.2 (2 points).** On paper, write down the velocity after one, two and three steps, in units of $\eta$. With which weight does each gradient enter? Return the weights for any number of steps, **oldest gradient first**.

# %% nbgrader={"grade": false, "grade_id": "velocity_weights-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def velocity_weights(alpha, steps):
    """The weight of each past gradient in the velocity, in units of the learning rate.

    alpha: the momentum, a float.   steps: how many gradients there were, a whole number >= 1.
    Returns a tensor of shape (steps,), the oldest gradient first.
    """
    ### BEGIN SOLUTION
    age = torch.arange(steps - 1, -1, -1)
    return alpha**age
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Which weight has the gradient of this very step? It has not been multiplied by α yet.</details>
# <details><summary>Hint 2</summary>How many times has the oldest gradient been multiplied by α? Begin with <code>steps = 1</code>.</details>
# <details><summary>Hint 3</summary><code>torch.arange(start, stop, -1)</code> counts down and leaves <code>stop</code> out; a number to the power of a tensor works element by element.</details>

# %% nbgrader={"grade": true, "grade_id": "velocity_weights", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(velocity_weights)

# %% tags=["demo"]
if passed("velocity_weights"):
    ages = {}
    for alpha in (0.5, 0.9, 0.99):
        weights = velocity_weights(alpha, 2000).flip(0)  # newest first
        ages[f"α = {alpha}"] = weights[:50]
        print(f"alpha = {alpha:4}   sum of the weights {weights.sum():6.2f}   "
              f"a weight is below one half after {(weights >= 0.5).sum():2} steps")
    figures.curve(range(50), ages, x="age of the gradient (steps)", y="its weight",
                  figure="weights_of_past_gradients")

# %% [markdown]
# > Lecture notes ▸ sharpened: the notes speak of a "weighted averaged" direction. The direction is that of an average, but the weights add up to more than 1: the steps become longer.

# %% [markdown]
# ## 4.3  The form of PyTorch and dampening
#
# PyTorch keeps a **buffer** instead of a velocity. Three things differ:
#
# 1. The buffer adds up gradients *without* the learning rate. The rate multiplies the whole buffer when the weights move.
# 2. `dampening` is the share that is taken away from each new gradient before it is added, by default 0.
# 3. Before the first step there is no buffer (`None`). The first gradient becomes the buffer, undampened.
#
# With `lr=0.1`, `momentum=0.5` and `dampening=0.25`:
#
# | | gradient | buffer | weight |
# |:--|--:|--:|--:|
# | start | | `None` | 1.0 |
# | step 1 | 4 | 4 | 0.6 |
# | step 2 | 2 | 3.5 | 0.25 |
#
# > Lecture notes ▸ corrected: the notes give dampening as $1-\eta$. It has nothing to do with the learning rate ([torch.optim.SGD](https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html)).
#
# **Exercise 4.3 (3 points).** Write one step of PyTorch's form.

# %% nbgrader={"grade": false, "grade_id": "torch_momentum_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def torch_momentum_step(w, grad, buf, lr, momentum, dampening):
    """One step of momentum as in torch.optim.SGD.

    w, grad: tensors of one shape.   buf: the buffer, of that shape, or None before the first step.
    lr, momentum, dampening: floats.
    Returns (w, buf): the new weights and the new buffer (never None).
    """
    ### BEGIN SOLUTION
    new = grad.clone()
    if buf is not None:
        new = momentum * buf + (1 - dampening) * grad
    return w - lr * new, new
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>The 3.5 is made of two parts: 2 from the old buffer, and 1.5 from the gradient 2.</details>
# <details><summary>Hint 2</summary>Two cases: <code>if buf is None</code>, or not. The weights move in both.</details>
# <details><summary>Hint 3</summary>With a buffer: <code>momentum * buf + (…) * grad</code>, where the brackets hold the share that is left after dampening.</details>

# %% nbgrader={"grade": true, "grade_id": "torch_momentum_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(torch_momentum_step)

# %% [markdown]
# Without dampening, and at a constant rate, both forms walk the same path. Now the rate drops to a tenth after thirty steps.
#
# **Predict.** In the first step after the drop, which form moves further? About how many times?

# %% tags=["demo"]
if passed("momentum_step", "torch_momentum_step"):
    a, delta, b, buf = RAVINE.start, torch.zeros(2), RAVINE.start, None
    lengths = {"lecture form": [], "PyTorch form": []}
    for step in range(60):
        lr = 0.02 if step < 30 else 0.002
        a, delta = momentum_step(a, RAVINE.grad(a), delta, lr, 0.9)
        b, buf = torch_momentum_step(b, RAVINE.grad(b), buf, lr, 0.9, 0.0)
        lengths["lecture form"].append(delta.norm().item())
        lengths["PyTorch form"].append(lr * buf.norm().item())
    lecture, pytorch = (lengths[name][30] for name in lengths)
    print(f"first step after the drop: lecture {lecture:.3f}, PyTorch {pytorch:.3f}")
    figures.curve(range(1, 61), lengths, x="step", y="length of the step", log="y",
                  lines={"rate ÷ 10": 30.5}, figure="step_lengths_around_a_drop")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# The lecture form goes about six times as far. Its velocity is made of steps, and still carries the old, long ones. PyTorch's buffer is made of gradients, and the new rate applies to all of them. Neither is wrong, but a schedule tuned for one does not suit the other.
#
# </details>

# %% [markdown]
# ## 4.4  Across and along a ravine
#
# **Predict.** The gradient across the valley changes its sign at every step: $+1, -1, +1, \dots$ Along the floor it is always $+1$. After many steps, how large is the velocity of each, in units of $\eta$, for $\alpha = 0.9$?

# %% tags=["demo"]
if passed("velocity_weights"):
    weights, signs = velocity_weights(0.9, 200), (-1.0) ** torch.arange(200)
    print(f"across: {(weights * signs).sum().abs():.2f}   along: {weights.sum():.2f}")
if passed("momentum_step"):
    paths = {}
    for name, alpha in {"gradient descent": 0.0, "momentum 0.5": 0.5}.items():
        path = descend(RAVINE, momentum_step, RAVINE.start, 20, (0.0,), lr=0.075, alpha=alpha)
        print(f"{name:16}  after 20 steps {abs(path[-1, 0]):.2f} from the minimum along the floor")
        paths[name] = path
    figures.trajectories(RAVINE, paths, figure="ravine_two_paths")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# What alternates cancels to 0.53; what stays adds up to 10. The figure shows both, with $\alpha = 0.5$: the zigzag dies out, and along the floor momentum ends ten times as close. The first steps are equal, as there is no velocity yet.
#
# </details>

# %% [markdown]
# ## 4.5  Does it converge
#
# Along one direction with curvature $h$ the gradient is $hw$. So one step multiplies the pair $(w, \Delta)$ by a 2×2 matrix $M$, and $t$ steps by $M^t$. In the long run each step changes its size by one factor, the **spectral radius**: the largest $|\lambda|$ of the eigenvalues of $M$. Below 1 the run converges. If $\lambda$ is complex the run swings, and $|\lambda|$ is the length of this complex number.
#
# **Exercise 4.4 (3 points).** Find $M$ from your `momentum_step`, and return the spectral radius. With $\alpha = 0$ it must be $|1-\eta h|$, as for gradient descent.

# %% nbgrader={"grade": false, "grade_id": "spectral_radius-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def spectral_radius(lr, alpha, curvature):
    """The long-run factor by which momentum shrinks the error per step, on L = curvature · w²/2.

    lr, alpha, curvature: floats.   Returns a float; below 1 the run converges.
    """
    ### BEGIN SOLUTION
    lr_h = lr * curvature
    new_w, new_delta = [1 - lr_h, -alpha], [lr_h, alpha]
    matrix = torch.tensor([new_w, new_delta], dtype=torch.float64)
    return torch.linalg.eigvals(matrix).abs().max().item()
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>The first column of M is what becomes of (1, 0): let your step start from w = 1 and Δ = 0, where the gradient is h. What comes out?</details>
# <details><summary>Hint 2</summary>The second column is what becomes of (0, 1): w = 0, so the gradient is 0, and Δ = 1. Put both columns into a tensor; <code>torch.linalg.eigvals</code> gives its eigenvalues.</details>
# <details><summary>Hint 3</summary>The first column is 1 − ηh above ηh. Of the eigenvalues take the lengths, <code>.abs()</code>, and of these the largest.</details>

# %% nbgrader={"grade": true, "grade_id": "spectral_radius", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(spectral_radius)

# %% [markdown]
# **Predict.** Gradient descent diverges for $\eta h > 2$. Does momentum with $\alpha = 0.9$ still converge at $\eta h = 3$? At 3.9?

# %% tags=["demo"]
if passed("momentum_step", "spectral_radius"):
    for lr, alpha in [(0.5, 0.0), (0.1, 0.5), (3.0, 0.9), (3.9, 0.9)]:
        w, delta, size = torch.tensor(1.0).double(), torch.tensor(0.0).double(), []
        for _ in range(601):
            w, delta = momentum_step(w, w, delta, lr, alpha)  # curvature 1: the gradient is w
            size.append(math.hypot(w, delta))
        measured = (size[600] / size[100]) ** (1 / 500)
        print(f"ηh = {lr:3}   α = {alpha}   your number {spectral_radius(lr, alpha, 1.0):.3f}   "
              f"measured on a run {measured:.3f}")

# %% [markdown]
# ## 4.6  How much momentum is best
#
# The spectral radius for all settings at once. The axes are *roots*, $\sqrt{\eta h}$ and $\sqrt\alpha$: they make the dotted borders straight.

# %% tags=["demo"]
x, y = torch.linspace(0.01, 2.1, 300), torch.linspace(0, 1, 200)  # √(ηh) and √α
radius = momentum_radius(lr_h=x**2, alpha=y[:, None] ** 2)
ax = figures.heatmap(x, y, radius.clamp(max=1.6), x="√(learning rate × curvature)",
                     y="√momentum", z_label="spectral radius (up to 1.6)", levels=[0.25, 0.5, 0.75],
                     curves=[((2 + 2 * y**2).sqrt(), y), ([0, 1, 2], [1, 0, 1])],
                     figure="map_of_momentum")
for text, place in {"creeps": (0.12, 0.3), "swings": (0.87, 0.62), "diverges": (1.74, 0.3),
                    "critical\ndamping": (0.2, 0.83)}.items():
    ax.annotate(text, place, color="black" if text == "diverges" else "white")

# %% [markdown]
# Inside the triangle $w$ swings. There the radius does not depend on the rate: it equals the height, $\sqrt\alpha$. Outside it is larger than the height. On the left side, at **critical damping**, $w$ is just about to swing. Right of the dashed line, $\eta h = 2(1+\alpha)$, runs diverge.
#
# A ravine has many curvatures, from $h_{min}$ to $h_{max}$, but only one $\eta$ and one $\alpha$. So it is a *horizontal line* in this map. A larger $\eta$ stretches the line, and the ratio of its ends stays: it follows from the **condition number** $\kappa = h_{max}/h_{min}$. The slowest direction decides, so the best setting is the lowest line that fits into the triangle.

# %% [markdown]
# **Exercise 4.5 (2 points).** Where do the ends of this lowest line lie? Read the equations of both sides off the map, and find the best $\alpha$ for any $\kappa$.

# %% nbgrader={"grade": false, "grade_id": "best_momentum-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def best_momentum(kappa):
    """The momentum that converges fastest on a quadratic, together with its best learning rate.

    kappa: largest over smallest curvature, a float >= 1.   Returns a float in [0, 1).
    """
    ### BEGIN SOLUTION
    root = math.sqrt(kappa)
    height = (root - 1) / (root + 1)
    return height**2
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Take a ruler and κ = 9: the right end of the line is √9 = 3 times as far from the vertical axis as the left end. At which height do both ends touch a side of the triangle?</details>
# <details><summary>Hint 2</summary>Call the height s. The left side goes through (1, 0) and (0, 1), so the left end lies at 1 − s. Where does the right end lie? What is right end divided by left end?</details>
# <details><summary>Hint 3</summary>Solve (1 + s)/(1 − s) = √κ for s. And what stands on the vertical axis: α, or its root?</details>

# %% nbgrader={"grade": true, "grade_id": "best_momentum", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(best_momentum)

# %% [markdown]
# A race in the ravine, where $\kappa = 25$: gradient descent at its best rate, momentum at its best setting, and the same with $\alpha = 0.95$.
#
# **Predict.** Gradient descent needs almost 200 steps to come within a millionth of the minimum. And the other two?

# %% tags=["demo"]
if passed("momentum_step", "spectral_radius", "best_momentum"):
    alpha, t, distances, theory = best_momentum(25), torch.arange(0, 301, 4), {}, {}
    lr = (1 + alpha**0.5) ** 2 / 25  # the right end of the line touches the side
    settings = {"gradient descent": (2 / 26, 0.0), "momentum at its best": (lr, alpha),
                "momentum 0.95": (lr, 0.95)}
    for name, (lr, alpha) in settings.items():
        path = descend(RAVINE, momentum_step, RAVINE.start, 700, (0.0,), lr=lr, alpha=alpha)
        distance, rho = path.norm(dim=1), max(spectral_radius(lr, alpha, h) for h in (1.0, 25.0))
        print(f"{name:20}  α = {alpha:.2f}   radius {rho:.3f}   "
              f"within a millionth after {(distance > 1e-6).nonzero().max() + 1:3} steps")
        distances[name], theory[f"{rho:.3f} per step"] = distance[t], 4 * rho**t
    figures.curve(t, distances, x="step", y="distance to the minimum", log="y", theory=theory,
                  ylim=(1e-9, 20), legend=True, figure="race_in_the_ravine")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Both tuned, momentum needs a quarter of the steps: the radius falls from $\frac{\kappa-1}{\kappa+1} = 0.923$ to 0.667, with $\sqrt\kappa$ in the place of $\kappa$. (On the sides of the triangle a factor $t$ comes on top: the squares lie above their line.) With $\alpha = 0.95$ the run swings and needs 595 steps, three times as many as gradient descent.
#
# </details>

# %% [markdown]
# > Lecture notes ▸ sharpened: momentum dampens oscillations across a ravine. Above critical damping it also *creates* them, and more momentum is slower.
#
# ## 4.7  Is momentum ten times better
#
# In 4.1 the steps grew up to a limit. Gradient descent takes such steps with a larger rate, the **effective learning rate**.
#
# **Exercise 4.6 (1 point).** Find it. Which velocity does your step leave as it is, when the gradient is always 1?

# %% nbgrader={"grade": false, "grade_id": "effective_learning_rate-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def effective_learning_rate(lr, alpha):
    """The rate of plain gradient descent that takes steps as long as momentum's in the long run.

    lr, alpha: floats, 0 <= alpha < 1.   Returns a float.
    """
    ### BEGIN SOLUTION
    return lr / (1 - alpha)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>In 4.1, with η = 0.1 and α = 0.9, the steps grew to 1. What would they grow to with η = 0.2?</details>
# <details><summary>Hint 2</summary>Set the new velocity equal to the old one in your first line, and solve for it.</details>
# <details><summary>Hint 3</summary>In each step the share 1 − α of the velocity is lost, and η is added. The two are equal at the end.</details>

# %% nbgrader={"grade": true, "grade_id": "effective_learning_rate", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(effective_learning_rate)

# %% [markdown]
# Now a network that learns to read digits, for eight epochs, with ten seeds each.
#
# **Predict.** SGD and momentum 0.9, both with $\eta = 0.03$: how many times lower does momentum end? And if each has its own best rate?

# %% tags=["demo"]
data = digits(device)
rates = torch.tensor([0.03, 0.1, 0.3, 0.5, 0.65, 0.85, 1.1, 1.4, 1.8, 2.2, 2.8, 3.6, 4.7, 6.1])
options = {"seeds": range(10), "data": data, "epochs": 8}
plain = sweep("sgd", lrs=rates.tolist(), **options).train_loss[:, :, -1]
heavy = sweep("momentum", lrs=(rates / 10).tolist(), alpha=0.9, **options).train_loss[:, :, -1]
print(f"same η = 0.03:             SGD {plain[0].mean():.2f}   momentum {heavy[2].mean():.2f}")
print(f"same effective rate 0.3:   SGD {plain[2].mean():.2f}   momentum {heavy[2].mean():.2f}")
a, b = plain.mean(1).nan_to_num(9).argmin(), heavy.mean(1).nan_to_num(9).argmin()
print(f"each at its best rate:     SGD {plain[a].mean():.2f}   momentum {heavy[b].mean():.2f}   "
      f"(momentum lower with {(heavy[b] < plain[a]).sum()} of 10 seeds)")
figures.band(rates, {"SGD": plain.T, "momentum 0.9": heavy.T}, x="effective learning rate",
             y="training loss after 8 epochs", log="xy", ylim=(0.01, 4), figure="loss_at_all_rates")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Line: mean; band: smallest to largest.) At the same $\eta$ momentum looks ten times better, 0.17 against 1.80. At the same *effective* rate the two are equal: the first comparison was one of step lengths. Near 1 SGD becomes unstable, and momentum does not yet. At its own best rate it ends at 0.04, a third of SGD's best, 0.12: that is what momentum adds here.
#
# </details>

# %% [markdown]
# ## 4.8  Nesterov looks ahead
#
# A part of the coming step is known before any gradient: what is left of the old velocity. Nesterov takes the gradient where this part leads, at the **look-ahead point**. All else is as before; the step itself starts from $w$.

# %% tags=["demo"]
w, ahead = torch.tensor([-1.6, 0.5]), torch.tensor([-0.79, -0.4])
ends = {"momentum": ahead - 0.03 * RAVINE.grad(w), "Nesterov": ahead - 0.03 * RAVINE.grad(ahead)}
arrows = {"known part": (w, ahead)} | {name: (w, end) for name, end in ends.items()}
offsets = {"momentum": (-45, -10), "Nesterov": (40, 10), "known part": (62, -15)}
for (name, end), place in zip(ends.items(), ("w", "the look-ahead point"), strict=True):
    print(f"{name:9} ends {abs(end[1]):.2f} from the floor, y = 0")
    arrows[f"gradient at {place}"], offsets[f"gradient at {place}"] = (ahead, end), (90, 0)
figures.vectors(arrows, points={"w": w, "look-ahead point": ahead}, xlim=(-1.7, -0.5),
                ylim=(-0.85, 0.6), offsets=offsets | {"look-ahead point": (96, -5)},
                colors=dict(zip(arrows, ["0.35", *["momentum", "nesterov"] * 2], strict=True)),
                figure="look_ahead")

# %% [markdown]
# The known part carries both across the floor. The gradient at $w$ pushes on; the gradient at the look-ahead point pushes back.
#
# > Lecture notes ▸ corrected: the *gradient* is evaluated at the look-ahead point, not the loss ([Sutskever et al. 2013](https://proceedings.mlr.press/v28/sutskever13.html)). And it is $\nabla_w L$, where the notes write $\Delta_w L$.
#
# **Exercise 4.7 (3 points).** Write one step. You get a *function* that gives the gradient at any point.

# %% nbgrader={"grade": false, "grade_id": "nesterov_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def nesterov_step(w, grad_fn, delta, lr, alpha):
    """One step of Nesterov's momentum, lecture form.

    w, delta: tensors of one shape; delta is the velocity, zeros before the first step.
    grad_fn: a function; grad_fn(v) is the gradient at the point v, of the same shape.
    lr, alpha: floats.
    Returns (w, delta): the new weights and the new velocity.
    """
    ### BEGIN SOLUTION
    ahead = w - alpha * delta
    delta = alpha * delta + lr * grad_fn(ahead)
    return w - delta, delta
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Only one thing differs from <code>momentum_step</code>: where the gradient is taken.</details>
# <details><summary>Hint 2</summary>How do the weights move, with a plus or a minus? The look-ahead point lies on the same side.</details>
# <details><summary>Hint 3</summary>Three lines: <code>ahead = …</code>, then the velocity with <code>grad_fn(ahead)</code>, then the return, from <code>w</code> and not from <code>ahead</code>.</details>

# %% nbgrader={"grade": true, "grade_id": "nesterov_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(nesterov_step)

# %% [markdown]
# **Predict.** Both methods in the ravine, with $\alpha = 0.9$ and $\eta = 0.02$. Which one swings further across the floor?

# %% tags=["demo"]
if passed("momentum_step", "nesterov_step"):
    w, delta, path = RAVINE.start, torch.zeros(2), [RAVINE.start]
    for _ in range(60):
        w, delta = nesterov_step(w, RAVINE.grad, delta, 0.02, 0.9)
        path.append(w)
    heavy = descend(RAVINE, momentum_step, RAVINE.start, 60, (0.0,), lr=0.02, alpha=0.9)
    paths = {"momentum": heavy, "Nesterov": torch.stack(path)}
    for name, path in paths.items():
        along, across = path[-1].abs()
        print(f"{name:9} after 60 steps: {along:.2f} along the floor, {across:.2f} across")
    figures.trajectories(RAVINE, paths, figure="ravine_momentum_nesterov")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Momentum does. Nesterov brakes in the steep direction: after 60 steps nothing is left across the floor, while momentum still swings by 0.03. Along the floor, looking ahead changes little.
#
# </details>

# %% [markdown]
# ## 4.9  Through a shallow well
#
# A loss has a shallow well near $x = 1$ and a deep one near $x = -1$. Gradient descent stops in the first well that it meets.
#
# **Predict.** Momentum 0.9 starts at $x = 1.6$, beside the shallow well. Where does it end? And from $x = -1.7$, beside the deep one?

# %% tags=["demo"]
if passed("momentum_step"):
    axes = figures.panels(2, 1, figure="two_wells_both_ways", share="x", size=(6.8, 5))
    for ax, x in zip(axes, (1.6, -1.7), strict=True):
        start, paths = torch.tensor([x, 1.1]).double(), {}
        for name, alpha in {"gradient descent": 0.0, "momentum": 0.9}.items():
            path = descend(TWO_WELLS, momentum_step, start, 120, (0.0,), lr=0.02, alpha=alpha)
            print(f"{name:16}  from x = {x:4}  to x = {path[-1, 0]:5.2f}")
            paths[name] = path
        figures.trajectories(TWO_WELLS, paths, xlim=(-1.8, 1.8), ax=ax)

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# From 1.6 momentum rolls through the shallow well and settles in the deep one, at −1.04. But from −1.7 it rolls *out* of the deep well, and ends at 0.96.
#
# </details>

# %% [markdown]
# > Lecture notes ▸ sharpened: momentum can "skip over local minima", but over good ones, too. The picture of a rolling ball isn't wrong, says [Goh 2017](https://distill.pub/2017/momentum/), but it leaves much unexplained.
#
# ## 4.10  Try it yourself
#
# Drag the white start point or use the arrow keys; move the sliders.
#
# 1. With $\alpha = 0.5$, find a rate at which SGD zigzags to the end, while momentum's zigzag dies out.
# 2. At $\eta = 0.02$, raise $\alpha$ from 0.5 to 0.99. When does momentum stop helping?
# 3. Make momentum converge where SGD diverges. Does Nesterov converge there?

# %% tags=["demo"]
explorer("ravine", methods=("sgd", "momentum", "nesterov"), lr=0.02, alpha=0.9, steps=60)

# %% [markdown]
# Your momentum also trains the network: `RuleOptimizer` applies it to every parameter. PyTorch's own runs beside it, with the same start and minibatches.

# %% tags=["demo"]
if passed("momentum_step"):
    mine, theirs = mlp(seed=0, device=device), mlp(seed=0, device=device)
    own = RuleOptimizer(mine.parameters(), momentum_step, state=(0.0,), lr=0.1, alpha=0.9)
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    a, b = (train(m, o, data, epochs=5, seed=0) for m, o in [(mine, own), (theirs, sgd)])
    print(f"{len(a.loss)} steps, losses equal to 1e-5: {(a.loss - b.loss).abs().max() < 1e-5}; "
          f"test accuracy {a.test_accuracy[-1]:.1%} and {b.test_accuracy[-1]:.1%}")

# %% [markdown]
# ## What to remember
#
# - Momentum: $\Delta\leftarrow\alpha\Delta+\eta\nabla L(w)$, then $w\leftarrow w-\Delta$. Nesterov takes the gradient at $w-\alpha\Delta$.
# - The weights of past gradients add up to $1/(1-\alpha)$, so the effective rate is $\eta/(1-\alpha)$.
# - PyTorch keeps the rate outside: one algorithm at a constant rate, but not when it changes.
# - Stable for $\eta h<2(1+\alpha)$. The best momentum turns $\kappa$ into $\sqrt\kappa$; more of it swings.
# - Compare methods each at its own best rate.

# %% tags=["demo"]
scoreboard("04")

# %% [markdown]
# ## Deeper
#
# How the forms of momentum hang together, and what Nesterov costs. Nothing here is graded.

# %% [markdown]
# ## 4.11  Four forms and how to convert
#
# *2 minutes.* Books and libraries write momentum in four ways. $\tau$ is PyTorch's `dampening`.
#
# | form | velocity | weights |
# |:--|:--|:--|
# | lecture | $\Delta = \alpha\Delta + \eta\nabla L$ | $w \leftarrow w - \Delta$ |
# | [Sutskever et al. 2013](https://proceedings.mlr.press/v28/sutskever13.html), Keras | $v = \alpha v - \eta\nabla L$ | $w \leftarrow w + v$ |
# | PyTorch | $b = \alpha b + (1-\tau)\nabla L$ | $w \leftarrow w - \eta\, b$ |
# | average (EMA) | $m = \alpha m + (1-\alpha)\nabla L$ | $w \leftarrow w - \eta\, m$ |
#
# From rest and at a constant rate, all of them take the same steps if the rates are converted. The first three need the same $\eta$. An average needs $\eta/(1-\alpha)$: at the same $\eta$ it is ten times slower, and a comparison with it says nothing about averaging.

# %% tags=["demo"]
def velocity_path(keep, new, out, steps=40):
    """v = keep·v + new·∇L, then w = w - out·v, from rest."""
    w, v, path = RAVINE.start, torch.zeros(2), []
    for _ in range(steps):
        v = keep * v + new * RAVINE.grad(w)
        w = w - out * v
        path.append(w)
    return torch.stack(path)


lr, alpha = 0.02, 0.9
lecture = velocity_path(alpha, lr, 1)
forms = {"PyTorch, lr = η": (alpha, 1, lr), "Keras, lr = η": (alpha, -lr, -1),
         "EMA, lr = η": (alpha, 1 - alpha, lr),
         "EMA, lr = η/(1-α)": (alpha, 1 - alpha, lr / (1 - alpha))}
for name, form in forms.items():
    gap = (velocity_path(*form) - lecture).abs().max()
    print(f"{name:18}", "agrees to 1e-14" if gap < 1e-14 else f"differs by up to {gap:.1f}")

# %% [markdown]
# When the rate changes in the middle of a run, the lecture's velocity can be rescaled by new rate over old. Then it walks PyTorch's path again: the *momentum correction* of [Goyal et al. 2017](https://arxiv.org/abs/1706.02677).

# %% [markdown]
# ## 4.12  PyTorch stores the look-ahead point
#
# *2 minutes.* `torch.optim.SGD(nesterov=True)` cannot ask for a gradient elsewhere: `backward()` has computed it where the parameter is. So PyTorch keeps the look-ahead point $p_t = w_t - \alpha\Delta_{t-1}$ in the parameter. How does $p$ move? From $w_{t+1} = w_t - \Delta_t$ follows
#
# $$p_{t+1} = w_t - \Delta_t - \alpha\Delta_t = p_t - (\Delta_t - \alpha\Delta_{t-1}) - \alpha\Delta_t = p_t - \eta\nabla L(p_t) - \alpha\Delta_t .$$
#
# With the buffer $b = \Delta/\eta$ this is what PyTorch does: $b = \alpha\,b + \nabla L(p)$, then $p \leftarrow p - \eta\,(\nabla L(p) + \alpha\,b)$.

# %% tags=["demo"]
if passed("nesterov_step"):
    w, delta = RAVINE.start, torch.zeros(2)
    p = RAVINE.start.clone().requires_grad_()
    optimizer = torch.optim.SGD([p], lr=0.02, momentum=0.9, nesterov=True)
    from_w, from_ahead = 0.0, 0.0
    for _ in range(50):
        w, delta = nesterov_step(w, RAVINE.grad, delta, 0.02, 0.9)
        p.grad = RAVINE.grad(p.detach())
        optimizer.step()
        from_w = max(from_w, (p.detach() - w).abs().max().item())
        from_ahead = max(from_ahead, (p.detach() - (w - 0.9 * delta)).abs().max().item())
    print(f"PyTorch's parameter differs from your w by up to {from_w:.2f}, "
          f"from your look-ahead point by less than 1e-15: {from_ahead < 1e-15}")

# %% [markdown]
# ## 4.13  What the look-ahead costs and gains
#
# *4 minutes.* The brake has a price. For $\alpha = 0.9$ Nesterov is stable up to $\eta h = \frac{2(1+\alpha)}{1+2\alpha}$ only, momentum up to $2(1+\alpha)$. Your functions on both sides of these limits, at curvature 1:

# %% tags=["demo"]
if passed("momentum_step", "nesterov_step"):
    for name, limit in {"Nesterov": 3.8 / 2.8, "momentum": 3.8}.items():
        for lr in (0.99 * limit, 1.01 * limit):
            w, delta = torch.tensor(1.0), torch.tensor(0.0)
            for _ in range(1000):
                if name == "Nesterov":
                    w, delta = nesterov_step(w, lambda v: v, delta, lr, 0.9)
                else:
                    w, delta = momentum_step(w, w, delta, lr, 0.9)
            print(f"{name:9} ηh = {lr:.2f}  {'converges' if abs(w) < 1 else 'diverges'}")

# %% [markdown]
# **Predict.** On the network of 4.7, each at its own best rate: which of the two ends lower?

# %% tags=["demo"]
rates = torch.tensor([2.2, 2.8, 3.6, 4.7, 6.1])
for rule in ("momentum", "nesterov"):
    end = sweep(rule, lrs=(rates / 10).tolist(), alpha=0.9, **options).train_loss[:, :, -1]
    best = end.mean(1).argmin()
    print(f"{rule:8}  best at the effective rate {rates[best]:.1f}: loss {end[best].mean():.2f}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# Nesterov does, at about half the loss, 0.02 against 0.04. The limit of a parabola does not decide here: its best rate is even larger than momentum's. But this is one problem, after eight epochs.
#
# </details>

# %% [markdown]
# **References**
#
# - B. T. Polyak, [Some methods of speeding up the convergence of iteration methods](https://doi.org/10.1016/0041-5553%2864%2990137-5), 1964: momentum, and its best setting on a quadratic.
# - Y. Nesterov, *A method of solving a convex programming problem with convergence rate O(1/k²)*, Soviet Mathematics Doklady 27, 1983.
# - I. Sutskever, J. Martens, G. Dahl, G. Hinton, [On the importance of initialization and momentum in deep learning](https://proceedings.mlr.press/v28/sutskever13.html), ICML 2013.
# - G. Goh, [Why momentum really works](https://distill.pub/2017/momentum/), Distill 2017.
# - P. Goyal et al., [Accurate, large minibatch SGD: training ImageNet in 1 hour](https://arxiv.org/abs/1706.02677), 2017: section 3 on momentum correction.
#
# **Next:** [5 Gains and RMSProp](05_gains_and_rmsprop.ipynb)
