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
# **75 minutes · 17 points.** Afterwards you can
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


# %% nbgrader={"grade": false, "grade_id": "momentum_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
    steps = torch.arange(1, 101)
    lengths, theory = {}, {}
    for alpha in (0.0, 0.9, 0.99):
        w, delta, taken = torch.tensor(0.0), torch.tensor(0.0), []
        for _ in steps:
            w, delta = momentum_step(w, torch.tensor(1.0), delta, 0.1, alpha)
            taken.append(delta.item())
        lengths[f"α = {alpha}"] = torch.tensor(taken)
        print(
            f"alpha = {alpha:4}: step 1 {taken[0]:.2f}   step 10 {taken[9]:.2f}   step 100 {taken[-1]:.2f}"
            f"   limit {0.1 / (1 - alpha):.2f}"
        )
    figures.curve(
        steps,
        lengths,
        x="step t",
        y="length of the step",
        log="y",
        alt="Under a constant gradient the step stays at 0.1 without momentum, levels off at 1 with momentum 0.9, "
        "and is still growing at step 100 with momentum 0.99.",
    )

# %% [markdown]
# **Read the figure.** With $\alpha = 0.9$ steps become ten times longer, with 0.99 they are on their way to a hundred times. The limit is $\eta/(1-\alpha)$. It takes about $1/(1-\alpha)$ steps to get there: a long memory is slow to build up, and slow to let go.

# %% [markdown]
# ## 4.2  The velocity is a weighted sum, not an average
#
# Put the formula into itself: $\Delta_t = \eta\,(\nabla L_t + \alpha \nabla L_{t-1} + \alpha^2 \nabla L_{t-2} + \dots)$. Every past gradient is still there, with a weight that shrinks by $\alpha$ per step.
#
# > Lecture notes ▸ corrected: the notes speak of a "weighted averaged" direction. The weights of an average add up to 1; these add up to $1/(1-\alpha)$. Hence the longer steps above.
#
# **Exercise 4.2 (2 points).** Return the weights of the gradients after a number of steps, in units of $\eta$, **oldest first**.


# %% nbgrader={"grade": false, "grade_id": "velocity_weights-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
    age = torch.arange(50)
    weights = {f"α = {a}": velocity_weights(a, 50).flip(0) for a in (0.5, 0.9, 0.99)}
    figures.curve(
        age,
        weights,
        x="age of the gradient (steps)",
        y="weight in the velocity",
        alt="The weight of a gradient against its age. With alpha 0.5 it is gone after 7 steps, with 0.9 after 50, with 0.99 it is still 0.6.",
    )
    for a in (0.5, 0.9, 0.99):
        total = velocity_weights(a, 5000).sum()
        print(
            f"alpha = {a:4}:  sum of the weights {total:6.2f}   1/(1-alpha) {1 / (1 - a):6.2f}   half-life {math.log(0.5) / math.log(a):5.1f} steps"
        )

# %% [markdown]
# **Read the figure.** The usual range, 0.9 to 0.99, is a memory of ten to a hundred steps: a gradient has lost half of its weight after 6.6 steps at 0.9 and after 69 at 0.99.

# %% [markdown]
# ## 4.3  Three forms of momentum walk one path, until the learning rate changes
#
# Books and libraries write momentum in different ways. With $\nabla L_t$ the gradient at step $t$:
#
# | form | velocity | weights |
# |:--|:--|:--|
# | lecture, Sutskever 2013 | $\Delta = \alpha\Delta + \eta\nabla L$ | $w \leftarrow w - \Delta$ |
# | Keras | $v = \alpha v - \eta\nabla L$ | $w \leftarrow w + v$ |
# | PyTorch | $b = \alpha b + (1-\tau)\nabla L$ | $w \leftarrow w - \eta\, b$ |
# | average (EMA) | $m = \alpha m + (1-\alpha)\nabla L$ | $w \leftarrow w - \eta\, m$ |
#
# $\tau$ is PyTorch's `dampening`, 0 unless you set it. PyTorch's buffer $b$ has one more particularity: before the first step there is none (`None`), and the first gradient becomes the buffer as it is, undampened.
#
# > Lecture notes ▸ corrected: the notes give the dampening as $1-\eta$. It has nothing to do with the learning rate: the new gradient is multiplied by $1-\tau$ ([torch.optim.SGD](https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html)).

# %% [markdown]
# **Exercise 4.3 (3 points).** Write one step of PyTorch's form.


