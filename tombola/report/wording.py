"""How numbers, labels and verdicts are put into words: the same on the page, in the terminal and in the pictures."""

import math
from collections.abc import Mapping

from tombola.report.claims import Label
from tombola.report.statistics import Sample

ERRORS = ("test_error", "train_error", "validation_error")
"""Fractions answered wrongly; what ends in `_error` otherwise is the standard error of a number."""
OF_ACCURACIES = ("standard_error", "class_gap", "group_gap", "group_accuracy_10th")
"""What accuracies are told with, in the same unit."""


def is_share(name: str) -> bool:
    """Whether a number of this name is a fraction that is shown in percent.

    Example:
        >>> is_share("test_accuracy"), is_share("density"), is_share("test_error"), is_share("test_loss")
        (True, True, True, False)
        >>> is_share("standard_error"), is_share("group_gap"), is_share("trace_error")
        (True, True, False)
    """
    return name in ("density", *ERRORS, *OF_ACCURACIES) or name.endswith("accuracy")


def spoken(name: str) -> str:
    """The name of a number or a label as a reader would say it.

    Example:
        >>> spoken("test_accuracy"), spoken("flops_sparse")
        ('test accuracy', 'FLOPs sparse')
    """
    return name.replace("flops", "FLOPs").replace("_", " ")


