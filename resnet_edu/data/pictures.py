"""One picture out of a file: upright, 8 bits, grey or RGB, cut and scaled, for training and prediction alike."""

import math
import stat
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

from .. import machine
from ..errors import UnreadablePicture

Box = tuple[float, float, float, float]  # left, top, right, bottom
Crop = Literal["none", "center", "objects"]

SMALLEST = 8  # pixels on the shorter side; below, there is nothing to see
REDUCED = 1024  # pixels: a JPEG that is too large to be decoded whole is decoded down to about this
HEIC = frozenset({".heic", ".heif", ".hif"})
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")  # at byte 8

# Tags of a TIFF file (https://www.loc.gov/preservation/digital/formats/content/tiff_tags.shtml), and values of two.
BITS, PHOTOMETRIC, LARGEST, SAMPLE_FORMAT = 258, 262, 281, 339
WHITE_IS_ZERO, SIGNED = 0, 2


@dataclass(frozen=True)
class View:
    """What a picture is made into; a `ValueError` for what cannot be had."""

    width: int  # in pixels
    height: int  # in pixels
    channels: int = 3  # 1 for grey, 3 for colour
    # "center" cuts out the largest centred part that has the frame's proportions, "none" squeezes the whole picture
    # into the frame, "objects" cuts out the part around what `find` finds, or else the centred one
    crop: Crop = "center"
    max_megabytes: float = 50.0  # of the file; larger ones are refused before they are read
    # from a picture in RGB to the box around a thing, or None; `models.detected_box`
    find: Callable[[Image.Image], Box | None] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for side in (self.width, self.height):
            if not isinstance(side, int) or not SMALLEST <= side <= 512:
                raise ValueError(f"size must be a whole number from {SMALLEST} to 512 pixels, got {side!r}.")
        if type(self.channels) is not int or self.channels not in (1, 3):  # True and 3.0 are equal to these
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {self.channels!r}.")
        if self.crop not in get_args(Crop):
            raise ValueError(f"crop must be one of {', '.join(get_args(Crop))}, got {self.crop!r}.")
        if self.crop == "objects" and self.find is None:
            raise ValueError('crop="objects" needs something that finds them: find=edu.models.detected_box.')
        if type(self.max_megabytes) not in (int, float) or not 0 < self.max_megabytes < math.inf:
            raise ValueError(f"max_megabytes must be a finite number above 0, got {self.max_megabytes!r}.")

    def of(self, path: Path) -> NDArray[np.uint8]:
        """The picture in a file as uint8 `(height, width, channels)`; raises as `read_photo` and `find` do."""
        return self.fit(self.read(path))

    def read(self, path: Path) -> Image.Image:
        """The picture in a file in RGB, decoded no finer than this view needs; raises as `read_photo` does."""
        return read_photo(path, max_megabytes=self.max_megabytes, roughly=2 * max(self.width, self.height))

    def fit(self, picture: Image.Image) -> NDArray[np.uint8]:
        """A picture in RGB as uint8 `(height, width, channels)`."""
        frame, box = (self.width, self.height), self.box(picture)
        picture = picture.convert("L") if self.channels == 1 else picture
        if picture.size != frame or box not in (None, (0, 0, *frame)):
            # Antialiased: Pillow averages over all pixels that fall into one, torchvision's Resize does the same.
            picture = picture.resize(frame, Image.Resampling.BILINEAR, box=box)
        return np.asarray(picture).reshape(self.height, self.width, self.channels)

    def box(self, picture: Image.Image) -> Box | None:
        """Left, top, right and bottom of the part to be shown, in pixels; None for the whole picture."""
        if self.crop == "none":
            return None
        thing = self.find(picture.convert("RGB")) if self.crop == "objects" and self.find else None
        return box_around(thing or (0, 0, *picture.size), picture.size, (self.width, self.height))


def read_photo(path: Path | str, *, max_megabytes: float = 50.0, roughly: int | None = None) -> Image.Image:
    """A picture in RGB, the way up its camera noted; of an animation the first frame, transparent parts white.

    Pillow reads JPEG, PNG, BMP, WebP, TIFF and others; HEIC with the package pillow-heif. A JPEG whose sides are at
    least twice `roughly` pixels may be decoded at half its size or less, which is several times as fast. One too large
    for Pillow's limit is decoded so in any case.
    """
    path = Path(path)
    try:
        check_file(path, max_megabytes)
        return loaded(opened(path), roughly)
    except Exception as error:  # a damaged file makes Pillow's readers raise anything, struct.error for one
        raise UnreadablePicture(path, reason_of(error)) from error


