"""How numbers and verdicts are put into words: the same on the page, in the terminal and in the pictures."""

from tombola.report.judge import Judgement
from tombola.report.statistics import FEW, Claim, Sample

MARKS = {"wins": "✓", "loses": "✗", "undecided": "?"}


def density_text(density: float) -> str:
    """A density in percent, to three figures.

    Example:
        >>> density_text(0.0134629), density_text(0.65), density_text(1.0)
        ('1.35 %', '65 %', '100 %')
    """
    return f"{percent_number(density)} %"


def percent_number(density: float) -> str:
    """The same without its sign, for axes and small cells.

    Example:
        >>> percent_number(0.4225), percent_number(0.00012)
        ('42.2', '0.012')
    """
    text = f"{100 * density:.3g}"
    return text if "e" not in text else f"{100 * density:.6f}".rstrip("0")


def accuracy_text(found: Sample | None, *, number: str = "") -> str:
    """Mean and sample standard deviation in percent; one decimal, or two where the spread asks for them.

    Example:
        >>> accuracy_text(Sample(3, 0.951, 0.004, 0.947, 0.955)), accuracy_text(Sample(1, 0.95, None, 0.95, 0.95))
        ('95.1 ± 0.4 %', '95.0 %')
    """
    if found is None:
        return "not measured"
    decimals = 2 if found.sd and found.sd < 0.0005 else 1
    spread = "" if found.sd is None else f" ± {100 * found.sd:.{decimals}f}"
    return f"{100 * found.mean:.{decimals}f}{spread} %{number}"


def with_n(found: Sample | None) -> str:
    """The same, followed by how many seeds it rests on.

    Example:
        >>> with_n(Sample(3, 0.951, 0.004, 0.947, 0.955))
        '95.1 ± 0.4 % (n = 3)'
    """
    return accuracy_text(found, number=f" (n = {found.n})" if found else "")


def points(difference: float) -> str:
    """A difference of accuracies in percentage points, always with its sign.

    Example:
        >>> points(0.0123), points(-0.002)
        ('+1.23', '−0.20')
    """
    return f"{100 * difference:+.2f}".replace("-", "−")


def verdict_text(judgement: Judgement) -> str:
    """The verdict on one level in a few words, with what it rests on or what would decide it.

    Example:
        >>> from tombola.report.statistics import Verdict
        >>> verdict_text(Judgement(1, 0.5, Verdict("undecided", "clear", 3, None, 7), ()))
        'undecided: about 7 seeds would decide'
    """
    found = judgement.verdict
    if judgement.outcome != "undecided":
        return f"{judgement.outcome}, {'clear' if found.basis == 'clear' else '95 % interval'}"
    reasons = list(judgement.missing)
    if judgement.claims and found.n < 2:
        reasons.append(f"one seed has no spread, at least {FEW} are needed")
    if not reasons:
        more = found.needed
        reasons.append(
            "no number of seeds in reach would decide" if more is None else f"about {more:,} seeds would decide"
        )
    return f"undecided: {'; '.join(reasons)}"


def margin_text(margin: float) -> str:
    """A margin of accuracy in points.

    Example:
        >>> margin_text(0.002), margin_text(0.01)
        ('0.2 points', '1 point')
    """
    return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"


def claim_text(claim: Claim) -> str:
    """What a claim says, in words.

    Example:
        >>> claim_text(Claim("dense", (0.0,), bound=-0.002)), claim_text(Claim("reinit", (0.0,), bound=0.0))
        ('not worse than dense by more than 0.2 points', 'better than reinit')
    """
    if claim.name == "dense":
        return f"not worse than dense by more than {margin_text(-claim.bound)}"
    return f"better than {claim.name}"


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