# %% nbgrader={"grade": false, "grade_id": "torch_momentum_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def torch_momentum_step(w, grad, buf, lr, momentum, dampening):
    """One step of momentum as in torch.optim.SGD.

    w, grad: tensors of one shape.   buf: the buffer, a tensor of that shape, or None before the first step.
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
    print(f"largest difference to torch.optim.SGD over 50 steps: {gap:.0e}")

# %% [markdown]
# Now both forms side by side. After thirty steps the learning rate drops to a tenth, as it would in a schedule.
#
# **Predict.** Up to the drop, how different are the two paths? In the first step after it, which form still moves far, and about how many times further?

# %% tags=["demo"]
if passed("momentum_step", "torch_momentum_step"):
    a, delta = RAVINE.start.clone(), torch.zeros(2)
    b, buf = RAVINE.start.clone(), None
    distance = {"lecture form": [], "PyTorch form": []}
    for step in range(60):
        lr = 0.02 if step < 30 else 0.002
        before = a.clone(), b.clone()
        a, delta = momentum_step(a, RAVINE.grad(a), delta, lr, 0.9)
        b, buf = torch_momentum_step(b, RAVINE.grad(b), buf, lr, 0.9, 0.0)
        distance["lecture form"].append((a - before[0]).norm().item())
        distance["PyTorch form"].append((b - before[1]).norm().item())
        if step == 29:
            print(f"before the drop: the two forms differ by {(a - b).abs().max():.0e}")
    ratio = distance["lecture form"][30] / distance["PyTorch form"][30]
    print(f"first step after the drop: lecture form {ratio:.1f} times longer")

# %% tags=["demo"]
if passed("momentum_step", "torch_momentum_step"):
    ax = figures.curve(
        torch.arange(1, 61),
        {k: torch.tensor(v) for k, v in distance.items()},
        x="step",
        y="length of the step",
        log="y",
        alt="Length of each step for both forms. They coincide for 30 steps. When the rate drops to a tenth, "
        "PyTorch's steps shrink at once, the lecture form's only little by little.",
    )
    ax.axvline(30.5, color="0.6", lw=1)
    ax.annotate("learning rate ÷ 10", (30.5, ax.get_ylim()[1]), xytext=(4, -12), textcoords="offset points")
    plt.show()

# %% [markdown]
# **Read the figure.** At a constant rate the forms are the same algorithm, $\Delta = \eta\, b$. At the drop the lecture's velocity still carries the old, larger steps; PyTorch's buffer holds gradients, and the new rate applies to all of them at once. Neither is wrong. But a schedule tuned for one form does not carry over to the other ([Goyal et al. 2017](https://arxiv.org/abs/1706.02677) call the remedy momentum correction).

# %% [markdown]
# **Converting.** From rest and at a constant rate, all four forms take the same steps when the rates are converted like this. The cell checks it on the ravine.


# %% tags=["demo"]
def velocity_path(keep, new, out, steps=40):
    """v = keep·v + new·∇L, then w = w − out·v, from rest."""
    w, v, path = RAVINE.start.clone(), torch.zeros(2), []
    for _ in range(steps):
        v = keep * v + new * RAVINE.grad(w)
        w = w - out * v
        path.append(w)
    return torch.stack(path)


lr, alpha = 0.02, 0.9
lecture = velocity_path(alpha, lr, 1)
forms = {
    "PyTorch, lr = η": (alpha, 1, lr),
    "EMA, lr = η/(1−α)": (alpha, 1 - alpha, lr / (1 - alpha)),
    "Keras, lr = η": (alpha, -lr, -1),
    "EMA with lr = η": (alpha, 1 - alpha, lr),
}
for name, form in forms.items():
    print(f"{name:18} differs from the lecture form by {(velocity_path(*form) - lecture).abs().max():.0e}")

# %% [markdown]
# The last line is the mistake that converting avoids: an average at the same $\eta$ is ten times slower, and a comparison with it says nothing about averaging.

# %% [markdown]
# ## 4.4  In a ravine momentum damps the sides and speeds up the floor
#
# In a ravine the gradient across the valley changes its sign at every jump, while the one along the floor keeps it. In a sum, the first kind cancels and the second adds up.
#
# **Predict.** A gradient that alternates, $+1, -1, +1, \dots$, and one that is always $+1$: how large does the velocity of each become, in units of $\eta$, for $\alpha = 0.9$?

# %% tags=["demo"]
alternating, constant = 0.0, 0.0
for step in range(200):
    alternating = 0.9 * alternating + (-1) ** step
    constant = 0.9 * constant + 1
print(f"alternating: {abs(alternating):.3f}  = 1/(1 + 0.9)      constant: {constant:.2f}  = 1/(1 - 0.9)")

# %% [markdown]
# A factor of 19 between them. The ravine $L = \tfrac12(x^2 + 25y^2)$ has curvature $h = 1$ along its floor and 25 across: **condition number** $\kappa = 25$. The best that gradient descent can do is $\eta = 2/(h_{min}+h_{max})$, which shrinks the error by $\frac{\kappa-1}{\kappa+1} = 0.923$ per step. For momentum the best is known too ([Polyak 1964](https://doi.org/10.1016/0041-5553(64)90137-5)): $\eta = \big(\frac{2}{\sqrt{h_{min}}+\sqrt{h_{max}}}\big)^2$ with an $\alpha$ that depends on $\kappa$ alone, and a factor of $\sqrt\alpha$ per step.

# %% [markdown]
# **Exercise 4.4 (2 points).** The best momentum is $\alpha = \Big(\dfrac{\sqrt\kappa-1}{\sqrt\kappa+1}\Big)^2$. Write it as a function.


# %% nbgrader={"grade": false, "grade_id": "best_momentum-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def best_momentum(kappa):
    """The momentum that converges fastest on a quadratic, together with its best learning rate.

    kappa: largest over smallest curvature, a float >= 1.   Returns a float in [0, 1).
    """
    ### BEGIN SOLUTION
    return ((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)) ** 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "best_momentum", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(best_momentum)

# %% [markdown]
# Each method at its own best setting, from the same start: that is a fair race.

# %% tags=["demo"]
if passed("momentum_step", "best_momentum"):
    alpha = best_momentum(25)
    best = {
        "gradient descent": descend(
            RAVINE, momentum_step, RAVINE.start, 300, state=(0.0,), lr=2 / 26, alpha=0.0
        ),
        "momentum": descend(
            RAVINE, momentum_step, RAVINE.start, 300, state=(0.0,), lr=(2 / 6) ** 2, alpha=alpha
        ),
    }
    for name, path in best.items():
        steps = int((path.norm(dim=1) > 1e-6).sum())
        print(f"{name:17} {steps:3} steps until the distance is below 1e-6")
    figures.trajectories(
        RAVINE,
        {name: path[:25] for name, path in best.items()},
        alt="Paths in the ravine. Gradient descent at its best rate zigzags all the way; momentum at its best "
        "swings across once or twice and is near the minimum within 15 steps.",
    )

# %% [markdown]
# **Read the figure.** Same landscape, same start, both tuned: momentum needs about a fifth of the steps. The gain grows with the condition number, like $\sqrt\kappa$: the worse the ravine, the more there is to win.

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


# %% nbgrader={"grade": false, "grade_id": "spectral_radius-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def spectral_radius(lr, alpha, curvature):
    """The factor by which momentum shrinks the error per step, in the long run, on L = curvature · w²/2.

    lr, alpha, curvature: floats.   Returns a float; below 1 the run converges.
    """
    ### BEGIN SOLUTION
    matrix = torch.tensor([[1 - lr * curvature, -alpha], [lr * curvature, alpha]], dtype=torch.float64)
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
    print("  ηh     α    predicted   measured")
    for lr, alpha in [(0.5, 0.0), (0.1, 0.5), (1.0, 0.9), (3.0, 0.9), (3.9, 0.9)]:
        w, delta, size = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64), []
        for _ in range(400):
            w, delta = momentum_step(w, w, delta, lr, alpha)  # curvature 1: the gradient is w itself
            size.append(math.hypot(w, delta))
        measured = (size[-1] / size[199]) ** (1 / 200) if size[-1] > 1e-300 else float("nan")
        print(f"{lr:5.1f}  {alpha:4.1f}   {spectral_radius(lr, alpha, 1.0):8.4f}   {measured:8.4f}")

# %% [markdown]
# ## 4.6  Too much momentum creates oscillation
#
# The whole plane at once. $\eta h$ from left to right, $\alpha$ from bottom to top; the colour is the spectral radius, computed from the formula for the eigenvalues.

# %% tags=["demo"]
eta_h = torch.linspace(0.01, 4.2, 400, dtype=torch.float64)
alpha = torch.linspace(0, 1, 400, dtype=torch.float64)[:, None]
half = torch.complex((1 + alpha - eta_h) / 2, torch.zeros(400, 400, dtype=torch.float64))
root = torch.sqrt(half**2 - alpha)
radius = torch.maximum((half + root).abs(), (half - root).abs())
ax = figures.heatmap(
    eta_h,
    alpha.squeeze(),
    radius,
    x="learning rate × curvature  ηh",
    y="momentum α",
    z_label="spectral radius",
    levels=[0.5, 0.7, 0.8, 0.9, 0.95, 1.0],
    alt="Spectral radius over learning rate times curvature and momentum. Runs converge left of the line "
    "from 2 at alpha 0 to 4 at alpha 1. The darkest, fastest point is at ηh = 1, alpha = 0; from there a valley runs to both "
    "upper corners, along the curve of critical damping.",
)
line = torch.linspace(0, 1, 100)
ax.plot(2 * (1 + line), line, "w--", lw=1.5)
ax.plot((1 - line.sqrt()) ** 2, line, "w:", lw=1.5)
ax.plot((1 + line.sqrt()) ** 2, line, "w:", lw=1.5)
plt.show()
inside = (radius < 1) == (eta_h < 2 * (1 + alpha))
print(
    f"grid points where 'radius < 1' and 'ηh < 2(1 + α)' agree: {inside[alpha.squeeze() < 1].float().mean():.2%}"
)

# %% [markdown]
# **Read the figure.** Runs converge where $\eta h < 2(1+\alpha)$ (dashed): momentum nearly doubles the largest stable learning rate. Between the dotted curves the eigenvalues are complex and the radius is $\sqrt\alpha$, whatever the learning rate: there more momentum is *slower*. The left dotted curve, $\alpha = (1-\sqrt{\eta h})^2$, is **critical damping**: on it the error falls fastest for that $\eta h$.

# %% [markdown]
# **Predict.** With $\eta h = 0.05$ critical damping is at $\alpha = (1-\sqrt{0.05})^2 = 0.60$. What do you expect of 0 and of 0.95?

# %% tags=["demo"]
curves = {}
for alpha in (0.0, 0.6, 0.95):
    w, delta, path = 1.0, 0.0, [1.0]
    for _ in range(80):
        delta = alpha * delta + 0.05 * w
        w = w - delta
        path.append(w)
    curves[f"α = {alpha}"] = torch.tensor(path)
    print(
        f"alpha = {alpha:4}: |w| first below 0.01 for good after {max(t for t, v in enumerate(path) if abs(v) > 0.01) + 1} steps"
    )
figures.curve(
    torch.arange(81),
    curves,
    x="step",
    y="w",
    alt="Without momentum w creeps to zero in about 80 steps. With 0.6 it is there after 25 without overshoot. "
    "With 0.95 it swings to −0.6 and back, and is still oscillating at step 80.",
)

# %% [markdown]
# > Lecture notes ▸ corrected: momentum does not only "dampen oscillations". Across a ravine it does; above critical damping it *creates* them, and it makes the noise of minibatches linger: in notebook 2 you will see the variance of SGD grow by about $1/(1-\alpha)$.

# %% [markdown]
# ## 4.7  "Nine times better" disappears when the step is the same
#
# From 4.1: in the long run the steps of momentum are those of gradient descent with an **effective learning rate**.
#
# **Exercise 4.6 (1 point).** Write it. You have seen the limit above.


# %% nbgrader={"grade": false, "grade_id": "effective_learning_rate-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def effective_learning_rate(lr, alpha):
    """The learning rate of plain gradient descent that takes steps as long as momentum's in the long run.

    lr, alpha: floats, 0 <= alpha < 1.   Returns a float.
    """
    ### BEGIN SOLUTION
    return lr / (1 - alpha)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "effective_learning_rate", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(effective_learning_rate)

# %% [markdown]
# We train the small network of this course (64 inputs, 64 hidden units, 10 classes: 4,810 weights) on the 1,437 training digits. Three settings, each from ten seeds, all thirty runs at once.
#
# **Predict.** SGD and momentum both with $\eta = 0.03$: which has the lower training loss after eight epochs, and by what factor? And SGD with $\eta = 0.3$?

# %% tags=["demo"]
data = digits(device)
seeds = range(10)
plain = sweep("sgd", lrs=[0.03, 0.3], seeds=seeds, data=data, epochs=8)
heavy = sweep("momentum", lrs=[0.03], seeds=seeds, data=data, epochs=8, alpha=0.9)
runs = {
    "SGD, η = 0.03": plain.train_loss[0],
    "momentum, η = 0.03": heavy.train_loss[0],
    "SGD, η = 0.3": plain.train_loss[1],
}
for name, loss in runs.items():
    final = loss[:, -1]
    print(f"{name:19} training loss {final.mean():.3f}   (ten seeds: {final.min():.3f} to {final.max():.3f})")
print(
    f"momentum against SGD at the same η: {plain.train_loss[0][:, -1].mean() / heavy.train_loss[0][:, -1].mean():.1f} times lower"
)

# %% tags=["demo"]
fig, ax = plt.subplots()
for name, loss in runs.items():
    figures.band(torch.arange(9), loss, label=name, ax=ax)
ax.set(xlabel="epoch", ylabel="training loss", yscale="log")
figures.label_lines(ax)
figures.describe(
    fig,
    "Training loss of three settings over 8 epochs with bands over ten seeds. SGD at 0.03 stays high. Momentum at 0.03 and SGD at 0.3 fall together.",
)
plt.show()

# %% [markdown]
# **Read the figure.** (Line: mean, band: smallest to largest of ten seeds.) At the same $\eta$ momentum looks many times better. Give SGD the same *effective* rate and the two bands lie on top of each other. What was compared first was not momentum but a ten times longer step. Most of what momentum does on an easy problem is that; the ravine above shows what it does besides.

# %% [markdown]
# ## 4.8  Nesterov looks where the velocity will carry us
#
# Part of the coming step is known in advance: $\alpha\Delta$, what is left of the old velocity. Nesterov's idea is to go there first and to take the gradient at that **look-ahead point**, where it is about to be needed:
#
# $$\Delta_t = \alpha\,\Delta_{t-1} + \eta\,\nabla L(w_t - \alpha\,\Delta_{t-1}), \qquad w_{t+1} = w_t - \Delta_t$$
#
# > Lecture notes ▸ corrected: the notes write $\Delta_w L$ for the gradient, and say that the *loss* is calculated with the momentum. It is the gradient, $\nabla_w L$, that is evaluated at the look-ahead point ([Sutskever et al. 2013](https://proceedings.mlr.press/v28/sutskever13.html), eq. 3–4).

# %% tags=["demo"]
w, delta = torch.tensor([-1.6, 0.9]), torch.tensor([-0.9, 0.5])
lr, alpha = 0.03, 0.9
ahead = w - alpha * delta
momentum_end = ahead - lr * RAVINE.grad(w)
nesterov_end = ahead - lr * RAVINE.grad(ahead)
print("w", w, "ahead", ahead, momentum_end, nesterov_end)

# %% [markdown]
# **Exercise 4.7 (3 points).** Write one step. You get a *function* that gives the gradient at any point.


# %% nbgrader={"grade": false, "grade_id": "nesterov_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
# **Predict.** Momentum 0.9 in the ravine, both methods with the same $\eta$. Which one swings further past the floor?

# %% tags=["demo"]
if passed("momentum_step", "nesterov_step"):
    w, delta, path = RAVINE.start.clone(), torch.zeros(2), [RAVINE.start]
    for _ in range(60):
        w, delta = nesterov_step(w, RAVINE.grad, delta, 0.02, 0.9)
        path.append(w)
    paths = {
        "momentum": descend(RAVINE, momentum_step, RAVINE.start, 60, state=(0.0,), lr=0.02, alpha=0.9),
        "Nesterov": torch.stack(path),
    }
    figures.trajectories(
        RAVINE,
        paths,
        alt="Both paths swing across the floor of the ravine. Nesterov's swings are damped after two crossings, momentum goes on swinging along the whole way.",
    )
    for name, path in paths.items():
        print(
            f"{name:9} furthest overshoot across the floor {path[:, 1].abs()[5:].max():.2f}   distance after 60 steps {path[-1].norm():.4f}"
        )

# %% [markdown]
# ## 4.9  PyTorch stores the look-ahead point
#
# `torch.optim.SGD(nesterov=True)` has no function to ask for a gradient elsewhere: `backward()` has already computed it where the parameter is. So PyTorch keeps the *look-ahead point* in the parameter. With $p = w - \alpha\Delta$ the same algorithm reads
#
# $$b = \alpha\, b + \nabla L(p), \qquad p \leftarrow p - \eta\,(\nabla L(p) + \alpha\, b).$$

# %% tags=["demo"]
if passed("nesterov_step"):
    w, delta = RAVINE.start.double(), torch.zeros(2, dtype=torch.float64)
    p = w.clone().requires_grad_()
    optimizer = torch.optim.SGD([p], lr=0.02, momentum=0.9, nesterov=True)
    gap_w, gap_ahead = [], []
    for _ in range(50):
        w, delta = nesterov_step(w, RAVINE.grad, delta, 0.02, 0.9)
        p.grad = RAVINE.grad(p.detach())
        optimizer.step()
        gap_w.append((p.detach() - w).abs().max().item())
        gap_ahead.append((p.detach() - (w - 0.9 * delta)).abs().max().item())
    print(f"PyTorch's parameter against your w:                  {max(gap_w):.2f}")
    print(f"PyTorch's parameter against your look-ahead point:   {max(gap_ahead):.0e}")
