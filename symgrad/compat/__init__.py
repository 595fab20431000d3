"""The names of other programs, mapped onto symgrad."""
