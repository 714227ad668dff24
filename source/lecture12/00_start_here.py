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
# # 0  Start here
#
# In a quarter of an hour you will have run a cell, written your first update rule, seen how a check names a mistake, and watched your own rule walk downhill.
#
# **15 minutes · 1 point.** Afterwards you can
#
# - work through a notebook of this course: predict, run, write, check, hand in;
# - read what a check says, also when your code crashes;
# - find any symbol of the lecture in the papers and in PyTorch.

# %% [markdown]
# ## 0.1  Run cells from top to bottom
#
# A grey cell holds code. Click into it and press **Shift + Enter**: it runs, its result appears below, and the next cell is selected. Cells share their variables, so run them in order.
# When something looks odd, choose **Kernel → Restart Kernel and Run All Cells…** in the menu. It is always safe: exercises that you have not written yet say so, and the rest goes on.
#
# The next cell is the set-up cell. Every notebook has one.

# %%
import torch

from lecture_utils import figures
from lecture_utils.checks import check, judge, passed, scoreboard, show_verdict
from lecture_utils.devices import describe, pick_device
from lecture_utils.landscapes import RAVINE, descend

figures.setup()

# %% [markdown]
# Everything here runs on a laptop's processor in seconds. If PyTorch finds a graphics card, the notebooks use it. What has it found on your machine?

# %% tags=["nbval-ignore-output", "demo"]
print(describe(pick_device()))

# %% [markdown]
# ## 0.2  First predict and then run
#
# Before important cells you find a question, marked **Predict**. Answer it before you press Shift + Enter, on paper or in your head. A wrong prediction is the best thing that can happen: you will remember the answer.
# Below such a cell stands a line that you can open with a click. It explains what you have just seen.
#
# **Predict.** We minimise $L(w) = w^2$, starting at $w = 1$, with ten steps of gradient descent and learning rate $\eta = 1.1$. Where do we end: near 0, at 1, or far away?

# %% tags=["demo"]
w = 1.0
for step in range(10):
    w = w - 1.1 * 2 * w  # the gradient of w² is 2w
    print(f"step {step + 1:2}   w = {w:6.3f}")

# %% [markdown]
# <details><summary><b>Read the numbers</b></summary>
#
# Each step multiplies $w$ by $1 - 1.1\cdot 2 = -1.2$. We jump across the minimum and land a little further out every time. After ten steps we are at $w = 1.2^{10} \approx 6.2$.
#
# </details>
#
# A step can be too long even when its direction is right. Half of this lecture is about that sentence.

# %% [markdown]
# ## 0.3  You write the update rules
#
# Gradient descent moves the weights against the gradient of the loss:
#
# $$w \leftarrow w - \eta\,\nabla L(w)$$
#
# $w$ are the weights (PyTorch: a parameter `p`), $\nabla L(w)$ is the gradient (`p.grad`), $\eta$ is the learning rate (`lr`).
#
# **Exercise 0.1 (1 point).** Write one step of gradient descent. Put your own lines in place of `# YOUR CODE HERE` and `raise NotImplementedError()`. The weights and the gradient are tensors of one shape, whatever it is, so no loop is needed. Then run the check below, as often as you like: it costs nothing.


# %% nbgrader={"grade": false, "grade_id": "gradient_step-answer", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["raises-exception"]
def gradient_step(w, grad, lr):
    """One step of gradient descent.

    w, grad: tensors of one shape.   lr: the learning rate, a float.
    Returns the new w, a tensor of the same shape.
    """
    ### BEGIN SOLUTION
    return w - lr * grad
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>The gradient points uphill. You want to go down.</details>
# <details><summary>Hint 2</summary>How far? The learning rate times the gradient.</details>
# <details><summary>Hint 3</summary>The function must hand the new weights back: a line <code>return w …</code> with a minus sign.</details>

# %% nbgrader={"grade": true, "grade_id": "gradient_step", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} tags=["raises-exception"]
check(gradient_step)

# %% [markdown]
# ## 0.4  A check names the mistake
#
# A check calls your function on several cases, for several steps each, and compares what comes back with recorded numbers. It also recognises common mistakes, alone or two at once.
#
# Here are three wrong answers, and the card that each would get. Can you see what is wrong before the card tells you?


# %% tags=["demo"]
def uphill(w, grad, lr):
    return w + lr * grad


def two_mistakes(w, grad, lr):
    return w + grad


def crashes(w, grad, lr):
    return w - lr * gradient  # there is no such name


for answer in (uphill, two_mistakes, crashes):
    show_verdict(judge(answer, "gradient_step"), answer.__name__)

# %% [markdown]
# The first line of a card says how far the answer agrees. Then comes the likely mistake, or the line of code that failed. The table shows the first step that differs, so that you can redo it by hand; the first wrong number is marked.
#
# A green card means: right on the visible cases. Grading draws more cases, with other numbers.
# Every way to write a right answer is fine: in place, in another order, with NumPy. Only do not forget the `return`.

# %% [markdown]
# ## 0.5  Your rule goes to work
#
# After its check, your own function is put to use; such cells wait for the green card. Here your `gradient_step` walks down a ravine: a valley with steep sides and a flat floor. You will meet it again in notebook 4.
#
# **Predict.** One walk has a learning rate of 0.02, the other 0.075. Which one zigzags, and which one gets further?

