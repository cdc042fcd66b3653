"""A training: checked, begun, resumed."""
