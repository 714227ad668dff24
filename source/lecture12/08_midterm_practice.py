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
# # 8  Midterm practice
#
# The midterm is open-note, in class, without electronics. Here are forty questions of its five kinds, about all seven notebooks, and a guide to what to read again.
#
# **90 minutes · 40 points.** Afterwards you can
#
# - answer each kind: true or false, multiple choice, derivation, matching, reading code;
# - name the mistake behind a wrong answer, not only the right one;
# - find, for each topic of the lecture, the section to read again.

# %%
import math

from lecture_utils.checks import ask, check, check_answer, scoreboard

# %% [markdown]
# ## How to practise
#
# Take a sheet of paper and your notes. Answer each question on paper first, as in the midterm, then write the answer into its cell in place of `None` and run the check below it. You can answer again as often as you like.
#
# An answer is a letter in quotes, `True` or `False`, a number (three digits are enough), a list, or for matching questions a letter for each name. Derivations are functions: any formula that gives the right numbers is right.

# %% [markdown]
# Some questions have numbers of your own: they are drawn from your id. Write it here, and share the notebook with friends: they get the same questions with other numbers. Run the cell, then those that begin with `ask`.

# %%
student = "your id"

# %% [markdown]
# A check says at once whether your answer is right, and why, or why not. In a *graded* version of this notebook it only says that your answer was recorded; then your id must be the one under which you hand in.

# %% [markdown] generate="questions 1"
# ## 8.1  Minibatch noise
#
# What a sample of a sample tells about a gradient, and what it costs. [Notebook 1](01_minibatch_noise.ipynb)

# %% [markdown] generate="questions 2"
# ## 8.2  Learning-rate decay
#
# Two reasons to swing, three formulas, one recipe. [Notebook 2](02_learning_rate_decay.ipynb)

# %% [markdown] generate="questions 3"
# ## 8.3  Schedulers
#
# Which rate does this code really use? [Notebook 3](03_schedulers.ipynb)

# %% [markdown] generate="questions 4"
# ## 8.4  Momentum and Nesterov
#
# A velocity, its four forms, and a look ahead. [Notebook 4](04_momentum_nesterov.ipynb)

# %% [markdown] generate="questions 5"
# ## 8.5  Gains and RMSProp
#
# A rate for each weight. [Notebook 5](05_gains_and_rmsprop.ipynb)

# %% [markdown] generate="questions 6"
# ## 8.6  Adam
#
# Two averages, and how far they fall short at first. [Notebook 6](06_adam.ipynb)

# %% [markdown] generate="questions 7"
# ## 8.7  Optimizers in PyTorch
#
# Which call is it, and was the comparison fair? [Notebook 7](07_optimizers_in_pytorch.ipynb)

# %% [markdown] generate="guide"
# ## 8.8  Study guide: from the lecture notes to a section to a question
#
# The topics of the notes in their order, where the notebooks treat them, and which questions above ask about them.

# %% [markdown] generate="corrected"
# ## 8.9  What the notebooks correct in the lecture notes
#
# If you study from the notes, write these into the margin. The lines are quoted from their sections: *above* and *below* mean there.

# %% [markdown]
# ## What to remember
#
# - On paper: write the formula first, then put the numbers in. Check one easy case, such as the first step.
# - True or false: look for the word that makes a sentence wrong (*only*, *always*, *enough*, *average*).
# - Code: play computer, one line at a time, and write down the value of every variable.
# - Matching: begin with what you are sure of. Each name has one letter.

# %% tags=["demo"]
scoreboard("08")

# %% [markdown]
# Questions still open? The study guide tells which section to read again.
#
# **Back to:** [0 Start here](00_start_here.ipynb)
