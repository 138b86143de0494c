"""What a clinic and a registry must agree on: the one-time token, and what each of them signs."""
