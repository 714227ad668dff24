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
# # 2  Learning-rate decay
#
# A rate that is good at the start is too large at the end, and one that is good at the end takes too long to get there. You will predict the harm, choose a decay that undoes it, and test it against a fair rival.
#
# **70 minutes · 10 points.** *Deeper* adds 8 minutes; nothing in it is graded. Afterwards you can
#
# - tell the two reasons why a loss keeps swinging, and predict how widely it swings;
# - turn "from this rate to that one in so many epochs" into a schedule;
# - say when decay is worth it, and test that fairly.

# %% [markdown]
# **Where we are.** The gradient of a minibatch is right on average, and wrong in every single step (notebook 1).
#
# **What is missing.** What does this noise do at the end of a run, and how can we make it stop?

# %%
import math
from dataclasses import replace

import torch

from lecture_utils import figures
from lecture_utils.checks import check, passed, scoreboard
from lecture_utils.data import digits, noisy_digits, ridge_softmax_minimum
from lecture_utils.devices import generator, pick_device
from lecture_utils.landscapes import noisy_quadratic
from lecture_utils.stacked import sweep

figures.setup()
device = pick_device()

# %% [markdown]
# ## 2.1  Why does a loss keep swinging?
#
# Notebook 0 said: a step can be too long even when its direction is right. How long is too long? Take the simplest loss there is, $L(w) = \tfrac12 h w^2$, with **curvature** $h$. Its gradient is $hw$. So every step of gradient descent multiplies $w$ by the same number:
#
# $$w_{t+1} = w_t - \eta h w_t = (1-\eta h)\,w_t$$
#
# **Predict.** For which values of $\eta h$ does $w$ approach zero from one side? For which does it swing to zero, swing for ever, run away?

# %% tags=["demo"]
steps = range(13)
paths = {f"ηh = {x}": [(1 - x) ** t for t in steps] for x in (0.3, 1.6, 2.0, 2.1)}
figures.curve(steps, paths, x="step", y="w", figure="parabola_four_rates")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Below 1 the factor $1-\eta h$ is positive, and $w$ approaches zero from one side. Between 1 and 2 each step jumps over the minimum and lands nearer than before. At 2 it lands exactly as far away, and above 2 further away each time.
#
# </details>

# %% [markdown]
# This is **the first kind of swinging**: without any noise, the step is too long for the curvature. A smaller constant rate ends it. A decay ends it too, as soon as $\eta_t h$ falls below 1.
#
# **The second kind** comes from noise. A minibatch gives the gradient with an error $\varepsilon_t$ of variance $\sigma^2$ (`noise_variance`), independent of $w_t$:
#
# $$w_{t+1} = w_t - \eta\,(h w_t + \varepsilon_t)$$
#
# Now no run comes to rest. Many runs together form a cloud around the minimum.

# %% [markdown]
# **Your turn** (not graded). Let 5,000 runs start at $w = 0$, with $h = \sigma^2 = 1$, and take 400 noisy steps with $\eta = 0.05$. Do the same with $\eta = 0.4$. Keep where they end in `clouds = {0.05: …, 0.4: …}`. With `random = generator(0)`, made once for each rate, `noisy_quadratic(w, 1.0, 1.0, random)` is the noisy gradient of all runs.
#
# **Predict.** The second rate is eight times as large. How many times as wide is its cloud?

# %% nbgrader={"grade": false, "grade_id": "clouds-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
clouds = {}
for lr in (0.05, 0.4):
    random, w = generator(0), torch.zeros(5000)
    for _ in range(400):
        w = w - lr * noisy_quadratic(w, 1.0, 1.0, random)
    clouds[lr] = w
### END SOLUTION

# %% [markdown]
# **How wide is the cloud?** You can work it out. After many steps the variance $V$ of $w$ no longer changes from one step to the next. Variances of independent terms add, and a factor $a$ multiplies a variance by $a^2$. That turns the step above into one equation for $V$.
#
# **Exercise 2.1 (3 points).** Solve it on paper, then write down the result. Outside $0 < \eta h < 2$ there is no such $V$: raise a `ValueError` there.

# %% nbgrader={"grade": false, "grade_id": "stationary_variance-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def stationary_variance(lr, curvature, noise_variance):
    """The variance of w in the long run, for SGD on ½ · curvature · w².

    lr: the learning rate.   curvature: h.   noise_variance: of each step's gradient.   All floats.
    Returns a float. Raises ValueError unless 0 < lr * curvature < 2.
    """
    ### BEGIN SOLUTION
    if not 0 < lr * curvature < 2:
        raise ValueError("there is a stationary variance only for 0 < lr * curvature < 2")
    return lr * noise_variance / (curvature * (2 - lr * curvature))
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Begin with an easy case: at ηh = 1 the old position is forgotten in every step. What is left of w, and what is its variance? Your formula must give that, too.</details>
# <details><summary>Hint 2</summary>Sort the step into two terms, one with w and one with ε. The variance of w after the step is V again. So V = (the factor of w)² · V + (the factor of ε)² · σ².</details>
# <details><summary>Hint 3</summary>Bring V to one side and multiply out 1 − (1 − ηh)². One η cancels against the other side. For the error: <code>if not …: raise ValueError(…)</code></details>

