"""What the commands do once their words are understood: call the library, print, say how it went."""
