"""Rubric of 07_optimizers_in_pytorch."""

import torch
from torch.optim import SGD, Adam, RMSprop

from lecture_utils.checks.observers import OptimizerByName, Values
from lecture_utils.instructor.authoring.cases import numbers
from lecture_utils.instructor.authoring.exercise import exercise
from lecture_utils.instructor.authoring.sealed import Part, SealedList

NOTEBOOK = "07_optimizers_in_pytorch"


# --- 7.1 make_optimizer ------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, observer=OptimizerByName(), rtol=1e-8)
def make_optimizer(name, params):
    if name == "sgd":
        return SGD(params, lr=0.01)  # plain SGD
    if name == "momentum":
        return SGD(params, lr=0.01, momentum=0.9)  # momentum
    if name == "nesterov":
        return SGD(params, lr=0.01, momentum=0.9, nesterov=True)  # Nesterov
    if name == "rmsprop":
        return RMSprop(params, lr=0.001, alpha=0.9)  # RMSProp
    return Adam(params, lr=0.0001, betas=(0.9, 0.999))  # Adam


# Each setting is a result of its own: what is wrong in several of them is told one by one, so no combinations here.
PLAIN = "SGD(params, lr=0.01)"
MOMENTUM = "SGD(params, lr=0.01, momentum=0.9)"
NESTEROV = "SGD(params, lr=0.01, momentum=0.9, nesterov=True)"
RMSPROP = "RMSprop(params, lr=0.001, alpha=0.9)"
ADAM = "Adam(params, lr=0.0001, betas=(0.9, 0.999))"

RATE = "the rate of {} is PyTorch's default, or that of another method. Each has its own: look at the column η again."
CONVERTED = (
    "the rate of {} left out, or converted as if the table's were that of another form. The lecture's η can be handed "
    "over as it is."
)
DAMPED = (
    "momentum with a dampening. That weakens each new gradient; the lecture's velocity takes it at full weight, and the "
    "friction 1 − α is already in the momentum."
)
FRICTION = "1 − α handed over as `momentum`. PyTorch's argument is the share of the old velocity that is kept."