# %% tags=["demo"]
if passed("gradient_step"):
    paths = {
        f"lr = {lr}": descend(RAVINE, gradient_step, RAVINE.start, 30, lr=lr)
        for lr in (0.02, 0.075)
    }
    for name, path in paths.items():
        print(f"{name:10}  distance to the minimum after 30 steps: {path[-1].norm():.2f}")
    figures.trajectories(RAVINE, paths, figure="ravine_two_rates")

# %% [markdown]
# <details><summary><b>Read the figure</b></summary>
#
# The larger rate zigzags between the walls, and still ends far closer to the minimum, because along the floor every step is longer. The zigzag is its price. Momentum (notebook 4) wants the long steps without the zigzag.
#
# </details>

# %% [markdown]
# ## 0.6  Hand in
#
# 1. **Kernel → Restart Kernel and Run All Cells…**, then look at the scoreboard at the end of the notebook.
# 2. Press **Validate** in the notebook's toolbar. It runs a fresh copy of your notebook and lists each check that is not green yet.
# 3. Save, and hand in the `.ipynb` file under its own name. Do not delete or copy the check cells. If you changed one by accident, grading restores it.
#
# Points come from the checks, with new numbers. A few questions are read by a person, and say so.

# %% [markdown]
# ## 0.7  One notation
#
# Papers and PyTorch often use the lecture's letters for something else. Come back to these tables whenever a formula looks strange.
#
# | meaning | lecture | papers | PyTorch |
# |:--|:--|:--|:--|
# | weights | $w$ | $\theta$, $x$ | a parameter `p` |
# | gradient of the loss | $\nabla L$, $\partial L/\partial w$ | $g$ | `p.grad` |
# | learning rate | $\eta$ | $\alpha$ (Adam), $\varepsilon$ (Sutskever) | `lr` |
# | momentum | $\alpha$ | $\mu$, $\beta$ | `momentum` in `SGD` and `RMSprop` |
# | velocity, the step to be subtracted | $\Delta$ | $-v$ | `momentum_buffer` times `lr` |
# | local gain | $g_{ij}$ | $g$ | – |

# %% [markdown]
# | RMSProp, Adam, and the rest | lecture | papers | PyTorch |
# |:--|:--|:--|:--|
# | mean square of the gradient | $r$ | $v$, $E[g^2]$ | `square_avg`, `exp_avg_sq` |
# | its decay | $\beta$ | $\rho$, $\gamma$, $\beta_2$ | **`alpha`** in `RMSprop` (0.99), `betas[1]` in `Adam` (0.999) |
# | Adam's mean gradient, its decay | $m$, $\alpha$ | $m$, $\beta_1$ | `exp_avg`, `betas[0]` (0.9) |
# | small number against division by zero | $\epsilon$ | $\epsilon$ | `eps` |
# | batch size | $B$ | $m$, $B$ | `batch_size` |
# | curvature, and largest ÷ smallest | $h$, $\kappa$ | $\lambda$, $\kappa$ | – |
# | decay of the learning rate | $k$ | $k$, $\lambda$ | `gamma` $= e^{-k}$ in `ExponentialLR` |

# %% [markdown]
# The notebooks use the lecture's letters, with one exception. From notebook 6 on, Adam's two decays are written $\beta_1$ and $\beta_2$, as in the paper and in PyTorch: $\beta_1$ is the lecture's $\alpha$, and $\beta_2$ is its $\beta$. For momentum and RMSProp nothing changes.
#
# > Lecture notes ▸ corrected: the notes find Adam's $\alpha$, 0.9, and $\beta$, 0.999, "in the RMSProp equation". The numbers are right. But RMSProp has only the second one; the first belongs to Adam's $m$.

# %% [markdown]
# ## 0.8  The way through
#
# The core of each notebook holds everything that is graded. *Deeper*, at its end, is for those who want more.
#
# | notebook | you will be able to | minutes | Deeper |
# |:--|:--|--:|--:|
# | 0 Start here | use all the others | 15 | – |
# | 1 [Minibatch noise](01_minibatch_noise.ipynb) | measure the noise of a gradient and say what it costs | 75 | 10 |
# | 2 [Learning-rate decay](02_learning_rate_decay.ipynb) | choose a decay and know when it helps | 70 | 8 |
# | 3 [Schedulers](03_schedulers.ipynb) | predict, plot and resume a schedule | 65 | 14 |
# | 4 [Momentum and Nesterov](04_momentum_nesterov.ipynb) | write both and say when they help | 75 | 8 |
# | 5 [Gains and RMSProp](05_gains_and_rmsprop.ipynb) | give each weight its own rate | 60 | 11 |
# | 6 [Adam](06_adam.ipynb) | write it, with its correction, as a PyTorch optimizer | 65 | 15 |
# | 7 [Optimizers in PyTorch](07_optimizers_in_pytorch.ipynb) | compare optimizers fairly | 75 | 11 |
# | 8 [Midterm practice](08_midterm_practice.ipynb) | answer the five kinds of question | 120 | – |

# %% [markdown]
# The notebooks build on each other, but each can be run alone. One data set (8 × 8 pictures of handwritten digits), one small network, one noisy quadratic and one ravine come back all the time. So what changes between two figures is the idea.

# %% [markdown]
# ## What to remember
#
# - Predict, run, read, write, check, use.
# - A check names the likely mistake; a green one still has hidden cases.
# - $w \leftarrow w - \eta\,\nabla L(w)$. A step can have the right direction and be too long.

# %% tags=["demo"]
scoreboard("00")

# %% [markdown]
# **Reference.** The digits: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998; its test part is shipped with [scikit-learn](https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html).
#
# **Next:** [1 Minibatch noise](01_minibatch_noise.ipynb)
