"""Where the calls of a study run: in this process, in worker processes, on a Ray cluster."""
