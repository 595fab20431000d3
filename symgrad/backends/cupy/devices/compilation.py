"""From a module's text to code that a device loads: NVRTC, and symgrad's own cache of compiled code.

CuPy's `RawModule` isn't used, because it always compiles with ``-ftz=true``: denormal float32 numbers would become 0,
which they don't on the CPU.
"""

from __future__ import annotations

from typing import Any

from symgrad.backends.code_cache import configured_cache, key_of
from symgrad.errors import SymgradError

OPTIONS = ("--std=c++17", "--fmad=true", "--device-as-default-execution-space")
"""The compiler may fuse a product and a sum, which nearly all kernels live on; where every bit counts, as in random
numbers, the text says ``__fmul_rn`` and ``__fadd_rn``, which stay what they are."""


class KernelTextError(SymgradError, RuntimeError):
    """NVRTC refuses a module: a mistake in symgrad, or in a kernel of the user's own."""


def architecture_option(supported: tuple[int, ...], capability: int) -> str:
    """Return for what to compile: the device itself, or, if NVRTC doesn't know it yet, the newest that it knows.

    Parameters
    ----------
    supported : tuple of int
        What ``nvrtc.getSupportedArchs()`` says.
    capability : int
        Of the device.

    Examples
    --------
    >>> architecture_option((75, 80, 90), 80), architecture_option((75, 80, 90), 120)
    ('-arch=sm_80', '-arch=compute_90')
    """
    if capability in supported:
        return f"-arch=sm_{capability}"
    return f"-arch=compute_{max([known for known in supported if known < capability], default=capability)}"


def compiled(cupy: Any, text: str, capability: int, label: str = "") -> bytes:
    """Return the code of a module, from the cache or compiled now; needs no device.

    Parameters
    ----------
    cupy : module
        CuPy.
    text : str
        The whole text.
    capability : int
        The compute capability of the device.
    label : str
        What ``symgrad cache list`` shows.

    Raises
    ------
    KernelTextError
        If the text doesn't compile; with NVRTC's own words.
    """
    nvrtc = cupy.cuda.nvrtc
    options = (*OPTIONS, architecture_option(tuple(nvrtc.getSupportedArchs()), capability))
    cache = configured_cache()
    key = key_of("cuda", text, *options, str(nvrtc.getVersion()))
    code = cache.get(key)
    if code is None:
        code = _compiled_now(nvrtc, text, options)
        cache.put(key, code, label or "CUDA")
    return code


def _compiled_now(nvrtc: Any, text: str, options: tuple[str, ...]) -> bytes:
    program = nvrtc.createProgram(text, "symgrad.cu", (), ())
    try:
        try:
            nvrtc.compileProgram(program, options)
        except nvrtc.NVRTCError as error:
            log = nvrtc.getProgramLog(program)
            raise KernelTextError(f"NVRTC can't compile a kernel: {error}\n{log.strip()}") from None
        is_cubin = options[-1].startswith("-arch=sm_")
        return bytes(nvrtc.getCUBIN(program) if is_cubin else nvrtc.getPTX(program))
    finally:
        nvrtc.destroyProgram(program)
