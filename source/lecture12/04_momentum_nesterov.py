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
# Two lines of code make gradient descent several times faster in a ravine. You will write them, break them, and learn why a comparison at equal learning rates is not fair.
#
# **95 minutes · 17 points.** Afterwards you can
#
# - write momentum in the lecture's form and in PyTorch's, and say when they part;
# - predict from the learning rate, the momentum and the curvature whether a run converges, and how fast;
# - write Nesterov's look-ahead, and recognise it inside `torch.optim.SGD`.

# %%
import math

import matplotlib.pyplot as plt
import torch

from lecture_utils import figures
from lecture_utils.checks import check, passed, scoreboard
from lecture_utils.data import digits
from lecture_utils.devices import pick_device
from lecture_utils.explorer import explorer
from lecture_utils.landscapes import RAVINE, descend
from lecture_utils.stacked import sweep
from lecture_utils.training import RuleOptimizer, mlp, train

figures.setup()
device = pick_device()

# %% [markdown]
# ## 4.1  A velocity remembers the past gradients
#
# Gradient descent forgets each gradient as soon as it has used it. Momentum keeps a **velocity** $\Delta$, a step that is partly the old step and partly the new gradient (lecture form):
#
# $$\Delta_t = \alpha\,\Delta_{t-1} + \eta\,\nabla L(w_t), \qquad w_{t+1} = w_t - \Delta_t$$
#
# $\eta$ is the learning rate (`lr`), $\alpha$ the momentum (`momentum`), usually 0.9 to 0.99: the share of the old velocity that survives a step. $\Delta_0 = 0$.
#
# > Lecture notes ▸ corrected: the notes call $\alpha$ a friction. What is lost in each step is $1-\alpha$: *that* is the friction, and $\alpha = 1$ would be frictionless ([Goh 2017](https://distill.pub/2017/momentum/)). They also call $\Delta w$ a gradient; it is the update.

# %% [markdown]
# **Exercise 4.1 (3 points).** Write one step of momentum in the lecture's form. Mind the order: the velocity is updated first, then the weights use the *new* velocity.

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
# <details><summary>Hint 1</summary>Two lines: one for each of the two formulas above.</details>
# <details><summary>Hint 2</summary>The learning rate multiplies the gradient, inside the velocity. The weights just subtract the velocity.</details>
# <details><summary>Hint 3</summary><code>delta = alpha * delta + …</code>, then <code>return w - …, delta</code>. The new velocity must be handed back, or it is forgotten.</details>

# %% nbgrader={"grade": true, "grade_id": "momentum_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(momentum_step)

# %% [markdown]
# **Predict.** The gradient is 1 at every step, $\eta = 0.1$. Gradient descent takes steps of 0.1. How long do the steps get with $\alpha = 0.9$? With $\alpha = 0.99$?

# %% tags=["demo"]
if passed("momentum_step"):
    steps, lengths = torch.arange(1, 101), {}
    for alpha in (0.0, 0.9, 0.99):
        w, delta, taken = torch.tensor(0.0), torch.tensor(0.0), []
        for _ in steps:
            w, delta = momentum_step(w, torch.tensor(1.0), delta, 0.1, alpha)
            taken.append(delta.item())
        lengths[f"α = {alpha}"] = torch.tensor(taken)
        print(f"alpha = {alpha:4}:  step 1 {taken[0]:.2f}   step 10 {taken[9]:.2f}   "
              f"step 100 {taken[-1]:.2f}   limit {0.1 / (1 - alpha):.2f}")
    figures.curve(steps, lengths, x="step", y="length of the step", log="y",
                  alt="Under a constant gradient the step stays at 0.1 without momentum, levels "
                  "off at 1 with momentum 0.9, and still grows at step 100 with momentum 0.99.")
    plt.show()

# %% [markdown]
# **Read the figure.** With $\alpha = 0.9$ steps become ten times longer, with 0.99 they are on their way to a hundred times. The limit is $\eta/(1-\alpha)$. After $1/(1-\alpha)$ steps they have gone about two thirds of the way, 0.65 of 1 and 6.34 of 10: a long memory is slow to build up, and slow to let go.

# %% [markdown]
# ## 4.2  The velocity is a weighted sum, not an average
#
# Put the formula into itself: $\Delta_t = \eta\,(\nabla L_t + \alpha \nabla L_{t-1} + \alpha^2 \nabla L_{t-2} + \dots)$. Every past gradient is still there, with a weight that shrinks by $\alpha$ per step.
#
# > Lecture notes ▸ corrected: the notes speak of a "weighted averaged" direction. The weights of an average add up to 1; these add up to $1/(1-\alpha)$. Hence the longer steps above.
#
# **Exercise 4.2 (2 points).** Return the weights of the gradients after a number of steps, in units of $\eta$, **oldest first**.

