"""Rubric of 01_minibatch_noise."""

import torch
from torch.nn import functional as F

from lecture_utils.checks.observers import Batches, Epoch, Values
from lecture_utils.instructor.authoring.cases import numbers
from lecture_utils.instructor.authoring.exercise import exercise

NOTEBOOK = "01_minibatch_noise"

# ruff: noqa: B905  (as students write it)
# fmt: off

# --- 1.1 minibatches ---------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, observer=Batches())
def minibatches(n, batch_size, generator):
    order = torch.randperm(n, generator=generator)
    starts = range(0, n, batch_size)
    return [order[i : i + batch_size] for i in starts]


SHUFFLE, STARTS, CUT = "torch.randperm(n, generator=generator)", "range(0, n, batch_size)", "order[i : i + batch_size]"
RETURN = f"return [{CUT} for i in starts]"
SAME_ORDER = "every epoch has the same order: the shuffling starts from a fixed seed each time, instead of going on."
OTHER_GENERATOR = (
    "the order does not come from the `generator` that is handed in, so a run cannot be repeated. "
    "Functions that draw random numbers take it as an argument."
)
DRAWN_ANEW = (
    "some indices come twice in an epoch and others never: they are drawn anew, one by one or batch by batch. "
    "One shuffled order of all indices, cut into pieces, has each exactly once."
)
REMAINDER = "the last, shorter batch is not as it should be: it keeps the indices that are left, no more and no fewer."
ONE_BATCH = "only one batch comes. An epoch goes on until every index has come."
EVENED_OUT = "the indices are spread evenly, so that several batches are too short. Only the last one may be."

for name, before, after, credit, message in [
    ("unshuffled", SHUFFLE, "torch.arange(n)", 0, "the indices come in their own order. Nothing is shuffled."),
    ("same_order", SHUFFLE, "torch.randperm(n, generator=torch.Generator().manual_seed(0))", 0, SAME_ORDER),
    ("global_generator", SHUFFLE, "torch.randperm(n)", 0.5, OTHER_GENERATOR),
    ("with_replacement", SHUFFLE, "torch.randint(n, (n,), generator=generator)", 0, DRAWN_ANEW),
    ("from_one", SHUFFLE, f"{SHUFFLE} + 1", 0.3, "the indices start at 1. The first example has index 0."),
    ("remainder_dropped", STARTS, "range(0, n - batch_size + 1, batch_size)", 0.5,
     "what does not fill a whole batch is dropped. Those examples would never be seen in this epoch."),
    ("remainder_filled", CUT, "order.repeat(1 + batch_size)[i : i + batch_size]", 0.3, REMAINDER),
    ("remainder_moved_back", CUT, "order[max(0, min(i, n - batch_size)) : i + batch_size]", 0.3, REMAINDER),
    ("empty_batch", STARTS, "range(0, n + 1, batch_size)", 0.5,
     "when the batch size divides n, an empty batch comes last. There are as many batches as it takes, no more."),
    ("last_of_one", STARTS, "range(0, n - 1, batch_size)", 0.7,
     "where one index is left at the end, it never comes. A last batch may be as short as that."),
    ("windows", STARTS, "range(n)", 0,
     "a batch starts at every index, so that they overlap. The next one starts where this one ends."),
    ("one_batch", RETURN, "return [order[:batch_size]]", 0, ONE_BATCH),
    ("count_for_size", RETURN, "return order.chunk(batch_size)", 0,
     "there are `batch_size` batches. It is the number of indices in a batch, not the number of batches."),
    ("evened_out", RETURN, "return order.chunk(-(-n // batch_size))", 0.7, EVENED_OUT),
    ("evened_out_by_one", RETURN, "return order.tensor_split(-(-n // batch_size))", 0.7, EVENED_OUT),
]:
    minibatches.slip(name, before, after, message, credit=credit)

for name, batch in {
    "new_order_each_batch": f"{SHUFFLE}[i : i + batch_size]",
    "new_order_cut_at_its_start": f"{SHUFFLE}[:batch_size]",
    "with_replacement_full": "torch.randint(n, (batch_size,), generator=generator)",
}.items():
    minibatches.slip(name, f"order = {SHUFFLE}", "", DRAWN_ANEW, also={CUT: batch})


