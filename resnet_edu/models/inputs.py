"""What a network accepts: one clear error in place of a puzzling one from deep inside a convolution."""

from collections.abc import Iterable

from torch import Tensor


def check_images(images: Tensor, *, channels: int, smallest_side: int, network: str, stem: str | None = None) -> None:
    """Refuse a batch that `network` cannot take.

    Args:
        images: the batch handed to the network, expected as `(N, channels, H, W)`.
        channels: input channels of the network's first convolution.
        smallest_side: smallest H and W, in pixels, that survive the network's down-sampling.
        network: name used in the message.
        stem: the network's stem where it has a choice; with "imagenet" the message offers the small one.

    Raises:
        ValueError: not four-dimensional, another number of channels, or too small a side.
    """
    got = f"{network} got images of shape {tuple(images.shape)}"
    if images.ndim != 4:
        raise ValueError(f"{got}, but expects (N, C, H, W). Add a batch dimension with images[None].")
    if images.shape[1] != channels:
        raise ValueError(
            f"{got}, but was built for {channels} channel(s). "
            f"Build it with in_channels={images.shape[1]} or load the data with channels={channels}."
        )
    if min(images.shape[2:]) < smallest_side:
        other = ", or build the net with stem='small'" if stem == "imagenet" else ""
        raise ValueError(
            f"{got}, but needs sides of at least {smallest_side} pixels. "
            f"Load the data with size={smallest_side} or more{other}."
        )


def check_count(option: str, got: object, *, multiple_of: int = 1) -> None:
    """Refuse an option that must be a whole number of at least 1, and perhaps a multiple of something.

    Raises:
        ValueError: anything else, `True` and `10.0` included.
    """
    if not isinstance(got, int) or isinstance(got, bool) or got < 1 or got % multiple_of:
        kind = "whole number of at least 1" if multiple_of == 1 else f"positive multiple of {multiple_of}"
        raise ValueError(f"{option} must be a {kind}, got {got!r}.")


def check_share(option: str, got: object) -> None:
    """Refuse an option that must be a number from 0 to 1.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(got, (int, float)) or isinstance(got, bool) or not 0 <= got <= 1:
        raise ValueError(f"{option} must be a number from 0 to 1, got {got!r}.")


def check_choice(option: str, got: object, allowed: Iterable[object]) -> None:
    """Refuse an option that is none of the `allowed` words (or `True` and `False`).

    Raises:
        ValueError: the words are in the message.
    """
    words = [repr(word) for word in allowed]
    if repr(got) not in words:
        raise ValueError(f"{option} must be {', '.join(words[:-1])} or {words[-1]}, got {got!r}.")
