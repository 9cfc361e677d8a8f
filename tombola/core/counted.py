"""How many of a thing there are, in words."""


def number_of(count: int, one: str, many: str = "") -> str:
    """A count and its noun, which agree.

    Args:
        count: How many.
        one: What stands behind "1".
        many: What stands behind any other number; `one` and an "s" where it is not given.

    Example:
        >>> number_of(1, "row"), number_of(2_000, "row"), number_of(0, "row is", "rows are")
        ('1 row', '2,000 rows', '0 rows are')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
