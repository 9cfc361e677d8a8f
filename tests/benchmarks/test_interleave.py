"""How a ratio is judged and shown."""

from benchmarks.interleave import ratio_of


def test_lines_judge_by_the_far_end_of_the_interval():
    less = {bar: ratio_of("a", [1.0, 1.1, 1.2], bar=bar).line() for bar in (1.2, 1.15, 1.05)}
    assert less[1.2] == "| a | 1.100 | 1.000 to 1.200 | 3 | at most 1.2 | met |"
    assert less[1.15].endswith("| met by the median |") and less[1.05].endswith("| NOT met |")
    more = {bar: ratio_of("a", [1.0, 1.1, 1.2], bar=bar, better="higher").line() for bar in (1.0, 1.05, 1.15)}
    assert more[1.0] == "| a | 1.100 | 1.000 to 1.200 | 3 | at least 1 | met |"
    assert more[1.05].endswith("| met by the median |") and more[1.15].endswith("| NOT met |")
    assert ratio_of("a", [1.0, 1.1, 1.2]).line() == "| a | 1.100 | 1.000 to 1.200 | 3 | | |"
    rates = [90_000.0, 110_000.0, 130_000.0]
    line = ratio_of("a", rates, bar=90_000, better="higher").line()
    assert line == "| a | 110,000 | 90,000 to 130,000 | 3 | at least 90,000 | met |"
