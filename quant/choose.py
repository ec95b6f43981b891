"""Choices that only the answers of the chip can make: scales by outputs, and the split of a word.

Float network and chip answer a recording with scores.  How alike two answers are is the cosine of
the angle between them, each less its mean over the classes: 1 if they order all classes alike
and as distinctly, whatever the unit.  It moves with every rounding, which the share of recordings
with the same class does not; but that is what is asked for in the end.  So what is chosen is the
mapping with the largest mean of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from datapath import Chip, Delay
from model import Network, simulate
from model.network import Floats
from quant.calibrate import Counts, Ranges, taken
from quant.delays import applied_steps, image_age, image_mode
from quant.fit import chip_for
from quant.image import image_of
from quant.loss import Trial
from quant.options import WHOLE, Options, Search, check_fits, options_for
from quant.plan import Plan, clips, integrating, plan

Shares = dict[str, tuple[float, ...]]
"""By population, the shares of weights to try to clip."""


class Choices:
    """What can be decided of the mapping of a network.

    network : as it was given, whose answers count.  kept : the same, pruned.
    chip : None builds one that fits.  ranges : of `kept`.
    """

    def __init__(
        self,
        network: Network,
        kept: Network,
        chip: Chip | None,
        ranges: Ranges,
        calibration: Counts | None,
    ) -> None:
        self.kept, self.chip, self.ranges = kept, chip, ranges
        self._answers = _Answers(network, calibration)

    def best(self, options: Options) -> tuple[Plan, tuple[Trial, ...]]:
        """Return the plan that `options` ask for, and what was tried; its options say the split."""
        if options.word_bits is None:
            return self._planned(options)
        tried = []
        for weight_bits, delay_bits in self._splits(options):
            split = replace(options, weight_bits=weight_bits, delay_bits=delay_bits)
            decided, inner = self._planned(split)
            what = f"weights of {weight_bits}, delays of {delay_bits} bits"
            tried.append((self._answers.trial(what, decided), decided, inner))
        trials = [trial for trial, _, _ in tried]
        n = _best(trials)
        _, decided, inner = tried[n]
        return decided, (*_with_choice(trials, n), *inner)

    def _splits(self, options: Options) -> Iterator[tuple[int, int]]:
        """Bits of weight and delay in a word, down to the delay bits that reach every delay."""
        assert options.word_bits is not None
        longest = max(
            (
                int((applied_steps(self.kept, p, mode) - image_age(self.kept, p)).max(initial=0))
                for p in self.kept.projections
                if (mode := image_mode(self.kept, p)) is not Delay.NONE
            ),
            default=0,
        )
        if not longest:
            raise ValueError(
                "word_bits shares out a word between weight and delay, and the network has no "
                "delays: say weight_bits"
            )
        found = 0
        for delay_bits in range(1, min(longest.bit_length(), WHOLE["delay_bits"][1]) + 1):
            weight_bits = options.word_bits - delay_bits
            if weight_bits >= WHOLE["weight_bits"][0] and self._fits(weight_bits, delay_bits):
                found += 1
                yield weight_bits, delay_bits
        if not found:
            raise ValueError(
                f"no split of word_bits = {options.word_bits} fits the weights and delays of the "
                "chip: give a narrower word or a wider chip"
            )

    def _fits(self, weight_bits: int, delay_bits: int) -> bool:
        if self.chip is None:
            return True
        has = options_for(self.chip)
        return weight_bits <= has.weight_bits and delay_bits <= has.delay_bits

    def _planned(self, options: Options) -> tuple[Plan, tuple[Trial, ...]]:
        """Plan with scales as `options` ask for."""
        if self.chip is None:
            # It has no more than the network needs, say no delay words at all.
            chip = chip_for(self.kept, options)
        else:
            check_fits(options, self.chip, self.kept)
            chip = self.chip
        decided = plan(self.kept, options, chip, self.ranges, {})
        if options.search is not Search.OUTPUTS:
            return decided, ()
        return self._by_outputs(decided)

    def _by_outputs(self, decided: Plan) -> tuple[Plan, tuple[Trial, ...]]:
        """Choose, population by population, how much to clip; start with `decided`."""
        trials: list[Trial] = []
        chosen: Shares = {}
        for name in (p.name for p in integrating(self.kept)):
            if decided.scales[name].lossless:
                continue
            plans = [decided]
            named = ["by expected error"]
            for share in clips(decided.options):
                shares = {**chosen, name: (share,)}
                plans.append(plan(self.kept, decided.options, decided.chip, self.ranges, shares))
                named.append(f"{100 * share:.3g} % of the weights clipped")
            tried = [
                self._answers.trial(f"{name}: {what}", p)
                for what, p in zip(named, plans, strict=True)
            ]
            n = _best(tried)
            trials += _with_choice(tried, n)
            decided = plans[n]
            if n:
                chosen[name] = (clips(decided.options)[n - 1],)
        return decided, tuple(trials)


class _Answers:
    """The scores of the float network on the calibration data, computed when first asked for."""

    def __init__(self, network: Network, calibration: Counts | None) -> None:
        self.network, self.calibration = network, calibration
        self._scores: Floats | None = None

    def trial(self, what: str, plan: Plan) -> Trial:
        """Say how alike network and chip answer."""
        if self.calibration is None:
            raise ValueError(
                "word_bits and search = outputs compare answers, and there is no calibration "
                "data: give some, or use search = weights"
            )
        # Numba takes a good part of a second to import: only who has data pays for it.
        from emulator.chip import run

        if self._scores is None:
            self._scores = simulate(self.network, self.calibration).scores
        image = image_of(plan)
        got = run(image, taken(image, self.calibration))
        same = float((got.classes == self._scores.argmax(axis=1)).mean())
        return Trial(what, alike(self._scores, got.scores.astype(np.float64)), same, chosen=False)


def alike(wanted: Floats, got: Floats) -> float:
    """Mean cosine between the rows of `wanted` and `got`, each less its mean.

    A row without any preference is like one without any, and unlike all others (0).
    """
    rows = [x - x.mean(axis=1, keepdims=True) for x in (wanted, got)]
    lengths = [np.sqrt((x**2).sum(axis=1)) for x in rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (rows[0] * rows[1]).sum(axis=1) / (lengths[0] * lengths[1])
    flat = [length == 0 for length in lengths]
    cosines = np.where(flat[0] | flat[1], np.where(flat[0] & flat[1], 1.0, 0.0), cosines)
    return float(cosines.mean())


def _best(trials: list[Trial]) -> int:
    """Find the first of the trials that agree best with the network."""
    return int(np.argmax([trial.agreement for trial in trials]))


def _with_choice(trials: list[Trial], chosen: int) -> list[Trial]:
    return [replace(trial, chosen=n == chosen) for n, trial in enumerate(trials)]
