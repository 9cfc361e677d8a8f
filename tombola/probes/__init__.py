"""Probes: what is measured of tickets and trained networks; numbers, tables and small pictures, never a plot."""
