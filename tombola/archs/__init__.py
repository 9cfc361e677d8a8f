"""Networks as plug-ins; each describes itself by a layout."""
