"""Deeds: one a file, one transaction a function, with the instant passed in."""