@minibatches.mistake()
def blocks(n, batch_size, generator):
    """the batches change their order, but each holds the same neighbours in every epoch. Shuffle the indices, then cut."""
    cut = torch.arange(n).split(batch_size)
    return [cut[i] for i in torch.randperm(len(cut), generator=generator)]


@minibatches.mistake()
def shuffled_inside(n, batch_size, generator):
    """the indices are shuffled inside each batch only: it holds the same neighbours in every epoch. Shuffle all, then cut."""
    return [cut[torch.randperm(len(cut), generator=generator)] for cut in torch.arange(n).split(batch_size)]


@minibatches.mistake(credit=0.3, message=REMAINDER)
def remainder_merged(n, batch_size, generator):
    batches = list(torch.randperm(n, generator=generator).split(batch_size))
    if len(batches) > 1 and len(batches[-1]) < batch_size:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


@minibatches.cases
def _(random):
    small, size = random.randint(3, 4), random.randint(5, 7)
    return [
        # The last batch: some, as many as in the others, one alone, and all that there are.
        batches_case(random, 40, n=2 * small + random.randint(2, small - 1), batch_size=small),
        batches_case(random, 2, n=3 * size + random.randint(2, size - 1), batch_size=size),
        batches_case(random, 2, n=4 * size, batch_size=size),
        batches_case(random, 2, n=3 * size + 1, batch_size=size),
        batches_case(random, 2, n=2 * size + 1, batch_size=3 * size),
    ]


def batches_case(random, epochs, text="", **args):
    text = text or ", ".join(f"{name}={value}" for name, value in args.items())
    return {"args": args, "seed": random.randint(0, 999), "epochs": epochs, "text": text}


# --- 1.2 train_epoch ---------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, observer=Epoch(), rtol=1e-5, uses="minibatches")
def train_epoch(model, optimizer, x, y, batch_size, generator):
    model.train()
    total = 0.0
    for batch in minibatches(len(x), batch_size, generator):
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(x)


ZERO, BACK, STEP, ADD = "optimizer.zero_grad()", "loss.backward()", "optimizer.step()", "total += loss.item() * len(batch)"
LOSS, DRAW, MEAN = "F.cross_entropy(model(x[batch]), y[batch])", "minibatches(len(x), batch_size, generator)", "total / len(x)"
PILE_UP = (
    "the gradients pile up. `backward` adds to what is there already: who sets it to zero, once for each batch?"
)
WIPED_OUT = "the gradients are set to zero between `backward` and `step`, so that the step finds none."
TOO_EARLY = "the step comes before `backward`, and does not know the gradient of its own batch."
UNWEIGHTED = (
    "the mean of the batches' means. The last batch has fewer examples, so that each of them counts for more than one in "
    "another batch. What is asked for is the mean over examples."
)
NOT_SHUFFLED = "the examples come in the order in which they stand in `x`. Let your `minibatches` say which come next."
LAST_ONLY = "the loss of the last batch alone. The mean is over all examples of the epoch."
COME_TWICE = (
    "some examples come twice in an epoch, and others never. Each is to come once: let your `minibatches` say which are next."
)
DROPPED = "the last, shorter batch is left out."
EVALUATION = (
    "the model stays in evaluation mode, in which it was handed in. Dropout and batch norm then do not do what they should "
    "in training."
)
MIXED_UP = (
    "an example gets the label of another one. The batch says which examples are taken, and which labels: both are to be "
    "indexed by it."
)
SUMMED_LOSS = "F.cross_entropy(model(x[batch]), y[batch], reduction='sum')"
SUMMED = (
    "the loss of a batch is a sum over its examples, so that each step is as many times longer as the batch has examples. "
    "The step goes by their mean."
)
ONE_STEP = "the optimizer makes one step in the whole epoch. One for each batch is asked for."
IN_LOOP = "the epoch is over after its first batch: does a `return` stand inside the loop?"
GRAPH = (
    "a tensor comes back, and a number is asked for. A loss that is still a tensor holds on to all that it was computed "
    "from, so that the memory of every batch stays in use."
)
REPEATED_ORDER = "every epoch has the same order: the shuffling starts anew each time. Hand the `generator` on as it is."

