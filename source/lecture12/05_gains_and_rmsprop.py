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
# One learning rate for thousands of weights is a compromise. You will give each weight its own: first by a rule from the 1980s, then by the one inside Adam. You will also see where both let you down.
#
# **60 minutes · 9 points.** *Deeper* adds 11 minutes; nothing in it is graded. Afterwards you can
#
# - write local gains and RMSProp, and say what each needs to work;
# - predict the first step of RMSProp and how it behaves near a minimum;
# - find mistakes in a rule that you have never seen, with nothing but units and common sense.

# %% [markdown]
# **Where we are.** A step can be too long even when its direction is right. In the ravine one rate is too long for one weight and too short for the other. Momentum helped by averaging over time, but all weights still share one rate.
#
# **What is missing.** A rate for each weight.

# %%
import math
from dataclasses import replace

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
# ## 5.1  A gain for each weight
#
# In the ravine the curvature along $y$ is 25 times that along $x$. The curved axis limits the rate, and the flat one has to wait. So give each weight a factor of its own on the rate, the **gain** $g$, which starts at 1.
#
# In each step a weight compares its gradient with the one before.
#
# - Same sign: its steps could be longer. *Add* $\beta$ to the gain.
# - Not so: the last step went too far. *Multiply* the gain by $1-\beta$.
#
# By hand, for $\beta = 0.2$:
#
# | gradient | before | same sign? | gain |
# |--:|--:|:--|:--|
# | 3 | 0 (none yet) | no | 1 · 0.8 = 0.8 |
# | 2 | 3 | yes | 0.8 + 0.2 = 1.0 |
# | −1 | 2 | no | 1.0 · 0.8 = 0.8 |

# %% [markdown]
# **Exercise 5.1 (3 points).** Write one step for a whole tensor of weights. The gain is updated first, then used. A product of exactly zero counts as "not the same sign".

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
# <details><summary>Hint 1</summary>Each weight decides for itself. What would a plain <code>if</code> do with a tensor of several yes and no?</details>
# <details><summary>Hint 2</summary><code>torch.where(condition, a, b)</code> chooses element by element. When do two numbers have the same sign? Look at their product.</details>
# <details><summary>Hint 3</summary><code>torch.where(grad * last_grad &gt; 0, …, …)</code> makes the new gain. Then take the usual step, with the new gain as one more factor.</details>

# %% nbgrader={"grade": true, "grade_id": "gain_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(gain_step)

# %% [markdown]
# > Lecture notes ▸ corrected: the notes write $g(t) := (t-1)+\beta$. What β is added to is the old *gain*, $g(t-1)$, not the step number.
#
# **Why add, but multiply?** With $\beta = 0.05$, a gain that started at 1 has climbed to 20. Now its steps overshoot, and the sign changes every time.
#
# **Predict.** How many steps did it take to climb? How many does it take to come down to 10, and to 1? How many would it take if β were subtracted instead?
#
# **Your turn** (not graded). Count them with a loop.

# %% nbgrader={"grade": false, "grade_id": "coming_down-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
# The climb: (20 - 1) / 0.05 steps. Now count how often 20 must be multiplied by 0.95.
print(f"up from 1 to 20, or down again by subtraction: {(20 - 1) / 0.05:.0f} steps")
### BEGIN SOLUTION
for goal in (10, 1):
    gain, steps = 20.0, 0
    while gain > goal:
        gain = 0.95 * gain
        steps = steps + 1
    print(f"down to {goal} by multiplication: {steps} steps")
### END SOLUTION

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# Up it takes 380 steps, and as many down again if β is subtracted. Multiplication needs 14 steps to halve the gain and 59 to reach 1. The larger the gain, the more each step takes away. Slow up, fast down.
#
# </details>
#
# > Lecture notes ▸ sharpened: the notes multiply so that $g$ "does not go negative, but decreases". That is right. The second reason is speed: a large gain falls much faster than by subtraction (Hinton 2012; the idea is from [Jacobs 1988](https://doi.org/10.1016/0893-6080%2888%2990003-2)).

# %% [markdown]
# **Predict.** Gains walk down the ravine for 40 steps with $\eta = 0.02$ and $\beta = 0.2$. Which gain will be larger at the end, that of $x$ (flat) or of $y$ (curved)? Will they still be growing?
#
# **Your turn** (not graded). Write the loop: forty calls of `gain_step`. Keep what you need for the next step.

