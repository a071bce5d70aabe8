# Copyright 2026 The hoi_perception authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The fast linear layer equals the standard one and steps aside where it cannot serve."""

from hoi_perception.networks.linear import linear
import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

X, WEIGHT, BIAS = torch.randn(2, 7, 24), torch.randn(40, 24), torch.randn(40)


class Operators(TorchDispatchMode):
    """Notes the names of the operators that are called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize('mode', [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize('x', [X, X[:, 2:5], X.transpose(0, 1), X[0], X[:, :0], X[:1, :1]],
                         ids=lambda x: f'{tuple(x.shape)} by {x.stride()}')
@pytest.mark.parametrize('rows, bias', [(slice(None), BIAS), (slice(8, 40), BIAS[8:]),
                                        (slice(None), None)])
def test_it_equals_the_standard_layer(rows, bias, x, mode):
    with mode():
        torch.testing.assert_close(linear(x, WEIGHT[rows], bias),
                                   functional.linear(x, WEIGHT[rows], bias), atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_the_standard_layer():
    found = []
    for layer in (linear, functional.linear):
        leaves = [part.clone().requires_grad_() for part in (X, WEIGHT, BIAS)]
        layer(*leaves).square().sum().backward()
        found.append([leaf.grad for leaf in leaves])
    torch.testing.assert_close(*found)


def test_other_precisions_are_left_to_the_standard_layer():
    with torch.no_grad():
        assert linear(*(part.double() for part in (X, WEIGHT, BIAS))).dtype == torch.float64
        with torch.autocast('cpu', torch.bfloat16):
            assert linear(X, WEIGHT, BIAS).dtype == torch.bfloat16


def test_recorded_graphs_hold_standard_operators_only():
    class Layer(torch.nn.Module):
        def forward(self, x):
            return linear(x, WEIGHT, BIAS)
    with torch.no_grad():
        graph = torch.export.export(Layer(), (X,)).graph
        with Operators() as eager:
            linear(X, WEIGHT, BIAS)
    assert not [node for node in graph.nodes if 'mkldnn' in str(node.target)]
    if torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available():
        assert any('mkldnn' in name for name in eager.names)
