"""The problem in other modelling languages."""
