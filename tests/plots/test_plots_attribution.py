"""Figures of lesson 11: what is drawn is what was measured."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from resnet_edu import plots, probe
from resnet_edu.models import Pretrained
from resnet_edu.models.pretrained import PhotoTransforms


class Quarters(nn.Module):
    """Logits: red, green and blue, averaged after a convolution that keeps the colours apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layer2 = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.eye_(self.layer2.weight.data.view(3, 3))
        self.layer4 = nn.AvgPool2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer4(self.layer2(x)).mean((2, 3)) * 4


@pytest.fixture
def network() -> Pretrained:
    transforms = PhotoTransforms(16, (0.0,) * 3, (1.0,) * 3)
    return Pretrained(Quarters(), ("red", "green", "blue"), transforms, "a test")


@pytest.fixture
def picture() -> Image.Image:
    image = Image.new("RGB", (32, 32), (0, 0, 40))
    image.paste((255, 90, 40), (16, 0, 32, 16))  # upper right
    return image


def drawn(axes) -> np.ndarray:
    return np.asarray(axes.images[-1].get_array())


def test_maps_stand_beside_their_photos() -> None:
    images, plain, signed = torch.rand(2, 3, 6, 5), torch.rand(2, 6, 5), torch.randn(2, 6, 5)
    signed[1] = signed[1].abs()  # still drawn like the rest of its column
    maps = {"plain": plain, "signed": signed}
    figure = plots.maps_over_photos(images, maps, titles=["a", "b"], title="Maps")
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in figure.axes[:3]] == ["photo", "plain", "signed"]
    assert [figure.axes[3 * row].get_xlabel() for row in (0, 1)] == ["a", "b"]
    for row in (0, 1):
        np.testing.assert_allclose(drawn(figure.axes[3 * row + 1]), plain[row])
        np.testing.assert_allclose(drawn(figure.axes[3 * row + 2]), signed[row])
        low, high = figure.axes[3 * row + 2].images[0].get_clim()
        assert low == -high
    photo = drawn(figure.axes[0])
    assert (photo.shape, photo.min(), photo.max()) == ((6, 5, 3), 0, 1)


def test_a_map_of_zeros_can_be_drawn() -> None:
    figure = plots.maps_over_photos(torch.zeros(1, 3, 4, 4), {"none": torch.zeros(1, 4, 4)}, title="Nothing")
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_completeness_draws_the_size_of_each_error() -> None:
    (axes,) = plots.completeness({"cat": {4: -0.5, 8: 0.1}, "cup": {4: 0.2, 8: -0.05}}, title="Error").axes
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [[0.5, 0.1], [0.2, 0.05]]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["4", "8"]
    assert axes.get_ylabel() == "size of the error (logit)"


def test_rank_correlations_draws_mean_and_range() -> None:
    found = {"a": {"fc": [0.2, 0.4], "all": [0.0, 0.1]}, "b": {"fc": [1.0, 0.9], "all": [0.5, 0.7]}}
    (axes,) = plots.rank_correlations(found, threshold=0.5, title="Ranks").axes
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), [0.3, 0.05])
    np.testing.assert_allclose(np.asarray(axes.lines[1].get_ydata()), [0.95, 0.6])
    assert np.asarray(axes.lines[2].get_ydata()).tolist() == [0.5, 0.5]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["fc", "all"]
    corners = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1]
    assert (corners.min(), corners.max()) == (0, 0.4)


@pytest.mark.parametrize("method", plots.ATTRIBUTIONS)
@pytest.mark.parametrize("place", [1, 3])
def test_a_photo_its_answers_and_its_map(method: str, place: int, network: Pretrained, picture: Image.Image) -> None:
    figure = plots.photo_attribution(network, picture, method=method, place=place)
    photo, bars, found = figure.axes
    image = network.transforms(picture)[None]
    percents = (100 * network.model(image).softmax(1)[0]).sort(descending=True)
    labels = [network.categories[index] for index in percents.indices]
    assert labels[0] == "red"
    assert [tick.get_text() for tick in bars.get_yticklabels()] == labels
    np.testing.assert_allclose(
        [bar.get_path().get_extents(bar.get_patch_transform()).width for bar in bars.patches],
        percents.values.detach(),
        rtol=1e-4,
    )
    assert drawn(photo).shape == (16, 16, 3)
    assert found.get_title(loc="left") == f"{method}: {labels[place - 1]}"
    wanted = plots.ATTRIBUTIONS[method](network.model, image, int(percents.indices[place - 1]))[0]
    np.testing.assert_allclose(drawn(found), wanted, rtol=1e-4, atol=1e-5)


def test_the_evidence_lies_where_it_was_put(network: Pretrained, picture: Image.Image) -> None:
    image = network.transforms(picture)[None]
    for name, method in plots.ATTRIBUTIONS.items():
        found = method(network.model, image, 0)[0]
        assert found[:8, 8:].sum() > 0.6 * found.clamp(min=0).sum(), name


def test_the_grid_asks_about_each_photos_own_answer(network: Pretrained, picture: Image.Image) -> None:
    figure = plots.attribution_grid(network, {"spot": picture, "sea": Image.new("RGB", (20, 30), "blue")})
    assert len(figure.axes) == 2 * (1 + len(plots.ATTRIBUTIONS))
    assert figure.axes[0].get_xlabel() == "spot: red"
    assert figure.axes[1 + len(plots.ATTRIBUTIONS)].get_xlabel() == "sea: blue"
    wanted = probe.occlusion(network.model, network.transforms(picture)[None], 0, window=4, stride=2)[0]
    np.testing.assert_allclose(drawn(figure.axes[len(plots.ATTRIBUTIONS)]), wanted, atol=1e-5)
