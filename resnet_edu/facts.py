"""Every number the course quotes from somewhere else, each with its source. Lessons and README read them here.

What can be computed (parameters, multiply-adds) is computed again in a test.
"""

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
        number = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:,g}"
        if self.plus_minus is not None:
            decimals = len(f"{self.plus_minus:g}".partition(".")[2])
            number = f"{self.value:,.{decimals}f} ± {self.plus_minus:g}"
        note = f"({self.note})" if self.note else ""
        return " ".join(filter(None, (number, self.unit, note)))


LECUN_1998 = Source("LeCun, Bottou, Bengio, Haffner 1998", "http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf")
KRIZHEVSKY_2012 = Source(
    "Krizhevsky, Sutskever, Hinton 2012",
    "https://papers.nips.cc/paper_files/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
)
KRIZHEVSKY_2014 = Source("Krizhevsky 2014, One weird trick", "https://arxiv.org/abs/1404.5997")
SIMONYAN_2014 = Source("Simonyan, Zisserman 2014", "https://arxiv.org/abs/1409.1556")
SZEGEDY_2014 = Source("Szegedy et al. 2014", "https://arxiv.org/abs/1409.4842")
SZEGEDY_2015 = Source("Szegedy et al. 2015, Rethinking the Inception architecture", "https://arxiv.org/abs/1512.00567")
YANG_2019 = Source("Yang et al. 2019", "https://arxiv.org/abs/1902.08129")
HE_2015 = Source("He, Zhang, Ren, Sun 2015", "https://arxiv.org/abs/1512.03385")
HE_2016 = Source("He, Zhang, Ren, Sun 2016", "https://arxiv.org/abs/1603.05027")
RUSSAKOVSKY_2015 = Source("Russakovsky et al. 2015", "https://arxiv.org/abs/1409.0575")
HUANG_2016 = Source("Huang, Sun, Liu, Sedra, Weinberger 2016", "https://arxiv.org/abs/1603.09382")
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


def from_one_source(values: dict[str, float], unit: str, source: Source) -> dict[str, Fact]:
    """A fact by name for each of the values."""
    return {name: Fact(value, unit, source) for name, value in values.items()}


#: Trainable parameters; 1,000 classes and three channels but for LeNet-5 (10 and 1) and the CIFAR nets (10 and 3).
PARAMETERS: dict[str, Fact] = {
    "lenet5": Fact(61_706, "parameters", LECUN_1998, note="with C3 fully connected"),
    **from_one_source(
        {
            "alexnet": 61_100_840, "vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544,
            "vgg19": 143_667_240, "vgg11_bn": 132_868_840, "vgg13_bn": 133_053_736, "vgg16_bn": 138_365_992,
            "vgg19_bn": 143_678_248, "googlenet": 6_624_904,
            "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
            "resnet152": 60_192_808,
        },
        "parameters",
        TORCHVISION,
    ),
    **from_one_source(
        {
            "resnet200": 64_673_832, "resnet20": 269_722, "resnet32": 464_154, "resnet44": 658_586,
            "resnet56": 853_018, "resnet110": 1_727_962,
        },
        "parameters",
        BY_CONSTRUCTION,
    ),
}  # fmt: skip

#: GoogLeNet with its two auxiliary classifiers.
GOOGLENET_WITH_AUXILIARY = Fact(13_004_888, "parameters", TORCHVISION)

#: What GoogLeNet's authors say of it: sections 1, 5 and 7 and table 3 of the paper, section 1 of the one of 2015.
GOOGLENET_BUDGET = Fact(1.5, "billion multiply-adds", SZEGEDY_2014)
GOOGLENET_LAYERS = Fact(22, "layers", SZEGEDY_2014, note="with parameters, along one path")
GOOGLENET_FEWER_THAN_ALEXNET = Fact(12, "times fewer parameters than AlexNet", SZEGEDY_2014)
GOOGLENET_MILLION_PARAMETERS = Fact(5, "million parameters", SZEGEDY_2015)
GOOGLENET_AUXILIARY_WEIGHT = Fact(0.3, "", SZEGEDY_2014, note="of each auxiliary loss")

