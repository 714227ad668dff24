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
# # 5  Gains and RMSProp
#
# One learning rate for thousands of weights is a compromise. You will give each weight its own, first by a rule from 1988, then by the one inside Adam, and see where both let you down.
#
# **45 minutes · 9 points.** Afterwards you can
#
# - write local gains and RMSProp, and say what each needs to work;
# - predict the first step of RMSProp, and say why it is too long;
# - repair a faulty RMSProp, and say which of its mistakes can be tuned away.

# %%
import math

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from lecture_utils import figures
from lecture_utils.checks import check, passed, scoreboard
from lecture_utils.data import digits
from lecture_utils.devices import generator, pick_device
from lecture_utils.landscapes import RAVINE, descend
from lecture_utils.training import RuleOptimizer, mlp, train

figures.setup()
device = pick_device()
data = digits(device)

# %% [markdown]
# ## 5.1  A gain for each weight: slow up, fast down
#
# In the ravine one axis is 25 times steeper than the other. The steep one limits the rate, the flat one waits. So give each weight $i$ a factor of its own, the **gain** $g_i$, which starts at 1:
#
# $$w_i \leftarrow w_i - \eta\, g_i\, \frac{\partial L}{\partial w_i}$$
#
# While a weight's gradient keeps its sign, its steps could be longer: *add* $\beta$ to its gain. When the sign changes, the last step went too far: *multiply* by $1-\beta$.
#
# $$g_i(t) = \begin{cases} g_i(t-1) + \beta & \text{if } \frac{\partial L}{\partial w_i}(t)\cdot\frac{\partial L}{\partial w_i}(t-1) > 0,\\ g_i(t-1)\cdot(1-\beta) & \text{else.}\end{cases}$$
#
# **Exercise 5.1 (3 points).** Write one step. The gain is updated first, then used.

# %% nbgrader={"grade": false, "grade_id": "gain_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def gain_step(w, grad, last_grad, gain, lr, beta):
    """One step of gradient descent with local gains.

    w, grad, last_grad, gain: tensors of one shape; last_grad is the gradient of the step before,
    zeros at first; gain starts at ones.   lr, beta: floats.
    Returns (w, gain): the new weights and the new gains.
    """
    ### BEGIN SOLUTION
    gain = torch.where(grad * last_grad > 0, gain + beta, gain * (1 - beta))
    return w - lr * gain * grad, gain
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Each weight decides for itself, so <code>if</code> will not do: <code>torch.where(condition, a, b)</code> chooses element by element.</details>
# <details><summary>Hint 2</summary>The condition: the product of both gradients is greater than zero. A product of exactly zero counts as a change.</details>
# <details><summary>Hint 3</summary><code>torch.where(grad * last_grad &gt; 0, gain + …, gain * …)</code>; then the usual step, with the new gain as one more factor.</details>

# %% nbgrader={"grade": true, "grade_id": "gain_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(gain_step)

# %% [markdown]
# > Lecture notes ▸ corrected: the notes write $g(t) := (t-1)+\beta$. The old *gain* got lost: it is $g(t-1)+\beta$. And the reason to multiply is not only that gains stay positive: a gain of 20 that meets an oscillation comes down in a few steps (Hinton 2012, lecture 6.4, with 0.05 and 0.95; [Jacobs 1988](https://doi.org/10.1016/0893-6080%2888%2990003-2) compared with an average of past gradients).
#
# **Predict.** Gradient descent walks down the ravine with $\eta = 0.02$, with and without gains ($\beta = 0.2$). Which gain will be larger after 40 steps, that of $x$ (flat) or of $y$ (steep)?

