"""One picture out of a file: upright, 8 bits, grey or RGB, cut and scaled, for training and prediction alike."""

import math
import stat
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DatasetUnavailable, UnreadablePicture, WrongCheckpoint

Box = tuple[float, float, float, float]  # left, top, right, bottom
Crop = Literal["none", "center", "objects"]

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
SMALLEST = 8  # pixels on the shorter side; below, there is nothing to see
# What Pillow warns of, read_photo says in its errors, or it concerns metadata only. Not by `catch_warnings`, which
# does not work in threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class View:
    """What a picture is made into.

    Args:
        width: in pixels.
        height: in pixels.
        channels: 1 for grey, 3 for colour.
        crop: "none" squeezes the whole picture into the frame, "center" first cuts out the largest centred part
            that has the frame's proportions, "objects" the part around the thing that a detector is surest of, or the
            centred one where it finds nothing.
        max_megabytes: of the file; larger ones are refused before they are read.

    Raises:
        ValueError: a size, number of channels or crop that cannot be had.
    """

    width: int
    height: int
    channels: int = 3
    crop: Crop = "none"
    max_megabytes: float = 50.0

    def __post_init__(self) -> None:
        for side, pixels in (("width", self.width), ("height", self.height)):
            if not isinstance(pixels, int) or not SMALLEST <= pixels <= 512:
                raise ValueError(f"{side} must be a whole number from {SMALLEST} to 512 pixels, got {pixels!r}.")
        if type(self.channels) is not int or self.channels not in (1, 3):  # True and 3.0 are equal to these
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {self.channels!r}.")
        if self.crop not in get_args(Crop):
            raise ValueError(f"crop must be one of {', '.join(get_args(Crop))}, got {self.crop!r}.")
        if type(self.max_megabytes) not in (int, float) or not 0 < self.max_megabytes < math.inf:
            raise ValueError(f"max_megabytes must be a finite number above 0, got {self.max_megabytes!r}.")

    def of(self, path: Path) -> NDArray[np.uint8]:
        """The picture in a file as uint8 `(height, width, channels)`.

        Raises:
            UnreadablePicture: see `read_photo`; or it cannot be cut.
            DatasetUnavailable, WrongCheckpoint: of the detector's weights, where the crop is "objects".
        """
        picture = self.read(path)
        try:
            return self.fit(picture)
        except (DatasetUnavailable, WrongCheckpoint):
            raise  # the picture is not to blame
        except ValueError as error:
            raise UnreadablePicture(path, str(error).rstrip(".")) from error

    def read(self, path: Path) -> Image.Image:
        """The picture in a file in RGB, decoded no finer than this view needs.

        Raises:
            UnreadablePicture: see `read_photo`.
        """
        return read_photo(path, max_megabytes=self.max_megabytes, roughly=2 * max(self.width, self.height))

    def fit(self, picture: Image.Image) -> NDArray[np.uint8]:
        """A picture in RGB as uint8 `(height, width, channels)`."""
        box = self.box(picture)
        picture = picture.convert("L") if self.channels == 1 else picture
        if picture.size != (self.width, self.height):
            # Antialiased: Pillow averages over all pixels that fall into one, torchvision's Resize does the same.
            picture = picture.resize((self.width, self.height), Image.Resampling.BILINEAR, box=box)
        return np.asarray(picture).reshape(self.height, self.width, self.channels)

    def box(self, picture: Image.Image) -> Box | None:
        """Left, top, right and bottom of the part to be shown, in pixels; None for the whole picture."""
        if self.crop == "none":
            return None
        frame = self.width, self.height
        if self.crop == "objects":
            from ..models import detected_box  # takes a second to import

            found = detected_box(picture.convert("RGB"))
            if found:
                return box_around(found, picture.size, frame)
        return centre_box(picture.size, frame)


def read_photo(path: Path, *, max_megabytes: float = 50.0, roughly: int | None = None) -> Image.Image:
    """A picture in RGB, the way up its camera noted; of an animation the first frame, transparent parts white.

    Args:
        path: JPEG, PNG, BMP, WebP, TIFF or whatever else Pillow reads.
        max_megabytes: larger files are refused before they are read.
        roughly: a JPEG whose sides are at least twice this many pixels may be decoded at half its size or less,
            which is several times as fast.

    Raises:
        UnreadablePicture: no such file, no picture, not whole, too large, or too small to show anything.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # a pipe would be waited for
            raise UnreadablePicture(path, "no regular file")
        megabytes = status.st_size / 1e6
        if megabytes > max_megabytes:
            raise UnreadablePicture(path, f"{megabytes:.1f} MB, at most {max_megabytes:g} are allowed")
        with Image.open(path) as image:
            check_pixels(path, image.size)
            if min(image.size) < SMALLEST:
                size = "×".join(map(str, image.size))
                raise UnreadablePicture(path, f"{size} pixels, at least {SMALLEST}×{SMALLEST} are needed")
            if roughly is not None:
                image.draft("RGB", (roughly, roughly))
            image.load()
            with suppress(Exception):  # from notes of the camera that are damaged; the pixels are whole
                ImageOps.exif_transpose(image, in_place=True)
            return in_rgb(image)
    except FileNotFoundError as error:
        raise UnreadablePicture(path, "there is no such file") from error
    except UnidentifiedImageError as error:
        raise UnreadablePicture(path, "no picture in a format that Pillow knows") from error
    except Image.DecompressionBombWarning as error:  # where warnings are errors
        raise UnreadablePicture(path, f"more than {(Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels") from error
    except Image.DecompressionBombError as error:
        raise UnreadablePicture(
            path, f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels"
        ) from error
    except UnreadablePicture:
        raise
    except Exception as error:  # a damaged file makes Pillow's readers raise anything, struct.error for one
        words = (getattr(error, "strerror", None) or str(error)).split()  # of the system, without its number
        raise UnreadablePicture(path, " ".join(words) or type(error).__name__) from error


def check_pixels(path: Path, size: tuple[int, int]) -> None:
    """Refuse what would fill the memory. Pillow only warns of it; it raises an error of its own at twice as many.

    Raises:
        UnreadablePicture: more pixels than Pillow's limit.
    """
    if size[0] * size[1] > (Image.MAX_IMAGE_PIXELS or 0) > 0:
        width, height, limit = *size, (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UnreadablePicture(path, f"{width}×{height} pixels, more than {limit} million pixels are not opened")


def in_rgb(image: Image.Image) -> Image.Image:
    """8 bits a channel, three channels, nothing transparent."""
    if image.mode in SIXTEEN_BITS:
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers, whose white is not known")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def centre_box(size: tuple[int, int], frame: tuple[int, int]) -> Box:
    """Left, top, right and bottom of the largest centred part of a picture with the frame's proportions, in pixels."""
    return box_around((0, 0, *size), size, frame)


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
