"""Wrong answers kept aside: they measure how many are named, and took no part in making the slips."""

KEPT_ASIDE = {
    "gradient_step": {
        "uphill": {"w - lr * grad": "w + lr * grad"},
        "learning rate forgotten": {"lr * grad": "grad"},
        "nothing handed back": {"return w": ""},
        "the gradient handed back": {"return w": "return grad"},
        "divided by the learning rate": {"lr * grad": "grad / lr"},
        "result under a new name, the old w handed back": {"w = w - lr * grad": "w_new = w - lr * grad"},
        "only the step, without w": {"w - lr * grad": "-lr * grad"},
        "bracket around w - lr": {"w - lr * grad": "(w - lr) * grad"},
        "w in place of the gradient": {"lr * grad": "lr * w"},
        "a second step in the return": {"return w": "return w - lr * grad"},
    },
    "minibatches": {
        "not shuffled": {"torch.randperm(n, generator=generator)": "torch.arange(n)"},
        "with replacement": {
            "torch.randperm(n, generator=generator)": "torch.randint(0, n, (n,), generator=generator)"
        },
        "generator not used": {"torch.randperm(n, generator=generator)": "torch.randperm(n)"},
        "short batch dropped": {"range(0, n, batch_size)": "range(0, n - batch_size + 1, batch_size)"},
        "last batch dropped even if full": {"range(0, n, batch_size)": "range(0, n - batch_size, batch_size)"},
        "starts counted in batches": {"range(0, n, batch_size)": "range(n // batch_size)"},
        "one index missing in each batch": {"i + batch_size": "i + batch_size - 1"},
        "one index too many in each batch": {"i + batch_size": "i + batch_size + 1"},
        "end is the batch size": {"order[i:i + batch_size]": "order[i:batch_size]"},
        "begins at 1": {"range(0, n, batch_size)": "range(1, n, batch_size)"},
    },
    "train_epoch": {
        "gradients never set to zero": {"optimizer.zero_grad()": ""},
        "gradients set to zero after backward": {
            "optimizer.zero_grad()\nloss.backward()": "loss.backward()\nmodel.zero_grad()"
        },
        "step before backward": {"loss.backward()\noptimizer.step()": "optimizer.step()\nloss.backward()"},
        "no step": {"optimizer.step()": ""},
        "own order": {
            "minibatches(len(x), batch_size, generator)": (
                "[torch.arange(i, min(i + batch_size, len(x))) for i in range(0, len(x), batch_size)]"
            )
        },
        "shuffled without the generator": {
            "minibatches(len(x), batch_size, generator)": "torch.randperm(len(x)).split(batch_size)"
        },
        "no training mode": {"model.train()": "model.train(False)"},
        "labels as they stand": {"y[batch]": "y[torch.arange(len(batch))]"},
        "a softmax before the loss": {"model(x[batch])": "F.softmax(model(x[batch]), dim=-1)"},
        "means added up": {"loss.item() * len(batch)": "loss.item()"},
        "the last loss": {"return total / len(x)": "return float(loss)"},
        "not divided": {"total / len(x)": "total"},
        "a tensor": {"loss.item()": "loss.detach()"},
    },
    "gradient_noise": {
        "no finite-population factor": {"trace / batch_size * factor": "trace / batch_size"},
        "factor over n": {"(n - batch_size) / (n - 1)": "(n - batch_size) / n"},
        "factor upside down": {"(n - batch_size) / (n - 1)": "(n - 1) / (n - batch_size)"},
        "covariance with n - 1": {"deviation.square().sum() / n": "deviation.square().sum() / (n - 1)"},
        "mean over all entries": {"deviation.square().sum() / n": "deviation.square().mean()"},
        "sum not divided by n": {"deviation.square().sum() / n": "deviation.square().sum()"},
        "batch size squared": {"trace / batch_size": "trace / batch_size ** 2"},
        "standard deviation": {"return noise.item()": "return noise.sqrt().item()"},
        "mean not subtracted": {"per_example_grads - full": "per_example_grads"},
        "mean over everything": {"per_example_grads.mean(dim=0)": "per_example_grads.mean()"},
    },
    "noise_scale": {
        "upside down": {"trace / signal": "signal / trace"},
        "norm not squared": {"full.square().sum()": "full.norm()"},
        "square of the sum": {"full.square().sum()": "full.sum().square()"},
        "mean of the squared norms": {"full.square().sum()": "per_example_grads.square().sum(dim=1).mean()"},
        "mean for sum in the signal": {"full.square().sum()": "full.square().mean()"},
        "sum not divided by n": {"deviation.square().sum() / n": "deviation.square().sum()"},
        "n - 1": {"deviation.square().sum() / n": "deviation.square().sum() / (n - 1)"},
        "mean not subtracted": {"per_example_grads - full": "per_example_grads"},
        "root at the end": {"scale.item()": "scale.sqrt().item()"},
        "n is the number of weights": {"len(per_example_grads)": "per_example_grads.shape[1]"},
    },
    "stratified_minibatches": {
        "classes not shuffled": {"torch.randperm(len(members), generator=generator)": "torch.arange(len(members))"},
        "generator not used": {"torch.randperm(len(members), generator=generator)": "torch.randperm(len(members))"},
        "positions in the class for indices": {"members[order]": "order"},
        "equal shares for all classes": {"size * len(pool) / left": "size / len(pools)"},
        "share of all examples, not of those left": {"size * len(pool) / left": "size * len(pool) / len(labels)"},
        "rest to the smallest fractions": {"(share - counts).argsort(descending=True)": "(share - counts).argsort()"},
        "rest not handed out": {"counts[largest[:size - counts.sum()]] += 1": ""},
        "pools not shortened": {"pools = [pool[k:] for pool, k in zip(pools, counts)]": ""},
        "one too many taken from each pool": {"pool[:k]": "pool[:k + 1]"},
    },
    "stationary_variance": {
        "small-step form": {"curvature * (2 - lr * curvature)": "2 * curvature"},
        "curvature missing in front": {"curvature * (2 - lr * curvature)": "2 - lr * curvature"},
        "learning rate squared": {"lr * noise_variance": "lr ** 2 * noise_variance"},
        "learning rate forgotten above": {"lr * noise_variance": "noise_variance"},
        "noise variance squared": {"lr * noise_variance": "lr * noise_variance ** 2"},
        "1 for 2": {"2 - lr * curvature": "1 - lr * curvature"},
        "plus for minus": {"2 - lr * curvature": "2 + lr * curvature"},
        "bracket under the fraction forgotten": {
            "lr * noise_variance / (curvature * (2 - lr * curvature))": (
                "lr * noise_variance / curvature * (2 - lr * curvature)"
            )
        },
        "no lower limit": {"0 < lr * curvature < 2": "lr * curvature < 2"},
        "limit at 1": {"0 < lr * curvature < 2": "0 < lr * curvature < 1"},
    },
    "exponential_decay": {
        "sign in the exponent": {"-k * t": "k * t"},
        "hyperbolic decay": {"lr0 * math.exp(-k * t)": "lr0 / (1 + k * t)"},
        "k to the t": {"math.exp(-k * t)": "k ** t"},
        "t forgotten": {"-k * t": "-k"},
        "one epoch behind": {"-k * t": "-k * (t - 1)"},
        "one epoch ahead": {"-k * t": "-k * (t + 1)"},
        "lr0 forgotten": {"lr0 * math.exp(-k * t)": "math.exp(-k * t)"},
        "1 - k to the t": {"math.exp(-k * t)": "(1 - k) ** t"},
        "divided by k": {"-k * t": "-t / k"},
        "one minus": {"math.exp(-k * t)": "(1 - math.exp(-k * t))"},
    },
    "decay_constant": {
        "log10": {"math.log(lr0 / lr_end)": "math.log10(lr0 / lr_end)"},
        "log2": {"math.log(lr0 / lr_end)": "math.log2(lr0 / lr_end)"},
        "ratio upside down": {"lr0 / lr_end": "lr_end / lr0"},
        "epochs - 1": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end) / (epochs - 1)"},
        "epochs + 1": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end) / (epochs + 1)"},
        "times epochs": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end) * epochs"},
        "epochs forgotten": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end)"},
        "epochs in the logarithm": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end / epochs)"},
        "logarithm of the difference": {"lr0 / lr_end": "lr0 - lr_end"},
        "linear": {"math.log(lr0 / lr_end)": "(lr0 - lr_end)"},
    },
    "reachable_distance": {
        "the integral": {"1 - ratio": "k"},
        "sign in the exponent": {"-k": "k"},
        "first term left out": {"lr0 * grad_norm": "lr0 * ratio * grad_norm"},
        "gradient norm forgotten": {"lr0 * grad_norm": "lr0"},
        "plus for minus": {"1 - ratio": "1 + ratio"},
        "ratio - 1": {"1 - ratio": "ratio - 1"},
        "no bracket under the fraction": {"lr0 * grad_norm / (1 - ratio)": "lr0 * grad_norm / 1 - ratio"},
        "gradient norm squared": {"lr0 * grad_norm": "lr0 * grad_norm ** 2"},
        "k for the ratio": {"math.exp(-k)": "k"},
        "times for divided": {"lr0 * grad_norm / (1 - ratio)": "lr0 * grad_norm * (1 - ratio)"},
    },
    "growing_batch": {
        "shrinks with the learning rate": {"batch0 * lr0 / lr": "batch0 * lr / lr0"},
        "truncated": {"round(batch0 * lr0 / lr)": "int(batch0 * lr0 / lr)"},
        "only the ratio rounded": {"round(batch0 * lr0 / lr)": "batch0 * round(lr0 / lr)"},
        "not capped": {"min(max_batch, max(batch0, size))": "max(batch0, size)"},
        "may shrink below batch0": {"max(batch0, size)": "size"},
        "max and min exchanged": {"min(max_batch, max(batch0, size))": "max(max_batch, min(batch0, size))"},
        "only the last size": {"return sizes": "return size"},
        "lr0 forgotten": {"batch0 * lr0 / lr": "batch0 / lr"},
        "compounding": {"sizes.append(size)": "sizes.append(size)\nbatch0 = size"},
        "rounded up": {"round(batch0 * lr0 / lr)": "math.ceil(batch0 * lr0 / lr)"},
    },
    "adjust_learning_rate": {
        "attribute of the optimizer": {
            "group['lr'] = lr0 * math.exp(-k * epoch)": "optimizer.lr = lr0 * math.exp(-k * epoch)"
        },
        "compounding": {"group['lr'] = lr0 * math.exp(-k * epoch)": "group['lr'] *= math.exp(-k * epoch)"},
        "k to the epoch": {"math.exp(-k * epoch)": "k ** epoch"},
        "first group only": {"optimizer.param_groups": "optimizer.param_groups[:1]"},
        "one epoch ahead": {"-k * epoch": "-k * (epoch + 1)"},
        "one epoch behind": {"-k * epoch": "-k * (epoch - 1)"},
        "sign in the exponent": {"-k * epoch": "k * epoch"},
        "lr0 forgotten": {"lr0 * math.exp(-k * epoch)": "math.exp(-k * epoch)"},
        "epoch forgotten": {"-k * epoch": "-k"},
        "hyperbolic decay": {"lr0 * math.exp(-k * epoch)": "lr0 / (1 + k * epoch)"},
    },
    "exponential_lambda": {
        "sign in the exponent": {"-k * epoch": "k * epoch"},
        "epoch forgotten": {"-k * epoch": "-k"},
        "one epoch ahead": {"-k * epoch": "-k * (epoch + 1)"},
        "hyperbolic decay": {"math.exp(-k * epoch)": "1 / (1 + k * epoch)"},
        "k to the epoch": {"math.exp(-k * epoch)": "k ** epoch"},
        "epoch outside the exponent": {"math.exp(-k * epoch)": "math.exp(-k) * epoch"},
        "a rate, not a factor": {"math.exp(-k * epoch)": "0.1 * math.exp(-k * epoch)"},
        "k is the argument": {"lambda epoch: math.exp(-k * epoch)": "lambda k: math.exp(-k)"},
        "divided by k": {"-k * epoch": "-epoch / k"},
        "linear": {"math.exp(-k * epoch)": "1 - k * epoch"},
    },
    "warmup_cosine": {
        "starts at 0": {"(step + 1) / warmup_steps": "step / warmup_steps"},
        "warmup one step too long": {"step < warmup_steps": "step <= warmup_steps"},
        "cosine over the total": {"total_steps - warmup_steps": "total_steps"},
        "warmup not subtracted from the step": {"step - warmup_steps": "step"},
        "rises again": {
            "min(1, (step - warmup_steps) / (total_steps - warmup_steps))": (
                "(step - warmup_steps) / (total_steps - warmup_steps)"
            )
        },
        "max for min": {
            "min(1, (step - warmup_steps) / (total_steps - warmup_steps))": (
                "max(1, (step - warmup_steps) / (total_steps - warmup_steps))"
            )
        },
        "cosine rises": {"1 + math.cos(math.pi * progress)": "1 - math.cos(math.pi * progress)"},
        "not halved": {"(1 + math.cos(math.pi * progress)) / 2": "1 + math.cos(math.pi * progress)"},
        "pi forgotten": {"math.pi * progress": "progress"},
        "only the cosine halved": {"(1 + math.cos(math.pi * progress)) / 2": "1 + math.cos(math.pi * progress) / 2"},
    },
    "momentum_step": {
        "learning rate forgotten": {"lr * grad": "grad"},
        "moving average": {"lr * grad": "(1 - alpha) * lr * grad"},
        "sign of the gradient": {"alpha * delta + lr * grad": "alpha * delta - lr * grad"},
        "alpha on both": {"alpha * delta + lr * grad": "alpha * (delta + lr * grad)"},
        "alpha forgotten": {"alpha * delta": "delta"},
        "uphill": {"w - delta": "w + delta"},
        "old velocity used": {
            "delta = alpha * delta + lr * grad\nw = w - delta": "w = w - delta\ndelta = alpha * delta + lr * grad"
        },
        "learning rate once more": {"w - delta": "w - lr * delta"},
        "results exchanged": {"return (w, delta)": "return (delta, w)"},
        "plain step": {"w - delta": "w - lr * grad"},
    },
    "velocity_weights": {
        "newest first": {"torch.arange(steps - 1, -1, -1)": "torch.arange(steps)"},
        "ages from 1": {"torch.arange(steps - 1, -1, -1)": "torch.arange(steps, 0, -1)"},
        "newest left out": {"torch.arange(steps - 1, -1, -1)": "torch.arange(steps - 1, 0, -1)"},
        "one too many": {"torch.arange(steps - 1, -1, -1)": "torch.arange(steps, -1, -1)"},
        "moving average": {"alpha ** age": "(1 - alpha) * alpha ** age"},
        "1 - alpha": {"alpha ** age": "(1 - alpha) ** age"},
        "times for power": {"alpha ** age": "alpha * age"},
        "base and exponent exchanged": {"alpha ** age": "age ** alpha"},
        "made to sum to one": {"return weights": "return weights / weights.sum()"},
        "summed": {"return weights": "return weights.sum()"},
    },
    "torch_momentum_step": {
        "first step dampened": {"buf = grad": "buf = (1 - dampening) * grad"},
        "zeros at first": {"buf = grad": "buf = torch.zeros_like(grad)"},
        "learning rate in the first buffer": {"buf = grad": "buf = lr * grad"},
        "dampening for 1 - dampening": {"1 - dampening": "dampening"},
        "dampening forgotten": {"(1 - dampening) * grad": "grad"},
        "1 - momentum": {"1 - dampening": "1 - momentum"},
        "dampening on the buffer": {"momentum * buf": "momentum * (1 - dampening) * buf"},
        "no learning rate in the step": {"w - lr * buf": "w - buf"},
        "plain step": {"lr * buf": "lr * grad"},
        "gradient handed back": {"return (w, buf)": "return (w, grad)"},
    },
    "nesterov_step": {
        "gradient at w": {"grad_fn(ahead)": "grad_fn(w)"},
        "look-ahead to the wrong side": {"w - alpha * delta": "w + alpha * delta"},
        "look-ahead without alpha": {"w - alpha * delta": "w - delta"},
        "look-ahead with the learning rate": {"w - alpha * delta": "w - lr * delta"},
        "look-ahead kept": {"w = w - delta": "w = ahead - delta"},
        "learning rate forgotten": {"lr * grad": "grad"},
        "sign of the gradient": {"alpha * delta + lr * grad": "alpha * delta - lr * grad"},
        "alpha once more at the end": {"w = w - delta": "w = w - alpha * delta"},
        "look-ahead handed back": {"return (w, delta)": "return (ahead, delta)"},
        "alpha forgotten in the velocity": {"alpha * delta + lr * grad": "delta + lr * grad"},
    },
    "spectral_radius": {
        "real part": {"eigenvalues.abs()": "eigenvalues.real"},
        "real part, then absolute": {"eigenvalues.abs()": "eigenvalues.real.abs()"},
        "smallest": {"lengths.max()": "lengths.min()"},
        "mean": {"lengths.max()": "lengths.mean()"},
        "sign of alpha": {"-alpha": "alpha"},
        "divided by the curvature": {"lr * curvature": "lr / curvature"},
        "plus for minus": {"1 - lr_h": "1 + lr_h"},
        "learning rate without curvature": {"1 - lr_h": "1 - lr"},
        "learning rate without curvature in the second row": {"[lr_h, alpha]": "[lr, alpha]"},
        "singular values": {"torch.linalg.eigvals(matrix)": "torch.linalg.svdvals(matrix)"},
    },
    "best_momentum": {
        "not squared": {"ratio ** 2": "ratio"},
        "no root": {"math.sqrt(kappa)": "kappa"},
        "upside down": {"(root - 1) / (root + 1)": "(root + 1) / (root - 1)"},
        "no brackets": {"(root - 1) / (root + 1)": "root - 1 / root + 1"},
        "times two": {"ratio ** 2": "ratio * 2"},
        "root for square": {"ratio ** 2": "math.sqrt(ratio)"},
        "square for root": {"math.sqrt(kappa)": "kappa ** 2"},
        "one minus": {"ratio ** 2": "1 - ratio ** 2"},
        "divided by the root": {"root + 1": "root"},
        "kappa above, root below": {"root - 1": "kappa - 1"},
    },
    "effective_learning_rate": {
        "times for divided": {"lr / (1 - alpha)": "lr * (1 - alpha)"},
        "divided by alpha": {"1 - alpha": "alpha"},
        "plus for minus": {"1 - alpha": "1 + alpha"},
        "no brackets": {"lr / (1 - alpha)": "lr / 1 - alpha"},
        "upside down": {"lr / (1 - alpha)": "(1 - alpha) / lr"},
        "learning rate forgotten": {"lr / (1 - alpha)": "1 / (1 - alpha)"},
        "first term left out": {"lr / (1 - alpha)": "lr * alpha / (1 - alpha)"},
        "alpha - 1": {"1 - alpha": "alpha - 1"},
        "momentum ignored": {"lr / (1 - alpha)": "lr"},
        "alpha squared": {"1 - alpha": "1 - alpha ** 2"},
    },
    "gain_step": {
        "grows where signs differ": {"grad * last_grad > 0": "grad * last_grad < 0"},
        "grows at zero too": {"grad * last_grad > 0": "grad * last_grad >= 0"},
        "gradients compared": {"grad * last_grad > 0": "grad > last_grad"},
        "one gain for all": {"grad * last_grad > 0": "(grad * last_grad).sum() > 0"},
        "grows by a factor": {"gain + beta": "gain * (1 + beta)"},
        "shrinks by beta": {"gain * (1 - beta)": "gain - beta"},
        "beta for 1 - beta": {"gain * (1 - beta)": "gain * beta"},
        "old gain used": {
            "gain = torch.where(agree, grown, shrunk)\nw = w - lr * gain * grad": (
                "w = w - lr * gain * grad\ngain = torch.where(agree, grown, shrunk)"
            )
        },
        "gain not used": {"lr * gain * grad": "lr * grad"},
        "uphill": {"w - lr * gain * grad": "w + lr * gain * grad"},
    },
    "rmsprop_step": {
        "no root": {"r.sqrt()": "r"},
        "eps inside the root": {"r.sqrt() + eps": "(r + eps).sqrt()"},
        "bracket under the fraction forgotten": {"lr * grad / (r.sqrt() + eps)": "lr * grad / r.sqrt() + eps"},
        "beta and 1 - beta exchanged": {"beta * r + (1 - beta) * grad ** 2": "(1 - beta) * r + beta * grad ** 2"},
        "1 + beta": {"1 - beta": "1 + beta"},
        "not squared": {"grad ** 2": "grad"},
        "1 - beta forgotten": {"(1 - beta) * grad ** 2": "grad ** 2"},
        "old r used": {
            "r = beta * r + (1 - beta) * grad ** 2\nw = w - lr * grad / (r.sqrt() + eps)": (
                "w = w - lr * grad / (r.sqrt() + eps)\nr = beta * r + (1 - beta) * grad ** 2"
            )
        },
        "uphill": {"w - lr * grad / (r.sqrt() + eps)": "w + lr * grad / (r.sqrt() + eps)"},
        "root handed back": {"return (w, r)": "return (w, r.sqrt())"},
    },
    "find_the_bug": {
        "no root": {"r.sqrt()": "r"},
        "eps inside the root": {"r.sqrt() + eps": "(r + eps).sqrt()"},
        "eps forgotten": {"r.sqrt() + eps": "r.sqrt()"},
        "not squared": {"grad ** 2": "grad"},
        "no decay": {"beta * r": "r"},
        "beta twice": {"1 - beta": "beta"},
        "learning rate forgotten": {"lr * grad": "grad"},
        "square of the whole": {"(1 - beta) * grad ** 2": "((1 - beta) * grad) ** 2"},
        "new average under a new name": {
            "r = beta * r + (1 - beta) * grad ** 2": "r_new = beta * r + (1 - beta) * grad ** 2"
        },
        "results exchanged": {"return (w, r)": "return (r, w)"},
    },
    "first_step_size": {
        "no root": {"math.sqrt(1 - beta)": "(1 - beta)"},
        "times for divided": {"lr / math.sqrt(1 - beta)": "lr * math.sqrt(1 - beta)"},
        "beta for 1 - beta": {"1 - beta": "beta"},
        "the learning rate itself": {"lr / math.sqrt(1 - beta)": "lr"},
        "plus for minus": {"1 - beta": "1 + beta"},
        "root of beta only": {"math.sqrt(1 - beta)": "(1 - math.sqrt(beta))"},
        "learning rate forgotten": {"lr / math.sqrt(1 - beta)": "1 / math.sqrt(1 - beta)"},
        "learning rate under the root": {"lr / math.sqrt(1 - beta)": "math.sqrt(lr / (1 - beta))"},
        "upside down": {"lr / math.sqrt(1 - beta)": "math.sqrt(1 - beta) / lr"},
        "square for root": {"math.sqrt(1 - beta)": "(1 - beta) ** 2"},
    },
    "bias_correction_overshoot": {
        "upside down": {"short_m / short_r ** 0.5": "short_r ** 0.5 / short_m"},
        "no root": {"short_r ** 0.5": "short_r"},
        "root of the whole": {"short_m / short_r ** 0.5": "(short_m / short_r) ** 0.5"},
        "product": {"short_m / short_r ** 0.5": "short_m * short_r ** 0.5"},
        "no power of beta1": {"beta1 ** t": "beta1"},
        "no power of beta2": {"beta2 ** t": "beta2"},
        "beta1 twice": {"1 - beta2 ** t": "1 - beta1 ** t"},
        "one minus forgotten for m": {"1 - beta1 ** t": "beta1 ** t"},
        "one minus forgotten for r": {"1 - beta2 ** t": "beta2 ** t"},
        "t + 1": {"beta1 ** t": "beta1 ** (t + 1)"},
    },
    "adam_step": {
        "t not advanced": {"t = t + 1": ""},
        "1 - beta1 forgotten": {"(1 - beta1) * grad": "grad"},
        "beta1 and 1 - beta1 exchanged": {"beta1 * m + (1 - beta1) * grad": "(1 - beta1) * m + beta1 * grad"},
        "not squared": {"grad ** 2": "grad"},
        "1 - beta1 in r": {"1 - beta2": "1 - beta1"},
        "no power in the correction of m": {"1 - beta1 ** t": "1 - beta1"},
        "r corrected with beta1": {"1 - beta2 ** t": "1 - beta1 ** t"},
        "corrected m not used": {"lr * m_hat": "lr * m"},
        "bracket under the fraction forgotten": {
            "lr * m_hat / (r_hat.sqrt() + eps)": "lr * m_hat / r_hat.sqrt() + eps"
        },
        "corrected moments handed back": {"return (w, m, r, t)": "return (w, m_hat, r_hat, t)"},
    },
    "MyAdam": {
        "learning rate of the group ignored": {"lr = group['lr']": "lr = self.defaults['lr']"},
        "betas exchanged": {"beta1, beta2 = group['betas']": "beta2, beta1 = group['betas']"},
        "eps a constant": {"eps = group['eps']": "eps = 1e-8"},
        "stops at a missing gradient": {"continue": "break"},
        "t begins at 1": {
            "state.update(m=torch.zeros_like(p), r=torch.zeros_like(p), t=0)": (
                "state.update(m=torch.zeros_like(p), r=torch.zeros_like(p), t=1)"
            )
        },
        "not squared": {"(1 - beta2) * grad ** 2": "(1 - beta2) * grad"},
        "no power in the correction of r": {"1 - beta2 ** t": "1 - beta2"},
        "no root": {"r_hat.sqrt()": "r_hat"},
        "not in place": {"p -= lr * m_hat / (r_hat.sqrt() + eps)": "p = p - lr * m_hat / (r_hat.sqrt() + eps)"},
        "t not stored": {"state.update(m=m, r=r, t=t)": "state.update(m=m, r=r)"},
    },
    "adamw_step": {
        "decay in the gradient": {"w = w - lr * weight_decay * w": "grad = grad + weight_decay * w"},
        "decay without the learning rate": {"w - lr * weight_decay * w": "w - weight_decay * w"},
        "decay with the wrong sign": {"w - lr * weight_decay * w": "w + lr * weight_decay * w"},
        "t goes on by two": {"t + 1": "t + 2"},
        "minus in m": {"beta1 * m + (1 - beta1) * grad": "beta1 * m - (1 - beta1) * grad"},
        "1 - beta2 forgotten": {"(1 - beta2) * grad ** 2": "grad ** 2"},
        "m times its correction": {"m / (1 - beta1 ** t)": "m * (1 - beta1 ** t)"},
        "r not corrected": {"r / (1 - beta2 ** t)": "r"},
        "eps inside the root": {"r_hat.sqrt() + eps": "(r_hat + eps).sqrt()"},
        "m and r exchanged in the return": {"return (w, m, r, t)": "return (w, r, m, t)"},
    },
    "make_optimizer": {
        "sgd with 0.1": {"SGD(params, lr=0.01)": "SGD(params, lr=0.1)"},
        "momentum forgotten": {"SGD(params, lr=0.01, momentum=0.9)": "SGD(params, lr=0.01)"},
        "momentum with dampening": {
            "SGD(params, lr=0.01, momentum=0.9)": "SGD(params, lr=0.01, momentum=0.9, dampening=0.9)"
        },
        "nesterov flag forgotten": {
            "SGD(params, lr=0.01, momentum=0.9, nesterov=True)": "SGD(params, lr=0.01, momentum=0.9)"
        },
        "nesterov with 0.99": {
            "SGD(params, lr=0.01, momentum=0.9, nesterov=True)": ("SGD(params, lr=0.01, momentum=0.99, nesterov=True)")
        },
        "alpha left at its default": {"RMSprop(params, lr=0.001, alpha=0.9)": "RMSprop(params, lr=0.001)"},
        "momentum for alpha": {"RMSprop(params, lr=0.001, alpha=0.9)": "RMSprop(params, lr=0.001, momentum=0.9)"},
        "alpha is 1 - beta": {"RMSprop(params, lr=0.001, alpha=0.9)": "RMSprop(params, lr=0.001, alpha=0.1)"},
        "adam with the default rate": {"Adam(params, lr=0.0001, betas=(0.9, 0.999))": "Adam(params)"},
        "betas exchanged": {"(0.9, 0.999)": "(0.999, 0.9)"},
    },
    "to_torch_lr": {
        "divided for times": {"lr * (1 - alpha)": "lr / (1 - alpha)"},
        "alpha for 1 - alpha": {"1 - alpha": "alpha"},
        "plus for minus": {"1 - alpha": "1 + alpha"},
        "no brackets": {"lr * (1 - alpha)": "lr * 1 - alpha"},
        "learning rate forgotten": {"lr * (1 - alpha)": "1 - alpha"},
        "no difference between the forms": {"lr * (1 - alpha)": "lr"},
        "condition turned round": {"form == 'ema'": "form != 'ema'"},
        "lecture form divided too": {"return lr": "return lr / (1 - alpha)"},
        "lecture form scaled too": {"return lr": "return lr * (1 - alpha)"},
        "nothing for the lecture form": {"return lr": ""},
    },
    "best_learning_rate": {
        "best seed for mean": {"losses.mean(dim=1)": "losses.min(dim=1).values"},
        "NaN skipped in the mean": {"losses.mean(dim=1)": "losses.nanmean(dim=1)"},
        "mean over the rates": {"losses.mean(dim=1)": "losses.mean(dim=0)"},
        "failed rates kept": {"mean[~torch.isfinite(mean)] = torch.inf": ""},
        "failed rates set to 0": {"mean[~torch.isfinite(mean)] = torch.inf": "mean[~torch.isfinite(mean)] = 0"},
        "largest for smallest": {"mean.argmin()": "mean.argmax()"},
        "lower edge accepted": {"if best == 0:\n    return None": ""},
        "upper edge off by one": {"best == len(lrs) - 1": "best == len(lrs)"},
        "index handed back": {"lrs[best].item()": "best.item()"},
        "loss handed back": {"lrs[best].item()": "mean[best].item()"},
    },
}

