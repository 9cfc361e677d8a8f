"""Find, carry and judge winning lottery tickets: sparse subnetworks that train as well as the whole.

    import tombola as tb
    from tombola.archs.mlp import Mlp
    from tombola.tasks.digits import Digits

    *_, winner = tb.find(Mlp(), Digits(), tb.Recipe(steps="10ep"), levels=5, call=tb.Store("runs"))

The public names below are imported when they are first used, so that `import tombola` costs nothing.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tombola.core.errors import Damaged as Damaged
    from tombola.core.errors import Failed as Failed
    from tombola.core.errors import Refused as Refused
    from tombola.core.layout import Interface as Interface
    from tombola.core.layout import Layout as Layout
    from tombola.core.layout import Stage as Stage
    from tombola.core.lineage import Lineage as Lineage
    from tombola.core.machine import Machine as Machine
    from tombola.core.mask import Mask as Mask
    from tombola.core.measurement import Measurement as Measurement
    from tombola.core.plugin import plugin as plugin
    from tombola.core.seeds import Seeds as Seeds
    from tombola.core.seeds import numbers as numbers
    from tombola.core.text import parse as parse
    from tombola.core.ticket import Ticket as Ticket
    from tombola.core.verdict import Verdict as Verdict
    from tombola.criteria.magnitude import Magnitude as Magnitude
    from tombola.find import carry as carry
    from tombola.find import cut as cut
    from tombola.find import cut_early as cut_early
    from tombola.find import draw as draw
    from tombola.find import find as find
    from tombola.find import further as further
    from tombola.probes.anatomy import anatomy as anatomy
    from tombola.probes.barrier import barrier as barrier
    from tombola.proof import prove as prove
    from tombola.prune import Erk as Erk
    from tombola.prune import Everywhere as Everywhere
    from tombola.prune import PerLayer as PerLayer
    from tombola.prune import prune as prune
    from tombola.report.claims import Agrees as Agrees
    from tombola.report.claims import Better as Better
    from tombola.report.claims import Beyond as Beyond
    from tombola.report.claims import Claim as Claim
    from tombola.report.claims import NotWorse as NotWorse
    from tombola.report.claims import Published as Published
    from tombola.report.claims import winning as winning
    from tombola.report.declared import Curve as Curve
    from tombola.report.declared import Pivot as Pivot
    from tombola.study.deferred import Deferred as Deferred
    from tombola.study.deferred import defer as defer
    from tombola.study.goals import Goal as Goal
    from tombola.study.goals import row as row
    from tombola.study.graph import graph_of as graph_of
    from tombola.study.graph import resolve as resolve
    from tombola.study.module import open_study as open_study
    from tombola.study.step import now as now
    from tombola.study.step import step as step
    from tombola.study.store import Store as Store
    from tombola.train.evaluate import evaluate as evaluate
    from tombola.train.loop import train as train
    from tombola.train.recipe import Recipe as Recipe
    from tombola.train.recipe import longer as longer
    from tombola.train.trained import Trained as Trained
    from tombola.verify import verify as verify

_HOMES = {
    "tombola.core.errors": ("Damaged", "Failed", "Refused"),
    "tombola.core.layout": ("Interface", "Layout", "Stage"),
    "tombola.core.lineage": ("Lineage",),
    "tombola.core.machine": ("Machine",),
    "tombola.core.mask": ("Mask",),
    "tombola.core.measurement": ("Measurement",),
    "tombola.core.plugin": ("plugin",),
    "tombola.core.seeds": ("Seeds", "numbers"),
    "tombola.core.text": ("parse",),
    "tombola.core.ticket": ("Ticket",),
    "tombola.core.verdict": ("Verdict",),
    "tombola.criteria.magnitude": ("Magnitude",),
    "tombola.find": ("carry", "cut", "cut_early", "draw", "find", "further"),
    "tombola.probes.anatomy": ("anatomy",),
    "tombola.probes.barrier": ("barrier",),
    "tombola.proof": ("prove",),
    "tombola.prune": ("Erk", "Everywhere", "PerLayer", "prune"),
    "tombola.report.claims": ("Agrees", "Better", "Beyond", "Claim", "NotWorse", "Published", "winning"),
    "tombola.report.declared": ("Curve", "Pivot"),
    "tombola.study.deferred": ("Deferred", "defer"),
    "tombola.study.goals": ("Goal", "row"),
    "tombola.study.graph": ("graph_of", "resolve"),
    "tombola.study.module": ("open_study",),
    "tombola.study.step": ("now", "step"),
    "tombola.study.store": ("Store",),
    "tombola.train.evaluate": ("evaluate",),
    "tombola.train.loop": ("train",),
    "tombola.train.recipe": ("Recipe", "longer"),
    "tombola.train.trained": ("Trained",),
    "tombola.verify": ("verify",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


class _Package(types.ModuleType):
    """The package, in which a public name wins over a submodule of the same name (`find`, `train`, `prune`, `verify`).

    Importing a submodule binds its name in the package; a property is stronger than that binding.
    """

    def __dir__(self) -> list[str]:
        return [*__all__, *super().__dir__()]


def _public(name: str) -> property:
    def get(self: types.ModuleType) -> Any:
        return getattr(importlib.import_module(_HOME[name]), name)

    def bind(self: types.ModuleType, module: Any) -> None:
        """Let the import system have its way; the submodule stays in `sys.modules`."""

    return property(get, bind)


for _name in __all__:
    setattr(_Package, _name, _public(_name))
sys.modules[__name__].__class__ = _Package