# %% tags=["demo"]
if passed("gain_step"):
    w, gain, last = RAVINE.start.clone(), torch.ones(2), torch.zeros(2)
    path, gains = [w], []
    for _ in range(40):
        grad = RAVINE.grad(w)  # copies below: your rule may work in place
        w, gain = gain_step(w.clone(), grad.clone(), last, gain.clone(), 0.02, 0.2)
        last = grad
        path.append(w)
        gains.append(gain)
    plain, best = (descend(RAVINE, lambda w, grad, lr: w - lr * grad, RAVINE.start, 40, lr=lr)
                   for lr in (0.02, 1 / 13))
    figures.trajectories(RAVINE, {"one rate for all": plain, "local gains": torch.stack(path)},
                         alt="Forty steps in the ravine, both with rate 0.02. With local gains the "
                         "path arrives, with one rate for all it is a little over half-way.")
    plt.show()
    low, high = torch.stack(gains[-10:]).aminmax(dim=0)
    for i, name in enumerate("xy"):
        print(f"gain of {name} in the last 10 steps: {low[i]:.1f} to {high[i]:.1f}")
    ends = {"start": path[0], "one rate": plain[-1], "best rate": best[-1], "gains": w}
    print("distance to the minimum:", *(f"{name} {end.norm():.2f}  " for name, end in ends.items()))

# %% [markdown]
# **Read the figure.** The gain of the flat direction climbs by 0.2 per step, to 8.6. The steep one hovers below 2, where a step ends on the valley floor ($\eta\,g\,h = 0.02\cdot 2\cdot 25 = 1$): each time it gets there, the sign changes and the gain drops. One rate for all is a little over half-way; even the best one for this ravine, $\frac{2}{1+25} = \frac1{13}$, ends at 0.17, gains at 0.07.
#
# **Now with noise.** A gain asks "same sign as last time?". Where the true gradient is small, minibatch noise decides: up by $\beta$ in half of the steps, times $1-\beta$ in the other half.
#
# **Predict.** Where does a gain settle if the signs are random?

# %% tags=["demo"]
if passed("gain_step"):
    random, gain, last = generator(0), torch.full((1000,), 5.0), torch.zeros(1000)
    history = []
    for _ in range(400):
        grad = torch.randn(1000, generator=random)
        _, gain = gain_step(torch.zeros(1000), grad.clone(), last, gain.clone(), 0.1, 0.05)
        last = grad
        history.append(gain)
    history = torch.stack(history)
    fig, ax = plt.subplots()
    figures.band(range(400), history.T, label="gain of 1000 weights", ax=ax, kind="sd")
    figures.theory([0, 399], [1, 1], label="theory: 1", ax=ax)
    ax.set(xlabel="step", ylabel="gain")
    figures.label_lines(ax)
    figures.describe(fig, "Gains under pure noise, mean and standard deviation of 1000 weights. "
                     "From 5 they fall to 1 within 200 steps and hover there.")
    plt.show()
    print(f"mean after 200 steps {history[199].mean():.2f}")
    print(f"last 100 steps: mean {history[-100:].mean():.2f}, "
          f"standard deviation {history[-100:].std():.2f}")

# %% [markdown]
# **Read the figure.** (Band: one standard deviation.) The expected change is $\tfrac12\beta - \tfrac12\beta g$: zero at $g = 1$. Within 200 steps the method forgets what it knew: one rate for all again. Hence Hinton's advice: full or large batches, and limits such as $[0.1, 10]$ for the gains. Two gradients tell too little: average over many.

# %% [markdown]
# ## 5.2  RMSProp divides by the typical size of the gradient
#
# Keep, for each weight, an average of its *squared* gradients, and divide by its root:
#
# $$r \leftarrow \beta\, r + (1-\beta)\,(\nabla L)^2, \qquad w \leftarrow w - \eta\,\frac{\nabla L}{\sqrt r + \varepsilon}$$
#
# All operations are element by element. $\beta$ (in `torch.optim.RMSprop`: `alpha`) is the memory, $r$ starts at 0, $\varepsilon$ (`eps`, $10^{-8}$) keeps the quotient finite. A weight with gradients of size 100 and one with 0.01 both take steps of about $\eta$.

