"""A plan as a tape: the calls in order, with the places of their operands, and loops as tapes of their own."""