for slip, before, after, credit, message in [
    ("sgd_rate", PLAIN, "SGD(params)", 0.7, RATE.format("plain SGD")),
    ("momentum_for_sgd", PLAIN, "SGD(params, lr=0.01, momentum=0.9)", 0.7,
     "plain SGD with a velocity. Its row in the table has no α."),
    ("no_momentum", MOMENTUM, "SGD(params, lr=0.01)", 0.7, "momentum without its α: this is plain SGD."),
    ("momentum_is_friction", MOMENTUM, "SGD(params, lr=0.01, momentum=0.1)", 0.5, FRICTION),
    ("look_ahead_everywhere", MOMENTUM, "SGD(params, lr=0.01, momentum=0.9, nesterov=True)", 0.7,
     "the look-ahead for ordinary momentum, too. Only one of the two has it."),
    ("dampening_alpha", MOMENTUM, "SGD(params, lr=0.01, momentum=0.9, dampening=0.9)", 0.5, DAMPED),
    ("dampening_one_minus_alpha", MOMENTUM, "SGD(params, lr=0.01, momentum=0.9, dampening=0.1)", 0.5, DAMPED),
    ("dampening_eta", MOMENTUM, "SGD(params, lr=0.01, momentum=0.9, dampening=0.01)", 0.5, DAMPED),
    ("dampening_one_minus_eta", MOMENTUM, "SGD(params, lr=0.01, momentum=0.9, dampening=0.99)", 0.5, DAMPED),
    ("momentums_rate_alone_shrunk", MOMENTUM, "SGD(params, lr=0.001, momentum=0.9)", 0.5, CONVERTED.format("momentum")),
    ("momentums_rate_alone_grown", MOMENTUM, "SGD(params, lr=0.1, momentum=0.9)", 0.5, CONVERTED.format("momentum")),
    ("no_look_ahead", NESTEROV, "SGD(params, lr=0.01, momentum=0.9)", 0.7,
     "Nesterov without the look-ahead: that is ordinary momentum. One more argument switches it on."),
    ("no_velocity_no_look_ahead", NESTEROV, "SGD(params, lr=0.01)", 0.5,
     "Nesterov as plain SGD. Which argument makes a velocity, and which one looks ahead?"),
    ("true_is_dampening", NESTEROV, "SGD(params, 0.01, 0.9, True)", 0.7,
     "Nesterov without the look-ahead, and no new gradient gets into its velocity. Which argument comes fourth in SGD? "
     "Hand it over by its name."),
    ("nesterov_is_friction", NESTEROV, "SGD(params, lr=0.01, momentum=0.1, nesterov=True)", 0.5, FRICTION),
    ("momentums_rate_nesterovs_shrunk", NESTEROV, "SGD(params, lr=0.001, momentum=0.9, nesterov=True)", 0.5,
     CONVERTED.format("Nesterov")),
    ("momentums_rate_nesterovs_grown", NESTEROV, "SGD(params, lr=0.1, momentum=0.9, nesterov=True)", 0.5,
     CONVERTED.format("Nesterov")),
    ("nadam", NESTEROV, "torch.optim.NAdam(params, lr=0.01)", 0.5,
     "NAdam for Nesterov: that is Adam with a look-ahead. The lecture's Nesterov is momentum with one."),
    ("beta_as_momentum", RMSPROP, "RMSprop(params, lr=0.001, momentum=0.9)", 0.5,
     "RMSProp's β handed over as `momentum`. In torch.optim.RMSprop `momentum` is a velocity on top, the lecture's α; the "
     "memory of the mean square has another name there."),
    ("alpha_and_momentum", RMSPROP, "RMSprop(params, lr=0.001, alpha=0.9, momentum=0.9)", 0.5,
     "RMSProp with a velocity on top. The lecture's RMSProp has only one memory, that of the mean square."),
    ("rmsprop_memory", RMSPROP, "RMSprop(params, lr=0.001)", 0.7,
     "the memory of RMSProp is PyTorch's default. A default is somebody else's setting: compare each number of the table "
     "with the signature."),
    ("one_minus_beta", RMSPROP, "RMSprop(params, lr=0.001, alpha=0.1)", 0.5,
     "the memory of RMSProp is 1 − β. PyTorch's argument is the share of the old mean square that is kept."),
    ("adams_beta", RMSPROP, "RMSprop(params, lr=0.001, alpha=0.999)", 0.7,
     "RMSProp with Adam's β₂. The table asks for another memory here."),
    ("rmsprop_rate", "0.001", "0.01", 0.7, RATE.format("RMSProp")),
    ("adams_rate_for_rmsprop", "0.001", "0.0001", 0.7, RATE.format("RMSProp")),
    ("rmsprop_defaults", RMSPROP, "RMSprop(params)", 0.5,
     "both the rate and the memory of RMSProp are PyTorch's defaults. Compare the table with the signature."),
    ("centered", RMSPROP, "RMSprop(params, lr=0.001, alpha=0.9, centered=True)", 0.7,
     "RMSProp that subtracts the mean: it divides by a standard deviation. The lecture's divides by the root of the mean "
     "square."),
    ("adagrad", RMSPROP, "torch.optim.Adagrad(params, lr=0.001)", 0.5,
     "AdaGrad for RMSProp: it never forgets a squared gradient, so its steps only shrink."),
    ("adam_rate", "0.0001", "0.001", 0.7, RATE.format("Adam")),
    ("sgds_rate_for_adam", "0.0001", "0.01", 0.7, RATE.format("Adam")),
    ("betas_swapped", "(0.9, 0.999)", "(0.999, 0.9)", 0.5,
     "Adam's two β's are exchanged. The first belongs to m and is the shorter memory."),
    ("betas_equal", "(0.9, 0.999)", "(0.9, 0.9)", 0.5,
     "the same memory for both of Adam's averages. That of the squares is much longer."),
    ("rmsprop_beta", "(0.9, 0.999)", "(0.9, 0.99)", 0.7,
     "Adam's second memory is PyTorch's default for RMSProp. The table asks for another one."),
    ("adamw", ADAM, "torch.optim.AdamW(params, lr=0.0001)", 0.7,
     "AdamW. It shrinks the weights unless you tell it not to, so two things differ from Adam."),
    ("amsgrad", ADAM, "Adam(params, lr=0.0001, amsgrad=True)", 0.7, "AMSGrad, a variant of Adam."),
]:  # fmt: skip
    make_optimizer.slip(slip, before, after, message, credit=credit)

