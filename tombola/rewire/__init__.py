"""Methods that change the mask while a network trains: one plug-in of the kind "rewire" in each file."""
