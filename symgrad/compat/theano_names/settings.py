"""Theano's settings: their names, kinds and defaults.

Each line is ``name kind default``. Those with a meaning in symgrad are bound to it in `configuration`; the others are
kept, so that programs can read and set them, and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from symgrad.config.settings import nearest
from symgrad.errors import ConfigError, render

TABLE = """
floatX                                one-of:float64,float32,float16                  float64
device                                device                                          cpu
force_device                          bool                                            False
init_gpu_device                       text
gpuarray.preallocate                  number                                          0
gpuarray.sched                        one-of:default,multi,single                     default
gpuarray.single_stream                bool                                            True
gpuarray.cache_path                   text
cuda.root                             text
cuda.enabled                          bool                                            True
cuda.include_path                     text
cuda.disabled                         text
lib.cnmem                             number                                          0
lib.amdlibm                           bool                                            False
lib.amblibm                           bool                                            False
nvcc.fastmath                         bool                                            False
nvcc.flags                            text
nvcc.compiler_bindir                  text
nvcc.cudafe                           text                                            heuristic
enable_initial_driver_test            bool                                            True
dnn.enabled                           one-of:auto,True,False,no_check                 auto
dnn.include_path                      text
dnn.library_path                      text
dnn.base_path                         text
dnn.bin_path                          text
dnn.conv.workmem                      text
dnn.conv.workmem_bwd                  text
dnn.conv.algo_fwd                     text                                            small
dnn.conv.algo_bwd                     text
dnn.conv.algo_bwd_data                text                                            none
dnn.conv.algo_bwd_filter              text                                            none
dnn.conv.precision                    text                                            as_input_f32
magma.enabled                         bool                                            False
magma.include_path                    text
magma.library_path                    text
ctc.enabled                           bool                                            False
ctc.root                              text
mode  one-of:Mode,DebugMode,FAST_RUN,NanGuardMode,FAST_COMPILE,DEBUG_MODE,ProfileMode,PROFILE_MODE  Mode
linker                                one-of:cvm,c|py,py,c,c&py,c|py_nogc,vm,vm_nogc,cvm_nogc,jax    cvm
optimizer                             one-of:o4,o3,o2,o1,unsafe,fast_run,fast_compile,merge,None    o4
optimizer_excluding                   text
optimizer_including                   text
optimizer_requiring                   text
optimizer_verbose                     bool                                            False
on_opt_error                          one-of:warn,raise,pdb,ignore                    warn
on_unused_input                       one-of:raise,warn,ignore                        raise
on_shape_error                        one-of:warn,raise                               warn
allow_gc                              bool                                            True
cast_policy                           one-of:custom,numpy+floatX                      custom
int_division                          one-of:int,raise,floatX                         int
warn_float64                          one-of:ignore,warn,raise,pdb                    ignore
deterministic                         one-of:default,more                             default
exception_verbosity                   one-of:low,high                                 low
compute_test_value                    one-of:off,ignore,warn,raise,pdb                off
compute_test_value_opt                one-of:off,ignore,warn,raise,pdb                off
print_test_value                      bool                                            False
pickle_test_value                     bool                                            True
reoptimize_unpickled_function         bool                                            False
unpickle_function                     bool                                            True
openmp                                bool                                            False
openmp_elemwise_minsize               whole                                           200000
check_input                           bool                                            True
check_stack_trace                     one-of:off,log,warn,raise                       off
cycle_detection                       one-of:regular,fast                             regular
assert_no_cpu_op                      one-of:ignore,warn,raise,pdb                    ignore
cache_optimizations                   bool                                            False
print_active_device                   bool                                            True
print_global_stats                    bool                                            False
profile                               bool                                            False
profile_optimizer                     bool                                            False
profile_memory                        bool                                            False
profiling.time_thunks                 bool                                            True
profiling.n_apply                     whole                                           20
profiling.n_ops                       whole                                           20
profiling.output_line_width           whole                                           512
profiling.min_memory_size             whole                                           1024
profiling.min_peak_memory             bool                                            False
profiling.destination                 text                                            stderr
profiling.debugprint                  bool                                            False
profiling.ignore_first_call           bool                                            False
cxx                                   text                                            symgrad
cmodule.mac_framework_link            bool                                            False
cmodule.warn_no_version               bool                                            False
cmodule.remove_gxx_opt                bool                                            False
cmodule.compilation_warning           bool                                            False
cmodule.preload_cache                 bool                                            False
cmodule.age_thresh_use                whole                                           2073600
cmodule.debug                         bool                                            False
compile.wait                          whole                                           5
compile.timeout                       whole                                           120
gcc.cxxflags                          text
blas.ldflags                          text                                            symgrad
blas.check_openmp                     bool                                            True
base_compiledir                       text
compiledir                            text
compiledir_format                     text
nocleanup                             bool                                            False
contexts                              text
conv.assert_shape                     bool                                            False
experimental.unpickle_gpu_on_cpu      bool                                            False
experimental.local_alloc_elemwise     bool                                            True
experimental.local_alloc_elemwise_assert bool                                         True
gpuelemwise.sync                      bool                                            True
gpu.local_elemwise_fusion             bool                                            True
tensor.cmp_sloppy                     whole                                           0
tensor.local_elemwise_fusion          bool                                            True
tensor.insert_inplace_optimizer_validate_nb whole                                     -1
ifelse.reduce_memory                  bool                                            False
scan.allow_gc                         bool                                            False
scan.allow_output_prealloc            bool                                            True
scan.debug                            bool                                            False
vm.lazy                               optional-bool                                   None
traceback.limit                       whole                                           8
traceback.compile_limit               whole                                           0
unittests.rseed                       text                                            666
numpy.seterr_all                      one-of:ignore,warn,raise,call,print,log,None    ignore
numpy.seterr_divide                   one-of:None,ignore,warn,raise,call,print,log    None
numpy.seterr_over                     one-of:None,ignore,warn,raise,call,print,log    None
numpy.seterr_under                    one-of:None,ignore,warn,raise,call,print,log    None
numpy.seterr_invalid                  one-of:None,ignore,warn,raise,call,print,log    None
optdb.position_cutoff                 number                                          inf
optdb.max_use_ratio                   number                                          8.0
metaopt.verbose                       whole                                           0
metaopt.optimizer_excluding           text
metaopt.optimizer_including           text
pycuda.init                           bool                                            False
cublas.lib                            text                                            cublas
hooks                                 text
ProfileMode.n_apply_to_print          whole                                           15
ProfileMode.n_ops_to_print            whole                                           20
ProfileMode.min_memory_size           whole                                           1024
ProfileMode.profile_memory            bool                                            False
DebugMode.patience                    whole                                           10
DebugMode.check_c                     bool                                            True
DebugMode.check_py                    bool                                            True
DebugMode.check_finite                bool                                            True
DebugMode.check_strides               whole                                           0
DebugMode.warn_input_not_reused       bool                                            True
DebugMode.check_preallocated_output   text
DebugMode.check_preallocated_output_ndim whole                                        4
NanGuardMode.nan_is_error             bool                                            True
NanGuardMode.inf_is_error             bool                                            True
NanGuardMode.big_is_error             bool                                            True
NanGuardMode.action                   one-of:raise,warn,pdb                           raise
warn.ignore_bug_before                text                                            0.9
warn.argmax_pushdown_bug              bool                                            False
warn.gpusum_01_011_0111_bug           bool                                            False
warn.sum_sum_bug                      bool                                            False
warn.sum_div_dimshuffle_bug           bool                                            False
warn.subtensor_merge_bug              bool                                            False
warn.gpu_set_subtensor1               bool                                            False
warn.vm_gc_bug                        bool                                            False
warn.signal_conv2d_interface          bool                                            False
warn.reduce_join                      bool                                            False
warn.inc_set_subtensor1               bool                                            False
warn.inc_subtensor1_opt               bool                                            False
warn.round                            bool                                            False
warn.identify_1pexp_bug               bool                                            False
warn.reduce_max_bug                   bool                                            False
"""


class TheanoSetting(NamedTuple):
    """One of Theano's settings."""

    name: str
    kind: str
    default: Any

    def parse(self, value: Any, location: str = "") -> Any:
        """Return a value as the setting holds it.

        Raises
        ------
        ConfigError
            If the setting doesn't take it.
        """
        kind, _, words = self.kind.partition(":")
        try:
            return _PARSERS[kind](value, words.split(","))
        except (ValueError, TypeError):
            valid = words.replace(",", ", ") if words else _MEANINGS[kind]
            near = nearest(str(value), words.split(",")) if words else None
            remedy = (f"Did you mean {near!r}? " if near else "") + f"Valid: {valid}."
        raise ConfigError(render(f"Invalid value for theano.config.{self.name}: {value!r}", location, remedy=remedy))


