"""What measures a GPU runs here in small: each way of the table, and the comparison with the processor."""

import pathlib
import re

import pytest

from benchmarks import gpu


@pytest.mark.slow
def test_the_whole_table_in_small(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    """On a processor a fleet of one and the plain loop give the same numbers, and no way fails."""
    out = tmp_path / "speed" / "gpu.md"
    gpu.main(["--device", "cpu", "--small", "--out", str(out)])
    text = out.read_text()
    assert capsys.readouterr().out.strip() in text and "not to be had" not in text
    rows = [line for line in text.splitlines() if re.search(r"^\| (step|captured|2 networks)", line)]
    assert len(rows) == 8
    losses = [float(loss) for loss in re.findall(r"(\d\.\d{4}) and", text)]
    assert len(losses) == 3 and losses[0] == pytest.approx(losses[1], abs=1e-3) != losses[2]


def test_a_way_that_fails_is_told_and_loses_no_other():
    def fails() -> gpu.Made:
        raise ValueError("no such\nthing")

    assert gpu._line("a way", fails, gpu.SMALL, bar=1.0) == "| a way | not to be had | ValueError: no such | | | |"


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "there is no CUDA GPU here" in capsys.readouterr().err
