"""Crop to the object, with torchvision's detector from a real kind of checkpoint; torchvision is the oracle."""

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from served import Served, serving
from torchvision import models as theirs
from torchvision.transforms.v2 import functional as T

from resnet_edu import data
from resnet_edu.data.pictures import View, box_around, centre_box, read_photo
from resnet_edu.errors import DatasetUnavailable, WrongCheckpoint
from resnet_edu.models.detector import SURE, detected_box
from resnet_edu.models.imagenet import DETECTOR, imagenet_file, imagenet_weights
from resnet_edu.tools import cli

Publish = Callable[[bytes], str]


def checkpoint(*, finds: bool) -> bytes:
    """The real architecture with random weights, saved as torchvision does: without batch norm's counters.

    Random scores of 91 classes are all low, so nothing is found; a bias for one class makes it find something.
    """
    torch.manual_seed(0)
    state = theirs.detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None).state_dict()
    if finds:
        state["roi_heads.box_predictor.cls_score.bias"][17] = 8.0
    file = io.BytesIO()
    torch.save({key: value for key, value in state.items() if "num_batches_tracked" not in key}, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def finding() -> bytes:
    return checkpoint(finds=True)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server, and caches that are empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "sets"))
    with serving() as served:
        yield served


@pytest.fixture
def publish(server: Served, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Makes some bytes the detector's published weights; returns the file's name."""

    def publish(content: bytes) -> str:
        file = f"{DETECTOR}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        server.files[file] = content
        monkeypatch.setattr(imagenet_weights(DETECTOR).value, "url", f"{server.url}/models/{file}")
        return file

    return publish


def fetch() -> None:
    assert cli.run(["fetch", DETECTOR]) == 0


# Oracle: torchvision


def test_fetched_by_the_command_it_finds_what_torchvisions_finds(
    publish: Publish, finding: bytes, server: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    file = publish(finding)
    fetch()
    assert capsys.readouterr().out == f"{DETECTOR}: now in {imagenet_file(DETECTOR)}\n"
    server.statuses = [500] * 9  # from now on nothing can be had there
    picture = read_photo(data.photo("cat"))
    net = theirs.detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights="COCO_V1").eval()
    with torch.inference_mode():
        (found,) = net([T.to_dtype(T.to_image(picture), torch.float32, scale=True)])
    assert found["scores"][0] > SURE
    assert detected_box(picture) == pytest.approx(found["boxes"][0].tolist(), abs=1e-2)
    assert server.requests == [(file, None)]

    ours = View(48, 32, crop="objects").fit(picture)
    box = box_around(tuple(found["boxes"][0].tolist()), picture.size, (48, 32))
    expected = picture.resize((48, 32), Image.Resampling.BILINEAR, box=box)
    assert abs(torch.from_numpy(ours.copy()).int() - T.pil_to_tensor(expected).permute(1, 2, 0).int()).max() <= 1
    assert View(48, 32, 1, crop="objects").fit(picture).shape == (32, 48, 1)


def test_where_nothing_is_found_it_is_the_centre(publish: Publish) -> None:
    publish(checkpoint(finds=False))
    fetch()
    picture = read_photo(data.photo("coffee"))
    assert detected_box(picture) is None
    for channels in (1, 3):
        found, centre = (View(40, 24, channels, crop=crop).fit(picture) for crop in ("objects", "center"))
        assert (found == centre).all()


def test_a_folder_is_cropped_to_its_objects(publish: Publish, finding: bytes, tmp_path: Path) -> None:
    publish(finding)
    fetch()
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    for number in range(6):
        read_photo(data.photo("cat")).resize((90 + number, 60)).save(tmp_path / "pets" / "cat" / f"{number}.png")
    loaded = data.load(tmp_path / "pets", size=16, crop="objects")
    assert "crop objects" in loaded.source
    view = View(16, 16, crop="objects")
    expected = {view.of(path).transpose(2, 0, 1).tobytes() for path in (tmp_path / "pets").glob("*/*.png")}
    assert {
        image.numpy().tobytes() for part in (loaded.train, loaded.val, loaded.test) for image in part.images
    } == expected


# Bad input


def test_without_weights_one_error_names_the_command(server: Served, tmp_path: Path) -> None:
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(tmp_path / "pets" / "cat" / f"{number}.png")
    for work in (
        lambda: detected_box(Image.new("RGB", (64, 64))),
        lambda: data.load(tmp_path / "pets", crop="objects"),
    ):
        with pytest.raises(DatasetUnavailable, match=f"While online, run: resnet-edu fetch {DETECTOR}$"):
            work()
    assert server.requests == []


def test_weights_that_are_damaged_or_of_another_net_are_refused(publish: Publish, server: Served) -> None:
    file = io.BytesIO()
    torch.save(theirs.squeezenet1_1().state_dict(), file)
    publish(file.getvalue())
    fetch()
    with pytest.raises(WrongCheckpoint, match=f"do not fit {DETECTOR}"):
        detected_box(Image.new("RGB", (64, 64)))
    imagenet_file(DETECTOR).write_bytes(b"something else")
    with pytest.raises(WrongCheckpoint, match=f"was not read. Get it anew: resnet-edu fetch {DETECTOR}"):
        detected_box(Image.new("RGB", (64, 64)))


# The box


@pytest.mark.parametrize(
    ("thing", "frame", "box"),
    [
        ((40, 30, 60, 50), (10, 10), (40, 30, 60, 50)),  # it has the proportions
        ((40, 30, 60, 40), (10, 10), (40, 25, 60, 45)),  # grown above and below
        ((40, 30, 50, 50), (10, 10), (35, 30, 55, 50)),  # and to the sides
        ((0, 30, 10, 50), (10, 10), (0, 30, 20, 50)),  # moved back into the picture
        ((90, 0, 100, 40), (20, 10), (20, 0, 100, 40)),
        ((5, 10, 95, 50), (10, 10), (20, 0, 80, 60)),  # the picture is too low for it
    ],
)
def test_the_part_around_a_thing(thing: Any, frame: tuple[int, int], box: Any) -> None:
    assert box_around(thing, (100, 60), frame) == pytest.approx(box)


def test_a_thing_that_fills_the_picture_gives_the_centre() -> None:
    for size, frame in (((100, 60), (3, 2)), ((30, 80), (1, 1)), ((50, 50), (5, 7))):
        assert box_around((0, 0, *size), size, frame) == pytest.approx(centre_box(size, frame))
