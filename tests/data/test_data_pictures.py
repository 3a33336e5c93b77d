"""A picture comes out of its file upright, in 8 bits and three channels; everything else is one clear line."""

import os
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, strategies as st
from PIL import Image, PngImagePlugin
from torchvision.transforms import InterpolationMode, functional as T

from resnet_edu.data import photos, pictures
from resnet_edu.data.pictures import View, box_around, in_rgb, read_photo
from resnet_edu.errors import UnreadablePicture

BILINEAR = InterpolationMode.BILINEAR
Make = Callable[[Path], object]


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
    box = View(40, 32, crop=crop).box(picture) or (0, 0, *picture.size)  # type: ignore[arg-type]
    left, top, right, bottom = map(round, box)
    theirs = T.resized_crop(picture, top, left, bottom - top, right - left, [32, 40], BILINEAR)  # type: ignore[arg-type]
    difference = np.abs(ours.astype(int) - np.asarray(theirs).astype(int))
    assert difference[1:-1, 1:-1].max() <= 1  # at the edge, ours still sees the pixels outside of the crop


def test_objects_are_cut_out_where_they_are_found_and_the_centre_where_none_is() -> None:
    picture, box = gradient(60, 40), (30.0, 10.0, 50.0, 20.0)
    found, none = (View(20, 20, crop="objects", find=lambda _, thing=thing: thing) for thing in (box, None))
    assert found.box(picture) == (30, 5, 50, 25)  # grown above and below, to the frame's proportions
    expected = picture.resize((20, 20), Image.Resampling.BILINEAR, box=(30, 5, 50, 25))
    assert (found.fit(picture) == np.asarray(expected)).all()
    assert none.box(picture) == View(20, 20, crop="center").box(picture) == (10, 0, 50, 40)
    as_large = View(60, 40, crop="objects", find=lambda _: box)  # as the picture: cut out all the same
    assert (as_large.fit(picture) != np.asarray(picture)).any()


def test_grey_is_pillows_luminance() -> None:
    ours = View(30, 20, channels=1).fit(gradient())
    assert ours.shape == (20, 30, 1)
    assert (ours[:, :, 0] == np.asarray(gradient().convert("L"))).all()


# Structure


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "LA", "1"])
def test_any_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("photo.tiff" if mode == "CMYK" else "photo.png")
    save(path, Image.new("RGB", (10, 8), (255, 255, 255)).convert(mode))
    assert (View(10, 8).of(path) == np.full((8, 10, 3), 255)).all()


STEPS = np.arange(256).reshape(16, 16)


@pytest.mark.parametrize(("scale", "tags"), [(257, []), (16, [(281, "H", 1, 4095, False)])])
def test_sixteen_bits_of_a_tiff_are_scaled_by_what_it_declares(scale: int, tags: list[Any], tmp_path: Path) -> None:
    deep = (STEPS * scale).astype(np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="minisblack", extratags=tags)
    pixels = np.asarray(read_photo(tmp_path / "deep.tif"))[:, :, 0].astype(int)
    assert abs(pixels - STEPS).max() <= 1


def test_twelve_bits_go_up_to_4095() -> None:
    deep: Any = Image.fromarray((STEPS * 16).astype(np.uint16))
    deep.tag_v2 = {258: (12,)}
    assert abs(np.asarray(in_rgb(deep))[:, :, 0].astype(int) - STEPS).max() <= 1


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.uint32, np.float32, "miniswhite"])
def test_numbers_whose_white_nobody_knows_are_refused(kind: Any, tmp_path: Path) -> None:
    inverted = kind == "miniswhite"
    deep = STEPS.astype(np.uint16 if inverted else kind)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="miniswhite" if inverted else "minisblack")
    with pytest.raises(UnreadablePicture, match=r"numbers whose black or white is not known\. Save it with 8 bits"):
        read_photo(tmp_path / "deep.tif")


def test_sixteen_bits_of_a_png_become_eight(tmp_path: Path) -> None:
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


def test_a_jpeg_too_large_to_decode_whole_is_decoded_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.open(photos()["coffee"]).convert("RGB").resize((1600, 1200))
    path, twin = save(tmp_path / "phone.jpg", picture), save(tmp_path / "phone.png", picture)
    expected = View(64, 48).of(path)
    monkeypatch.setattr(pictures, "REDUCED", 256)
    for limit in (1_200_000, 800_000):  # Pillow warns, Pillow refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error" if limit < 1_000_000 else "ignore")
            assert (View(64, 48).of(path) == expected).all()
            assert max(read_photo(path).size) == 400
            with pytest.raises(UnreadablePicture, match=r"more than \d+ million"):
                read_photo(twin)


