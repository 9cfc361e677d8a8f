"""What measures a GPU runs here in small: each way of the table, and the comparison with the processor."""

import pathlib
import re

import pytest

from benchmarks import gpu
from tombola.train.bfloat import native


@pytest.mark.slow
def test_the_whole_table_in_small(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    """On a processor a fleet of one and the plain loop give the same numbers; what can be had there does not fail."""
    out = tmp_path / "speed" / "gpu.md"
    gpu.main(["--device", "cpu", "--small", "--out", str(out)])
    text = out.read_text()
    failed = [line for line in text.splitlines() if "not to be had" in line]
    assert capsys.readouterr().out.strip() in text
    assert len(failed) == (0 if native() else 4) and all(
        "bfloat16 |" in line or "bfloat16, " in line for line in failed
    )
    rows = [line for line in text.splitlines() if re.search(r"^\| (step|captured|2 networks)", line)]
    assert len(rows) == 8 + 3  # Of pictures, and of texts.
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
