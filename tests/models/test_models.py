"""Every network of the registry against torchvision and the rules of the house; what `build` takes and refuses."""

import re
from collections.abc import Iterable

import pytest
import torch
from hypothesis import given, settings, strategies as st
from oracle import images, on_meta, parameters, randomised, theirs_on_meta, walk
from torch.nn import functional as F

from resnet_edu import models
from resnet_edu.errors import UnknownName

VGGS = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]
RESNETS = [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)]

#: Smallest sides that torchvision's documentation allows ("min_size"), or a little more.
SIDES = {"alexnet": 64, "googlenet": 64, **dict.fromkeys(VGGS, 32), **dict.fromkeys(RESNETS, 64)}

#: One net of each file, and of each kind where a file has two.
FAMILIES = ["lenet5", "alexnet", "vgg11", "vgg11_bn", "googlenet", "resnet18", "plain20", "resnet20"]
DEEP = {"resnet101", "resnet152", "resnet200", "plain110", "resnet110", "resnet1202"}


def slow(names: Iterable[str], *, but: Iterable[str]) -> list[object]:
    """The names as parameters; all but those of `but` are marked slow."""
    return [name if name in but else pytest.param(name, marks=pytest.mark.slow) for name in names]


def small(name: str) -> dict[str, object]:
    """Options that make the network quick to run on a 32-pixel image."""
    known = models.options(name)
    return {key: value for key, value in {"stem": "small", "width": 8}.items() if key in known}


# Oracle: torchvision


@pytest.mark.parametrize("name", [*SIDES])
def test_torchvision_has_the_same_names_and_shapes(name: str) -> None:
    ours, theirs = on_meta(name), theirs_on_meta(name)
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)


@pytest.mark.parametrize("name", slow(SIDES, but={"alexnet", "vgg11", "googlenet", "resnet18", "resnet34", "resnet50"}))
def test_logits_equal_torchvisions(name: str) -> None:
    theirs = randomised(theirs_on_meta(name)).eval()
    ours = on_meta(name)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)  # the same memory: VGG-19 has 575 MB of it
    x = images(2, 3, SIDES[name], SIDES[name])
    with torch.no_grad():
        got, expected = ours.eval()(x), theirs(x)
    assert expected.std() > 0.1, "logits that hardly differ prove nothing"
    assert not torch.allclose(got[0], got[1], rtol=0.01), "both images look the same to the net"
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", slow(["resnet18", "resnet34", "resnet50"], but={"resnet18"}))
def test_one_training_step_equals_torchvisions(name: str) -> None:
    theirs = randomised(theirs_on_meta(name, num_classes=10)).double()
    ours = on_meta(name, num_classes=10).double().to_empty(device="cpu")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x, labels = images(4, 3, 32, 32, dtype=torch.float64), torch.tensor([0, 3, 3, 9])
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    for model in (ours, theirs):
        model.train()
        F.cross_entropy(model(x), labels).backward()
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4).step()
    after = theirs.state_dict()
    for key, value in ours.state_dict().items():  # weights, running means and variances, step counters
        assert not torch.equal(value, before[key]), f"{key} did not move: nothing is compared"
        torch.testing.assert_close(value, after[key], rtol=1e-8, atol=1e-10, msg=key)


# The rules of the house: each module once, nothing in place; and the depth that the name promises


@pytest.mark.parametrize("name", slow(models.available(), but={*models.available()} - DEEP))
def test_each_module_once_and_nothing_in_place(name: str) -> None:
    options = {"aux_heads": True} if name == "googlenet" else {}
    model = on_meta(name, **options).train()
    side = 64 if "stem" in models.options(name) else 32
    seen = walk(model, torch.empty(2, 3, side, side, device="meta"))
    assert {key for key, calls in seen.calls.items() if calls != 1} == set(), "used twice"
    assert {key for key, _ in model.named_modules()} == set(seen.calls), "never used"
    assert seen.changed == []
    assert not [key for key, module in model.named_modules() if getattr(module, "inplace", False)]
    if name != "googlenet":  # whose 22 layers lie along one path of many
        digits = re.sub(r"\D", "", name)
        assert seen.layers == int({"alexnet": "8"}.get(name, digits))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    model = models.build(name, num_classes=10, **small(name))  # type: ignore[arg-type]
    model(images(4, 3, 32, 32)).square().sum().backward()
    idle = [key for key, value in model.named_parameters() if value.grad is None or value.grad.abs().max() == 0]
    assert idle == []


# What every net takes


@pytest.mark.parametrize("name", slow([name for name in models.available() if name != "resnet1202"], but=FAMILIES))
def test_channels_classes_and_heads(name: str) -> None:
    grey = torch.empty(2, 1, 32, 32, device="meta")
    assert on_meta(name, num_classes=7, in_channels=1, **small(name))(grey).shape == (2, 7)
    logits = on_meta(name, heads={"digit": 10, "parity": 2}, in_channels=1, **small(name))(grey)
    assert {head: value.shape for head, value in logits.items()} == {"digit": (2, 10), "parity": (2, 2)}


