"""Features computed once, and the best head on them."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from resnet_edu import data, models, probe
from resnet_edu.errors import UnknownName


def digits() -> data.Split:
    return data.load("mnist5k", size=16, limit=600).train


def net() -> nn.Module:
    torch.manual_seed(0)
    return models.build("resnet20", width=4, in_channels=1).train()


def test_features_are_what_arrives_at_the_head() -> None:
    model, split = net(), digits()
    features = probe.layer_features(model, split, ["layer3"])["layer3"]
    assert features.shape == (600, 16)
    assert model.training
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(split.inputs(slice(start, start + 200))) for start in (0, 200, 400)])
        head = models.head_of(model)[1]
        torch.testing.assert_close(
            head(features), logits, rtol=0.02, atol=0.05
        )  # features in bfloat16 on some machines


def test_places_keep_where_something_was() -> None:
    model, split = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(256, 2)), digits()
    features = probe.layer_features(model, split, ["0"], places=4)["0"]
    torch.testing.assert_close(features, F.avg_pool2d(split.inputs(), 4).flatten(1))


def test_the_head_is_that_of_scikit_learn() -> None:
    split = digits()
    features = F.avg_pool2d(split.inputs(), 4).flatten(1)
    scaled = (features - features.mean(0)) / (features.std(0) + 0.01 * features.std())
    head = probe.linear_head(features, split.labels, 10, weight_decay=0.01)
    theirs = LogisticRegression(C=1 / (2 * 0.01 * len(split)), max_iter=1000, tol=1e-6).fit(scaled, split.labels)
    with torch.no_grad():
        mine = head(features).softmax(dim=1)
    torch.testing.assert_close(mine, torch.from_numpy(theirs.predict_proba(scaled)).float(), rtol=0, atol=0.02)


def test_an_unknown_layer_is_named() -> None:
    with pytest.raises(UnknownName, match="layer9"):
        probe.layer_features(net(), digits(), ["layer9"])
