"""Tools for programs that look into graphs: walks, comparisons, copies with parts replaced."""

from symgrad.tools.cloning import clone, clone_get_equiv, clone_node, clone_replace
from symgrad.tools.texts import as_string, default_leaf_formatter, default_node_formatter, op_as_string
from symgrad.tools.walks import (
    ancestors,
    equal_computations,
    general_toposort,
    inputs,
    io_toposort,
    is_in_ancestors,
    is_same_graph,
    list_of_nodes,
    nodes_constructed,
    ops,
    orphans,
    stack_search,
    variables,
    variables_and_orphans,
    view_roots,
)

__all__ = [
    "ancestors", "as_string", "clone", "clone_get_equiv", "clone_node", "clone_replace", "default_leaf_formatter",
    "default_node_formatter", "equal_computations", "general_toposort", "inputs", "io_toposort", "is_in_ancestors",
    "is_same_graph", "list_of_nodes", "nodes_constructed", "op_as_string", "ops", "orphans", "stack_search",
    "variables", "variables_and_orphans", "view_roots",
]  # fmt: skip