for name, before, after, credit, message in [
    ("zero_forgotten", ZERO, "", 0.3, PILE_UP),
    ("zero_between", f"{ZERO}\n{BACK}", f"{BACK}\n{ZERO}", 0.3, WIPED_OUT),
    ("step_first", f"{BACK}\n{STEP}", f"{STEP}\n{BACK}", 0.3, TOO_EARLY),
    ("step_of_last_batch", f"{ZERO}\n{BACK}\n{STEP}", f"{STEP}\n{ZERO}\n{BACK}", 0.3, TOO_EARLY),
    ("step_at_the_top", f"loss = {LOSS}\n{ZERO}\n{BACK}\n{STEP}", f"{STEP}\n{ZERO}\nloss = {LOSS}\n{BACK}", 0.3, TOO_EARLY),
    ("no_step", STEP, "", 0.3, "the optimizer that is handed in makes no step."),
    ("no_backward", BACK, "", 0.0, "nothing computes the gradients, so that the steps find none."),
    ("two_steps", STEP, f"{STEP}\n{STEP}", 0.3, "the optimizer makes two steps for each batch. One is asked for."),
    ("unshuffled", DRAW, "torch.arange(len(x)).split(batch_size)", 0.5, NOT_SHUFFLED),
    ("same_order", DRAW, "minibatches(len(x), batch_size, torch.Generator().manual_seed(0))", 0.5, REPEATED_ORDER),
    ("global_generator", DRAW, "minibatches(len(x), batch_size, torch.default_generator)", 0.7, OTHER_GENERATOR),
    ("whole_set", DRAW, "minibatches(len(x), len(x), generator)", 0.3,
     "all examples are in one batch, so that the epoch is a single step. What is `batch_size` for?"),
    ("all_in_each_step", LOSS, "F.cross_entropy(model(x), y)", 0.3,
     "each step sees all of `x` and `y`. What does the batch say?"),
    ("drawn_anew", DRAW, "torch.randint(len(x), (len(x),), generator=generator).split(batch_size)", 0.0, COME_TWICE),
    ("drawn_anew_full", DRAW,
     "torch.randint(len(x), (-(-len(x) // batch_size), batch_size), generator=generator)", 0.0, COME_TWICE),
    ("drawn_anew_too_few", DRAW,
     "torch.randint(len(x), (len(x) // batch_size, batch_size), generator=generator)", 0.0, COME_TWICE),
    ("windows", DRAW, "[torch.arange(i, i + batch_size) for i in range(-(-len(x) // batch_size))]", 0.0, COME_TWICE),
    ("eval_mode", "model.train()", "", 0.7, EVALUATION),
    ("labels_in_order", "y[batch]", "y[:len(batch)]", 0.0, MIXED_UP),
    ("softmax_first", "model(x[batch])", "model(x[batch]).softmax(dim=1)", 0.3,
     "the softmax is taken twice. `F.cross_entropy` takes the model's outputs as they are, and does it inside."),
    ("summed_loss", LOSS, SUMMED_LOSS, 0.3, SUMMED),
    ("after_the_step", ADD, f"total += {LOSS}.item() * len(batch)", 0.7,
     "the loss is computed again after the step. Asked for is the one that the step was made from."),
    ("at_the_end", MEAN, "F.cross_entropy(model(x), y).item()", 0.7,
     "the loss of all examples after the epoch, with its last weights. Asked for is the mean of the losses that the steps "
     "were made from."),
    ("in_the_loop", ADD, f"{ADD}\nreturn total / len(x)", 0.3, IN_LOOP),
    ("first_loss", ADD, "return loss.item()", 0.3, IN_LOOP),
    ("not_added", "total += loss.item() * len(batch)", "total = loss.item() * len(batch)", 0.5, LAST_ONLY),
    ("last_loss", MEAN, "loss.item()", 0.5, LAST_ONLY),
    ("last_loss_tensor", MEAN, "loss", 0.3, f"{LAST_ONLY} And it is to be a number, not a tensor."),
    ("unweighted_as_if_full", "len(batch)", "batch_size", 0.7,
     "the last batch counts as if it were full. How many examples are in it?"),
    ("graph_kept", "loss.item()", "loss", 0.7, GRAPH),
    ("detached", "loss.item()", "loss.detach()", 0.7, GRAPH),
    ("sum", MEAN, "total", 0.5, "the losses are added up, not averaged. The result should not grow with the number of examples."),
    ("remainder_dropped", "loss.backward()", "if len(batch) < batch_size: continue\nloss.backward()", 0.5,
     DROPPED),
    ("divided_by_last_batch", MEAN, "total / len(batch)", 0.5,
     "the sum over all examples is divided by the size of the last batch. Over how many examples does it go?"),
    ("divided_by_batch_size", MEAN, "total / batch_size", 0.5,
     "the sum over all examples is divided by the size of a batch. Over how many examples does it go?"),
    ("not_returned", f"return {MEAN}", "", 0.7, "nothing comes back. The mean loss of the epoch is asked for."),
]:
    train_epoch.slip(name, before, after, message, credit=credit)