for name in ("sgd", "momentum", "nesterov", "rmsprop"):
    message = f"the name “{name}” ends up with Adam. Does every name have its own case, spelled as in the table?"
    make_optimizer.slip(f"no_case_for_{name}", f'"{name}"', '"another"', message, credit=0.5)

DEFAULTS = {
    MOMENTUM: "SGD(params, momentum=0.9)",
    NESTEROV: "SGD(params, momentum=0.9, nesterov=True)",
    RMSPROP: "RMSprop(params, alpha=0.9)",
    ADAM: "Adam(params)",
}
message = "all rates are PyTorch's defaults. The table gives one for each method."
make_optimizer.slip("all_rates", PLAIN, "SGD(params)", message, credit=0.3, also=DEFAULTS)


@make_optimizer.mistake(credit=0.3)
def copies(name, params):
    """the parameters do not move: the optimizer was given copies of them."""
    return make_optimizer(name, [torch.nn.Parameter(p.detach().clone()) for p in params])


@make_optimizer.mistake(credit=0.3)
def first_parameter(name, params):
    """only the first parameter moves. Hand over all of them."""
    return make_optimizer(name, params[:1])


@make_optimizer.mistake(credit=0.3)
def last_branch_wins(name, params):
    """Adam for every name but one. An `else` belongs to the last `if` alone, so it takes over what the earlier ones had
    chosen."""
    return make_optimizer("rmsprop" if name == "rmsprop" else "adam", params)


for name in ("adam", "sgd"):
    make_optimizer.mistake(
        lambda _, params, name=name: make_optimizer(name, params),
        name=f"always_{name}",
        message="the same optimizer for every name.",
    )

make_optimizer.equivalent("`betas` is not given in the line that makes Adam.", "PyTorch's defaults are the table's")


@make_optimizer.cases
def _(random):
    rates = {"sgd": 0.01, "momentum": 0.01, "nesterov": 0.01, "rmsprop": 0.001, "adam": 0.0001}
    return [
        {
            "name": name,
            # From zero, so that what a message shows is how far the optimizer has moved; the others feel a decay, too.
            "groups": [{"arguments": {}, "start": [[0.0, 0.0, 0.0], numbers(random, (2,), 1.0, 3.0)]}],
            "arguments": {},
            # The last are zero: the mean square shrinks then, and AMSGrad's does not.
            "grads": [[numbers(random, (3,)), numbers(random, (2,))] for _ in range(5)] + 3 * [[[0.0] * 3, [0.0] * 2]],
            "restart": None,
            "lr_times": {"3": round(1 / rate)},  # steps of 0.0001 hide what is wrong with the averages
            "text": f"name = {name!r}, two parameters, one of them zeros; eight given gradients, and from the fourth on "
            f"the rate is {round(1 / rate)} times what you set",
        }
        for name, rate in rates.items()
    ]


# --- 7.2 to_torch_lr ---------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2)
def to_torch_lr(lr, alpha, form):
    if form == "ema":
        return lr * (1 - alpha)  # the rate for the average
    return lr  # the rate for the lecture's form