# %% nbgrader={"grade": false, "grade_id": "gains_in_the_ravine-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
w, gain, last_grad = RAVINE.start.clone(), torch.ones(2), torch.zeros(2)
path, gains = [w.clone()], []  # after each step, append a clone of w and of gain
### BEGIN SOLUTION
for _ in range(40):
    grad = RAVINE.grad(w)
    w, gain = gain_step(w, grad.clone(), last_grad, gain, lr=0.02, beta=0.2)
    last_grad = grad
    path.append(w.clone())
    gains.append(gain.clone())
### END SOLUTION
print(f"distance to the minimum: at first {path[0].norm():.2f}, at last {path[-1].norm():.2f}")

# %% tags=["demo"]
if len(globals().get("gains", [])) == 40:
    table = torch.stack(gains)
    figures.curve(range(1, 41), {"gain of x": table[:, 0], "gain of y": table[:, 1]},
                  x="step", y="gain", figure="gains_in_the_ravine")
    low, high = table[-10:].aminmax(dim=0)
    for i in (0, 1):
        print(f"gain of {'xy'[i]} in the last 10 steps: {low[i]:.1f} to {high[i]:.1f}")
for lr in (0.02, 1 / 13):
    end = descend(RAVINE, lambda w, grad, lr: w - lr * grad, RAVINE.start, 40, lr=lr)[-1]
    print(f"gradient descent with η = {lr:.3f} ends at distance {end.norm():.2f}")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# The gain of $x$ climbs by 0.2 per step, to 8.6, and never stops: the gradient along the valley keeps its sign. The gain of $y$ hovers below 2. At 2 a step ends on the valley floor, since $\eta\,g\,h = 0.02\cdot 2\cdot 25 = 1$. Each time it gets there, the sign changes and the gain drops.
#
# Without gains the same rate is only a little over half-way. Even the best single rate for this ravine, $\frac{2}{1+25} = \frac1{13}$, ends at 0.17. Gains end at 0.07.
#
# </details>

# %% [markdown]
# **Now with noise.** A gain asks "same sign as last time?". Where the true gradient is small, minibatch noise decides. Then the gain goes up by β in half of the steps, and is multiplied by $1-\beta$ in the other half.
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
    figures.band(range(400), {"gain of 1000 weights": history.T}, kind="sd", x="step", y="gain",
                 figure="gains_under_noise")
    print(f"mean after 200 steps {history[199].mean():.2f};   last 100 steps: mean "
          f"{history[-100:].mean():.2f}, standard deviation {history[-100:].std():.2f}")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Band: one standard deviation.) The gain falls to 1 and stays there. The expected change per step is $\tfrac12\beta - \tfrac12\beta g$, which is zero at $g = 1$. Within 200 steps the method has forgotten what it knew: one rate for all again. Hence Hinton's advice: use full or large batches, and keep the gains within limits such as 0.1 to 10.
#
# </details>
#
# Under noise every gain settles at 1. Two gradients tell too little; one has to average over many.

# %% [markdown]
# ## 5.2  RMSProp
#
# **AdaGrad** ([Duchi et al. 2011](https://jmlr.org/papers/v12/duchi11a.html)) remembers all gradients of a weight: it adds up their squares, and divides each gradient by the root of that sum. Weights with large gradients get small rates, and the other way round.
#
# Why squares? In a plain sum $+5$ and $-5$ would cancel, though both are large. Why the root? It has the unit of a gradient again. So the quotient has no unit, and a step is about as long as $\eta$ says.
#
# **Predict.** The gradient of a weight is always 0.37. How long is AdaGrad's step number 100, in units of $\eta$? And number 1?
#
# **Your turn** (not graded). Try it.

# %% nbgrader={"grade": false, "grade_id": "adagrad-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
# In each of 100 steps: add the square of 0.37 to a sum, and divide 0.37 by the root of the sum.
### BEGIN SOLUTION
total = 0.0
for t in range(1, 101):
    total = total + 0.37**2
    if t in (1, 100):
        print(f"step {t}: {0.37 / math.sqrt(total):.2f} η")
### END SOLUTION