# %% [markdown]
# **Exercise 5.2 (3 points).** Write one step.

# %% nbgrader={"grade": false, "grade_id": "rmsprop_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def rmsprop_step(w, grad, r, lr, beta, eps):
    """One step of RMSProp, with eps outside the root.

    w, grad, r: tensors of one shape; r is the mean squared gradient, zeros before the first step.
    lr, beta, eps: floats.
    Returns (w, r): the new weights and the new mean square.
    """
    ### BEGIN SOLUTION
    r = beta * r + (1 - beta) * grad**2
    return w - lr * grad / (r.sqrt() + eps), r
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Two lines, one for each formula. r first.</details>
# <details><summary>Hint 2</summary>The two weights of an average add up to 1: β for the old, the rest for the new square.</details>
# <details><summary>Hint 3</summary><code>lr * grad / (r.sqrt() + eps)</code>: mind the brackets. Return the new r, too.</details>

# %% nbgrader={"grade": true, "grade_id": "rmsprop_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(rmsprop_step)

# %% [markdown]
# > Lecture notes ▸ corrected: the notes say that RMSProp divides by the average of the squared gradients; it is by its *root*. They weight the new square with $1+\beta$; it is $1-\beta$, or it would be no average. And they read a large $r$ as "steep": $r$ is the mean square of the gradient, not a curvature and not a variance (Tieleman & Hinton 2012, lecture 6.5).
#
# **Predict.** We multiply the whole loss by 1000. What changes for gradient descent, and what for RMSProp?

# %% tags=["demo"]
if passed("rmsprop_step"):
    for scale in (1, 1000):
        w, r, v = RAVINE.start.clone(), torch.zeros(2), RAVINE.start
        for _ in range(60):
            w, r = rmsprop_step(w, scale * RAVINE.grad(w), r, 0.05, 0.9, 1e-8)
            v = v - 0.02 * scale * RAVINE.grad(v)
        descent = "has run away" if v.norm() > 1e6 else f"ends at {v[0]:.3f}, {v[1]:.3f}"
        print(f"loss × {scale:4}:  RMSProp ends at {w[0]:.3f}, {w[1]:.3f};  "
              f"gradient descent {descent}")

# %% [markdown]
# RMSProp does not notice: the factor cancels in the quotient. That is one reason why one default rate suits many losses.
#
# Its relatives: **AdaGrad** adds up all squares without forgetting, so its rates only shrink ([Duchi et al. 2011](https://jmlr.org/papers/v12/duchi11a.html)). **AdaDelta** also replaces $\eta$ by an average of past steps ([Zeiler 2012](https://arxiv.org/abs/1212.5701)).
#
# **The first step.** $r$ starts at 0, so after one step it holds only a share of the first square. How long is the step then, if $\varepsilon$ may be ignored?
#
# **Exercise 5.3 (1 point).** Return the length of the first step of a weight.

# %% nbgrader={"grade": false, "grade_id": "first_step_size-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def first_step_size(lr, beta):
    """The length of RMSProp's first step for a weight, with r = 0 before it and eps negligible.

    lr, beta: floats, 0 <= beta < 1.   Returns a float.
    """
    ### BEGIN SOLUTION
    return lr / math.sqrt(1 - beta)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>What is r after the first step, in terms of the first gradient g?</details>
# <details><summary>Hint 2</summary>It is (1 − β)g². Put it into the step; g cancels.</details>
# <details><summary>Hint 3</summary>The rate, divided by the root of 1 − β.</details>

# %% nbgrader={"grade": true, "grade_id": "first_step_size", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(first_step_size)

