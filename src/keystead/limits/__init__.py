"""Limits: how often what may be asked, by whom; and what guessing costs."""