for name, before, after, also, credit, message in [
    ("zero_once", ZERO, "", {"total = 0.0": "optimizer.zero_grad()\ntotal = 0.0"}, 0.3, PILE_UP),
    ("mean_of_means", ADD, "total += loss.item()", {MEAN: "total / -(-len(x) // batch_size)"}, 0.7, UNWEIGHTED),
    ("summed_loss_added", ADD, "total += loss.item()", {LOSS: SUMMED_LOSS}, 0.3, SUMMED),
    ("mean_of_full_batches", ADD, "total += loss.item()", {MEAN: "total / (len(x) // batch_size)"}, 0.5,
     "the batches' mean losses are divided by the number of full batches, and the shorter one is not counted. What is asked "
     "for is the mean over examples."),
    ("one_step", STEP, "", {f"return {MEAN}": f"{STEP}\nreturn {MEAN}"}, 0.3, ONE_STEP),
    ("one_step_of_all", f"{ZERO}\n{BACK}\n{STEP}", BACK,
     {"total = 0.0": f"{ZERO}\ntotal = 0.0", f"return {MEAN}": f"{STEP}\nreturn {MEAN}"}, 0.3, ONE_STEP),
    ("one_step_at_the_end", f"{ZERO}\n{BACK}\n{STEP}", "", {f"return {MEAN}": f"{ZERO}\n{BACK}\n{STEP}\nreturn {MEAN}"}, 0.3,
     ONE_STEP),
    ("remainder_not_counted", DRAW, f"[b for b in {DRAW} if len(b) == batch_size]",
     {MEAN: "total / (len(x) // batch_size * batch_size)"}, 0.5, DROPPED),
    ("sum_of_means", ADD, "total += loss.item()", {MEAN: "total"}, 0.5,
     "the batches' mean losses are added up, not averaged. The result should not grow with the number of batches."),
    ("means_over_examples", ADD, "total += loss.item()", {}, 0.5,
     "the mean loss of a batch is added up as if it were the sum over its examples. How many are in the batch?"),
]:
    train_epoch.slip(name, before, after, message, credit=credit, also=also)


train_epoch.switch_off(  # hardly anybody writes these, and every slip is tried together with every other one
    "a difference stands", "a power stands", "a quotient stands where a product belongs, upside", "a root is taken",
    "a sum stands", "`batch_size` is doubled", "the fraction is squared", "`total` stands inside", "what it leaves",
)
for phrase, why in {
    "`loss` comes after the line that calls `zero_grad`, and it should come before.": "zeroing may come before the loss",
    "the line that calls `step` comes after `total`, and it should come before.": "the loss has been computed by then",
    "the line that calls `train` comes after `total`, and it should come before.": "neither uses the other",
}.items():
    train_epoch.equivalent(phrase, why)


@train_epoch.cases
def _(random):
    """The last batch is shorter, and more than one example; the rates are large, so that a wrong step shows."""
    small, size = random.randint(4, 5), random.randint(5, 6)
    return [
        epoch_case(random, 3 * small + random.randint(2, small - 2), small, momentum=0.0),
        epoch_case(random, 3 * size + random.randint(2, size - 2), size, momentum=round(random.uniform(0.55, 0.75), 2)),
        epoch_case(random, 2 * size + 2, size, momentum=0.0, dtype="float32"),
    ]


