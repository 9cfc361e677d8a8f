"""What makes a weight worth keeping, one formula a file."""