# %% nbgrader={"grade": false, "grade_id": "velocity_weights-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def velocity_weights(alpha, steps):
    """The weight of each past gradient in the velocity, in units of the learning rate.

    alpha: the momentum, a float.   steps: how many gradients there were, a whole number >= 1.
    Returns a tensor of shape (steps,), the oldest gradient first.
    """
    ### BEGIN SOLUTION
    return alpha ** torch.arange(steps - 1, -1, -1)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Which weight has the gradient of this very step? It has not been multiplied by α yet.</details>
# <details><summary>Hint 2</summary>Powers of α. The oldest gradient has been through <code>steps - 1</code> further steps.</details>
# <details><summary>Hint 3</summary><code>torch.arange(start, stop, -1)</code> counts down; <code>alpha ** tensor</code> works element by element.</details>

# %% nbgrader={"grade": true, "grade_id": "velocity_weights", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(velocity_weights)

# %% tags=["demo"]
if passed("velocity_weights"):
    weights = {f"α = {a}": velocity_weights(a, 50).flip(0) for a in (0.5, 0.9, 0.99)}
    figures.curve(torch.arange(50), weights, x="age of the gradient (steps)", y="its weight",
                  alt="Weight of a gradient against its age. With momentum 0.5 it is gone after "
                  "7 steps, with 0.9 after 50; with 0.99 it is still 0.6 then.")
    plt.show()
    for a in (0.5, 0.9, 0.99):
        total, half_life = velocity_weights(a, 5000).sum(), math.log(0.5) / math.log(a)
        print(f"alpha = {a:4}:  sum of the weights {total:6.2f}   1/(1 - alpha) {1 / (1 - a):6.2f}"
              f"   half-life {half_life:4.1f} steps")

# %% [markdown]
# **Read the figure.** The usual range, 0.9 to 0.99, is a memory of ten to a hundred steps: a gradient has lost half of its weight after 6.6 steps at 0.9 and after 69 at 0.99.

# %% [markdown]
# ## 4.3  Four forms of momentum walk one path, until the learning rate changes
#
# Books and libraries write momentum in different ways:
#
# | form | velocity | weights |
# |:--|:--|:--|
# | lecture | $\Delta = \alpha\Delta + \eta\nabla L$ | $w \leftarrow w - \Delta$ |
# | [Sutskever et al. 2013](https://proceedings.mlr.press/v28/sutskever13.html), Keras | $v = \alpha v - \eta\nabla L$ | $w \leftarrow w + v$ |
# | PyTorch | $b = \alpha b + (1-\tau)\nabla L$ | $w \leftarrow w - \eta\, b$ |
# | average (EMA) | $m = \alpha m + (1-\alpha)\nabla L$ | $w \leftarrow w - \eta\, m$ |

# %% [markdown]
# $\tau$ is PyTorch's `dampening`, 0 unless you set it. PyTorch's buffer $b$ has one more particularity: before the first step there is none (`None`), and the first gradient becomes the buffer as it is, undampened.
#
# > Lecture notes ▸ corrected: the notes give the dampening as $1-\eta$. It has nothing to do with the learning rate: the new gradient is multiplied by $1-\tau$ ([torch.optim.SGD](https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html)).

# %% [markdown]
# **Exercise 4.3 (3 points).** Write one step of PyTorch's form.

# %% nbgrader={"grade": false, "grade_id": "torch_momentum_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def torch_momentum_step(w, grad, buf, lr, momentum, dampening):
    """One step of momentum as in torch.optim.SGD.

    w, grad: tensors of one shape.   buf: the buffer, of that shape, or None before the first step.
    lr, momentum, dampening: floats.
    Returns (w, buf): the new weights and the new buffer (never None).
    """
    ### BEGIN SOLUTION
    buf = grad.clone() if buf is None else momentum * buf + (1 - dampening) * grad
    return w - lr * buf, buf
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Two cases: there is a buffer, or there is none.</details>
# <details><summary>Hint 2</summary>Without a buffer, the buffer becomes the gradient itself. The weights move in both cases.</details>
# <details><summary>Hint 3</summary>With one: <code>momentum * buf + (1 - dampening) * …</code>. The learning rate appears only where the weights move.</details>

# %% nbgrader={"grade": true, "grade_id": "torch_momentum_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(torch_momentum_step)

# %% [markdown]
# Your step against the real thing: fifty steps down the ravine, with dampening, in double precision.

# %% tags=["demo"]
if passed("torch_momentum_step"):
    mine, buf = RAVINE.start.clone(), None
    theirs = RAVINE.start.clone().requires_grad_()
    optimizer = torch.optim.SGD([theirs], lr=0.02, momentum=0.9, dampening=0.5)
    gap = 0.0
    for _ in range(50):
        mine, buf = torch_momentum_step(mine, RAVINE.grad(mine), buf, 0.02, 0.9, 0.5)
        theirs.grad = RAVINE.grad(theirs.detach())
        optimizer.step()
        gap = max(gap, (mine - theirs.detach()).abs().max().item())
    print(f"largest difference to torch.optim.SGD over 50 steps below 1e-15: {gap < 1e-15}")