def epoch_case(random, n, batch_size, momentum, dtype="float64"):
    lr = round(random.uniform(0.31, 0.46), 2)
    labels = [k % 3 for k in range(n)]
    random.shuffle(labels)
    x = [[]]
    while len({tuple(row) for row in x}) < n:  # a row tells which example it is
        x = numbers(random, (n, 2))
    moving = f", momentum={momentum}" if momentum else ""
    return {
        "args": {"batch_size": batch_size},
        "x": x,
        "y": labels,
        "start": {"weight": numbers(random, (3, 2), -1, 1), "bias": numbers(random, (3,), -1, 1)},
        "hyper": {"lr": lr, "momentum": momentum},
        "seed": random.randint(0, 999),
        "dtype": dtype,
        "text": f"{n} examples of three classes, batch_size={batch_size}, lr={lr}{moving}, {dtype}",
    }


# --- 1.3 gradient_noise ------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, observer=Values(demands="float"))
def gradient_noise(per_example_grads, batch_size):
    n = len(per_example_grads)
    full = per_example_grads.mean(dim=0)  # the full gradient
    deviation = per_example_grads - full  # the deviation
    trace = deviation.square().sum() / n  # tr Σ
    factor = (n - batch_size) / (n - 1)  # the finite-population factor
    noise = trace / batch_size * factor  # the noise
    return noise.item()


FULL, TRACE = "per_example_grads.mean(dim=0)", "deviation.square().sum() / n"
FACTOR, NOISE = "(n - batch_size) / (n - 1)", "trace / batch_size * factor"
N_MINUS_1 = "Σ divided by N − 1. That is for a sample of something larger; here the N gradients are everything there is"
BRACKETS = (
    "brackets are missing in the finite-population factor. A division takes only what stands right beside it: "
    "what belongs above the line, and what below?"
)

for name, before, after, credit, message in [
    ("no_population_factor", NOISE, "trace / batch_size", 0.5,
     "tr Σ/B, the noise of drawing with replacement. A batch without replacement is less noisy, and a batch of all N has "
     "no noise at all: a factor is missing."),
    ("b_squared", NOISE, "trace / batch_size**2 * factor", 0,
     "1/B². Variances of independent terms add up, B of them; the mean divides by B² once: one B is left."),
    ("deviation", "noise.item()", "noise.sqrt().item()", 0.5,
     "a standard deviation. Asked for is its square, E‖ĝ − g‖²."),
    ("n_minus_1_as_well", TRACE, "deviation.square().sum() / (n - 1)", 0.5,
     f"{N_MINUS_1}, and the factor (N − B)/(N − 1) belongs to Σ with 1/N."),
    ("factor_by_n", FACTOR, "(n - batch_size) / n", 0.5,
     "(N − B)/N. That factor belongs to Σ with 1/(N − 1); with 1/N its denominator is N − 1."),
    ("root_of_factor", FACTOR, f"({FACTOR}) ** 0.5", 0.5,
     "the root of the finite-population factor. It belongs to a standard error; asked for is the squared error."),
    ("mean_over_weights", TRACE, "deviation.square().mean()", 0.3,
     "an average over the weights. The trace, and the squared length of a vector, are sums over the weights."),
    ("not_divided_by_n", TRACE, "deviation.square().sum()", 0.3,
     "a sum over the examples. Σ is a mean over the N examples."),
    ("brackets_around_all", FACTOR, "n - batch_size / n - 1", 0, BRACKETS),
]:
    gradient_noise.slip(name, before, after, message, credit=credit)

gradient_noise.slip("n_minus_1_instead", TRACE, "deviation.square().sum() / (n - 1)",
    f"{N_MINUS_1}. Drawing without replacement is something else: a batch of all N has no noise at all.",
    credit=0.3, also={NOISE: "trace / batch_size"})
for name, written in {  # in one line with tr Σ/B, brackets around the whole factor are missing, too
    "brackets_below": "(n - batch_size) / n - 1",
    "brackets_above": "n - batch_size / (n - 1)",
    "brackets_everywhere": "n - batch_size / n - 1",
}.items():
    gradient_noise.slip(name, f"factor = {FACTOR}", "", BRACKETS, also={NOISE: f"trace / batch_size * {written}"})


