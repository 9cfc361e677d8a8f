"""How do I find a ticket in a network of my own?

python examples/03_own_network.py
"""

from torch import Tensor, nn

import tombola as tb
from tombola.core.initial import draw_state
from tombola.tasks.digits import Digits
from tombola.train.optimizers import Adam
from tombola.train.recipes import Quickstart


@tb.plugin("arch", "plain_conv")
class PlainConv:
    """3x3 convolutions of one width, an average over the picture, and a linear layer."""

    width: int = 16
    blocks: int = 2

    def build(self, io: tb.Interface) -> nn.Module:
        return Net(io.inputs[0], self.width, self.blocks, io.classes)

    def layout(self) -> tb.Layout:
        blocks = tuple(f"stages.0.{i}" for i in range(self.blocks))
        axes, before = {}, ""  # For each axis of each parameter: the units that it counts ("" where none may move).
        for name in ("stem", *blocks):
            axes |= {f"{name}.weight": (name, before, "", ""), f"{name}.bias": (name,)}
            before = name
        axes |= {"head.weight": ("", before), "head.bias": ("",)}
        prunable = tuple(name for name in axes if name.endswith(".weight"))
        stage = tb.Stage(entry="", blocks=blocks)  # All of one shape: any of them could be left out or repeated.
        return tb.Layout(stem=("stem",), stages=(stage,), head=("head",), prunable=prunable, axes=axes)

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names, scheme="kaiming_normal")


class Net(nn.Module):
    def __init__(self, channels: int, width: int, blocks: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.stages = nn.ModuleList([nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks))])
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        for block in self.stages[0]:
            x = block(x).relu()
        return self.head(x.mean(dim=(2, 3)))


if __name__ == "__main__":
    task, runs = Digits(), tb.Store("runs")
    recipe = Quickstart(steps="10ep", optimizer=Adam(lr=5e-3))
    for ticket in tb.find(PlainConv(blocks=2), task, recipe, levels=2, keep=0.5, call=runs):
        print(ticket, runs(tb.train, ticket=ticket, task=task, recipe=recipe).test_accuracy)
