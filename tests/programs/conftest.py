"""These are programs, which a test runs: pytest doesn't collect them."""

collect_ignore_glob = ["*.py"]