@given(
    name=st.sampled_from([name for name in FAMILIES if name != "lenet5"]),
    size=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(16, 70), st.integers(16, 70)),
    num_classes=st.integers(1, 20),
)
@settings(max_examples=15, deadline=None)
def test_any_shape_that_fits_gives_one_row_of_logits_an_image(
    name: str, size: tuple[int, int, int, int], num_classes: int
) -> None:
    model = on_meta(name, num_classes=num_classes, in_channels=size[1], **small(name))
    assert model(torch.empty(size, device="meta")).shape == (size[0], num_classes)


@pytest.mark.parametrize(
    ("name", "options", "side"),
    [
        ("alexnet", {"stem": "imagenet"}, 63),
        ("alexnet", {"stem": "small"}, 7),
        ("vgg19_bn", {"stem": "imagenet"}, 32),
        ("vgg19_bn", {"stem": "small"}, 16),
        ("googlenet", {"stem": "imagenet"}, 15),
        ("googlenet", {"stem": "small"}, 2),
        ("resnet20", {}, 4),
    ],
)
def test_smallest_side_passes_and_one_less_is_refused(name: str, options: dict[str, object], side: int) -> None:
    model = on_meta(name, **options).eval()
    model(torch.empty(1, 3, side, side, device="meta"))
    with pytest.raises(ValueError, match=f"at least {side} pixels. Load the data with size={side} or more") as error:
        model(torch.empty(1, 3, 100, side - 1, device="meta"))
    assert ("stem='small'" in str(error.value)) == (options.get("stem") == "imagenet")


@pytest.mark.parametrize("name", FAMILIES)
def test_images_of_another_shape_are_refused(name: str) -> None:
    model = on_meta(name, **small(name))
    with pytest.raises(ValueError, match=r"shape \(3, 32, 32\), but expects \(N, C, H, W\).*images\[None\]"):
        model(torch.empty(3, 32, 32, device="meta"))
    with pytest.raises(ValueError, match=r"built for 3 channel\(s\). Build it with in_channels=1 or .*channels=3"):
        model(torch.empty(2, 1, 32, 32, device="meta"))


# What `build` takes


def test_names_and_options() -> None:
    names = models.available()
    firsts = [names.index(name) for name in ("lenet5", "alexnet", "vgg11", "googlenet", "resnet18", "plain20")]
    assert firsts == sorted(firsts), "names come in the order of the course"
    assert len(names) == len(set(names)) == 28
    assert parameters(on_meta("vgg11_bn")) == 132_868_840  # of those without a fact
    assert models.options("resnet20") == {
        "shortcut": "A", "width": 16, "num_classes": 10, "in_channels": 3, "heads": None,
    }  # fmt: skip
    for name in FAMILIES:  # the defaults shown are the defaults used
        assert str(on_meta(name, **models.options(name))) == str(on_meta(name))
    assert all(hasattr(models, name) for name in models.__all__)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnt34", {}, "Unknown model 'resnt34'. Did you mean 'resnet34'? Known: alexnet, "),
        (34, {}, "Unknown model 34"),
        ("resnet18", {"sterm": 1}, "Unknown option of resnet18 'sterm'. Did you mean 'stem'?"),
        ("resnet20", {"stem": 1}, "Unknown option of resnet20 'stem'"),
        ("plain20", {"shortcut": 1}, "Known: heads, in_channels, num_classes, width."),
        ("vgg16", {"batch_norm": 1}, "Unknown option of vgg16 'batch_norm'"),
        ("lenet5", {"depth": 1}, "Known: heads, in_channels, num_classes, version."),
        ("resnet50", {"blocks": 1}, "Known: heads, in_channels, num_classes, stem, width."),
    ],
)
def test_names_that_do_not_exist(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UnknownName, match=re.escape(message)):
        models.build(name, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"stem": "imagnet"}, "stem must be 'imagenet' or 'small', got 'imagnet'."),
        ("alexnet", {"stem": None}, "stem must be 'imagenet' or 'small', got None."),
        ("alexnet", {"dropout": 1.5}, "dropout must be a number from 0 to 1, got 1.5."),
        ("vgg11", {"dropout": "0.5"}, "dropout must be a number from 0 to 1, got '0.5'."),
        ("vgg11", {"width": 0}, "width must be a whole number of at least 1, got 0."),
        ("googlenet", {"width": 12}, "width must be a multiple of 8, got 12."),
        ("googlenet", {"aux_heads": "no"}, "aux_heads must be True or False, got 'no'."),
        ("googlenet", {"transform_input": True, "in_channels": 1}, "three colour channels, got in_channels=1."),
        ("resnet20", {"shortcut": "D"}, "shortcut must be 'A', 'B' or 'C', got 'D'."),
        ("resnet20", {"width": 8.0}, "width must be a whole number of at least 1, got 8.0."),
        ("lenet5", {"version": 1998}, "version must be '1998' or 'modern', got 1998."),
        *((name, {"num_classes": 0}, "num_classes must be a whole number of at least 1, got 0.") for name in FAMILIES),
        *((name, {"in_channels": True}, "in_channels must be a whole number") for name in FAMILIES),
        ("resnet18", {"heads": {}}, "heads must map at least one name to its classes"),
        ("resnet18", {"num_classes": 10, "heads": {"digit": 10}}, "not both"),
    ],
)
def test_values_that_are_not_allowed(name: str, options: dict[str, object], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=re.escape(message)):
        models.build(name, **options)  # type: ignore[arg-type]