# %% [markdown]
# Now both forms side by side. After thirty steps the learning rate drops to a tenth, as it would in a schedule.
#
# **Predict.** Up to the drop, how different are the two paths? In the first step after it, which form still moves far, and about how many times further?

# %% tags=["demo"]
if passed("momentum_step", "torch_momentum_step"):
    a, delta, b, buf = RAVINE.start, torch.zeros(2), RAVINE.start, None
    lengths = {"lecture form": [], "PyTorch form": []}
    for step in range(60):
        lr = 0.02 if step < 30 else 0.002
        before_a, before_b = a.clone(), b.clone()
        a, delta = momentum_step(a, RAVINE.grad(a), delta, lr, 0.9)
        b, buf = torch_momentum_step(b, RAVINE.grad(b), buf, lr, 0.9, 0.0)
        lengths["lecture form"].append((a - before_a).norm().item())
        lengths["PyTorch form"].append((b - before_b).norm().item())
        if step == 29:
            print(f"before the drop the paths agree to 1e-15: {(a - b).abs().max() < 1e-15}")
    ratio = lengths["lecture form"][30] / lengths["PyTorch form"][30]
    print(f"first step after the drop: the lecture form goes {ratio:.1f} times further")

# %% tags=["demo"]
if passed("momentum_step", "torch_momentum_step"):
    ax = figures.curve(range(1, 61), lengths, x="step", y="length of the step", log="y",
                       alt="Length of each step for both forms. They coincide for 30 steps. When "
                       "the rate drops to a tenth, PyTorch's steps shrink at once, the lecture "
                       "form's only little by little.")
    ax.axvline(30.5, color="0.6", lw=1)
    ax.annotate("learning rate ÷ 10", (30.5, 0.6), xytext=(5, 0), textcoords="offset points")
    plt.show()

# %% [markdown]
# **Read the figure.** At a constant rate the forms are the same algorithm, $\Delta = \eta\, b$. At the drop the lecture's velocity still carries the old, larger steps; PyTorch's buffer holds gradients, and the new rate applies to all of them at once. Neither is wrong. But a schedule tuned for one form does not carry over to the other ([Goyal et al. 2017](https://arxiv.org/abs/1706.02677) call the remedy momentum correction, and need it most where the rate *rises*).

# %% [markdown]
# **Converting.** From rest and at a constant rate, all four forms take the same steps when the rates are converted like this. The cell checks it on the ravine.

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
forms = {
    "PyTorch, lr = η": (alpha, 1, lr),
    "Keras, lr = η": (alpha, -lr, -1),
    "EMA, lr = η/(1-α)": (alpha, 1 - alpha, lr / (1 - alpha)),
    "EMA, lr = η": (alpha, 1 - alpha, lr),
}
for name, form in forms.items():
    gap = (velocity_path(*form) - lecture).abs().max()
    agrees = "agrees to 1e-14" if gap < 1e-14 else f"differs by up to {gap:.1f}"
    print(f"{name:18} {agrees}")

# %% [markdown]
# The last line is the mistake that converting avoids: an average at the same $\eta$ is ten times slower, and a comparison with it says nothing about averaging.

# %% [markdown]
# ## 4.4  Across a ravine momentum cancels, along it momentum adds up
#
# In a ravine the gradient across the valley changes its sign at every jump, while the one along the floor keeps it. In a sum, the first kind cancels and the second adds up.
#
# **Predict.** A gradient that alternates, $+1, -1, +1, \dots$, and one that is always $+1$: how large does the velocity of each become, in units of $\eta$, for $\alpha = 0.9$?

# %% tags=["demo"]
alternating, constant = 0.0, 0.0
for step in range(200):
    alternating = 0.9 * alternating + (-1) ** step
    constant = 0.9 * constant + 1
print(f"alternating: {abs(alternating):.3f}  = 1/(1 + 0.9)")
print(f"constant:    {constant:.3f} = 1/(1 - 0.9)      ratio {constant / abs(alternating):.0f}")

# %% tags=["demo"]
if passed("momentum_step"):
    paths = {
        f"α = {alpha}": descend(RAVINE, momentum_step, RAVINE.start, 20, (0.0,),
                                lr=0.075, alpha=alpha)
        for alpha in (0.0, 0.5)
    }
    figures.trajectories(RAVINE, paths, alt="Twenty steps in the ravine with learning rate 0.075. "
                         "Without momentum the path zigzags between the walls all the way and "
                         "ends 0.8 short of the minimum. With momentum 0.5 the zigzag dies out "
                         "and the path ends near it.")
    plt.show()
    for name, path in paths.items():
        print(f"{name}:  after 20 steps {abs(path[-1, 0]):.3f} from the minimum along the floor, "
              f"{abs(path[-1, 1]):.4f} across")

# %% [markdown]
# **Read the figure.** The first step is the same, because there is no velocity yet. From the second on, the part that alternates cancels and the zigzag dies out, while the part that points along the floor adds up: after 20 steps momentum is ten times closer, at the same learning rate.

