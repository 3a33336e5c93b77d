"""Every network of the registry against torchvision, the published counts and the rules of the house."""

from collections.abc import Iterable, Iterator

import pytest
import torch
from hypothesis import given, settings, strategies as st
from oracle import images, on_meta, parameters, randomised, theirs_on_meta, walk
from torch import nn
from torch.nn import functional as F

from resnet_edu import models

VGGS = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]
RESNETS = [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)]
CIFAR_DEPTHS = (20, 32, 44, 56, 110, 1202)
IMAGENET = ["alexnet", *VGGS, "googlenet", *RESNETS, "resnet200"]
CIFAR = [f"{kind}{depth}" for depth in CIFAR_DEPTHS for kind in ("plain", "resnet") if (kind, depth) != ("plain", 1202)]

#: Smallest sides that torchvision's documentation allows ("min_size"), or a little more.
SIDES = {"alexnet": 64, "googlenet": 64, **dict.fromkeys(VGGS, 32), **dict.fromkeys(RESNETS, 64)}

#: Parameters with 1000 classes (10 for CIFAR nets and LeNet-5) and three channels: torchvision's Weights.meta, and
#: He et al. 2015, table 6, which rounds (0.27M, 0.46M, 0.66M, 0.85M, 1.7M, 19.4M).
COUNTS = {
    "lenet5": 61_706 + 2 * 6 * 25,  # two more input channels
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "googlenet": 6_624_904,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet200": 64_673_832,
    **dict.fromkeys(("plain20", "resnet20"), 269_722),
    **dict.fromkeys(("plain32", "resnet32"), 464_154),
    **dict.fromkeys(("plain44", "resnet44"), 658_586),
    **dict.fromkeys(("plain56", "resnet56"), 853_018),
    **dict.fromkeys(("plain110", "resnet110"), 1_727_962),
    "resnet1202": 19_421_274,
}


#: One net of each file, and of each kind where a file has two.
FAMILIES = ["lenet5", "alexnet", "vgg11", "vgg11_bn", "googlenet", "resnet18", "plain20", "resnet20"]


def slow(names: Iterable[str], *, but: Iterable[str]) -> list[object]:
    """The names as parameters; all but those of `but` are marked slow."""
    return [name if name in but else pytest.param(name, marks=pytest.mark.slow) for name in names]


DEEP = {"resnet101", "resnet152", "resnet200", "plain110", "resnet110", "resnet1202"}
SHALLOW = {*models.available()} - DEEP


def small(name: str) -> dict[str, object]:
    """Options that make the network quick to run on a 32-pixel image."""
    known = models.options(name)
    return {key: value for key, value in {"stem": "small", "width": 8}.items() if key in known}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors on busy cores: threads that wait for each other cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# Oracle: torchvision


@pytest.mark.parametrize("name", [*SIDES])
def test_torchvision_has_the_same_names_and_shapes(name: str) -> None:
    ours, theirs = on_meta(name), theirs_on_meta(name)
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs.load_state_dict(on_meta(name).state_dict(), strict=True, assign=True)


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


@pytest.mark.parametrize("name", slow(["resnet18", "resnet34", "resnet50"], but={"resnet18", "resnet50"}))
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
    expected_gradients = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected_gradients[key].grad, rtol=1e-8, atol=1e-10, msg=key)
    after = theirs.state_dict()
    for key, value in ours.state_dict().items():  # weights, running means and variances, step counters
        assert not torch.equal(value, before[key]), f"{key} did not move: nothing is compared"
        torch.testing.assert_close(value, after[key], rtol=1e-8, atol=1e-10, msg=key)


# Published numbers


def test_every_name_has_a_published_count() -> None:
    assert set(models.available()) == set(COUNTS)
    assert models.available()[0] == "lenet5"


@pytest.mark.parametrize("name", slow(COUNTS, but={*COUNTS} - {"resnet1202"}))
def test_parameters(name: str) -> None:
    assert parameters(on_meta(name)) == COUNTS[name]


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_plain_and_residual_nets_have_the_same_weights(depth: int) -> None:
    plain, residual = on_meta(f"plain{depth}").state_dict(), on_meta(f"resnet{depth}").state_dict()
    assert {key: value.shape for key, value in plain.items()} == {key: value.shape for key, value in residual.items()}


# The rules of the house: each module once, nothing in place; and the depth that the name promises


@pytest.mark.parametrize("name", slow(models.available(), but=SHALLOW))
def test_each_module_once_and_nothing_in_place(name: str) -> None:
    options = {"aux_heads": True} if name == "googlenet" else {}
    model = on_meta(name, **options).train()
    seen = walk(model, torch.empty(2, 3, *((32, 32) if name not in IMAGENET else (64, 64)), device="meta"))
    assert {key for key, calls in seen.calls.items() if calls != 1} == set(), "used twice"
    assert {key for key, _ in model.named_modules()} == set(seen.calls), "never used"
    assert seen.changed == []
    assert not [key for key, module in model.named_modules() if getattr(module, "inplace", False)]
    if name not in ("alexnet", "googlenet", "lenet5"):
        assert seen.layers == int("".join(digit for digit in name if digit.isdigit()))


