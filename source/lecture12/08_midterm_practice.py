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
# The midterm is open-note, in class, without electronics. Here are questions of its five kinds on every section of the seven notebooks, and a guide to what to read again.
#
# **120 minutes · 89 points.** Do them in two sittings of about an hour, 8.1 to 8.3 and 8.4 to 8.7, and leave out what is marked *Deeper* at first. Afterwards you can
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
# Take a sheet of paper and your notes, as in the midterm. At the midterm's pace a question takes one to two minutes, a derivation three.
#
# The midterm asks about the lecture and its notes. Readings are not examined. Questions marked *Deeper* go beyond what everybody has to know: half an hour more, if you like.

# %% [markdown]
# Run a cell to see its question. Answer it on paper first, then write your answer in place of `None` and run the cell again: it says whether the answer is right, and why, or why not. Try again as often as you like; the best try counts on the scoreboard.
#
# An answer is a letter in quotes, `True` or `False`, a number (three digits are enough), a list of numbers, or for matching a letter for each name. Derivations are functions, with a check below: any formula that gives the right numbers is right.

# %% [markdown]
# Numbers and the order of the options are your own: they are drawn from your id. Write it here and run this cell, then those below. Share the notebook with friends: they get the same questions with other numbers.

# %%
student = "your id"

# %% [markdown]
# In a *graded* version of this notebook you are only told that your answer was recorded. Then your id must be the one under which you hand in.

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
# ## 8.9  The notes against the notebooks
#
# If you study from the lecture notes, write these into the margin. *Corrected*: the notes are wrong. *Sharpened*: they are right, and this is more precise. *Caveat*: it holds only sometimes. Each line is quoted from its section: *above* and *below* mean there.

# %% [markdown] generate="grading" jp-MarkdownHeadingCollapsed=true
# ## 8.10  For grading
#
# There is nothing to do here: these cells look up the answers that you wrote above.

# %% [markdown]
# ## What to remember
#
# - On paper: write the formula first, then put the numbers in. Check one easy case, such as the first step.
# - True or false: look for the word that makes a sentence wrong (*only*, *always*, *enough*, *average*).
# - Code: play computer, one line at a time, and write down the value of every variable.
# - Matching: begin with what you are sure of. Each name has one letter.
# - Figures: read the axes first. A slope tells the speed; a flat end is a noise floor, or a run that has stalled.

# %% tags=["demo"]
scoreboard("08")

# %% [markdown]
# Questions still open? The study guide tells which section to read again.
#
# **Back to:** [0 Start here](00_start_here.ipynb)