def _word(value: Any, words: list[str]) -> str:
    if str(value) not in words:
        raise ValueError
    return str(value)


def _truth(value: Any, words: list[str]) -> bool:
    if value in (True, 1, "1", "True", "true", "yes"):
        return True
    if value in (False, 0, "0", "False", "false", "no"):
        return False
    raise ValueError


def _optional_truth(value: Any, words: list[str]) -> bool | None:
    return None if value in (None, "None") else _truth(value, words)


def _device(value: Any, words: list[str]) -> str:
    """``cpu``, ``gpu``, ``gpu0`` and ``cuda0`` and so on; ``opencl0:0`` is refused: there is no such backend."""
    text = str(value)
    base = text.rstrip("0123456789")
    if base not in ("cpu", "gpu", "cuda") or (base == "cpu" and text != "cpu"):
        raise ValueError
    return text


def _text(value: Any, words: list[str]) -> str:
    return str(value)


def _whole(value: Any, words: list[str]) -> int:
    return int(value)


def _number(value: Any, words: list[str]) -> float:
    return float(value)


_PARSERS: dict[str, Callable[[Any, list[str]], Any]] = {
    "one-of": _word, "bool": _truth, "optional-bool": _optional_truth, "device": _device, "text": _text,
    "whole": _whole, "number": _number,
}  # fmt: skip
_MEANINGS = {
    "bool": "True, False", "optional-bool": "True, False, None", "device": "cpu, gpu, gpu0, ..., cuda, cuda0, ...",
    "whole": "an integer", "number": "a number", "text": "text",
}  # fmt: skip


def read_table(text: str = TABLE) -> dict[str, TheanoSetting]:
    """Return the settings of a table by name.

    Examples
    --------
    >>> read_table()["floatX"]
    TheanoSetting(name='floatX', kind='one-of:float64,float32,float16', default='float64')
    """
    found = {}
    for line in text.strip().splitlines():
        name, kind, *default = line.split()
        setting = TheanoSetting(name, kind, "")
        found[name] = setting._replace(default=setting.parse(default[0] if default else ""))
    return found
