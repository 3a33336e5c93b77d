"""Weights that come from somewhere else: found, checked, announced. torchvision is the oracle, the server is ours."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from packaging.version import Version
from PIL import Image
from safetensors.torch import save_file
from served import Served, serving
from torch import Tensor
from torchvision import models as theirs
from torchvision.transforms import v2

from resnet_edu import data, files, models, predict
from resnet_edu.data.pictures import read_photo
from resnet_edu.errors import DatasetUnavailable, UnknownName, WrongCheckpoint
from resnet_edu.models import available, detected_box, normalisation, pretrained
from resnet_edu.models.pretrained import (
    BUNDLED,
    DETECTOR,
    SURE,
    PhotoTransforms,
    fetch_imagenet,
    imagenet_download,
    imagenet_file,
    imagenet_names,
    imagenet_state,
    imagenet_weights,
)

Publish = Callable[..., str]
FILE = f"{BUNDLED['resnet18']}.safetensors"


def saved(state: object, *, zipped: bool = True) -> bytes:
    """A checkpoint as torchvision publishes it: torch.save's zip format, or the one before PyTorch 1.6."""
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.fixture(scope="module")
def checkpoint() -> bytes:
    """torchvision's ResNet-18 with random weights."""
    torch.manual_seed(0)
    return saved(theirs.resnet18().state_dict())


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of checkpoints, torch.hub's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("RESNET_EDU_DOWNLOAD", raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def publish(server: Served, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Makes some bytes the published weights of a network; returns the file's name, with the hash's beginning."""

    def publish(content: bytes, name: str = "resnet18", prefix: str | None = None) -> str:
        file = f"{name}-{prefix or hashlib.sha256(content).hexdigest()[:8]}.pth"
        server.files[file] = content
        monkeypatch.setattr(imagenet_weights(name).value, "url", f"{server.url}/models/{file}")
        return file

    return publish


def logits(model: torch.nn.Module, *, side: int = 64) -> Tensor:
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.eval()(images)


# Pictures to tensors


@settings(max_examples=20)
@given(
    width=st.integers(8, 200), height=st.integers(8, 200), size=st.sampled_from([8, 33, 64]), seed=st.integers(0, 99)
)
def test_photos_are_transformed_as_by_torchvision(width: int, height: int, size: int, seed: int) -> None:
    mean, std = (0.49, 0.48, 0.44), (0.24, 0.25, 0.26)
    scaled = v2.ToDtype(torch.float32, scale=True)
    frame = v2.Resize(size, antialias=True), v2.CenterCrop(size)
    compose = v2.Compose([v2.ToImage(), *frame, scaled, v2.Normalize(list(mean), list(std)), v2.ToPureTensor()])
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))
    ours = PhotoTransforms(size, mean, std)
    # torchvision 0.21 resizes in floating point and then rounds, which moves some pixels by one of 256 values.
    off = 1.01 / 255 / min(std) if Version(version("torchvision")) < Version("0.29") else 0.0
    torch.testing.assert_close(ours(picture), compose(picture), rtol=0, atol=off)


@pytest.mark.parametrize("size", [(40, 30), (64, 64), (2000, 9)])
def test_transforms_say_by_what_they_normalise(size: tuple[int, int]) -> None:
    for transforms in (
        PhotoTransforms(16, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)),
        imagenet_weights("resnet18").transforms(),
    ):
        mean, std = normalisation(transforms)
        white = transforms(Image.new("RGB", size, "white"))
        torch.testing.assert_close(white[:, 5, 5], (1 - torch.tensor(mean)) / torch.tensor(std))


# The weights in this package