# %% nbgrader={"grade": true, "grade_id": "stationary_variance", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(stationary_variance)

# %% [markdown]
# Now lay your result over the clouds: a bell curve of variance $V$, with nothing fitted to the runs.

# %% tags=["demo", "raises-exception"]
if passed("stationary_variance") and "clouds" in globals():
    bins, bells = torch.linspace(-2, 2, 81), {}
    for lr, w in clouds.items():
        width = stationary_variance(lr, 1.0, 1.0) ** 0.5
        bell = torch.distributions.Normal(0, width).log_prob(bins).exp()
        bells[f"your function, η = {lr}"] = bell * (bins[1] - bins[0])
        print(f"η = {lr}: standard deviation {w.std():.2f}, by your function {width:.2f}")
    named = {f"η = {lr}": w for lr, w in clouds.items()}
    figures.histogram(named, bins=bins, theory=bells, x="w", figure="clouds_two_rates")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# With eight times the rate the cloud is three times as wide: 0.50 instead of 0.16. The width is the *root* of the variance, and the variance grows a little faster than the rate.
#
# </details>
#
# In training we start far away from the minimum. So let 200 runs start at $w = 10$.
#
# **Predict.** Which of the rates 0.5, 0.1 and 0.02 is nearest to the minimum after 20 steps? Which one after 400?

# %% tags=["demo"]
if passed("stationary_variance"):
    distance, floors = {}, ([], [])
    for lr in (0.5, 0.1, 0.02):
        random, w, path = generator(0), torch.full((200,), 10.0), []
        for _ in range(400):
            path.append(w.square().mean().sqrt().item())
            w = w - lr * noisy_quadratic(w, 1.0, 1.0, random)
        distance[f"η = {lr}"] = path[::10]
        floors[0].extend([0, 400, math.nan])
        floors[1].extend([stationary_variance(lr, 1.0, 1.0) ** 0.5] * 2 + [math.nan])
        print(f"η = {lr:4}:  step 20: {path[20]:.2f}   step 390: {path[390]:.2f}")
    figures.curve(range(0, 400, 10), distance, theory={"√V, your function": floors}, log="y",
                  x="step", y="root mean square of w, 200 runs", figure="three_rates_from_afar")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# After 20 steps the largest rate is nearest, with 0.53. After 390 it is the worst, and 0.02 is nearest, with 0.10. Each rate falls until it meets the floor that your function predicts. A large one arrives early and stays far away; a small one arrives late and comes near.
#
# </details>
#
# This is why we want a rate that is large first and small later.
#
# **Predict.** From $\eta h = 0.01$ to 0.1 the variance grows about tenfold. And from 0.19 to 1.9?

# %% tags=["demo"]
if passed("stationary_variance"):
    eta_h = torch.tensor([0.01, 0.03, 0.1, 0.3, 0.6, 1.0, 1.4, 1.7, 1.9, 1.97])
    random, w = generator(0), torch.zeros(4000, len(eta_h))
    for _ in range(600):  # 4000 runs for each of the ten rates
        w = w - eta_h * noisy_quadratic(w, 1.0, 1.0, random)
    yours = {lr: stationary_variance(lr, 1.0, 1.0) for lr in (0.01, 0.1, 0.19, 1.9)}
    print(f"0.01 → 0.1: {yours[0.1] / yours[0.01]:.0f} times,  "
          f"0.19 → 1.9: {yours[1.9] / yours[0.19]:.0f} times")
    fine = [0.01 * 1.02**i for i in range(267)]
    curve = [stationary_variance(lr, 1.0, 1.0) for lr in fine]
    figures.curve(eta_h, {"simulated": w.var(dim=0)}, theory={"your function": (fine, curve)},
                  log="xy", x="ηh", y="variance of w, in σ²/h²", figure="variance_against_rate")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# Up to about $\eta h = 0.1$ the floor is proportional to $\eta$: half the rate, half the variance. Then it grows faster, 181 times from 0.19 to 1.9. Near 2 overshooting amplifies the noise: the two kinds of swinging come together.
#
# </details>
#
# For small steps the floor is proportional to $\eta\sigma^2$. As a minibatch has $\sigma^2$ proportional to $1/B$, the floor follows $\eta/B$.
#
# > Lecture notes ▸ sharpened: the notes decay the rate "to prevent missing the true minimum". There are two ways to miss it. For a step that is too long, a smaller constant rate suffices; noise needs decay or a larger batch ([Bottou et al. 2018](https://arxiv.org/abs/1606.04838), section 4).