BRANCH = 'if form == "ema":\n    return lr * (1 - alpha)'
for slip, before, after, credit, message in [
    ("inverse", "lr * (1 - alpha)", "lr / (1 - alpha)", 0.5,
     "the factor of the average is upside down. An average takes shorter steps than a sum at the same η, so PyTorch's sum "
     "must be slowed down to keep pace."),
    ("swapped", '"ema"', '"lecture"', 0.3,
     "the two forms are exchanged. Which of them weights the new gradient with 1?"),
    ("both_shrunk", BRANCH, "return lr * (1 - alpha)", 0.5,
     "the rate is changed for both forms. Write down the first step of the lecture's form and of PyTorch's: at a constant "
     "rate it does not matter whether η stands inside or outside."),
    ("nothing_changes", BRANCH, "", 0.5,
     "the rate as it came for both forms. One of them weights the new gradient with 1 − α, and PyTorch does not."),
    ("both_effective", BRANCH, "return lr / (1 - alpha)", 0.0,
     "the effective rate η/(1 − α) for both forms. That is how fast momentum moves in the end, not what PyTorch wants to "
     "be told."),
    ("lecture_effective", BRANCH, 'if form == "lecture":\n    return lr / (1 - alpha)', 0.0,
     "the effective rate η/(1 − α) for the lecture's form. PyTorch's momentum has the same effective rate already."),
    ("one_each_way", "return lr", "return lr / (1 - alpha)", 0.5,
     "one form made slower, the other faster. For one of them nothing has to change."),
    ("alpha_for_rest", "1 - alpha", "alpha", 0.5,
     "the factor α. What the average gives the new gradient is the rest, 1 − α."),
    ("lecture_alpha", "return lr", "return lr * alpha", 0.5,
     "a factor α for the lecture's form. α multiplies the old velocity in both, not the rate."),
    ("plus", "1 - alpha", "1 + alpha", 0.3,
     "the factor 1 + α, which belongs to the limit of stability. Here the two weights of an average matter."),
    ("squared", "1 - alpha", "(1 - alpha) ** 2", 0.3,
     "1 − α is applied twice. The average has it once, on the new gradient."),
]:  # fmt: skip
    to_torch_lr.slip(slip, before, after, message, credit=credit)

ALONE = "a factor without the rate. What is asked for is a learning rate, in terms of the one that comes in."
to_torch_lr.slip("factor_alone_for_ema", "lr * (1 - alpha)", "1 - alpha", ALONE, credit=0.5)
to_torch_lr.slip("factor_alone", "return lr", "return 1.0", ALONE, credit=0.3, also={"lr * (1 - alpha)": "1 - alpha"})


@to_torch_lr.cases
def _(random):
    cases = []
    # Ranges in which η is neither α nor 1 − α, and neither of them a usual number.
    for rates, alphas in (((0.02, 0.09), (0.62, 0.86)), ((0.2, 0.45), (0.91, 0.98)), ((0.02, 0.09), (0.23, 0.43))):
        lr, alpha = round(random.uniform(*rates), 3), round(random.uniform(*alphas), 2)
        calls = {f"form {form!r}": {"lr": lr, "alpha": alpha, "form": form} for form in ("lecture", "ema")}
        cases.append({"calls": calls, "text": f"lr={lr}, alpha={alpha}, both forms"})
    return cases


# --- 7.3 best_learning_rate --------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, observer=Values(none=True))
def best_learning_rate(lrs, losses):
    mean = losses.mean(dim=1)
    mean[~torch.isfinite(mean)] = torch.inf  # the means of failed rates
    best = mean.argmin()
    if best == 0:
        return None
    if best == len(lrs) - 1:
        return None
    return lrs[best].item()


MEAN = "losses.mean(dim=1)"
FAILED = "mean[~torch.isfinite(mean)] = torch.inf"
SEARCH = "best = mean.argmin()"
LOWER = "if best == 0:\n    return None"
UPPER = "if best == len(lrs) - 1:\n    return None"
EDGES = f"{LOWER}\n{UPPER}"
NOTHING_LEFT = "if not torch.isfinite(mean).any():\n    return None"  # None where all failed, for that alone
KEPT = "kept = torch.isfinite(mean).nonzero().flatten()\nlrs = lrs[kept]\nmean = mean[kept]"
EXCLUDED = "A rate at which one run in four diverges is not a good rate: the whole rate is out."

