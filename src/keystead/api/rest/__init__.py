"""REST: routes declared as data; everything that describes them is generated from the declaration."""