#: Multiply-adds of one 224×224 image, in 10⁹.
GMACS = from_one_source(
    {
        "alexnet": 0.714, "vgg11": 7.609, "vgg13": 11.308, "vgg16": 15.470, "vgg19": 19.632, "googlenet": 1.498,
        "resnet18": 1.814, "resnet34": 3.664, "resnet50": 4.089, "resnet101": 7.801, "resnet152": 11.514,
    },
    "GMACs",
    TORCHVISION,
)  # fmt: skip

#: Simonyan, Zisserman 2014, table 2 and table 3: top-1 and top-5 error, validation set, one scale (S = Q = 256).
VGG_MILLION_PARAMETERS = from_one_source(
    {"vgg11": 133, "vgg13": 133, "vgg16": 138, "vgg19": 144}, "million", SIMONYAN_2014
)
VGG_TOP1 = from_one_source({"vgg11": 29.6, "vgg13": 28.7, "vgg16": 27.0, "vgg19": 27.3}, "%", SIMONYAN_2014)
VGG_TOP5 = from_one_source({"vgg11": 10.4, "vgg13": 9.9, "vgg16": 8.8, "vgg19": 9.0}, "%", SIMONYAN_2014)
VGG_INIT_VARIANCE = Fact(0.01, "", SIMONYAN_2014, note="section 3.1")

#: ImageNet accuracy of torchvision's IMAGENET1K_V1 weights, one centre crop: top-1 and top-5 in percent.
TORCHVISION_ACCURACY = {
    name: (Fact(top1, "%", TORCHVISION), Fact(top5, "%", TORCHVISION))
    for name, (top1, top5) in {
        "alexnet": (56.522, 79.066), "vgg11": (69.020, 88.628), "vgg13": (69.928, 89.246), "vgg16": (71.592, 90.382),
        "vgg19": (72.376, 90.876), "vgg11_bn": (70.370, 89.810), "vgg13_bn": (71.586, 90.374),
        "vgg16_bn": (73.360, 91.516), "vgg19_bn": (74.218, 91.842),
        "googlenet": (69.778, 89.530), "resnet18": (69.758, 89.078), "resnet34": (73.314, 91.420),
        "resnet50": (76.130, 92.862), "resnet101": (77.374, 93.546), "resnet152": (78.312, 94.046),
    }.items()
}  # fmt: skip

#: CIFAR-10 test error in percent, He et al. 2015, table 6.
HE_CIFAR10 = {
    **from_one_source(
        {"resnet20": 8.75, "resnet32": 7.51, "resnet44": 7.17, "resnet56": 6.97, "resnet1202": 7.93}, "%", HE_2015
    ),
    "resnet110": Fact(6.61, "%", HE_2015, plus_minus=0.16, note="best 6.43"),
}

#: Parameters of the CIFAR nets as table 6 of He et al. 2015 prints them, in millions.
HE_MILLION_PARAMETERS = from_one_source(
    {"resnet20": 0.27, "resnet32": 0.46, "resnet44": 0.66, "resnet56": 0.85, "resnet110": 1.7, "resnet1202": 19.4},
    "million parameters",
    HE_2015,
)

#: Training error of ResNet-1202 on CIFAR-10, section 4.2: an upper bound.
HE_RESNET1202_TRAINING_ERROR = Fact(0.1, "%", HE_2015, note="or less")

#: Training steps on CIFAR-10, section 4.2.
HE_CIFAR10_STEPS = Fact(64_000, "steps", HE_2015)

