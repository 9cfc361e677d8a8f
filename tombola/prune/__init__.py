"""Rank and keep: the scopes, which say how density is shared, and `prune`, which keeps the best to the exact weight."""

from tombola.prune.layers import warn_of_collapse as warn_of_collapse
from tombola.prune.layers import weak_layers as weak_layers
from tombola.prune.rank import prune as prune
from tombola.prune.rank import widened as widened
from tombola.prune.rounds import in_rounds as in_rounds
from tombola.prune.rounds import left_by as left_by
from tombola.prune.scopes import Erk as Erk
from tombola.prune.scopes import Everywhere as Everywhere
from tombola.prune.scopes import PerLayer as PerLayer
from tombola.prune.scopes import Scope as Scope
from tombola.prune.target import target as target
