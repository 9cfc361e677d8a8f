"""Which calls run together: those of one step that share what it says they must, from any study."""

from collections.abc import Callable

from tombola.core.canon import digest_of
from tombola.core.errors import Damaged, Failed, Refused
from tombola.study.graph import Graph
from tombola.study.store import Store


class Groups:
    """Finds companions for calls of a graph whose inputs are stored."""

    def __init__(self, graph: Graph, store: Store) -> None:
        self.graph, self.store = graph, store
        self.kinds: dict[str, str] = {}

    def companions(self, key: str, others: Callable[[], list[str]], *, free: int) -> list[str]:
        """Those of the others, in order, that begin together with a call: its fair share if so many slots are free."""
        places = self.store.machine.places
        if places == 1 or not (kind := self._kind(key)):
            return []
        same = [one for one in dict.fromkeys(others()) if one != key and self._kind(one) == kind]
        share = -(-(len(same) + 1) // free)
        return same[: min(places, share) - 1]

    def _kind(self, key: str) -> str:
        """A digest of what a call must share with others to run together with them; "" if it runs alone."""
        if key not in self.kinds:
            deferred = self.graph.calls[key]
            try:
                shared = deferred.function.shared(deferred.call, lambda one: self.store.record(one.key)["header"])
            except (Damaged, Refused, Failed):  # It will find out for itself.
                shared = None
            self.kinds[key] = digest_of([deferred.function.name, dict(shared)]) if shared else ""
        return self.kinds[key]