# %% [markdown]
# The first step is $\eta$ long, number 100 a tenth of it: like $1/\sqrt t$. A sum only grows, so AdaGrad's steps only shrink, even where the loss would allow longer ones. **RMSProp** (Tieleman & Hinton 2012) puts a leak into the sum. Keep only the share $\beta$ of what was there, and fill up with the new square. That is a moving average, the *mean square* $r$, which forgets. Divide by its root, plus a tiny $\varepsilon$ in case it is zero.
#
# By hand, for one weight and $\beta = 0.75$, with $r = 0$ at first:
#
# | gradient | mean square | root | step |
# |--:|:--|--:|--:|
# | 3 | 0.75 · 0 + 0.25 · 9 = 2.25 | 1.5 | 3 / 1.5 = 2 times η |
# | −1 | 0.75 · 2.25 + 0.25 · 1 = 1.94 | 1.39 | −1 / 1.39 = −0.72 times η |

# %% [markdown]
# **Exercise 5.2 (3 points).** Write one step. All operations are element by element. In `torch.optim.RMSprop`, $\beta$ is called `alpha` and $\varepsilon$ is `eps`, $10^{-8}$ by default.

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
# <details><summary>Hint 1</summary>Do the second row of the table with your own letters. Which numbers came in, which go out?</details>
# <details><summary>Hint 2</summary>Two lines, r first. The two weights of an average add up to 1: β for the old mean square, the rest for the new square.</details>
# <details><summary>Hint 3</summary>The step is <code>lr * grad / (… + eps)</code>: mind the brackets around root plus ε. Return the new r, too.</details>

# %% nbgrader={"grade": true, "grade_id": "rmsprop_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(rmsprop_step)

# %% [markdown]
# > Lecture notes ▸ corrected: the notes give the new square the weight $1+\beta$. It is $1-\beta$: the two weights of an average add up to 1. And they divide the rate by the average of the squares; it is divided by its *root*. (What they say of $r$, "the size of the gradients (large r is steep)", is right: it measures the slope, not the curvature.)
#
# **Predict.** We multiply the whole loss by 1000. What changes for gradient descent, and what for RMSProp?

# %% tags=["demo"]
if passed("rmsprop_step"):
    for scale in (1, 1000):
        w, r, v = RAVINE.start.clone(), torch.zeros(2), RAVINE.start
        for _ in range(60):
            w, r = rmsprop_step(w, scale * RAVINE.grad(w), r, 0.05, 0.9, 1e-8)
            v = v - 0.02 * scale * RAVINE.grad(v)
        end = "has run away" if v.norm() > 1e6 else f"at {v[0]:.3f}, {v[1]:.3f}"
        print(f"loss × {scale:4}: RMSProp at {w[0]:.3f}, {w[1]:.3f}; gradient descent {end}")

# %% [markdown]
# RMSProp does not notice: the factor cancels in the quotient. That is one reason why one default rate suits many losses.
#
# **The first step.** $r$ starts at 0, so after one step it holds only a share of the first square. In the table above the first step was $2\,\eta$.
#
# **Exercise 5.3 (1 point).** Return the length of the first step of a weight for any β, if ε may be ignored.

# %% nbgrader={"grade": false, "grade_id": "first_step_size-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def first_step_size(lr, beta):
    """The length of RMSProp's first step for a weight, with r = 0 before it and eps negligible.

    lr, beta: floats, 0 <= beta < 1.   Returns a float.
    """
    ### BEGIN SOLUTION
    return lr / math.sqrt(1 - beta)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Call the first gradient G. What is r after the first step?</details>
# <details><summary>Hint 2</summary>Put it into the step. G cancels, up to its sign.</details>
# <details><summary>Hint 3</summary>Only the share 1 − β of G² has come in, and the step divides by the root of it. With β = 0.75 the answer is 2 lr.</details>

# %% nbgrader={"grade": true, "grade_id": "first_step_size", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(first_step_size)

# %% [markdown]
# **Your turn** (not graded). Does PyTorch do the same? Measure the first step of `torch.optim.RMSprop` with its default `alpha` of 0.99.

