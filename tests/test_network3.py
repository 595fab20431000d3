"""models/network3.py: its layers and training against NumPy, and the program with its checkpoints."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mnist_files import sample_bytes, small_pairs

import symgrad
import symgrad.tensor as T
from symgrad.checkpoint import load_checkpoint, save_checkpoint
from symgrad.data import Split

sys.path.append(str(Path(__file__).resolve().parent.parent / "models"))

import network3
import training
from network3 import ConvPoolLayer, FullyConnectedLayer, Network, ReLU, SoftmaxLayer, linear, share, sigmoid, tanh

MODELS = Path(network3.__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(MODELS.parent), "SYMGRAD_DATA": ""}
FEW = settings(max_examples=10, deadline=None)


def random_split(seed: int, count: int, width: int = 784) -> Split:
    rng = np.random.RandomState(seed)
    return Split(rng.uniform(0, 1, (count, width)).astype("float32"), rng.randint(0, 10, count))


def values(net: Network) -> list[np.ndarray]:
    return [param.get_value() for param in net.params]


# ---- the book's names, arguments and defaults ----


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (Network, "layers, mini_batch_size"),
        (Network.SGD, "self, training_data, epochs, mini_batch_size, eta, validation_data, test_data, lmbda=0.0"),
        (ConvPoolLayer, "filter_shape, image_shape, poolsize=(2, 2), activation_fn=elementwise function sigmoid"),
        (ConvPoolLayer.set_inpt, "self, inpt, inpt_dropout, mini_batch_size"),
        (FullyConnectedLayer, "n_in, n_out, activation_fn=elementwise function sigmoid, p_dropout=0.0"),
        (FullyConnectedLayer.set_inpt, "self, inpt, inpt_dropout, mini_batch_size"),
        (SoftmaxLayer, "n_in, n_out, p_dropout=0.0"),
        (SoftmaxLayer.cost, "self, net"),
        (SoftmaxLayer.accuracy, "self, y"),
    ],
)
def test_signatures_are_the_books(function: Any, arguments: str) -> None:
    found = [
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default}"
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    assert re.sub(r"[<>]", "", ", ".join(found)) == arguments


def test_layers_have_the_books_attributes() -> None:
    layers = [ConvPoolLayer((2, 1, 5, 5), (4, 1, 28, 28)), FullyConnectedLayer(2 * 144, 7), SoftmaxLayer(7, 10)]
    net = Network(layers, 4)
    for layer in layers:
        assert layer.params == [layer.w, layer.b]
        for name in ("inpt", "output", "inpt_dropout", "output_dropout"):
            assert isinstance(getattr(layer, name), symgrad.Variable)
    assert net.params == [param for layer in layers for param in layer.params]
    assert net.output is layers[-1].output
    assert layers[-1].y_out.type.shape == (4,)


# ---- initial parameters ----


def test_initial_parameters_come_from_the_generator_in_order() -> None:
    rng = np.random.RandomState(5)
    conv = ConvPoolLayer((4, 3, 5, 3), (2, 3, 12, 12), (2, 3), rng=rng)
    full, last = FullyConnectedLayer(6, 9, rng=rng), SoftmaxLayer(9, 10, rng=rng)
    expected = np.random.RandomState(5)
    n_out = 4 * 5 * 3 / (2 * 3)
    for layer, shape, scale in ((conv, (4, 3, 5, 3), n_out), (full, (6, 9), 9)):
        w = expected.normal(0, np.sqrt(1 / scale), shape)
        np.testing.assert_array_equal(layer.w.get_value(), w.astype("float32"))
        b = expected.normal(0, 1, layer.b.get_value().shape)
        np.testing.assert_array_equal(layer.b.get_value(), b.astype("float32"))
    assert not last.w.get_value().any() and not last.b.get_value().any()


def test_seeds() -> None:
    same = [FullyConnectedLayer(5, 4, rng=3).w.get_value() for _ in range(2)]
    np.testing.assert_array_equal(*same)
    state = np.random.get_state()
    try:
        found = []
        for _ in range(2):
            np.random.seed(8)
            found.append(FullyConnectedLayer(5, 4).w.get_value())
    finally:
        np.random.set_state(state)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_follows_floatx(dtype: str) -> None:
    with symgrad.config.change_flags(floatX=dtype, warn_float64="raise" if dtype == "float32" else "ignore"):
        layers = [FullyConnectedLayer(784, 6, tanh, 0.5, rng=0), SoftmaxLayer(6, 10, 0.5, rng=0)]
        net = Network(layers, 5)
        train = net.training_function(share(random_split(0, 20)), 5, 0.1, 0.3)
        assert train(0).dtype == dtype
    assert {value.dtype.name for value in values(net)} == {dtype}
    assert net.output.type.dtype == dtype


# ---- layers against NumPy ----


@FEW
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2),
    st.sampled_from([(ReLU, lambda z: np.maximum(z, 0)), (linear, lambda z: z), (tanh, np.tanh),
                     (sigmoid, lambda z: 1 / (1 + np.exp(-z)))]), st.integers(0, 99),
)  # fmt: skip
def test_conv_pool_layer(
    batch: int, channels: int, filters: int, height: int, width: int, pool: int, activation: Any, seed: int
) -> None:
    """Convolution, then maximum, then bias, then activation."""
    rng = np.random.RandomState(seed)
    image_shape = (batch, channels, 8, 7)
    function, reference = activation
    with symgrad.config.change_flags(floatX="float64"):
        layer = ConvPoolLayer((filters, channels, height, width), image_shape, (pool, 2), function, rng=rng)
        x = T.matrix()
        layer.set_inpt(x, 2 * x, batch)
        compute = symgrad.function([x], [layer.output, layer.output_dropout])
    images = rng.uniform(-1, 1, image_shape)
    w, b = layer.w.get_value(), layer.b.get_value()
    rows, columns = 8 - height + 1, 7 - width + 1
    convolved = np.zeros((batch, filters, rows, columns))
    for i in range(height):
        for j in range(width):
            part = images[:, :, i : i + rows, j : j + columns]
            convolved += np.einsum("nchw,kc->nkhw", part, w[:, :, height - 1 - i, width - 1 - j])
    shape = (batch, filters, rows // pool, pool, columns // 2, 2)
    pooled = convolved[:, :, : rows // pool * pool, : columns // 2 * 2].reshape(shape).max((3, 5))
    pooled_twice = 2 * pooled  # the training path is fed with twice the images
    flat = images.reshape(batch, -1)
    for found, maxima in zip(compute(flat), (pooled, pooled_twice), strict=True):
        np.testing.assert_allclose(found, reference(maxima + b[:, None, None]), rtol=1e-10, atol=1e-12)


def test_fully_connected_layer_scales_weights_at_inference() -> None:
    layer = FullyConnectedLayer(6, 5, ReLU, p_dropout=0.25, rng=1)
    x = T.matrix()
    layer.set_inpt(x, x, 3)
    data = np.random.RandomState(0).normal(size=(3, 6)).astype("float32")
    output, digits = symgrad.function([x], [layer.output, layer.y_out])(data)
    expected = np.maximum(0.75 * data @ layer.w.get_value() + layer.b.get_value(), 0)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(digits, expected.argmax(1))


# ---- dropout ----


def test_each_layer_and_each_step_has_its_own_mask() -> None:
    rng = np.random.RandomState(0)
    layers = [FullyConnectedLayer(500, 500, linear, 0.3, rng=rng) for _ in range(3)]
    for layer in layers:
        layer.set_inpt(T.ones((4, 500)), T.ones((4, 500)), 4)
    draw = symgrad.function([], [layer.inpt_dropout for layer in layers])
    masks = [mask for _ in range(3) for mask in draw()]
    for mask in masks:
        assert set(np.unique(mask)) == {0.0, 1.0}
        assert abs(mask.mean() - 0.7) < 0.05
    agreements = [(masks[i] == masks[j]).mean() for i in range(9) for j in range(i)]
    assert max(agreements) < 0.65  # independent masks agree on 0.7 ** 2 + 0.3 ** 2 = 0.58 of the inputs


def test_the_mask_is_the_same_for_what_the_layer_computes_and_for_its_gradient() -> None:
    layer = FullyConnectedLayer(50, 4, linear, 0.5, rng=0)
    layer.set_inpt(T.ones((1, 50)), T.ones((1, 50)), 1)
    mask, gradient = symgrad.function([], [layer.inpt_dropout, symgrad.grad(layer.output_dropout.sum(), layer.w)])()
    np.testing.assert_array_equal(gradient, np.repeat(mask.T, 4, axis=1))


def test_accuracy_is_measured_without_dropout() -> None:
    net = Network([FullyConnectedLayer(784, 30, sigmoid, 0.5, rng=0), SoftmaxLayer(30, 10, 0.5, rng=0)], 10)
    net.layers[1].w.set_value(np.random.RandomState(1).normal(size=(30, 10)).astype("float32"))
    data = share(random_split(2, 100))
    read = net.each_image(net.layers[-1].y_out, data)
    np.testing.assert_array_equal(read(), read())
    accuracy = symgrad.function([net.x, net.y], net.layers[-1].accuracy(net.y))
    labels = data[1].eval()
    found = [accuracy(data[0].get_value()[i : i + 10], labels[i : i + 10]) for i in range(0, 100, 10)]
    assert np.mean(found) == pytest.approx((read() == labels).mean())


def test_no_dropout_draws_nothing() -> None:
    x = T.matrix()
    assert network3.dropout_layer(x, 0.0) is x
    assert FullyConnectedLayer(3, 3).streams is None


# ---- cost and training ----


@FEW
@given(st.integers(1, 4), st.integers(6, 13), st.floats(0, 3), st.integers(0, 99))
def test_one_step_is_gradient_descent_on_cost_and_l2(batch: int, images: int, lmbda: float, seed: int) -> None:
    """The L2 term is divided by the number of minibatches, so its share of an epoch doesn't depend on their size."""
    eta, width = 0.5, 12
    with symgrad.config.change_flags(floatX="float64"):
        net = Network([FullyConnectedLayer(width, 10, linear, rng=seed)], batch)
        split = random_split(seed, images, width)
        layer = net.layers[0]
        layer.cost = lambda network: T.mean(T.sqr(layer.output_dropout - 1))
        train = net.training_function(share(split), batch, eta, lmbda)
    w, b = values(net)
    batches = images // batch
    chosen = seed % batches
    x = split.images[chosen * batch : (chosen + 1) * batch].astype("float64")
    error = x @ w + b - 1
    assert train(chosen) == pytest.approx((error**2).mean() + 0.5 * lmbda * (w**2).sum() / batches)
    slope = 2 * error / error.size
    np.testing.assert_allclose(layer.w.get_value(), w - eta * (x.T @ slope + lmbda / batches * w), rtol=1e-9)
    np.testing.assert_allclose(layer.b.get_value(), b - eta * slope.sum(0), rtol=1e-9)


