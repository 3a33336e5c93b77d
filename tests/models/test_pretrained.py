"""Weights that come from somewhere else: found, checked, announced."""

import json
import random
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch
from hypothesis import given, settings, strategies as st
from packaging.version import Version
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import v2

from resnet_edu import data, files, models, predict
from resnet_edu.data.pictures import read_photo
from resnet_edu.errors import DatasetUnavailable, UnknownName, WrongCheckpoint
from resnet_edu.models import pretrained
from resnet_edu.models.imagenet import imagenet_file, imagenet_weights
from resnet_edu.models.pretrained import PhotoTransforms

BUNDLED = files.assets() / "weights" / "resnet18_cifar10.safetensors"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A torch hub folder without any weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch"


@pytest.fixture
def other_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An assets folder of our own, with a card for the weights and no weights."""
    monkeypatch.setattr(files, "assets", lambda: tmp_path)
    (tmp_path / "weights").mkdir()
    card = {"classes": ["a", "b"], "size": 64, "mean": [0.5] * 3, "std": [0.2] * 3, "summary": "two classes"}
    (tmp_path / "weights" / "resnet18_cifar10.json").write_text(json.dumps(card))
    return tmp_path / "weights" / "resnet18_cifar10.safetensors"


@settings(max_examples=30)
@given(
    width=st.integers(8, 200), height=st.integers(8, 200), size=st.sampled_from([8, 33, 64]), seed=st.integers(0, 99)
)
def test_photos_are_transformed_as_by_torchvision(width: int, height: int, size: int, seed: int) -> None:
    mean, std = (0.49, 0.48, 0.44), (0.24, 0.25, 0.26)
    theirs = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(size, antialias=True),
            v2.CenterCrop(size),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(mean), list(std)),
            v2.ToPureTensor(),
        ]
    )
    pixels = np.random.default_rng(seed).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    pictures = [Image.fromarray(each) for each in pixels]
    ours = PhotoTransforms(size, mean, std)
    expected = torch.stack([theirs(picture) for picture in pictures])
    # torchvision 0.21 resizes in floating point and then rounds, which moves some pixels by one of 256 values.
    older = Version(version("torchvision")) < Version("0.29")
    off = 1.01 / 255 / min(std) if older else 0.0
    torch.testing.assert_close(ours.together(pictures), expected, rtol=0, atol=off)
    assert torch.equal(ours(pictures[0]), ours.together(pictures)[0])


def test_the_bundled_network_names_the_cat(empty_cache: Path) -> None:
    network = pretrained("resnet18")
    assert network.source.startswith("resnet18, bundled weights: CIFAR-10 (JPEG copy)")
    assert not network.model.training
    (prediction,) = predict(network, [data.photo("cat")], top=3)
    assert prediction.top[0][0] == "cat"


def test_the_bundled_file_is_small_and_half_precision() -> None:
    assert BUNDLED.stat().st_size < 23e6
    card = json.loads(BUNDLED.with_suffix(".json").read_text())
    assert {"classes", "size", "mean", "std", "summary", "test_error", "stages"} <= set(card)


def test_weights_saved_in_half_precision_come_back_as_float32(other_assets: Path, empty_cache: Path) -> None:
    state = models.build("resnet18", num_classes=2).half().state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, other_assets)
    network = pretrained("resnet18", source="bundled")
    assert {parameter.dtype for parameter in network.model.parameters()} == {torch.float32}
    assert torch.equal(network.model.state_dict()["conv1.weight"], state["conv1.weight"].float())
    assert network.categories == ("a", "b")


def test_bundled_can_be_forced_past_the_cache(empty_cache: Path) -> None:
    imagenet_file("resnet18").parent.mkdir(parents=True)
    imagenet_file("resnet18").touch()
    assert "bundled" in pretrained("resnet18", source="bundled").source


def test_offline_it_takes_less_than_a_second(empty_cache: Path) -> None:
    seconds = []
    for _ in range(3):
        started = time.process_time()  # what this process used, whatever else the machine does
        pretrained("resnet18")
        seconds.append(time.process_time() - started)
    assert min(seconds) < 1


def test_imagenet_without_a_network_says_what_to_do(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet_weights("resnet18").value, "url", "http://127.0.0.1:9/resnet18-f37072fd.pth")
    with pytest.raises(DatasetUnavailable, match=r"cannot be reached .* Are you online"):
        pretrained("resnet18", source="imagenet")


def test_names_that_do_not_exist(empty_cache: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'resnet18'"):
        pretrained("resnet81")
    with pytest.raises(UnknownName, match="Did you mean 'bundled'"):
        pretrained("resnet18", source="bundle")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="bundled network 'vgg16'"):
        pretrained("vgg16", source="bundled")


def test_files_that_are_missing_damaged_or_of_another_net(other_assets: Path, empty_cache: Path) -> None:
    with pytest.raises(DatasetUnavailable, match="is missing from this installation"):
        pretrained("resnet18", source="bundled")
    other_assets.write_bytes(b"not safetensors at all")
    with pytest.raises(WrongCheckpoint, match="is damaged"):
        pretrained("resnet18", source="bundled")
    state = models.build("resnet34", num_classes=2).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, other_assets)
    with pytest.raises(WrongCheckpoint, match="resnet34"):
        pretrained("resnet18", source="bundled")


JPEG_COPY = platformdirs.user_cache_path("resnet-edu") / "cifar10-jpeg"


@pytest.mark.slow
@pytest.mark.skipif(not JPEG_COPY.is_dir(), reason="the JPEG copy of CIFAR-10 is not on this machine")
def test_the_bundled_weights_have_the_error_their_card_states(empty_cache: Path) -> None:
    network = pretrained("resnet18", source="bundled")
    card = json.loads(BUNDLED.with_suffix(".json").read_text())
    files = [
        (path, label) for label, name in enumerate(card["classes"]) for path in (JPEG_COPY / "test" / name).iterdir()
    ]
    files = random.Random(0).sample(files, 2000)
    wrong = 0
    for start in range(0, len(files), 250):
        part = files[start : start + 250]
        images = torch.stack([network.transforms(read_photo(path)) for path, _ in part])
        with torch.inference_mode():
            wrong += int((network.model(images).argmax(dim=1) != torch.tensor([label for _, label in part])).sum())
    assert 100 * wrong / len(files) == pytest.approx(card["test_error"]["64"], abs=2.5)  # 2,000 images: ± 0.8