# %% [markdown]
# How much is there to win? The ravine $L = \tfrac12(x^2 + 25y^2)$ has curvature $h = 1$ along its floor and 25 across: its **condition number** is $\kappa = 25$. Gradient descent does best with $\eta = 2/(h_{min}+h_{max})$ and shrinks the error by $\frac{\kappa-1}{\kappa+1}$ per step. For momentum [Polyak (1964)](https://doi.org/10.1016/0041-5553%2864%2990137-5) found the best pair: $\eta = \big(\frac{2}{\sqrt{h_{min}}+\sqrt{h_{max}}}\big)^2$, and an $\alpha$ that depends on $\kappa$ alone; it shrinks the error by $\sqrt\alpha$ per step.
#
# **Exercise 4.4 (2 points).** The best momentum is $\alpha = \Big(\dfrac{\sqrt\kappa-1}{\sqrt\kappa+1}\Big)^2$. Write it as a function.

# %% nbgrader={"grade": false, "grade_id": "best_momentum-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def best_momentum(kappa):
    """The momentum that converges fastest on a quadratic, together with its best learning rate.

    kappa: largest over smallest curvature, a float >= 1.   Returns a float in [0, 1).
    """
    ### BEGIN SOLUTION
    return ((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)) ** 2
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Take the square root of κ first, and give it a name.</details>
# <details><summary>Hint 2</summary><code>math.sqrt(kappa)</code>, or <code>kappa ** 0.5</code>.</details>
# <details><summary>Hint 3</summary>The whole fraction is squared: <code>( … / … ) ** 2</code>.</details>

# %% nbgrader={"grade": true, "grade_id": "best_momentum", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(best_momentum)

# %% [markdown]
# Each method at its own best setting, from the same start: that is a fair race.
#
# **Predict.** Gradient descent needs almost 200 steps to come within a millionth of the minimum. And momentum?

# %% tags=["demo"]
if passed("momentum_step", "best_momentum"):
    settings = {"gradient descent": (2 / 26, 0.0), "momentum": ((2 / 6) ** 2, best_momentum(25))}
    distances = {}
    for name, (lr, alpha) in settings.items():
        path = descend(RAVINE, momentum_step, RAVINE.start, 200, (0.0,), lr=lr, alpha=alpha)
        distances[name] = path.norm(dim=1).clamp(min=1e-16)
        needed = int((distances[name] > 1e-6).sum())
        print(f"{name:17} {needed:3} steps until the distance is below 1e-6")
    ax = figures.curve(range(201), distances, x="step", y="distance to the minimum", log="y",
                       alt="Distance to the minimum on a logarithmic axis. Both fall along almost "
                       "straight lines, momentum about four times as steeply as gradient descent.")
    t = torch.arange(201)
    figures.theory(t, 4.1 * (24 / 26) ** t, ax=ax, label="_")
    figures.theory(t[:85], 4.1 * (1 + t[:85]) * (4 / 6) ** t[:85], ax=ax, label="_")
    ax.set_ylim(1e-10, 20)
    figures.label_lines(ax)
    plt.show()

# %% [markdown]
# **Read the figure.** Dotted is the theory: $\big(\frac{\kappa-1}{\kappa+1}\big)^t = 0.923^t$, and $t\,\alpha^{t/2} = t \cdot 0.667^t$ for momentum (the factor $t$ belongs to the best setting: there both eigenvalues of the next section coincide). Same landscape, same start, both tuned: momentum needs about a quarter of the steps. The gain grows like $\sqrt\kappa$: the worse the ravine, the more there is to win.

# %% [markdown]
# ## 4.5  One number per step decides: the spectral radius
#
# Along one direction with curvature $h$ the gradient is $hw$. One step of momentum then maps the pair $(w, \Delta)$ to a new pair, by a 2×2 matrix:
#
# $$\begin{pmatrix} w \\ \Delta \end{pmatrix} \leftarrow \begin{pmatrix} 1-\eta h & -\alpha \\ \eta h & \alpha \end{pmatrix} \begin{pmatrix} w \\ \Delta \end{pmatrix}$$
#
# After many steps the pair shrinks, or grows, by the **spectral radius** per step: the largest $|\lambda|$ among the eigenvalues $\lambda$. They solve $\lambda^2 - (1+\alpha-\eta h)\,\lambda + \alpha = 0$. They may be complex; then the run spirals in, and $|\lambda|$ is the length.

# %% [markdown]
# **Exercise 4.5 (3 points).** Return the spectral radius of one step of momentum. With $\alpha = 0$ it must be $|1-\eta h|$, as for gradient descent.

