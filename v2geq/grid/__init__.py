"""The feeder: what is energised, and how power flows."""
