"""The ops, one family a file; each declares its types, its meaning, its gradient and its work."""
