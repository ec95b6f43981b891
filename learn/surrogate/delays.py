"""Projections with learnable delays, as PyTorch modules.

While training, an event is spread over the taps of a kernel around its delay d, so that the loss
has a derivative by d: DCLS (Khalfaoui-Hassani et al. 2023; Hammouamri et al. 2024) for
feed-forward projections, DelRec (Queant et al. 2025) for recurrent ones.  Width 0 rounds: one tap,
at clamp(round(d)), which is what a `model.Projection` does.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv1d, linear, pad

from learn.surrogate.rule import Kernel
from model.network import Delay

Numbers = TypeVar("Numbers", Tensor, NDArray[np.float64])

GRID = 2.0**-32
"""Weights at width 0 are multiples of this: float64 adds those without rounding, in any order."""
COMPACT_FROM = 6
"""Lags per tap from which taps alone are faster than a whole kernel (`bench.eventprop --cost`)."""


def on_grid(weights: Numbers) -> Numbers:
    """Return `weights` rounded to multiples of GRID, half to even."""
    return (weights / GRID).round() * GRID


def reach(sigma: float, kernel: Kernel) -> float:
    """Return how far from its delay an event is spread, in steps."""
    if sigma == 0:
        return 0.5
    return 1 + sigma if kernel is Kernel.HAT else max(1.0, 3 * sigma)


def spread(delays: Tensor, lags: Tensor, sigma: float, kernel: Kernel) -> Tensor:
    """Return how much of an event with each delay comes at each lag; the sum over lags is 1.

    Parameters
    ----------
    delays : float[...], in steps, between the smallest and the largest lag there is.
    lags : float[L] or [..., L], whole numbers that cover the reach as far as there are lags.
    sigma : width in steps; 0 for all of it at the lag next to the delay, half to even.

    Returns
    -------
    float[..., L].
    """
    if sigma == 0:
        return (delays.round()[..., None] == lags).to(delays.dtype)
    away = (lags - delays[..., None]).abs()
    if kernel is Kernel.HAT:
        value = torch.relu(1 + sigma - away)
        return value / value.sum(-1, keepdim=True)
    far = away > reach(sigma, kernel)
    return torch.softmax((-0.5 * (away / sigma) ** 2).masked_fill(far, -math.inf), -1)


class Line(ABC):
    """What is under way on a projection while its ends are run step by step."""

    @abstractmethod
    def emit(self, x: Tensor) -> None:
        """Take the events of the next step, float[recordings, pre]."""

    @abstractmethod
    def arrive(self) -> Tensor:
        """Return what arrives in the next step, float[recordings, post]."""


class DelayedLinear(nn.Module):
    """Synapses with delays: y[t, j] = sum over i, n of w[j, i] k[j, i, n] x[t - n, i].

    weight : Parameter[post, pre].  delays : Parameter, in steps: [pre] for `axonal`, [post] for
    `dendritic`, [post, pre] for `synaptic`; () without delays, where it is the smallest one.
    sigma : width of the kernel k in steps, to be changed as training goes on; 0 rounds.

    min_delay, max_delay : in steps; a recurrent projection takes at least one step.
    compact : keep and visit only the taps within reach of each delay, not a kernel over all lags:
        memory and time do not grow with max_delay, and no event costs nothing.  On a
        processor only.  None: where that is faster.
    """

    def __init__(
        self,
        pre: int,
        post: int,
        *,
        delay: Delay | str = Delay.SYNAPTIC,
        max_delay: int,
        min_delay: int = 0,
        kernel: Kernel | str = Kernel.GAUSS,
        sigma: float = 1.0,
        compact: bool | None = None,
    ) -> None:
        super().__init__()
        self.delay, self.kernel, self.sigma = Delay(delay), Kernel(kernel), sigma
        if not 0 <= min_delay <= max_delay:
            raise ValueError(
                f"max_delay must be at least min_delay = {min_delay} >= 0, not {max_delay}"
            )
        self.min_delay, self.max_delay, self.compact = min_delay, max_delay, compact
        shape = self.delay.shape(post, pre)
        self.weight = nn.Parameter(torch.randn(post, pre) / pre**0.5)
        drawn = min_delay + (max_delay - min_delay) * torch.rand(shape)
        if self.delay is Delay.NONE:
            drawn = torch.full((), float(min_delay))
        self.delays = nn.Parameter(drawn, requires_grad=self.delay is not Delay.NONE)

    @property
    def lags(self) -> int:
        """Number of lags that taps may have: of min_delay, min_delay + 1, ... max_delay steps."""
        return self.max_delay - self.min_delay + 1

    @property
    def window(self) -> int:
        """Number of neighbouring lags that one delay can reach."""
        return min(self.lags, math.floor(2 * reach(self._width, self.kernel)) + 1)

    @property
    def _width(self) -> float:
        # Where no delay is learned nothing is spread.
        return 0.0 if self.delay is Delay.NONE else self.sigma

    def taps(self) -> Tensor:
        """Return the kernel of every delay: float[..., lags]."""
        lags = torch.arange(self.lags, dtype=self.delays.dtype, device=self.delays.device)
        return spread(self._within(), lags + self.min_delay, self._width, self.kernel)

    def near_taps(self) -> tuple[Tensor, Tensor]:
        """Return the first lag in reach of every delay, and the kernel from there on.

        Returns
        -------
        int32[...] and float[..., window].
        """
        within, window = self._within(), self.window
        centre = within.detach()
        # Half to even may be at either end of what can be reached at width 0.
        first = (
            centre.round()
            if self._width == 0
            else (centre - reach(self._width, self.kernel)).ceil()
        ).clamp(self.min_delay, self.max_delay + 1 - window)
        lags = first[..., None] + torch.arange(window, dtype=within.dtype)
        return first.int(), spread(within, lags, self._width, self.kernel)

    def weights(self) -> Tensor:
        """Return the weights in use: multiples of GRID at width 0."""
        return on_grid(self.weight) if self.sigma == 0 else self.weight

    def _within(self) -> Tensor:
        return self.delays.clamp(self.min_delay, self.max_delay)

    def _is_compact(self) -> bool:
        here = self.weight.device.type == "cpu"
        if self.compact is None:
            # Without synaptic delays a whole kernel has one row per axon or dendrite.
            own = self.delay is Delay.SYNAPTIC or self.lags > COMPACT_FROM**3
            return here and own and self.lags >= COMPACT_FROM * self.window
        if self.compact and not here:
            raise ValueError(f"compact delays run on a processor, not on {self.weight.device}")
        return self.compact

    def forward(self, x: Tensor) -> Tensor:
        """Return what arrives of x: float[recordings, steps, post and pre]."""
        if self._is_compact():
            taps, first = self._compact()
            result: Tensor = _Deliver.apply(x, taps, first)
            return result
        weights, taps = self.weights(), self.taps()
        if self.delay is Delay.SYNAPTIC:
            return self._convolved(x, weights[..., None] * taps, groups=1)
        if self.delay is Delay.DENDRITIC:
            return self._convolved(linear(x, weights), taps[:, None], groups=len(weights))
        each = taps.expand(x.shape[2], -1)[:, None]
        return linear(self._convolved(x, each, groups=x.shape[2]), weights)

    def _convolved(self, x: Tensor, taps: Tensor, groups: int) -> Tensor:
        """Convolve with taps of shape [out, in of one group, lags]."""
        late = pad(x.transpose(1, 2), (self.max_delay, 0))
        return conv1d(late, taps.flip(-1), groups=groups)[..., : x.shape[1]].transpose(1, 2)

    def line(self, recordings: int, steps: int) -> Line:
        """Return an empty delay line, for ends that are run step by step."""
        if self._is_compact():
            return _CompactLine(self, recordings, steps)
        return _WholeLine(self, recordings)

    def _compact(self) -> tuple[Tensor, Tensor]:
        """Return taps, float[pre, post, window], and first lags, int32[pre, post]."""
        first, taps = self.near_taps()
        post, pre = self.weight.shape
        if self.delay is Delay.DENDRITIC:
            first, taps = first[:, None], taps[:, None]
        taps = self.weights()[..., None] * taps
        return taps.transpose(0, 1).contiguous(), first.expand(post, pre).T.contiguous()


class _WholeLine(Line):
    """Kernels over all lags: the past of the projection's pre neurons, the latest step first."""

    def __init__(self, module: DelayedLinear, recordings: int) -> None:
        weights, taps = module.weights(), module.taps()
        self._dendritic = module.delay is Delay.DENDRITIC
        if self._dendritic:
            taps = taps[:, None]
        post, pre = weights.shape
        # As `past` is flattened: lag by lag.
        self._matrix = (weights[..., None] * taps).transpose(1, 2).reshape(post, -1)
        self._past = weights.new_zeros(recordings, module.lags, pre)

    def emit(self, x: Tensor) -> None:
        self._past = torch.cat([x[:, None], self._past[:, :-1]], 1)

    def arrive(self) -> Tensor:
        return linear(self._past.flatten(1), self._matrix)


