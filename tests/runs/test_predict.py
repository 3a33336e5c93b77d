"""From a picture file to labels with percentages."""

import struct
import sys
import time
import tracemalloc
import zlib
from contextlib import nullcontext
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import predict
from resnet_edu.data.pictures import read_photo
from resnet_edu.errors import UnreadablePicture
from resnet_edu.models import Pretrained
from resnet_edu.models.pretrained import PhotoTransforms

MODULE = sys.modules["resnet_edu.predict"]  # the package's attribute of this name is the function


class MeanColour(nn.Module):
    """Logits: the mean of each channel, times 10."""

    def forward(self, x: Tensor) -> Tensor:
        return 10 * x.mean(dim=(2, 3))


@pytest.fixture
def network() -> Pretrained:
    transforms = PhotoTransforms(8, (0.0,) * 3, (1.0,) * 3)
    return Pretrained(MeanColour(), ("red", "green", "blue"), transforms, "a test")


def photo(folder: Path, name: str, colour: tuple[int, int, int]) -> Path:
    path = folder / name
    Image.new("RGB", (30, 20), colour).save(path)
    return path


def test_percentages_are_the_softmax_of_the_logits(network: Pretrained, tmp_path: Path) -> None:
    path = photo(tmp_path, "grass.png", (51, 204, 0))
    (prediction,) = predict(network, [path], top=3)
    red, green, blue = (torch.tensor([2.0, 8.0, 0.0]).softmax(0) * 100).tolist()
    assert [label for label, _ in prediction.top] == ["green", "red", "blue"]
    assert [percent for _, percent in prediction.top] == pytest.approx([green, red, blue], rel=1e-4)
    assert prediction.file == path


def test_one_prediction_a_file_in_order_and_top_labels_only(network: Pretrained, tmp_path: Path) -> None:
    files = [photo(tmp_path, "a.png", (255, 0, 0)), photo(tmp_path, "b.png", (0, 0, 255))]
    predictions = predict(network, map(str, files), top=1)
    assert [prediction.top[0][0] for prediction in predictions] == ["red", "blue"]
    assert all(len(prediction.top) == 1 for prediction in predictions)


