"""What every importer of layers does: collect findings, and build the chain or say why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from model.importers.chain import Layer, chain
from model.importers.settings import Settings
from model.importers.verdict import Finding, Imported, Unsupported, Verdict


@dataclass(slots=True)
class Reading:
    """What is being read: its settings, and what was found."""

    settings: Settings
    findings: list[Finding] = field(default_factory=list)

    def say(self, node: str, verdict: Verdict, reason: str) -> None:
        """Note what became of a part."""
        self.findings.append(Finding(node, verdict, reason))

    def finish(self, build: Callable[[], tuple[int, int, list[Layer]]]) -> Imported:
        """Build the network from what `build` returns: channels, steps, layers."""
        dt_ms, units = self.settings.number("dt_ms"), self.settings.get("units")
        if dt_ms <= 0:
            raise ValueError(f"{self.settings.source}: dt_ms must be positive, not {dt_ms:g}")
        try:
            inputs, steps, layers = build()
            made = chain(dt_ms, steps, inputs, None if units is None else int(units), layers)
        except Unsupported as error:
            self.say(error.node, Verdict.UNSUPPORTED, error.reason)
            made = None
        return Imported(made, tuple(self.findings))
