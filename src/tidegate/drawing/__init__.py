"""Pages with plots in HTML and SVG: no script, no font, no address that would have to answer. Pure."""
