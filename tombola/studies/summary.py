"""From a climbed ladder to what its report shows: rows, mask pictures, densities by layer, where it ran."""

from collections.abc import Iterator, Sequence

from tombola.core.ticket import Ticket
from tombola.report.summary import LayerDensity, Picture, Summary
from tombola.studies.ladder import Ladder, Rung, rows
from tombola.study import provenance
from tombola.study.store import Store


def summarise(
    ladder: Ladder,
    rungs: Sequence[Rung],
    *,
    store: str,
    title: str,
    question: str,
    command: str,
    margin: float = 0.002,
    picture_seed: int = 0,
) -> Summary:
    """Everything that a page about a ladder shows, read from its store; nothing is trained."""
    software, hardware = provenance.software(), provenance.hardware()
    return Summary(
        title=title,
        question=question,
        arch=str(ladder.arch),
        task=str(ladder.task),
        recipe=str(ladder.recipe),
        command=command,
        margin=margin,
        rows=tuple(rows(list(rungs), store=store)),
        pictures=tuple(_pictures(rungs, store, picture_seed)),
        layers=tuple(_layers(rungs, store)),
        machine=f"{hardware['processor']}, {hardware['cores']} cores, {hardware['system']}; one thread a training",
        provenance={name: str(value) for name, value in software.items()},
    )


def _pictures(rungs: Sequence[Rung], store: str, seed: int) -> Iterator[Picture]:
    for rung in rungs:
        if rung.seed == seed and rung.name == "ticket":
            if picture := first_layer(Store(store).load(rung.ticket, Ticket), rung):
                yield picture


def first_layer(ticket: Ticket, rung: Rung) -> Picture | None:
    """The share of living connections of each input pixel, if the first layer reads pixels; else None.

    A linear first layer is counted over its units, a convolution over its filters and channels (then a picture of the
    kernel).
    """
    name = next(iter(ticket.mask))
    mask = ticket.mask[name].double()
    channels, height, width = ticket.io.inputs if len(ticket.io.inputs) == 3 else (1, 1, ticket.io.features)
    if mask.dim() == 2 and mask.shape[1] == ticket.io.features:
        grid, caption = mask.mean(0).reshape(channels, height, width).mean(0), "connections of each pixel that live"
    elif mask.dim() == 4:
        grid, caption = mask.mean((0, 1)), "weights of each kernel position that live"
    else:
        return None
    values = tuple(tuple(min(1.0, float(v)) for v in line) for line in grid)
    return Picture(
        seed=rung.seed,
        name=rung.name,
        level=rung.level,
        density=ticket.density,
        values=values,
        caption=f"{name}: {caption}",
    )


def _layers(rungs: Sequence[Rung], store: str) -> Iterator[LayerDensity]:
    for rung in rungs:
        if rung.name == "ticket":
            mask = Store(store).load(rung.ticket, Ticket).mask
            for name in mask:
                kept, size = mask.kept_in(name), mask[name].numel()
                yield LayerDensity(
                    seed=rung.seed, level=rung.level, layer=name, density=kept / size, kept=kept, size=size
                )
