"""Data sets as plug-ins: pure batches, loss and metric."""