# %% [markdown]
# ## 2.2  Formulas for a falling rate
#
# Let $\eta_t$ be the rate in epoch $t$, and $\eta_0$ the first one:
#
# | name | $\eta_t$ | PyTorch |
# |:--|:--|:--|
# | step | $\eta_0\, \gamma^{\lfloor t/s \rfloor}$ | `StepLR(step_size=s, gamma=γ)` |
# | inverse time | $\eta_0/(1+kt)$ | `LambdaLR` |
# | exponential | find it yourself | `ExponentialLR` |
#
# The step formula multiplies by $\gamma$ every $s$ epochs. The exponential one falls at every moment in proportion to what is left: $\dfrac{d\eta}{dt} = -k\,\eta$, from $\eta_0$ at $t = 0$. Here $k$ is the **decay constant**, per epoch.
#
# **Exercise 2.2 (1 point).** Which function of $t$ does that? Return its value in epoch $t$.

# %% nbgrader={"grade": false, "grade_id": "exponential_decay-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def exponential_decay(lr0, k, t):
    """The learning rate in epoch t under exponential decay.

    lr0: the rate at t = 0.   k: the decay constant, per epoch.   t: the epoch.   Numbers.
    Returns a float.
    """
    ### BEGIN SOLUTION
    return lr0 * math.exp(-k * t)
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>Take k = 1 and a first rate of 1. Which function is minus its own derivative?</details>
# <details><summary>Hint 2</summary>The derivative of exp(a·t) is a·exp(a·t). Which a do you need? And by what must you multiply, so that t = 0 gives the first rate?</details>
# <details><summary>Hint 3</summary><code>math.exp(x)</code> is e to the power x. Mind the sign of x: the rate must fall.</details>

# %% nbgrader={"grade": true, "grade_id": "exponential_decay", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(exponential_decay)

# %% [markdown]
# The notes look at several $k$ and say that by epoch 100 the rates are very different.
#
# **Predict.** $k = 0.1$ and $k = 0.01$, both from $\eta_0 = 0.1$: by what factor do the two rates differ at epoch 100?

# %% tags=["demo"]
if passed("exponential_decay"):
    epochs, inverse = range(101), [0.1 / (1 + 0.1 * t) for t in range(101)]
    rates = {f"k = {k}": [exponential_decay(0.1, k, t) for t in epochs] for k in (0.01, 0.03, 0.1)}
    rates["1/(1 + 0.1 t)"] = inverse
    for name, rate in rates.items():
        print(f"{name:13}  rate at epoch 100: {rate[100]:.2g},  share lost in the first epoch "
              f"{1 - rate[1] / rate[0]:.1%}, in the hundredth {1 - rate[100] / rate[99]:.1%}")
    print(f"at epoch 100, divided by the rate of k = 0.1:  k = 0.01 "
          f"{rates['k = 0.01'][100] / rates['k = 0.1'][100]:.0f},  "
          f"1/(1 + 0.1 t) {inverse[100] / rates['k = 0.1'][100]:.0f}")
    figures.curve(epochs, rates, x="epoch t", y="learning rate", log="y",
                  figure="rates_to_epoch_100")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# On a logarithmic axis exponential decay is a straight line: with $k = 0.1$ every epoch takes away 9.5 % of what is left. So at epoch 100 a tenfold $k$ makes a difference of 8,103 times, that is $e^9$. Inverse time begins alike, with 9.1 % in the first epoch, but in the hundredth it loses only 0.9 %. It ends 2,002 times higher.
#
# </details>
#
# Exponential means: the same share is lost in every epoch. With $\eta_0/(1+kt)$ the share becomes smaller and smaller. So that formula is not exponential, although some courses call it so.
#
# In practice you know where you start, where you want to end, and how many epochs you have.
#
# **Exercise 2.3 (2 points).** Which $k$ does that?

# %% nbgrader={"grade": false, "grade_id": "decay_constant-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def decay_constant(lr0, lr_end, epochs):
    """The k with which exponential decay goes from lr0 at t = 0 to lr_end at t = epochs.

    lr0, lr_end: positive floats.   epochs: how many, a positive number.
    Returns a float, per epoch.
    """
    ### BEGIN SOLUTION
    return math.log(lr0 / lr_end) / epochs
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>An easy case: the rate shall fall to 1/e of the first one. What must k · epochs be then?</details>
# <details><summary>Hint 2</summary>Write your formula of exercise 2.2 for t = epochs, set it equal to lr_end, and solve for k.</details>
# <details><summary>Hint 3</summary>Divide by lr0. Then take the natural logarithm of both sides; it is <code>math.log</code>. Mind the sign: k is positive when the rate falls.</details>

# %% nbgrader={"grade": true, "grade_id": "decay_constant", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(decay_constant)

# %% [markdown]
# **Your turn** (not graded). A handy measure of a decay is its **half-life**: after how many epochs is the rate halved? Print it for $k = 0.01$, 0.03 and 0.1. (For 0.1 it is about 7.)

