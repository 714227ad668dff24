"""Rubric of 03_schedulers."""

import itertools  # noqa: F401 (used by an edit)
import math

import torch

from lecture_utils.checks.observers import LambdaRates, OptimizerRates, Resume, Values
from lecture_utils.instructor.authoring.exercise import exercise
from lecture_utils.instructor.authoring.sealed import Part, SealedList

NOTEBOOK = "03_schedulers"


# --- 3.1 adjust_learning_rate ------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2, observer=OptimizerRates())
def adjust_learning_rate(optimizer, epoch, lr0, k):
    for group in optimizer.param_groups:
        group["lr"] = lr0 * math.exp(-k * epoch)  # the rate


for name, groups in {"first": "[:1]", "last": "[-1:]"}.items():
    adjust_learning_rate.slip(
        f"{name}_group_only",
        "optimizer.param_groups",
        f"optimizer.param_groups{groups}",
        f"only the {name} parameter group gets the new rate. An optimizer may have several.",
        credit=0.5,
    )
adjust_learning_rate.slip(
    "attribute",
    'group["lr"] = lr0 * math.exp(-k * epoch)',
    "optimizer.lr = lr0 * math.exp(-k * epoch)",
    "no parameter group has changed. The optimizer reads its rates from optimizer.param_groups at every step; another "
    "attribute (`optimizer.lr`), or a local variable, is nothing to it.",
)
adjust_learning_rate.slip(
    "first_rates",
    "lr0",
    'group.setdefault("initial_lr", group["lr"])',
    "each group fades from the rate that it had at first. The formula starts from lr0, in every group.",
    credit=0.5,
)
for name, before, after in [
    ("compounding", "lr0 * math.exp(-k * epoch)", 'group["lr"] * math.exp(-k)'),
    ("compounding_power", "lr0", 'group["lr"]'),
]:
    adjust_learning_rate.slip(
        name,
        before,
        after,
        "the rate is taken from the group and made smaller at every call. The formula starts from lr0: then a call may "
        "be repeated, and a run may be resumed at any epoch.",
        credit=0.3,
    )
adjust_learning_rate.slip(
    "epoch_plus_1", "epoch", "(epoch + 1)", "the rate of the next epoch. In epoch 0 the rate is lr0.", credit=0.5
)


@adjust_learning_rate.cases
def _(random):
    cases = []
    for epochs in ([0, 1, 2, 5, 3], [4, 0, 10]):
        lr0, k = round(random.uniform(0.66, 0.88), 2), round(random.uniform(0.36, 0.48), 2)
        lrs = [round(random.uniform(0.25, 0.33), 2), round(random.uniform(1.2, 1.8), 1)]
        text = f"two parameter groups with the rates {lrs} before, lr0={lr0}, k={k}, called for the epochs {epochs}"
        cases.append({"lrs": lrs, "epochs": epochs, "args": {"lr0": lr0, "k": k}, "text": text})
    return cases


# --- 3.2 exponential_lambda --------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2, observer=LambdaRates())
def exponential_lambda(k):
    return lambda epoch: math.exp(-k * epoch)  # the factor


for rate in (0.1, 0.3, 0.01, 0.001):  # those of the notebook and of habit
    exponential_lambda.slip(
        "absolute_rate" if rate == 0.1 else f"absolute_rate_{rate}",
        "math.exp(-k * epoch)",
        f"{rate} * math.exp(-k * epoch)",
        "a learning rate of its own is in it. LambdaLR multiplies what you return by the optimizer's rate, so this one "
        "would count twice.",
        credit=0.3,
    )
