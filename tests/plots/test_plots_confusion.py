"""The confusion matrix shows the counts it was given, row by row."""

import torch

from resnet_edu import plots


def test_shares_are_coloured_and_counts_written() -> None:
    confusion = torch.tensor([[8, 2, 0], [0, 0, 0], [1, 0, 3]])
    (axes,) = plots.confusion_matrix(confusion, ("cat", "a very long class name", "emu"), title="Mostly right").axes
    shares = torch.as_tensor(axes.images[0].get_array().data)  # type: ignore[union-attr]
    assert torch.allclose(shares, torch.tensor([[0.8, 0.2, 0], [0, 0, 0], [0.25, 0, 0.75]], dtype=shares.dtype))
    written = {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "8", (0, 1): "2", (2, 0): "1", (2, 2): "3"}
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["cat", "a very long c…", "emu"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_many_classes_are_left_without_numbers() -> None:
    (axes,) = plots.confusion_matrix(torch.eye(30).long(), [str(n) for n in range(30)], title="").axes
    assert len(axes.texts) == 0
