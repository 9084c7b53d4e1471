"""HTTP: a view reads the request, calls one service, writes the answer."""