@FEW
@given(st.integers(1, 9), st.integers(0, 20))
def test_each_image_counts_once(batch: int, more: int) -> None:
    net = Network([SoftmaxLayer(784, 10)], batch)
    split = random_split(0, batch + more)
    total = net.each_image(net.x.sum(axis=1), share(split))()
    np.testing.assert_allclose(total, split.images.sum(1), rtol=1e-5)


def test_minibatches_of_another_size_are_refused() -> None:
    net = Network([SoftmaxLayer(784, 10)], 10)
    data = share(random_split(0, 30))
    with pytest.raises(ValueError, match="minibatches of 10 images, not 20"):
        net.SGD(data, 1, 20, 0.1, data, data)
    with pytest.raises(ValueError, match="5 images don't fill a minibatch of 10"):
        net.each_image(net.output, share(random_split(0, 5)))


def test_sgd_learns_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    training_data, validation_data, test_data = network3.load_data_shared(str(training.SAMPLE))
    net = Network([FullyConnectedLayer(784, 30, rng=0), SoftmaxLayer(30, 10)], 10)
    net.SGD(training_data, 2, 10, 0.3, validation_data, test_data)
    *epochs, best = capsys.readouterr().out.splitlines()
    accuracies = [float(found) for line in epochs for found in re.findall(r"accuracy ([\d.]+)%", line)]
    assert len(accuracies) == 4 and min(accuracies) > 75
    assert f"{max(accuracies[::2]):.2f}%" in best


