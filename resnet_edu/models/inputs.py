"""What a network accepts: one clear error in place of a puzzling one from deep inside a convolution."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import get_args

from torch import Tensor


def check_images(images: Tensor, *, channels: int, smallest_side: int, network: str, stem: str | None = None) -> None:
    """Raise `ValueError` for a batch that is not `(N, channels, H, W)`, or too small for a network's down-sampling."""
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


def check_count(option: str, got: object) -> None:
    """Raise `ValueError` for all but a whole number of at least 1; `True` and `10.0` are none."""
    if not isinstance(got, int) or isinstance(got, bool) or got < 1:
        raise ValueError(f"{option} must be a whole number of at least 1, got {got!r}.")


def check_options(network: Callable[..., object], options: Mapping[str, object]) -> None:
    """Raise `ValueError` unless each option fits the type that `network` declares for it.

    An int is a whole number of at least 1, a float a share from 0 to 1; else it is one of the words of a Literal, or
    True or False.
    """
    parameters = signature(network).parameters
    for option, got in options.items():
        kind = parameters[option].annotation
        if kind is int:
            check_count(option, got)
        elif kind is float:
            if not isinstance(got, int | float) or isinstance(got, bool) or not 0 <= got <= 1:
                raise ValueError(f"{option} must be a number from 0 to 1, got {got!r}.")
        else:
            words = [repr(word) for word in ((True, False) if kind is bool else get_args(kind))]
            if repr(got) not in words:
                raise ValueError(f"{option} must be {', '.join(words[:-1])} or {words[-1]}, got {got!r}.")