# %% nbgrader={"grade": false, "grade_id": "spectral_radius-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def spectral_radius(lr, alpha, curvature):
    """The long-run factor by which momentum shrinks the error per step, on L = curvature · w²/2.

    lr, alpha, curvature: floats.   Returns a float; below 1 the run converges.
    """
    ### BEGIN SOLUTION
    lr_h = lr * curvature
    matrix = torch.tensor([[1 - lr_h, -alpha], [lr_h, alpha]], dtype=torch.float64)
    return torch.linalg.eigvals(matrix).abs().max().item()
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Build the matrix above as a tensor, in double precision.</details>
# <details><summary>Hint 2</summary><code>torch.linalg.eigvals</code> gives complex eigenvalues. <code>.abs()</code> is the length of a complex number.</details>
# <details><summary>Hint 3</summary>The largest length: <code>.abs().max()</code> of the eigenvalues, as a float.</details>

# %% nbgrader={"grade": true, "grade_id": "spectral_radius", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(spectral_radius)

# %% [markdown]
# Does the number tell the truth? We predict with your function, then measure on real runs of your `momentum_step`.
#
# **Predict.** Gradient descent diverges for $\eta h > 2$. Does momentum with $\alpha = 0.9$ still converge at $\eta h = 3$?

# %% tags=["demo"]
if passed("momentum_step", "spectral_radius"):
    print("  ηh     α   predicted  measured")
    for lr, alpha in [(0.5, 0.0), (0.1, 0.5), (1.0, 0.9), (3.0, 0.9), (3.9, 0.9)]:
        w, delta, size = torch.tensor(1.0).double(), torch.tensor(0.0).double(), []
        for _ in range(601):
            w, delta = momentum_step(w, w, delta, lr, alpha)  # curvature 1: the gradient is w
            size.append(math.hypot(w, delta))
        measured = (size[600] / size[100]) ** (1 / 500)
        print(f"{lr:4.1f}  {alpha:4.1f}   {spectral_radius(lr, alpha, 1.0):8.3f}   {measured:8.3f}")

# %% [markdown]
# **Read the numbers.** Prediction and measurement agree to about a thousandth. At $\eta h = 3$, where gradient descent blows up, momentum converges; at 3.9 it does not.
#
# ## 4.6  Too much momentum creates oscillation
#
# The whole plane at once: $\eta h$ from left to right, $\alpha$ from bottom to top. The colour is the spectral radius, from the formula for the two eigenvalues.

# %% tags=["demo"]
eta_h = torch.linspace(0.01, 4.2, 400).double()
alpha = torch.linspace(0, 1, 400).double()[:, None]
half = torch.complex((1 + alpha - eta_h) / 2, torch.zeros(400, 400).double())
root = torch.sqrt(half**2 - alpha)
radius = torch.maximum((half + root).abs(), (half - root).abs())
stable = (radius < 1) == (eta_h < 2 * (1 + alpha))
print(f"'radius < 1' and 'ηh < 2(1 + α)' agree on {stable[:-1].double().mean():.2%} of the grid")

ax = figures.heatmap(eta_h, alpha[:, 0], radius.clamp(max=1.6), x="learning rate × curvature  ηh",
                     y="momentum α", z_label="spectral radius (up to 1.6)", levels=[0.5, 0.7, 0.9],
                     alt="Spectral radius over ηh and momentum. Runs converge left of a line from "
                     "ηh = 2 without momentum to 4 with momentum 1. In the middle region the "
                     "radius depends on the momentum alone; it is smallest at ηh = 1, momentum 0.")
a = torch.linspace(0, 1, 100)
ax.plot(2 * (1 + a), a, "w--", lw=2)
ax.plot((1 - a.sqrt()) ** 2, a, "w:", lw=2)
ax.plot((1 + a.sqrt()) ** 2, a, "w:", lw=2)
for x, y, text in [(1.4, 0.6, "oscillates"), (3.35, 0.25, "diverges")]:
    ax.annotate(text, (x, y), color="black" if text == "diverges" else "white")
plt.show()

# %% [markdown]
# **Read the figure.** Runs converge where $\eta h < 2(1+\alpha)$ (dashed): momentum nearly doubles the largest stable learning rate. Between the dotted curves the eigenvalues are complex and the radius is $\sqrt\alpha$, whatever the learning rate: there more momentum is *slower*. To their left a run creeps. The left dotted curve, $\alpha = (1-\sqrt{\eta h})^2$, is **critical damping**: on it the error falls fastest for that $\eta h$.

# %% [markdown]
# **Predict.** With $\eta h = 0.05$ critical damping is at $\alpha = (1-\sqrt{0.05})^2 = 0.60$. What do you expect of $\alpha = 0$ and of $\alpha = 0.95$?

# %% tags=["demo"]
curves = {}
for alpha in (0.0, 0.6, 0.95):
    w, delta, path = 1.0, 0.0, [1.0]
    for _ in range(250):
        delta = alpha * delta + 0.05 * w
        w = w - delta
        path.append(w)
    curves[f"α = {alpha}"] = path[:81]
    last = max(t for t, value in enumerate(path) if abs(value) > 0.01)
    print(f"alpha = {alpha:4}:  |w| stays below 0.01 after {last + 1:3} steps   "
          f"lowest w {min(path):5.2f}")
figures.curve(range(81), curves, x="step", y="w",
              alt="Without momentum w creeps to zero. With momentum 0.6 it is there after 27 "
              "steps, without overshoot. With 0.95 it swings below zero and back, again and again.")
