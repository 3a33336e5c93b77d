"""What a network accepts: one clear error in place of a puzzling one from deep inside a convolution."""

from torch import Tensor


def check_images(images: Tensor, *, channels: int, smallest_side: int, network: str) -> None:
    """Refuse a batch that `network` cannot take.

    Args:
        images: the batch handed to the network, expected as `(N, channels, H, W)`.
        channels: input channels of the network's first convolution.
        smallest_side: smallest H and W, in pixels, that survive the network's down-sampling.
        network: name used in the message.

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
        raise ValueError(
            f"{got}, but needs sides of at least {smallest_side} pixels. "
            f"Load the data with size={smallest_side} or more, or build the net with stem='small'."
        )