# %% nbgrader={"grade": false, "grade_id": "first_step_of_torch-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
p = torch.zeros(1, requires_grad=True)
# Make the optimizer with lr=0.01, set p.grad to any gradient, step once, and print -p / 0.01.
### BEGIN SOLUTION
optimizer = torch.optim.RMSprop([p], lr=0.01, alpha=0.99)
p.grad = torch.tensor([0.37])
optimizer.step()
print(f"first step of torch.optim.RMSprop: {-p.item() / 0.01:.2f} η")
### END SOLUTION

# %% [markdown]
# It is ten times the rate that you asked for. How long does that last?

# %% tags=["demo"]
if passed("rmsprop_step"):
    lengths = {}
    for beta in (0.9, 0.99):
        w, r, taken = torch.tensor(0.0), torch.tensor(0.0), []
        for _ in range(1000):
            new, r = rmsprop_step(w.clone(), torch.tensor(0.37), r, 0.01, beta, 1e-8)
            taken.append((w - new).item() / 0.01)
            w = new
        lengths[f"RMSProp, β = {beta}"] = taken
        print(f"β = {beta}:", *(f"step {k} {taken[k - 1]:.2f} η  " for k in (1, 10, 100)))
    t = torch.arange(1, 1001)
    figures.curve(t, lengths | {"AdaGrad": 1 / t.sqrt()}, x="step", y="length of the step / η",
                  log="xy", figure="step_lengths")

# %% [markdown]
# With PyTorch's default of 0.99, a few hundred steps go by until steps have the length that you asked for: number 100 is still 1.26 η. Adam, in notebook 6, repairs that.
#
# **Predict.** In the ravine the first gradient is $(-4, 25)$. Gradient descent goes almost straight along $y$. In which direction does RMSProp take its first step?

# %% tags=["demo"]
if passed("rmsprop_step"):
    def descent_step(w, grad, lr):
        return w - lr * grad


    walks = {"gradient descent": descend(RAVINE, descent_step, RAVINE.start, 40, lr=1 / 13),
             "RMSProp": descend(RAVINE, rmsprop_step, RAVINE.start, 40, state=(0.0,),
                                lr=0.1, beta=0.9, eps=1e-8)}
    figures.trajectories(RAVINE, walks, figure="rmsprop_in_the_ravine")
    first = walks["RMSProp"][1] - walks["RMSProp"][0]
    print(f"first step of RMSProp: {first[0]:+.3f}, {first[1]:+.3f}")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Its first step goes at 45° to the axes: both weights move by the same length, $+0.316$ and $-0.316$. Only the signs of the gradient are left. Afterwards $y$ slows down first, because its gradient fades. There is no zigzag: each weight has its own rate.
#
# </details>

# %% [markdown]
# ## 5.3  RMSProp at a constant rate
#
# The picture above ends after 40 steps. Let us go on, with a constant $\eta = 0.2$.
#
# **Predict.** Where is $y$ after 300 steps: closer to the minimum than after 25, or farther away? How long are the steps at the end?

# %% tags=["demo"]
if passed("rmsprop_step"):
    path = descend(RAVINE, rmsprop_step, RAVINE.start, 300, state=(0.0,),
                   lr=0.2, beta=0.9, eps=1e-8)
    y = path[:, 1]
    figures.curve(range(301), {"|y|": y.abs()}, x="step", y="distance of y to the minimum", log="y",
                  figure="rmsprop_for_300_steps")
    for start in (0, 25, 200):
        part = y[start:].abs()
        print(f"from step {start:3} on: |y| from {part.min():.1g} (step {start + part.argmin()}) "
              f"to {part.max():.2g} (step {start + part.argmax()})")
    print(f"in the last 100 steps y changes its sign {(y[-100:] * y[-101:-1] < 0).sum()} times")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# At step 24 $y$ is practically at the minimum, at 2e-15. But $r$ forgets the large gradients of the start, and $\sqrt r$ falls. So the rate that $y$ really feels, $\eta/\sqrt r$, grows until it is above $2/25$. From there on every step goes in the right direction and is too long. That is the first kind of oscillation of section 2.1, made by the method itself.
#
# In the end $y$ jumps between $+a$ and $-a$. Then all gradients have the same size, the root of $r$ is that size, and the quotient is $\pm1$. So each step is exactly $\eta$ long. It is also $2a$ long. Hence $a = \eta/2 = 0.1$.
#
# </details>

