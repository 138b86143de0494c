"""`Recurrent`: a GRU and a linear head with their backward pass written out.

One layer, so that one pass back through time serves both uses: the gradient of a batch, for
training without privacy, and one gradient a patient, from the same quantities. For every linear map
in it a patient's gradient is Σ_t (what came back)ᵗ ⊗ (what went in)ᵗ: one batched product a map,
as many operations as the batch's own (book-keeping: Bu et al. 2022, arXiv:2210.00038). What costs
Opacus' own hooks three times the plain step is a hook for every week.

The cell is Cho's, with the reset gate after the product, as in `torch.nn.GRU`:

    r, u = σ(W_x x + b_x + W_h h + b_h)      a = W_h h + b_h of the third part
    n = tanh(W_x x + b_x + r a)              h′ = n + u (h − n)

Arrays run (T, B, ·), so that each week is one contiguous block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

HIDDEN: Final = 32
GATES: Final = 3 * HIDDEN


@dataclass(frozen=True)
class Passed:
    """What a forward pass leaves for the way back; T weeks, B patients."""

    x: Tensor  # (T, B, F)
    states: Tensor  # (T + 1, B, HIDDEN), the first zero
    gates: Tensor  # (T, B, 2 · HIDDEN): r, u
    new: Tensor  # (T, B, HIDDEN): n
    held: Tensor  # (T, B, HIDDEN): a


@dataclass(frozen=True)
class Returned:
    """Gradients at the outputs of the three linear maps, (T, B, ·)."""

    inputs: Tensor
    recurrent: Tensor
    head: Tensor


class Recurrent(nn.Module):
    """(B, T, F) → (B, T, outputs). `passed` holds the latest pass while gradients are wanted."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(torch.empty(GATES, features))
        self.input_bias = nn.Parameter(torch.empty(GATES))
        self.recurrent_weight = nn.Parameter(torch.empty(GATES, HIDDEN))
        self.recurrent_bias = nn.Parameter(torch.empty(GATES))
        self.head_weight = nn.Parameter(torch.empty(outputs, HIDDEN))
        self.head_bias = nn.Parameter(torch.empty(outputs))
        self.rows = torch.zeros(
            0, 0
        )  # (B, d) for a gradient a patient; the batch's is not wanted then
        self.passed: Passed | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F) float32 → (B, T, outputs)."""
        out: Tensor = _Pass.apply(x, self, *self.parameters())  # type: ignore[no-untyped-call]
        return out

    def back(self, grad: Tensor) -> Returned:
        """The gradients at each map's output for `grad` (B, T, outputs), from `passed`."""
        if self.passed is None:
            raise RuntimeError("backward before forward")
        return _through_time(self.passed, grad, self.recurrent_weight, self.head_weight)