plt.show()

# %% [markdown]
# > Lecture notes ▸ corrected: momentum does not only "dampen oscillations". Across a ravine it does; above critical damping it *creates* them, and it makes the noise of minibatches linger: in notebook 2 the variance of SGD grew by about $1/(1-\alpha)$.

# %% [markdown]
# ## 4.7  Most of "ten times better" is a longer step
#
# In 4.1 the steps of momentum grew to those of gradient descent with a larger **effective learning rate**.
#
# **Exercise 4.6 (1 point).** Write it. You have seen the limit above.

# %% nbgrader={"grade": false, "grade_id": "effective_learning_rate-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def effective_learning_rate(lr, alpha):
    """The rate of plain gradient descent that takes steps as long as momentum's in the long run.

    lr, alpha: floats, 0 <= alpha < 1.   Returns a float.
    """
    ### BEGIN SOLUTION
    return lr / (1 - alpha)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>In 4.1, with η = 0.1 and α = 0.9, steps grew to 1.</details>
# <details><summary>Hint 2</summary>The weights of 4.2 add up to how much?</details>
# <details><summary>Hint 3</summary>The learning rate over the friction.</details>

# %% nbgrader={"grade": true, "grade_id": "effective_learning_rate", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(effective_learning_rate)

# %% [markdown]
# Now a real network: 64 inputs, 64 hidden units, 10 classes, 4,810 weights, trained on 1,437 small pictures of digits. Three settings with ten seeds each, all thirty runs at once.
#
# **Predict.** SGD and momentum 0.9, both with $\eta = 0.03$: which has the lower training loss after eight epochs, and by what factor? And SGD with $\eta = 0.3$?

# %% tags=["demo"]
data, seeds = digits(device), range(10)
plain = sweep("sgd", lrs=[0.03, 0.3], seeds=seeds, data=data, epochs=8)
heavy = sweep("momentum", lrs=[0.03], seeds=seeds, data=data, epochs=8, alpha=0.9)
runs = {"SGD, η = 0.03": plain.train_loss[0], "momentum, η = 0.03": heavy.train_loss[0],
        "SGD, η = 0.3": plain.train_loss[1]}
fig, ax = plt.subplots()
for name, loss in runs.items():
    figures.band(range(9), loss, label=name, ax=ax)
    end = loss[:, -1]
    print(f"{name:19} training loss {end.mean():.2f}   "
          f"(ten seeds: {end.min():.2f} to {end.max():.2f})")
ax.set(xlabel="epoch", ylabel="training loss", yscale="log")
figures.label_lines(ax)
figures.describe(fig, "Training loss over 8 epochs, mean and range of ten seeds. "
                 "SGD with rate 0.03 stays above 1.6. "
                 "Momentum with 0.03 and SGD with 0.3 fall together, to about 0.17.")
plt.show()
ratio = plain.train_loss[0][:, -1].mean() / heavy.train_loss[0][:, -1].mean()
print(f"at the same η momentum ends {ratio:.0f} times lower")

# %% [markdown]
# **Read the figure.** (Line: mean; band: smallest to largest of ten seeds.) At the same $\eta$ momentum looks about ten times better. Give SGD the same *effective* rate, and the two bands overlap. What was compared first was not momentum but a ten times longer step.
#
# Is that all? Compare at *every* rate.
#
# **Predict.** Plot the final loss against the effective learning rate, one curve for SGD and one for momentum. Where do they agree, and where not?

# %% tags=["demo"]
rates = torch.logspace(-2, 1.25, 9)
plain = sweep("sgd", lrs=rates.tolist(), seeds=range(5), data=data, epochs=8)
heavy = sweep("momentum", lrs=(rates / 10).tolist(), seeds=range(5), data=data, epochs=8, alpha=0.9)
fig, ax = plt.subplots()
for name, method, sweep_of in [("SGD", "sgd", plain), ("momentum 0.9", "momentum", heavy)]:
    end = sweep_of.train_loss[:, :, -1]
    figures.band(rates, end.T, label=name, method=method, ax=ax)
    best = end.mean(dim=1).nan_to_num(torch.inf).argmin()
    print(f"{name:13} best at the effective rate {rates[best]:5.2f}: loss {end[best].mean():.2f} "
          f"({end[best].min():.2f} to {end[best].max():.2f})")
ax.axhline(math.log(10), color="0.6", lw=1)
ax.annotate("guessing", (0.011, 2.45), color="0.4")
ax.set(xlabel="effective learning rate  η/(1-α)", ylabel="training loss after 8 epochs",
       xscale="log", yscale="log", ylim=(0.01, 6))
figures.label_lines(ax)
figures.describe(fig, "Final training loss against the effective learning rate. Both curves "
                 "coincide up to 0.2. Beyond 1 SGD turns up and fails; momentum goes on falling "
                 "and reaches a third of SGD's best loss at an effective rate of about 3.")
plt.show()