def label_text(value: Label) -> str:
    """The value of a label.

    Example:
        >>> label_text(True), label_text(0.5), label_text("ticket")
        ('yes', '0.5', 'ticket')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def labels_text(labels: Mapping[str, Label]) -> str:
    """Labels in a row; the label `name` speaks for itself.

    Example:
        >>> labels_text({"name": "ticket", "level": 3, "frozen": True})
        'ticket, level 3, frozen: yes'
    """
    said = [_label(name, value) for name, value in sorted(labels.items(), key=lambda item: item[0] != "name")]
    return ", ".join(said) or "all rows"


def _label(name: str, value: Label) -> str:
    if name == "name":
        return label_text(value)
    return f"{spoken(name)}{':' if isinstance(value, bool | str) else ''} {label_text(value)}"


def percent_number(share: float) -> str:
    """A fraction in percent to three figures, without the sign.

    Example:
        >>> percent_number(0.4225), percent_number(0.00012)
        ('42.2', '0.012')
    """
    text = f"{100 * share:.3g}"
    return text if "e" not in text else f"{100 * share:.6f}".rstrip("0")


def density_text(density: float) -> str:
    """A density in percent, to three figures.

    Example:
        >>> density_text(0.0134629), density_text(0.65), density_text(1.0)
        ('1.35 %', '65 %', '100 %')
    """
    return f"{percent_number(density)} %"


def number_text(name: str, value: float) -> str:
    """One number, in the unit that its name tells.

    Example:
        >>> number_text("test_accuracy", 0.9784), number_text("kept", 2450), number_text("barrier", 0.01234567)
        ('97.84 %', '2,450', '0.01235')
        >>> number_text("lead_points", -1.5)
        '−1.50 points'
        >>> number_text("points", 30)
        '30'
    """
    if not math.isfinite(value):
        return str(value).replace("inf", "infinite")
    if name == "density":
        return density_text(value)
    if is_share(name):
        return f"{100 * value:.2f} %"
    if name.endswith("_points"):
        return f"{value:.2f} points".replace("-", "−")
    if name.endswith("seconds"):
        return duration(value)
    if name.endswith("memory"):
        return scaled(value, "B", step=1024)
    if name.startswith("flops"):
        return scaled(value, "FLOP")
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"


def unit_of(name: str) -> str:
    """The unit to name in a heading whose cells leave it out."""
    return "%" if is_share(name) else ""


def sample_text(name: str, found: Sample | None, *, decimals: int = 1) -> str:
    """Mean ± sample standard deviation, without the percent sign and without n.

    Args:
        decimals: Of percents, at least; one more where the spread asks for it.

    Example:
        >>> sample_text("test_accuracy", Sample(3, 0.951, 0.004, 0.947, 0.955))
        '95.1 ± 0.4'
        >>> sample_text("barrier", Sample(3, 0.0123, 0.0004, 0.0, 0.1)), sample_text("barrier", None)
        ('0.0123 ± 0.0004', '–')
        >>> (
        ...     sample_text("distance", Sample(3, 124.4, 31.6, 90.0, 150.0)),
        ...     sample_text("levels", Sample(2, 3.0, 0.0, 3, 3)),
        ... )
        ('124 ± 32', '3 ± 0')
    """
    if found is None:
        return "–"
    if not math.isfinite(found.mean):
        return "not finite"
    if not is_share(name):
        return _plain_sample(name, found)
    if name == "density" and not found.sd:
        return percent_number(found.mean)
    decimals = 2 if found.sd and found.sd < 0.0005 else decimals
    spread = "" if found.sd is None else f" ± {100 * found.sd:.{decimals}f}"
    return f"{100 * found.mean:.{decimals}f}{spread}"


def _plain_sample(name: str, found: Sample) -> str:
    """With so many decimals that the spread has one figure, and in powers of ten where that would be long."""
    if found.sd is None:
        return number_text(name, found.mean)
    if not found.sd:
        return f"{number_text(name, found.mean)} ± 0"
    places = max(0, -math.floor(math.log10(found.sd)))
    if places > 6:
        return f"{found.mean:.4g} ± {found.sd:.1g}"
    return f"{found.mean:,.{places}f} ± {found.sd:,.{places}f}"


def with_unit(name: str, found: Sample | None, *, decimals: int = 1) -> str:
    """The same with its unit."""
    return f"{sample_text(name, found, decimals=decimals)}{' %' if found and is_share(name) else ''}"


def with_n(name: str, found: Sample | None) -> str:
    """The same, followed by how many rows it rests on.

    Example:
        >>> with_n("test_accuracy", Sample(3, 0.951, 0.004, 0.947, 0.955))
        '95.1 ± 0.4 % (n = 3)'
    """
    return f"{with_unit(name, found)} (n = {found.n})" if found else "not measured"


def points(difference: float) -> str:
    """A difference of fractions in percentage points, always with its sign.

    Example:
        >>> points(0.0123), points(-0.002)
        ('+1.23', '−0.20')
    """
    return f"{100 * difference:+.2f}".replace("-", "−")


def difference_text(name: str, value: float) -> str:
    """A difference of two numbers, with its sign and its unit.

    Example:
        >>> difference_text("test_accuracy", -0.002), difference_text("barrier", 0.25)
        ('−0.20 points', '+0.25')
    """
    return f"{points(value)} points" if is_share(name) else f"{value:+.3g}".replace("-", "−")


def margin_text(name: str, margin: float) -> str:
    """A margin, in points where the number is a fraction.

    Example:
        >>> margin_text("test_accuracy", 0.002), margin_text("test_accuracy", 0.01), margin_text("barrier", 0.5)
        ('0.2 points', '1 point', '0.5')
    """
    if not is_share(name):
        return f"{margin:g}"
    return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"


def duration(seconds: float) -> str:
    """Wall time in the unit a person would use.

    Example:
        >>> duration(8.24), duration(95), duration(7300)
        ('8.2 s', '1 min 35 s', '2 h 2 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(whole / 60)
    return f"{minutes // 60:,} h {minutes % 60} min"


def scaled(value: float, unit: str, *, step: int = 1000) -> str:
    """A large number with its prefix: thousands for operations, 1024 for bytes.

    Example:
        >>> scaled(1.5e12, "FLOP"), scaled(3 * 1024**2, "B", step=1024)
        ('1.50 TFLOP', '3.00 MiB')
    """
    prefixes = ("", "K", "M", "G", "T", "P", "E", "Z")
    power = 0
    while value >= step * 0.9995 and power < len(prefixes) - 1:
        value, power = value / step, power + 1
    infix = "i" if step == 1024 and power else ""
    return f"{value:.3g} {unit}" if not power else f"{_three(value)} {prefixes[power]}{infix}{unit}"


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
