"""The command `cairn`, the demo and the embedded engine: the only package that sees both sides."""
