"""What makes data unusable."""
