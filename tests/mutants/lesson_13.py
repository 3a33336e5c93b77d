"""Answers to the exercises of lesson 13 on gradients and on the bottleneck."""

import torch

from resnet_edu import checks

from . import Exercise


def average_gradients(gradients, sizes):
    total = sum(sizes)
    shares = [size / total for size in sizes]
    return [
        sum(share * each for share, each in zip(shares, same, strict=True)) for same in zip(*gradients, strict=True)
    ]


def average_gradients_stub(gradients, sizes):
    raise NotImplementedError("not yet")


def with_stack(gradients, sizes):
    """Right as well: a weighted mean along a new first dimension."""
    shares = torch.tensor(sizes) / sum(sizes)
    return tuple(torch.tensordot(shares, torch.stack(same), dims=1) for same in zip(*gradients, strict=True))


def weighted(weight):
    """Process i counts `weight(sizes)[i]`."""

    def wrong(gradients, sizes):
        weights = weight(sizes)
        return [sum(w * each for w, each in zip(weights, same, strict=True)) for same in zip(*gradients, strict=True)]

    return wrong


def halves(gradients, sizes):
    mean = gradients[0]
    for more in gradients[1:]:
        mean = [(a + b) / 2 for a, b in zip(mean, more, strict=True)]
    return list(mean)


def largest(gradients, sizes):
    return list(gradients[sizes.index(max(sizes))])


def in_place(gradients, sizes):
    for of, size in zip(gradients, sizes, strict=True):
        for each in of:
            each *= size / sum(sizes)
    return [sum(same) for same in zip(*gradients, strict=True)]


def by_process(gradients, sizes):
    return [sum(of_one.sum() for of_one in of) for of in gradients]


def numbers(gradients, sizes):
    return [torch.as_tensor(each).mean().item() for each in average_gradients(gradients, sizes)]


def flattened(gradients, sizes):
    return [torch.as_tensor(each).flatten() for each in average_gradients(gradients, sizes)]


GRADIENTS = Exercise(
    checks.check_average_gradients,
    average_gradients,
    average_gradients_stub,
    [
        (weighted(lambda sizes: [1 / len(sizes)] * len(sizes)), "right for equal shares only"),
        (weighted(lambda sizes: [1] * len(sizes)), "You add the gradients up"),
        (weighted(lambda sizes: sizes), "do not divide by the number of all images"),
        (weighted(lambda sizes: [size / len(sizes) for size in sizes]), "divide by the number of processes"),
        (weighted(lambda sizes: [1 / sum(sizes)] * len(sizes)), "The gradients are means already"),
        (weighted(lambda sizes: [1 / size for size in sizes]), "divide each gradient by its number of images"),
        (weighted(lambda s: [1 / size / sum(1 / each for each in s) for size in s]), "upside down"),
        (halves, "the last one counts half"),
        (lambda gradients, sizes: list(gradients[0]), "of the first process alone"),
        (largest, "of the largest share alone"),
        (in_place, "instead of `a += b`"),
        (by_process, "Expected 3 tensors"),
        (numbers, "is among them"),
        (flattened, "Expected a gradient of shape"),
    ],
    others=(with_stack,),
)


def find_bottleneck(seconds, workers, batch_size):
    between = {name: seconds[name] / workers[name] for name in seconds}
    stage = max(between, key=lambda name: between[name])
    return stage, batch_size / between[stage]


def find_bottleneck_stub(seconds, workers, batch_size):
    raise NotImplementedError("not yet")


def by_speed(seconds, workers, batch_size):
    """Right as well: the lowest speed."""
    return min(((name, batch_size * workers[name] / seconds[name]) for name in seconds), key=lambda pair: pair[1])


def chosen(key, time=lambda s, w: s / w, pick=max):
    """Another rule for the stage, or for its seconds."""

    def wrong(seconds, workers, batch_size):
        stage = pick(seconds, key=lambda name: key(seconds[name], workers[name]))
        return stage, batch_size / time(seconds[stage], workers[stage])

    return wrong


def other_rate(rate):
    """The right stage with another number: `rate(seconds between batches of each stage, batch size)`."""

    def wrong(seconds, workers, batch_size):
        stage, _ = find_bottleneck(seconds, workers, batch_size)
        return stage, rate([seconds[name] / workers[name] for name in seconds], batch_size)

    return wrong


def at(index):
    def wrong(seconds, workers, batch_size):
        stage = list(seconds)[index]
        return stage, batch_size * workers[stage] / seconds[stage]

    return wrong


BOTTLENECK = Exercise(
    checks.check_bottleneck_stage,
    find_bottleneck,
    find_bottleneck_stub,
    [
        (chosen(lambda s, w: s, lambda s, w: s), "The workers have no effect"),
        (chosen(lambda s, w: s), "by the seconds of one worker"),
        (chosen(lambda s, w: s / w, lambda s, w: s), "Its speed is that of one worker"),
        (chosen(lambda s, w: s * w), "You choose by seconds times workers"),
        (chosen(lambda s, w: s * w, lambda s, w: s * w), "You multiply seconds by workers"),
        (chosen(lambda s, w: s / w, pick=min), "You name the fastest stage"),
        (chosen(lambda s, w: -w), "with the fewest workers"),
        (other_rate(lambda between, n: n / sum(between)), "as if each waited for the others"),
        (
            other_rate(lambda between, n: sum(n / each for each in between) / len(between)),
            "the mean of the stages' speeds",
        ),
        (other_rate(lambda between, n: n / min(between)), "the speed is that of the fastest"),
        (other_rate(lambda between, n: 1 / max(between)), "batches a second"),
        (other_rate(lambda between, n: max(between) / n), "seconds an image"),
        (other_rate(lambda between, n: max(between)), "seconds a batch"),
        (at(0), "the first stage of the table"),
        (at(-1), "the last stage of the table"),
        (lambda seconds, workers, batch_size: find_bottleneck(seconds, workers, batch_size)[0], "Expected a pair"),
        (lambda seconds, workers, batch_size: find_bottleneck(seconds, workers, batch_size)[::-1], "Expected the name"),
    ],
    others=(by_speed,),
)

EXERCISES = [GRADIENTS, BOTTLENECK]