for slip, before, after, credit, message in [
    ("nan_wins", FAILED, "", 0.5,
     "a failed rate wins: argmin in PyTorch takes nan for the smallest number, and so it would take a 0 in its place. Make "
     "failed rates infinitely bad first."),
    ("failed_as_zero", "torch.inf", "0.0", 0.5,
     "a failed rate gets a mean that is better than all others. Which number loses against every other one?"),
    ("nan_as_zero", MEAN, "losses.nan_to_num().mean(dim=1)", 0.5,
     "a failed run counts as a loss of 0, the best there is. That is what nan_to_num() does unless it is told more."),
    ("stuck_at_nan", f"{FAILED}\n{SEARCH}",
     "best = 0\nfor k in range(len(mean)):\n    if mean[k] < mean[best]:\n        best = k", 0.7,
     "the search does not get away from a failed rate at the start of the grid. Comparisons with nan are never true: make "
     "failed rates infinitely bad first."),
    ("afraid_of_failures", FAILED, "if not torch.isfinite(losses).all():\n    return None", 0.5,
     "None as soon as one run has failed anywhere. Only the failed rates are out; among the others there may be a best."),
    ("skips_failed_runs", MEAN, "torch.where(losses.isfinite(), losses, torch.nan).nanmean(dim=1)", 0.5,
     f"failed runs are left out of the mean. {EXCLUDED}"),
    ("skips_nan_only", MEAN, "losses.nanmean(dim=1)", 0.5, f"runs with nan are left out of the mean. {EXCLUDED}"),
    ("over_rates", MEAN, "losses.mean(dim=0)", 0.0,
     "the mean is taken over the rates, so that the seeds are compared. A row is a rate: average along the row."),
    ("median", MEAN, "losses.median(dim=1).values", 0.7,
     "the median over the seeds. It does not see that one seed in four fails; the mean does."),
    ("worst_seed", MEAN, "losses.max(dim=1).values", 0.5,
     "the worst seed of each rate decides. That is a cautious rule, but not the mean that is asked for."),
    ("first_seed", MEAN, "losses[:, 0].clone()", 0.3, "only the first seed is looked at."),
    ("only_the_upper_end", LOWER, "", 0.7, "only the largest rate counts as an edge. The grid has two ends."),
    ("only_the_upper_end_or_nothing_left", LOWER, NOTHING_LEFT, 0.7,
     "only the largest rate counts as an edge. The grid has two ends."),
    ("only_the_lower_end", UPPER, "", 0.7, "only the smallest rate counts as an edge. The grid has two ends."),
    ("best_inside", "mean.argmin()", "mean[1:-1].argmin() + 1", 0.5,
     "the ends of the grid are not looked at, so an answer comes even when the true best is outside."),
    ("zero_at_the_edge", EDGES, "if best == 0 or best == len(lrs) - 1:\n    return 0.0", 0.7,
     "0 or False where the best lies at the edge. Both are numbers, and somebody will train with them: None says that "
     "there is no answer."),
    ("rate_at_the_edge_as_nan", EDGES, "if best == 0 or best == len(lrs) - 1:\n    return torch.nan", 0.7,
     "nan where the best lies at the edge. Say it with None, which nobody can calculate on with by accident."),
    ("index", "lrs[best].item()", "best.item()", 0.7, "the position in the grid, not the rate that stands there."),
    ("loss", "lrs[best].item()", "mean[best].item()", 0.5, "the loss at the best rate, not the rate itself."),
]:  # fmt: skip
    best_learning_rate.slip(slip, before, after, message, credit=credit)