# %% [markdown]
# **Read the figure.** (Five seeds; nine rates each; both optima lie inside the range.) Up to an effective rate of 0.2 it makes no difference how the long step is made. Beyond 1 plain SGD becomes unstable, momentum not yet: at curvature $h$ its limit $\eta < 2(1+\alpha)/h = 3.8/h$ is an *effective* rate of $38/h$, while SGD's limit is $2/h$. Each at its own best rate, momentum ends at about a third of SGD's training loss. That, not a factor of ten, is what momentum adds here, after eight epochs of this problem.

# %% [markdown]
# ## 4.8  Nesterov looks where the velocity will carry us
#
# Part of the coming step is known in advance: $\alpha\Delta$, what is left of the old velocity. Nesterov's idea is to go there first and to take the gradient at that **look-ahead point**, where it is about to be needed:
#
# $$\Delta_t = \alpha\,\Delta_{t-1} + \eta\,\nabla L(w_t - \alpha\,\Delta_{t-1}), \qquad w_{t+1} = w_t - \Delta_t$$
#
# > Lecture notes ▸ corrected: the notes write $\Delta_w L$ for the gradient, and say that the *loss* is calculated with the momentum. It is the gradient, $\nabla_w L$, that is evaluated at the look-ahead point ([Sutskever et al. 2013](https://proceedings.mlr.press/v28/sutskever13.html), eq. 3–4).

# %% tags=["demo"]
w, delta = torch.tensor([-1.6, 0.5]), torch.tensor([-0.9, 0.6])
lr, alpha = 0.03, 0.9
ahead = w - alpha * delta
ends = {"momentum": ahead - lr * RAVINE.grad(w), "Nesterov": ahead - lr * RAVINE.grad(ahead)}

fig, ax = plt.subplots()
ax.axhline(0, color="0.6", lw=1)
ax.annotate("floor of the ravine", (-1.75, 0.01), color="0.4")
figures.arrow(ax, w, ahead, "−αΔ, known in advance", color="0.35", offset=(60, 8))
figures.arrow(ax, ahead, ends["momentum"], "−η∇L(w), momentum", color="#0072B2", offset=(72, -6))
figures.arrow(ax, ahead, ends["Nesterov"], "−η∇L(ahead), Nesterov", color="#D55E00",
              offset=(60, 22))
for name, point in {"w": w, "look-ahead point": ahead}.items():
    ax.plot(*point, "o", color="black")
    ax.annotate(name, point, xytext=(-6, -14), textcoords="offset points", ha="right")
ax.set(xlabel="x", ylabel="y", xlim=(-1.8, -0.2), ylim=(-0.5, 0.62))
figures.describe(fig, "Momentum and Nesterov from the same point. The known part of the step leads "
                 "to the floor. Momentum adds the gradient of the start and shoots past the floor; "
                 "Nesterov adds the gradient of the look-ahead point and stays on it.")
plt.show()
for name, end in ends.items():
    print(f"{name:9} ends {abs(end[1]):.2f} from the floor")

# %% [markdown]
# **Read the figure.** (The notes' Figure 3, with real numbers: $\eta = 0.03$, $\alpha = 0.9$ in the ravine.) The known part carries us almost exactly to the floor. Momentum still applies the correction that was right *before* that part, and overshoots by 0.42. Nesterov asks again where it is about to be, and corrects by almost nothing.
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
    delta = alpha * delta + lr * grad_fn(w - alpha * delta)
    return w - delta, delta
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Only one thing differs from <code>momentum_step</code>: where the gradient is taken.</details>
# <details><summary>Hint 2</summary>The velocity is subtracted from w, so the look-ahead point lies at w minus what is left of the old velocity.</details>
# <details><summary>Hint 3</summary><code>grad_fn(w - alpha * delta)</code> inside the velocity. The look-ahead point itself is not kept: the step starts from w.</details>

# %% nbgrader={"grade": true, "grade_id": "nesterov_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(nesterov_step)

# %% [markdown]
# **Predict.** Momentum 0.9 in the ravine, both methods with $\eta = 0.02$. Which one swings further across the floor?

# %% tags=["demo"]
if passed("momentum_step", "nesterov_step"):
    w, delta, path = RAVINE.start, torch.zeros(2), [RAVINE.start]
    for _ in range(60):
        w, delta = nesterov_step(w, RAVINE.grad, delta, 0.02, 0.9)
        path.append(w)
    heavy = descend(RAVINE, momentum_step, RAVINE.start, 60, (0.0,), lr=0.02, alpha=0.9)
    paths = {"momentum": heavy, "Nesterov": torch.stack(path)}
    figures.trajectories(RAVINE, paths, alt="Both paths cross the floor of the ravine. "
                         "Momentum goes on swinging on its way to the minimum, "
                         "Nesterov's swings die out at once.")
    plt.show()
    for name, path in paths.items():
        x, y = path[-1].abs()
        print(f"{name:9} after the first crossing at most {path[4:, 1].abs().max():.2f} "
              f"from the floor;  after 60 steps |x| = {x:.4f}, |y| = {y:.4f}")

