"""What clinics and the research team must agree on, byte for byte. No torch, no flwr, no I/O."""
