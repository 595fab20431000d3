"""Theano's modules and names, and where each leads.

`rooms` is the table; `finder` makes modules of it; `not_kept` lists what isn't there, and what to write instead. The
other files hold what has no equal in symgrad: Theano's settings, its ways to call `function`, its shapes of results.

Importing this package changes nothing: `activation.activate` does.
"""
