"""Random numbers for symbolic programs: the same seed gives the same numbers on every backend and thread count.

>>> from symgrad import function
>>> from symgrad.random import RandomStreams
>>> streams = RandomStreams(seed=234)
>>> draw = function([], streams.uniform((2,)))
>>> first, second = draw(), draw()
>>> bool((first == second).any())
False

Every call of a method makes a stream of its own, numbered in the order of creation. A variable used twice is one draw.
A stream's state is a shared variable whose default update moves it on, so each call of a compiled function draws
anew; with ``no_default_updates=True`` it repeats.

`RandomStreams` draws from Philox4x32-10. `MRG_RandomStreams` gives the numbers of Theano's class of that name.
"""

from symgrad.random.mrg import MRG_RandomStreams
from symgrad.random.philox import RandomStreams

__all__ = ["MRG_RandomStreams", "RandomStreams"]
