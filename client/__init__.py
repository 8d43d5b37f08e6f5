"""Floor 0: the wire format of the server, and the typed client that speaks it."""
