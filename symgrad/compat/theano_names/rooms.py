"""The table: each module of Theano's, and where its names lead.

A room is a text of lines ``module: name name new=old``, see `finder.read_room`: the names are found in that module,
`new` is found there as `old`, and ``*`` stands for everything that the module offers. A module that begins with a dot
is one of this package, and ``theano.*`` is another room.
"""

from __future__ import annotations

from symgrad.compat.theano_names.rooms_of_devices import DEVICE_ROOMS
from symgrad.compat.theano_names.rooms_of_graphs import GRAPH_ROOMS
from symgrad.compat.theano_names.rooms_of_tensors import TENSOR_ROOMS

ROOMS: dict[str, str] = {**GRAPH_ROOMS, **TENSOR_ROOMS, **DEVICE_ROOMS}
