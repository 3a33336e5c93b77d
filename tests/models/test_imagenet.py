"""Torchvision's weights, in its own file format, from a server on this machine; torchvision itself is the oracle."""

import hashlib
import io
import pickle
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rights import folder_of_somebody_else
from served import Served, serving
from torch import Tensor
from torchvision import models as theirs

from resnet_edu import models
from resnet_edu.errors import DatasetUnavailable, UnknownName, WrongCheckpoint
from resnet_edu.models import available, pretrained
from resnet_edu.models.imagenet import (
    fetch_imagenet,
    imagenet_digest,
    imagenet_file,
    imagenet_names,
    imagenet_state,
    imagenet_weights,
)
from resnet_edu.models.pretrained import why_not_imagenet

Publish = Callable[..., str]


def saved(state: object, *, zipped: bool = True) -> bytes:
    """A checkpoint as torchvision publishes it: torch.save's zip format, or the one before PyTorch 1.6."""
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.fixture(scope="module")
def checkpoint() -> bytes:
    """Torchvision's ResNet-18 with random weights."""
    torch.manual_seed(0)
    return saved(theirs.resnet18().state_dict())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of checkpoints, torch.hub's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("RESNET_EDU_DOWNLOAD", raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def publish(server: Served, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Makes some bytes the IMAGENET1K_V1 weights of a network; returns the file's name, with the hash's beginning."""

    def publish(content: bytes, name: str = "resnet18", prefix: str | None = None) -> str:
        file = f"{name}-{prefix or hashlib.sha256(content).hexdigest()[:8]}.pth"
        server.files[file] = content
        monkeypatch.setattr(imagenet_weights(name).value, "url", f"{server.url}/models/{file}")
        return file

    return publish


def logits(model: torch.nn.Module, *, side: int = 64) -> Tensor:
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.eval()(images)


# Oracle: torchvision


def test_downloaded_cached_found_again_offline_and_equal_to_torchvisions(
    server: Served, publish: Publish, checkpoint: bytes, hub: Path
) -> None:
    file = publish(checkpoint)
    ours = pretrained("resnet18", source="imagenet")
    assert (hub / file).read_bytes() == checkpoint
    assert ours.source == f"resnet18, ImageNet weights of torchvision ({file}, in the cache)"
    assert len(ours.categories) == 1000
    assert ours.categories[281] == "tabby"
    assert not ours.model.training
    server.statuses = [500] * 9  # from now on nothing can be had there
    reference = logits(theirs.resnet18(weights="IMAGENET1K_V1"))  # reads the file we cached
    for source in ("auto", "imagenet"):
        assert torch.allclose(logits(pretrained("resnet18", source=source).model), reference, atol=1e-5)
    assert server.requests == [(file, None)]


def test_googlenet_converts_its_input_and_leaves_out_the_auxiliary_heads(
    publish: Publish, hub: Path, server: Served
) -> None:
    net = theirs.googlenet(init_weights=False)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)  # so that the logits depend on the images
    state = net.state_dict()
    assert any(key.startswith("aux1.") for key in state)
    publish(saved({key: value for key, value in state.items() if "num_batches_tracked" not in key}), "googlenet")
    assert fetch_imagenet("googlenet")
    ours = pretrained("googlenet").model
    reference = theirs.googlenet(weights="IMAGENET1K_V1")
    assert reference.transform_input
    assert torch.allclose(logits(ours), logits(reference), rtol=1e-3, atol=1e-5)
    reference.transform_input = False
    assert not torch.allclose(logits(ours), logits(reference), rtol=0.1, atol=1e-2)


def test_files_older_than_the_zip_format_are_read(publish: Publish, hub: Path, checkpoint: bytes) -> None:
    state = torch.load(io.BytesIO(checkpoint), weights_only=True)
    publish(saved(state, zipped=False))
    pretrained(source="imagenet")
    assert all(torch.equal(state[key], value) for key, value in imagenet_state("resnet18").items())