# %% nbgrader={"grade": false, "grade_id": "half_life-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
for k in (0.01, 0.03, 0.1):
    epochs = decay_constant(1.0, 0.5, 1) / k  # k · epochs = ln 2
    print(f"k = {k}: the rate is halved every {epochs:.0f} epochs")
### END SOLUTION

# %% [markdown]
# ## 2.3  How far can a run get?
#
# When the rate falls, every step is shorter than the one before. If no gradient on the way is longer than $G$, the step at time $t$ is at most $\eta_t G$ long. A run can never get further than all its steps together, even if it goes on for ever.
#
# **Exercise 2.4 (2 points).** How long are all steps together under exponential decay, with one step for each $t = 0, 1, 2, \dots$ without end? Return it in closed form, without a loop.

# %% nbgrader={"grade": false, "grade_id": "reachable_distance-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def reachable_distance(lr0, k, grad_norm):
    """How far gradient descent gets at most under exponential decay, one step per t = 0, 1, 2, …

    lr0: the first rate.   k: the decay constant per step, > 0.
    grad_norm: the longest gradient on the way.
    Returns a float.
    """
    ### BEGIN SOLUTION
    return lr0 * grad_norm / (1 - math.exp(-k))
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>An easy case: each step is half as long as the one before, the first is 1. What is 1 + ½ + ¼ + … ?</details>
# <details><summary>Hint 2</summary>It is a geometric series: from one term to the next there is always the same factor q. What is q here?</details>
# <details><summary>Hint 3</summary>The sum is the first term divided by 1 − q. The first term is the length of the step at t = 0.</details>

# %% nbgrader={"grade": true, "grade_id": "reachable_distance", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(reachable_distance)

# %% [markdown]
# Try it in a valley with straight walls, $L(w) = |w|$: there the gradient has length 1 everywhere. We start at 10 with $\eta_0 = 0.5$.
#
# **Your turn** (not graded). How far can $k = 0.01$ and $k = 0.1$ get? And with which $k$ is the reach exactly 10? Solve your formula for $k$.

# %% nbgrader={"grade": false, "grade_id": "just_enough-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
for k in (0.01, 0.1, -math.log(1 - 0.5 / 10)):
    print(f"k = {k:.3f}: reach {reachable_distance(0.5, k, 1.0):.2f}")
### END SOLUTION

# %% [markdown]
# **Predict.** Now with noise of variance 1. Where does each of the four runs below end after 2,000 steps?

# %% tags=["demo"]
if passed("exponential_decay"):
    schedules = {"constant": lambda t: 0.5,
                 "k = 0.01": lambda t: exponential_decay(0.5, 0.01, t),
                 "k = 0.1": lambda t: exponential_decay(0.5, 0.1, t),
                 "1/(1 + 0.1 t)": lambda t: 0.5 / (1 + 0.1 * t)}
    far, steps = {}, range(2000)
    for name, rate in schedules.items():
        random, w, path = generator(0), torch.full((200,), 10.0, dtype=torch.float64), []
        for t in steps:
            path.append(w.abs().mean().item())
            w = w - rate(t) * (w.sign() + torch.randn(200, generator=random, dtype=w.dtype))
        far[name] = path
        print(f"{name:13}  all rates together {sum(map(rate, steps)):7.2f},   mean distance "
              f"at step 100 {path[100]:.2f}, 500 {path[500]:.4f}, 1999 {path[1999]:.4f}")
    figures.curve(range(1, 2001), far, x="step", y="mean |w| of 200 runs", log="xy",
                  ylim=(1e-4, 20), figure="four_schedules_in_a_v")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# The constant rate arrives and stays about 0.5 away. $k = 0.1$ can walk 5.25 of the 10, and stops half-way for ever. $k = 0.01$ arrives, and its cloud shrinks with the rate until nothing is left of it: 0.0000 at the end. Inverse time arrives as well. At step 100 it is nearer than $k = 0.01$; at step 1,999 it is still 0.0025 away, because its rate falls ever more slowly.
#
# </details>

# %% [markdown]
# A rate that falls too fast stops the run before it arrives. Inverse time has no such limit: its rates add up to infinity, while their squares do not.
#
# $$\sum_t \eta_t = \infty, \qquad \sum_t \eta_t^2 < \infty$$
#
# Under these conditions ([Robbins & Monro 1951](https://doi.org/10.1214/aoms/1177729586)), and mild ones on the loss, a run arrives in the end from any distance, and comes to rest. No exponential decay meets the first. But the end may be far: the first 2,000 rates of inverse time add up to only 26.77. For a run of known length exponential decay is fine, if its reach is long enough.

# %% [markdown]
# ## 2.4  A recipe
#
# The notes' recipe: train without decay, look, fit the decay to what you saw, and judge with validation data. Behind it stands a wider habit: *first overfit, then fix*.
#
# **Step 1: overfit.** Can the network learn 100 digits by heart? And the same 100 pictures with their labels shuffled, so that the labels mean nothing?
#
# **Predict.** What share of the 100 labels does it fit in each case? And how many test pictures will it get right?