REAL = {
    "adam_step": {
        "1 - beta without the power": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t += 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad * grad
    m_corr = m / (1 - beta1)
    r_corr = r / (1 - beta2)
    w = w - lr * m_corr / (torch.sqrt(r_corr) + eps)
    return w, m, r, t
""",
        "t counts the parameters, not the steps": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    for _ in range(w.numel()):
        t = t + 1
    m = beta1 * m + (1.0 - beta1) * grad
    r = beta2 * r + (1.0 - beta2) * grad.pow(2)
    mhat = m / (1.0 - beta1 ** t)
    rhat = r / (1.0 - beta2 ** t)
    w = w - lr * mhat / (rhat.sqrt() + eps)
    return w, m, r, t
""",
        "1 - beta1 used in r": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t = t + 1
    m = m * beta1 + (1 - beta1) * grad
    r = r * beta2 + (1 - beta1) * (grad * grad)
    mt = m / (1 - beta1 ** t)
    rt = r / (1 - beta2 ** t)
    w = w - (lr * mt) / (torch.sqrt(rt) + eps)
    return w, m, r, t
""",
        "corrected moments stored back": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t += 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * (grad ** 2)
    m = m / (1 - beta1 ** t)
    r = r / (1 - beta2 ** t)
    w = w - lr * m / (r ** 0.5 + eps)
    return w, m, r, t
""",
        "eps outside the fraction": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t += 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * torch.square(grad)
    mb = m / (1 - beta1 ** t)
    vb = r / (1 - beta2 ** t)
    w = w - lr * mb / torch.sqrt(vb) + eps
    return w, m, r, t
""",
        "state never stored": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t_new = t + 1
    m_new = beta1 * m + (1 - beta1) * grad
    r_new = beta2 * r + (1 - beta2) * grad ** 2
    m_hat = m_new / (1 - beta1 ** t_new)
    r_hat = r_new / (1 - beta2 ** t_new)
    w = w - lr * m_hat / (torch.sqrt(r_hat) + eps)
    return w, m, r, t
""",
        "t starts at two and no square": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t = t + 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad.abs()
    m_hat = m / (1 - beta1 ** (t + 1))
    r_hat = r / (1 - beta2 ** (t + 1))
    return w - lr * m_hat / (r_hat.sqrt() + eps), m, r, t
""",
        "t advanced only on the way out, guarded by one": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad ** 2
    m_hat = m / (1 - beta1 ** max(t, 1))
    r_hat = r / (1 - beta2 ** max(t, 1))
    w = w - lr * m_hat / (r_hat.sqrt() + eps)
    return w, m, r, t + 1
""",
    },
    "MyAdam": {
        "one t for all parameters, advanced per parameter": """class MyAdam(torch.optim.Optimizer):
    def __init__(self, params, lr=0.001, betas=(0.9, 0.999), eps=1e-08):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))
        self.t = 0

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                self.t += 1
                state = self.state[p]
                if len(state) == 0:
                    state["m"] = torch.zeros_like(p)
                    state["r"] = torch.zeros_like(p)
                state["m"] = b1 * state["m"] + (1 - b1) * p.grad
                state["r"] = b2 * state["r"] + (1 - b2) * p.grad ** 2
                m_hat = state["m"] / (1 - b1 ** self.t)
                r_hat = state["r"] / (1 - b2 ** self.t)
                p -= group["lr"] * m_hat / (r_hat.sqrt() + group["eps"])
""",
        "moments rebound and never written back": """class MyAdam(torch.optim.Optimizer):
    def __init__(self, params, lr=0.001, betas=(0.9, 0.999), eps=1e-08):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))

    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state["m"] = torch.zeros_like(p)
                        state["r"] = torch.zeros_like(p)
                        state["t"] = 0
                    state["t"] += 1
                    m, r, t = state["m"], state["r"], state["t"]
                    m = beta1 * m + (1 - beta1) * p.grad
                    r = beta2 * r + (1 - beta2) * p.grad ** 2
                    p -= group["lr"] * (m / (1 - beta1 ** t)) / ((r / (1 - beta2 ** t)).sqrt() + group["eps"])
""",
    },
    "adamw_step": {
        "L2 in the gradient, as in Adam": """def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    grad = grad + weight_decay * w
    t += 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad * grad
    m_hat = m / (1 - beta1 ** t)
    r_hat = r / (1 - beta2 ** t)
    w = w - lr * m_hat / (torch.sqrt(r_hat) + eps)
    return w, m, r, t
""",
        "decay after the step and without lr": """def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    t = t + 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad ** 2
    m_hat = m / (1 - beta1 ** t)
    r_hat = r / (1 - beta2 ** t)
    w = w - lr * m_hat / (r_hat.sqrt() + eps)
    w = w - weight_decay * w
    return w, m, r, t
""",
    },
    "nesterov_step": {
        "look-ahead without effect": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    w_ahead = w - alpha * delta
    g = grad_fn(w)
    delta = alpha * delta + lr * g
    return w - delta, delta
""",
        "(1 + mu) v without - mu v_old": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    g = grad_fn(w)
    v_old = delta
    delta = alpha * delta + lr * g
    w = w - (1 + alpha) * delta
    return w, delta
""",
        "look-ahead never undone": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    w = w - alpha * delta
    g = grad_fn(w)
    delta = alpha * delta + lr * g
    w = w - delta
    return w, delta
""",
        "lr applied twice": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    ahead = w - alpha * delta
    delta = alpha * delta + lr * grad_fn(ahead)
    w = w - lr * delta
    return w, delta
""",
        "2 v - v_old": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    v_old = delta
    delta = alpha * delta + lr * grad_fn(w)
    w = w - (2 * delta - v_old)
    return w, delta
""",
    },
    "momentum_step": {
        "velocity lost": """def momentum_step(w, grad, delta, lr, alpha):
    velocity = torch.zeros_like(w)
    velocity = alpha * velocity + lr * grad
    w = w - velocity
    return w, velocity
""",
        "extra plain step": """def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    w = w - lr * grad
    w = w - delta
    return w, delta
""",
        "sign of one half of v = mu v - lr g": """def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta - lr * grad
    w = w - delta
    return w, delta
""",
        "moving average, lr outside": """def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + (1 - alpha) * grad
    w = w - lr * delta
    return w, delta
""",
    },
    "rmsprop_step": {
        "no decay, as AdaGrad": """def rmsprop_step(w, grad, r, lr, beta, eps):
    r = r + grad ** 2
    w = w - lr * grad / (torch.sqrt(r) + eps)
    return w, r
""",
        "r in the numerator": """def rmsprop_step(w, grad, r, lr, beta, eps):
    r = beta * r + (1 - beta) * grad ** 2
    w = w - lr * grad * torch.sqrt(r + eps)
    return w, r
""",
        "scalar norm, one step behind": """def rmsprop_step(w, grad, r, lr, beta, eps):
    w = w - lr * grad / (r.sqrt() + eps)
    r = beta * r + (1 - beta) * grad.norm() ** 2
    return w, r
""",
        "state lost": """def rmsprop_step(w, grad, r, lr, beta, eps):
    cache = beta * r + (1 - beta) * grad ** 2
    w = w - lr * grad / (torch.sqrt(cache) + eps)
    return w, r
""",
    },
    "torch_momentum_step": {
        "first gradient counted twice": """def torch_momentum_step(w, grad, buf, lr, momentum, dampening):
    if buf is None:
        buf = grad.clone()
    buf = momentum * buf + (1 - dampening) * grad
    w = w - lr * buf
    return w, buf
"""
    },
    "exponential_lambda": {
        "an absolute rate for LambdaLR": """def exponential_lambda(k):
    lr0 = 0.01
    def rate(epoch):
        return lr0 * math.exp(-k * epoch)
    return rate
"""
    },
    "minibatches": {
        "last batch from the wrong index": """def minibatches(n, batch_size, generator):
    perm = torch.randperm(n, generator=generator)
    batches = []
    full = n // batch_size
    for b in range(full):
        batches.append(perm[b * batch_size:(b + 1) * batch_size])
    if n % batch_size:
        batches.append(perm[-batch_size:])
    return batches
"""
    },
    "gain_step": {
        "gains added to the step": """def gain_step(w, grad, last_grad, gain, lr, beta):
    same = torch.sign(grad) == torch.sign(last_grad)
    gain = torch.where(same, gain + beta, gain * (1 - beta))
    w = w - lr * (grad + gain)
    return w, gain
"""
    },
    "best_learning_rate": {
        "best seed of all, NaN not looked at": """def best_learning_rate(lrs, losses):
    best_loss = float("inf")
    best_i = 0
    for i in range(len(lrs)):
        for loss in losses[i]:
            if loss < best_loss:
                best_loss = loss
                best_i = i
    if best_i == 0 or best_i == len(lrs) - 1:
        return None
    return lrs[best_i].item()
"""
    },
}
