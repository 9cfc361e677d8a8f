"""Whole studies, one file each, with public names only."""