# %% tags=["demo"]
clean = digits(device)
x, y = clean.x[:100], clean.y[:100]
shuffled = y[torch.randperm(100, generator=generator(1)).to(device)]
for name, labels in {"true labels": y, "shuffled labels": shuffled}.items():
    few = replace(clean, x=x, y=labels, x_val=x, y_val=labels)  # "val" measures the fit itself
    runs = sweep("sgd", lrs=[0.5], seeds=range(5), data=few, epochs=100, batch_size=10)
    print(f"{name:16} fitted {runs.val_accuracy[0, :, -1].mean():.0%},  "
          f"test accuracy {runs.test_accuracy[0, :, -1].mean():.0%}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# It fits both: 100 %. So the network is large enough, and the training loop works. That makes overfitting a good first test: if even 100 examples cannot be fitted, look for a bug. But shuffled labels are fitted just as well, with 7 % of the test pictures right, no better than guessing. With the true labels it is 90 %. The fit itself says nothing about new data.
#
# </details>
#
# > Lecture notes ▸ corrected: overfitting first, the notes say, "proves the features can model the data". It proves that this network can fit these examples, whatever their labels. Only data that were held back can tell whether that helps on new pictures.

# %% [markdown]
# **Then fix it.** To fix means to bring the loss on *new* data down: more examples, a smaller model, a penalty on large weights, an earlier stop. From here on 30 % of the training and validation labels are wrong; test labels are right. Our fix is a linear model with a penalty (`l2`). No *linear* model can fit all the wrong labels, so its gradients stay noisy and there is a floor. The loss is convex, and its minimum is known exactly. How far above it a run ends is its **excess**.

# %% tags=["demo"]
noisy, l2 = noisy_digits(device, validation=237), 0.01
lowest = ridge_softmax_minimum(noisy, l2)
print(f"{noisy.n} training examples, {len(noisy.x_val)} to validate, {len(noisy.x_test)} to test")
task = dict(data=noisy, hidden=0, l2=l2, epochs=30, batch_size=16, seeds=range(10))


def table(names, runs):
    """Print the state after the last epoch for each setting, mean of the seeds."""
    print("setting        excess     validation loss   test accuracy")
    for i, name in enumerate(names):
        excess = runs.train_loss[i, :, -1].mean() - lowest
        print(f"{name:12} {excess:8.4f}   {runs.val_loss[i, :, -1].mean():11.4f}"
              f"        {runs.test_accuracy[i, :, -1].mean():10.1%}")

# %% [markdown]
# **Step 2: train without decay, and look.** Six constant rates with ten seeds, in steps of 1.5 times but for the largest and the smallest. The figure shows the largest, the smallest and one in between.

# %% tags=["demo"]
constant = sweep("sgd", lrs=[0.3 / 1.5**i for i in (0, 2, 3, 4, 5, 7)], **task)
table([f"η = {lr:.3f}" for lr in constant.lrs], constant)
curves = {f"η = {constant.lrs[i]:.3f}": constant.train_loss[i] - lowest for i in (0, 3, 5)}
figures.band(range(31), curves, x="epoch", y="training loss − its minimum", log="y",
             figure="constant_rates_noisy_labels")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Mean and range of ten seeds.) This is 2.1 again, on a real task. The largest rate, 0.3, is lowest after two epochs, and gains nothing after about five. The smallest is still on its way at the end. After 30 epochs a rate in between is best: 0.059, with an excess of 0.0048.
#
# </details>

# %% [markdown]
# **Step 3: fit the decay to what you saw.** With $\eta = 0.3$ the run arrives within five epochs, and its floor is about 0.04. The floor is roughly proportional to the rate.
#
# **Your turn** (not graded). Start at 0.3. Choose a rate to end with after 30 epochs, and find your $k$ with `decay_constant`. Then train, and show the result with `table`. In `sweep` the argument `schedule=` takes a function of the epoch that returns a *factor* on the rate, so let it return `exponential_decay(1.0, k, t)`.

# %% nbgrader={"grade": false, "grade_id": "my_k-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
k = decay_constant(0.3, 0.01, 30)
mine = sweep("sgd", lrs=[0.3], schedule=lambda t: exponential_decay(1.0, k, t), **task)
table([f"k = {k:.3f}"], mine)
### END SOLUTION

# %% [markdown]
# **Predict.** Here are six values of $k$. Which one will be best, and what goes wrong on either side? Think of the half-life, $\ln 2/k$.

