"""What a training took: time, steps, memory, and operations by convention."""

import torch

from tombola.study import provenance
from tombola.train.flops import flops, forward_of, training
from tombola.train.run import Run
from tombola.train.trained import Cost


def cost_of(run: Run) -> Cost:
    """The cost of a run from its ticket's step to where it is; the last batch of an epoch may be smaller."""
    size, batch = run.task.train_size(run.recipe.holdout), run.recipe.batch
    epochs, rest = zip(*(divmod(step, -(-size // batch)) for step in (run.ticket.step, run.progress.step)), strict=True)
    before, after = (whole * size + min(part * batch, size) for whole, part in zip(epochs, rest, strict=True))
    seen = after - before
    each = flops(run.ticket.arch, run.ticket.io, run.ticket.mask)
    sparse = each.training_sparse
    if (rewiring := run.rewiring) is not None and (steps := run.progress.step - run.ticket.step):
        sizes = {name: steps * mask.numel() for name, mask in run.ticket.mask.items()}
        forward, backward = (
            {name: count[name] / sizes[name] for name in sizes} for count in (rewiring.forward, rewiring.backward)
        )
        sparse = training(forward_of(run.ticket.arch, run.ticket.io), forward, backward)
    return Cost(
        seconds=run.progress.seconds,
        steps=run.progress.step - run.ticket.step,
        peak_memory=_peak_memory(run.device),
        flops_dense=each.training_dense * seen,
        flops_sparse=sparse * seen,
        device_seconds=run.progress.device_seconds,
        images=seen,
    )


def _peak_memory(device: torch.device) -> int:
    """The most that was held so far: by the process, or on a GPU by its tensors."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else provenance.peak_memory()
