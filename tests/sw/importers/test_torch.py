import numpy as np
import pytest

from sw.format.layers import Operation
from sw.importers.npz import ModelError
from sw.importers.onnx import load as load_onnx
from sw.importers.pt2 import load
from sw.importers.torch import from_module
from sw.network import Activation


torch = pytest.importorskip("torch")
nn = torch.nn


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
                                  nn.BatchNorm2d(8), nn.ReLU6())
        self.own = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.dense = nn.Linear(8 * 3 * 4, 5)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(self.own(x) + x)
        return torch.softmax(self.dense(torch.flatten(self.pool(x), 1)), dim=1)


def assert_same(module, example):
    torch.manual_seed(0)
    network = from_module(module, example)
    x = torch.randn(5, *example.shape[1:])
    with torch.no_grad():
        wanted = torch.cat([module(sample[None]) for sample in x]).numpy()
    found = network.run(np.moveaxis(x.numpy(), 1, -1))[-1]
    assert found.reshape(wanted.shape) == pytest.approx(wanted, abs=1e-5)
    return network


def test_residual_network():
    torch.manual_seed(0)
    module = Residual()
    module.stem[1].running_mean.normal_()
    module.stem[1].running_var.uniform_(0.5, 2)
    network = assert_same(module, torch.zeros(1, 3, 12, 14))
    assert [layer.operation for layer in network.layers] == [
        Operation.CONV2D, Operation.DEPTHWISE_CONV2D, Operation.ADD, Operation.MAX_POOL,
        Operation.FULLY_CONNECTED, Operation.SOFTMAX]
    assert [layer.activation for layer in network.layers[:3]] == [
        Activation.RELU6, Activation.RELU, Activation.RELU]
    assert network.layers[2].inputs == (1, 2)


