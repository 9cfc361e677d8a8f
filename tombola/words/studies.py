"""The words of the commands on studies."""

import dataclasses
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from tombola.words.shared import Shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfStudy(Shared):
    """What every command on a study takes."""

    study: Annotated[Positional[str], arg(metavar="STUDY")] = ""
    """A Python file, or the name of a study that is shipped; with settings: "quickstart(levels=3)"."""
    store: str = "runs"
    """Folder of finished work: what is there is not done again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfResults(OfStudy):
    """What every command takes that asks which results of a study are there."""

    machine: str = "machine"
    """What a single call runs on, e.g. "machine(threads=2)"."""
    reuse: Literal["any", "same"] = "any"
    """Results of any environment count as done, or those of the same one only (device, threads, layout, PyTorch)."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """The machine."""
        return [("machine", self.machine)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan(OfResults):
    """Tell what of a study is stored, what would run, and what that would cost. Runs nothing."""

    why: bool = False
    """Name what differs from the nearest stored step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(OfResults):
    """Run what a study needs and the store lacks. Stop it at any time, and give the same command to go on."""

    workers: int = 0
    """Processes side by side, each with one call at a time; 0 is one a core, 1 is this process."""
    engine: Literal["local", "ray"] = "local"
    """Where: processes of this machine, or a Ray cluster."""
    address: str = ""
    """Of the Ray cluster: HOST:PORT of its head, or auto; without it that of RAY_ADDRESS, or one is started here."""
    beside: UseAppendAction[tuple[str, ...]] = ()
    """Another STUDY to run along: its steps fill idle workers and places in fleets; its rows are told by its report."""
    mirror: UseAppendAction[tuple[str, ...]] = ()
    """Show the run in another tool too, e.g. tensorboard or "wandb(project=lottery)" (see: tombola list sink)."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """The machine and the mirrors."""
        return [*super().named, *(("sink", one) for one in self.mirror)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report(OfResults):
    """Write a study's page, and its tables and figures as files. Reads what is stored, runs nothing."""

    out: str = "report.html"
    """The page to write."""
    files: str = ""
    """A folder for its tables and figures; beside the page if not given."""
    page_only: bool = False
    """Write no files beside the page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mirror(OfStudy):
    """Show what was run of a study in another tool, from its log; what was shown there before is not sent again."""

    to: str
    """The tool: tensorboard, wandb, mlflow or trackio, with fields if need be (see: tombola list sink)."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """The tool."""
        return [("sink", self.to)]
