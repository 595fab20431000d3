"""Training steps of well known networks, in symgrad and in its peers, timed side by side."""