#: CIFAR-10 test error in percent, as others found it with about 200 epochs.
RERUNS_CIFAR10: dict[str, dict[str, Fact]] = {
    "nabla0001": {
        "plain20": Fact(9.78, "%", NABLA, 0.13), "plain56": Fact(12.95, "%", NABLA, 0.22),
        "resnet20": Fact(8.51, "%", NABLA, 0.22), "resnet56": Fact(7.40, "%", NABLA, 0.27),
        "resnet110": Fact(7.14, "%", NABLA, 0.20),
    },
    "wooyeolBaek": from_one_source(
        {"plain20": 9.74, "plain32": 10.41, "plain44": 11.73, "plain56": 11.86, "resnet20": 9.18, "resnet56": 7.10},
        "%",
        WOOYEOL,
    ),
    "akamaster": from_one_source({"resnet20": 8.27, "resnet56": 6.61}, "%", AKAMASTER),
}  # fmt: skip

#: ImageNet validation, 10-crop, top-1 error in percent: He et al. 2015, tables 2 and 3.
HE_IMAGENET_10CROP = from_one_source(
    {
        "plain18": 27.94, "resnet18": 27.88, "plain34": 28.54, "resnet34 A": 25.03, "resnet34 B": 24.52,
        "resnet34 C": 24.19, "resnet50": 22.85, "resnet101": 21.75, "resnet152": 21.43, "vgg16": 28.07,
    },
    "%",
    HE_2015,
)  # fmt: skip

#: Training on ImageNet, sections 3.4 and 4.
IMAGENET_IMAGES = Fact(1_280_000, "training images", HE_2015)
HE_IMAGENET_BATCH = Fact(256, "images", HE_2015, note="section 3.4")
HE_IMAGENET_RATE = Fact(0.1, "", HE_2015, note="section 3.4, at the start")

#: ResNet-50 on ImageNet with many GPUs: abstract of Goyal et al. 2017, and its section 2.2 on the warm-up.
GOYAL_BATCH = Fact(8_192, "images", GOYAL_2017)
GOYAL_GPUS = Fact(256, "GPUs", GOYAL_2017)
GOYAL_HOURS = Fact(1, "hour", GOYAL_2017)
GOYAL_EFFICIENCY = Fact(90, "%", GOYAL_2017, note="about, from 8 to 256 GPUs")
GOYAL_WARMUP = Fact(5, "epochs", GOYAL_2017)

#: Multiply-adds as He et al. 2015 print them, table 1, in 10⁹; the stride in the first 1×1 convolution of a bottleneck.
HE_GMACS = from_one_source(
    {"resnet18": 1.8, "resnet34": 3.6, "resnet50": 3.8, "resnet101": 7.6, "resnet152": 11.3}, "GMACs", HE_2015
)

#: Single-crop top-1 error on ImageNet at 320 pixels, blocks of 2015 and of 2016: He et al. 2016, table 5.
HE_2016_IMAGENET = from_one_source(
    {"resnet152 2015": 21.3, "resnet152 2016": 21.1, "resnet200 2015": 21.8, "resnet200 2016": 20.7}, "%", HE_2016
)

#: What Keras prints for a ResNet-50 with six classes.
KERAS_RESNET50 = from_one_source(
    {"trainable": 23_546_886, "non-trainable": 53_120, "total": 23_600_006}, "parameters", KERAS_LISTING
)

#: LeNet-5's test error on MNIST in percent.
LENET5_TEST_ERROR = Fact(0.95, "%", LECUN_1998)
LENET5_TEST_ERROR_DISTORTIONS = Fact(0.8, "%", LECUN_1998, note="with distorted training images")