exponential_lambda.slip(
    "shared_variable",
    "return lambda epoch: math.exp(-k * epoch)",
    "global shared\nshared = k\nreturn lambda epoch: math.exp(-shared * epoch)",
    "k is read when the schedule runs, from a variable that has changed by then: a second schedule spoils the first. Use "
    "the k that this call was given.",
    credit=0.5,
)
exponential_lambda.slip(
    "compounding",
    "-k * epoch",
    "-k",
    "a factor from one epoch to the next. LambdaLR multiplies the first rate by what you return, so it must hold the whole "
    "decay up to this epoch.",
    credit=0.3,
)
exponential_lambda.slip(
    "counts_itself",
    "return lambda epoch: math.exp(-k * epoch)",
    "calls = itertools.count()\nreturn lambda epoch: math.exp(-k * next(calls))",
    "the function counts its own calls. It is told the epoch; with a counter it goes wrong when a run is resumed, or when "
    "somebody plots it first.",
    credit=0.3,
)
exponential_lambda.slip(
    "epoch_plus_1", "epoch", "(epoch + 1)", "the factor of the next epoch. In epoch 0 the factor is 1.", credit=0.5
)
exponential_lambda.slip(
    "no_function",
    "lambda epoch: math.exp(-k * epoch)",
    "math.exp(-k)",
    "the factor itself is returned. Return a function that LambdaLR can call in every epoch.",
)


@exponential_lambda.cases
def _(random):
    cases = []
    for epochs in ([0, 1, 2, 10], [5, 0, 1]):
        lr, k = round(random.uniform(0.66, 0.88), 2), round(random.uniform(0.36, 0.48), 2)
        other = round(k + random.uniform(0.2, 0.3), 2)
        text = f"k={k}, a LambdaLR on an optimizer with lr={lr}"
        cases.append({"lr": lr, "args": {"k": k}, "other": {"k": other}, "epochs": epochs, "text": text})
    return cases


for name, before, after, message in [
    ("growing", "-k", "k", "it grows from epoch to epoch: look at the sign."),
    (
        "hyperbolic",
        "math.exp(-k * epoch)",
        "1 / (1 + k * epoch)",
        "1/(1 + kt). The schedule asked for is the exponential one.",
    ),
    ("power_of_k", "math.exp(-k * epoch)", "k**epoch", "k to the power of the epoch. The base is e."),
]:
    adjust_learning_rate.slip(name, before, after, message)
    exponential_lambda.slip(name, before, after, message)