class _Coming:
    """What is to come on a compact line, beside the graph of operations.

    coming, by_coming : float[recordings, post, steps], forwards and backwards.  first : int32[pre,
    post], first lags.

    The graph holds this, so it must not hold the graph: neither would ever be freed.
    """

    def __init__(self, first: Tensor, coming: Tensor) -> None:
        self.first, self.coming = first, coming
        self.by_coming = torch.zeros_like(coming)


class _CompactLine(Line):
    """Events bound to their time of arrival when they are emitted, in steps still to come.

    A token that every operation passes on keeps them in order backwards, too.
    """

    def __init__(self, module: DelayedLinear, recordings: int, steps: int) -> None:
        self.taps, first = module._compact()
        post = len(module.weight)
        self._coming = _Coming(first, self.taps.new_zeros(recordings, post, steps))
        self._token = self.taps.new_zeros((), requires_grad=torch.is_grad_enabled())
        self._emitted = self._arrived = 0

    def emit(self, x: Tensor) -> None:
        self._token = _Emit.apply(x, self.taps, self._token, self._coming, self._emitted)
        self._emitted += 1

    def arrive(self) -> Tensor:
        now: Tensor
        now, self._token = _Arrive.apply(self._token, self._coming, self._arrived)
        self._arrived += 1
        return now


