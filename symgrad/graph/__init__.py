"""The graph: types, variables, applications of ops, and walks over them."""
