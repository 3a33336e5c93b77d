"""A picture comes out of its file upright, in 8 bits and three channels; everything else is one clear line."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode, functional as T

from resnet_edu.data import photos
from resnet_edu.data.pictures import View, box_around, centre_box, read_photo
from resnet_edu.errors import DatasetUnavailable, UnreadablePicture

BILINEAR = InterpolationMode.BILINEAR


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def gradient(width: int = 30, height: int = 20) -> Image.Image:
    """Red grows to the right, green downwards."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([8 * x, 12 * y, 0 * x + 77], axis=-1).astype(np.uint8))


# Oracle: torchvision


@pytest.mark.parametrize("crop", ["none", "center"])
def test_a_view_is_torchvisions_crop_and_resize(crop: str) -> None:
    picture = Image.open(photos()["cat"]).convert("RGB")
    ours = View(40, 32, crop=crop).fit(picture)  # type: ignore[arg-type]
    box = centre_box(picture.size, (40, 32)) if crop == "center" else (0, 0, *picture.size)
    left, top, right, bottom = map(round, box)
    theirs = T.resized_crop(picture, top, left, bottom - top, right - left, [32, 40], BILINEAR)  # type: ignore[arg-type]
    difference = np.abs(ours.astype(int) - np.asarray(theirs).astype(int))
    assert difference[1:-1, 1:-1].max() <= 1  # at the edge, ours still sees the pixels outside of the crop


def test_grey_is_pillows_luminance() -> None:
    ours = View(30, 20, channels=1).fit(gradient())
    assert ours.shape == (20, 30, 1)
    assert (ours[:, :, 0] == np.asarray(gradient().convert("L"))).all()


# Structure


@pytest.mark.parametrize("ending", ["png", "bmp", "webp", "tiff"])
def test_lossless_formats_give_the_pixels(ending: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"photo.{ending}", gradient(), **({"lossless": True} if ending == "webp" else {}))
    assert (View(30, 20).of(path) == np.asarray(gradient())).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "LA", "1"])
def test_any_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("photo.tiff" if mode == "CMYK" else "photo.png")
    save(path, Image.new("RGB", (10, 8), (255, 255, 255)).convert(mode))
    assert (np.asarray(read_photo(path)) == np.full((8, 10, 3), 255)).all()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    path = save(tmp_path / "deep.png", Image.fromarray(deep))
    assert (np.asarray(read_photo(path))[:, :, 0] == deep // 257).all()


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    clear.paste((9, 9, 9, 255), (0, 0, 5, 10))
    pixels = np.asarray(read_photo(save(tmp_path / "clear.png", clear)))
    assert (pixels[:, :5] == 9).all()
    assert (pixels[:, 5:] == 255).all()


def test_of_an_animation_the_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (12, 12), colour) for colour in ("red", "blue")]
    path = save(tmp_path / "moving.gif", frames[0], save_all=True, append_images=frames[1:])
    assert read_photo(path).getpixel((3, 3)) == (254, 0, 0) or read_photo(path).getpixel((3, 3)) == (255, 0, 0)


def test_a_photo_taken_upright_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    path = save(tmp_path / "upright.png", gradient(), exif=exif)
    assert (np.asarray(read_photo(path)) == np.rot90(np.asarray(gradient()), -1)).all()


def test_a_large_jpeg_decoded_roughly_looks_the_same(tmp_path: Path) -> None:
    picture = Image.open(photos()["coffee"]).convert("RGB")
    path = save(tmp_path / "large.jpg", picture.resize((1600, 1200)), quality=95)
    rough, whole = View(64, 48).of(path), View(64, 48).fit(read_photo(path))
    assert np.abs(rough.astype(int) - whole.astype(int)).mean() < 1.5


