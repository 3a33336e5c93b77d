"""The last layer of every network in the course: one linear classifier, or several that share a trunk.

Several heads are what the Bengali-grapheme networks of lesson 08 need: one picture, three questions.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from .inputs import check_count


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
        ValueError: a head, or the single classifier, has fewer than one class; a head's name cannot be
            the name of a module; or `heads` is no mapping, or empty.
    """
    if heads is None:
        check_count("num_classes", num_classes)
        return nn.Linear(in_features, num_classes)
    if not isinstance(heads, Mapping) or not heads:
        raise ValueError(f"heads must map at least one name to its classes, as in {{'digit': 10}}, got {heads!r}.")
    for name, classes in heads.items():
        if not isinstance(name, str) or not name.isidentifier() or hasattr(nn.Module(), name):
            raise ValueError(f"{name!r} cannot name a head. Take another plain word, for example 'digit'.")
        check_count(f"Number of classes of head {name!r}", classes)
    return Heads(in_features, heads)