def test_our_addresses_and_hashes_are_torchvisions() -> None:
    assert imagenet_names() == [name for name in available() if hasattr(theirs, name)]
    for name in imagenet_names():
        file = imagenet_file(name)
        assert file.parent == Path(torch.hub.get_dir()) / "checkpoints"
        digest = imagenet_digest(name)
        assert digest.startswith("sha256:")
        assert file.name.endswith(f"-{digest[7:]}.pth")
        assert len(bytes.fromhex(digest[7:])) == 4
    assert imagenet_digest("resnet18") == "sha256:f37072fd"


# What is taken, and why


def test_nothing_is_downloaded_unless_it_is_asked_for(
    server: Served, publish: Publish, checkpoint: bytes, hub: Path
) -> None:
    file = publish(checkpoint)
    network = pretrained("resnet18")
    assert network.source.startswith("resnet18, bundled weights: ")
    assert network.source.endswith(
        f". Not ImageNet's: {file} is not cached; while online, run: resnet-edu fetch resnet18"
    )
    assert server.requests == []
    assert not hub.exists()


def test_auto_downloads_where_it_is_allowed(
    server: Served, publish: Publish, checkpoint: bytes, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(checkpoint)
    monkeypatch.setenv("RESNET_EDU_DOWNLOAD", "1")
    assert "ImageNet weights of torchvision" in pretrained("resnet18").source


def test_allowed_and_not_reachable_is_the_bundled_network_and_says_why(
    publish: Publish, checkpoint: bytes, hub: Path, monkeypatch: pytest.MonkeyPatch, server: Served
) -> None:
    publish(checkpoint)
    monkeypatch.setenv("RESNET_EDU_DOWNLOAD", "1")
    monkeypatch.setattr(imagenet_weights("resnet18").value, "url", "http://127.0.0.1:9/resnet18-01234567.pth")
    assert "bundled weights" in pretrained("resnet18").source
    assert "Not ImageNet's: http://127.0.0.1:9/resnet18-01234567.pth cannot be reached" in pretrained().source
    with pytest.raises(DatasetUnavailable, match="cannot be reached"):
        pretrained("resnet18", source="imagenet")


def test_a_network_that_is_not_bundled_and_not_cached(server: Served, publish: Publish, hub: Path) -> None:
    file = publish(b"", "vgg16")
    with pytest.raises(DatasetUnavailable, match=f"^{file} is not cached; while online, run: resnet-edu fetch vgg16$"):
        pretrained("vgg16")
    assert server.requests == []


@pytest.mark.parametrize("name", ["resnet20", "resnet81", "mobilenet_v2"])
def test_networks_that_torchvision_or_the_course_has_not(name: str, hub: Path) -> None:
    for source in ("auto", "imagenet"):
        with pytest.raises(UnknownName, match=f"Unknown pretrained network '{name}'"):
            pretrained(name, source=source)  # type: ignore[arg-type]


# Damage


def test_a_damaged_file_is_refused_and_fetched_again(
    server: Served, publish: Publish, checkpoint: bytes, hub: Path
) -> None:
    file = hub / publish(checkpoint)
    fetch_imagenet("resnet18")
    content = bytearray(checkpoint)
    content[len(content) // 2] ^= 1
    for damaged in (bytes(content), checkpoint[:-1], b""):
        file.write_bytes(damaged)
        for source in ("auto", "imagenet"):
            with pytest.raises(WrongCheckpoint, match=r"is damaged, .* was not read\. .* resnet-edu fetch resnet18$"):
                pretrained("resnet18", source=source)  # type: ignore[arg-type]
    assert "bundled" in pretrained("resnet18", source="bundled").source
    assert len(server.requests) == 1
    assert fetch_imagenet("resnet18")
    assert file.read_bytes() == checkpoint


def test_a_file_with_another_hash_than_its_name_is_not_cached(publish: Publish, hub: Path, checkpoint: bytes) -> None:
    publish(checkpoint, prefix="01234567")
    with pytest.raises(DatasetUnavailable, match=r"is another file than expected \(.*, not sha256:01234567\)"):
        pretrained("resnet18", source="imagenet")
    assert [path.name for path in hub.iterdir()] == [".resnet18.lock"]


class Touch:
    """Unpickled without limits, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["pickle", "zip", "legacy"])
def test_no_code_from_the_file_is_run_even_if_the_hash_is_right(
    publish: Publish, hub: Path, tmp_path: Path, how: str
) -> None:
    attack = {"conv1.weight": Touch(tmp_path / "owned")}
    publish({"pickle": pickle.dumps(attack), "zip": saved(attack), "legacy": saved(attack, zipped=False)}[how])
    with pytest.raises(WrongCheckpoint, match="holds something else than weights and was not read"):
        pretrained("resnet18", source="imagenet")
    assert not (tmp_path / "owned").exists()


PICKLES = (b"\x80\x02", b"\x80\x04\x95", b"\x80\x02}(", b"\x80\x02]j", b"PK\x03\x04", b"")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("start", PICKLES)
def test_any_bytes_are_refused_in_the_same_words(publish: Publish, hub: Path, start: bytes, seed: int) -> None:
    publish(start + random.Random(seed).randbytes(40 * seed))
    fetch_imagenet("resnet18")
    with pytest.raises(WrongCheckpoint, match="holds something else than weights and was not read"):
        imagenet_state("resnet18")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 nor this"])
def test_what_is_no_checkpoint(publish: Publish, hub: Path, content: bytes) -> None:
    publish(content)
    with pytest.raises(WrongCheckpoint, match="holds something else than weights"):
        pretrained("resnet18", source="imagenet")


def test_weights_that_do_not_fit(publish: Publish, hub: Path, checkpoint: bytes) -> None:
    state = torch.load(io.BytesIO(checkpoint), weights_only=True)
    small = models.build("resnet20").state_dict()
    for content, words in (
        ({key: value for key, value in state.items() if key != "fc.bias"}, r"1 missing \(fc\.bias\)"),
        (state | {"aux.weight": torch.zeros(1)}, r"1 unexpected \(aux\.weight\)"),
        (state | {"fc.bias": torch.zeros(10)}, r"1 of another shape"),
        (small, r"They fit .* build\('resnet20'\)"),
        ([1, 2], "Expected weights of resnet18 by parameter name, got list"),
        ({"state_dict": state}, r"Pass state\['state_dict'\]"),
    ):
        publish(saved(content))
        with pytest.raises(WrongCheckpoint, match=words) as caught:
            pretrained("resnet18", source="imagenet")
        assert "\n" not in str(caught.value)


# The cache


def test_another_folder_is_laid_out_like_torch_home(
    publish: Publish, checkpoint: bytes, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(checkpoint)
    assert fetch_imagenet("resnet18", tmp_path / "stick")
    assert not hub.exists()
    assert (tmp_path / "stick" / "hub" / "checkpoints" / file).is_file()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "stick"))
    assert file in pretrained("resnet18").source


def test_a_mirror(publish: Publish, checkpoint: bytes, hub: Path, server: Served) -> None:
    file = publish(checkpoint)
    with serving(**{file: checkpoint}) as mirror:
        fetch_imagenet("resnet18", mirror=mirror.url)
    assert server.requests == []
    assert (hub / file).is_file()


def test_several_at_once_download_once(publish: Publish, checkpoint: bytes, hub: Path, server: Served) -> None:
    publish(checkpoint)
    fetched: list[bool] = []
    threads = [threading.Thread(target=lambda: fetched.append(fetch_imagenet("resnet18"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fetched) == [False, False, True]
    assert len(server.requests) == 1


def test_a_cache_without_permission(publish: Publish, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(checkpoint)
    pretrained("resnet18", source="bundled")  # imports what nobody may not
    with folder_of_somebody_else() as folder:
        monkeypatch.setenv("TORCH_HOME", str(folder))
        with pytest.raises(DatasetUnavailable, match="resnet18 cannot be stored: Permission denied"):
            pretrained("resnet18", source="imagenet")
    with folder_of_somebody_else(mode=0) as folder:
        monkeypatch.setenv("TORCH_HOME", str(folder))
        with pytest.raises(DatasetUnavailable, match=r"^Permission denied: /"):
            pretrained("resnet18", source="imagenet")
        assert (why_not_imagenet("resnet18", download=False) or "").startswith("Permission denied: /")