# What several ways lead to, and the same is to be told.
for message, credit, ways in [
    ("the best single run. One lucky seed says little: compare the mean over the seeds of each rate.", 0.5, {
        "min_over_seeds": (MEAN, "losses.min(dim=1).values"),
        "min_over_seeds_without_nan": (MEAN, "losses.nan_to_num(nan=torch.inf).min(dim=1).values"),
    }),
    ("a best rate at one end of the grid is accepted. Beyond that end there may be a better one: the only honest answer "
     "there is to look further, so None.", 0.5, {
        "edge_accepted": (EDGES, ""),
        "edge_accepted_unless_nothing_left": (EDGES, NOTHING_LEFT),
    }),
    ("the failed rates are taken out before the edge is looked for. A rate that diverges is a neighbour: it shows that the "
     "grid went far enough on that side.", 0.7, {
        "edge_of_the_rest": (FAILED, KEPT),
        "edge_of_the_rest_with_care": (FAILED, f"{NOTHING_LEFT}\n{KEPT}"),
    }),
    ("the position is counted among the rates that did not fail, but looked up among all of them.", 0.5, {
        "shifted": (FAILED, "mean = mean[torch.isfinite(mean)]"),
        "shifted_with_care": (FAILED, f"{NOTHING_LEFT}\nmean = mean[torch.isfinite(mean)]"),
    }),
]:  # fmt: skip
    for slip, (before, after) in ways.items():
        best_learning_rate.slip(slip, before, after, message, credit=credit)

# After the others, which say more where two of them explain an answer.
message = "the rate with the smallest mean, and no more. What does argmin do with nan? And what if it lies at one end of the grid?"
best_learning_rate.slip("plain_argmin", f"{FAILED}\n{SEARCH}\n{EDGES}", SEARCH, message, credit=0.25)
best_learning_rate.mistake(
    lambda lrs, losses: None, name="always_none", message="None whatever the losses are. Which line hands back a rate?"
)

best_learning_rate.equivalent("`losses` stands in place of `lrs` in the condition.", "there is a row for each rate")
best_learning_rate.equivalent(
    "`sum` stands where another function belongs in the line that makes `mean`.",
    "a sum over the seeds is smallest where their mean is",
)


def near(random, *levels):
    """A row of the table: losses near these levels; "nan" and "inf" stay."""
    return [v if isinstance(v, str) else round(v + random.uniform(-0.01, 0.01), 3) for v in levels]


def shuffled(random, rows):
    return random.sample(rows, len(rows))


def table(random, rows, what):
    first = round(random.uniform(0.011, 0.05), 3)
    lrs = [round(first * 2**k, 3) for k in range(len(rows))]
    losses = [near(random, *row) for row in rows]
    return {"args": {"lrs": lrs, "losses": losses}, "text": f"{len(rows)} rates, {len(rows[0])} seeds; {what}"}


def inside(random):
    """All runs are finite. The best mean, and what is best by each other rule, in any order between two bad ends."""
    few = random.choice((3, 4))
    bad = [[random.uniform(0.55, 0.75)] * (few + 1) for _ in range(random.choice((2, 3, 4)))]
    lucky = [0.95] * few
    lucky.insert(random.randint(1, few), 0.08)  # the best single run
    rows = [
        shuffled(random, [0.36] + [0.22] * few),  # the best mean
        [0.31] * (few + 1),  # the best worst run
        shuffled(random, [0.92] + [0.17] * few),  # the best median
        [0.13] + [0.7] * few,  # the best first run
        lucky,
        [0.85] * (few + 1),  # the worst mean
        *bad[2:],
    ]
    return table(random, [bad[0], *shuffled(random, rows), bad[1]], "all runs finite")