@pytest.fixture
def other_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An assets folder of our own, with a card for the weights and no weights; the path these would have."""
    monkeypatch.setattr(files, "assets", lambda: tmp_path)
    (tmp_path / "weights").mkdir()
    card = {"classes": ["a", "b"], "size": 64, "mean": [0.5] * 3, "std": [0.2] * 3, "summary": "two classes"}
    (tmp_path / "weights" / FILE).with_suffix(".json").write_text(json.dumps(card))
    return tmp_path / "weights" / FILE


def test_the_bundled_network_names_the_cat_and_is_small() -> None:
    network = pretrained("resnet18")
    assert network.source.startswith("resnet18, bundled weights: ")
    assert not network.model.training
    (prediction,) = predict(network, [data.photo("cat")], top=3)
    assert prediction.top[0][0] == "Egyptian cat"
    assert (files.assets() / "weights" / FILE).stat().st_size < 23e6
    card = json.loads((files.assets() / "weights" / FILE).with_suffix(".json").read_text())
    assert {"classes", "size", "mean", "std", "summary", "accuracy", "right_by_class", "stages"} <= set(card)


def test_weights_saved_in_half_precision_come_back_as_float32(other_assets: Path) -> None:
    state = models.build("resnet18", num_classes=2).half().state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, other_assets)
    network = pretrained("resnet18", source="bundled")
    assert {parameter.dtype for parameter in network.model.parameters()} == {torch.float32}
    assert torch.equal(network.model.state_dict()["conv1.weight"], state["conv1.weight"].float())
    assert network.categories == ("a", "b")


def test_files_that_are_missing_damaged_or_of_another_net(other_assets: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=f"{FILE} is missing: install the package again"):
        pretrained("resnet18", source="bundled")
    other_assets.write_bytes(b"not safetensors at all")
    with pytest.raises(WrongCheckpoint, match="is damaged"):
        pretrained("resnet18", source="bundled")
    state = models.build("resnet34", num_classes=2).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, other_assets)
    with pytest.raises(WrongCheckpoint, match=r"do not fit resnet18: .* Unexpected"):
        pretrained("resnet18", source="bundled")


def test_names_that_do_not_exist() -> None:
    for source in ("auto", "imagenet"):
        for name in ("resnet20", "resnet81", "mobilenet_v2"):
            with pytest.raises(UnknownName, match=f"Unknown pretrained network '{name}'"):
                pretrained(name, source=source)  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="Did you mean 'bundled'"):
        pretrained("resnet18", source="bundle")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="bundled network 'vgg16'"):
        pretrained("vgg16", source="bundled")


# torchvision's


def test_downloaded_cached_found_again_offline_and_equal_to_torchvisions(
    server: Served, publish: Publish, checkpoint: bytes, hub: Path
) -> None:
    file = publish(checkpoint)
    ours = pretrained("resnet18", source="imagenet")
    assert [path.name for path in hub.iterdir() if path.suffix != ".lock"] == [file]
    assert (hub / file).read_bytes() == checkpoint
    assert ours.source == f"resnet18, ImageNet weights of torchvision ({file}, in the cache)"
    assert (len(ours.categories), ours.categories[281], ours.model.training) == (1000, "tabby", False)
    server.statuses = [500] * 9  # from now on nothing can be had there
    reference = logits(theirs.resnet18(weights="IMAGENET1K_V1"))  # reads the file we cached
    for source in ("auto", "imagenet"):
        assert torch.allclose(logits(pretrained("resnet18", source=source).model), reference, atol=1e-5)  # type: ignore[arg-type]
    assert "bundled" in pretrained("resnet18", source="bundled").source
    assert server.requests == [file]


def test_googlenet_converts_its_input_and_leaves_out_the_auxiliary_heads(publish: Publish) -> None:
    net = theirs.googlenet(init_weights=False)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)  # so that the logits depend on the images
    state = {key: value for key, value in net.state_dict().items() if "num_batches_tracked" not in key}
    assert any(key.startswith("aux1.") for key in state)
    publish(saved(state), "googlenet")
    assert fetch_imagenet("googlenet")
    ours, reference = pretrained("googlenet").model, theirs.googlenet(weights="IMAGENET1K_V1")
    assert torch.allclose(logits(ours), logits(reference), rtol=1e-3, atol=1e-5)
    reference.transform_input = False
    assert not torch.allclose(logits(ours), logits(reference), rtol=0.1, atol=1e-2)


def test_files_older_than_the_zip_format_are_read(publish: Publish, checkpoint: bytes) -> None:
    state = torch.load(io.BytesIO(checkpoint), weights_only=True)
    publish(saved(state, zipped=False))
    pretrained(source="imagenet")
    assert all(torch.equal(state[key], value) for key, value in imagenet_state("resnet18").items())


def test_our_addresses_and_hashes_are_torchvisions(hub: Path) -> None:
    assert imagenet_names() == [name for name in available() if hasattr(theirs, name)]
    for name in imagenet_names():
        file, download = imagenet_file(name), imagenet_download(name)
        assert file == hub / download.name
        assert download.urls == (imagenet_weights(name).url,)
        assert file.name.endswith(f"-{str(download.digest).removeprefix('sha256:')}.pth")
    assert imagenet_download("resnet18").digest == "sha256:f37072fd"


def test_nothing_is_downloaded_unless_it_is_asked_for(
    server: Served, publish: Publish, checkpoint: bytes, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(checkpoint)
    why = f"{file} is not cached; while online, run: resnet-edu fetch resnet18"
    assert pretrained("resnet18").source.endswith(f". Not ImageNet's: {why}")
    with pytest.raises(DatasetUnavailable, match=r"is not cached; while online, run: resnet-edu fetch vgg16$"):
        pretrained("vgg16")
    assert server.requests == []
    assert not hub.exists()
    monkeypatch.setenv("RESNET_EDU_DOWNLOAD", "1")
    assert "ImageNet weights of torchvision" in pretrained("resnet18").source


def test_allowed_and_not_reachable_is_the_bundled_network_and_says_why(
    publish: Publish, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(checkpoint)
    monkeypatch.setenv("RESNET_EDU_DOWNLOAD", "1")
    monkeypatch.setattr(imagenet_weights("resnet18").value, "url", "http://127.0.0.1:9/resnet18-01234567.pth")
    assert "Not ImageNet's: resnet18-01234567.pth cannot be had: http://127.0.0.1:9/resnet" in pretrained().source
    with pytest.raises(DatasetUnavailable, match=r"Connection refused.*Are you online\?.*--mirror"):
        pretrained("resnet18", source="imagenet")


# Damage


def test_a_damaged_file_is_refused_and_fetched_again(
    server: Served, publish: Publish, checkpoint: bytes, hub: Path
) -> None:
    file = hub / publish(checkpoint)
    fetch_imagenet("resnet18")
    content = bytearray(checkpoint)
    content[len(content) // 2] ^= 1
    for damaged in (bytes(content), checkpoint[:-1], b""):
        file.write_bytes(damaged)
        for source in ("auto", "imagenet"):
            with pytest.raises(WrongCheckpoint, match=r"is damaged .* was not read\. .* resnet-edu fetch resnet18$"):
                pretrained("resnet18", source=source)  # type: ignore[arg-type]
    assert len(server.requests) == 1
    assert fetch_imagenet("resnet18")
    assert file.read_bytes() == checkpoint


# The detector


def detector(*, finds: bool) -> bytes:
    """The real architecture with random weights, saved as torchvision does: without batch norm's counters.

    Random scores of 91 classes are all low, so nothing is found; a bias for one class makes it find something.
    """
    torch.manual_seed(0)
    state = theirs.detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None).state_dict()
    if finds:
        state["roi_heads.box_predictor.cls_score.bias"][17] = 8.0
    return saved({key: value for key, value in state.items() if "num_batches_tracked" not in key})


@pytest.mark.slow
def test_it_finds_what_torchvisions_finds(publish: Publish, server: Served) -> None:
    publish(detector(finds=True), DETECTOR)
    fetch_imagenet(DETECTOR)
    picture = read_photo(data.photo("cat"))
    net = theirs.detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights="COCO_V1").eval()
    with torch.inference_mode():
        (found,) = net([v2.functional.to_dtype(v2.functional.to_image(picture), torch.float32, scale=True)])
    assert found["scores"][0] > SURE
    assert detected_box(picture) == pytest.approx(found["boxes"][0].tolist(), abs=1e-2)
    publish(detector(finds=False), DETECTOR)
    fetch_imagenet(DETECTOR)
    assert detected_box(picture) is None


def test_without_its_weights_the_error_names_the_command(publish: Publish, server: Served) -> None:
    publish(saved(theirs.squeezenet1_1().state_dict()), DETECTOR)
    with pytest.raises(DatasetUnavailable, match=f"While online, run: resnet-edu fetch {DETECTOR}$"):
        detected_box(Image.new("RGB", (64, 64)))
    assert server.requests == []
    fetch_imagenet(DETECTOR)
    with pytest.raises(WrongCheckpoint, match=f"do not fit {DETECTOR}"):
        detected_box(Image.new("RGB", (64, 64)))
