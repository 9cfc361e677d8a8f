"""The nouns: plug-ins and their text, canonical forms and keys, seeds, layouts, masks, tickets."""