@pytest.mark.parametrize("damaged", [b"garbage!", b"II*\x00", bytes(100)])
@pytest.mark.parametrize("ending", ["png", "webp"])
def test_damaged_notes_of_the_camera_are_no_obstacle(ending: str, damaged: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"photo.{ending}"
    save(path, gradient(), exif=damaged, **({"lossless": True} if ending == "webp" else {}))
    assert (np.asarray(read_photo(path)) == np.asarray(gradient())).all()


ORDINARY = [
    ((224, 224), (1200, 900)),
    ((224, 224), (225, 225)),
    ((200, 200), (2592, 1944)),
    ((100, 100), (224, 224)),
    ((60, 40), (4000, 3000)),
    ((320, 240), (6000, 4000)),
]


@pytest.mark.parametrize(("frame", "size"), ORDINARY)
def test_photos_of_ordinary_sizes_are_cut(frame: tuple[int, int], size: tuple[int, int]) -> None:
    assert View(*frame, channels=1, crop="center").fit(Image.new("L", size)).shape == (frame[1], frame[0], 1)


SIZES, FRAMES = st.tuples(*[st.integers(8, 6000)] * 2), st.tuples(*[st.integers(8, 512)] * 2)


@example((415, 1388), (100, 100), (0.8, 0.9, 0.4, 0.8))
@example((5073, 485), (224, 224), (0.26, 0.51, 0.14, 0.86))
@given(SIZES, FRAMES, st.tuples(*[st.floats(0, 1)] * 4))
def test_a_box_is_inside_the_picture(size: tuple[int, int], frame: tuple[int, int], place: tuple[float, ...]) -> None:
    (left, right), (top, bottom) = sorted(place[:2]), sorted(place[2:])
    thing = left * size[0], top * size[1], right * size[0], bottom * size[1]
    for box in (centre_box(size, frame), box_around(thing, size, frame)):
        assert 0 <= box[0] <= box[2] <= size[0]
        assert 0 <= box[1] <= box[3] <= size[1]


@given(SIZES, FRAMES)
def test_the_centre_box_is_centred_inside_and_has_the_frames_proportions(
    size: tuple[int, int], frame: tuple[int, int]
) -> None:
    left, top, right, bottom = centre_box(size, frame)
    assert (right - left) * frame[1] == pytest.approx((bottom - top) * frame[0])
    assert left == pytest.approx(size[0] - right, abs=1e-6)
    assert min(left, top) == pytest.approx(0, abs=1e-6)  # it could not be larger


# Bad input


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, and has no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return head + struct.pack(">I", 100) + b"IDAT" + bytes(100)


def test_files_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.png", Image.effect_noise((64, 64), 50)).read_bytes()
    contents = {
        "text.jpg": (b"not a picture", "no picture in a format that Pillow knows"),
        "empty.png": (b"", "no picture in a format"),
        "cut.png": (whole[: len(whole) // 2], "truncated"),
        "huge.png": (png_header(30_000, 30_000), "more than 178 million pixels"),
        "broken.png": (whole[:40] + bytes(100) + whole[140:], "cannot be read"),
    }
    for name, (content, reason) in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(
            UnreadablePicture, match=rf"{name} cannot be read: .*{reason}" if reason != "cannot be read" else reason
        ):
            read_photo(path)
    save(tmp_path / "dot.png", Image.new("RGB", (1, 1)))
    save(tmp_path / "numbers.tiff", Image.fromarray(torch.rand(20, 20).numpy()))
    for name, reason in {
        "dot.png": "1×1 pixels, at least 8×8",
        "numbers.tiff": "floating-point",
        "missing.png": "there is no such file",
        ".": "directory",
    }.items():
        with pytest.raises(UnreadablePicture, match=reason):
            read_photo(tmp_path / name)
    with pytest.raises(UnreadablePicture, match=r"0\.0 MB, at most 0\.001 are allowed"):
        read_photo(tmp_path / "whole.png", max_megabytes=0.001)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
@pytest.mark.timeout(30)  # nobody writes into the pipe
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/null")):
        with pytest.raises(UnreadablePicture, match=rf"{path} cannot be read: no regular file\."):
            read_photo(path)


def test_what_goes_wrong_with_a_picture_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, faults = save(tmp_path / "photo.png", gradient()), [ValueError("it fails."), DatasetUnavailable("no weights")]
    monkeypatch.setattr(View, "fit", lambda *_: (_ for _ in ()).throw(faults.pop(0)))
    with pytest.raises(UnreadablePicture, match=r"photo\.png cannot be read: it fails\.$"):
        View(16, 16).of(path)
    with pytest.raises(DatasetUnavailable, match=r"^no weights$"):  # that is no picture's fault
        View(16, 16).of(path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 7}, "width must be a whole number from 8 to 512 pixels, got 7"),
        ({"height": 2.5}, r"height .* got 2\.5"),
        ({"channels": 2}, "1 .grey. or 3 .colour., got 2"),
        ({"crop": "middle"}, "crop must be one of none, center, objects, got 'middle'"),
        ({"channels": 3.0}, r"1 .grey. or 3 .colour., got 3\.0"),
        ({"channels": True}, "1 .grey. or 3 .colour., got True"),
        ({"max_megabytes": 0}, "max_megabytes must be a finite number above 0, got 0"),
        ({"max_megabytes": True}, "max_megabytes must be a finite number above 0, got True"),
        ({"max_megabytes": float("inf")}, "max_megabytes must be a finite number above 0, got inf"),
        ({"max_megabytes": float("nan")}, "max_megabytes must be a finite number above 0, got nan"),
    ],
)
def test_impossible_views_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        View(**{"width": 32, "height": 32, **wrong})  # type: ignore[arg-type]
