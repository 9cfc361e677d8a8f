"""Running statistics of batch norm, gathered anew."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # All of them, and of no other kind of normalisation.

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def norms(net: nn.Module) -> Mapping[str, _BatchNorm]:
    """The batch-norm layers that gather statistics; one that has several names, by all of them."""
    modules = net.named_modules(remove_duplicate=False)
    return {n: one for n, one in modules if isinstance(one, _BatchNorm) and one.running_mean is not None}


def gather(net: nn.Module, batches: Iterable[Tensor]) -> int:
    """Estimate all of a network's running statistics anew on some inputs, and say how many examples those were.

    For each channel the mean over the batches of their means and of their unbiased variances, as PyTorch gathers them
    with `momentum=None`. Each layer normalises by its batch meanwhile; nothing else is in training mode, and in the end
    nothing is. What no example reached starts at mean 0 and variance 1.
    """
    layers = list(norms(net).values())
    net.eval()
    kept = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # The plain mean over all batches.
        layer.train()
    seen = 0
    for inputs in batches:
        net(inputs)
        seen += len(inputs)
    for layer, momentum in zip(layers, kept, strict=True):
        layer.momentum = momentum
    net.eval()
    return seen