class _Pass(torch.autograd.Function):
    """The layer in autograd's eyes: one operation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Recurrent, *parameters: Tensor) -> Tensor:
        passed = _forward(x, *parameters[:4])
        layer.passed, ctx.layer = passed, layer
        head_weight, head_bias = parameters[4:]
        t, b, _ = passed.x.shape
        flat = torch.addmm(head_bias, passed.states[1:].reshape(t * b, HIDDEN), head_weight.t())
        return flat.view(t, b, -1).transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        layer: Recurrent = ctx.layer
        if len(layer.rows):  # the grad sampler takes the way back itself
            return (None,) * 8
        passed, back = layer.passed, layer.back(grads[0])
        if passed is None:
            raise RuntimeError("backward before forward")
        pairs = _maps(passed, back)
        found: list[Tensor] = []
        for out, into in pairs:
            rows = out.reshape(-1, out.shape[-1])
            found += [rows.t() @ into.reshape(-1, into.shape[-1]), rows.sum(dim=0)]
        return (None, None, *found)


def patient_rows(layer: Recurrent, grad: Tensor, rows: Tensor) -> dict[nn.Parameter, Tensor]:
    """Each patient's gradient for `grad` (B, T, outputs), written into `rows` (B, d).

    Returned is each parameter's part of `rows`, (B, *shape), without a copy.
    """
    back, passed = layer.back(grad), layer.passed
    if passed is None:
        raise RuntimeError("backward before forward")
    found, at = [], 0
    for out, into in _maps(passed, back):
        high, wide = out.shape[-1], into.shape[-1]
        weight = rows[:, at : at + high * wide].view(-1, high, wide)
        bias = rows[:, at + high * wide : at + high * (wide + 1)]
        torch.bmm(out.permute(1, 2, 0), into.permute(1, 0, 2), out=weight)
        torch.sum(out, dim=0, out=bias)
        found += [weight, bias]
        at += high * (wide + 1)
    layer.passed = None
    return dict(zip(layer.parameters(), found, strict=True))


def _maps(passed: Passed, back: Returned) -> tuple[tuple[Tensor, Tensor], ...]:
    """(gradient at the output, input) of the three linear maps, in the order of parameters."""
    before, after = passed.states[:-1], passed.states[1:]
    return (back.inputs, passed.x), (back.recurrent, before), (back.head, after)


def _forward(x: Tensor, wx: Tensor, bx: Tensor, wh: Tensor, bh: Tensor) -> Passed:
    x = x.detach().transpose(0, 1).contiguous()  # (T, B, F)
    t, b, f = x.shape
    from_input = torch.addmm(bx, x.view(t * b, f), wx.t()).view(t, b, GATES)
    states = x.new_zeros(t + 1, b, HIDDEN)
    gates, new = x.new_empty(t, b, 2 * HIDDEN), x.new_empty(t, b, HIDDEN)
    held = x.new_empty(t, b, HIDDEN)
    turned = wh.t().contiguous()
    for week in range(t):
        from_state = torch.addmm(bh, states[week], turned)
        torch.add(from_input[week, :, : 2 * HIDDEN], from_state[:, : 2 * HIDDEN], out=gates[week])
        gates[week].sigmoid_()
        held[week] = from_state[:, 2 * HIDDEN :]
        reset, update = gates[week, :, :HIDDEN], gates[week, :, HIDDEN:]
        torch.addcmul(from_input[week, :, 2 * HIDDEN :], reset, held[week], out=new[week])
        new[week].tanh_()
        torch.lerp(new[week], states[week], update, out=states[week + 1])
    return Passed(x, states, gates, new, held)


@torch.no_grad()
def _through_time(passed: Passed, grad: Tensor, wh: Tensor, head: Tensor) -> Returned:
    outer = grad.transpose(0, 1).contiguous()  # (T, B, outputs)
    t, b, outputs = outer.shape
    from_head = (outer.view(t * b, outputs) @ head).view(t, b, HIDDEN)
    reset, update = passed.gates[..., :HIDDEN], passed.gates[..., HIDDEN:]
    to_update = (passed.states[:-1] - passed.new) * update * (1 - update)
    to_new = (1 - update) * (1 - passed.new * passed.new)
    to_reset = passed.held * reset * (1 - reset)
    at_input = outer.new_empty(t, b, GATES)
    at_state = outer.new_empty(t, b, GATES)
    carry = outer.new_zeros(b, HIDDEN)
    for week in range(t - 1, -1, -1):
        carry = carry + from_head[week]
        new, here = at_input[week, :, 2 * HIDDEN :], at_state[week]
        torch.mul(carry, to_new[week], out=new)
        torch.mul(new, to_reset[week], out=here[:, :HIDDEN])
        torch.mul(carry, to_update[week], out=here[:, HIDDEN : 2 * HIDDEN])
        torch.mul(new, reset[week], out=here[:, 2 * HIDDEN :])
        carry = torch.addmm(carry * update[week], here, wh)
    at_input[..., : 2 * HIDDEN] = at_state[..., : 2 * HIDDEN]
    return Returned(at_input, at_state, outer)
