"""Neurons of `model` as PyTorch modules, with a surrogate for the derivative of their spikes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from learn.surrogate.rule import SURROGATE_SCALE
from model.network import Compare, Reset

State = tuple[Tensor, Tensor]
"""Membrane and synaptic current after a step: float[recordings, neurons] each."""


class _Fire(torch.autograd.Function):
    """One step of a membrane, in the order of operations of `model.simulate`."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, drive: Tensor, bias: Tensor, alpha: Tensor, threshold: Tensor,
        zero: bool, strict: bool, width: float, scale: float, reset_path: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        v = alpha * u + drive + bias
        fires = v > threshold if strict else v >= threshold
        z = fires.to(v.dtype)
        after = torch.where(fires, torch.zeros_like(v), v) if zero else v - threshold * z
        ctx.save_for_backward(v, z, alpha, threshold)
        ctx.choices = zero, width, scale, reset_path
        return z, after

    @staticmethod
    def backward(ctx: Any, by_z: Tensor, by_after: Tensor) -> tuple[Tensor | None, ...]:
        v, z, alpha, threshold = ctx.saved_tensors
        zero, width, scale, reset_path = ctx.choices
        psi = scale * torch.exp(-0.5 * ((v - threshold) / width) ** 2)
        if reset_path:
            by_z = by_z - by_after * (v if zero else threshold)
        by_v = by_z * psi + (by_after * (1 - z) if zero else by_after)
        return by_v * alpha, by_v, by_v.sum(0), None, None, None, None, None, None, None


class _Leak(torch.autograd.Function):
    """y[t] = alpha y[t-1] + x[t] + bias over steps, the second axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(alpha)
        y, rows = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            y = alpha * y + x[:, t] + bias
            rows.append(y)
        return torch.stack(rows, 1)

    @staticmethod
    def backward(ctx: Any, by_y: Tensor) -> tuple[Tensor | None, ...]:
        (alpha,) = ctx.saved_tensors
        by_x = torch.empty_like(by_y)
        later = torch.zeros_like(by_y[:, 0])
        for t in range(by_y.shape[1] - 1, -1, -1):
            later = by_y[:, t] + alpha * later
            by_x[:, t] = later
        return by_x, None, by_x.sum((0, 1))


class Lif(nn.Module):
    """Leaky integrate-and-fire neurons of `model.Lif`, with or without synaptic currents.

    alpha, threshold, alpha_syn : buffers float[size].  bias : Parameter[size].
    surrogate_width, surrogate_scale : psi = scale exp(-((u - threshold) / width)^2 / 2) stands for
        dz/du.
    reset_path : whether gradients pass the reset.
    """

    alpha: Tensor
    threshold: Tensor
    alpha_syn: Tensor

    def __init__(
        self,
        alpha: Tensor,
        threshold: Tensor,
        bias: Tensor,
        alpha_syn: Tensor,
        *,
        reset: Reset | str = Reset.SUBTRACT,
        compare: Compare | str = Compare.GE,
        surrogate_width: float = 0.5,
        surrogate_scale: float = SURROGATE_SCALE,
        reset_path: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("alpha", alpha)
        self.register_buffer("threshold", threshold)
        self.register_buffer("alpha_syn", alpha_syn)
        self.bias = nn.Parameter(bias)
        self.reset, self.compare = Reset(reset), Compare(compare)
        self.surrogate_width, self.surrogate_scale = surrogate_width, surrogate_scale
        self.reset_path = reset_path
        self._currents = bool(alpha_syn.any())

    def start(self, recordings: int) -> State:
        """Return the state before the first step."""
        nothing = self.bias.new_zeros(recordings, len(self.alpha))
        return nothing, nothing

    def step(self, state: State, arrived: Tensor) -> tuple[Tensor, State]:
        """Return spikes, 0 or 1, and the new state; arrived and spikes float[recordings, size]."""
        u, current = state
        drive = self.alpha_syn * current + arrived if self._currents else arrived
        z, u = _Fire.apply(
            u, drive, self.bias, self.alpha, self.threshold, self.reset is Reset.ZERO,
            self.compare is Compare.GT, self.surrogate_width, self.surrogate_scale, self.reset_path,
        )  # fmt: skip
        return z, (u, drive)

    def forward(self, arrived: Tensor) -> Tensor:
        """Return the spikes of all steps; both float[recordings, steps, size]."""
        state, rows = self.start(len(arrived)), []
        for now in arrived.unbind(1):
            z, state = self.step(state, now)
            rows.append(z)
        return torch.stack(rows, 1)


class Readout(nn.Module):
    """Leaky integrators of `model.Readout`.

    alpha, alpha_syn : buffers float[size].  bias : Parameter[size].
    """

    alpha: Tensor
    alpha_syn: Tensor

    def __init__(self, alpha: Tensor, bias: Tensor, alpha_syn: Tensor) -> None:
        super().__init__()
        self.register_buffer("alpha", alpha)
        self.register_buffer("alpha_syn", alpha_syn)
        self.bias = nn.Parameter(bias)
        self._currents = bool(alpha_syn.any())

    def forward(self, arrived: Tensor) -> Tensor:
        """Return y of all steps; both float[recordings, steps, size]."""
        if self._currents:
            arrived = _Leak.apply(arrived, self.alpha_syn, torch.zeros_like(self.bias))
        result: Tensor = _Leak.apply(arrived, self.alpha, self.bias)
        return result
