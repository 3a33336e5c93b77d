"""The line that says how far a training is: in a terminal, in a notebook, and nowhere else."""

import html
import re

import IPython.display
import pytest
from training import small_net, tiny_data

from resnet_edu import TrainConfig, display, fit, machine
from resnet_edu.display import ProgressLine

CONFIG = TrainConfig(epochs=2, batch_size=20, augment=())


@pytest.fixture(params=["terminal"])
def watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody looks at a terminal, or at a notebook."""
    monkeypatch.setattr(machine, "show_progress", lambda: True)
    monkeypatch.setattr(machine, "in_notebook", lambda: request.param == "notebook")
    monkeypatch.setattr(display, "INTERVAL", 0)


@pytest.mark.usefixtures("watched")
def test_a_terminal_shows_one_line_that_is_clear_after_every_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    fit(small_net(), tiny_data(), CONFIG, callbacks=[lambda *_: print("epoch")])
    out, err = capsys.readouterr()
    assert out == "epoch\nepoch\n"
    *steps, last = err.split("\r")[1:]
    bars = [re.match(r"\x1b\[32m(━*)\x1b\[90m(━*)\x1b\[0m ", text) for text in steps]
    assert [(len(bar[1]), len(bar[2])) for bar in bars if bar] == [(5, 15), (10, 10), (15, 5), (20, 0)]
    shown = [re.sub(r"^\x1b.*\x1b\[0m ", "", text).removesuffix("\x1b[K") for text in steps]
    epochs = ["CifarNet: epoch 1 of 2, loss 2.", "CifarNet: epoch 2 of 2, loss 2."]
    assert [text[:31] for text in shown] == [epochs[0], epochs[0], "", epochs[1], epochs[1], ""]
    assert re.search(r", \d+ s$", shown[0])
    assert last == "\x1b[K"
    assert "\n" not in err


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("watched", ["notebook"], indirect=True)
def test_a_notebook_keeps_one_line_of_plain_html(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []

    class Output:
        def update(self, content: dict[str, str], *, raw: bool) -> None:
            assert raw
            shown.append(content["text/html"])
            assert f"<small>{html.escape(content['text/plain'])}</small>" == shown[-1]

    def display(content: dict[str, str], *, raw: bool, display_id: bool) -> Output:
        assert not shown, "one output, which is updated"
        assert display_id
        Output().update(content, raw=raw)
        return Output()

    monkeypatch.setattr(IPython.display, "display", display)
    history = fit(small_net(), tiny_data(), CONFIG)
    assert len(shown) == 6  # two steps and the end, twice
    errors = f"training error {history.last.train_error:.1f} %, validation error {history.last.val_error:.1f} %"
    assert shown[-1].startswith(f"<small>CifarNet: 2 of 2 epochs, {errors}")
    shown.clear()
    ProgressLine("<net>").show("step 1")
    assert shown == ["<small>&lt;net&gt;: step 1, 0 s</small>"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("watched")
def test_texts_that_follow_at_once_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "INTERVAL", 1000)
    with ProgressLine("net") as line:
        for step in range(100):
            line.show(f"step {step}")
    assert capsys.readouterr().err == "\rnet: step 0, 0 s\x1b[K\r\x1b[K"
    ProgressLine("net", shown=False).show("nobody")


def test_fit_is_silent_where_nobody_looks(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RESNET_EDU_QUIET", "1")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fit(small_net(), tiny_data(), CONFIG)
    assert capfd.readouterr() == ("", "")