class _Deliver(torch.autograd.Function):
    """All steps at once over compact taps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, first: Tensor) -> Tensor:
        from learn.kernels.delay_line import deliver

        ctx.save_for_backward(x, taps, first)
        line = taps.new_zeros(len(x), taps.shape[1], x.shape[1])
        deliver(_numpy(x), 0, _numpy(taps), _numpy(first), line.numpy())
        return line.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, by_y: Tensor) -> tuple[Tensor | None, ...]:
        x, taps, first = ctx.saved_tensors
        wanted = ctx.needs_input_grad[0]
        by_line = by_y.transpose(1, 2).contiguous()
        return (*_collected(x, 0, taps, first, by_line, wanted), None)


class _Emit(torch.autograd.Function):
    """One step's events onto a line; the token's successor."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, taps: Tensor, token: Tensor, line: _Coming, step: int
    ) -> Tensor:
        from learn.kernels.delay_line import deliver

        ctx.save_for_backward(x, taps)
        ctx.line, ctx.step = line, step
        deliver(_numpy(x[:, None]), step, _numpy(taps), line.first.numpy(), line.coming.numpy())
        return token.clone()

    @staticmethod
    def backward(ctx: Any, by_token: Tensor) -> tuple[Tensor | None, ...]:
        x, taps = ctx.saved_tensors
        line = ctx.line
        by_x, by_taps = _collected(
            x[:, None], ctx.step, taps, line.first, line.by_coming, ctx.needs_input_grad[0]
        )
        return None if by_x is None else by_x[:, 0], by_taps, by_token, None, None


class _Arrive(torch.autograd.Function):
    """What a line brings in one step."""

    @staticmethod
    def forward(ctx: Any, token: Tensor, line: _Coming, step: int) -> tuple[Tensor, Tensor]:
        ctx.line, ctx.step = line, step
        return line.coming[..., step].clone(), token.clone()

    @staticmethod
    def backward(ctx: Any, by_now: Tensor, by_token: Tensor) -> tuple[Tensor | None, ...]:
        ctx.line.by_coming[..., ctx.step] = by_now
        return by_token, None, None


def _collected(
    x: Tensor, begin: int, taps: Tensor, first: Tensor, by_line: Tensor, wanted: bool
) -> tuple[Tensor | None, Tensor]:
    """Return the derivatives by x, if wanted, and by taps."""
    from learn.kernels.delay_line import collect

    by_taps = torch.zeros_like(taps)
    by_x = x.new_zeros(x.shape if wanted else (0, 0, 0))
    arrays = (_numpy(taps), first.numpy(), by_line.numpy(), by_taps.numpy(), by_x.numpy())
    collect(_numpy(x), begin, *arrays)
    return by_x if wanted else None, by_taps


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()
