"""Tidegate's own rules: each is data, with a pure function over a parsed file that says where it hits."""
