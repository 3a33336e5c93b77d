"""Studies: what is finished stays finished, whatever happens in between; the records are whole."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import studies
import torch
from studies import STUDIES
from torch.nn import functional as F

from resnet_edu import Epoch, History, TrainConfig, data, evaluate, files, fit, machine, models
from resnet_edu.errors import LossNotFinite, UnknownName
from resnet_edu.study import Outcome, Recorded, Setting, Study, in_full, known_studies, load_study, run_study

CONFIG = TrainConfig(epochs=2, augment=())
TINY = TrainConfig(epochs=3, batch_size=10, lr=0.01, augment=(), precision="float32")
DIGITS: dict[str, Any] = {"name": "mnist5k", "size": 16, "limit": 20}
NET: dict[str, Any] = {"width": 2, "in_channels": 1}
REAL = Study("real", "", {"a net": Setting("plain20", NET, DIGITS, TINY)}, [3])
RECORDS = sorted(path.stem for path in (files.assets() / "runs").glob("*.json"))
RUNS: list[tuple[str, int]] = []


def invented(model: str, seed: int, count: int = 2) -> History:
    """Numbers with many digits that follow from model and seed."""
    generator = torch.Generator().manual_seed(1000 * len(model) + seed)
    numbers = torch.rand(count, 7, generator=generator, dtype=torch.float64).tolist()
    return History([Epoch(number + 1, *row) for number, row in enumerate(numbers)])


def pretend(setting: Setting, seed: int, _: Path) -> Outcome:
    """A run that takes no time, and is counted."""
    RUNS.append((setting.model, seed))
    return invented(setting.model, seed, setting.config.epochs), {"test_error": float(seed)}


@pytest.fixture(autouse=True)
def no_runs_yet() -> Iterator[None]:
    RUNS.clear()
    yield
    RUNS.clear()


def study_of(settings: Mapping[str, TrainConfig] | None = None, *, seeds: tuple[int, ...] = (0, 1)) -> Study:
    configs = {"a": CONFIG, "bb": CONFIG} if settings is None else settings
    made = {label: Setting(label, {}, {}, config, train=pretend) for label, config in configs.items()}
    return Study("test", "A test", made, seeds)


ALL = [("a", 0), ("bb", 0), ("a", 1), ("bb", 1)]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def fit_and(callback: Callable[[Epoch], None]) -> Callable[..., History]:
    """`fit` with one callback more."""

    def fit_with(*arguments: object, callbacks: list[Callable[..., object]], **options: object) -> History:
        more = [*callbacks, lambda epoch, _: callback(epoch)]
        return fit(*arguments, **options, callbacks=more)  # type: ignore[arg-type]

    return fit_with


# Real runs


def test_a_run_is_fit_with_this_seed_measured_on_val_and_tested_once(tmp_path: Path) -> None:
    machine.seed_everything(3)
    model, images = models.build("plain20", **NET), data.load(**DIGITS)
    expected = fit(model, images, replace(TINY, seed=3))
    recorded = run_study(REAL, tmp_path)
    assert recorded.epochs["a net", 3] == expected.epochs == load_study("real", tmp_path).epochs["a net", 3]
    (run,) = recorded.runs
    assert (run["setting"], run["seed"], run["machine"]) == ("a net", 3, machine.description())
    assert recorded.found("a net", "test_error") == [evaluate(model, images.test).top1_error]
    assert set(run) == {"setting", "seed", "date", "seconds", "machine", "test_error"}


def test_a_run_that_was_killed_goes_on_after_its_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, trained = run_study(REAL, tmp_path / "whole"), list[int]()

    def die(epoch: Epoch) -> None:
        trained.append(epoch.epoch)
        if len(trained) == 2:
            raise MemoryError

    monkeypatch.setattr("resnet_edu.study.fit", fit_and(die))
    with pytest.raises(MemoryError):
        run_study(REAL, tmp_path / "killed")
    assert run_study(REAL, tmp_path / "killed").epochs == whole.epochs
    assert trained == [1, 2, 3]
    assert {*contents(tmp_path / "killed")} == {"real.csv", "real.json"}


def test_a_run_that_diverges_keeps_the_epochs_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(_: Epoch) -> None:
        raise LossNotFinite("The loss became nan.")

    monkeypatch.setattr("resnet_edu.study.fit", fit_and(diverge))
    recorded = run_study(REAL, tmp_path)
    assert len(recorded.epochs["a net", 3]) == 1
    assert recorded.found("a net", "diverged") == ["The loss became nan."]
    assert load_study("real", tmp_path) == recorded


def test_the_first_step_is_measured_and_clipping_shortens_the_gradient() -> None:
    config = replace(TINY, epochs=1, schedule="constant", batch_size=20, weight_decay=0.0, channels_last=False)
    setting = Setting("plain20", NET, DIGITS, config)
    _, found = studies.train_and_watch_steps(setting, 0, Path())
    machine.seed_everything(0)
    model, images = models.build("plain20", **NET), data.load(**DIGITS).train
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    before = [weight.detach().clone() for weight in model.parameters() if weight.ndim > 1]
    F.cross_entropy(model(images.inputs(order)), images.labels[order]).backward()
    torch.optim.SGD(model.parameters(), lr=config.lr).step()
    after = [weight.detach() for weight in model.parameters() if weight.ndim > 1]
    moved = [float((new - old).norm() / old.norm()) for new, old in zip(after, before, strict=True)]
    assert found["first_step"] == pytest.approx(moved, rel=0.01)
    plain, clipped, loose = (
        studies.train_and_watch_steps(replace(setting, special=special), 0, Path())[0].last.val_loss
        for special in ({}, {"clip": 1e-6}, {"clip": 1e6})
    )
    assert plain == loose != clipped


def test_a_plain_net_is_the_residual_one_with_equal_first_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, object]] = []
    monkeypatch.setattr(studies, "train_once", lambda *_, **given: made.append(given))
    options: dict[str, Any] = {"num_classes": 4, "width": 4}
    special = {"classes": 4, "additions": False}
    studies.train_on_first_classes(Setting("resnet18", options, {"name": "mnist5k"}, CONFIG, special), 5, Path())
    images, plain = made[0]["images"], made[0]["model"]
    assert isinstance(images, data.Data)
    assert (images.classes, {*images.train.labels.tolist()}) == (("0", "1", "2", "3"), {0, 1, 2, 3})
    machine.seed_everything(5)
    residual = models.build("resnet18", **options).eval()
    assert isinstance(residual, models.ResNet)
    assert isinstance(plain, models.ResNet)
    state = {name: value for name, value in residual.state_dict().items() if "downsample" not in name}
    assert {*plain.state_dict()} == {*state}
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    x = torch.rand(2, 3, 64, 64)
    features = residual.maxpool(residual.relu(residual.bn1(residual.conv1(x))))
    for block in (block for stage in (1, 2, 3, 4) for block in getattr(residual, f"layer{stage}")):
        features = block.relu2(block.bn2(block.conv2(block.relu1(block.bn1(block.conv1(features))))))  # nothing added
    assert torch.equal(plain.eval()(x), residual.fc(residual.avgpool(features).flatten(1)))


def transfer_after(best: float) -> dict[str, studies.Setting]:
    """The settings that follow trials in which this rate was the best for all."""
    study = STUDIES["mnist5k-transfer"]
    epoch = invented("", 0).epochs[-1]
    errors = {(label, 100): setting.config.lr != best for label, setting in study.settings.items()}
    trials = {key: [replace(epoch, val_error=10.0 + worse)] for key, worse in errors.items()}
    assert study.then is not None
    return {**study.then(Recorded(study.name, {label: {} for label in study.settings}, [], trials))}


def test_few_labels_are_chosen_by_the_seed_and_heads_by_the_validation_images() -> None:
    after = transfer_after(0.001)
    few = after["frozen, stage 1, 5 labels"]
    (_, first), (_, again), (_, other) = (studies.with_few_labels(few, seed) for seed in (0, 0, 1))
    assert first.train.labels.bincount().tolist() == [5] * 10
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.train.images, other.train.images)
    history, found = studies.train_head(after["raw pixels, 100 labels"], 0, Path())
    assert len(history) == 0
    assert 5 < found["test_error"] < 25
    assert found["weight_decay"] in few.special["weight_decays"]


@pytest.mark.slow
@pytest.mark.parametrize("best", [0.0003, 0.003])
def test_the_rate_is_that_of_the_lowest_validation_error_in_trials_that_test_nothing(best: float) -> None:
    after = transfer_after(best)
    whole = [
        f"{method}, {labels} labels" for method in ("from scratch", "fine-tuned") for labels in (5, 10, 20, 50, 100)
    ]
    assert {after[label].config.lr for label in whole} == {best}
    trial = STUDIES["mnist5k-transfer"].settings["fine-tuned at 0.001, 5 labels"]
    shorter = replace(trial, special={**trial.special, "images": 25})
    assert studies.train_on_few(shorter, 0, Path())[1] == {}
    final = replace(shorter, special={**shorter.special, "trial": False})
    assert "test_error" in studies.train_on_few(final, 0, Path())[1]


# Recording, stopping and going on


def test_what_is_read_is_what_was_run(tmp_path: Path) -> None:
    recorded = run_study(study_of(), tmp_path)
    again = load_study("test", tmp_path)
    assert (again, [*again.epochs], RUNS) == (recorded, ALL, ALL)  # all settings with the first seed come first
    for (model, seed), epochs in again.epochs.items():
        assert [asdict(epoch) for epoch in epochs] == [asdict(epoch) for epoch in invented(model, seed).epochs]
    before = contents(tmp_path)
    run_study(study_of(), tmp_path, progress=lambda run: pytest.fail(f"{run} is told of again"))
    assert (RUNS, contents(tmp_path)) == (ALL, before)  # neither run nor written again


class Stop(Exception):
    """Stands for whatever ends a study from outside."""


@pytest.mark.parametrize("stop", range(1, 5))
def test_a_stopped_study_goes_on_where_it_was(stop: int, tmp_path: Path) -> None:
    told: list[Mapping[str, object]] = []

    def progress(run: Mapping[str, object]) -> None:
        told.append(run)
        if len(told) == stop:
            raise Stop

    with pytest.raises(Stop):
        run_study(study_of(), tmp_path, progress=progress)
    assert (ALL[:stop], load_study("test", tmp_path).runs) == (RUNS, told)
    recorded = run_study(study_of(), tmp_path)
    assert RUNS == ALL  # nothing twice, nothing left out
    assert recorded.runs[:stop] == told
    assert recorded == load_study("test", tmp_path)


def test_an_interrupted_run_is_not_recorded(tmp_path: Path) -> None:
    study = study_of()
    stopped = replace(study.settings["bb"], train=lambda *_: (History(interrupted=True), {}))
    recorded = run_study(replace(study, settings={**study.settings, "bb": stopped}), tmp_path)
    assert [*recorded.epochs] == [("a", 0)]
    assert load_study("test", tmp_path) == recorded


def test_more_seeds_and_settings_are_added_and_the_old_rows_stay(tmp_path: Path) -> None:
    run_study(study_of({"a": CONFIG}, seeds=(3,)), tmp_path)
    rows, more = (tmp_path / "test.csv").read_text(), study_of(seeds=(3, 0))

    def then(recorded: Recorded) -> dict[str, Setting]:
        assert {*recorded.epochs} >= {("a", 3), ("bb", 3), ("a", 0), ("bb", 0)}
        return {"c": replace(more.settings["a"], model="ccc")}

    run_study(replace(more, then=then), tmp_path)
    recorded = run_study(replace(more, then=then), tmp_path)
    assert RUNS == [("a", 3), ("bb", 3), ("a", 0), ("bb", 0), ("ccc", 3), ("ccc", 0)]
    assert (tmp_path / "test.csv").read_text().startswith(rows)
    assert recorded.of("bb") == [invented("bb", seed) for seed in (0, 3)]
    assert recorded.found("bb", "test_error") == [0.0, 3.0]
    with pytest.raises(UnknownName, match=r"setting of the study test 'b'\. Did you mean 'bb'"):
        recorded.of("b")


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"a": CONFIG, "bb": replace(CONFIG, lr=0.2)}, "bb"),
        ({"a": replace(CONFIG, epochs=3), "bb": replace(CONFIG, augment=("flip",))}, "a, bb"),
    ],
)
def test_other_settings_are_refused(settings: dict[str, TrainConfig], changed: str, tmp_path: Path) -> None:
    run_study(study_of(), tmp_path)
    record = json.loads((tmp_path / "test.json").read_text())
    del record["settings"]["a"]["config"]["fused"]  # an option younger than the record counts with its default
    (tmp_path / "test.json").write_text(json.dumps(record))
    before = contents(tmp_path)
    run_study(study_of(), tmp_path)
    with pytest.raises(ValueError, match=rf"json was recorded with other settings of {changed}\. Record in another"):
        run_study(study_of(settings), tmp_path)
    assert (RUNS, contents(tmp_path)) == (ALL, before)


# Whatever happens to the files


@pytest.mark.parametrize("rest", ["bb,0,1,0.5", "bb", "bb,0,1,0.5,1,2,3,4,5,6,7,8,9\n", "bb,x,y,z\n", "\n"])
def test_rows_of_an_unfinished_run_are_ignored(rest: str, tmp_path: Path) -> None:
    run_study(study_of({"a": CONFIG}), tmp_path)
    recorded, table = load_study("test", tmp_path), tmp_path / "test.csv"
    table.write_text(table.read_text() + rest)
    assert load_study("test", tmp_path) == recorded


def test_a_run_whose_record_was_not_written_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = files.write_atomically

    def fails_at_the_second_record(target: Path, content: bytes) -> None:
        if target.suffix == ".json" and len(RUNS) == 2:
            raise OSError("disk full")
        write(target, content)

    monkeypatch.setattr(files, "write_atomically", fails_at_the_second_record)
    with pytest.raises(OSError, match="disk full"):
        run_study(study_of(), tmp_path)
    monkeypatch.undo()
    assert "bb,0" in (tmp_path / "test.csv").read_text()
    assert [*load_study("test", tmp_path).epochs] == [("a", 0)]
    run_study(study_of(), tmp_path)
    assert [("a", 0), ("bb", 0), ("bb", 0), *ALL[2:]] == RUNS
    assert [*load_study("test", tmp_path).epochs] == ALL


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("test.csv", lambda text: text.replace("a,0,1,0.", "a,0,1,o."), "damaged row"),
        ("test.csv", lambda text: text.replace("setting", "model"), "setting"),
        ("test.csv", None, "No such file"),
        ("test.json", lambda text: text[:-20], "are damaged"),
        ("test.json", lambda text: "[]", "are damaged"),
        ("test.json", lambda text: text.replace('"settings"', '"set"'), "settings"),
    ],
)
def test_a_damaged_record_is_refused_and_not_written_over(
    name: str, damage: Callable[[str], str] | None, message: str, tmp_path: Path
) -> None:
    study, path = study_of({"a": CONFIG}, seeds=(0,)), tmp_path / name
    run_study(study, tmp_path)
    path.write_text(damage(path.read_text())) if damage else path.unlink()
    before = contents(tmp_path)
    for attempt in (lambda: load_study("test", tmp_path), lambda: run_study(replace(study, seeds=(0, 1)), tmp_path)):
        with pytest.raises(ValueError, match=message) as caught:
            attempt()
        assert "Restore both, or remove both" in str(caught.value)
    assert contents(tmp_path) == before


# The studies of the course, and what is recorded of them


def test_the_degradation_study_changes_the_network_and_nothing_else() -> None:
    study = STUDIES["mnist5k-degradation"]
    assert [*study.settings] == [f"{kind}{depth}" for kind in ("plain", "resnet") for depth in (20, 32, 44, 56)]
    assert len({json.dumps({**setting.to_dict(), "model": ""}) for setting in study.settings.values()}) == 1
    assert {*load_study(study.name).epochs} == {*study.runs()}


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda study: study.name)
def test_every_study_names_networks_and_data_that_exist(study: Study) -> None:
    assert known_studies()[study.name].settings.keys() == study.settings.keys()
    for setting in study.settings.values():
        json.dumps(setting.to_dict())
        with torch.device("meta"):
            models.build(setting.model, **setting.options)
    for options in {json.dumps(setting.data): setting.data for setting in study.settings.values()}.values():
        if "limit" in options:  # the others are data sets that the package does not hold
            assert len(data.load(**options).train) == options["limit"]


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_says_what_was_run_with_which_seeds_and_versions(name: str) -> None:
    recorded, study = load_study(name), STUDIES[name]
    planned = {**study.settings, **(study.then(recorded) if study.then else {})}
    settings = json.loads(json.dumps({label: each.to_dict() for label, each in planned.items()}))
    for label, setting in recorded.settings.items():
        assert in_full(setting) == in_full(settings[label])
    for run in recorded.runs:
        assert {"setting", "seed", "date", "seconds", "machine"} <= {*run}
        assert "test_error" in run or "diverged" in run or recorded.settings[run["setting"]].get("trial")
        assert {"python", "torch", "torchvision", "cpu", "cores", "os", "device"} <= {*run["machine"]}
        epochs = [epoch.epoch for epoch in recorded.epochs[run["setting"], run["seed"]]]
        wanted = recorded.settings[run["setting"]]["config"]["epochs"]
        assert "diverged" in run or epochs in ([], [*range(1, wanted + 1)])
    assert len(recorded.epochs) == len(recorded.runs)  # none twice
    rows = (files.assets() / "runs" / f"{name}.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == sum(map(len, recorded.epochs.values()))  # no row of a run that the JSON does not know