# %% [markdown]
# > Lecture notes ▸ caveat: RMSProp "damps oscillations like momentum". It does shorten the steps of a weight whose gradients are large. But momentum lets opposite gradients cancel, and squares never cancel. At a constant rate RMSProp ends in an oscillation of its own, of amplitude $\eta/2$.
#
# **Your turn** (not graded). The cure is in notebook 2. Walk again for 300 steps, with a rate that falls from 0.2 to zero along a straight line, and print $|y|$ at the end.

# %% nbgrader={"grade": false, "grade_id": "falling_rate-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
w, r = RAVINE.start.clone(), torch.zeros(2)
### BEGIN SOLUTION
for t in range(300):
    lr = 0.2 * (1 - t / 300)
    w, r = rmsprop_step(w, RAVINE.grad(w), r, lr, 0.9, 1e-8)
print(f"with a falling rate |y| ends at {w[1].abs():.0e}")
### END SOLUTION

# %% [markdown]
# Networks trained with RMSProp or Adam at a constant rate jitter for the same reason: near a minimum the steps do not get shorter by themselves, as those of gradient descent do. This is why their rate is nearly always made to fall.

# %% [markdown]
# ## 5.4  Find the bug
#
# **AdaDelta** ([Zeiler 2012](https://arxiv.org/abs/1212.5701)) is "similar" to RMSProp, say the notes. It has no learning rate. Zeiler argued with units. If $w$ is measured in metres, a step must be in metres, too. A gradient divided by its typical size is a bare number, so it needs a factor in metres. AdaDelta takes the typical size of its own past steps.
#
# It keeps two moving averages for each weight, both 0 at first: $r$, the mean squared gradient, as in RMSProp, and $u$, the mean squared *step*. A typical size is the root of a mean square. Here $\varepsilon$ is added *under* each root, or no first step would ever be taken.

# %% [markdown]
# The function below runs, and holds three mistakes. A right AdaDelta would take nearly the same way on a loss 1000 times as large.

# %% tags=["demo"]
def faulty_adadelta(w, grad, r, u, rho, eps):
    step = torch.sqrt(u + eps) / (r + eps) * grad
    r = r * rho + (1 - rho) * grad**2
    u = rho * u + (1 - rho) * grad**2
    return w - step, r, u


for scale in (1, 1000):
    w, r, u = RAVINE.start, torch.zeros(2), torch.zeros(2)
    for _ in range(3):
        w, r, u = faulty_adadelta(w, scale * RAVINE.grad(w), r, u, 0.9, 1e-6)
    print(f"loss × {scale:4}: after three steps at {w[0]:.1e}, {w[1]:.1e}")

# %% [markdown]
# **Exercise 5.4 (2 points).** Write it again, repaired. Here is how to search. What is the unit of each line? Does each average hold what its name says? Is each value the newest that can be known at that moment?

# %% nbgrader={"grade": false, "grade_id": "find_the_bug-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def find_the_bug(w, grad, r, u, rho, eps):
    """The function above, repaired: one step of AdaDelta.

    w, grad: tensors of one shape.   r: the mean squared gradient, u: the mean squared step,
    both zeros before the first step.   rho: the share of an average that is kept.   eps: a float.
    Returns (w, r, u): the new weights and the new averages.
    """
    ### BEGIN SOLUTION
    r = rho * r + (1 - rho) * grad**2
    step = torch.sqrt(u + eps) / torch.sqrt(r + eps) * grad
    u = rho * u + (1 - rho) * step**2
    w = w - step
    return w, r, u
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Measure the loss in euros and w in metres. In which unit is the gradient, r, u, the step?</details>
# <details><summary>Hint 2</summary>One mistake is in what a line divides by, one in what goes into an average. The third is the order of the lines.</details>
# <details><summary>Hint 3</summary>Euros per metre for the gradient, so its square for r, and metres for the root of u. The quotient must come out in metres. And RMSProp updated r before or after it was used?</details>

# %% nbgrader={"grade": true, "grade_id": "find_the_bug", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(find_the_bug)

# %% [markdown]
# **Predict.** Your repaired rule walks down the ravine, beside PyTorch's AdaDelta. At the start $u = 0$, and there is no learning rate. What sets the length of the first step?