@gradient_noise.cases
def _(random):
    # Two gradients, to be done by hand: with B = 1 the noise is tr Σ, and there is no factor.
    two = [[1.5, random.uniform(-2, -1)], [random.uniform(-1, 1), random.uniform(2, 3)]]
    cases = [noise_case(two, batch_size=1)]
    for n, d, b in [(6, 4, 2), (9, 2, 4), (5, 3, 1), (4, 2, 4)]:
        n += random.randint(0, 2) if b < n else 0
        cases.append(noise_case(numbers(random, (n, d)), batch_size=b))
    return cases


def noise_case(grads, **args):
    grads = [[round(x, 2) for x in row] for row in grads]
    table = torch.tensor(grads, dtype=torch.float64)
    spread = float((table - table.mean(dim=0)).square().sum() / len(grads))
    shown = {"full gradient": [round(x, 3) for x in table.mean(dim=0).tolist()], "tr Σ": round(spread, 4)}
    text = ", ".join([f"{len(grads)} gradients of {len(grads[0])} weights", *(f"{k}={v}" for k, v in args.items())])
    return {"args": {"per_example_grads": grads, **args}, "on_the_way": shown, "text": text}


# --- 1.4 noise_scale ---------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2, observer=Values(demands="float"))
def noise_scale(per_example_grads):
    n = len(per_example_grads)
    full = per_example_grads.mean(dim=0)  # the full gradient
    deviation = per_example_grads - full  # the deviation
    trace = deviation.square().sum() / n  # tr Σ
    signal = full.square().sum()  # ‖g‖²
    scale = trace / signal  # the noise scale
    return scale.item()


SIGNAL = "full.square().sum()"
LAST = "brackets are missing in tr Σ: a division comes before a difference. (And with all N gradients known, it is 1/N.)"
WHICH_MEAN = (
    "the mean of the lengths of the single gradients below the line. It is the length of their mean, the full gradient, "
    "that belongs there: most of the single lengths is noise."
)

for name, before, after, credit, message in [
    ("inverted", "trace / signal", "signal / trace", 0.3, "signal over noise. Turn the fraction round."),
    ("norm_not_squared", SIGNAL, "full.norm()", 0.5,
     "the length of the gradient, not squared. The result must be a number of examples: scale all gradients by 10, "
     "and it may not change."),
    ("mean_of_norms", SIGNAL, "per_example_grads.square().sum(dim=1).mean()", 0, WHICH_MEAN),
    ("mean_of_norms_squared", SIGNAL, "per_example_grads.norm(dim=1).mean() ** 2", 0, WHICH_MEAN),
    ("mean_of_norms_not_squared", SIGNAL, "per_example_grads.norm(dim=1).mean()", 0, WHICH_MEAN),
    ("n_minus_1", TRACE, "deviation.square().sum() / (n - 1)", 0.5, f"{N_MINUS_1}."),
    ("root", "scale.item()", "scale.sqrt().item()", 0.5, "a ratio of lengths. Both noise and signal are squared."),
    ("summed_gradient", SIGNAL, "per_example_grads.sum(dim=0).square().sum()", 0.3,
     "the sum of the gradients. The full gradient is their mean."),
    ("mean_over_weights", TRACE, "deviation.square().mean()", 0.3,
     "the noise is averaged over the weights, the signal summed. Treat both alike."),
    ("sum_squared", SIGNAL, "full.sum().square()", 0,
     "the square of the sum of the gradient's entries. A squared length is a sum of squares: nothing may cancel."),
]:
    noise_scale.slip(name, before, after, message, credit=credit)

