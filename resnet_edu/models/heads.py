"""The last layer of every network in the course: one linear classifier, or several that share a trunk.

Several heads are what the Bengali-grapheme networks of lesson 08 need: one picture, three questions.
"""

from collections.abc import Mapping

from torch import Tensor, nn


class Heads(nn.Module):
    """Several linear classifiers on the same features.

    Args:
        in_features: length of one feature vector.
        heads: number of classes by head name, for example `{"digit": 10, "parity": 2}`.
    """

    def __init__(self, in_features: int, heads: Mapping[str, int]) -> None:
        super().__init__()
        for name, classes in heads.items():
            self.add_module(name, nn.Linear(in_features, classes))

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Logits by head name: `(N, in_features)` to `{name: (N, classes)}`."""
        return {name: head(features) for name, head in self.named_children()}


def make_head(in_features: int, num_classes: int, heads: Mapping[str, int] | None = None) -> nn.Linear | Heads:
    """One linear layer, or `Heads` where `heads` names several.

    Raises:
        ValueError: a head, or the single classifier, has fewer than one class; or `heads` is empty.
    """
    if heads is None:
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}.")
        return nn.Linear(in_features, num_classes)
    if not heads:
        raise ValueError("heads is empty: name at least one, for example heads={'digit': 10}.")
    for name, classes in heads.items():
        if classes < 1:
            raise ValueError(f"Head {name!r} must have at least 1 class, got {classes}.")
    return Heads(in_features, heads)