def test_the_walk_finds_what_it_looks_for() -> None:
    seen = walk(theirs_on_meta("resnet18"), torch.empty(2, 3, 64, 64, device="meta"))
    assert seen.calls["layer1.0.relu"] == 2
    assert {"bn1", "layer1.0.bn1", "layer1.0.bn2"} <= set(seen.changed)


@pytest.mark.parametrize(("name", "layers"), [("lenet5", 5), ("alexnet", 8)])
def test_layers_of_nets_without_a_number(name: str, layers: int) -> None:
    assert (
        walk(on_meta(name), torch.empty(1, 3, *((32, 32) if name == "lenet5" else (224, 224)), device="meta")).layers
        == layers
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_gets_a_gradient_and_outputs_stay_as_they_were(name: str) -> None:
    torch.manual_seed(0)
    model = models.build(name, num_classes=10, **small(name))  # type: ignore[arg-type]
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    for module in model.modules():
        if not [*module.children()]:
            module.register_forward_hook(lambda module, args, out: kept.append((out, out.detach().clone())))  # type: ignore[attr-defined]
    model(images(4, 3, 32, 32)).square().sum().backward()
    assert all(torch.equal(output, copy) for output, copy in kept)
    idle = [key for key, value in model.named_parameters() if value.grad is None or value.grad.abs().max() == 0]
    assert idle == []


# Options that every net has


@pytest.mark.parametrize("name", slow([name for name in models.available() if name != "resnet1202"], but=FAMILIES))
def test_channels_classes_and_heads(name: str) -> None:
    grey = torch.empty(2, 1, 32, 32, device="meta")
    assert on_meta(name, num_classes=7, in_channels=1, **small(name))(grey).shape == (2, 7)
    model = on_meta(name, heads={"digit": 10, "parity": 2}, in_channels=1, **small(name))
    logits = model(grey)
    assert {head: value.shape for head, value in logits.items()} == {"digit": (2, 10), "parity": (2, 2)}


@given(
    name=st.sampled_from(["alexnet", "vgg11", "vgg11_bn", "googlenet", "resnet18", "plain20", "resnet20"]),
    size=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(16, 70), st.integers(16, 70)),
    num_classes=st.integers(1, 20),
)
@settings(max_examples=15, deadline=None)
def test_any_shape_that_fits_gives_one_row_of_logits_an_image(
    name: str, size: tuple[int, int, int, int], num_classes: int
) -> None:
    model = on_meta(name, num_classes=num_classes, in_channels=size[1], **small(name))
    assert model(torch.empty(size, device="meta")).shape == (size[0], num_classes)


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "vgg19_bn", "googlenet", "resnet18", "resnet50"])
@pytest.mark.parametrize(("stem", "side"), [("imagenet", 224), ("small", 28), ("small", 32), ("small", 64)])
def test_stems_take_the_sides_they_are_for(name: str, stem: str, side: int) -> None:
    model = on_meta(name, stem=stem)
    assert model(torch.empty(1, 3, side, side, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize(
    ("name", "stem", "side"),
    [
        ("alexnet", "imagenet", 63),
        ("alexnet", "small", 7),
        ("vgg19_bn", "imagenet", 32),
        ("vgg19_bn", "small", 16),
        ("googlenet", "imagenet", 15),
        ("googlenet", "small", 2),
        ("resnet20", None, 4),
    ],
)
def test_smallest_side_passes_and_one_less_is_refused(name: str, stem: str | None, side: int) -> None:
    model = on_meta(name, **({} if stem is None else {"stem": stem})).eval()
    model(torch.empty(1, 3, side, side, device="meta"))
    with pytest.raises(ValueError, match=f"at least {side} pixels. Load the data with size={side} or more") as error:
        model(torch.empty(1, 3, 100, side - 1, device="meta"))
    assert ("stem='small'" in str(error.value)) == (stem == "imagenet")


# Bad input


@pytest.mark.parametrize("name", FAMILIES)
def test_images_of_another_shape_are_refused(name: str) -> None:
    model = on_meta(name, **small(name))
    with pytest.raises(ValueError, match=r"shape \(3, 32, 32\), but expects \(N, C, H, W\).*images\[None\]"):
        model(torch.empty(3, 32, 32, device="meta"))
    with pytest.raises(ValueError, match=r"built for 3 channel\(s\). Build it with in_channels=1 or .*channels=3"):
        model(torch.empty(2, 1, 32, 32, device="meta"))


def test_all_is_complete() -> None:
    assert all(hasattr(models, name) for name in models.__all__)
    assert all(issubclass(type(models.build(name)), nn.Module) for name in ("lenet5", "resnet20"))
