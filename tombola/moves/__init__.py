"""Ticket -> Ticket."""
