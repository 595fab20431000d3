"""What programs ask Theano's GPU packages: whether a GPU is in use."""

from __future__ import annotations

from typing import Any

from symgrad.compat.theano_names.configuration import theano_config
from symgrad.compat.theano_names.tensor_functions import transfer
from symgrad.config import config, device_problem


class _Truth:
    """Whether functions run on a GPU, asked anew each time: ``if theano.sandbox.cuda.cuda_enabled:``."""

    def __bool__(self) -> bool:
        return config.device.startswith("cuda") and not device_problem("cuda")

    def __call__(self, *arguments: Any) -> bool:
        return bool(self)

    def __eq__(self, other: object) -> bool:
        return bool(self) == other

    def __hash__(self) -> int:
        return hash(bool(self))

    def __repr__(self) -> str:
        return str(bool(self))


class DnnPresent(_Truth):
    """Whether convolutions run on a GPU; `msg` says why not, `avail` is what was found."""

    avail: bool | None = None

    @property
    def msg(self) -> str:
        """Why there is none."""
        return device_problem("cuda")


cuda_available = cuda_enabled = pygpu_activated = cuda_ndarray = _Truth()
dnn_available = dnn_present = DnnPresent()


def use(device: str, *arguments: Any, **options: Any) -> None:
    """Set the device, as ``theano.config.device = device``."""
    theano_config.set_value("device", device)


def gpu_contiguous(x: Any) -> Any:
    """Return `x`: values are where functions run, and in order."""
    return x


def gpu_from_host(x: Any, context_name: str | None = None) -> Any:
    """Return `x`, which as an output stays on the GPU; on the CPU it is as any other."""
    return x if config.device == "cpu" else transfer(x, context_name or config.device)


def host_from_gpu(x: Any) -> Any:
    """Return `x`: as an output it comes to the host anyhow."""
    return x


def as_gpuarray_variable(x: Any, context_name: str | None = None) -> Any:
    """Return `x` as a variable."""
    from symgrad.tensor import as_tensor_variable

    return as_tensor_variable(x)


as_cuda_ndarray_variable = as_gpuarray_variable


def infer_context_name(*variables: Any) -> None:
    """Return None: there is one device, that of the setting ``device``."""


def get_context(name: str | None = None) -> str:
    """Return the device that functions run on."""
    return str(config.device)


def list_contexts() -> list[str]:
    """Return the devices in use."""
    return [str(config.device)]


def dnn_conv(
    img: Any,
    kerns: Any,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    dilation: Any = (1, 1),
    conv_mode: str = "conv",
    direction_hint: Any = None,
    workmem: Any = None,
    algo: Any = None,
    precision: Any = None,
    num_groups: int = 1,
) -> Any:
    """Return the convolution of images with kernels; ``conv_mode='cross'`` correlates."""
    from symgrad.tensor.nnet import conv2d

    return conv2d(
        img, kerns, border_mode=border_mode, subsample=subsample, filter_flip=conv_mode == "conv",
        filter_dilation=dilation, num_groups=num_groups,
    )  # fmt: skip


def dnn_conv3d(
    img: Any,
    kerns: Any,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    dilation: Any = (1, 1, 1),
    conv_mode: str = "conv",
    **options: Any,
) -> Any:
    """Return the convolution in three dimensions."""
    from symgrad.tensor.nnet import conv3d

    return conv3d(
        img, kerns, border_mode=border_mode, subsample=subsample, filter_flip=conv_mode == "conv",
        filter_dilation=dilation,
    )  # fmt: skip


def dnn_pool(img: Any, ws: Any, stride: Any = None, mode: str = "max", pad: Any = None) -> Any:
    """Return pooled images, whole windows only."""
    from symgrad.tensor.nnet import pool_2d, pool_3d

    pool = pool_2d if len(ws) == 2 else pool_3d
    return pool(img, ws=ws, stride=stride, pad=pad or (0,) * len(ws), mode=mode, ignore_border=True)