for name, before, after, message in [  # tr Σ, in both exercises
    ("not_centred", "per_example_grads - full", "per_example_grads",
     "the squares of the gradients themselves. Noise is the scatter around their mean: subtract the full gradient first."),
    ("overall_mean", FULL, "per_example_grads.mean()",
     "one mean of everything is subtracted. The full gradient has one entry for each weight: the mean over the examples."),
    ("wrong_mean", FULL, "per_example_grads.mean(dim=1, keepdim=True)",
     "the mean over the weights of each example is subtracted. Subtract the mean over the examples, one for each weight."),
    ("distances", TRACE, "deviation.norm(dim=1).sum() / n",
     "the mean distance from the full gradient. A variance is the mean of the squared distances."),
    ("deviations_summed", TRACE, "(deviation.square().sum(dim=0) / n).sqrt().sum()",
     "standard deviations are added up. Variances add up; their roots do not."),
    ("difference_last", TRACE, "deviation.square().sum() / n - 1", LAST),
    ("difference_last_too", TRACE, "1 / n - 1 * deviation.square().sum()", LAST),
    ("summed_first", TRACE, "deviation.sum(dim=0).square().sum() / n",
     "the deviations are summed before they are squared. Those above and below the mean cancel: nothing is left."),
    ("all_of_sigma", TRACE, "(deviation.T @ deviation).sum() / n",
     "all entries of Σ are summed. The trace is the sum of its diagonal: the variances, not the covariances."),
    ("rows_for_weights", TRACE, "torch.cov(per_example_grads).trace()",
     "the rows are taken for the weights, as `torch.cov` does. Here each row is an example."),
    ("number_of_weights", "len(per_example_grads)", "per_example_grads.shape[1]",
     "the number of weights stands where the number of examples belongs. The examples are the rows."),
]:
    gradient_noise.slip(name, before, after, message)
    noise_scale.slip(name, before, after, message)
TENSORS = ("the full gradient is returned", "the deviation is returned", "tr Σ is returned")  # refused: a float is asked for
gradient_noise.switch_off(*TENSORS, "the noise is returned")
noise_scale.switch_off(*TENSORS, "‖g‖² is returned", "the noise scale is returned")
gradient_noise.equivalent("the difference is the wrong way round in the line that makes the deviation.", "it is squared")
noise_scale.equivalent("the difference is the wrong way round in the line that makes the deviation.", "it is squared")


@noise_scale.cases
def _(random):
    two = [[1.5, random.uniform(-2, -1)], [random.uniform(-1, 1), random.uniform(2, 3)]]  # to be done by hand
    shifted = [[[x + 1 for x in row] for row in numbers(random, shape)] for shape in [(6, 3), (9, 2), (5, 4)]]
    return [noise_case(grads) for grads in [two, *shifted]]


# --- 1.5 stratified_minibatches ----------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, observer=Batches())
def stratified_minibatches(labels, batch_size, generator):
    pools = []
    for c in labels.unique():
        members = (labels == c).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=generator)
        pools.append(members[order])  # the pools
    left = len(labels)
    while left:
        size = min(batch_size, left)
        share = torch.tensor([size * len(pool) / left for pool in pools])
        counts = share.long()
        largest = (share - counts).argsort(descending=True)
        counts[largest[: size - counts.sum()]] += 1  # the rounding
        yield torch.cat([pool[:k] for pool, k in zip(pools, counts)])  # the batch
        pools = [pool[k:] for pool, k in zip(pools, counts)]
        left -= size


ORDER, LEFT = "torch.randperm(len(members), generator=generator)", "left = len(labels)"
PROPORTIONS = (
    "each class comes equally often at first. The batch should look like the whole set: a class that is twice as "
    "frequent there is twice as frequent in each batch."
)
DRAWN_AGAIN = (
    "the shares are right, but some examples come twice in an epoch and others never. Each member of a class is in its pool "
    "once, and what has been taken is gone until the epoch is over."
)
LEFTOVERS = "some examples never come: what the rounding leaves over, or does not fill the last batch, is lost."

for name, before, after, credit, message in [
    ("not_shuffled", "members[order]", "members", 0.5,
     "the proportions are right, but each epoch has the same batches. Shuffle within each class first."),
    ("places_for_indices", "members[order]", "order", 0,
     "places within a class (0, 1, 2 …) are taken for indices of examples, so that the high indices never come. "
     "The shuffled places say in which order the members of the class come."),
    ("same_order", ORDER, "torch.randperm(len(members), generator=torch.Generator().manual_seed(0))", 0, SAME_ORDER),
    ("global_generator", ORDER, "torch.randperm(len(members))", 0.5, OTHER_GENERATOR),
    ("with_replacement", ORDER, "torch.randint(len(members), (len(members),), generator=generator)", 0.3, DRAWN_AGAIN),
    ("one_batch", "left -= size", "return", 0, ONE_BATCH),
    ("leftovers_lost", "left -= size", "left -= size\nif left < batch_size:\n    return", 0.5, LEFTOVERS),
    ("rounded_down", "counts[largest[: size - counts.sum()]] += 1", "", 0.5, LEFTOVERS),
    ("equal_numbers", "size * len(pool) / left", "size / len(pools)", 0.3, PROPORTIONS),
    ("classes_one_by_one", LEFT, "yield from torch.cat(pools).split(batch_size)\nleft = 0", 0,
     "one class comes after the other. A batch should take some of every class."),
    ("dealt_out", LEFT, "number = -(-len(labels) // batch_size)\nyield from [torch.cat(pools)[i::number] for i in range(number)]\nleft = 0",
     0.7,
     "the shares are right, but the examples are spread evenly, so that several batches are too short. "
     "Only the last one may have fewer than batch_size."),
]:
    stratified_minibatches.slip(name, before, after, message, credit=credit)