def test_other_poolings():
    torch.manual_seed(0)
    assert_same(nn.Sequential(nn.Conv2d(2, 4, 3), nn.AvgPool2d(2), nn.Dropout(),
                              nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
                torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize("module, shape, complaint", [
    (nn.Sequential(nn.Conv2d(2, 4, 3), nn.Sigmoid()), (1, 2, 8, 8),
     r"module: node sigmoid \(aten\.sigmoid\.default\): the operator isn't supported"),
    (nn.Conv2d(2, 4, 3, dilation=2), (1, 2, 8, 8), "groups must be 1 or 2 and dilation 1"),
    (nn.Conv2d(4, 4, 3, groups=2), (1, 4, 8, 8), "groups must be 1 or 4 and dilation 1, not 2"),
    (nn.ReLU(), (1, 2, 8, 8), "its input must be a layer's output, used here alone"),
    (nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten()), (1, 2, 8, 8),
     "what is flattened must go to a linear layer"),
    (nn.Identity(), (1, 2, 8, 8), "module: must have layers"),
    (nn.ConvTranspose2d(2, 4, 3), (1, 2, 8, 8), "the operator isn.t supported"),
    (nn.Conv1d(2, 4, 3), (1, 2, 8), r"node conv1d \(aten\.conv1d\.default\): the operator isn't"),
    (nn.Sequential(nn.Linear(8, 3), nn.LogSoftmax(1)), (1, 8),
     r"node log_softmax \(aten\.log_softmax\.int\): the operator isn't supported"),
    (nn.AdaptiveAvgPool2d(3), (1, 2, 8, 8), r"output's size must divide \(8, 8\), not be \(3, 3\)"),
    (nn.Sequential(nn.ConstantPad2d(1, 2.0), nn.Conv2d(2, 4, 3)), (1, 2, 8, 8),
     "padding must be of zeros, in width and height, not constant of 2.0"),
    (nn.AvgPool2d(2, divisor_override=3), (1, 2, 8, 8), r"own, not \[0, 0\] and 3"),
    (nn.Conv2d(2, 4, 3), (2, 2, 8, 8), r"its shape must be \(1, C, H, W\)"),
])
def test_unsupported_modules_refused(module, shape, complaint):
    with pytest.raises(ModelError, match=complaint):
        from_module(module, torch.zeros(shape))


def test_infinite_weights_refused():
    module = nn.Conv2d(2, 4, 3)
    with torch.no_grad():
        module.weight[0, 0, 0, 0] = float("inf")
    with pytest.raises(ModelError, match="weight holds NaN or infinity"):
        from_module(module, torch.zeros(1, 2, 8, 8))


class Means(nn.Module):
    """Has what others leave out: padding by name, means, views, a layer without a bias."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, (3, 5), padding="same")
        self.narrow = nn.Conv2d(6, 4, 3, padding="valid", bias=False)
        self.norm = nn.BatchNorm1d(5)
        self.hidden, self.last = nn.Linear(4, 5), nn.Linear(5, 3, bias=False)

    def forward(self, x):
        x = torch.clamp(self.conv(x), 0, 6)
        x = nn.functional.max_pool2d(self.narrow(x), 3, 2, ceil_mode=True)
        x = torch.relu(self.norm(self.hidden(x.mean(dim=(2, 3)))))
        return self.last(x.view(1, 5))


def test_operators_of_the_archive(tmp_path):
    assert_same(Means(), torch.zeros(1, 2, 9, 8))


@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")  # of PyTorch, to itself
@pytest.mark.parametrize("module, shape", [(Residual(), (1, 3, 12, 14)), (Means(), (1, 2, 9, 8))])
def test_files_in_core_operators(tmp_path, module, shape):
    program = torch.export.export(module.eval(), (torch.zeros(shape),)).run_decompositions()
    torch.export.save(program, tmp_path / "core.pt2")
    network = load(tmp_path / "core.pt2")
    x = torch.randn(1, *shape[1:])
    with torch.no_grad():
        wanted = module(x).numpy()
    found = network.run(np.moveaxis(x.numpy(), 1, -1))[-1]
    assert found.reshape(wanted.shape) == pytest.approx(wanted, abs=1e-5)


class Adapted(nn.Module):
    """Pools to sizes that divide the input's, pads, and squeezes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2)
        self.second = nn.Conv2d(4, 4, (1, 3), padding="same")
        self.pools = nn.Sequential(nn.AdaptiveMaxPool2d((2, None)), nn.AdaptiveAvgPool2d((2, 2)),
                                   nn.AdaptiveAvgPool2d((2, 2)), nn.AdaptiveMaxPool2d(1))
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        x = self.first(nn.functional.pad(x, (0, 1, 2, 1)))
        return self.last(self.pools(nn.functional.hardtanh_(self.second(x), 0, 6)).squeeze((2, 3)))


@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")  # of PyTorch, to itself
@pytest.mark.filterwarnings("ignore:No complete tensor:UserWarning")  # of channels_last
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_adaptive_pools_and_padding(tmp_path, memory):
    torch.manual_seed(0)
    module = Adapted().to(memory_format=memory)
    network = assert_same(module, torch.zeros(1, 2, 6, 12))
    # One pool of an average would change nothing.
    assert [layer.operation for layer in network.layers] == [
        Operation.CONV2D, Operation.CONV2D, Operation.MAX_POOL, Operation.AVERAGE_POOL,
        Operation.MAX_POOL, Operation.FULLY_CONNECTED]
    program = torch.export.export(module, (torch.zeros(1, 2, 6, 12),)).run_decompositions()
    torch.export.save(program, tmp_path / "core.pt2")
    for layer, wanted in zip(load(tmp_path / "core.pt2").layers, network.layers, strict=True):
        assert (layer.operation, layer.kernel, layer.stride, layer.padding, layer.output_shape) == (
            wanted.operation, wanted.kernel, wanted.stride, wanted.padding, wanted.output_shape)


class InPlace(nn.Module):
    """Adds to a value by another name of its memory."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)

    def forward(self, x):
        one, two = self.one(x), self.two(x)
        one.flatten(1).add_(two.flatten(1))
        return one + two


def test_values_that_another_name_changes_are_refused():
    with pytest.raises(ModelError, match=r"add_\.Tensor\): it must not change a value in place"):
        from_module(InPlace(), torch.zeros(1, 2, 6, 6))


class Reused(nn.Module):
    """Adds a value to its own ReLU."""

    def __init__(self):
        super().__init__()
        self.conv, self.dropout = nn.Conv2d(2, 3, 3), nn.Dropout()

    def forward(self, x):
        x = self.conv(x)
        return torch.relu(self.dropout(x)) + x


def test_values_that_are_used_again_are_not_folded_into():
    with pytest.raises(ModelError, match="must be a layer's output, used here alone"):
        from_module(Reused(), torch.zeros(1, 2, 6, 6))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the one exporter without onnxscript
@pytest.mark.parametrize("module, shape", [(Residual(), (1, 3, 12, 14)), (Means(), (1, 2, 9, 8))])
def test_exported_onnx_models(tmp_path, module, shape):
    path = tmp_path / "module.onnx"
    torch.onnx.export(module.eval(), (torch.zeros(shape),), path, dynamo=False)
    network = load_onnx(path)
    x = torch.randn(1, *shape[1:])
    with torch.no_grad():
        wanted = module(x).numpy()
    found = network.run(np.moveaxis(x.numpy(), 1, -1))[-1]
    assert found.reshape(wanted.shape) == pytest.approx(wanted, abs=1e-5)
