"""Rank and keep: the scopes, which say how density is shared, and `prune`, which keeps the best to the exact weight."""

from tombola.prune.blocks import Blocks as Blocks
from tombola.prune.channels import Channels as Channels
from tombola.prune.erk import Erk as Erk
from tombola.prune.everywhere import Everywhere as Everywhere
from tombola.prune.igq import Igq as Igq
from tombola.prune.layers import warn_of_collapse as warn_of_collapse
from tombola.prune.layers import weak_layers as weak_layers
from tombola.prune.nm import NM as NM
from tombola.prune.per_layer import PerLayer as PerLayer
from tombola.prune.per_row import PerRow as PerRow
from tombola.prune.rank import prune as prune
from tombola.prune.rank import widened as widened
from tombola.prune.rounds import in_rounds as in_rounds
from tombola.prune.scope import Scope as Scope
from tombola.prune.target import target as target