# %% tags=["demo"]
if passed("exponential_decay"):
    ks = [0.05, 0.08, 0.12, 0.18, 0.27, 0.6]  # all at once, each with its own factor
    decayed = sweep("sgd", lrs=[0.3] * 6, **task,
                    schedule=lambda t: [exponential_decay(1.0, k, t) for k in ks])
    table([f"k = {k}" for k in ks], decayed)

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# The training loss is best at $k = 0.12$, a half-life of six epochs, with an excess of 0.0004. With a smaller $k$ noise is left over. With a larger one the run stops before it arrives: $k = 0.6$ ends at 0.0181. The validation loss hardly tells 0.08 from 0.12. It is what you go by in real life, where nobody tells you the minimum.
#
# </details>
#
# **Step 4: a fair judge.** It would be unfair to compare the best $k$ with $\eta = 0.3$, which is not the best *constant* rate. So validation chooses on both sides, from six settings each.
#
# **Predict.** Best constant rate or best decay: how large is the difference in excess, and in test accuracy?

# %% tags=["demo"]
if passed("exponential_decay"):
    a, b = (runs.val_loss[:, :, -1].mean(dim=1).argmin() for runs in (constant, decayed))
    one, two = constant.train_loss[a] - lowest, decayed.train_loss[b] - lowest
    val = constant.val_loss[a, :, -1] - decayed.val_loss[b, :, -1]
    test = 100 * (decayed.test_accuracy[b, :, -1] - constant.test_accuracy[a, :, -1])
    print(f"chosen: constant η = {constant.lrs[a]:.3f}, and k = {ks[b]} from η = 0.3")
    print(f"excess: {one[:, -1].mean():.4f} and {two[:, -1].mean():.4f}, "
          f"{one[:, -1].mean() / two[:, -1].mean():.0f} times less with decay")
    print(f"validation loss lower with decay in {(val > 0).sum()} of 10 seeds, by {val.mean():.3f}")
    print(f"test accuracy higher by {test.mean():.1f} ± {test.std() / 10**0.5:.1f} points; "
          f"one picture of {len(noisy.y_test)} is {100 / len(noisy.y_test):.1f} points")
    curves = {"η = 0.3 throughout": constant.train_loss[0] - lowest,
              "best constant rate": one, "best decay from 0.3": two}
    figures.band(range(31), curves, x="epoch", y="training loss − its minimum", log="y",
                 figure="constant_and_decayed")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Mean and range of ten seeds.) The decayed run falls as fast as $\eta = 0.3$ at first, and then goes on where the constant rates meet their floor. Its excess is 6 times smaller than that of the best constant rate, and its validation loss is lower in all ten seeds. In test accuracy that makes 0.4 points: one picture or two of 360.
#
# </details>
#
# Against $\eta = 0.3$ decay seems to raise test accuracy from 88.9 to 92.5 %. A better constant rate alone reaches 92.1 %. What decay adds is real for the loss, and small for the accuracy. **The fair rival of a schedule is the best constant rate.**

# %% [markdown]
# ## 2.5  A larger batch instead
#
# The floor follows $\eta/B$. So there are two ways to lower it: make $\eta$ smaller, or make $B$ larger and leave $\eta$ as it is ([Smith et al. 2018](https://arxiv.org/abs/1711.00489)).
#
# **Exercise 2.5 (2 points).** A schedule of rates is given, `lrs`, for a batch of `batch0`. Return the batch sizes that give the same $\eta/B$ in every epoch while the rate stays at `lr0`. Each size is an `int`: the nearest whole number (no size in the check lies exactly half-way). It is at most `max_batch`, and never below `batch0`.

# %% nbgrader={"grade": false, "grade_id": "growing_batch-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def growing_batch(lr0, batch0, lrs, max_batch):
    """The batch sizes that replace a schedule of learning rates.

    lr0: the rate that is kept.   batch0: the batch size that belongs to it.
    lrs: the schedule, a list of rates.   max_batch: the largest batch size allowed.
    Returns a list of int, one for each rate.
    """
    ### BEGIN SOLUTION
    sizes = []
    for lr in lrs:
        size = round(batch0 * lr0 / lr)
        sizes.append(min(max_batch, max(batch0, size)))
    return sizes
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1</summary>An easy case: the rate would be halved. What must happen to the batch instead?</details>
# <details><summary>Hint 2</summary>In one epoch the schedule has the quotient lr/batch0. You have lr0/size. Set them equal, and solve for the size. Do it for each rate by itself, from batch0 and not from the last size.</details>
# <details><summary>Hint 3</summary><code>round(…)</code> gives the nearest <code>int</code>. <code>max(…, …)</code> sets a lower limit, <code>min(…, …)</code> an upper one.</details>

# %% nbgrader={"grade": true, "grade_id": "growing_batch", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(growing_batch)

# %% [markdown]
# **Predict.** On the noisy digits the rate is divided by five after 10 and after 20 epochs, or the batch is multiplied by five. Which excess is lower, and how many updates does each need?