@pytest.mark.parametrize("after", [False, True])
def test_a_png_with_long_notes_is_read(after: bool, tmp_path: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("prompt", "word " * 500_000, zip=True)
    path = save(tmp_path / "generated.png", gradient(), pnginfo=notes)
    if after:  # behind the pixels
        content = path.read_bytes()
        start, end = content.index(b"zTXt") - 4, content.index(b"IDAT") - 4
        last = content.index(b"IEND") - 4
        path.write_bytes(content[:start] + content[end:last] + content[start:end] + content[last:])
    assert (np.asarray(read_photo(path)) == np.asarray(gradient())).all()


def test_heic_is_read_with_the_package_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"  # phones rename it
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    with pytest.raises(UnreadablePicture, match=r"pip install pillow-heif\. Or export it as JPEG"):
        read_photo(path)
    asked: list[str] = []
    plugin = SimpleNamespace(register_heif_opener=lambda: asked.append("register"))
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    monkeypatch.setattr(pictures, "find_spec", lambda _: plugin)
    for _ in range(2):
        with pytest.raises(UnreadablePicture, match="no picture in a format that Pillow knows"):
            read_photo(path)  # this plugin opens nothing
    assert asked == ["register"]
    pictures.register_heif.cache_clear()


def test_what_pillow_opens_is_taken_for_a_picture() -> None:
    assert {
        *[".jpg", ".jpeg", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".heic"]
    } <= pictures.suffixes()
    assert not {*[".txt", ".csv", ".py", ".zip", ".mp4", ".pdf"], ""} & pictures.suffixes()


SIZES, FRAMES = st.tuples(*[st.integers(8, 6000)] * 2), st.tuples(*[st.integers(8, 512)] * 2)


@example((1200, 900), (224, 224), (0, 1, 0, 1))
@example((415, 1388), (100, 100), (0.8, 0.9, 0.4, 0.8))
@example((5073, 485), (224, 224), (0.26, 0.51, 0.14, 0.86))
@given(SIZES, FRAMES, st.tuples(*[st.floats(0, 1)] * 4))
def test_a_box_is_inside_the_picture(size: tuple[int, int], frame: tuple[int, int], place: tuple[float, ...]) -> None:
    (left, right), (top, bottom) = sorted(place[:2]), sorted(place[2:])
    thing = left * size[0], top * size[1], right * size[0], bottom * size[1]
    for box in (box_around((0, 0, *size), size, frame), box_around(thing, size, frame)):
        assert 0 <= box[0] <= box[2] <= size[0]
        assert 0 <= box[1] <= box[3] <= size[1]


@given(SIZES, FRAMES)
def test_the_centre_box_is_centred_inside_and_has_the_frames_proportions(
    size: tuple[int, int], frame: tuple[int, int]
) -> None:
    left, top, right, bottom = box_around((0, 0, *size), size, frame)
    assert (right - left) * frame[1] == pytest.approx((bottom - top) * frame[0])
    assert left == pytest.approx(size[0] - right, abs=1e-6)
    assert min(left, top) == pytest.approx(0, abs=1e-6)  # it could not be larger


# Bad input


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, and has no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return head + struct.pack(">I", 100) + b"IDAT" + bytes(100)


def holding(content: bytes) -> Make:
    return lambda path: path.write_bytes(content)


def too_long(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(51_000_000)  # without content, it takes no room


def blank(width: int, height: int) -> Make:
    return lambda path: save(path, Image.new("RGB", (width, height)))


BAD_FILES: list[tuple[str, Make | None, str]] = [
    ("missing.png", None, "there is no such file"),
    ("folder.png", Path.mkdir, "it is a folder. Name the pictures in it"),
    ("empty.jpg", Path.touch, "no picture in a format that Pillow knows"),
    ("text.jpg", holding(b"not a picture"), "no picture in a format that Pillow knows"),
    ("zeros.png", holding(bytes(500)), "no picture in a format that Pillow knows"),
    ("notes.png", holding(png_header(20, 20)[:40] + bytes(100)), ""),
    ("bomb.png", holding(png_header(30_000, 30_000)), "more than 89 million pixels are not opened"),
    ("large.png", holding(png_header(10_000, 10_000)), "more than 89 million pixels are not opened"),
    ("dot.png", blank(4, 3), "4×3 pixels, at least 8×8 are needed"),
    ("strip.png", blank(2, 900), "2×900 pixels, at least 8×8 are needed"),
    ("long.jpg", too_long, "51.0 MB, at most 50 are allowed"),
    ("two\nlines.jpg", Path.touch, "no picture"),
    ("고양이 🐈.jpg", Path.touch, "no picture"),
]
if os.name == "posix":
    BAD_FILES += [
        ("pipe.jpg", os.mkfifo, "no regular file"),
        ("loop.jpg", lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        ("nowhere.jpg", lambda path: path.symlink_to("gone"), "there is no such file"),
    ]


@pytest.mark.timeout(30)  # nobody writes into the pipe
@pytest.mark.parametrize(("name", "make", "reason"), BAD_FILES, ids=[repr(name) for name, _, _ in BAD_FILES])
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    name: str, make: Make | None, reason: str, tmp_path: Path
) -> None:
    if make:
        make(tmp_path / name)
    with pytest.raises(UnreadablePicture) as caught:
        read_photo(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} cannot be read: {reason}")
    assert caught.value.reason.count("\n") == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_cut_or_damaged_file_gives_one_line_or_a_picture(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path, kind)
    whole = path.read_bytes()
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


def test_an_odd_name_is_no_obstacle(tmp_path: Path) -> None:
    for name in ("mislabelled.jpg", "no ending", ".hidden.png", "-dash.png"):
        path = save(tmp_path / name, gradient(), format="PNG")
        assert (np.asarray(read_photo(path)) == np.asarray(gradient())).all()
    with pytest.raises(UnreadablePicture, match=r"0\.0 MB, at most 1e-05 are allowed"):
        read_photo(path, max_megabytes=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 7}, "size must be a whole number from 8 to 512 pixels, got 7"),
        ({"height": 2.5}, r"got 2\.5"),
        ({"channels": 2}, "1 .grey. or 3 .colour., got 2"),
        ({"crop": "middle"}, "crop must be one of none, center, objects, got 'middle'"),
        ({"crop": "objects"}, r'crop="objects" needs something that finds them: find=edu\.models\.detected_box'),
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
