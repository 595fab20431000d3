"""The second stage: sums of parts are added up, in order, and become the output."""

from __future__ import annotations

from symgrad.backends.cupy.kernel import CudaKernel, Target, element
from symgrad.backends.cupy.products.text import (
    FLOATS,
    Task,
    aligned_test,
    factors_text,
    made_kernel,
    narrowed,
    pack,
    packed,
    pointer,
    size_words,
    stack_offset,
    step_parameters,
    stepped,
    times,
    widened,
)
from symgrad.backends.matrices import Matrix
from symgrad.kernels.ir.functions import DTYPES as BYTES

THREADS = 256


def totals_kernel(task: Task, splits: int, parts: str, target: Target) -> tuple[CudaKernel, list[int]]:
    """Return the kernel that adds up `splits` matrices that stand one behind the other, and its operands.

    Parameters
    ----------
    task : Task
        The product that they are parts of.
    splits : int
        How many there are; with none, the product is zero.
    parts : str
        Their dtype.
    target : Target
        The device.

    Returns
    -------
    CudaKernel
        Its first buffer is the parts (none if there are none), its last the output.
    list of int
        The operands between these two.
    """
    problem = task.problem
    step = problem.added is not None
    parameters = [(pointer(parts), "parts")] if splits else []
    parameters += step_parameters(task) if step else []
    parameters.append((f"{element(task.output)}*", "output"))
    lanes = _lanes(task, splits, target)
    body = _by_lanes(task, splits, parts, lanes) if lanes > 1 else _by_threads(task, splits, parts)
    text, each = body
    blocks = -(-task.elements // (THREADS // lanes * each))
    moved = task.elements * (splits * BYTES[parts] + (1 + step) * BYTES[task.output])
    words = ["totals", task.output, *size_words(problem), str(splits)]
    kernel = made_kernel(words, "", parameters, text, THREADS, blocks, task.elements * (splits + 3), moved)
    operands = [problem.added.buffer, problem.alpha, problem.beta] if problem.added is not None else []
    return kernel, operands


def _lanes(task: Task, splits: int, target: Target) -> int:
    """Return how many threads share an element: more than one where there are few elements of many parts."""
    if task.sums not in FLOATS or splits < 8 or task.elements * 4 > target.multiprocessors * THREADS:
        return 1
    return 32 if splits >= 64 else 8


def _place(task: Task, matrix: Matrix) -> str:
    """Return the offset of element number `element` in a matrix."""
    problem = task.problem
    whole, size = "element", problem.m * problem.n
    stack = stack_offset(matrix, problem.stack, f"(element / {size})")
    row = times(f"({whole} / {problem.n} % {problem.m})", matrix.rows) if problem.m > 1 else "0"
    return f"{stack} + {row} + {times(f'({whole} % {problem.n})', matrix.columns)}"


def _is_flat(task: Task, matrix: Matrix) -> bool:
    """Whether elements lie one behind the other."""
    problem = task.problem
    step = 1
    for size, stride in zip((problem.n, problem.m, *problem.stack[::-1]),
                            (matrix.columns, matrix.rows, *matrix.stack[::-1]), strict=True):  # fmt: skip
        if size > 1 and stride != step:
            return False
        step *= size
    return True


def _result(task: Task, old: str) -> str:
    return narrowed(task.output, stepped(old, "total") if task.problem.added is not None else "total", task.sums)


def _by_lanes(task: Task, splits: int, parts: str, lanes: int) -> tuple[str, int]:
    """Return the text with `lanes` neighbouring threads for each element."""
    problem, sums = task.problem, element(task.sums)
    old = ""
    if problem.added is not None:
        value = widened(task.dtypes[problem.added.buffer], f"old[{_place(task, problem.added)}]", task.sums)
        old = f"    {factors_text(task)}        const {sums} before = {value};\n"
    body = f"""\
    const {task.index} element = ({task.index})blockIdx.x * {THREADS // lanes} + (int)threadIdx.x / {lanes};
    const int lane = (int)threadIdx.x % {lanes};
    {sums} total = 0;
    if (element < {task.elements})
        for (int part = lane; part < {splits}; part += {lanes})
            total += {widened(parts, f"parts[part * ({task.index}){task.elements} + element]", task.sums)};
    #pragma unroll
    for (int distance = {lanes // 2}; distance > 0; distance /= 2)
        total += __shfl_xor_sync(0xffffffffu, total, distance);
    if (lane == 0 && element < {task.elements}) {{
{old}        output[{_place(task, problem.output)}] = {_result(task, "before")};
    }}
"""
    return body, 1


def _by_threads(task: Task, splits: int, parts: str) -> tuple[str, int]:
    """Return the text with a thread for each element, or for a vector of them where all lie in one piece."""
    problem, sums, index = task.problem, element(task.sums), task.index
    matrices = [problem.output, *([problem.added] if problem.added is not None else [])]
    flat = all(_is_flat(task, matrix) for matrix in matrices)
    width = 4 if flat and task.elements % 4 == 0 and task.elements >= 4096 else 1
    if width == 1:
        return _elements_text(task, splits, parts, flat), 1
    pointers = [("output", width)]
    read = f"parts[part * ({index}){task.elements} + first + number]"
    if splits:
        pointers.append(("parts", width))
        read = f"({packed('parts', f'part * ({index}){task.elements} + first', parts, width)}).at[number]"
    if problem.added is not None:
        pointers.append(("old", width))
    four = f"""\
        {sums} totals[{width}] = {{}};
        for (int part = 0; part < {splits}; ++part) {{
            #pragma unroll
            for (int number = 0; number < {width}; ++number) totals[number] += {widened(parts, read, task.sums)};
        }}
""" if splits else f"        {sums} totals[{width}] = {{}};\n"  # fmt: skip
    before = ""
    if problem.added is not None:
        read = f"({packed('old', 'first', task.output, width)}).at[number]"
        value = widened(task.output, read, task.sums)
        before = f"            const {sums} before = {value};\n"
    body = f"""\
{factors_text(task) if problem.added is not None else ""}\
    const {index} first = (({index})blockIdx.x * {THREADS} + threadIdx.x) * {width};
    if (first >= {task.elements}) return;
    if ({aligned_test(pointers)}) {{
{four}\
        {pack(task.output, width)} result;
        #pragma unroll
        for (int number = 0; number < {width}; ++number) {{
            const {sums} total = totals[number];
{before}\
            result.at[number] = {_result(task, "before")};
        }}
        *({pack(task.output, width)}*)(output + first) = result;
        return;
    }}
    for (int number = 0; number < {width}; ++number) {{
        const {index} element = first + number;
{_single_text(task, splits, parts, True)}\
    }}
"""
    return body, width


def _elements_text(task: Task, splits: int, parts: str, flat: bool) -> str:
    start = f"""\
    const {task.index} element = ({task.index})blockIdx.x * {THREADS} + threadIdx.x;
    if (element >= {task.elements}) return;
"""
    factors = factors_text(task) if task.problem.added is not None else ""
    return start + factors + _single_text(task, splits, parts, flat)


def _single_text(task: Task, splits: int, parts: str, flat: bool) -> str:
    """Return the statements for one element."""
    problem, sums = task.problem, element(task.sums)
    place = "element" if flat else _place(task, problem.output)
    loop = ""
    if splits:
        sign = "|=" if task.output == "bool" else "+="
        value = widened(parts, f"parts[part * ({task.index}){task.elements} + element]", task.sums)
        loop = f"        for (int part = 0; part < {splits}; ++part) total {sign} {value};\n"
    before = ""
    if problem.added is not None:
        where = "element" if flat else _place(task, problem.added)
        before = f"        const {sums} before = {widened(task.output, f'old[{where}]', task.sums)};\n"
    return f"        {sums} total = 0;\n{loop}{before}        output[{place}] = {_result(task, 'before')};\n"