# %% tags=["demo"]
if passed("growing_batch"):
    factors = [5.0 ** -(epoch // 10) for epoch in range(30)]
    sizes = growing_batch(0.3, 16, [0.3 * f for f in factors], noisy.n)
    plans = {"rate ÷ 5": {"schedule": lambda epoch: factors[epoch]},
             "batch × 5": {"batch_size": sizes}}
    curves = {"η = 0.3, B = 16": constant.train_loss[0] - lowest}
    for name, plan in plans.items():
        runs = sweep("sgd", lrs=[0.3], **(task | plan))
        curves[name] = runs.train_loss[0] - lowest
        print(f"{name:9}  excess {curves[name][:, -1].mean():.4f},  "
              f"test accuracy {runs.test_accuracy[0, :, -1].mean():.1%},  "
              f"{runs.loss.shape[-1]} updates,  {30 * noisy.n} gradients of single examples,  "
              f"largest batch {max(plan.get('batch_size', [16]))}")
    figures.band(range(31), curves, x="epoch", y="training loss − its minimum", log="y",
                 figure="smaller_rate_or_larger_batch")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# (Mean and range of ten seeds.) Both fall in the same two stairs. They end with the same excess, 0.0002, and the same test accuracy within the scatter, 92.3 and 92.2 %. The notes say so, and so do Smith et al. of large networks: usually the same learning curve on training and test data, and equivalent accuracy after as many epochs. It holds as long as $B$ is much smaller than the training set; 400 of our 1,200 examples is at the edge.
#
# </details>

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# What does it cost? Both compute 36,000 gradients of single examples. The growing batch does it in 930 updates instead of 2,250. That is faster where a device computes many examples at once, but needs memory for 400 examples instead of 16. *Gradient accumulation* adds up the gradients of small pieces before a step: it saves memory but not time.
#
# </details>

# %% [markdown]
# A growing batch reaches the same loss with as many examples, in fewer updates, and needs more memory.
#
# > Lecture notes ▸ corrected: a larger batch, the notes say, goes against "the initial problem that learning rate decay solves: GPU and memory costs". Decay solves neither; it lowers the noise floor. It is right that a larger batch costs memory.

# %% [markdown]
# ## 2.6  A claim with two causes
#
# *Optimization methods* is a well-made and widely used programming exercise of the course [Improving Deep Neural Networks](https://www.coursera.org/learn/deep-neural-network) (DeepLearning.AI). Three of its runs, of 5,000 epochs each:
#
# | optimizer | first rate | decay | accuracy it reports |
# |:--|:--|:--|:--|
# | gradient descent | 0.0007 | no | over 71 % |
# | Adam | 0.0007 | no | over 94 % |
# | gradient descent | 0.1 | yes | over 94.6 % |
#
# It concludes that with decay gradient descent comes close to Adam. Here is such a comparison on our digits, with a decay of the same form and ten seeds:

# %% tags=["demo"]
small, large = 0.003, 0.3
decay = {"no decay": None, "decay": lambda epoch: 1 / (1 + epoch // 4)}


def accuracy(rule, lr, kind):
    """Test accuracy in per cent after 12 epochs: mean and standard deviation of ten seeds."""
    runs = sweep(rule, lrs=[lr], seeds=range(10), data=clean, epochs=12, schedule=decay[kind])
    final = runs.test_accuracy[0, :, -1] * 100
    return f"{final.mean():.1f} ± {final.std():.1f} %"


print("Adam, small rate, no decay: ", accuracy("adam", small, "no decay"))
print("SGD,  small rate, no decay: ", accuracy("sgd", small, "no decay"))
print("SGD,  large rate, decay:    ", accuracy("sgd", large, "decay"))

# %% [markdown]
# **Predict.** Between the two SGD runs *two* things changed. Which two runs are missing? What will they show if decay was the cause, and what if the rate was?
#
# **Your turn** (not graded). Run the two that are missing.

# %% nbgrader={"grade": false, "grade_id": "missing_runs-own", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
### BEGIN SOLUTION
print("SGD,  small rate, decay:    ", accuracy("sgd", small, "decay"))
print("SGD,  large rate, no decay: ", accuracy("sgd", large, "no decay"))
### END SOLUTION

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# Put the four SGD runs into a square. From the small to the large rate accuracy rises from 20.0 to 95.1 % without decay, and from 14.9 to 94.6 % with it. From no decay to decay it gains nothing: with the small rate it falls, with the large one the difference lies within the scatter. The whole gain came from the larger rate.
#
# </details>
#
# If two things change at once, you cannot say which one did it. Two more runs make it a square, and the square tells.

# %% [markdown]
# ## What to remember
#
# - Two kinds of swinging: too long a step ($\eta h > 1$), and noise, $V = \frac{\eta\sigma^2}{h(2-\eta h)}$. For the first a smaller constant rate suffices; noise needs decay or a larger batch.
# - Exponential decay loses the same share in each epoch. $k = \ln(\eta_0/\eta_{\text{end}})/\text{epochs}$; its reach is $\eta_0 G/(1-e^{-k})$.
# - Overfit first to test the loop. Train without decay, look, fit $k$, and judge by validation data against the best *constant* rate.
# - Multiplying $B$ does what dividing $\eta$ does, with fewer updates and more memory.
# - Two changes need four runs.

# %% tags=["demo"]
scoreboard("02")

# %% [markdown]
# ## Deeper
#
# A task without a noise floor, and the floor when there is momentum. Nothing here is graded.

# %% [markdown]
# ## 2.7  Where there is no noise floor
#
# *4 minutes.* Take the clean digits and the small network. It can fit every example, so the gradients vanish at the end, and the noise with them (notebook 1). We decay from 0.3 again. The last row is the constant rate that ends with the lowest validation loss.
#
# **Predict.** Does $k = 0.12$ lower the training loss after 30 epochs? And the validation loss?

# %% tags=["demo"]
if passed("exponential_decay"):
    # 0.075 ends with the lowest validation loss of 0.05, 0.075, 0.11, 0.17, 0.25, 0.38 and 0.57.
    held_back, ks = digits(device, validation=237), [0, 0.12, 0]
    runs = sweep("sgd", lrs=[0.3, 0.3, 0.075], data=held_back, epochs=30, batch_size=16,
                 schedule=lambda t: [exponential_decay(1.0, k, t) for k in ks], seeds=range(10))
    print("  η0     k    training loss    validation loss  lowest on the way   test accuracy")
    for i, k in enumerate(ks):
        end, test = runs.train_loss[i, :, -1], runs.test_accuracy[i, :, -1]
        val = runs.val_loss[i].mean(dim=0)
        print(f"{runs.lrs[i]:5.3f}  {k:4}  {end.mean():.4f} ± {end.std():.4f}    {val[-1]:.3f}     "
              f"    {val.min():.3f} in epoch {val.argmin():2}   "
              f"{test.mean():.1%} ± {test.std():.1%}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# The constant rate 0.3 has the lowest training loss, 0.0089: here decay only slows the run down. In validation loss $k = 0.12$ ends lowest, at 0.143. But the constant rate had been at 0.147, in epoch 13, and rose to 0.164 afterwards: it became too sure of its mistakes. So most of what decay gains is gained by stopping in time, too. The best constant rate ends at 0.148. In test accuracy 0.3 without decay is as good as any.
#
# </details>
#
# On such a problem decay acts mostly as early stopping. It says little about the noise floor.

# %% [markdown]
# ## 2.8  The floor with momentum
#
# *4 minutes.* With momentum $\alpha$ (notebook 4) the steps of 2.1 become $\Delta_{t+1} = \alpha\Delta_t + \eta(hw_t + \varepsilon_t)$ and $w_{t+1} = w_t - \Delta_{t+1}$. The same idea, with the variance of $\Delta$ as a second unknown, leads to
#
# $$V = \frac{\eta\sigma^2(1+\alpha)}{h(1-\alpha)(2(1+\alpha)-\eta h)}$$
#
# **Predict.** At the same small rate, is the floor with $\alpha = 0.9$ lower than that of SGD, equal, or higher?

# %% tags=["demo"]
alpha = 0.9
for lr in (0.01, 0.1, 1.0):
    random, w, delta = generator(0), torch.zeros(4000, dtype=torch.float64), 0.0
    for _ in range(600):
        delta = alpha * delta + lr * noisy_quadratic(w, 1.0, 1.0, random)
        w = w - delta
    formula = lr * (1 + alpha) / ((1 - alpha) * (2 * (1 + alpha) - lr))
    large = lr / (1 - alpha)
    floor = f"{large / (2 - large):.2g}" if large < 2 else "none, it diverges"
    print(f"η = {lr:4}:  simulated {w.var():.2g},  formula {formula:.2g}, that is "
          f"{formula / (lr / (2 - lr)):.1f} times SGD's;   SGD at η = {large:4.1f}: {floor}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# At a small rate momentum 0.9 makes the floor ten times *higher*. It acts like SGD with the rate $\eta/(1-\alpha)$, as the last column shows: 0.05 for both in the first row. That holds only while $\eta h/(1-\alpha)$ is small. In the second row SGD at that rate has about twice the floor. In the third it diverges, while momentum still converges.
#
# </details>

# %% [markdown]
# **References**
#
# - H. Robbins, S. Monro, [A stochastic approximation method](https://doi.org/10.1214/aoms/1177729586), Annals of Mathematical Statistics 22, 1951.
# - L. Bottou, F. E. Curtis, J. Nocedal, [Optimization methods for large-scale machine learning](https://arxiv.org/abs/1606.04838), SIAM Review 2018.
# - S. L. Smith, P.-J. Kindermans, C. Ying, Q. V. Le, [Don't decay the learning rate, increase the batch size](https://arxiv.org/abs/1711.00489), ICLR 2018.
# - DeepLearning.AI, [Improving Deep Neural Networks](https://www.coursera.org/learn/deep-neural-network), programming exercise *Optimization methods*, sections 6.4 and 7.4.
#
# **Next:** [3 Schedulers](03_schedulers.ipynb)
