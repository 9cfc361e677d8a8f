"""Recipes and the masked training loop."""