def check_file(path: Path, max_megabytes: float) -> None:
    """Raise `ValueError` for what would be waited for, or fill the memory."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise ValueError("it is a folder. Name the pictures in it")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("no regular file")
    if status.st_size > max_megabytes * 1e6:
        raise ValueError(f"{status.st_size / 1e6:.1f} MB, at most {max_megabytes:g} are allowed")


def opened(path: Path) -> Image.Image:
    """A picture of which only the header is read, also where Pillow's limits stop at something harmless."""
    # Programs that draw leave notes that unpack to more than a megabyte: one may take what all may together, 64 MB.
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
    try:
        return Image.open(path, formats=formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # the second where warnings are errors
        if not starts(path, b"\xff\xd8\xff"):
            raise
        return JpegImagePlugin.JpegImageFile(path)  # `draft` will make it small
    except UnidentifiedImageError:
        if not starts(path, *HEIC_BRANDS, at=8):
            raise
        register_heif()
        return Image.open(path, formats=formats())


def formats() -> list[str]:
    """What Pillow reads by itself; for EPS it would start another program."""
    Image.init()
    return [name for name in Image.OPEN if name != "EPS"]


def starts(path: Path, *beginnings: bytes, at: int = 0) -> bool:
    """Whether a file holds one of these at its start, or a few bytes behind it: extensions may be wrong."""
    with open(path, "rb") as file:
        return file.read(16)[at:].startswith(beginnings)


@cache
def register_heif() -> None:
    """Let Pillow open HEIC; raises `ValueError` without the package for it."""
    if not find_spec("pillow_heif"):
        raise ValueError("a HEIC photo needs one more package: pip install pillow-heif. Or export it as JPEG")
    import pillow_heif  # type: ignore[import-not-found]

    pillow_heif.register_heif_opener()


def loaded(image: Image.Image, roughly: int | None) -> Image.Image:
    """The pixels of an opened picture, as `read_photo` returns them; raises `ValueError` if they are too few."""
    with image:
        if min(image.size) < SMALLEST:
            size = "×".join(map(str, image.size))
            raise ValueError(f"{size} pixels, at least {SMALLEST}×{SMALLEST} are needed")
        if roughly is not None or too_large(image):
            image.draft("RGB", (roughly or REDUCED, roughly or REDUCED))
        if too_large(image):  # Pillow only warns of it, and raises this at twice as many
            raise Image.DecompressionBombError
        image.load()
        with suppress(Exception):  # from notes of the camera that are damaged; the pixels are whole
            ImageOps.exif_transpose(image, in_place=True)
        return in_rgb(image)


def too_large(image: Image.Image) -> bool:
    """Whether a picture would fill the memory."""
    return image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf)


def reason_of(error: Exception) -> str:
    """Why a picture cannot be read, in one line."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return "no picture in a format that Pillow knows"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {(Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels are not opened"
    words = (getattr(error, "strerror", None) or str(error)).split()  # of the system, without its number
    return " ".join(words) or type(error).__name__


def read_at_once(read: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """What `read` makes of each item, several at a time; where that is no picture, its `UnreadablePicture`.

    Pillow is silent meanwhile: it warns of metadata, or of what `read_photo` says in its errors. This stands around the
    threads and not in them, for Python keeps one list of warnings for all.
    """

    def result(item: Any) -> Any:
        try:
            return read(item)
        except UnreadablePicture as error:
            return error

    with warnings.catch_warnings(), ThreadPoolExecutor(machine.cores()) as pool:
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        return list(pool.map(result, items))


@cache
def suffixes() -> frozenset[str]:
    """Endings of files that are taken for pictures, in small letters with their dot: what Pillow opens, and HEIC."""
    readable = {ending for ending, format in Image.registered_extensions().items() if format in formats()}
    return frozenset(readable) | HEIC


def in_rgb(image: Image.Image) -> Image.Image:
    """8 bits a channel, three channels, nothing transparent.

    Grey of 16 bits is scaled from end to end, or to the largest number that a TIFF declares. Of other numbers nobody
    knows which is white: they raise `ValueError`.
    """
    tags: Any = getattr(image, "tag_v2", {})  # of a TIFF file
    signed = tags.get(SAMPLE_FORMAT, (0,))[0] == SIGNED
    if signed or image.mode in ("I", "F") or image.mode.startswith("I;"):
        if (
            not (image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")))
            or tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
        ):
            raise ValueError("pixels are numbers whose black or white is not known. Save it with 8 bits")
        white = int(np.max(tags.get(LARGEST, 2 ** tags.get(BITS, (16,))[0] - 1)))
        image = Image.fromarray((np.asarray(image).clip(0, white) * (255 / white)).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def box_around(thing: Box, size: tuple[int, int], frame: tuple[int, int]) -> Box:
    """The smallest part of a picture around a thing with the frame's proportions, moved to lie inside the picture.

    Where the picture is too narrow for that, the largest part with these proportions is taken.
    """
    left, top, right, bottom = thing
    scale = max((right - left) / frame[0], (bottom - top) / frame[1])
    scale = min(scale, size[0] / frame[0], size[1] / frame[1])
    # 224 * (900 / 224) is above 900 by a rounding error, and Pillow refuses a box that begins at -1e-13.
    width, height = min(frame[0] * scale, size[0]), min(frame[1] * scale, size[1])
    left = min(max((left + right - width) / 2, 0.0), size[0] - width)
    top = min(max((top + bottom - height) / 2, 0.0), size[1] - height)
    return left, top, min(left + width, size[0]), min(top + height, size[1])
