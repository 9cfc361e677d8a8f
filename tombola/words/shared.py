"""What every command takes."""

import dataclasses

from tyro.conf import UseAppendAction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shared:
    """What every command takes."""

    json: bool = False
    """Print one JSON object on standard output, and nothing else there."""
    use: UseAppendAction[tuple[str, ...]] = ()
    """A Python FILE with plug-ins of your own; may be given several times."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """Kinds and texts of the plug-ins that a command names; "" is one that is not given."""
        return []