# %% tags=["demo"]
if passed("rmsprop_step", "first_step_size"):
    for beta in (0.9, 0.99, 0.999):
        w, r, taken = torch.tensor(0.0), torch.tensor(0.0), []
        for _ in range(1000):
            new, r = rmsprop_step(w.clone(), torch.tensor(0.37), r, 0.01, beta, 1e-8)
            taken.append((w - new).item())
            w = new
        optimizer = torch.optim.RMSprop([p := torch.zeros(1)], lr=0.01, alpha=beta)
        p.grad = torch.tensor([0.37])
        optimizer.step()
        print(f"β = {beta:<5}:  first step {taken[0] / 0.01:5.2f} η, by the formula "
              f"{first_step_size(1, beta):5.2f} η, of torch {-p.item() / 0.01:5.2f} η;  "
              f"step 100 {taken[99] / 0.01:.2f} η,  step 1000 {taken[999] / 0.01:.2f} η")

# %% [markdown]
# With PyTorch's default of 0.99 the first step is ten times the learning rate, and it takes a few hundred steps until steps have the length that you asked for. `torch.optim.RMSprop` does just that. Adam, in notebook 6, repairs it.

# %% [markdown]
# **Turn the axes.** A rate for each weight helps when the *axes* differ in steepness. Here are quadratics with curvatures 1 and 100, whose axes lie along the weights or are turned. Each method gets its best rate of a grid and 300 steps; RMSProp's rate falls linearly to zero, because steps of about $\eta$ would never settle.
#
# **Predict.** Which of the three methods cares about the turn?

# %% tags=["demo"]
def final_loss(method, angle, lr, steps=300):
    """Loss after `steps` on a quadratic with curvatures 1 and 100, turned by `angle`."""
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    hessian = turn @ torch.diag(torch.tensor([1.0, 100.0], dtype=torch.float64)) @ turn.T
    w, state = turn.sum(dim=1), torch.zeros(2, dtype=torch.float64)  # (1, 1) in the turned axes
    for t in range(steps):
        grad = hessian @ w
        if method == "gradient descent":
            w = w - lr * grad
        elif method == "momentum 0.9":
            state = 0.9 * state + lr * grad
            w = w - state
        else:
            w, state = rmsprop_step(w, grad, state, lr * (1 - t / steps), 0.9, 1e-8)
    return (0.5 * w @ hessian @ w).item()

# %% tags=["demo"]
if passed("rmsprop_step"):
    rates = [0.003, 0.006, 0.01, 0.015, 0.019, 0.03, 0.06, 0.1, 0.2, 0.4]
    angles = (0, 10, 22.5, 45)
    print(f"{'axes turned by':18}" + "".join(f"{d:>10}°" for d in angles))
    for method in ("gradient descent", "momentum 0.9", "RMSProp"):
        best = [min(final_loss(method, math.radians(d), lr) for lr in rates) for d in angles]
        shown = ["< 1e-15" if loss < 1e-15 else f"{loss:.0e}" for loss in best]  # less is rounding
        print(f"{method:18}" + "".join(f"{loss:>11}" for loss in shown))

# %% [markdown]
# Gradient descent and momentum do not see the turn. RMSProp is far ahead when the axes lie along the weights; turned by 45° it is little better than gradient descent. It can stretch the axes, but it cannot turn them. Networks are somewhere in between, and nobody knows where in general.

# %% [markdown]
# ## 5.3  Find the bug
#
# This function runs and raises no error. It has three mistakes; two of them are in the lecture notes.
#
#     def faulty_rmsprop(w, grad, r, lr, beta, eps):
#         w = w - lr * grad / (r + eps)
#         r = beta * r + (1 + beta) * grad**2
#         return w, r
#
# **Exercise 5.4 (2 points).** Write it again, repaired.

# %% nbgrader={"grade": false, "grade_id": "find_the_bug-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def find_the_bug(w, grad, r, lr, beta, eps):
    """The function above, repaired: one step of RMSProp.

    Arguments and results are those of rmsprop_step.
    """
    ### BEGIN SOLUTION
    r = beta * r + (1 - beta) * grad**2
    w = w - lr * grad / (r.sqrt() + eps)
    return w, r
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>One mistake in the order of the lines, one in each line.</details>
# <details><summary>Hint 2</summary>Check units: a step should not become a thousand times longer when all gradients become a thousand times smaller.</details>
# <details><summary>Hint 3</summary>Do the two weights of the average add up to 1?</details>

