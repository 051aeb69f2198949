"""Figures with their spread, as tables show them."""

from statistics import median


class Spread:
    """The figures of several rounds."""

    def __init__(self, values):
        self.values = list(values)
        self.median = median(self.values)
        self.min, self.max = min(self.values), max(self.values)

    @classmethod
    def ratio(cls, ours, theirs):
        """Divides round by round: noise that lasts longer than a round affects both."""
        return cls([a / b for a, b in zip(ours, theirs)])

    def text(self, digits=1):
        """Returns the median, and the least and the most if there are several figures."""
        middle, least, most = (f"{v:,.{digits}f}" for v in (self.median, self.min, self.max))
        return middle if least == most else f"{middle} ({least}–{most})"


def of(samples, figure):
    """Returns the spread of a figure in samples: the name of a field, or a function."""
    return Spread(values(samples, figure))


def values(samples, figure):
    take = figure if callable(figure) else lambda sample: sample[figure]
    return [take(sample) for sample in samples]


def ratio(ours, theirs, figure):
    return Spread.ratio(values(ours, figure), values(theirs, figure))


def mebibytes(field):
    return lambda sample: sample[field] / 1024


def milliseconds(field):
    return lambda sample: sample[field] * 1000


def cpu(sample):
    return sample["user_seconds"] + sample["system_seconds"]


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