# %% tags=["demo"]
if passed("find_the_bug"):
    p = RAVINE.start.clone().requires_grad_()
    optimizer = torch.optim.Adadelta([p], lr=1.0, rho=0.9, eps=1e-6)
    w, r, u = RAVINE.start.clone(), torch.zeros(2), torch.zeros(2)
    for t in range(1, 1001):
        p.grad = RAVINE.grad(p.detach())
        optimizer.step()
        w, r, u = find_the_bug(w, RAVINE.grad(w), r, u, 0.9, 1e-6)
        if t in (1, 100, 1000):
            print(f"step {t:4}: yours {w[0]:.4f}, {w[1]:.4f};  PyTorch's {p[0]:.4f}, {p[1]:.4f}")
print(f"root of ε / (1 - ρ): {(1e-6 / (1 - 0.9)) ** 0.5:.4f}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# The two walk together. The first step moves both weights by only 0.0032: with $u = 0$ its length is set by ε, and by ρ. So AdaDelta starts slowly, and a large part of its thousand steps goes into finding out how long a step should be. The learning rate that was to disappear has come back as ε.
#
# </details>

# %% [markdown]
# ## 5.5  Gradients in a network
#
# **Predict.** Sort the weights of our network by the typical size of their gradient. Compare the weight at 1 % of the list with that at 99 %. How many powers of ten lie between them? And between their steps, if RMSProp trains the network?

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

# %% tags=["demo"]
names = ["first layer, weights", "first layer, biases", "last layer, weights", "last layer, biases"]
panels = figures.panels(2, 1, share="x", size=(7.2, 4.8), figure="gradients_and_steps")
for ax, squares, what in zip(panels, (gradients, steps), ("gradient", "step of RMSProp / η")):
    sizes = [square[square > 0].sqrt().cpu() for square in squares]
    figures.histogram(dict(zip(names, sizes)), bins=torch.logspace(-7, 1, 65), log="x", title=what,
                      ax=ax, x="root mean square over an epoch" if ax is panels[1] else "")
    low, high = torch.cat(sizes).quantile(torch.tensor([0.01, 0.99]))
    print(f"{what}: {(high / low).log10():.1f} powers of ten, a factor of {high / low:.1f}")
panels[1].get_legend().remove()

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Each outline adds up to 1.) The last layer has the largest gradients. Weights of rarely inked pixels, at the left and right edge of a digit, have the smallest. Between them lie 3.5 powers of ten, and SGD gives all of them one rate. RMSProp's steps lie within a factor of five.
#
# </details>
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

# %% [markdown]
# ## What to remember
#
# - A gain for each weight: add when signs agree, multiply when they change. Under noise it settles at 1.
# - RMSProp divides by the *root* of a moving average ($\beta$ and $1-\beta$) of squared gradients; $\varepsilon$ comes after the root.
# - It does not notice the scale of the loss. Its first step is $\eta/\sqrt{1-\beta}$.
# - At a constant rate it ends in an oscillation of amplitude $\eta/2$: let the rate fall.
# - Check a rule by its units, by what each average is fed with, and by the order of its lines.

# %% tags=["demo"]
scoreboard("05")

# %% [markdown]
# ## Deeper
#
# Two experiments on what RMSProp can and cannot do. Nothing here is graded.

# %% [markdown]
# ## 5.6  Turn the axes
#
# *6 minutes.* A rate for each weight helps when the *axes* of the ravine lie along the weights. What if they do not? Each method gets the same freedom: 37 rates, several memories ($\alpha$ of momentum, $\beta$ of RMSProp), a constant rate or one that falls linearly to zero. It has 100 steps, and the best combination counts.
#
# **Predict.** Which of the three methods cares about the turn?

