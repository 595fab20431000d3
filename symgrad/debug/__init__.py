"""To look at graphs: as a tree, as one line, as a networkx graph, as a picture."""

from symgrad.debug.expressions import pp
from symgrad.debug.graphviz import pydotprint
from symgrad.debug.network import to_networkx
from symgrad.debug.pictures import draw
from symgrad.debug.printing import debugprint

__all__ = ["debugprint", "draw", "pp", "pydotprint", "to_networkx"]