# --- 3.3 warmup_cosine -------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, observer=Values(demands="float"), rtol=1e-4)  # a cosine in single precision passes
def warmup_cosine(step, warmup_steps, total_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps  # the warm-up
    progress = min(1, (step - warmup_steps) / (total_steps - warmup_steps))
    return (1 + math.cos(math.pi * progress)) / 2  # the cosine


PROGRESS = "(step - warmup_steps) / (total_steps - warmup_steps)"
COSINE = "(1 + math.cos(math.pi * progress)) / 2"
for message, *slips in [
    (
        "the warm-up starts at 0, so the very first step does nothing. Count the steps from 1 there.",
        ("starts_at_zero", "step + 1", "step", 0.5),
    ),
    (
        "the warm-up is spread over the whole run, so that it ends far below 1. It takes warmup_steps steps.",
        ("warmup_over_total", "(step + 1) / warmup_steps", "(step + 1) / total_steps", 0.3),
        ("step_over_total", "(step + 1) / warmup_steps", "step / total_steps", 0.3),
    ),
    (
        "the warm-up ends just below 1. Its last step, the one with the number warmup_steps − 1, has the full rate.",
        ("warmup_plus_1", "(step + 1) / warmup_steps", "(step + 1) / (warmup_steps + 1)", 0.5),
    ),
    (
        "a factor above 1 at the junction, or a division by zero where there is no warm-up: the step with the number "
        "warmup_steps belongs to the cosine.",
        ("jump", "step < warmup_steps", "warmup_steps and step <= warmup_steps", 0.5),
        ("jump_and_crash", "step < warmup_steps", "step <= warmup_steps", 0.5),
    ),
    (
        "a division by warmup_steps before it is asked whether there is a warm-up: warmup_steps may be 0.",
        ("divides_first", "step < warmup_steps", "(step + 1) / warmup_steps <= 1", 0.7),
    ),
    (
        "a division of whole numbers, //, which gives 0 until the warm-up is over.",
        ("whole_numbers", "(step + 1) / warmup_steps", "(step + 1) // warmup_steps", 0.3),
    ),
    (
        "a division of whole numbers, //, in the progress: it stays at 0 until the last step, and the factor at 1.",
        ("whole_progress", PROGRESS, PROGRESS.replace("/", "//"), 0.3),
    ),
    (
        "the progress lacks its brackets: a division comes before a difference.",
        ("no_brackets_in_progress", PROGRESS, "step - warmup_steps / total_steps - warmup_steps", 0.5),
    ),
    ("an angle in degrees. `math.cos` wants radians: half a period is π.", ("degrees", "math.pi", "180", 0.3)),
    (
        "the cosine counts from the start of the run, so it has fallen already when the warm-up ends. It begins where the "
        "warm-up ends.",
        ("cosine_over_total", PROGRESS, "step / total_steps", 0.5),
    ),
    (
        "the cosine does not reach 0 at total_steps: it has total_steps − warmup_steps steps, not total_steps.",
        ("never_at_zero", "total_steps - warmup_steps", "total_steps", 0.5),
    ),
    (
        "0 comes one step early: it belongs to the step with the number total_steps.",
        ("zero_too_early", "total_steps - warmup_steps", "total_steps - warmup_steps - 1", 0.5),
    ),
    (
        "after total_steps the cosine goes up again. Keep it at 0 from there on.",
        ("rises_again", f"min(1, {PROGRESS})", PROGRESS, 0.5),
    ),
    (
        "a quarter of a cosine: it starts flat and ends steep. Half a period is flat at both ends.",
        ("quarter", COSINE, "math.cos(math.pi / 2 * progress)", 0.3),
    ),
    ("a whole period: the factor ends at 1 again.", ("whole_period", "math.pi", "(2 * math.pi)", 0.3)),
    ("the cosine ends near 0.77. Half a period is π.", ("no_pi", "math.pi * progress", "progress", 0.0)),
    (
        "half a cosine upside down: it climbs from 0 to 1.",
        ("upside_down", "1 + math.cos(math.pi * progress)", "1 - math.cos(math.pi * progress)", 0.3),
    ),
    ("a straight line down. Asked for is half a cosine.", ("linear", COSINE, "1 - progress", 0.3)),
    (
        "a cosine that is cut off at 0 half-way. Shift and shrink it so that it runs from 1 to 0.",
        ("cut_off", COSINE, "max(0, math.cos(math.pi * progress))", 0.0),
    ),
    (
        "a cosine from 1 to −1, and a rate below 0 goes uphill. Shift and shrink it so that it runs from 1 to 0.",
        ("unshifted", COSINE, "math.cos(math.pi * progress)", 0.0),
    ),
    (
        "a cosine that runs from 2 to 0: at the junction it jumps.",
        ("doubled", COSINE, "1 + math.cos(math.pi * progress)", 0.3),
    ),
    ("the factor stays at 1 after the warm-up.", ("warms_up_only", COSINE, "1", 0.0)),
]:
    for name, before, after, credit in slips:
        warmup_cosine.slip(name, before, after, message, credit=credit)
warmup_cosine.slip(
    "no_warmup", "step < warmup_steps", "False", "there is no warm-up.", also={PROGRESS: "step / total_steps"}
)
warmup_cosine.switch_off("`min` is missing")  # it leaves the 1, which nobody writes


@warmup_cosine.cases
def _(random):
    cases = []
    for warmup, total in [
        (random.randint(4, 9), random.randint(20, 60)),
        (0, random.randint(8, 20)),
        (random.randint(2, 3), random.randint(10, 20)),
    ]:
        middle = (warmup + total) // 2
        steps = {0, 1, warmup - 1, warmup, warmup + 1, middle, total - 1, total, total + 3, 2 * total} - {-1}
        calls = {f"at step {s}": {"step": s, "warmup_steps": warmup, "total_steps": total} for s in sorted(steps)}
        cases.append({"calls": calls, "text": f"warmup_steps={warmup}, total_steps={total}"})
    return cases


# --- 3.6 save_checkpoint, load_checkpoint ------------------------------------------------------------------------


def load_checkpoint(path, model, optimizer, scheduler, generator):
    there = torch.load(path)
    model.load_state_dict(there["model"])
    optimizer.load_state_dict(there["optimizer"])
    scheduler.load_state_dict(there["scheduler"])
    torch.set_rng_state(there["rng"])
    generator.set_state(there["generator"])
    return there["epoch"] + 1


@exercise(NOTEBOOK, points=4, observer=Resume(), together_with=[load_checkpoint])
def save_checkpoint(path, model, optimizer, scheduler, epoch, generator):
    there = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    there |= {"epoch": epoch, "rng": torch.get_rng_state(), "generator": generator.get_state()}
    torch.save(there, path)


RETURN = 'return there["epoch"] + 1'
for part, line, message in [
    ("model", 'model.load_state_dict(there["model"])', "the model: its weights and batch norm's running averages."),
    ("optimizer", 'optimizer.load_state_dict(there["optimizer"])', "the optimizer: its momentum and its rate."),
    ("scheduler", 'scheduler.load_state_dict(there["scheduler"])', "the scheduler: its position in the schedule."),
    (
        "rng",
        'torch.set_rng_state(there["rng"])',
        "torch's own random numbers, from which dropout draws (torch.get_rng_state).",
    ),
    (
        "generator",
        'generator.set_state(there["generator"])',
        "the generator that shuffles: the very one that is handed in, since the loop knows no other.",
    ),
]:
    save_checkpoint.slip(f"forgot_{part}", line, "None", f"nothing brings back {message}", credit=0.5)
for name, after, message in [
    (
        "epoch_repeated",
        'return there["epoch"]',
        "the epoch that was finished comes back, so it would be trained twice. Return the next one.",
    ),
    (
        "epoch_skipped",
        'return there["epoch"] + 2',
        "an epoch is skipped. Is 1 added when it is saved, and again when it is loaded?",
    ),
    ("epoch_not_returned", "", "the number of the next epoch is not returned."),
]:
    save_checkpoint.slip(name, RETURN, after, message, credit=0.7)
save_checkpoint.slip(
    "scheduler_order",
    RETURN,
    f"scheduler.__init__(optimizer, scheduler.lr_lambdas[0])\nscheduler.load_state_dict(there['scheduler'])\n{RETURN}",
    "the optimizer uses another rate than when it was saved, though the scheduler has its count. Making a scheduler sets "
    "the first rate: make everything first, then load everything.",
    credit=0.5,
)
save_checkpoint.slip(
    "scheduler_stepped",
    RETURN,
    f"scheduler.step()\n{RETURN}",
    "the scheduler's count is not what was saved, and so neither is the rate. Its state_dict knows both: a scheduler that "
    "is stepped again, or made anew while loading, does not keep them.",
    credit=0.5,
)
save_checkpoint.slip(
    "parameters_only",
    "model.state_dict()",
    "{name: p.detach() for name, p in model.named_parameters()}",
    "batch norm's running averages are not brought back. They are buffers, not parameters; model.state_dict() has both.",
    credit=0.5,
    also={'model.load_state_dict(there["model"])': 'model.load_state_dict(there["model"], strict=False)'},
)
save_checkpoint.mistake(
    (save_checkpoint.reference[0], lambda path, *four: None),
    name="nothing_loaded",
    message="after load_checkpoint everything is as before the call. What stands in the file must go into the objects that "
    "are handed in.",
)
# All generic ones: each crashes, which the error tells better, or does what one above does.
save_checkpoint.switch_off("")
for first, second in [
    ("load_state_dict", "load_state_dict"), ("load_state_dict", "set_rng_state"), ("set_rng_state", "set_state"),
]:  # fmt: skip
    save_checkpoint.equivalent(
        f"the line that calls `{first}` comes after the line that calls `{second}`, and it should come before.",
        "each brings back a part of its own",
    )
save_checkpoint.equivalent(
    "the line that calls `load_state_dict` comes after the line that calls `load_state_dict`, "
    "and it should come before. (2)",
    "each brings back a part of its own",
)


@save_checkpoint.cases
def _(random):
    cases = []
    for kind, hyper in [("SGD", {"lr": 0.2, "momentum": 0.9}), ("Adam", {"lr": 0.01})]:
        stop, seed = random.randint(2, 3), random.randint(0, 2**31)
        case = {
            "optimizer": [kind, hyper],
            "decay": 0.7,
            "seed": seed,
            "fresh": seed + 1,
            "then": random.randint(0, 2**31),
            "stop": stop,
            "epochs": stop + 2,
        }
        text = f"{kind}, interrupted after epoch {stop - 1}, resumed in a fresh process for two more epochs"
        cases.append(case | {"text": text})
    return cases


# --- 3.5 learning_rates_used: a list for each of four pieces of code, with numbers of the student's own ------------------

_BLOCKS = """**Block A**, a warm-up meant to be 0, {step:g}, {second:g}, …:

    o = SGD(params, lr={a})
    for epoch in range(4):
        train_one_epoch(o)
        o.param_groups[0]["lr"] = {a} * epoch / 5

**Block B**, meant to halve the rate of {b} in every epoch:

    o = SGD(params, lr={b})
    s = LambdaLR(o, lambda epoch: {b} * 0.5 ** epoch)
    for epoch in range(4):
        train_one_epoch(o); s.step()

**Block C**, with two minibatches per epoch, meant to halve the rate in every epoch. Give the rate at the *start* of each epoch:

    o = SGD(params, lr={c})
    s = ExponentialLR(o, gamma=0.5)
    for epoch in range(3):
        for batch in batches:             # two
            train_on(batch, o); s.step()

**Block D**, meant to go down to zero:

    o = SGD(params, lr={d})
    s = CosineAnnealingLR(o, T_max=2)
    for epoch in range(5):
        train_one_epoch(o); s.step()"""


def _times(first, *factors):
    return [round(first * factor, 6) for factor in factors]


def _rates(a, b, c, d):
    halved = _times(b * b, 1, 0.5, 0.25, 0.125)
    return [
        Part(
            "block A",
            _times(a, 1, 0, 0.2, 0.4),
            "It trains first and sets the rate afterwards.",
            (
                (
                    _times(a, 0, 0.2, 0.4, 0.6),
                    "The rates that it was meant to use. When is the new rate set, and what does the optimizer hold before?",
                ),
                (_times(a, 0, 0, 0.2, 0.4), "Right from the second epoch on. Which rate is held in the very first?"),
                (
                    _times(a, 1, 0.2, 0.4, 0.6),
                    "The first rate is right. At the end of epoch 0, with which number is the new one calculated?",
                ),
            ),
        ),
        Part(
            "block B",
            halved,
            "The factor has a rate in it.",
            (
                (_times(b, 1, 0.5, 0.25, 0.125), "The function taken for a rate. LambdaLR takes it for a factor."),
                (
                    [b, *halved[1:]],
                    "Right from the second epoch on. But a LambdaLR sets the rate as soon as it is made.",
                ),
            ),
        ),
        Part(
            "block C",
            _times(c, 1, 0.25, 0.0625),
            "Two steps of the scheduler in each epoch.",
            (
                (
                    _times(c, 1, 0.5, 0.25),
                    "One step of the scheduler in each epoch. In which loop does scheduler.step() stand?",
                ),
            ),
        ),
        Part(
            "block D",
            _times(d, 1, 0.5, 0, 0.5, 1),
            "After T_max the cosine swings up again.",
            (
                (_times(d, 1, 0.5, 0, 0, 0), "A cosine that stays at 0 after T_max. Does it?"),
                (_times(d, 1, 0.5, 0, 1, 0.5), "A cosine that jumps back to the top after T_max. It swings on."),
            ),
        ),
    ]


_SETS = "0.5 0.2 0.4 0.6, 0.4 0.3 0.16 0.1, 0.2 0.4 0.48 0.8, 0.6 0.5 0.32 0.4, 0.1 0.6 0.64 0.5, 0.7 0.8 0.96 0.3, "
_SETS += "0.8 0.7 0.24 0.9, 0.3 0.1 0.8 0.2"

learning_rates_used = SealedList(
    "learning_rates_used",
    "3.5",
    [dict(zip("abcd", map(float, numbers.split()), strict=True)) for numbers in _SETS.split(", ")],
    text=lambda a, b, c, d: _BLOCKS.format(a=a, b=b, c=c, d=d, step=a / 5, second=2 * a / 5),
    parts=_rates,
).exercise(NOTEBOOK, points=2)
