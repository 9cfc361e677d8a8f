"""What can be said on the command line: one dataclass a command, from which its help is made."""
