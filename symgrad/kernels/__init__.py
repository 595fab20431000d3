"""The grammar of work between ops and backends, and reference implementations in plain NumPy."""