SHORTEN = "pools = [pool[k:] for pool, k in zip(pools, counts)]"
stratified_minibatches.slip("drawn_again", "pool[:k]", "pool[torch.randperm(len(pool), generator=generator)[:k]]", DRAWN_AGAIN,
    credit=0.3, also={SHORTEN: "", "size * len(pool) / left": "size * len(pool) / len(labels)"})


@stratified_minibatches.mistake(credit=0.3, message=PROPORTIONS)
def only_classes_present(labels, batch_size, generator):
    pools, order = [], []
    for c in labels.unique():
        members = (labels == c).nonzero()[:, 0]
        pools.append(members[torch.randperm(len(members), generator=generator)].tolist())
    while any(pools):
        order += [pool.pop() for pool in pools if pool]
    return torch.tensor(order).split(batch_size)


SORTED = "the examples are sorted by their class, so a batch holds one or two classes only."
stratified_minibatches.mistake(lambda labels, b, generator: labels.argsort(stable=True).split(b), name="sorted", message=SORTED)
stratified_minibatches.mistake(lambda labels, b, generator: labels.argsort().split(b), name="sorted_anyhow", message=SORTED)


@stratified_minibatches.mistake()
def plainly_shuffled(labels, batch_size, generator):
    """ordinary minibatches: the labels are not looked at."""
    return torch.randperm(len(labels), generator=generator).split(batch_size)


@stratified_minibatches.mistake()
def balanced(labels, batch_size, generator):
    """the classes do not have their shares, and some examples come several times in an epoch and others never: as when they
    are drawn by weights. Stratifying keeps the shares; it does not make them equal."""
    weights = 1 / labels.bincount()[labels]
    return torch.multinomial(weights, len(labels), replacement=True, generator=generator).split(batch_size)


stratified_minibatches.switch_off("`c` is used", "`labels` is used where `members`")
for phrase, why in {
    "`-1` stands in place of another number in the line that makes `members`.": "there is one column",
    "`batch_size` is used where `size` belongs. (2)": "in the last batch each pool gives what it has, and no more",
    "`batch_size` is used where `size` belongs. (3)": "in the last batch each pool gives what it has, and no more",
    "`counts` is missing in the line that makes `largest`.": "another way of rounding, within 1, too",
    "the sign of `counts` is wrong in the line that makes `largest`.": "another way of rounding, within 1, too",
}.items():
    stratified_minibatches.equivalent(phrase, why)


@stratified_minibatches.cases
def _(random):
    counts = [k * random.randint(6, 8) for k in (5, 3, 1)]
    size = random.choice([b for b in range(9, 13) if 1 <= sum(counts) % b <= b - 2])  # a last batch that is short
    return [
        stratified_case(random, 40, [random.randint(5, 6), 4, random.randint(1, 2)], 6),
        stratified_case(random, 2, counts, size),
        stratified_case(random, 2, [10, 10, 10], 10),  # a share of 3⅓: what rounding leaves over shows
    ]


def stratified_case(random, epochs, counts, batch_size):
    labels = [c for c, count in enumerate(counts) for _ in range(count)]
    random.shuffle(labels)
    text = f"{len(labels)} labels of three classes, {counts[0]}, {counts[1]} and {counts[2]} of each, batch_size={batch_size}"
    return batches_case(random, epochs, text, labels=labels, batch_size=batch_size)
