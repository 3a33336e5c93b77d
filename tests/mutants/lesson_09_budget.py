"""Answers to the exercise of lesson 09 on choosing a net under a budget."""

from resnet_edu import checks

from . import Exercise

Nets = dict[str, tuple[float, float, float]]


def choose_net(nets: Nets, gmacs: float, million: float) -> str | None:
    fitting = [name for name, (_, macs, size) in nets.items() if macs <= gmacs and size <= million]
    return min(fitting, key=lambda name: nets[name][0], default=None)


def choose_net_stub(nets: Nets, gmacs: float, million: float) -> str | None:
    raise NotImplementedError("not yet")


def sorted_first(nets: Nets, gmacs: float, million: float) -> str | None:
    """Right as well: go through the table by error."""
    for name, (_, macs, size) in sorted(nets.items(), key=lambda item: item[1]):
        if macs <= gmacs and size <= million:
            return name
    return None


def chosen(fits, key=lambda net: net[0], pick=min):
    """Another rule of what fits, or of what is best."""

    def wrong(nets, gmacs, million):
        names = [name for name, net in nets.items() if fits(net, gmacs, million)]
        return pick(names, key=lambda name: key(nets[name])) if names else None

    return wrong


def within(net, gmacs, million):
    return net[1] <= gmacs and net[2] <= million


def place(index):
    def wrong(nets, gmacs, million):
        names = [name for name, net in nets.items() if within(net, gmacs, million)]
        return names[index] if names else None

    return wrong


def raises_when_nothing_fits(nets, gmacs, million):
    return min((name for name in nets if within(nets[name], gmacs, million)), key=lambda name: nets[name][0])


def smallest_when_nothing_fits(nets, gmacs, million):
    return choose_net(nets, gmacs, million) or min(nets, key=lambda name: nets[name][1])


def the_error(nets, gmacs, million):
    return min((net for net in nets.values() if within(net, gmacs, million)), default=(None,))[0]


BUDGET = Exercise(
    checks.check_choose_net,
    choose_net,
    choose_net_stub,
    [
        (chosen(lambda net, g, p: True), "whatever it costs"),
        (chosen(lambda net, g, p: net[1] <= g), "The parameters have no effect"),
        (chosen(lambda net, g, p: net[2] <= p), "The multiply-adds have no effect"),
        (chosen(lambda net, g, p: net[1] <= g or net[2] <= p), "keeps one of the budgets"),
        (chosen(lambda net, g, p: net[1] < g and net[2] < p), "compare with `<=`"),
        (chosen(lambda net, g, p: net[1] <= p and net[2] <= g), "The two budgets are swapped"),
        (chosen(within, pick=max), "You take the largest error"),
        (chosen(within, lambda net: net[1], max), "with the most multiply-adds that fits"),
        (chosen(within, lambda net: net[2], max), "with the most parameters that fits"),
        (chosen(within, lambda net: net[1]), "with the fewest multiply-adds"),
        (chosen(within, lambda net: net[2]), "with the fewest parameters"),
        (place(0), "the first net that fits"),
        (place(-1), "the last net that fits"),
        (raises_when_nothing_fits, "Return None then"),
        (smallest_when_nothing_fits, "Expected None"),
        (the_error, "Expected the name of a net or None"),
        (lambda nets, gmacs, million: "resnet50", "is no net of the table"),
        (lambda nets, gmacs, million: list(nets)[2], "Nets: "),
    ],
    others=(sorted_first,),
)

EXERCISES = [BUDGET]
