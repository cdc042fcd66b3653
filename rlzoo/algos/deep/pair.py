"""Two networks side by side, computed as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class Pair(nn.Module):
    """Two networks with the same hidden layers, each of them one product of matrices for both.

    On small networks it is the number of operations that takes time, not their size; these are half as many.

    Attributes:
        weights: of each layer, (2, n_in, n_out); n_out of the last one is that of the wider network.
        biases: of each layer, (2, 1, n_out).
        n_outputs: of the first and of the second network.
    """

    def __init__(self, first: nn.Sequential, second: nn.Sequential) -> None:
        """Take over the weights of two networks: linear layers, with one activation between all of them."""
        super().__init__()
        linear = [[layer for layer in one if isinstance(layer, nn.Linear)] for one in (first, second)]
        self.activation = next((layer for layer in first if not isinstance(layer, nn.Linear)), nn.Identity())
        self.n_outputs = [layers[-1].out_features for layers in linear]
        self.weights = nn.ParameterList(
            _stacked([layer.weight.T for layer in both]) for both in zip(*linear, strict=True)
        )
        self.biases = nn.ParameterList(
            _stacked([layer.bias[None] for layer in both]) for both in zip(*linear, strict=True)
        )
        self._layers = tuple(zip(self.weights, self.biases, strict=True))  # looking into a ParameterList is slow

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of both, (n, n_outputs[0]) and (n, n_outputs[1]), for the same inputs (n, n_in)."""
        hidden = inputs.expand(2, *inputs.shape)
        for weight, bias in self._layers[:-1]:
            hidden = self.activation(torch.baddbmm(bias, hidden, weight))
        weight, bias = self._layers[-1]
        first, second = torch.baddbmm(bias, hidden, weight).unbind()
        return first[:, : self.n_outputs[0]], second[:, : self.n_outputs[1]]

    def alone(self, index: int) -> nn.Sequential:
        """The first (0) or the second (1) network as layers of its own on the same memory, without gradients.

        Ask for it when the weights have got their place in memory: after an optimizer that moves them.
        """
        modules: list[nn.Module] = []
        for weight, bias in self._layers:
            n_in, n_out = weight.shape[1:]
            n_out = self.n_outputs[index] if weight is self._layers[-1][0] else n_out
            layer = nn.Linear(n_in, n_out, device="meta")
            layer.weight = nn.Parameter(weight.detach()[index, :, :n_out].T, requires_grad=False)
            layer.bias = nn.Parameter(bias.detach()[index, 0, :n_out], requires_grad=False)
            modules += [layer, self.activation]
        return nn.Sequential(*modules[:-1])


def _stacked(both: list[Tensor]) -> nn.Parameter:
    """Two matrices on each other, the narrower one filled up with zeros."""
    width = max(one.shape[1] for one in both)
    return nn.Parameter(torch.stack([pad(one.detach(), (0, width - one.shape[1])) for one in both]))