@pytest.mark.parametrize("small", [0, 2**14], ids=["in threads", "in one thread"])
def test_pictures_of_many_sizes_are_named_as_each_alone(
    small: int, network: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small ones of one size are prepared together, large ones at once; the answers stay in order."""
    for name, value in {"SMALL_FILE": small, "BATCH": 64, "PIXELS": 260 * 40, "FEW": 100}.items():
        monkeypatch.setattr(MODULE, name, value)
    numbers = np.random.default_rng(0)
    files, faults = [], []
    for index in range(150):
        path = tmp_path / f"{index}.png"
        if index % 37 == 5:
            path.write_text("no picture")
        else:
            width = 300 if index % 50 == 0 else 8 + index % 3
            Image.fromarray(numbers.integers(0, 256, (260, width, 3), dtype=np.uint8)).save(path)
        files.append(path)
    predictions = predict(network, files, top=3, skip=faults.append)
    assert [str(each).partition(" cannot be read")[0] for each in faults] == [str(path) for path in files[5::37]]
    assert [each.file for each in predictions] == [path for path in files if path not in files[5::37]]
    for each in predictions[::29]:
        (alone,) = predict(network, [each.file], top=3)
        assert [label for label, _ in each.top] == [label for label, _ in alone.top]
        assert [share for _, share in each.top] == pytest.approx([share for _, share in alone.top], abs=1e-3)


def test_transforms_of_your_own_are_called_for_each_picture(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def transforms(picture: Image.Image) -> Tensor:
        seen.append(picture.size)
        return torch.zeros(3, 8, 8)

    own = Pretrained(MeanColour(), ("red", "green", "blue"), transforms, "a test")
    assert len(predict(own, [photo(tmp_path, f"{index}.png", (9, 9, 9)) for index in range(3)], top=1)) == 3
    assert seen == [(30, 20)] * 3


def test_bfloat16_where_it_is_asked_for(network: Pretrained, tmp_path: Path) -> None:
    files = [photo(tmp_path, "a.png", (255, 0, 0))]
    exact, rough = (predict(network, files, top=1, precision=name)[0].top[0] for name in ("float32", "bfloat16"))
    assert rough[0] == exact[0]
    assert rough[1] == pytest.approx(exact[1], abs=2)
    with pytest.raises(ValueError, match="precision 'float'"):
        predict(network, files, top=1, precision="float")


class Torn(nn.Module):
    """Nearly as sure of red as of green where a picture is grey; bfloat16 swaps the two."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = [*getattr(self, "seen", []), (len(x), torch.is_autocast_enabled("cpu"))]
        red = x[:, 0].mean(dim=(1, 2))
        swapped = 0.05 if torch.is_autocast_enabled("cpu") else 0.0
        return torch.stack([red + 0.02, 1 - red + swapped, torch.full_like(red, -9)], dim=1) * 2  # (N, 3)


def test_close_calls_are_made_in_float32(network: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torn = Torn()
    own = replace(network, model=torn)
    files = [photo(tmp_path, f"{value}.png", (value, 0, 0)) for value in (255, 128, 0)]
    exact, rough = (predict(own, files, top=2, precision=name) for name in ("float32", "bfloat16"))
    assert [each.top[0][0] for each in exact] == [each.top[0][0] for each in rough] == ["red", "red", "green"]
    assert exact[1] == rough[1]  # the close one
    assert torn.seen == [(3, False), (3, True), (1, False)]
    files *= 5
    monkeypatch.setattr(MODULE, "BATCH", 3)  # close calls wait until there are as many
    torn.seen.clear()
    assert [each.top[0][0] for each in predict(own, files, top=1, precision="bfloat16")] == ["red", "red", "green"] * 5
    assert [each for each in torn.seen if not each[1]] == [(3, False), (2, False)]


@pytest.mark.parametrize(
    ("logits", "close"),
    [
        ([[1.0, 0.95, -3.0], [1.0, 0.5, 0.4], [0.0, 2.0, 1.99]], [0, 2]),
        ([[30.0, 30.05], [30.0, 31.0]], [0]),
        ([[1.0001, 1.0]], [0]),
        ([[7.0], [8.0]], []),  # one class: nothing to confuse it with
        ([[float("nan"), 0.0], [1.0, 0.95]], [1]),
    ],
)
def test_which_calls_are_close(logits: list[list[float]], close: list[int]) -> None:
    assert MODULE.close_calls(torch.tensor(logits), 0.1).tolist() == close


def test_what_is_close_is_told_by_the_largest_logit_so_far(
    network: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = Torn()
    monkeypatch.setattr(MODULE, "BATCH", 2)
    files = [photo(tmp_path, f"{value}.png", (value, 0, 0)) for value in (255, 0, 128)]  # the close one comes alone
    predict(replace(network, model=torn), files, top=1, precision="bfloat16")
    assert torn.seen == [(2, True), (1, True), (1, False)]


@pytest.mark.parametrize(("few", "rounded"), [(3, False), (2, True)])
def test_with_few_files_neither_bfloat16_nor_a_copy_is_worth_it(
    few: int, rounded: bool, network: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn, copied = Torn(), list[nn.Module]()

    def copy(model: nn.Module) -> nn.Module:
        copied.append(model)
        return model

    monkeypatch.setattr(MODULE, "FEW", few)
    monkeypatch.setattr(MODULE, "fold_batch_norms", copy)
    monkeypatch.setattr("resnet_edu.machine.precision", lambda _: torch.bfloat16)
    files = [photo(tmp_path, f"{value}.png", (value, 0, 0)) for value in (255, 250, 0)]
    predict(replace(network, model=torn), files, top=1, precision="auto")
    assert torn.seen == [(3, rounded)]
    assert copied == ([torn] if rounded else [])


def test_outputs_that_are_no_numbers_are_refused(network: Pretrained, tmp_path: Path) -> None:
    class Spoiled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=(2, 3)).log()  # minus infinity for black

    files = [photo(tmp_path, "grey.png", (9, 9, 9)), photo(tmp_path, "black.png", (0, 0, 0))]
    with pytest.raises(ValueError, match=r"black\.png are not finite"):
        predict(replace(network, model=Spoiled()), files, top=1)


def test_without_units_for_bfloat16_nothing_is_computed_twice(
    network: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = Torn()
    monkeypatch.setattr(MODULE, "autocast", lambda *_: nullcontext())
    predict(replace(network, model=torn), [photo(tmp_path, "grey.png", (128, 0, 0))], top=1, precision="bfloat16")
    assert torn.seen == [(1, False)]


def test_a_file_that_cannot_be_looked_at_is_left_out_like_any_other(network: Pretrained, tmp_path: Path) -> None:
    good, bad, faults = photo(tmp_path, "a.png", (255, 0, 0)), tmp_path / f"{'b' * 300}.png", []
    assert [each.file for each in predict(network, [good, bad, tmp_path / "no\0name"], top=1, skip=faults.append)] == [
        good
    ]
    assert len(faults) == 2
    assert "File name too long" in str(faults[0])


def test_one_ahead_is_map_with_the_next_one_under_way() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return number**2

    results = MODULE.one_ahead(work, range(5))
    assert next(results) == 0
    while len(begun) < 2:
        time.sleep(0.001)
    assert begun == [0, 1]
    assert [*results] == [1, 4, 9, 16]
    assert [*MODULE.one_ahead(work, [])] == []


def test_it_reads_as_a_table(network: Pretrained, tmp_path: Path) -> None:
    (prediction,) = predict(network, [photo(tmp_path, "a b.png", (255, 0, 0))], top=2)
    first, second, _ = str(prediction).splitlines()
    assert first == "a b.png"
    assert second.split()[:3] == ["red", "100.0", "%"]


@pytest.mark.parametrize("top", [0, 4])
def test_top_out_of_range(network: Pretrained, top: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and 3, got {top}"):
        predict(network, [], top=top)


def test_a_single_path_is_refused_with_the_way_to_write_it(network: Pretrained) -> None:
    with pytest.raises(ValueError, match=r"write \['cat.jpg'\] for one"):
        predict(network, "cat.jpg", top=1)


def test_files_that_are_no_pictures(network: Pretrained, tmp_path: Path) -> None:
    text, cut, nothing = tmp_path / "text.jpg", tmp_path / "cut.png", tmp_path / "empty.png"
    text.write_text("not a picture")
    nothing.touch()
    whole = photo(tmp_path, "whole.png", (9, 9, 9)).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    for path in (text, cut, nothing):
        with pytest.raises(ValueError, match=f"{path.name} cannot be read: "):
            predict(network, [path], top=1)
    with pytest.raises(ValueError, match="there is no such file"):
        predict(network, [tmp_path / "missing.png"], top=1)


# --- photos of every kind: the right picture or one clear line ---


def opened(folder: Path, data: bytes) -> Image.Image:
    (folder / "photo").write_bytes(data)
    return read_photo(folder / "photo")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(mode: str = "RGB", size: tuple[int, int] = (30, 20)) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], len(mode)), dtype=np.uint8)
    return Image.fromarray(values.squeeze(), mode="L" if mode == "L" else None).convert(mode)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_cut_or_damaged_file_gives_one_line_or_a_picture(kind: str, tmp_path: Path) -> None:
    whole, path = encoded(noise(), kind), tmp_path / "cut"
    path.write_bytes(whole)
    assert read_photo(path).size == (30, 20)
    damaged = [whole[:length] for length in range(0, len(whole), max(1, len(whole) // 40))]
    damaged += [whole[:i] + bytes([255 - whole[i]]) + whole[i + 1 :] for i in range(0, len(whole), len(whole) // 40)]
    said = []
    for data in damaged:
        path.write_bytes(data)
        try:
            assert read_photo(path).mode == "RGB"
        except UnreadablePicture as error:
            said.append(str(error))
    assert len(said) > 10
    assert all(line.startswith(f"{path} cannot be read: ") and "\n" not in line for line in said)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_way_a_camera_can_be_held(orientation: int, tmp_path: Path) -> None:
    upright = Image.new("RGB", (32, 16), "blue")
    upright.paste("red", (0, 0, 16, 8))  # the upper left quarter
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition by which such a camera stores it
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    seen = opened(tmp_path, encoded(stored, "PNG", exif=exif))
    assert np.array_equal(np.asarray(seen), np.asarray(upright))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_colours(kind: str, tmp_path: Path) -> None:
    orange = Image.new("CMYK", (16, 16), (0, 128, 255, 0))
    got = np.asarray(opened(tmp_path, encoded(orange, kind))).reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(got, [255, 127, 0], atol=4)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_cut_off(kind: str, tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    seen = np.asarray(opened(tmp_path, encoded(Image.fromarray(ramp), kind)))
    assert np.array_equal(seen[..., 0], np.arange(256).reshape(16, 16))
    assert np.array_equal(seen[..., 0], seen[..., 2])


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    glass = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    glass.putpixel((1, 0), (0, 0, 0, 0))  # black, but not to be seen
    assert np.asarray(opened(tmp_path, encoded(glass, "PNG")))[0, :2].tolist() == [[255, 0, 0], [255, 255, 255]]
    palette = Image.new("P", (8, 8))
    palette.putpalette([9, 9, 9, 200, 100, 0])
    palette.putpixel((1, 0), 1)
    seen = np.asarray(opened(tmp_path, encoded(palette, "PNG", transparency=b"\x00\xff")))
    assert seen[0, :2].tolist() == [[255, 255, 255], [200, 100, 0]]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    assert np.asarray(opened(tmp_path, data))[4, 4].tolist() == [255, 0, 0]


def huge_png(side: int) -> bytes:
    """A valid black and white PNG of so many pixels, which would take a gigabyte to unpack."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(1), bytes(1 + -(-side // 8))
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_huge_pictures_are_refused_before_they_are_unpacked(side: int, network: Pretrained, tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(huge_png(side))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"huge.png cannot be read: more than (89|178) million pixels"):
        predict(network, [path], top=1)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize("size", [(1, 1), (3000, 2)])
def test_what_shows_nothing_is_refused(size: tuple[int, int], network: Pretrained, tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", size).save(path)
    with pytest.raises(UnreadablePicture, match=f"dot.png cannot be read: {size[0]}×{size[1]} pixels, at least 8×8"):
        predict(network, [path], top=1)


@pytest.mark.parametrize("size", [(300_000, 8), (9, 300_001)])
def test_a_strip_costs_no_more_than_a_few_pictures(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    strip, (width, height) = Image.new("RGB", size, "red"), size
    strip.paste("blue", (width // 2 - 50, height // 2 - 50, width // 2 + 50, height // 2 + 50))
    made: list[int] = []
    resize = F.interpolate

    def noted(*arguments: Any, **options: Any) -> Tensor:
        made.append(resize(*arguments, **options).numel())
        return resize(*arguments, **options)

    monkeypatch.setattr(F, "interpolate", noted)
    seen = PhotoTransforms(64, (0.0,) * 3, (1.0,) * 3)(strip)
    assert seen.shape == (3, 64, 64)
    assert seen.mean(dim=(1, 2)).tolist() == [0, 0, 1]
    assert made[0] <= 33 * seen.numel()