# %% nbgrader={"grade": true, "grade_id": "find_the_bug", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(find_the_bug)

# %% [markdown]
# **Predict.** Now each mistake alone trains our network for one epoch. Which would you notice on a training curve, and which not?

# %% tags=["demo"]
def with_mistake(mistake):
    def step(w, grad, r, lr, beta, eps):
        new = beta * r + (1 + beta if mistake == "1 + β" else 1 - beta) * grad**2
        r = r if mistake == "old r" else new
        return w - lr * grad / ((r if mistake == "no root" else r.sqrt()) + eps), new
    return step


for mistake in ("none", "1 + β", "no root", "old r"):
    net = mlp(seed=0, device=device)
    rule = RuleOptimizer(net.parameters(), with_mistake(mistake), lr=0.001, beta=0.99, eps=1e-8)
    before, after = train(net, rule, data, epochs=1).train_loss
    result = f"{after:.2f}" if after < 1000 else "more than 1000"
    print(f"{mistake:8}: training loss {before:.2f} → {result}")

# %% [markdown]
# Two show at once: without the root, or divided by the old $r$ (0 at first, so only $\varepsilon$ is left), the loss explodes. The $1+\beta$ is only slow (2.27): it looks like too small a learning rate, and is tuned away; a check against known numbers finds it. In the long run $r$ settles at $\frac{1+\beta}{1-\beta}$ times the mean square:

# %% tags=["demo"]
for beta in (0.9, 0.99, 0.999):
    r = 0.0
    for _ in range(10000):  # the mean square is 1
        r = beta * r + (1 + beta)
    print(f"β = {beta}:  r {r:.0f} times too large, steps {math.sqrt(r):.1f} times too short")

# %% [markdown]
# ## 5.4  In a network, gradients differ by orders of magnitude, RMSProp's steps do not
#
# **Predict.** Sort the weights of our network by the typical size of their gradient. How many orders of magnitude lie between those at 1 % and at 99 % of the list? And for the steps of RMSProp?

# %% tags=["demo"]
net = mlp(seed=0, device=device)
optimizer = torch.optim.RMSprop(net.parameters(), lr=0.001)
train(net, optimizer, data, epochs=5)
gradients, steps = ([torch.zeros_like(p) for p in net.parameters()] for _ in range(2))
for batch in torch.randperm(data.n, generator=generator(0)).to(device).split(64):  # 23 minibatches
    old = [p.detach().clone() for p in net.parameters()]
    optimizer.zero_grad()
    F.cross_entropy(net(data.x[batch]), data.y[batch]).backward()
    optimizer.step()
    for p, before, gradient, step in zip(net.parameters(), old, gradients, steps):
        gradient += p.grad**2 / 23
        step += ((p.detach() - before) / 0.001) ** 2 / 23
pixels = gradients[0].view(64, 8, 8).mean(dim=0)
edge, inner = pixels[:, [0, 7]].mean().sqrt(), pixels[:, 1:7].mean().sqrt()
print(f"gradient, root mean square: left and right edge {edge:.0e}, other pixels {inner:.0e}")

# %% tags=["demo"]
names = ["first layer, weights", "first layer, biases", "last layer, weights", "last layer, biases"]
fig, axes = plt.subplots(2, 1, sharex=True, figsize=(7.2, 4.8), layout="constrained")
panels = {"gradient, which is the step of SGD / η": gradients, "step of RMSProp / η": steps}
bins = torch.logspace(-7, 1, 65).tolist()
for ax, (what, squares) in zip(axes, panels.items()):
    sizes = [square[square > 0].sqrt().cpu() for square in squares]
    for name, size, look in zip(names, sizes, figures.CYCLE):
        ax.hist(size.tolist(), bins=bins, weights=[1 / len(size)] * len(size),
                histtype="step", lw=1.8, color=look["color"], ls=look["linestyle"], label=name)
    ax.set(title=what, ylabel="share of the weights", xscale="log")
    low, high = torch.cat(sizes).quantile(torch.tensor([0.01, 0.99]))
    print(f"{what}: {(high / low).log10():.1f} orders of magnitude between the quantiles")
