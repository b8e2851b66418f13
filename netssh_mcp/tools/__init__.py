"""What an agent may ask: one thin function each."""
