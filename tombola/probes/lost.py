"""What was lost on the way: accuracies of carried tickets against those of the targets' own."""

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.probes.paired import check_pairs
from tombola.study.step import step
from tombola.train.trained import Trained


@step("lost")
def lost(own: tuple[Trained, ...], carried: tuple[Trained, ...]) -> Measurement:
    """The sum over pairs of what a network's own ticket has more of test accuracy than the one carried there.

    So two changes, each made alone, can be held against both made at once: whether losses add up.

    Raises:
        Refused: If there are not as many of the one as of the other, or a pair was not trained on the same task.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> task, recipe = Digits(), Recipe(steps=2, batch=60)
        >>> end = train(draw(Mlp(hidden=(8,)), task, recipe), task, recipe)
        >>> lost((end,), (end,)).numbers()
        {'lost': 0.0}
    """
    if len(own) != len(carried) or not own:
        raise Refused(f"lost: {len(own)} own tickets and {len(carried)} carried ones. Give pairs, one or more.")
    check_pairs("lost", own, carried)
    differences = (mine.test_accuracy - theirs.test_accuracy for mine, theirs in zip(own, carried, strict=True))
    return Measurement({"lost": sum(differences)})
