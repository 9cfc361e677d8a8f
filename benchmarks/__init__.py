"""How fast it is: ratios of pairs that are run in turn, in one process, never gates of a test."""
