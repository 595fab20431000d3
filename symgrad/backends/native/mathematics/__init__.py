"""Elementary functions as vector arithmetic: no calls, no tables, the same bits in every lane and for every width."""