# ---- the program ----


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set on which an epoch takes a fraction of a second."""
    path = tmp_path_factory.mktemp("data") / "small"
    path.write_bytes(sample_bytes(small_pairs(sizes=(203, 21, 25))))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(MODELS / "network3.py"), *map(str, arguments), "--no-pictures"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)


def checkpoint_of(path: Path) -> tuple[dict[str, bytes], Any]:
    arrays, header = load_checkpoint(path)
    return {name: array.tobytes() for name, array in arrays.items()}, header["history"]


@pytest.mark.parametrize("net", ["shallow", "dropout"])
def test_killed_and_resumed_runs_are_the_same_to_the_bit(net: str, small_data: Path, folder: Path) -> None:
    options = ["--net", net, "--data", str(small_data), "--lmbda", "0.1", "--epochs", "6"]
    assert training.main([*options, "--save", "whole", "--no-pictures"]) == 0
    killed = 0
    for attempt in range(3):
        process = start(*(options if attempt == 0 else ["--resume", "cut"]), *(["--save", "cut"] * (attempt == 0)))
        before = Path("cut").stat().st_mtime_ns if attempt else 0
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            if Path("cut").exists() and Path("cut").stat().st_mtime_ns != before:
                time.sleep(0.01 * (attempt + 1))  # kill in the middle of an epoch, of a save, of an evaluation
                process.kill()
                break
            time.sleep(0.001)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert killed, "the run was never killed, so nothing was tested"
    assert training.main(["--resume", "cut", "--no-pictures"]) == 0
    assert checkpoint_of(Path("cut")) == checkpoint_of(Path("whole"))


def test_interrupted_and_resumed_run_is_the_same_to_the_bit(small_data: Path, folder: Path) -> None:
    """Ctrl-C in the middle of an epoch, without --save: there is a checkpoint all the same, and the text says where."""
    options = ["--net", "dropout", "--data", str(small_data), "--eta", "0.02"]
    process = start(*options, "--epochs", 500)
    for _ in range(4):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in output
    path, resumed = re.search(r"the checkpoint is (\S+)\ngo on with: python \S+ --resume (\S+)", output).groups()
    assert path == resumed == "network3-dropout.safetensors"
    epochs = len(checkpoint_of(Path(path))[1]["epochs"]) + 1
    assert training.main(["--resume", path, "--epochs", str(epochs), "--no-pictures"]) == 0
    assert training.main([*options, "--epochs", str(epochs), "--save", "whole", "--no-pictures"]) == 0
    assert checkpoint_of(Path(path)) == checkpoint_of(Path("whole"))


def test_more_epochs(small_data: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--net", "shallow", "--data", str(small_data), "--no-pictures"]
    assert training.main([*options, "--epochs", "2", "--save", "some"]) == 0
    assert training.main(["--resume", "some", "--no-pictures"]) == 0
    assert "all 2 epochs are trained already" in capsys.readouterr().out
    assert training.main(["--resume", "some", "--epochs", "4", "--no-pictures", "--save", "more"]) == 0
    assert training.main([*options, "--epochs", "4", "--save", "whole"]) == 0
    assert checkpoint_of(Path("more")) == checkpoint_of(Path("whole"))
    assert len(checkpoint_of(Path("some"))[1]["epochs"]) == 2


def test_epochs_go_through_the_minibatches_in_order(small_data: Path) -> None:
    net = Network([SoftmaxLayer(784, 10)], 20)
    data = network3.load_data_shared(str(small_data))
    steps = list(net.train(data[0], 2, 20, 0.1, *data[1:]))
    assert [step.iteration for step in steps] == list(range(1, 21))
    assert [step.iteration for step in steps if step.accuracies] == [10, 20]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return what the program says to these arguments, having refused them."""
    try:
        status = training.main([*map(str, arguments), "--no-pictures"])
    except SystemExit as end:
        status = end.code
    assert status == 2
    message = capsys.readouterr().err.rstrip()
    assert message.startswith("network3.py: ")
    return message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--net", "deep"], ["--net", "deep", "shallow"]),
        (["--epochs", "0"], ["--epochs", "'0'", "at least 1"]),
        (["--batch", "ten"], ["--batch", "'ten'", "whole number"]),
        (["--eta", "nan"], ["--eta", "'nan'", "greater than 0"]),
        (["--lmbda", "-1"], ["--lmbda", "'-1'", "0 or more"]),
        (["--seed", "-1"], ["--seed", "'-1'"]),
        (["--batch", "1000"], ["--batch 1000", "500 images"]),
        (["--speed", "9"], ["--speed"]),
        (["--save", "nowhere/file"], ["nowhere", "doesn't exist"]),
        (["--save", "taken"], ["taken exists", "--resume taken"]),
    ],
)
def test_mistakes_get_one_line(
    arguments: list[str], words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("something else")
    message = refusal(capsys, *arguments)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_device_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "device can't be 'gpu'" in refusal(capsys, "--device", "gpu")


def test_resume_refuses_what_does_not_belong_together(
    small_data: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--net", "shallow", "--data", str(small_data), "--epochs", "1"]
    assert training.main([*options, "--save", "file", "--no-pictures"]) == 0
    assert "doesn't exist" in refusal(capsys, "--resume", "nowhere")
    message = refusal(capsys, "--resume", "file", "--net", "relu", "--eta", "0.5", "--batch", "10")
    assert "--net" in message and "shallow" in message and "relu" in message
    assert "--eta" in message and "--batch" not in message
    assert "other data" in refusal(capsys, "--resume", "file", "--data", training.SAMPLE)
    with symgrad.config.change_flags(floatX="float64"):
        assert "floatX=float32" in refusal(capsys, "--resume", "file")
    arrays, header = load_checkpoint("file")
    save_checkpoint("other", arrays, {**header, "layers": ["SoftmaxLayer(n_in=784, n_out=10)"]})
    assert "is of another network" in refusal(capsys, "--resume", "other")
    save_checkpoint("fewer", {name: arrays[name] for name in list(arrays)[1:]}, header)
    assert "missing" in refusal(capsys, "--resume", "fewer")
    save_checkpoint("foreign", arrays, {"program": "another"})
    assert "not of network3" in refusal(capsys, "--resume", "foreign")


def test_pictures(small_data: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for net in ("shallow", "conv"):
        assert training.main(["--net", net, "--data", str(small_data), "--epochs", "1", "--pictures", "art"]) == 0
        output = capsys.readouterr().out
        for kind in ("learning", "filters", "misread"):
            path = folder / "art" / f"{net}-{kind}.png"
            assert path.read_bytes().startswith(b"\x89PNG")
            assert os.path.join("art", path.name) in output


def test_progress_bar_on_a_terminal(
    small_data: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert training.main(["--net", "conv", "--data", str(small_data), "--epochs", "3", "--no-pictures"]) == 0
    output = capsys.readouterr()
    assert "minibatches/s" in output.err and "cost" in output.err
    assert "epoch 3 of 3" in output.out


def test_the_readmes_command_starts_from_any_folder(folder: Path) -> None:
    process = start("--net", "shallow", "--epochs", 1)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.search(r"epoch 1 of 1: cost [\d.]+, validation 8\d\.\d+%, test 8\d\.\d+%", output), output