axes[1].set_xlabel("root mean square over an epoch, of each weight")
axes[0].legend(loc="upper left")
figures.describe(fig, "Two histograms on one logarithmic axis. The gradients of the first layer's "
                 "weights spread over three orders of magnitude; RMSProp's steps gather at η.")
plt.show()

# %% [markdown]
# **Read the figure.** (Each curve adds up to 1.) The last layer has the largest gradients, weights of rarely inked pixels at the left and right edge the smallest: 3.5 orders of magnitude, and SGD gives all of them one rate. RMSProp's steps lie within 0.7 orders, a factor of five.
#
# Now your own RMSProp trains the network, beside PyTorch's: same start, same minibatches.

# %% tags=["demo"]
if passed("rmsprop_step"):
    mine, theirs = mlp(seed=0, device=device), mlp(seed=0, device=device)
    own = RuleOptimizer(mine.parameters(), rmsprop_step, lr=0.001, beta=0.99, eps=1e-8)
    rmsprop = torch.optim.RMSprop(theirs.parameters(), lr=0.001, alpha=0.99, eps=1e-8)
    a = train(mine, own, data, epochs=10, seed=0)
    b = train(theirs, rmsprop, data, epochs=10, seed=0)
    gap = max((p - q).abs().max().item() for p, q in zip(mine.parameters(), theirs.parameters()))
    print(f"after {len(a.loss)} steps all weights agree to 1e-4: {gap < 1e-4}")
    print(f"test accuracy: yours {a.test_accuracy[-1]:.1%}, PyTorch's {b.test_accuracy[-1]:.1%}")
    ax = figures.curve(range(11), a.train_loss, x="epoch", y="training loss", log="y",
                       label="line: rmsprop_step", method="rmsprop",
                       alt="Training loss over ten epochs of your own RMSProp, a line, and of "
                       "torch.optim.RMSprop, rings. Every ring lies on the line.")
    ax.plot(range(11), b.train_loss, "o", ms=11, mfc="none", mec="#D55E00")
    ax.annotate("rings: torch.optim.RMSprop", (2.5, 1.2), color="#D55E00")
    plt.show()

# %% [markdown]
# ## What to remember
#
# - A gain for each weight: add when signs agree, multiply when they change. Under noise it hovers at 1.
# - RMSProp divides by the *root* of a moving average ($\beta$ and $1-\beta$) of squared gradients; $\varepsilon$ outside.
# - It does not notice the scale of the loss. It does notice a turn of the axes.
# - Its first step is $\eta/\sqrt{1-\beta}$, ten times too long at 0.99.

# %% tags=["demo"]
scoreboard("05")

# %% [markdown]
# **References**
#
# - R. A. Jacobs, [Increased rates of convergence through learning rate adaptation](https://doi.org/10.1016/0893-6080%2888%2990003-2), Neural Networks 1, 1988.
# - G. Hinton, *Neural Networks for Machine Learning*, Coursera 2012, lecture 6.4: local gains; T. Tieleman, G. Hinton, lecture 6.5, *RMSProp: divide the gradient by a running average of its recent magnitude*.
# - J. Duchi, E. Hazan, Y. Singer, [Adaptive subgradient methods for online learning and stochastic optimization](https://jmlr.org/papers/v12/duchi11a.html), JMLR 2011.
# - M. D. Zeiler, [ADADELTA: an adaptive learning rate method](https://arxiv.org/abs/1212.5701), 2012.
#
# **Next:** [6 Adam](06_adam.ipynb)