#: Top-5 error of each year's winner of ILSVRC in percent; 2014 has two famous entries.
ILSVRC_TOP5 = {
    "2010": Fact(28.2, "%", ILSVRC),
    "2011": Fact(25.8, "%", ILSVRC),
    "2012 AlexNet": Fact(16.4, "%", KRIZHEVSKY_2012, note="15.3 with pre-training on the 2011 release"),
    "2013": Fact(11.7, "%", ILSVRC),
    "2014 VGG": Fact(7.3, "%", SIMONYAN_2014),
    "2014 GoogLeNet": Fact(6.67, "%", SZEGEDY_2014),
    "2015 ResNet": Fact(3.57, "%", HE_2015, note="ensemble"),
}
ALEXNET_TOP5_ENSEMBLE = Fact(15.3, "%", KRIZHEVSKY_2012, note="seven nets, two of them pre-trained on the 2011 release")
ALEXNET_TOP5_SINGLE = Fact(18.2, "%", KRIZHEVSKY_2012, note="one net, validation set")
ALEXNET_TOP5_FIVE = Fact(16.4, "%", KRIZHEVSKY_2012, note="five nets, table 2")
ALEXNET_RUNNER_UP_TOP5 = Fact(26.2, "%", KRIZHEVSKY_2012, note="second-best entry of 2012")
ALEXNET_2010_TOP5 = Fact(17.0, "%", KRIZHEVSKY_2012, note="another data set: ILSVRC-2010, test images")

#: AlexNet in numbers, as the paper prints them.
ALEXNET_MILLION_PARAMETERS = Fact(60, "million parameters", KRIZHEVSKY_2012, note="abstract, rounded")
ALEXNET_CROPS = Fact(
    2_048, "images for one", KRIZHEVSKY_2012, note="section 4.1: 224-pixel crops of 256 pixels, mirrored"
)

#: How AlexNet was trained: sections 2 and 5, most of it "roughly".
ALEXNET_RECIPE = {
    "training images": Fact(1_200_000, "images", KRIZHEVSKY_2012),
    "epochs": Fact(90, "epochs", KRIZHEVSKY_2012),
    "days": Fact(6, "days", KRIZHEVSKY_2012, note="five to six, on two GTX 580"),
    "batch": Fact(128, "images", KRIZHEVSKY_2012),
    "rate": Fact(0.01, "", KRIZHEVSKY_2012, note="at the start"),
    "momentum": Fact(0.9, "", KRIZHEVSKY_2012),
    "weight decay": Fact(0.0005, "", KRIZHEVSKY_2012),
}

#: How many more parameters the one-tower AlexNet has than the net of 2012.
ALEXNET_ONE_TOWER_MORE = Fact(0.2, "%", KRIZHEVSKY_2014, note="more parameters than the two towers")
RESNET152_TOP5_SINGLE = Fact(4.49, "%", HE_2015, note="one net, validation set")
HUMAN_TOP5 = Fact(5.1, "%", RUSSAKOVSKY_2015, note="one trained annotator")

#: Section 4.1 of He et al. 2015, on why the deeper plain net is worse.
HE_ON_GRADIENTS = "we argue that this optimization difficulty is unlikely to be caused by vanishing gradients"

#: CIFAR-10 test error in percent by depth, the block of 2015 and the pre-activation block: He et al. 2016, table 3.
HE_2016_ORIGINAL = from_one_source({"resnet110": 6.61, "resnet164": 5.93, "resnet1001": 7.61}, "%", HE_2016)
HE_2016_PREACTIVATION = from_one_source({"resnet110": 6.37, "resnet164": 5.46, "resnet1001": 4.92}, "%", HE_2016)

#: CIFAR-10 test error in percent of a ResNet-110 with augmentation: Huang et al. 2016, table 1.
STOCHASTIC_DEPTH = from_one_source({"constant depth": 6.41, "stochastic depth": 5.25}, "%", HUANG_2016)

#: Standard deviation of AlexNet's initial weights, section 5.
ALEXNET_INIT_STD = Fact(0.01, "", KRIZHEVSKY_2012, note="every layer")

#: Growth of the gradient norm in wide ReLU nets with batch norm, a layer, towards the first: √(π / (π − 1)).
BATCH_NORM_RELU_GROWTH = Fact(1.211, "a layer", YANG_2019, note="√(π / (π − 1))")

#: Classes of the three targets of the Bengali graphemes.
BENGALI_CLASSES = from_one_source({"root": 168, "vowel": 11, "consonant": 7}, "classes", ALAM_2021)
