"""Tables, and the only SQL of the service below each of them."""
