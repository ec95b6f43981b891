"""What became of every node of an imported file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from model.network import Network


class Verdict(StrEnum):
    """How well a node is imported, from best to worst.

    faithful : the network computes what the node does, to the rounding of floats.  approximate :
    something differs, and the reason says what.  unsupported : it cannot be imported.
    """

    FAITHFUL = "faithful"
    APPROXIMATE = "approximate"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one node.

    node : its name in the file.  reason : what it became, what differs, or what to do instead.
    """

    node: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A file as a network.

    network : None if a node is unsupported.  findings : one or more of every node of the file.
    """

    network: Network | None
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        assert (self.network is None) == (self.verdict is Verdict.UNSUPPORTED)

    @property
    def verdict(self) -> Verdict:
        """The worst one."""
        order = list(Verdict)
        return max((f.verdict for f in self.findings), key=order.index, default=Verdict.FAITHFUL)


class Unsupported(Exception):
    """A node that no network has: its name, and what to do."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node}: {reason}")
        self.node, self.reason = node, reason
