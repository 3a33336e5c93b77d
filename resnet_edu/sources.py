"""Where the numbers of `facts.py` were printed, and how a number is kept with its source."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where a number was printed."""

    text: str
    link: str

    def __str__(self) -> str:
        """As it is cited in a lesson."""
        return f"{self.text}, {self.link}"


@dataclass(frozen=True)
class Fact:
    """One quoted number. `plus_minus` is the standard deviation over runs, where the source gives one."""

    value: float
    unit: str
    source: Source
    plus_minus: float | None = None
    note: str = ""

    def __str__(self) -> str:
        """The number with its spread, unit and note: `6.61 ± 0.16 %`."""
        decimals = len(f"{self.plus_minus:g}".partition(".")[2]) if self.plus_minus is not None else None
        number = f"{self.value:,.{decimals}f}" if decimals is not None else f"{self.value:,g}"
        number = f"{self.value:,}" if isinstance(self.value, int) else number
        spread = "" if self.plus_minus is None else f" ± {self.plus_minus:g}"
        unit = f" {self.unit}" if self.unit else ""
        note = f" ({self.note})" if self.note else ""
        return f"{number}{spread}{unit}{note}"


LECUN_1998 = Source("LeCun, Bottou, Bengio, Haffner 1998", "http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf")
KRIZHEVSKY_2012 = Source(
    "Krizhevsky, Sutskever, Hinton 2012",
    "https://papers.nips.cc/paper_files/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
)
KRIZHEVSKY_2014 = Source("Krizhevsky 2014, One weird trick", "https://arxiv.org/abs/1404.5997")
SIMONYAN_2014 = Source("Simonyan, Zisserman 2014", "https://arxiv.org/abs/1409.1556")
SZEGEDY_2014 = Source("Szegedy et al. 2014", "https://arxiv.org/abs/1409.4842")
SZEGEDY_2015 = Source("Szegedy et al. 2015, Rethinking the Inception architecture", "https://arxiv.org/abs/1512.00567")
GLOROT_2010 = Source("Glorot, Bengio 2010", "https://proceedings.mlr.press/v9/glorot10a.html")
PASCANU_2013 = Source("Pascanu, Mikolov, Bengio 2013", "https://arxiv.org/abs/1211.5063")
HE_2015_RECTIFIERS = Source(
    "He, Zhang, Ren, Sun 2015, Delving deep into rectifiers", "https://arxiv.org/abs/1502.01852"
)
BALDUZZI_2017 = Source("Balduzzi et al. 2017", "https://arxiv.org/abs/1702.08591")
YANG_2019 = Source("Yang et al. 2019", "https://arxiv.org/abs/1902.08129")
HE_2015 = Source("He, Zhang, Ren, Sun 2015", "https://arxiv.org/abs/1512.03385")
HE_2016 = Source("He, Zhang, Ren, Sun 2016", "https://arxiv.org/abs/1603.05027")
RUSSAKOVSKY_2015 = Source("Russakovsky et al. 2015", "https://arxiv.org/abs/1409.0575")
GOYAL_2017 = Source("Goyal et al. 2017", "https://arxiv.org/abs/1706.02677")
ILSVRC = Source("ILSVRC results pages", "https://image-net.org/challenges/LSVRC/")
NABLA = Source("nabla0001/resnet on GitHub, 5 runs", "https://github.com/nabla0001/resnet")
WOOYEOL = Source("wooyeolBaek on GitHub, 1 run", "https://github.com/wooyeolBaek")
AKAMASTER = Source(
    "akamaster/pytorch_resnet_cifar10 on GitHub, best of test",
    "https://github.com/akamaster/pytorch_resnet_cifar10",
)
ALAM_2021 = Source("Alam et al. 2021", "https://arxiv.org/abs/2010.00170")
TORCHVISION = Source("torchvision, Weights.meta", "https://docs.pytorch.org/vision/stable/models.html")
KERAS_LISTING = Source(
    "DeepLearning.AI, Convolutional Neural Networks, assignment on residual networks",
    "https://www.coursera.org/learn/convolutional-neural-networks",
)
BY_CONSTRUCTION = Source("counted on the network itself", "https://arxiv.org/abs/1512.03385")


def table(values: dict[str, float], unit: str, source: Source) -> dict[str, Fact]:
    """One fact a name, all from one source."""
    return {name: Fact(value, unit, source) for name, value in values.items()}
