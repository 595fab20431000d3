"""``theano.printing`` and ``theano.d3viz``."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import symgrad
from symgrad import debug
from symgrad.debug import draw
from symgrad.graph.traversal import applies_before
from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.linalg import Dot

pydot_imported = True
pydot_imported_msg = ""


def debugprint(
    obj: Any,
    depth: int = -1,
    print_type: bool = False,
    file: Any = None,
    ids: str = "CHAR",
    stop_on_name: bool = False,
    done: Any = None,
    print_storage: bool = False,
    print_clients: bool = False,
    used_ids: Any = None,
) -> Any:
    """Print a graph as a tree, see `symgrad.debugprint`; the last four arguments are accepted.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> debugprint(T.exp(T.scalar("x")))
    exp [id A]
     |x [id B]
    """
    text = symgrad.debugprint(obj, depth, print_type, file="str", ids=ids, stop_on_name=stop_on_name)
    if file == "str":
        return text
    print(text, end="" if text.endswith("\n") else "\n", file=file)
    return file


LONGEST_LINE = 10_000


def pp(x: Any, *_: Any) -> str:
    """Return an expression as one line, as Theano writes it: with parentheses around every operation.

    What would be longer than 10,000 characters is written as `symgrad.pp` writes it, which leaves parts out.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, y = T.dscalars("x", "y")
    >>> pp(T.exp(x + y) * y)
    '(exp((x + y)) * y)'
    """
    if not isinstance(x, Variable):
        return debug.pp(x)
    texts: dict[Variable, str] = {}
    for node in applies_before([x]):
        operands = [texts.get(operand) or _leaf(operand) for operand in node.inputs]
        if sum(map(len, operands)) > LONGEST_LINE:
            return debug.pp(x)
        for number, output in enumerate(node.outputs):
            suffix = f".{number}" if len(node.outputs) > 1 else ""
            texts[output] = _call(node, operands) + suffix
    return texts.get(x) or _leaf(x)


def _leaf(variable: Variable) -> str:
    if isinstance(variable, Constant) and variable.name is None and variable.data.ndim == 0:
        return f"TensorConstant{{{variable.data}}}"
    return str(variable)


def _call(node: Apply, operands: list[str]) -> str:
    symbol = node.op.row.symbol if isinstance(node.op, Elementwise) else "\\dot" if isinstance(node.op, Dot) else ""
    if symbol and len(operands) == 2:
        return f"({operands[0]} {symbol} {operands[1]})"
    if symbol and len(operands) == 1:
        return f"({symbol}{operands[0]})"
    return f"{node.op}({', '.join(operands)})"


class PPrinter:
    """What prints an expression as one line: ``theano.pprint(x)``."""

    def __call__(self, *variables: Any) -> str:
        """Return the expressions, one a line."""
        return "\n".join([pp(variable) for variable in variables])

    process = process_graph = __call__


pprint = PPrinter()


def hex_digest(x: Any) -> str:
    """Return a digest of an array: of its values, strides, shape and dtype."""
    digest = hashlib.sha256(x.tobytes()).hexdigest()
    return f"{digest}|strides=[{','.join(map(str, x.strides))}]|shape={list(x.shape)}|dtype={x.dtype}"


def var_descriptor(obj: Any, _prev_obs: Any = None, _tag_generator: Any = None) -> str:
    """Return a text that is equal for values and graphs of the same form, wherever they are in memory."""
    if isinstance(obj, Variable):
        return pp(obj)
    if hasattr(obj, "tobytes"):
        return hex_digest(obj)
    if isinstance(obj, list | tuple):
        return f"{type(obj).__name__}({', '.join(var_descriptor(one) for one in obj)})"
    return str(obj)


position_independent_str = var_descriptor


def min_informative_str(obj: Any, indent_level: int = 0, _prev_obs: Any = None, _tag_generator: Any = None) -> str:
    """Return a graph as a tree in which each variable has a letter, and its second use is the letter alone."""
    return ("    " * indent_level) + debugprint(obj, file="str").rstrip("\n")


def d3viz(fct: Any, outfile: Any, copy_deps: bool = True, *arguments: Any, **options: Any) -> None:
    """Write a page with the picture of a graph, to move and zoom in."""
    draw(fct, outfile, format="html")


def d3write(fct: Any, path: Any, *arguments: Any, **options: Any) -> None:
    """Write the picture of a graph, as SVG unless the name of the file says otherwise."""
    draw(fct, path, format="html" if os.fspath(path).endswith(".html") else "svg")


__all__ = [
    "PPrinter", "d3viz", "d3write", "debugprint", "hex_digest", "min_informative_str", "position_independent_str", "pp",
    "pprint", "pydot_imported", "pydot_imported_msg", "var_descriptor",
]  # fmt: skip
