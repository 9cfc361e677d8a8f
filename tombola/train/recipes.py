"""The recipes of the papers, by name, with every value of their tables.

Where a paper says nothing, the choice is named here. None of them held out validation data; accuracy was that of the
test set after the last step.
"""

from typing import Literal

from tombola.core.plugin import plugin
from tombola.core.times import Time
from tombola.train.optimizers import Adam, Optimizer, Sgd
from tombola.train.recipe import Recipe
from tombola.train.schedules import Cosine, Schedule, StepDecay


@plugin("recipe", "quickstart")
class Quickstart(Recipe):
    """Ours, for small scans such as `digits`: under a second a training.

    Nothing is chosen by validation, so nothing is held out.
    """

    steps: Time = "25ep"
    batch: int = 60
    optimizer: Optimizer = Adam(lr=1.2e-3)
    evaluate: Time = "5ep"
    validation: float = 0.0


@plugin("recipe", "lenet")
class LeNet(Recipe):
    """LeNet-300-100 on MNIST (Maene et al. 2021, Table 1): Adam 1.2e-3, batch 60, 25 epochs, reset to the start."""

    steps: Time = "25ep"
    batch: int = 60
    optimizer: Optimizer = Adam(lr=1.2e-3)
    validation: float = 0.0


@plugin("recipe", "lmc_lenet")
class LmcLeNet(Recipe):
    """LeNet-300-100 on MNIST for 24 thousand iterations (Frankle et al. 2020)."""

    steps: Time = "24000it"
    batch: int = 60
    optimizer: Optimizer = Adam(lr=1.2e-3)
    validation: float = 0.0


@plugin("recipe", "resnet20")
class ResNet20(Recipe):
    """ResNet-20 on CIFAR-10 (Maene et al. 2021, Table 1). Stable with batch=2048; warm-up there is '10ep'.

    The paper does not state the momentum; 0.9 is taken.
    """

    steps: Time = "85ep"
    optimizer: Optimizer = Sgd(lr=0.1, momentum=0.9, decay=1e-5)
    schedule: Schedule = StepDecay(at=("56ep", "71ep"))
    validation: float = 0.0


@plugin("recipe", "conv4")
class Conv4(Recipe):
    """Conv-4 on CIFAR-10 (Maene et al. 2021, Table 1): SGD 0.01, cosine, 75 epochs. Momentum as in `resnet20`."""

    steps: Time = "75ep"
    optimizer: Optimizer = Sgd(lr=0.01, momentum=0.9, decay=1e-5)
    schedule: Schedule = Cosine()
    validation: float = 0.0


@plugin("recipe", "conv4_unstable")
class Conv4Unstable(Conv4):
    """Conv-4 made unstable (Maene et al. 2021, E9): decay 0.01, drops at 55 and 65 epochs; stable with batch=128."""

    batch: int = 16
    optimizer: Optimizer = Sgd(lr=0.01, momentum=0.9, decay=0.01)
    schedule: Schedule = StepDecay(at=("55ep", "65ep"))


@plugin("recipe", "resnet50")
class ResNet50(Recipe):
    """ResNet-50 on ImageNet (Maene et al. 2021, Table 1); the stable variant has lr=0.1."""

    steps: Time = "90ep"
    batch: int = 1024
    optimizer: Optimizer = Sgd(lr=0.4, momentum=0.9, decay=1e-5)
    schedule: Schedule = StepDecay(at=("30ep", "60ep", "80ep"))
    validation: float = 0.0


@plugin("recipe", "lmc_resnet20")
class LmcResNet20(Recipe):
    """ResNet-20 and VGG-16 on CIFAR-10 (Frankle et al. 2020, by their code); stable tickets from rewind=500 or so."""

    steps: Time = "160ep"
    optimizer: Optimizer = Sgd(lr=0.1, momentum=0.9, decay=1e-4)
    schedule: Schedule = StepDecay(at=("80ep", "120ep"))
    validation: float = 0.0


@plugin("recipe", "elastic_resnet")
class ElasticResNet(LmcResNet20):
    """CIFAR ResNets of the elastic tickets (Chen et al. 2021, Table 4; drops at 80 and 120 as in their code)."""

    rewind: Time = "1000it"


@plugin("recipe", "elastic_vgg")
class ElasticVgg(ElasticResNet):
    """CIFAR VGGs of the elastic tickets (Chen et al. 2021, Table 4)."""

    rewind: Time = "200it"


@plugin("recipe", "elastic_imagenet")
class ElasticImageNet(Recipe):
    """ImageNet ResNets of the elastic tickets (Chen et al. 2021, Table 4)."""

    steps: Time = "90ep"
    batch: int = 1024
    optimizer: Optimizer = Sgd(lr=0.4, momentum=0.9, decay=1e-4)
    schedule: Schedule = StepDecay(at=("30ep", "60ep", "80ep"))
    warmup: Time = "5ep"
    rewind: Time = "5ep"
    validation: float = 0.0


@plugin("recipe", "elastic_mlp")
class ElasticMlp(Recipe):
    """MNIST MLPs of the elastic tickets (Chen et al. 2021, Table 4): SGD 0.1 without momentum, no rewinding."""

    steps: Time = "40ep"
    optimizer: Optimizer = Sgd(lr=0.1, momentum=0.0)
    validation: float = 0.0


@plugin("recipe", "reviews_cnn")
class ReviewsCnn(Recipe):
    """Text CNN on reviews (Desai et al. 2019): Adam 1e-3 with coupled decay 1e-5, batch 32, best of 15 epochs.

    The paper's validation set is part of the task; where a task has none, a third is held out (10k beside 20k).
    """

    steps: Time = "15ep"
    batch: int = 32
    optimizer: Optimizer = Adam(lr=1e-3, decay=1e-5)
    validation: float = 0.3333333333333333
    select: Literal["last", "best"] = "best"


@plugin("recipe", "renda_resnet")
class RendaResNet(Recipe):
    """CIFAR ResNets of the rewinding study (Renda et al. 2020): 182 epochs, drops at 91 and 136; VGG has decay 5e-4."""

    steps: Time = "182ep"
    optimizer: Optimizer = Sgd(lr=0.1, momentum=0.9, decay=2e-4)
    schedule: Schedule = StepDecay(at=("91ep", "136ep"))
    validation: float = 0.0
