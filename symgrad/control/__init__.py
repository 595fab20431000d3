"""Control: ops that hold graphs. Loops, choices, and graphs used as ops."""

from symgrad.control.choices import IfElse, ifelse
from symgrad.control.folds import foldl, foldr, map, reduce, scan_checkpoints  # noqa: A004
from symgrad.control.op_from_graph import OpFromGraph
from symgrad.control.scan_op import Scan
from symgrad.control.scanning import scan
from symgrad.control.step_results import OrderedUpdates, until

from symgrad.control import choice_rules, loop_rules, moving_after, moving_before  # isort: skip  # they enter their
from symgrad.control import rows, vectorized  # isort: skip  # rules, in this order

__all__ = [
    "IfElse", "OpFromGraph", "OrderedUpdates", "Scan", "choice_rules", "foldl", "foldr", "ifelse", "loop_rules", "map",
    "moving_after", "moving_before", "reduce", "rows", "scan", "scan_checkpoints", "until", "vectorized",
]  # fmt: skip