# %% [markdown]
# **Read the figure.** The look-ahead acts like a brake on the steep direction: after 60 steps Nesterov has nothing left across the floor, momentum still swings by 0.03. Along the floor, where the gradient changes slowly, both are within 0.04 of the minimum. The brake has a price. For $\alpha = 0.9$ Nesterov is stable up to $\eta h = \frac{2(1+\alpha)}{1+2\alpha}$ only, momentum up to $2(1+\alpha)$. Your functions on both sides of these limits:

# %% tags=["demo"]
if passed("momentum_step", "nesterov_step"):
    for name, limit in {"Nesterov": 3.8 / 2.8, "momentum": 3.8}.items():
        for lr in (0.99 * limit, 1.01 * limit):
            w, delta = torch.tensor(1.0), torch.tensor(0.0)  # curvature 1: the gradient is w itself
            for _ in range(1000):
                if name == "Nesterov":
                    w, delta = nesterov_step(w, lambda v: v, delta, lr, 0.9)
                else:
                    w, delta = momentum_step(w, w, delta, lr, 0.9)
            print(f"{name:9} ηh = {lr:.2f}  {'converges' if abs(w) < 1 else 'diverges'}")

# %% [markdown]
# ## 4.9  PyTorch stores the look-ahead point
#
# `torch.optim.SGD(nesterov=True)` cannot ask for a gradient elsewhere: `backward()` has computed it where the parameter is. So PyTorch keeps the *look-ahead point* in the parameter. With $p = w - \alpha\Delta$ the same algorithm reads
#
# $$b = \alpha\, b + \nabla L(p), \qquad p \leftarrow p - \eta\,(\nabla L(p) + \alpha\, b).$$

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
# > Lecture notes ▸ corrected: the notes say momentum "helps skip over local minima by increasing efficiency". Nothing on this page is about local minima: what is measured here is cancellation across a ravine, longer steps along it, and a larger stable range.
#
# ## 4.10  Try it yourself
#
# Drag the white start point, or move it with the arrow keys; move the sliders. Everything is computed in your browser.
#
# 1. Set $\alpha$ to 0.5 and untick Nesterov. Find a learning rate at which SGD zigzags to the end, while momentum's zigzag dies out after a few steps.
# 2. At $\eta$ = 0.02, raise $\alpha$ from 0.5 to 0.99. When does momentum stop helping?
# 3. Make momentum converge where SGD diverges. Does Nesterov still converge there?

# %% tags=["demo"]
explorer("ravine", methods=("sgd", "momentum", "nesterov"), lr=0.02, alpha=0.9, steps=60)

# %% [markdown]
# ## 4.11  Your momentum trains the network
#
# `RuleOptimizer` applies your function to every parameter of a network and keeps one velocity for each. Beside it runs PyTorch's own, from the same start and with the same minibatches.

# %% tags=["demo"]
if passed("momentum_step"):
    mine, theirs = mlp(seed=0, device=device), mlp(seed=0, device=device)
    own = RuleOptimizer(mine.parameters(), momentum_step, state=(0.0,), lr=0.1, alpha=0.9)
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    a = train(mine, own, data, epochs=10, seed=0)
    b = train(theirs, sgd, data, epochs=10, seed=0)
    gap = (a.loss - b.loss).abs().max()
    print(f"over {len(a.loss)} steps the losses agree to 1e-5: {gap < 1e-5}")
    print(f"test accuracy: yours {a.test_accuracy[-1]:.1%}, PyTorch's {b.test_accuracy[-1]:.1%}")
    ax = figures.curve(range(11), a.train_loss, x="epoch", y="training loss", log="y",
                       label="line: momentum_step", method="momentum",
                       alt="Training loss over ten epochs of your own momentum, a line, and of "
                       "torch.optim.SGD, rings. Every ring lies on the line.")
    ax.plot(range(11), b.train_loss, "o", ms=11, mfc="none", mec="#D55E00")
    ax.annotate("rings: torch.optim.SGD", (1.3, 1.2), color="#D55E00")
    plt.show()

# %% [markdown]
# **Read the figure.** Two curves, one line: over hundreds of steps your function and PyTorch's agree to rounding in single precision. This is one seed, and it needs no more: it shows that two programs compute the same, not that one method is better.
#
# ## What to remember
#
# - The velocity is a *sum* of past gradients with weights $\alpha^k$; they add up to $1/(1-\alpha)$.
# - At a constant rate all forms are one algorithm; after a change of the rate they are not.
# - Stable for $\eta h < 2(1+\alpha)$. In a ravine the best momentum turns $\kappa$ into $\sqrt\kappa$; above critical damping it oscillates.
# - Compare at equal effective rates $\eta/(1-\alpha)$, or better: each method at its own best rate.
# - Nesterov takes the gradient at $w - \alpha\Delta$. PyTorch stores that point.

# %% tags=["demo"]
scoreboard("04")

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