# %% tags=["demo"]
def turned(degrees):
    """The ravine, turned around its minimum."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    return replace(RAVINE, f=lambda p: RAVINE.f(p @ turn), start=turn @ RAVINE.start,
                   grad=lambda p: RAVINE.grad(p @ turn) @ turn.T, ylim=(-4.5, 1.8))


def momentum(w, grad, delta, lr, alpha):  # gradient descent is momentum with alpha = 0
    delta = alpha * delta + lr * grad
    return w - delta, delta


def rmsprop(w, grad, r, lr, beta):
    return rmsprop_step(w, grad, r, lr, beta, 1e-8)  # yours

# %% tags=["demo"]
rates = torch.logspace(-3, 0.6, 37, dtype=torch.float64)[:, None]  # all walk at once
methods = {"gradient descent": (momentum, [0.0]),
           "momentum": (momentum, [0.3, 0.4, 0.5, 0.6, 0.7, 0.9])}
if passed("rmsprop_step"):
    methods["RMSProp"] = rmsprop, [0.5, 0.8, 0.9, 0.95, 0.99, 0.999]
print(f"{'axes turned by':32}" + "".join(f"{d:>9}°" for d in (0, 10, 22.5, 45)))
for name, (rule, memories) in methods.items():
    for falls in (0, 1):
        row = f"{name + (', falling rate' if falls else ', constant rate'):32}"
        for land in map(turned, (0, 10, 22.5, 45)):
            losses = []
            for memory in memories:
                w, state = land.start.expand(37, 2), torch.zeros(37, 2, dtype=torch.float64)
                for t in range(100):
                    w, state = rule(w, land.grad(w), state, rates * (1 - falls * t / 100), memory)
                losses.append(land.f(w).nan_to_num(nan=math.inf).min())
            row += f"{min(losses):>10.0e}" if min(losses) > 1e-30 else f"{'< 1e-30':>10}"
        print(row)

# %% tags=["demo"]
if passed("rmsprop_step"):
    panels = figures.panels(1, 2, size=(9.0, 3.6), figure="turned_ravine")
    for ax, degrees in zip(panels, (0, 45)):
        land = turned(degrees)
        start = dict(start=land.start, steps=30, state=(0.0,))
        walks = {"momentum": descend(land, momentum, **start, lr=0.1, alpha=0.5),
                 "RMSProp": descend(land, rmsprop, **start, lr=0.15, beta=0.9)}
        figures.trajectories(land, walks, ax=ax, title=f"turned by {degrees}°")
    panels[0].get_legend().remove()

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Momentum takes the same way, turned: 3e-29 at every angle. RMSProp beats it by far when the axes lie along the weights. Turned by 45° it ends at 8e-09, twenty powers of ten behind. There both weights see nearly the same mixture of gradients, so both get nearly the same rate: RMSProp can stretch the axes, but not turn them. (Gradient descent differs a little with a falling rate only because of rounding: its best run starts above $2/25$, where it first runs away.)
#
# Networks are somewhere in between, and nobody knows where in general.
#
# </details>

# %% [markdown]
# ## 5.7  Which mistakes show on a training curve
#
# *5 minutes.* Here is RMSProp with one mistake at a time: the new square weighted by $1+\beta$, no root, or the $r$ of the step before.
#
# **Predict.** Which of them would you notice on a training curve, and which not?

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
for beta in (0.9, 0.99, 0.999):  # where r settles with 1 + β, if the mean square is 1
    r = (1 + beta) / (1 - beta)
    print(f"β = {beta}:  r {r:.0f} times too large, steps {math.sqrt(r):.1f} times too short")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# Two mistakes show at once: without the root, or divided by the old $r$ (0 at first, so only ε is left), the loss explodes. The $1+\beta$ is only slow: 2.27 after the first epoch. It looks like a rate that is too small, and people tune it away. A check against known numbers finds it.
#
# </details>

# %% [markdown]
# **References**
#
# - R. A. Jacobs, [Increased rates of convergence through learning rate adaptation](https://doi.org/10.1016/0893-6080%2888%2990003-2), Neural Networks 1, 1988. (It compares with an average of past gradients.)
# - G. Hinton, *Neural Networks for Machine Learning*, Coursera 2012, lecture 6.4: local gains; T. Tieleman, G. Hinton, lecture 6.5, *RMSProp: divide the gradient by a running average of its recent magnitude*.
# - J. Duchi, E. Hazan, Y. Singer, [Adaptive subgradient methods for online learning and stochastic optimization](https://jmlr.org/papers/v12/duchi11a.html), JMLR 2011.
# - M. D. Zeiler, [ADADELTA: an adaptive learning rate method](https://arxiv.org/abs/1212.5701), 2012.
#
# **Next:** [6 Adam](06_adam.ipynb)