def failures(random, first, behind):
    """Some runs failed, ``first`` is how the first of them did. ``behind`` the best rate there are others, or failures alone."""
    few = random.choice((3, 4))
    bad = [[random.uniform(0.55, 0.75)] * (few + 1) for _ in range(random.choice((2, 3)))]
    between = [
        *bad[1:],
        shuffled(random, ["nan"] + [0.2] * few),  # the best if nan is left out
        shuffled(random, ["nan"] * few + [0.4]),  # the best if nan counts as 0
    ]
    last = [
        *([v] * (few + 1) for v in behind),
        shuffled(random, ["inf"] + [0.06] * few),  # the best if inf is left out, too
        shuffled(random, ["nan", "inf"] + [0.09] * (few - 1)),
    ]
    best = [0.26] * (few + 1)
    failed_first = [first] + [0.8] * few  # the best to an argmin that meets nan, or a 0 in its place
    rows = [bad[0], failed_first, *shuffled(random, between), best, *shuffled(random, last)]
    return table(random, rows, "some runs ended with nan or inf")


def at_the_start(random):
    """The smallest rate failed, the next one is the best: it is not at an end of the grid."""
    others = [[0.5] * 3, [0.9] * 3, shuffled(random, ["inf", 0.7, "nan"]), shuffled(random, ["inf", 0.1, 0.12])]
    others = shuffled(random, others[: random.choice((3, 4))])
    rows = [["nan", 0.55, 0.6], [0.31] * 3, *others, [0.7] * 3]
    return table(random, rows, "some runs ended with nan or inf, one at the smallest rate")


def ends(random):
    """The best lies at the lower end; at the upper one. The first seed is the worst."""
    for turn in (1, -1):
        levels = [0.15 + 0.1 * k for k in range(random.choice((5, 6, 7)))]
        yield table(random, [[v + 0.05, v, v] for v in levels][::turn], "all runs finite")


@best_learning_rate.cases
def _(random):
    nothing_left = [shuffled(random, ["nan", random.choice(("inf", 0.3))]) for _ in range(random.choice((4, 5, 6)))]
    return [
        inside(random),
        inside(random),
        *ends(random),
        failures(random, "nan", behind=()),
        failures(random, "inf", behind=(0.45,)),
        at_the_start(random),
        table(random, nothing_left, "at every rate a run ended with nan or inf"),
    ]


# --- 7.4 evidence_board: one word for each experiment, in an order of the student's own -----------------------------------

# What the rule of section 7.6 says of what that section prints; tests/test_references.py applies it again. B is mixed with any
# seeds, C's best rate of momentum lies at the end of its grid, and the others came out alike with four sets of ten seeds.
_EXPERIMENTS = {
    "A": ("softmax regression", "linear and convex; models of this kind are from the 1950s", "against"),
    "B": ("one hidden layer", "trained by backpropagation, with momentum, since 1986", "silent"),
    "C": ("convolution", "LeNet 1989, AlexNet 2012, trained with SGD and momentum", "silent"),
    "D": ("attention", "the transformer, 2017, trained with Adam", "supports"),
    "E": ("heavy-tailed classes, a linear model", "a model like that of A", "against"),
    "F": ("classes of one size, the same linear model", "a model like that of A", "supports"),
}


def _rows(order):
    rows = [f"{k}. **{name}** {_EXPERIMENTS[name][0]}: {_EXPERIMENTS[name][1]}" for k, name in enumerate(order, 1)]
    return "Judge the experiments in this order:\n\n" + "\n".join(rows)


evidence_board = SealedList(
    "evidence_board",
    "7.6",
    [{"order": order} for order in "FBDACE CEAFBD EDFBAC BFCEDA DAECFB ADBCFE FEDCBA ABCDEF".split()],
    text=_rows,
    parts=lambda order: [Part(f"row {k}", _EXPERIMENTS[name][2]) for k, name in enumerate(order, 1)],
    words=("supports", "against", "silent"),
    advice="Go through all rows again with the three questions of hint 1. Does the result count: nine of ten seeds, and a tried "
    "rate on both sides of each best one? If it does: is it what the conjecture predicts for something of this age?",
    afterwards="The rule looks only at seeds, grids and dates. Doubts about an experiment belong in the paragraph.",
).exercise(NOTEBOOK, points=3)
