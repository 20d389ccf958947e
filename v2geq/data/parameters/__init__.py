"""What a parameter is: name, unit, range, basis, target."""
